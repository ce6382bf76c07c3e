//! What a repair leaves to somebody, and why; what it must not take for healed.

use sexton::db::{Engine, Session, introspect};
use sexton::exit::ExitCode;
use sexton::repair::RepairOutcome;
use sexton::schema::{FamilyGraph, Profile};

use super::{apply, copy, healed, mend, plan};
use crate::support::cloud::Cloud;
use crate::support::databases::Database;

/// A database of these statements.
fn with(engine: Engine, statements: &[&str]) -> (Database, Session, FamilyGraph) {
    let database = Database::fresh(engine);
    let mut session = database.session();
    for statement in statements {
        session.execute(statement).unwrap();
    }
    let schema = introspect(&mut session).unwrap();
    let graph = Profile::convention().families(&schema).unwrap();
    (database, session, graph)
}

const ENGINES: [Engine; 3] = [Engine::Sqlite, Engine::Mysql, Engine::Postgres];

fn why(outcome: &RepairOutcome) -> Vec<(&str, u64, &str)> {
    let left = outcome.left.iter();
    left.map(|l| (l.table.as_str(), l.count, l.why.as_str()))
        .collect()
}

/// An instance that is in the shadow table and marked live: its rows do not follow it.
#[test]
fn nothing_follows_a_parent_that_is_archived_and_lives() {
    Cloud::on_each_engine(|mut cloud| {
        for id in 1..=2 {
            cloud.dead_instance(id);
        }
        let graph = cloud.graph();
        let engine = cloud.engine();
        let copied = copy(&graph, engine, "instances", "shadow_instances", "1 = 1");
        let unchecked = match engine {
            Engine::Sqlite => ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"),
            Engine::Mysql => ("SET foreign_key_checks = 0", "SET foreign_key_checks = 1"),
            Engine::Postgres => (
                "SET session_replication_role = replica",
                "SET session_replication_role = DEFAULT",
            ),
        };
        cloud.sql(&format!(
            "{}; {copied};
             DELETE FROM instances; UPDATE shadow_instances SET deleted = 0 WHERE id = 2; {}",
            unchecked.0, unchecked.1
        ));
        let planned = mend(&mut cloud.session, &graph, &plan(&["split-family"]));
        let done = mend(&mut cloud.session, &graph, &apply(&["split-family"]));
        assert_eq!(cloud.whereabouts(1).0, 0);
        let extra = |cloud: &mut Cloud, id: i64| {
            let live = format!("instance_extra WHERE instance_uuid = '{}'", super::uuid(id));
            cloud.count(&live)
        };
        assert_eq!((extra(&mut cloud, 1), extra(&mut cloud, 2)), (0, 1));
        assert_eq!(done.exit_code(), ExitCode::Findings);
        assert!(!done.left.is_empty());
        for outcome in [&planned, &done] {
            for (_, count, why) in why(outcome) {
                assert_eq!(count, 1);
                assert!(
                    why.starts_with("the parent is archived and marked live"),
                    "{why}"
                );
            }
        }
        assert_eq!(planned.left.len(), done.left.len());
    });
}

/// A living instance whose only row of what it needs was deleted by itself, and archived.
#[test]
fn a_required_row_that_was_deleted_itself_stays_where_it_is() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.live_instance(1);
        cloud.sql("UPDATE instance_extra SET deleted = id, deleted_at = '2025-01-01 00:00:00'");
        cloud.sql("INSERT INTO shadow_instance_extra SELECT * FROM instance_extra; DELETE FROM instance_extra");
        let graph = cloud.graph();
        let planned = mend(&mut cloud.session, &graph, &plan(&["split-family"]));
        let done = mend(&mut cloud.session, &graph, &apply(&["split-family"]));
        assert_eq!(healed(&done), Vec::<String>::new());
        assert_eq!(cloud.count("shadow_instance_extra"), 1);
        for outcome in [planned, done] {
            let [(table, 1, why)] = why(&outcome)[..] else {
                panic!("{outcome:?}");
            };
            assert_eq!(table, "instance_extra");
            assert!(
                why.starts_with("the only such row was deleted itself"),
                "{why}"
            );
        }
    });
}

/// One row that the database refuses does not keep the others, and is named.
#[test]
fn a_row_that_is_refused_is_named() {
    for engine in ENGINES {
        let columns = "(id INTEGER PRIMARY KEY, deleted INTEGER, deleted_at VARCHAR(30)";
        let (_database, mut session, graph) = with(
            engine,
            &[
                &format!("CREATE TABLE a {columns}, CHECK (id <> 7 OR deleted_at IS NULL))"),
                &format!("CREATE TABLE shadow_a {columns})"),
                "INSERT INTO a (id, deleted) VALUES (1, 1), (3, 3), (5, 5), (7, 7), (9, 9), (11, 11), (13, 13)",
            ],
        );
        let done = mend(&mut session, &graph, &apply(&["inconsistent-marker"]));
        assert_eq!(healed(&done), ["set inconsistent-marker a: 6"], "{engine}");
        assert_eq!(done.blocked.len(), 1, "{engine}: {done:?}");
        assert_eq!(
            (
                done.blocked[0].root.as_str(),
                done.blocked[0].reason.as_str()
            ),
            ("a:7", "refused")
        );
        assert_eq!(done.blocked_families["refused"], 1);
        assert_eq!(done.exit_code(), ExitCode::Findings);
    }
}

/// MariaDB compares the number that a text begins with.
#[test]
fn values_of_two_types_are_no_copies() {
    for (archived, same) in [("'abc'", false), ("'0'", true)] {
        let (_database, mut session, graph) = with(
            Engine::Mysql,
            &[
                "CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER, deleted INTEGER)",
                "CREATE TABLE shadow_a (id INTEGER PRIMARY KEY, n VARCHAR(9), deleted INTEGER)",
                "INSERT INTO a VALUES (1, 0, 0)",
                &format!("INSERT INTO shadow_a VALUES (1, {archived}, 0)"),
            ],
        );
        let done = mend(&mut session, &graph, &apply(&["duplicate-in-shadow"]));
        let left = session
            .query_count("SELECT COUNT(*) FROM shadow_a")
            .unwrap();
        assert_eq!(left, i64::from(!same), "{archived}: {done:?}");
    }
}

/// Of a plan what is in the way is not to be healed, and a family counts once, whatever it is asked for.
#[test]
fn what_is_in_the_way_is_not_to_be_healed() {
    Cloud::on_each_engine(|mut cloud| {
        for id in 1..=2 {
            cloud.dead_instance(id);
        }
        // Two kinds of residue, and a living row that must not go.
        cloud.sql(
            "UPDATE instance_system_metadata SET deleted = 0, deleted_at = NULL;
             UPDATE block_device_mapping SET deleted = 0, deleted_at = NULL",
        );
        cloud.sql(&format!(
            "INSERT INTO share_mapping (id, instance_uuid) VALUES (5, '{}')",
            super::uuid(1)
        ));
        let graph = cloud.graph();
        let planned = mend(&mut cloud.session, &graph, &plan(&["residue"]));
        let done = mend(&mut cloud.session, &graph, &apply(&["residue"]));
        for outcome in [&planned, &done] {
            assert_eq!(outcome.blocked.len(), 1, "{outcome:?}");
            assert_eq!(outcome.blocked[0].root, "instances:1");
            let families: Vec<_> = outcome.blocked_families.values().collect();
            assert_eq!(families, [&1], "{outcome:?}");
            let healed: Vec<_> = outcome.healed.iter().flat_map(|h| &h.samples).collect();
            assert!(
                !healed.is_empty() && healed.iter().all(|key| *key == "2"),
                "{outcome:?}"
            );
        }
        assert_eq!(done.exit_code(), ExitCode::Findings);
    });
}

/// The same of what is to come back, whose roots are rows of shadow tables.
#[test]
fn what_cannot_come_back_is_not_to_be_healed() {
    for engine in ENGINES {
        let marker = "deleted INTEGER, deleted_at VARCHAR(30)";
        let b = format!(
            "(id INTEGER PRIMARY KEY, a_id INTEGER NOT NULL, name VARCHAR(9) {{}}, {marker}{{}})"
        );
        let live = b
            .replacen("{}", "UNIQUE", 1)
            .replace("{}", ", FOREIGN KEY (a_id) REFERENCES a (id)");
        let (_database, mut session, graph) = with(
            engine,
            &[
                &format!("CREATE TABLE a (id INTEGER PRIMARY KEY, {marker})"),
                &format!("CREATE TABLE shadow_a (id INTEGER PRIMARY KEY, {marker})"),
                &format!("CREATE TABLE b {live}"),
                &format!("CREATE TABLE shadow_b {}", b.replace("{}", "")),
                "INSERT INTO a VALUES (1, 0, NULL)",
                "INSERT INTO b VALUES (5, 1, 'x', 0, NULL)",
                "INSERT INTO shadow_b VALUES (6, 1, 'x', 0, NULL), (7, 1, 'y', 0, NULL)",
            ],
        );
        let planned = mend(&mut session, &graph, &plan(&["split-family"]));
        let done = mend(&mut session, &graph, &apply(&["split-family"]));
        for outcome in [&planned, &done] {
            assert_eq!(
                healed(outcome),
                ["return split-family shadow_b: 1"],
                "{engine}: {outcome:?}"
            );
            assert_eq!(outcome.blocked[0].root, "b:6", "{engine}: {outcome:?}");
        }
    }
}
