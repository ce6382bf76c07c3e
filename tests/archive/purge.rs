//! `--purge`: shadow tables emptied family by family.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sexton::archive::{self, Before, ExportFormat, Observer, Options, Outcome, Stop, StopReason};
use sexton::db::{DbErrorKind, Engine, Session, introspect};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::schema::Profile;

use crate::rough::{DEADLOCK, How, session, upset};
use crate::support::cloud::{Cloud, ROWS_PER_INSTANCE, uuid};
use crate::support::databases::Database;

/// 20 families of 8 rows.
fn cloud_of_20(cloud: &mut Cloud) {
    (1..=20).for_each(|id| cloud.dead_instance(id));
}

fn purge(cloud: &mut Cloud) -> archive::Outcome {
    let graph = cloud.graph();
    let options = Options {
        max_rows: 20,
        ..Options::default()
    };
    let stop = Stop::default();
    archive::purge(&mut cloud.session, &graph, &options, &stop, &mut ()).unwrap()
}

#[test]
fn a_purge_empties_the_shadow_tables() {
    Cloud::on_each_engine(|mut cloud| {
        cloud_of_20(&mut cloud);
        cloud.live_instance(50);
        cloud.sql(&format!(
            "INSERT INTO block_device_mapping (id, instance_uuid, deleted) VALUES (99, '{}', 99)",
            uuid(50)
        ));
        cloud.archive_all();
        let outcome = purge(&mut cloud);
        assert_eq!(outcome.rows["shadow_instances"], 20);
        assert_eq!(outcome.rows["shadow_block_device_mapping"], 21);
        assert_eq!(
            outcome.rows.values().sum::<u64>(),
            20 * ROWS_PER_INSTANCE + 1
        );
        assert_eq!(outcome.blocked_families.values().sum::<u64>(), 0);
        assert_eq!(cloud.count("shadow_instance_system_metadata"), 0);
        assert_eq!(cloud.whereabouts(50), (ROWS_PER_INSTANCE as i64, 0));
    });
}

/// The shadow half of a split family is the only copy of it.
#[test]
fn a_purge_keeps_families_that_are_not_wholly_archived() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=3).for_each(|id| cloud.dead_instance(id));
        cloud.archive_all();
        cloud.live_instance(4);
        // 1: a child is live; 2: a row lies in both places; 4: its instance_extra was taken away.
        cloud.sql(
            "INSERT INTO volume_usage_cache (id, volume_id, instance_uuid, deleted) \
             SELECT 1, 'v', uuid, 0 FROM shadow_instances WHERE id = 1;
             INSERT INTO shadow_instance_extra (id, instance_uuid, deleted) \
             SELECT id, instance_uuid, deleted FROM instance_extra WHERE id = 4;
             DELETE FROM instance_extra WHERE id = 4;
             INSERT INTO instance_system_metadata (id, instance_uuid, `key`, deleted) \
             SELECT 20, uuid, 'a', 20 FROM instances WHERE id = 4",
        );
        let outcome = purge(&mut cloud);
        assert_eq!(outcome.rows["shadow_instances"], 1);
        assert_eq!(outcome.blocked_families.values().sum::<u64>(), 3);
        assert_eq!(cloud.count("shadow_instances WHERE id IN (1, 2)"), 2);
        assert_eq!(cloud.count("shadow_instance_extra WHERE id = 4"), 1);
    });
}

/// A row of another family that merely points at an instance of the archive is no part of it: its
/// own fate is not the instance's.
#[test]
fn a_shared_row_neither_keeps_a_family_nor_goes_with_it() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql("INSERT INTO services (id, report_count, deleted) VALUES (1, 0, 1), (2, 0, 2)");
        cloud.archive_all();
        // 5 lives and points at 1; 6 points at 2 and lies in both places.
        for (table, id, service) in [
            ("compute_nodes", 5, 1),
            ("compute_nodes", 6, 2),
            ("shadow_compute_nodes", 6, 2),
        ] {
            cloud.sql(&format!(
                "INSERT INTO {table} (id, service_id, vcpus, memory_mb, local_gb, vcpus_used, \
                 memory_mb_used, local_gb_used, hypervisor_type, hypervisor_version, cpu_info, \
                 deleted) VALUES ({id}, {service}, 1, 1, 1, 1, 1, 1, 'q', 1, 'c', 0)"
            ));
        }
        let outcome = purge(&mut cloud);
        assert_eq!(outcome.rows, [("shadow_services".to_owned(), 2)].into());
        assert_eq!(outcome.blocked_families.values().sum::<u64>(), 1);
        assert_eq!(cloud.count("shadow_compute_nodes"), 1);
    });
}

fn purge_with(cloud: &mut Cloud, options: &Options) -> Outcome {
    let graph = cloud.graph();
    archive::purge(
        &mut cloud.session,
        &graph,
        options,
        &Stop::default(),
        &mut (),
    )
    .unwrap()
}

fn before(date: &str) -> Options {
    Options {
        before: Some(Before::parse(date, Timestamp::now()).unwrap()),
        ..Options::default()
    }
}

/// nova-manage deletes by another column in `instance_actions`, whose rows were created long ago.
#[test]
fn a_family_goes_by_the_age_of_its_root() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.instance_deleted_at(1, Some("2025-01-01 00:00:00"));
        cloud.instance_deleted_at(2, Some("2025-12-01 00:00:00"));
        // Marked later than its instance, and earlier.
        cloud.sql(
            "UPDATE instance_extra SET deleted_at = '2025-12-01 00:00:00' WHERE id = 1;
             UPDATE instance_extra SET deleted_at = '2025-01-01 00:00:00' WHERE id = 2;
             UPDATE instance_info_caches SET deleted = 0, deleted_at = NULL",
        );
        cloud.archive_all();
        let outcome = purge_with(&mut cloud, &before("2025-06-01"));
        assert_eq!(
            (outcome.families, outcome.total_rows),
            (1, ROWS_PER_INSTANCE)
        );
        assert!(!outcome.has_blocked(), "{:?}", outcome.blocked);
        assert_eq!(cloud.whereabouts(1), (0, 0));
        assert_eq!(cloud.whereabouts(2), (0, ROWS_PER_INSTANCE as i64));
        let outcome = purge_with(&mut cloud, &before("2100-01-01"));
        assert_eq!(outcome.total_rows, ROWS_PER_INSTANCE);
    });
}

#[test]
fn a_root_without_a_date_is_kept_where_a_date_is_asked_for() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=2).for_each(|id| cloud.dead_instance(id));
        cloud.archive_all();
        cloud.sql("UPDATE shadow_instances SET deleted_at = NULL WHERE id = 1");
        let outcome = purge_with(&mut cloud, &before("2100-01-01"));
        assert_eq!(outcome.families, 1);
        assert_eq!(outcome.blocked_families, [("no-date".to_owned(), 1)].into());
        assert_eq!(outcome.blocked[0].root, "shadow_instances:1");
        let remedy = &outcome.blocked[0].remedy;
        assert_eq!(remedy, "set deleted_at of the row, or purge with --all");
        let database = cloud.session.label().to_owned();
        assert_eq!((outcome.version, outcome.database), (1, database));
        assert_eq!(outcome.before.as_deref(), Some("2100-01-01 00:00:00"));
        assert_eq!(cloud.whereabouts(1), (0, ROWS_PER_INSTANCE as i64));
        assert_eq!(purge_with(&mut cloud, &Options::default()).families, 1);
    });
}

#[test]
fn the_task_log_is_purged_on_request_only() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql(
            "INSERT INTO shadow_task_log (id, task_name, state, host, period_beginning, \
             period_ending, message, deleted, updated_at) VALUES \
             (1, 't', 's', 'h', '2020-01-01', '2020-02-01', 'm', 0, '2020-03-01'), \
             (2, 't', 's', 'h', '2022-01-01', '2022-02-01', 'm', 0, '2022-03-01')",
        );
        assert_eq!(purge_with(&mut cloud, &Options::default()).total_rows, 0);
        let options = Options {
            task_log: true,
            ..before("2021-01-01")
        };
        assert_eq!(purge_with(&mut cloud, &options).total_rows, 1);
        assert_eq!(cloud.count("shadow_task_log WHERE id = 2"), 1);
    });
}

#[test]
fn a_dry_run_counts_what_a_purge_deletes_and_deletes_nothing() {
    Cloud::on_each_engine(|mut cloud| {
        cloud_of_20(&mut cloud);
        cloud.archive_all();
        let contents = cloud.contents();
        let dry = Options {
            max_rows: 20,
            dry_run: true,
            ..Options::default()
        };
        let planned = purge_with(&mut cloud, &dry);
        assert_eq!(cloud.contents(), contents);
        // It waits for nobody, and nobody waits for it.
        let mut other = cloud.database.session();
        let lock = sexton::db::AdvisoryLock::acquire(&mut other).unwrap();
        purge_with(&mut cloud, &dry);
        lock.release(&mut other).unwrap();
        let done = purge(&mut cloud);
        assert_eq!(planned.rows, done.rows);
        assert_eq!(planned.families, done.families);
        assert!(planned.dry_run && !done.dry_run);
    });
}

/// What is deleted is in a file, and comes back from it.
#[test]
fn purged_rows_are_in_files_before_they_are_gone() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=3).for_each(|id| cloud.dead_instance(id));
        // What a client may take for an escape, and a line of its own.
        let odd = ["C:\\", "{\"a\": \"x\\\"y\\n\"}", "a'b\\c", "two\nlines"];
        for (id, text) in [10, 11, 20, 21].into_iter().zip(odd) {
            let text = cloud
                .engine()
                .literal(&sexton::db::Value::Text(text.into()));
            let set = format!("UPDATE instance_system_metadata SET value = {text} WHERE id = {id}");
            assert_eq!(cloud.session.execute(&set).unwrap(), 1, "{set}");
        }
        cloud.archive_all();
        let contents = cloud.contents();
        let directory = tempfile::tempdir().unwrap();
        let options = |export| Options {
            max_rows: 8,
            export: Some(export),
            export_dir: directory.path().to_owned(),
            ..Options::default()
        };
        let outcome = purge_with(&mut cloud, &options(ExportFormat::Sql));
        assert_eq!(outcome.batches, 3);
        assert!(cloud.contents().values().all(Vec::is_empty));
        for table in outcome.rows.keys() {
            let file = directory.path().join(format!("{table}.sql"));
            // As the engine's own client has it, not as this program does.
            if cloud.engine() == Engine::Mysql {
                cloud
                    .session
                    .execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES'")
                    .unwrap();
            }
            for statement in std::fs::read_to_string(file).unwrap().lines() {
                cloud
                    .session
                    .execute(statement.trim_end_matches(';'))
                    .unwrap();
            }
        }
        assert_eq!(cloud.contents(), contents);

        purge_with(&mut cloud, &options(ExportFormat::Jsonl));
        let file = directory.path().join("shadow_instances.jsonl");
        let lines = std::fs::read_to_string(file).unwrap();
        let rows: Vec<serde_json::Value> = lines
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0]["table"], "shadow_instances");
        assert_eq!(rows[0]["row"]["uuid"], uuid(1));
    });
}

#[test]
fn nothing_is_deleted_that_cannot_be_written_to_its_file() {
    let mut cloud = archived();
    let graph = cloud.graph();
    let options = Options {
        export: Some(ExportFormat::Sql),
        export_dir: "/nowhere/to/be/found".into(),
        ..Options::default()
    };
    let contents = cloud.contents();
    let session = &mut cloud.session;
    let error = archive::purge(session, &graph, &options, &Stop::default(), &mut ()).unwrap_err();
    assert_eq!(error.code, ExitCode::Unavailable);
    assert!(error.message.contains("/nowhere/to/be/found"), "{error}");
    assert_eq!(cloud.contents(), contents);
}

/// 20 families of 8 rows, archived; a purge on a session on which things go wrong.
fn purge_on(session: &mut Session, cloud: &mut Cloud, options: &Options) -> Result<Outcome, Error> {
    let graph = cloud.graph();
    archive::purge(session, &graph, options, &Stop::default(), &mut ())
}

fn archived() -> Cloud {
    let mut cloud = Cloud::new(Engine::Sqlite);
    cloud_of_20(&mut cloud);
    cloud.archive_all();
    cloud
}

#[test]
fn a_batch_of_a_purge_holds_as_many_families_as_fit() {
    for (max_rows, batches) in [(1, 20), (20, 10), (24, 7), (159, 2), (160, 1), (1000, 1)] {
        let mut cloud = archived();
        let (mut session, seen) = session(&cloud, &[]);
        // What was asked before is not its own.
        session.query("SELECT 1").unwrap();
        let options = Options {
            max_rows,
            ..Options::default()
        };
        let outcome = purge_on(&mut session, &mut cloud, &options).unwrap();
        let rows: u64 = outcome.rows.values().sum();
        assert_eq!(rows, 20 * ROWS_PER_INSTANCE);
        assert_eq!(seen.count("COMMIT"), batches, "max_rows {max_rows}");
        // The roots of a table that no other one owns come first, and take all with them.
        let numbered = "CREATE TEMPORARY TABLE sexton_purge_0 ";
        assert_eq!(seen.count(numbered), 1, "max_rows {max_rows}");
        let all = seen.statements.lock().unwrap().len() as u64;
        assert_eq!(outcome.statements, all - 1);
    }
}

/// Galera refuses a transaction that is too large, however small the families are on the average.
#[test]
fn a_batch_of_a_purge_is_filled_by_the_size_of_each_family() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    for id in 1..=100 {
        cloud.sql(&format!(
            "INSERT INTO shadow_instances (id, uuid, deleted) VALUES ({id}, '{}', 1)",
            uuid(id)
        ));
    }
    for id in 99..=100 {
        for row in 0..50 {
            cloud.sql(&format!(
                "INSERT INTO shadow_instance_faults (id, instance_uuid, code, deleted) \
                 VALUES ({}, '{}', 1, 1)",
                id * 100 + row,
                uuid(id)
            ));
        }
    }
    let (mut session, seen) = session(&cloud, &[]);
    let options = Options {
        max_rows: 98,
        ..Options::default()
    };
    let outcome = purge_on(&mut session, &mut cloud, &options).unwrap();
    // 98 roots alone, then one family of 51 rows, then the other.
    assert_eq!((outcome.total_rows, seen.count("COMMIT")), (200, 3));
}

/// Such a table has lost its key. Which of two rows is meant nobody knows; the others go.
#[test]
fn a_row_that_is_there_twice_keeps_its_family_and_no_other() {
    let mut cloud = archived();
    cloud.sql(
        "CREATE TABLE copy AS SELECT * FROM shadow_instance_extra; DROP TABLE shadow_instance_extra;
         ALTER TABLE copy RENAME TO shadow_instance_extra;
         INSERT INTO shadow_instance_extra SELECT * FROM shadow_instance_extra WHERE id = 7",
    );
    let outcome = purge(&mut cloud);
    assert_eq!(outcome.rows["shadow_instances"], 19);
    assert_eq!(
        outcome.blocked_families,
        [("duplicate-in-shadow".to_owned(), 1)].into()
    );
    assert_eq!(outcome.blocked[0].root, "shadow_instances:7");
    assert_eq!(cloud.count("shadow_instance_extra WHERE id = 7"), 2);
    assert_eq!(cloud.count("shadow_instance_system_metadata"), 2);
}

/// A release has dropped the table and left its shadow.
#[test]
fn rows_of_a_shadow_table_without_its_live_table_go_by_their_age() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql("DROP TABLE security_group_rules");
        for (id, deleted_at) in [(1, "'2020-01-01'"), (2, "'2026-01-01'"), (3, "NULL")] {
            cloud.sql(&format!(
                "INSERT INTO shadow_security_group_rules (id, deleted_at, deleted) VALUES ({id}, {deleted_at}, {id})"
            ));
        }
        let outcome = purge_with(&mut cloud, &before("2025-01-01"));
        assert_eq!(
            outcome.rows,
            [("shadow_security_group_rules".to_owned(), 1)].into()
        );
        assert_eq!(outcome.blocked_families, [("no-date".to_owned(), 1)].into());
        assert_eq!(
            cloud.count("shadow_security_group_rules WHERE id IN (2, 3)"),
            2
        );
        let outcome = purge(&mut cloud);
        assert_eq!(
            outcome.rows,
            [("shadow_security_group_rules".to_owned(), 2)].into()
        );
    });
}

#[test]
fn a_purge_waits_out_a_deadlock_longer_each_time() {
    for starts in ["BEGIN", "DELETE", "COMMIT"] {
        let mut cloud = archived();
        let (mut session, _) = session(&cloud, &[upset(starts, 0, 3, DEADLOCK)]);
        let options = Options {
            retries: 3,
            ..Options::default()
        };
        let begun = Instant::now();
        let outcome = purge_on(&mut session, &mut cloud, &options).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(20 + 40 + 80));
        assert_eq!(outcome.retries, 3);
        assert_eq!(outcome.rows["shadow_instances"], 20);
    }
}

#[test]
fn a_purge_gives_up_and_leaves_whole_families() {
    for (retries, how) in [(2, DEADLOCK), (9, How::Refused(DbErrorKind::Permission))] {
        let mut cloud = archived();
        // The first batch gets through: a BEGIN, deletes, a COMMIT.
        let (mut session, seen) = session(&cloud, &[upset("DELETE", 9, 99, how)]);
        let options = Options {
            max_rows: 20,
            retries,
            ..Options::default()
        };
        let error = purge_on(&mut session, &mut cloud, &options).unwrap_err();
        assert!(error.message.contains("it went wrong"), "{error}");
        assert_ne!(error.code, ExitCode::Usage);
        let tried = if how == DEADLOCK { 3 } else { 1 };
        assert_eq!(seen.count("ROLLBACK"), tried);
        drop(session);
        let left = cloud.count("shadow_instances");
        assert!((1..20).contains(&left), "{left}");
        for table in ["shadow_instance_extra", "shadow_block_device_mapping"] {
            assert_eq!(cloud.count(table), left);
        }
    }
}

/// A change here is a change of cost or of meaning.
#[test]
fn the_statements_of_a_purge() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=3).for_each(|id| cloud.dead_instance(id));
    cloud.sql("INSERT INTO services (id, report_count, deleted) VALUES (1, 0, 1)");
    cloud.archive_all();
    // Its owner lives.
    cloud.live_instance(4);
    cloud.sql(&format!(
        "INSERT INTO shadow_block_device_mapping (id, instance_uuid, deleted) VALUES (9, '{}', 9)",
        uuid(4)
    ));
    let (mut session, seen) = session(&cloud, &[]);
    let options = Options {
        max_rows: 16,
        ..Options::default()
    };
    let outcome = purge_on(&mut session, &mut cloud, &options).unwrap();
    assert_eq!(
        outcome.rows.values().sum::<u64>(),
        3 * ROWS_PER_INSTANCE + 2
    );
    insta::assert_snapshot!(seen.statements.lock().unwrap().join("\n"));
}

/// Asks the run to stop after each batch.
struct Hasty<'a>(&'a AtomicBool);

impl Observer for Hasty<'_> {
    fn batch(&mut self, _: u64, _: u64, _: u64) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A request that comes after the last batch of the last table has stopped nothing.
#[test]
fn a_purge_that_had_done_everything_is_complete() {
    let database = Database::fresh(Engine::Sqlite);
    let mut session = database.session();
    for table in ["t", "shadow_t"] {
        let columns = "id INTEGER PRIMARY KEY, deleted INTEGER, deleted_at TEXT";
        session
            .execute(&format!("CREATE TABLE {table} ({columns})"))
            .unwrap();
    }
    let schema = introspect(&mut session).unwrap();
    let graph = Profile::detect(&schema).families(&schema).unwrap();
    for (rows, reason) in [(3, StopReason::Signal), (2, StopReason::Complete)] {
        for row in 0..rows {
            session
                .execute(&format!(
                    "INSERT INTO shadow_t VALUES ({row}, 1, '2025-01-01')"
                ))
                .unwrap();
        }
        let options = Options {
            max_rows: 2,
            ..Options::default()
        };
        let flag = AtomicBool::new(false);
        let stop = Stop::on(&flag);
        let outcome = archive::purge(&mut session, &graph, &options, &stop, &mut Hasty(&flag));
        let outcome = outcome.unwrap();
        assert_eq!((outcome.total_rows, outcome.stopped_because), (2, reason));
        session.execute("DELETE FROM shadow_t").unwrap();
    }
}
