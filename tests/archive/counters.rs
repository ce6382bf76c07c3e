//! What a run costs, in counts that are the same on every machine: statements, steps of SQLite's virtual machine,
//! reads of InnoDB's handlers. Ten times the rows may cost ten times as much, and not more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sexton::archive::{self, Options, Stop};
use sexton::audit;
use sexton::db::{Engine, Session, SqliteDriver, SqliteMode, Value};
use sexton::schema::FamilyGraph;

use crate::support::databases::Database;
use crate::support::filled::fill;

/// Rows that moved, and statements that were sent.
fn archived(session: &mut Session, graph: &FamilyGraph) -> (u64, u64) {
    let options = Options {
        max_rows: 2000,
        until_complete: true,
        ..Options::default()
    };
    let outcome = archive::archive(session, graph, &options, &Stop::default(), &mut ()).unwrap();
    (outcome.total_rows, outcome.statements)
}

/// What a run over so many families took on SQLite: rows, statements, steps of the archive run and of an audit.
fn on_sqlite(families: u32) -> [f64; 4] {
    let directory = tempfile::tempdir().unwrap();
    let driver = SqliteDriver::open(directory.path().join("nova.db"), SqliteMode::Create).unwrap();
    let steps: Arc<AtomicU64> = driver.steps();
    let mut session = Session::new(Box::new(driver), Engine::Sqlite, "nova.db");
    let graph = fill(&mut session, families, families / 10);
    let taken = |run: &mut dyn FnMut()| {
        let before = steps.load(Ordering::Relaxed);
        run();
        (steps.load(Ordering::Relaxed) - before) as f64
    };
    let mut moved = (0, 0);
    let audit = taken(&mut || {
        let report = audit::audit(&mut session, &graph, &audit::Options::default()).unwrap();
        assert_eq!(report.summary.error, 0);
    });
    let archive = taken(&mut || moved = archived(&mut session, &graph));
    [moved.0 as f64, moved.1 as f64, archive, audit]
}

#[test]
fn sqlite_takes_as_many_steps_and_statements_as_there_are_rows() {
    let (small, large) = (on_sqlite(150), on_sqlite(1500));
    let times = large[0] / small[0];
    assert!((9.0..11.0).contains(&times), "{small:?} {large:?}");
    for (what, small, large) in [
        ("statements", small[1], large[1]),
        ("steps of an archive run", small[2], large[2]),
        ("steps of an audit", small[3], large[3]),
    ] {
        assert!(large / small <= 1.1 * times, "{what}: {small}, {large}");
    }
    // A step more for each row is a change that somebody should know of.
    let per_row = |n: f64| (n / large[0] * 10.0).round() / 10.0;
    insta::assert_debug_snapshot!((
        (
            "statements for 1000 rows",
            (large[1] / large[0] * 1000.0).round()
        ),
        ("steps of an archive run for a row", per_row(large[2])),
        ("steps of an audit for a row", per_row(large[3])),
    ));
}

/// What InnoDB's handlers have read in this session, by kind.
fn handler_reads(session: &mut Session) -> f64 {
    let rows = session
        .query("SHOW SESSION STATUS LIKE 'Handler_read_%'")
        .unwrap();
    let number = |row: &Vec<Value>| row[1].as_int().unwrap();
    rows.iter().map(number).sum::<i64>() as f64
}

#[test]
fn innodb_is_read_as_often_as_there_are_rows() {
    let taken = |families: u32| {
        let database = Database::fresh(Engine::Mysql);
        let mut session = database.session();
        let graph = fill(&mut session, families, families / 10);
        let before = handler_reads(&mut session);
        let (rows, _) = archived(&mut session, &graph);
        (rows as f64, handler_reads(&mut session) - before)
    };
    let (small, large) = (taken(300), taken(3000));
    let per_row = |(rows, reads): (f64, f64)| reads / rows;
    assert!(
        per_row(large) <= 1.1 * per_row(small),
        "{small:?} {large:?}"
    );
    assert!(
        per_row(large) < 12.0,
        "{:.1} reads for a row",
        per_row(large)
    );
}
