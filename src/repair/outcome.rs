//! What a repair did, or would do, and what it leaves.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::archive::{Blocked, Direction, LISTED_PER_REASON, Outcome, StopReason};
use crate::audit::{Finding, NotChecked, STRANDED, Severity, Stranded};
use crate::db::{Value, spell_key};
use crate::exit::ExitCode;
use crate::schema::FamilyGraph;

use super::heal::Ailment;

/// How many keys are listed for each finding.
pub(super) const SAMPLES: usize = 5;

/// What is done to stranded records.
const SWEPT: &str = "remove them";

/// Rows that were healed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Healed {
    /// The check that found them.
    pub check: String,
    /// What is wrong with them.
    pub message: String,
    /// What is done, as scripts see it: `return`, `follow`, `archive`, `set` ...
    pub way: String,
    /// The same for people.
    pub done: String,
    /// The table of the rows to which it is done.
    pub table: String,
    /// How many.
    pub rows: u64,
    /// Keys of the first of them.
    pub samples: Vec<String>,
}

/// What is left to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The check that finds it.
    pub check: String,
    /// How bad it is.
    pub severity: Severity,
    /// The table with the rows.
    pub table: String,
    /// How many, as the check counts.
    pub count: u64,
    /// Keys of the first of them.
    pub samples: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// Why it is left.
    pub why: String,
    /// What can be done about it.
    pub choices: String,
}

impl Left {
    pub(super) fn of(finding: Finding, why: &str) -> Self {
        Self {
            check: finding.check,
            severity: finding.severity,
            table: finding.table,
            count: finding.count,
            samples: finding.samples,
            message: finding.message,
            why: why.to_owned(),
            choices: finding.remedy,
        }
    }
}

/// What a repair did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RepairOutcome {
    /// Format version.
    pub version: u32,
    /// The database, without password.
    pub database: String,
    /// Whether it was done.
    pub applied: bool,
    /// What was healed, in the order in which it was done.
    pub healed: Vec<Healed>,
    /// Rows that came back to the live tables, by live table, their families included.
    pub returned: BTreeMap<String, u64>,
    /// Rows that went to the shadow tables, by live table, their families included.
    pub archived: BTreeMap<String, u64>,
    /// API-database records that were removed, or would be, by table.
    pub api_records: BTreeMap<String, u64>,
    /// API-database tables whose records of instances that came back are gone for good.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_restored: Vec<String>,
    /// API-database tables that were not given, and may have records of instances that were archived.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_removed: Vec<String>,
    /// Families that could not be moved; the first of each reason.
    pub blocked: Vec<Blocked>,
    /// How many there are in all, by reason.
    pub blocked_families: BTreeMap<String, u64>,
    /// Findings that are left.
    pub left: Vec<Left>,
    /// What could not be looked at.
    pub not_checked: Vec<NotChecked>,
    /// Statements sent.
    pub statements: u64,
    /// Why it ended.
    pub stopped_because: StopReason,
    /// Whether the database refused to go on.
    #[serde(skip)]
    pub(super) interrupted: bool,
}

impl RepairOutcome {
    pub(super) fn new(database: &str, applied: bool) -> Self {
        Self {
            version: 1,
            database: database.to_owned(),
            applied,
            ..Self::default()
        }
    }

    /// Whether all of it was gone through.
    pub(super) fn is_whole(&self) -> bool {
        self.stopped_because == StopReason::Complete && !self.interrupted
    }

    /// Whether anything was written.
    pub(super) fn has_changed(&self) -> bool {
        self.applied
            && !(self.healed.is_empty() && self.returned.is_empty() && self.archived.is_empty())
    }

    pub(super) fn rows_healed(&self) -> u64 {
        self.healed.iter().map(|healed| healed.rows).sum()
    }

    /// Books rows that were healed, or would be.
    pub(super) fn healed(&mut self, ailment: &Ailment<'_>, keys: &[Vec<Value>]) {
        if keys.is_empty() {
            return;
        }
        let (probe, cure) = (ailment.probe, ailment.cure);
        let key = |key: &Vec<Value>| spell_key(key);
        let same = |healed: &&mut Healed| {
            healed.check == probe.check
                && healed.message == probe.message
                && healed.table == cure.table
                && healed.way == cure.way.name()
        };
        if let Some(healed) = self.healed.iter_mut().find(same) {
            healed.rows += keys.len() as u64;
            let room = SAMPLES.saturating_sub(healed.samples.len());
            healed.samples.extend(keys.iter().take(room).map(key));
            return;
        }
        self.healed.push(Healed {
            check: probe.check.into(),
            message: probe.message.clone(),
            way: cure.way.name().into(),
            done: cure.way.said(),
            table: cure.table.clone(),
            rows: keys.len() as u64,
            samples: keys.iter().take(SAMPLES).map(key).collect(),
        });
    }

    /// Books API-database records that were stranded and are gone.
    pub(super) fn swept(&mut self, records: BTreeMap<String, u64>) {
        for (table, rows) in records.iter().filter(|(_, rows)| **rows > 0) {
            self.healed.push(Healed {
                check: STRANDED.into(),
                message: format!("{table} records were of rows that are archived"),
                way: "sweep".into(),
                done: SWEPT.into(),
                table: table.clone(),
                rows: *rows,
                samples: Vec::new(),
            });
        }
        self.add_records(records);
    }

    /// Counts API-database records that are gone, or would be.
    pub(super) fn add_records(&mut self, records: BTreeMap<String, u64>) {
        for (table, rows) in records {
            *self.api_records.entry(table).or_default() += rows;
        }
    }

    /// That the API database refused: the next run finds the records.
    pub fn not_swept(&mut self, why: Option<String>) {
        if let Some(why) = why {
            self.not_asked(NotChecked {
                check: STRANDED.into(),
                table: None,
                why,
            });
        }
    }

    /// Names the API-database tables that nobody gave, where instances are archived.
    pub(super) fn not_removed(&mut self, graph: &FamilyGraph) {
        if let Some(records) = &graph.profile.api
            && self.archived.contains_key(&records.root)
        {
            self.not_removed.clone_from(&records.tables);
        }
    }

    /// Names the API-database tables whose records do not come back with what did.
    pub(super) fn not_restored(&mut self, graph: &FamilyGraph) {
        if let Some(records) = &graph.profile.api
            && self.returned.contains_key(&records.root)
        {
            self.not_restored.clone_from(&records.tables);
        }
    }

    /// Adds what could not be asked, once.
    pub(super) fn not_asked(&mut self, gap: NotChecked) {
        if !self.not_checked.contains(&gap) {
            self.not_checked.push(gap);
        }
    }

    /// Adds what an audit finds of the API database: records of archived roots are swept, or were and are left because
    /// another cell may hold them. Those that are mapped to cells which were not given are none of its business.
    pub fn add_stranded(&mut self, found: Stranded) {
        for finding in found.findings {
            if finding.severity == Severity::Error && !self.applied {
                self.healed.push(Healed {
                    check: finding.check,
                    message: finding.message,
                    way: "sweep".into(),
                    done: SWEPT.into(),
                    table: finding.table,
                    rows: finding.count,
                    samples: finding.samples,
                });
                continue;
            }
            let why = match finding.severity {
                Severity::Error => "they were not swept: run again",
                Severity::Warning | Severity::Note => "they may be about instances of another cell",
            };
            self.left.push(Left::of(finding, why));
        }
        self.not_checked.extend(found.not_checked);
    }

    pub(super) fn moved(&mut self, direction: Direction, outcome: Outcome) {
        self.add_records(outcome.api_records);
        let all = match direction {
            Direction::Return => &mut self.returned,
            Direction::Follow | Direction::Archive => &mut self.archived,
        };
        for (table, rows) in outcome.rows {
            *all.entry(table).or_default() += rows;
        }
        for blocked in outcome.blocked {
            self.list(blocked);
        }
    }

    pub(super) fn count_blocked(&mut self, reason: String) {
        *self.blocked_families.entry(reason).or_default() += 1;
    }

    /// Books a row that the database refuses to change.
    pub(super) fn refused(&mut self, root: String, why: String) {
        self.count_blocked("refused".into());
        self.list(Blocked {
            reason: "refused".into(),
            path: vec![root.clone(), why],
            root,
            remedy: "mend what the database complains of and run again".into(),
        });
    }

    fn list(&mut self, blocked: Blocked) {
        let of_reason = self.blocked.iter().filter(|b| b.reason == blocked.reason);
        if of_reason.count() < LISTED_PER_REASON && !self.blocked.contains(&blocked) {
            self.blocked.push(blocked);
        }
    }

    /// Forgets what was in the way: another pass asks again.
    pub(super) fn unblock(&mut self) {
        self.blocked.clear();
        self.blocked_families.clear();
    }

    /// 0: nothing is left to do. 1: something is, by `--apply` or by somebody. 69: not everything could be looked at.
    /// 75: it was stopped.
    pub fn exit_code(&self) -> ExitCode {
        match self.stopped_because {
            _ if self.interrupted => ExitCode::Unavailable,
            reason if reason.is_request() => ExitCode::Stopped,
            _ if !self.not_checked.is_empty() => ExitCode::Unavailable,
            _ if !self.left.is_empty() || !self.blocked.is_empty() => ExitCode::Findings,
            _ if !self.applied && !self.healed.is_empty() => ExitCode::Findings,
            _ => ExitCode::Done,
        }
    }
}
