//! Engines that do harm, or lie, in ways that are easily passed over; and right ones that are easily taken for
//! wrong.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use sexton::db::Value;
use sexton::error::Result;
use sexton::prove::archiver::{Archiver, Control, Ended, Mistake, Own, Place, Ran};
use sexton::prove::fault::Mode;
use sexton::prove::oracle::Oracle;
use sexton::prove::world::{Row, World};
use sexton::prove::{Backend, Report, catalogue};
use sexton::schema::{Model, Schema};

use crate::harness::{in_world, run};
use crate::own::show;

fn fingerprints(report: &Report) -> Vec<&str> {
    report
        .failures
        .iter()
        .map(|f| f.fingerprint.as_str())
        .collect()
}

fn chain() -> World {
    catalogue::world("chain").unwrap()
}

/// Moves table by table, each in a function of its own: no statement that it sends is an INSERT or a DELETE.
struct Functions;

impl Archiver for Functions {
    fn name(&self) -> String {
        "functions".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut session = place.main.open()?;
        let mut rows = BTreeMap::new();
        let dead = "SELECT id FROM root WHERE deleted <> 0";
        let children =
            "SELECT id FROM child WHERE root_id IN (SELECT id FROM root WHERE deleted <> 0)";
        for (table, condition) in [
            ("leaf", format!("child_id IN ({children}) OR deleted <> 0")),
            ("child", format!("root_id IN ({dead}) OR deleted <> 0")),
            ("root", "deleted <> 0".to_owned()),
        ] {
            let body = format!(
                "WITH gone AS (DELETE FROM {table} WHERE {condition} RETURNING *), \
                 kept AS (INSERT INTO shadow_{table} SELECT * FROM gone RETURNING 1) SELECT count(*) FROM kept"
            );
            session.execute(&format!(
                "CREATE OR REPLACE FUNCTION move_{table}() RETURNS bigint LANGUAGE sql AS $$ {body} $$"
            ))?;
            let moved = session.query_count(&format!("SELECT move_{table}()"))?;
            rows.insert(table.to_owned(), u64::try_from(moved).unwrap_or_default());
        }
        Ok(Ran::done(rows))
    }
}

#[test]
fn what_a_function_commits_is_seen() {
    let report = run(&in_world(Backend::Postgres, chain(), &[]), || Functions);
    let whole = report.failures.iter().filter(|f| f.oracle == Oracle::Whole);
    assert_eq!(whole.count(), 2, "{}", show(&report));
}

/// A row whose owner has no shadow table to go to has to wait for it.
#[test]
fn a_child_that_leaves_a_deleted_parent_without_shadow_is_seen() {
    let mut world = chain();
    let model = &world.main.schema;
    let tables = model.schema().unwrap().tables.into_values();
    let schema: Schema = tables.filter(|t| t.name != "shadow_child").collect();
    world.main.schema = Model::new("sexton", "chain", "main", "1", &schema);
    // One that may go.
    let alone = [("id", Value::Int(9)), ("deleted", Value::Int(1))];
    world.main.rows.push(Row::new("root", alone));
    let campaign = in_world(Backend::Sqlite, world, &[]);
    let report = run(&campaign, || Control::of(Mistake::ChildFirst));
    let expected = "whole@leaf.child_id -> child.id";
    assert!(
        fingerprints(&report).contains(&expected),
        "{}",
        show(&report)
    );
    let report = run(&campaign, Control::textbook);
    assert!(report.failures.is_empty(), "{}", show(&report));
}

/// sexton's own engine, which then says something else.
struct Says(Saying);

/// What it makes of what it should say.
type Saying = fn(Ran) -> Ran;

impl Archiver for Says {
    fn name(&self) -> String {
        "says".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        Own.run(place).map(self.0)
    }
}

#[test]
fn an_exit_code_that_lies_is_seen() {
    let liars: [(Saying, &str); 3] = [
        (|_| Ran::failed("exit code 3"), "truthful@exit code"),
        (
            |ran| Ran {
                ended: Ended::Blocked,
                ..ran
            },
            "truthful@exit code",
        ),
        (
            |mut ran| {
                let rows = ran.rows.get_or_insert_default();
                rows.insert("ghost".into(), 77);
                ran
            },
            "truthful@ghost",
        ),
    ];
    for (says, expected) in liars {
        let report = run(&in_world(Backend::Sqlite, chain(), &[]), || Says(says));
        assert_eq!(fingerprints(&report), [expected], "{}", show(&report));
    }
    // What is blocked is a reason to say so, and to fail.
    for says in [
        (|ran| Ran {
            ended: Ended::Blocked,
            ..ran
        }) as Saying,
        |_| Ran::failed("exit code 3"),
    ] {
        let world = catalogue::world("no-shadow").unwrap();
        let report = run(&in_world(Backend::Sqlite, world, &[]), || Says(says));
        assert!(report.failures.is_empty(), "{}", show(&report));
    }
}

/// Leaves the API database to its next run, and says that it is done.
struct Later;

impl Archiver for Later {
    fn name(&self) -> String {
        "later".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let archived = place
            .main
            .open()?
            .query_count("SELECT COUNT(*) FROM shadow_instances")?;
        let mut now = place.with(place.options.clone());
        if archived == 0 {
            now.api = None;
        }
        Own.run(&now)
    }
}

#[test]
fn records_that_only_the_next_run_removes_are_not_done() {
    let world = catalogue::world("nova").unwrap();
    let modes = [Mode::Interrupt];
    let report = run(&in_world(Backend::Sqlite, world, &modes), || Later);
    let said = report
        .failures
        .iter()
        .find(|f| f.oracle == Oracle::Truthful);
    let said = said.unwrap_or_else(|| panic!("{}", show(&report)));
    assert!(
        said.what.contains("the next run changed records of"),
        "{}",
        said.what
    );
}

/// Whose instance is in another cell is not this one's to sweep.
#[test]
fn records_of_another_cell_are_left_alone() {
    let mut world = catalogue::world("nova").unwrap();
    let api = world.api.as_mut().unwrap();
    let cells = api
        .rows
        .iter()
        .find(|r| r.table == "cell_mappings")
        .cloned();
    let mut other = cells.unwrap().values;
    other.insert("id".into(), Value::Int(2));
    other.insert(
        "uuid".into(),
        Value::Text("00000000-0000-0000-0000-0000000000aa".into()),
    );
    other.insert("name".into(), Value::Text("cell2".into()));
    other.insert(
        "database_connection".into(),
        Value::Text("mysql://nobody@127.0.0.1/other".into()),
    );
    api.rows.push(Row {
        table: "cell_mappings".into(),
        values: other,
    });
    let mapping = api.rows.iter_mut().find(|r| r.table == "instance_mappings");
    mapping
        .unwrap()
        .values
        .insert("cell_id".into(), Value::Int(2));
    let campaign = in_world(Backend::Sqlite, world, &[Mode::KillAfter]);
    let report = run(&campaign, || Own);
    assert!(report.failures.is_empty(), "{}", show(&report));
    let report = run(&campaign, Control::textbook);
    let wrong = report
        .failures
        .iter()
        .any(|f| f.oracle == Oracle::ApiConsistent);
    assert!(wrong, "{}", show(&report));
}

/// Takes families from the first to the last in one run, and from the last to the first in the next one: the
/// same statements, but for the numbers in them.
struct Turns<'a>(&'a AtomicU64);

impl Archiver for Turns<'static> {
    fn name(&self) -> String {
        "turns".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut session = place.main.open()?;
        let mut ids: Vec<i64> = Vec::new();
        // Each of these roots has two children, and they three leaves.
        let roots = "SELECT r.id FROM root r WHERE r.deleted <> 0 ORDER BY r.id";
        for row in session.query(roots)? {
            ids.extend(row.first().and_then(Value::as_int));
        }
        if self.0.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
            ids.reverse();
        }
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        for id in ids {
            let done = (|| {
                session.begin()?;
                let children = format!("SELECT id FROM child WHERE root_id = {id}");
                let mut moved = Vec::new();
                for (table, condition) in [
                    ("leaf", format!("child_id IN ({children})")),
                    ("child", format!("root_id = {id}")),
                    ("root", format!("id = {id}")),
                ] {
                    session.execute(&format!(
                        "INSERT INTO shadow_{table} SELECT * FROM {table} WHERE {condition}"
                    ))?;
                    let sql = format!("DELETE FROM {table} WHERE {condition}");
                    moved.push((table, session.execute(&sql)?));
                }
                session.commit()?;
                Ok(moved)
            })();
            match done {
                Ok(moved) => {
                    for (table, count) in moved {
                        *rows.entry(table.to_owned()).or_default() += count;
                    }
                }
                Err(error) => {
                    let error: sexton::db::DbError = error;
                    drop(session.rollback());
                    return Ok(Ran {
                        rows: Some(rows),
                        ..Ran::failed(error.to_string())
                    });
                }
            }
        }
        Ok(Ran::done(rows))
    }
}

/// What such an engine had committed before a fault is what its own run had, not what another one had.
#[test]
fn another_order_of_families_is_no_loss() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let mut campaign = in_world(
        Backend::Sqlite,
        chain(),
        &[Mode::CutBefore, Mode::KillAfter],
    );
    campaign.oracles = [Oracle::Whole, Oracle::Conserved, Oracle::Durable].into();
    let report = run(&campaign, || Turns(&RUNS));
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert!(report.cases > 20, "{}", show(&report));
}
