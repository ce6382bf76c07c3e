//! A repair while others are at work in the same database, or the database goes away.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sexton::archive::{Stop, StopReason};
use sexton::db::{DbErrorKind, Engine, Session, introspect};
use sexton::exit::ExitCode;
use sexton::repair::{Options, RepairOutcome, repair};
use sexton::schema::{FamilyGraph, Profile};

use super::{CURE, apply, broken, copy, graph_of, healed, mend};
use crate::rough::{How, LOST, session as rough, upset};
use crate::support::cloud::Cloud;
use crate::support::databases::Database;

/// As it goes away at each of its questions, for good.
#[test]
fn a_database_that_is_lost_ends_it_with_a_report() {
    let mut template = broken();
    let graph = template.graph();
    let options = Options {
        run: sexton::archive::Options {
            retries: 2,
            backoff: Duration::ZERO,
            ..sexton::archive::Options::default()
        },
        ..apply(&CURE)
    };
    let stop = Stop::default();
    let run = |after: usize, times: usize| {
        let upsets = [upset("SELECT DISTINCT", after, times, LOST)];
        let (mut session, _) = rough(&template, &upsets);
        repair(&mut session, &graph, None, &options, &stop, &mut ()).unwrap()
    };
    let lost = run(3, usize::MAX);
    assert_eq!(lost.stopped_because, StopReason::Failed);
    assert_eq!(lost.exit_code(), ExitCode::Stopped);
    // Nothing is looked at that is not there, and nothing is called left.
    assert_eq!((lost.left, lost.not_checked), (vec![], vec![]));
    // Twice is no loss.
    assert_eq!(run(3, 2).exit_code(), ExitCode::Done);
}

#[test]
fn what_the_database_refuses_to_tell_holds_up_nothing_else() {
    let mut cloud = broken();
    let graph = cloud.graph();
    let refused = How::Refused(DbErrorKind::Permission);
    let (mut session, _) = rough(&cloud, &[upset("SELECT DISTINCT", 0, 1, refused)]);
    let done = mend(&mut session, &graph, &apply(&CURE));
    assert_eq!(done.exit_code(), ExitCode::Unavailable);
    assert_eq!(done.not_checked.len(), 1, "{:?}", done.not_checked);
    assert_eq!(done.not_checked[0].why, "it went wrong");
    assert!(healed(&done).len() > 3, "{:?}", healed(&done));
}

#[test]
fn a_stopped_repair_asks_nothing_more() {
    let mut cloud = broken();
    let graph = cloud.graph();
    let flag = AtomicBool::new(true);
    let (mut session, seen) = rough(&cloud, &[]);
    let options = apply(&CURE);
    let stopped = repair(
        &mut session,
        &graph,
        None,
        &options,
        &Stop::on(&flag),
        &mut (),
    )
    .unwrap();
    assert_eq!(stopped.stopped_because, StopReason::Signal);
    assert_eq!(stopped.exit_code(), ExitCode::Stopped);
    assert_eq!(
        (seen.count("SELECT DISTINCT"), seen.count("SELECT COUNT")),
        (0, 0)
    );
}

/// More rows than are read at a time, of a key of text and number.
#[test]
fn keys_are_read_in_windows() {
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let database = Database::fresh(engine);
        let mut session = database.session();
        for table in ["a", "shadow_a"] {
            session
                .execute(&format!(
                    "CREATE TABLE {table} (k VARCHAR(9), n INTEGER, deleted INTEGER, deleted_at TIMESTAMP NULL, PRIMARY KEY (k, n))"
                ))
                .unwrap();
        }
        if engine == Engine::Mysql {
            session
                .execute("SET max_recursive_iterations = 45000")
                .unwrap();
        }
        session
            .execute(
                "INSERT INTO a WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 45000)
                 SELECT CASE WHEN id % 3 = 0 THEN 'b''c' ELSE 'A' END, id, 1, NULL FROM n",
            )
            .unwrap();
        let schema = introspect(&mut session).unwrap();
        let graph = Profile::convention().families(&schema).unwrap();
        let mut shown = super::Shown::default();
        let (options, stop) = (super::plan(&["inconsistent-marker"]), Stop::default());
        let planned = repair(&mut session, &graph, None, &options, &stop, &mut shown).unwrap();
        assert_eq!((planned.healed[0].rows, planned.healed.len()), (45_000, 1));
        assert_eq!(shown.0.len(), 1, "one statement of a kind");
        let done = mend(&mut session, &graph, &apply(&["inconsistent-marker"]));
        assert_eq!(
            healed(&done),
            ["set inconsistent-marker a: 45000"],
            "{done:?}"
        );
        assert_eq!(done.exit_code(), ExitCode::Done);
        let left = "SELECT COUNT(*) FROM a WHERE deleted_at IS NULL";
        assert_eq!(session.query_count(left).unwrap(), 0);
    }
}

/// A table whose row was archived with a copy left in the live one, and somebody who changes that.
fn copied(engine: Engine, value: &str, column: &str, archived: &str) -> (Database, FamilyGraph) {
    let database = Database::fresh(engine);
    let mut session = database.session();
    let columns = format!("a_id INTEGER, note {column}, deleted INTEGER, deleted_at VARCHAR(30)");
    for statement in [
        "CREATE TABLE a (id INTEGER PRIMARY KEY, deleted INTEGER, deleted_at VARCHAR(30))"
            .to_owned(),
        "CREATE TABLE shadow_a (id INTEGER PRIMARY KEY, deleted INTEGER, deleted_at VARCHAR(30))"
            .into(),
        format!(
            "CREATE TABLE b (id INTEGER PRIMARY KEY, {columns}, FOREIGN KEY (a_id) REFERENCES a (id))"
        ),
        format!("CREATE TABLE shadow_b (id INTEGER PRIMARY KEY, {columns})"),
        "INSERT INTO a VALUES (1, 0, NULL)".into(),
        format!("INSERT INTO b VALUES (5, 1, {value}, 5, '2025-01-01')"),
        format!("INSERT INTO shadow_b VALUES (5, 1, {archived}, 5, '2025-01-01')"),
    ] {
        session.execute(&statement).unwrap();
    }
    let schema = introspect(&mut session).unwrap();
    let graph = Profile::convention().families(&schema).unwrap();
    (database, graph)
}

fn copies(session: &mut Session, graph: &FamilyGraph) -> RepairOutcome {
    mend(session, graph, &apply(&["duplicate-in-shadow"]))
}

/// What a database calls equal.
#[test]
fn copies_are_the_same_byte_for_byte() {
    for (engine, column, live, archived, same) in [
        (Engine::Sqlite, "TEXT COLLATE NOCASE", "'x'", "'X'", false),
        (Engine::Sqlite, "TEXT COLLATE NOCASE", "'x'", "'x'", true),
        (Engine::Sqlite, "BLOB", "1", "1.0", false),
        (Engine::Mysql, "VARCHAR(9)", "'x'", "'X'", false),
        (Engine::Mysql, "VARCHAR(9)", "'x'", "'x'", true),
        (Engine::Postgres, "NUMERIC", "1.0", "1.00", false),
        (Engine::Postgres, "NUMERIC", "1.0", "1.0", true),
        (
            Engine::Postgres,
            "JSON",
            "'{\"a\":1}'",
            "'{\"a\": 1}'",
            false,
        ),
        (Engine::Postgres, "JSON", "'{\"a\":1}'", "'{\"a\":1}'", true),
    ] {
        let (database, graph) = copied(engine, live, column, archived);
        let mut session = database.session();
        let done = copies(&mut session, &graph);
        let left = session
            .query_count("SELECT COUNT(*) FROM shadow_b")
            .unwrap();
        let case = format!("{engine} {column} {live} {archived}: {done:?}");
        assert_eq!(left, i64::from(!same), "{case}");
        assert_eq!(done.left.len(), usize::from(!same), "{case}");
        if !same {
            let why = "which of the two is right is not in the database";
            assert_eq!(done.left[0].why, why);
        }
    }
}

/// A row that changes while the DELETE of its copy waits for it is no copy any more.
#[test]
fn a_copy_that_is_being_changed_stays() {
    for engine in [Engine::Mysql, Engine::Postgres] {
        let (database, graph) = copied(engine, "'x'", "VARCHAR(9)", "'x'");
        // Its parent is archived, so that the live one is to go.
        let mut other = database.session();
        other.execute("UPDATE b SET a_id = NULL").unwrap();
        other
            .execute("INSERT INTO shadow_a SELECT * FROM a")
            .unwrap();
        other.execute("DELETE FROM a").unwrap();
        other
            .execute("ALTER TABLE b DROP CONSTRAINT IF EXISTS b_a_id_fkey")
            .ok();
        other
            .execute("ALTER TABLE b DROP FOREIGN KEY b_ibfk_1")
            .ok();
        other.execute("UPDATE b SET a_id = 1").unwrap();
        let mut changing = database.session();
        changing.begin().unwrap();
        changing.execute("UPDATE b SET note = 'new'").unwrap();
        let changed = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            changing.commit().unwrap();
        });
        let mut session = database.session();
        let done = copies(&mut session, &graph);
        changed.join().unwrap();
        let new = "SELECT COUNT(*) FROM b WHERE note = 'new'";
        assert_eq!(session.query_count(new).unwrap(), 1, "{engine}: {done:?}");
        assert_eq!(done.left.len(), 1, "{engine}: {done:?}");
    }
}

/// Families that are younger than `--before` are not archived.
#[test]
fn young_families_are_left() {
    let mut cloud = broken();
    let graph = graph_of(&mut cloud.session);
    let (rows, instances) = (super::sum(&cloud.contents()), cloud.count("instances"));
    cloud.sql("UPDATE instances SET deleted_at = '2026-01-02 00:00:00' WHERE id IN (1, 2, 4)");
    let mut options = apply(&["split-family", "residue"]);
    options.run.before = Some("2026-01-01 00:00:00".to_owned().try_into().unwrap());
    options.apply = false;
    let planned = mend(&mut cloud.session, &graph, &options);
    options.apply = true;
    let done = mend(&mut cloud.session, &graph, &options);
    assert!(
        !healed(&done).iter().any(|h| h.starts_with("archive ")),
        "{:?}",
        healed(&done)
    );
    assert_eq!(cloud.count("instances"), instances);
    let young = "their families are too young for --before";
    assert!(
        done.left.iter().any(|left| left.why == young),
        "{:?}",
        done.left
    );
    assert_eq!(super::sum(&cloud.contents()), rows);
    let told = |outcome: &RepairOutcome| -> Vec<String> {
        let left = outcome.left.iter().filter(|left| left.why == young);
        left.map(|l| format!("{}: {}", l.message, l.count))
            .collect()
    };
    // Of residue a plan counts the parents, and the rest the rows.
    assert_eq!(told(&planned).len(), told(&done).len(), "{planned:?}");
    assert_eq!(planned.exit_code(), ExitCode::Findings);
}

/// A root that is in both tables goes from where its family is not.
#[test]
fn of_two_copies_of_a_root_the_one_stays_that_its_family_is_with() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.archive_all();
        cloud.dead_instance(2);
        cloud.dead_instance(3);
        let graph = cloud.graph();
        let engine = cloud.engine();
        let copy = |from: &str, to: &str, which: &str| copy(&graph, engine, from, to, which);
        // The first is archived, and came back alone; of the second only itself was copied; of the third a child too.
        cloud.sql(&copy("shadow_instances", "instances", "id = 1"));
        cloud.sql(&copy("instances", "shadow_instances", "id IN (2, 3)"));
        cloud.sql(&copy("instance_extra", "shadow_instance_extra", "id = 3"));
        cloud.sql("DELETE FROM instance_extra WHERE id = 3");
        let done = mend(&mut cloud.session, &graph, &apply(&["duplicate-in-shadow"]));
        assert_eq!(
            healed(&done),
            [
                "drop-shadow-copy duplicate-in-shadow instances: 1",
                "drop-live-copy duplicate-in-shadow instances: 1"
            ]
        );
        assert_eq!(cloud.count("instances WHERE id = 1"), 0);
        assert_eq!(cloud.count("shadow_instances WHERE id = 2"), 0);
        assert_eq!(done.left.len(), 1, "{:?}", done.left);
        assert_eq!(
            (done.left[0].count, &done.left[0].samples),
            (1, &vec!["3".to_owned()])
        );
        assert!(done.left[0].why.starts_with("neither copy may go"));
    });
}
