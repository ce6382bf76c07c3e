//! `--purge`: shadow tables emptied family by family.

use std::time::{Duration, Instant};

use sexton::archive::{self, Options, Outcome, Stop};
use sexton::db::{DbErrorKind, Engine, Session};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;

use crate::rough::{DEADLOCK, How, session, upset};
use crate::support::cloud::{Cloud, ROWS_PER_INSTANCE, uuid};

/// 20 families of 8 rows.
fn cloud_of_20(cloud: &mut Cloud) {
    (1..=20).for_each(|id| cloud.dead_instance(id));
}

fn purge(cloud: &mut Cloud) -> archive::Outcome {
    let graph = cloud.graph();
    let mut outcome = archive::Outcome::default();
    let options = Options {
        max_rows: 20,
        ..Options::default()
    };
    let stop = Stop::default();
    archive::purge(&mut cloud.session, &graph, &options, &stop, &mut outcome).unwrap();
    outcome
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
        assert_eq!(outcome.purged["shadow_instances"], 20);
        assert_eq!(outcome.purged["shadow_block_device_mapping"], 21);
        assert_eq!(
            outcome.purged.values().sum::<u64>(),
            20 * ROWS_PER_INSTANCE + 1
        );
        assert_eq!(outcome.purge_kept, 0);
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
        assert_eq!(outcome.purged["shadow_instances"], 1);
        assert_eq!(outcome.purge_kept, 3);
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
        assert_eq!(outcome.purged, [("shadow_services".to_owned(), 2)].into());
        assert_eq!(outcome.purge_kept, 1);
        assert_eq!(cloud.count("shadow_compute_nodes"), 1);
    });
}

/// 20 families of 8 rows, archived; a purge on a session on which things go wrong.
fn purge_on(session: &mut Session, cloud: &mut Cloud, options: &Options) -> Result<Outcome, Error> {
    let graph = cloud.graph();
    let mut outcome = Outcome {
        statements: 7,
        ..Outcome::default()
    };
    archive::purge(session, &graph, options, &Stop::default(), &mut outcome)?;
    Ok(outcome)
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
        let options = Options {
            max_rows,
            ..Options::default()
        };
        let outcome = purge_on(&mut session, &mut cloud, &options).unwrap();
        let rows: u64 = outcome.purged.values().sum();
        assert_eq!(rows, 20 * ROWS_PER_INSTANCE);
        assert_eq!(seen.count("COMMIT"), batches, "max_rows {max_rows}");
        // The roots of a table that no other one owns come first, and take all with them.
        let numbered = "CREATE TEMPORARY TABLE sexton_purge_0 ";
        assert_eq!(seen.count(numbered), 1, "max_rows {max_rows}");
        // Counted on top of what was there.
        let all = seen.statements.lock().unwrap().len() as u64;
        assert_eq!(outcome.statements, 7 + all);
    }
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
        assert_eq!(outcome.purged["shadow_instances"], 20);
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
        outcome.purged.values().sum::<u64>(),
        3 * ROWS_PER_INSTANCE + 2
    );
    insta::assert_snapshot!(seen.statements.lock().unwrap().join("\n"));
}
