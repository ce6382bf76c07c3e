//! Engines with one mistake each, and cases in which it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sexton::db::{DbError, DbErrorKind};
use sexton::error::Result;
use sexton::prove::archiver::{Archiver, Ended, EngineOptions, Own, Place, Ran};
use sexton::prove::fault::{Fault, Mode};
use sexton::prove::oracle::{Breach, Oracle};
use sexton::prove::shrink::{Budget, Shrunk};
use sexton::prove::{Backend, Case, Judged, Scenario, catalogue, shrink};

/// Moves what deleted roots own in one transaction, and in the next one the roots: those of which it
/// has just moved children.
pub(crate) struct Halves;

impl Archiver for Halves {
    fn name(&self) -> String {
        "Halves".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        Ok(match archive_in_halves(place) {
            Ok(rows) => Ran::done(rows),
            Err(error) => Ran::failed(error.to_string()),
        })
    }
}

fn archive_in_halves(place: &Place) -> Result<BTreeMap<String, u64>, DbError> {
    let mut session = place
        .main
        .open()
        .map_err(|e| DbError::new(DbErrorKind::Connection, "", e.to_string()))?;
    let dead = "SELECT id FROM root WHERE deleted <> 0";
    session.execute("BEGIN IMMEDIATE")?;
    let owners = session.query(&format!(
        "SELECT DISTINCT root_id FROM child WHERE root_id IN ({dead}) ORDER BY 1"
    ))?;
    let owners: Vec<_> = owners.iter().filter_map(|r| r[0].as_int()).collect();
    let owners: Vec<_> = owners.iter().map(i64::to_string).collect();
    let owners = owners.join(", ");
    let mut rows = BTreeMap::new();
    let mut all = vec![("child", format!("root_id IN ({owners})"))];
    if place.graph.table("leaf").is_some() {
        let children = format!("child_id IN (SELECT id FROM child WHERE root_id IN ({owners}))");
        all.insert(0, ("leaf", children));
    }
    all.push(("root", format!("id IN ({owners})")));
    for (table, condition) in all {
        if table == "root" {
            session.execute("COMMIT")?;
            session.execute("BEGIN IMMEDIATE")?;
        }
        session.execute(&format!(
            "INSERT INTO shadow_{table} SELECT * FROM {table} WHERE {condition}"
        ))?;
        let moved = session.execute(&format!("DELETE FROM {table} WHERE {condition}"))?;
        rows.insert(table.to_owned(), moved);
    }
    session.execute("COMMIT")?;
    Ok(rows)
}

/// Tries three times.
pub(crate) struct Insists;

impl Archiver for Insists {
    fn name(&self) -> String {
        "insists".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut ran = Halves.run(place)?;
        for _ in 1..3 {
            if ran.ended != Ended::Done {
                ran = Halves.run(place)?;
            }
        }
        Ok(ran)
    }
}

pub(crate) fn halves() -> Result<Box<dyn Archiver>> {
    Ok(Box::new(Halves))
}

pub(crate) fn own() -> Result<Box<dyn Archiver>> {
    Ok(Box::new(Own))
}

pub(crate) const SPLIT: &str = "whole@child.root_id -> root.id";

pub(crate) const STUCK: &str = "convergent@root";

pub(crate) fn scenario(case: Case) -> Scenario {
    Scenario {
        version: 1,
        seed: None,
        database: Backend::Sqlite,
        engine: "Halves".into(),
        directory: None,
        fingerprint: None,
        options: EngineOptions {
            max_rows: 5,
            before: None,
        },
        oracles: Oracle::ALL.into_iter().collect(),
        case,
        world: catalogue::world("chain").unwrap().into(),
    }
}

/// The engine is killed between its two transactions.
pub(crate) fn killed() -> Scenario {
    let fault = Fault {
        point: 8,
        mode: Mode::KillAfter,
        text: String::new(),
    };
    scenario(Case {
        fault: Some(fault),
        ..Case::default()
    })
}

/// How many rows each table has.
pub(crate) fn rows(scenario: &Scenario) -> BTreeMap<&str, usize> {
    let mut rows = BTreeMap::new();
    for row in &scenario.world.main.rows {
        *rows.entry(row.table.as_str()).or_default() += 1;
    }
    rows
}

pub(crate) fn tables(scenario: &Scenario) -> Vec<String> {
    let schema = scenario.world.main.schema.schema().unwrap();
    schema.tables.into_keys().collect()
}

pub(crate) fn fingerprints(judged: &Judged) -> BTreeSet<String> {
    judged.breaches.iter().map(Breach::fingerprint).collect()
}

/// Archives as sexton does, and leaves the API database alone.
pub(crate) struct NoApi;

impl Archiver for NoApi {
    fn name(&self) -> String {
        "no-api".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut place = place.with(place.options.clone());
        place.api = None;
        Own.run(&place)
    }
}

/// Archives as sexton does, and then loses an archived row of each table.
pub(crate) struct Loses;

impl Archiver for Loses {
    fn name(&self) -> String {
        "loses".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let ran = Own.run(place)?;
        let Ok(mut session) = place.main.open() else {
            return Ok(ran);
        };
        for shadow in place.graph.members.values().flat_map(|m| &m.shadow) {
            let last = format!("(SELECT MAX(rowid) FROM {shadow})");
            drop(session.execute(&format!("DELETE FROM {shadow} WHERE rowid = {last}")));
        }
        Ok(ran)
    }
}

/// Loses an archived root where it finds that a run was cut short; and, for another reason, wherever
/// there is but one root.
pub(crate) struct Brittle;

impl Archiver for Brittle {
    fn name(&self) -> String {
        "brittle".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        // A run that was killed finds nothing and does no more.
        let count = |table: &str, condition: &str| -> i64 {
            let sql = format!("SELECT COUNT(*) FROM {table} WHERE {condition}");
            let session = place.main.open();
            session.map_or(0, |mut session| session.query_count(&sql).unwrap_or(0))
        };
        let archived = count("shadow_root", "1");
        let lonely = count("root", "1") + archived == 1;
        let cut_short = archived > 0 && count("root", "deleted <> 0") > 0;
        let ran = Own.run(place)?;
        if lonely || cut_short {
            let lose = "DELETE FROM shadow_root WHERE id = (SELECT MAX(id) FROM shadow_root)";
            drop(place.main.open().map(|mut session| session.execute(lose)));
        }
        Ok(ran)
    }
}

pub(crate) fn small(scenario: &Scenario, fingerprint: &str) -> Shrunk {
    let small = shrink(scenario, fingerprint, &halves, Budget::default()).unwrap();
    assert_eq!(small.breach.fingerprint(), fingerprint);
    assert!(small.finished);
    small
}

/// No time at all.
pub(crate) fn none() -> Budget {
    Budget {
        time: Duration::ZERO,
        ..Budget::default()
    }
}
