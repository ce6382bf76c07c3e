//! What a run did, and which families it left and why.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reason::is_known;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// All that may move has moved.
    #[default]
    Complete,
    /// `--max-rows` rows have moved; there is more.
    MaxRows,
    /// A signal asked for it.
    Signal,
    /// Its time was over.
    Time,
    /// The stop file was there.
    StopFile,
    /// A limit of `--critical-load` was passed, or a replica does not replicate that must.
    Load,
    /// It had waited for as long as `--max-wait` allows.
    MaxWait,
    /// An error ended it before all cells were done.
    Failed,
    /// All that may move has moved, but in cells that were not reached.
    Unreachable,
}

impl StopReason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Complete,
        Self::MaxRows,
        Self::Signal,
        Self::Time,
        Self::StopFile,
        Self::Load,
        Self::MaxWait,
        Self::Failed,
        Self::Unreachable,
    ];

    /// The name as output spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::MaxRows => "max-rows",
            Self::Signal => "signal",
            Self::Time => "time",
            Self::StopFile => "stop-file",
            Self::Load => "load",
            Self::MaxWait => "max-wait",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether somebody, or a limit of time, asked the run to stop: nothing more is to be begun.
    pub fn is_request(self) -> bool {
        !matches!(self, Self::Complete | Self::MaxRows | Self::Unreachable)
    }
}

/// A blocked family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The reason as scripts see it: `live-child`, `no-shadow-table`, `shadow-key-taken` ...
    pub reason: String,
    /// The family's root: `instances:3`.
    pub root: String,
    /// From the root to what holds it back: `instances:3`, `share_mapping.instance_uuid ->
    /// instances.uuid`, `share_mapping:1`.
    pub path: Vec<String>,
    /// What would mend it: SQL, or a flag.
    pub remedy: String,
}

/// How many blocked families of one reason are listed one by one; the rest is counted.
pub(crate) const LISTED_PER_REASON: usize = 100;

/// What a run did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcome {
    /// Every blocked family, as reason and root, however many there are; only where a run was told to keep them.
    #[serde(skip)]
    pub all_blocked: Option<Vec<(String, String)>>,
    /// Format version.
    pub version: u32,
    /// The database, without password.
    pub database: String,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// The moment that `--before` came to, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Rows moved, by live table (with several cells, by `cell.table`).
    pub rows: BTreeMap<String, u64>,
    /// Rows moved in all, those written to a file and deleted included.
    pub total_rows: u64,
    /// Families moved.
    pub families: u64,
    /// Blocked families; at most 100 of each reason.
    pub blocked: Vec<Blocked>,
    /// Blocked families in all, by reason.
    pub blocked_families: BTreeMap<String, u64>,
    /// Rows left in tables without shadow by references that only the profile knows, by table.
    pub left_behind: BTreeMap<String, u64>,
    /// Rows written to a file and deleted (`--drop-unshadowed`), by table.
    pub dropped: BTreeMap<String, u64>,
    /// API-database records removed (in a dry run, that would be), by table.
    pub api_records: BTreeMap<String, u64>,
    /// API-database tables whose records about what came back are gone for good, where rows came back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_restored: Vec<String>,
    /// Rows purged from the shadow tables, by shadow table.
    pub purged: BTreeMap<String, u64>,
    /// Families that `--purge` left because a part of them is in the live tables.
    pub purge_kept: u64,
    /// Transactions that moved something (in a dry run, that would have).
    pub batches: u64,
    /// Statements sent, transaction control included.
    pub statements: u64,
    /// Batches tried again after a deadlock, a lock timeout or a lost connection.
    pub retries: u64,
    /// Wall time in milliseconds: of this database; of several cells from the beginning of the first to the end of
    /// the last.
    pub elapsed_ms: u64,
    /// Milliseconds by what the statements did (read, copy, move, delete, commit ...) and of waiting
    /// between batches (wait). Where several sessions work at the same time theirs are added up.
    pub spent_ms: BTreeMap<String, u64>,
    /// Why the run ended.
    pub stopped_because: StopReason,
    /// Cells that could not be reached or were lost, and what was said of each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unreachable: BTreeMap<String, String>,
}

impl Outcome {
    /// Whether any family is blocked.
    pub fn has_blocked(&self) -> bool {
        self.blocked_families.values().any(|n| *n > 0)
    }

    /// Books `count` blocked families of one reason, of which `listed` are to be shown.
    pub(super) fn block_all(&mut self, reason: &str, count: u64, listed: Vec<Blocked>) {
        debug_assert!(is_known(reason), "{reason} is missing among the reasons");
        *self.blocked_families.entry(reason.to_owned()).or_default() += count;
        self.blocked.extend(listed);
    }

    pub(super) fn block(&mut self, blocked: Blocked) {
        let reason = &blocked.reason;
        debug_assert!(is_known(reason), "{reason} is missing among the reasons");
        let count = self
            .blocked_families
            .entry(blocked.reason.clone())
            .or_default();
        *count += 1;
        if let Some(all) = &mut self.all_blocked {
            all.push((blocked.reason.clone(), blocked.root.clone()));
        }
        if *count <= LISTED_PER_REASON as u64 {
            self.blocked.push(blocked);
        }
    }

    /// Adds API-database records that were removed.
    pub fn add_api_records(&mut self, more: &BTreeMap<String, u64>) {
        for (table, records) in more {
            *self.api_records.entry(table.clone()).or_default() += records;
        }
    }

    /// Adds time by kind.
    pub fn add_spent(&mut self, more: BTreeMap<String, u64>) {
        for (kind, milliseconds) in more {
            *self.spent_ms.entry(kind).or_default() += milliseconds;
        }
    }

    pub(super) fn add_waited(&mut self, waited: Duration) {
        let milliseconds = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        if milliseconds > 0 {
            self.add_spent(BTreeMap::from([("wait".to_owned(), milliseconds)]));
        }
    }

    /// What was complete is not, where a cell was not reached.
    pub fn not_all_cells(&mut self) {
        if self.stopped_because == StopReason::Complete && !self.unreachable.is_empty() {
            self.stopped_because = StopReason::Unreachable;
        }
    }

    /// Adds the outcome of another cell, its tables under the cell's name. Cells may be worked on at the same time:
    /// the wall time is not theirs to add up, and is left as it is.
    pub fn merge(&mut self, cell: &str, other: Outcome) {
        let named = |table: &str| format!("{cell}.{table}");
        let pairs = [
            (&mut self.rows, other.rows),
            (&mut self.left_behind, other.left_behind),
            (&mut self.dropped, other.dropped),
            (&mut self.purged, other.purged),
        ];
        for (mine, theirs) in pairs {
            for (table, rows) in theirs {
                *mine.entry(named(&table)).or_default() += rows;
            }
        }
        self.add_api_records(&other.api_records);
        for (reason, count) in other.blocked_families {
            *self.blocked_families.entry(reason).or_default() += count;
        }
        self.blocked
            .extend(other.blocked.into_iter().map(|mut blocked| {
                if let Some(first) = blocked.path.first_mut() {
                    *first = named(first);
                }
                blocked.root = named(&blocked.root);
                blocked
            }));
        self.total_rows += other.total_rows;
        self.families += other.families;
        self.purge_kept += other.purge_kept;
        self.batches += other.batches;
        self.statements += other.statements;
        self.retries += other.retries;
        self.add_spent(other.spent_ms);
        self.unreachable.extend(other.unreachable);
        if other.stopped_because != StopReason::Complete {
            self.stopped_because = other.stopped_because;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_cell(number: u64) -> Outcome {
        let counts = |table: &str| BTreeMap::from([(table.to_owned(), number)]);
        Outcome {
            rows: counts("instances"),
            total_rows: number,
            families: 2 * number,
            blocked: vec![Blocked {
                reason: "live-child".into(),
                root: format!("instances:{number}"),
                path: vec!["path".into()],
                remedy: "remedy".into(),
            }],
            blocked_families: counts("live-child"),
            left_behind: counts("tags"),
            dropped: counts("share_mapping"),
            api_records: counts("request_specs"),
            purged: counts("shadow_instances"),
            purge_kept: 3 * number,
            batches: 4 * number,
            statements: 5 * number,
            retries: 6 * number,
            elapsed_ms: 7 * number,
            spent_ms: counts("read"),
            stopped_because: StopReason::Signal,
            ..Outcome::default()
        }
    }

    #[test]
    fn cells_are_added_up_and_their_tables_are_kept_apart() {
        let mut total = Outcome::default();
        total.merge("a", of_cell(1));
        total.merge("b", of_cell(10));
        // One that was complete does not take back that another was not.
        total.merge("b", Outcome::default());
        insta::assert_json_snapshot!(total);
    }

    #[test]
    fn a_stop_reason_has_one_name() {
        for reason in StopReason::ALL {
            let json = serde_json::to_value(reason).unwrap();
            assert_eq!(json, reason.name());
        }
    }

    #[test]
    fn a_reason_without_a_family_blocks_nothing() {
        let mut outcome = Outcome::default();
        assert!(!outcome.has_blocked());
        outcome.block_all("no-date", 0, Vec::new());
        assert!(!outcome.has_blocked());
        outcome.block_all("no-date", 1, Vec::new());
        assert!(outcome.has_blocked());
    }
}
