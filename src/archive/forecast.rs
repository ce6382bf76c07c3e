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
use crate::db::{Session, same_place};
use crate::schema::FamilyGraph;

/// The version of this form.
const VERSION: u32 = 1;

/// Where a cell was, and what its schema was as far as it decides what moves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// The database, without password. Not compared by itself: the same one may be reached by another name or user.
    pub database: String,
    /// Its engine, by name.
    pub engine: String,
    /// The profile that it was read with.
    pub profile: String,
    /// The fingerprint of each table (`Table::fingerprint`).
    pub tables: BTreeMap<String, String>,
}

impl Shape {
    /// That of a database.
    pub fn of(session: &Session, graph: &FamilyGraph) -> Self {
        let tables = graph.schema.tables.values();
        Self {
            database: session.label().to_owned(),
            engine: session.origin().to_string(),
            profile: graph.profile.name.clone(),
            tables: tables.map(|t| (t.name.clone(), t.fingerprint())).collect(),
        }
    }

    /// Whether both name the same place; that they do not is no proof of two databases.
    fn is_at(&self, now: &Self) -> bool {
        same_place(&self.database, &now.database)
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
    /// The databases, without passwords.
    pub database: String,
    /// The schema of each cell; the name of a single database is empty.
    pub schemas: BTreeMap<String, Shape>,
    /// Whether the API database (`--api`) was looked at.
    pub api: bool,
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
    /// Records to be removed from the API database, by table.
    pub api_records: BTreeMap<String, u64>,
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
        (schemas, api): (BTreeMap<String, Shape>, bool),
        max_drift_percent: f64,
        now: Timestamp,
    ) -> Self {
        Self {
            version: VERSION,
            sexton: env!("CARGO_PKG_VERSION").to_owned(),
            written_at: now,
            database: outcome.database.clone(),
            schemas,
            api,
            before: options.before.clone(),
            task_log: options.task_log,
            drop_unshadowed: options.drop_unshadowed.clone(),
            max_drift_percent,
            rows: outcome.rows.clone(),
            dropped: outcome.dropped.clone(),
            api_records: outcome.api_records.clone(),
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

    /// The first cell whose database is of another kind now: what was planned, and what is there.
    pub fn other_engine<'a>(
        &'a self,
        now: &'a BTreeMap<String, Shape>,
    ) -> Option<(&'a Shape, &'a Shape)> {
        self.both(now)
            .find(|(planned, now)| planned.engine != now.engine)
    }

    /// The first cell whose database has another name now. It may be the same one all the same.
    pub fn other_database<'a>(
        &'a self,
        now: &'a BTreeMap<String, Shape>,
    ) -> Option<(&'a Shape, &'a Shape)> {
        self.both(now).find(|(planned, now)| !planned.is_at(now))
    }

    fn both<'a>(
        &'a self,
        now: &'a BTreeMap<String, Shape>,
    ) -> impl Iterator<Item = (&'a Shape, &'a Shape)> {
        let cells = self.schemas.iter();
        cells.filter_map(|(cell, planned)| Some((planned, now.get(cell)?)))
    }

    /// Whether nothing is left of what was planned.
    pub fn is_done(&self, now: &Outcome) -> bool {
        self.total_rows > 0 && now.total_rows == 0
    }

    /// Whether each table has at most what was planned of it, as after a run that was cut.
    pub fn is_begun(&self, now: &Outcome) -> bool {
        let within = |planned: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>| {
            now.iter()
                .all(|(table, n)| *n <= planned.get(table).copied().unwrap_or(0))
        };
        now.families < self.families
            && within(&self.rows, &now.rows)
            && within(&self.dropped, &now.dropped)
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
        let of = |what: &'static str| move |key: &String| format!("{what}{key}");
        for (planned, now, named) in [
            (&self.rows, &now.rows, of("")),
            (&self.dropped, &now.dropped, of("")),
            (&self.api_records, &now.api_records, of("API records in ")),
            (
                &self.blocked_families,
                &now.blocked_families,
                of("blocked families, "),
            ),
        ] {
            let keys: BTreeSet<_> = planned.keys().chain(now.keys()).collect();
            let count = |counts: &BTreeMap<String, u64>, key: &String| {
                counts.get(key).copied().unwrap_or(0)
            };
            for key in keys {
                compare(&named(key), count(planned, key), count(now, key));
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
            total_rows: instances,
            ..Outcome::default()
        }
    }

    fn forecast(percent: f64) -> Forecast {
        let shape = Shape {
            database: "mysql://nova@db/nova".into(),
            engine: "MariaDB/MySQL".into(),
            profile: "nova".into(),
            tables: BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]),
        };
        Forecast::of(
            &outcome(100, 200),
            &Options::default(),
            (BTreeMap::from([(String::new(), shape)]), false),
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
    fn families_that_stay_and_records_that_go_are_counts_too() {
        let (mut planned, mut now) = (outcome(1, 1), outcome(1, 1));
        planned.blocked_families.insert("live-child".into(), 3);
        planned.api_records.insert("request_specs".into(), 10);
        let of = |outcome: &Outcome, percent| Forecast {
            api_records: outcome.api_records.clone(),
            blocked_families: outcome.blocked_families.clone(),
            families: 1,
            rows: outcome.rows.clone(),
            ..forecast(percent)
        };
        assert!(of(&planned, 0.0).drift(&planned).is_empty());
        now.blocked_families.insert("live-child".into(), 2);
        now.blocked_families.insert("no-date".into(), 1);
        now.api_records.insert("request_specs".into(), 9);
        let all = [
            "API records in request_specs: 10 planned, now 9",
            "blocked families, live-child: 3 planned, now 2",
            "blocked families, no-date: 0 planned, now 1",
        ];
        assert_eq!(of(&planned, 0.0).drift(&now), all);
        assert_eq!(of(&planned, 10.0).drift(&now), all[1..]);
    }

    #[test]
    fn what_is_left_of_a_plan_is_told_from_what_came_since() {
        let plan = forecast(0.0);
        assert!(plan.is_done(&Outcome::default()));
        let rest = outcome(10, 20);
        assert!(!plan.is_done(&rest) && plan.is_begun(&rest));
        let mut more = rest.clone();
        more.rows.insert("tags".into(), 1);
        assert!(!plan.is_begun(&more));
        assert!(!plan.is_begun(&outcome(100, 199)));
    }

    #[test]
    fn a_database_has_many_names_and_one_engine() {
        let plan = forecast(0.0);
        let at = |database: &str, engine: &str| {
            let shape = Shape {
                database: database.into(),
                engine: engine.into(),
                ..plan.schemas[""].clone()
            };
            BTreeMap::from([(String::new(), shape)])
        };
        let same = at("mysql://admin@db:3306/nova", "MariaDB/MySQL");
        assert!(plan.other_engine(&same).is_none() && plan.other_database(&same).is_none());
        let copy = at("mysql://nova@db/copy", "MariaDB/MySQL");
        assert!(plan.other_engine(&copy).is_none());
        assert_eq!(
            plan.other_database(&copy).unwrap().1.database,
            "mysql://nova@db/copy"
        );
        assert!(plan.other_engine(&at("a.db", "SQLite")).is_some());
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
