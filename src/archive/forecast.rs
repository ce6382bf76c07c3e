//! What a run would move, written down, so that somebody can agree to it before it is done.
//!
//! `archive --plan` writes one, from a dry run; `archive --apply` makes another dry run and goes on only where the
//! two agree. Both are counts: which families move is looked up by the run, as always, for the database is the
//! truth and a list of keys of last week is not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::before::Before;
use super::options::Options;
use super::outcome::{Blocked, Outcome};
use crate::schema::FamilyGraph;

/// The version of this form.
const VERSION: u32 = 1;

/// What a cell's schema was, as far as it decides what moves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The profile that it was read with.
    pub profile: String,
    /// The fingerprint of each table (`Table::fingerprint`).
    pub tables: BTreeMap<String, String>,
}

impl Shape {
    /// That of a graph.
    pub fn of(graph: &FamilyGraph) -> Self {
        let tables = graph.schema.tables.values();
        Self {
            profile: graph.profile.name.clone(),
            tables: tables.map(|t| (t.name.clone(), t.fingerprint())).collect(),
        }
    }

    /// What is no longer as it was, a fragment each.
    fn changes(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.profile != now.profile {
            changes.push(format!("profile {} is now {}", self.profile, now.profile));
        }
        for (table, fingerprint) in &self.tables {
            match now.tables.get(table) {
                None => changes.push(format!("table {table} is gone")),
                Some(other) if other != fingerprint => {
                    changes.push(format!("table {table} is another"));
                }
                Some(_) => {}
            }
        }
        let new = now.tables.keys().filter(|t| !self.tables.contains_key(*t));
        changes.extend(new.map(|table| format!("table {table} is new")));
        changes
    }
}

/// What a run would move. The names of its fields are those of an archive report where they mean the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    /// The version of this form.
    pub version: u32,
    /// The version of sexton that wrote it.
    pub sexton: String,
    /// When it was written, in UTC.
    pub written_at: Timestamp,
    /// The databases, without passwords. They are not compared: another user of the same database may apply a plan.
    pub database: String,
    /// The schema of each cell; the name of a single database is empty.
    pub schemas: BTreeMap<String, Shape>,
    /// `--before`, as the moment that it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// `--task-log`.
    pub task_log: bool,
    /// `--drop-unshadowed`.
    pub drop_unshadowed: BTreeSet<String>,
    /// By how much a count may differ when it is applied, in percent of what stands here.
    pub max_drift_percent: f64,
    /// Rows to move, by table (with several cells, by `cell.table`).
    pub rows: BTreeMap<String, u64>,
    /// Rows to be written to a file and deleted, by table.
    pub dropped: BTreeMap<String, u64>,
    /// Rows in all, those to be dropped included.
    pub total_rows: u64,
    /// Families to move.
    pub families: u64,
    /// Families that stay, and why; at most 100 of each reason.
    pub blocked: Vec<Blocked>,
    /// Families that stay, by reason.
    pub blocked_families: BTreeMap<String, u64>,
}

impl Forecast {
    /// What a dry run with these options came to.
    pub fn of(
        outcome: &Outcome,
        options: &Options,
        schemas: BTreeMap<String, Shape>,
        max_drift_percent: f64,
        now: Timestamp,
    ) -> Self {
        Self {
            version: VERSION,
            sexton: env!("CARGO_PKG_VERSION").to_owned(),
            written_at: now,
            database: outcome.database.clone(),
            schemas,
            before: options.before.clone(),
            task_log: options.task_log,
            drop_unshadowed: options.drop_unshadowed.clone(),
            max_drift_percent,
            rows: outcome.rows.clone(),
            dropped: outcome.dropped.clone(),
            total_rows: outcome.total_rows,
            families: outcome.families,
            blocked: outcome.blocked.clone(),
            blocked_families: outcome.blocked_families.clone(),
        }
    }

    /// Reads what `archive --plan` wrote.
    ///
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn read(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if head.version != VERSION {
            return Err(format!("version {}, not {VERSION}", head.version));
        }
        let read: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        match (0.0..=100.0).contains(&read.max_drift_percent) {
            true => Ok(read),
            false => Err(format!("max_drift_percent is {}", read.max_drift_percent)),
        }
    }

    /// The options with what this decides in place of theirs: what moves is as it was when this was written.
    #[must_use]
    pub fn decide(&self, options: Options) -> Options {
        Options {
            before: self.before.clone(),
            task_log: self.task_log,
            drop_unshadowed: self.drop_unshadowed.clone(),
            until_complete: true,
            ..options
        }
    }

    /// What is no longer as it was in the schemas, a fragment each.
    pub fn schema_changes(&self, now: &BTreeMap<String, Shape>) -> Vec<String> {
        let named = |cell: &str, change: String| match cell {
            "" => change,
            cell => format!("{cell}: {change}"),
        };
        let mut changes = Vec::new();
        for (cell, shape) in &self.schemas {
            match now.get(cell) {
                Some(now) => changes.extend(shape.changes(now).into_iter().map(|c| named(cell, c))),
                None => changes.push(named(cell, "it was not given".into())),
            }
        }
        let new = now.keys().filter(|cell| !self.schemas.contains_key(*cell));
        changes.extend(new.map(|cell| named(cell, "the plan knows nothing of it".into())));
        changes
    }

    /// Which counts of a new dry run are further from these than is stated, a fragment each.
    pub fn drift(&self, now: &Outcome) -> Vec<String> {
        let mut drift = Vec::new();
        let mut compare = |what: &str, planned: u64, now: u64| {
            let allowed = planned as f64 * self.max_drift_percent / 100.0;
            if planned.abs_diff(now) as f64 > allowed {
                drift.push(format!("{what}: {planned} planned, now {now}"));
            }
        };
        compare("families", self.families, now.families);
        for (planned, now) in [(&self.rows, &now.rows), (&self.dropped, &now.dropped)] {
            let tables: BTreeSet<_> = planned.keys().chain(now.keys()).collect();
            let count =
                |counts: &BTreeMap<String, u64>, t: &String| counts.get(t).copied().unwrap_or(0);
            for table in tables {
                compare(table, count(planned, table), count(now, table));
            }
        }
        drift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(families: u64, instances: u64) -> Outcome {
        Outcome {
            database: "nova".into(),
            families,
            rows: BTreeMap::from([("instances".into(), instances)]),
            ..Outcome::default()
        }
    }

    fn forecast(percent: f64) -> Forecast {
        let shape = Shape {
            profile: "nova".into(),
            tables: BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]),
        };
        Forecast::of(
            &outcome(100, 200),
            &Options::default(),
            BTreeMap::from([(String::new(), shape)]),
            percent,
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn counts_may_differ_by_what_is_stated_and_no_more() {
        let strict = forecast(0.0);
        assert!(strict.drift(&outcome(100, 200)).is_empty());
        let drift = strict.drift(&outcome(100, 199));
        assert_eq!(drift, ["instances: 200 planned, now 199"]);
        let loose = forecast(2.0);
        assert!(loose.drift(&outcome(102, 196)).is_empty());
        let drift = loose.drift(&outcome(97, 205));
        let both = [
            "families: 100 planned, now 97",
            "instances: 200 planned, now 205",
        ];
        assert_eq!(drift, both);
        // A table that nothing was to move from has no percent to drift by.
        let mut more = outcome(100, 200);
        more.rows.insert("tags".into(), 1);
        assert_eq!(loose.drift(&more), ["tags: 0 planned, now 1"]);
    }

    #[test]
    fn a_schema_that_is_another_is_named() {
        let plan = forecast(0.0);
        let mut now = plan.schemas.clone();
        assert!(plan.schema_changes(&now).is_empty());
        let tables = &mut now.get_mut("").unwrap().tables;
        tables.insert("a".into(), "x".into());
        tables.remove("b");
        tables.insert("c".into(), "3".into());
        let changes = plan.schema_changes(&now);
        let all = ["table a is another", "table b is gone", "table c is new"];
        assert_eq!(changes, all);
        let other = BTreeMap::from([("cell1".to_owned(), Shape::default())]);
        let changes = plan.schema_changes(&other);
        let all = ["it was not given", "cell1: the plan knows nothing of it"];
        assert_eq!(changes, all);
    }

    #[test]
    fn it_reads_back_and_nothing_else_is_read() {
        let plan = forecast(1.5);
        let text = serde_json::to_string_pretty(&plan).unwrap();
        assert_eq!(Forecast::read(&text).unwrap(), plan);
        let next = text.replace("\"version\": 1", "\"version\": 2");
        assert_eq!(Forecast::read(&next).unwrap_err(), "version 2, not 1");
        for (from, to) in [("1.5", "-1"), ("1.5", "101"), ("task_log", "tusk_log")] {
            assert!(Forecast::read(&text.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn it_decides_what_moves_and_nothing_else() {
        let mut plan = forecast(0.0);
        plan.task_log = true;
        plan.drop_unshadowed.insert("share_mapping".into());
        let typed = Options {
            max_rows: 7,
            before: Some(Before::parse("2020-01-01", Timestamp::UNIX_EPOCH).unwrap()),
            ..Options::default()
        };
        let options = plan.decide(typed);
        assert!(options.task_log && options.until_complete && options.before.is_none());
        assert_eq!(options.drop_unshadowed, plan.drop_unshadowed);
        assert_eq!(options.max_rows, 7);
    }
}
