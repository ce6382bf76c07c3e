//! The cases in which nova-manage goes wrong (README.md numbers them): the audit names
//! each before, archiving gets past it or explains it, and the other families move.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sexton::archive::{Before, Options};
use sexton::db::Engine;

use crate::support::cloud::{Cloud, uuid};
use crate::support::databases::Database;
use crate::support::nova::{Nova, real_cell, sync};

fn until_complete() -> Options {
    Options {
        until_complete: true,
        ..Options::default()
    }
}

/// Three soft-deleted instances and a live one; the test damages number 2.
fn cloud() -> Cloud {
    let mut cloud = real_cell();
    fill(&mut cloud);
    cloud
}

fn fill(cloud: &mut Cloud) {
    (1..=3).for_each(|id| cloud.dead_instance(id));
    cloud.live_instance(9);
    // Columns that the models forgot are a case of their own.
    cloud.sql("UPDATE instances SET internal_id = NULL; UPDATE instance_extra SET vpmems = NULL");
}

/// Archives; 1 and 3 must have moved and 9 must not. Returns the blocked as `reason root`.
fn archive(cloud: &mut Cloud) -> Vec<String> {
    let outcome = cloud.archive_all();
    assert!(cloud.is_archived(1) && cloud.is_archived(3));
    assert!(!cloud.is_archived(9));
    let line = |b: &sexton::archive::Blocked| format!("{} {}", b.reason, b.root);
    outcome.blocked.iter().map(line).collect()
}

#[test]
fn nothing_is_found_in_a_sound_database_and_nothing_blocked() {
    let mut cloud = cloud();
    assert_eq!(cloud.audit(), Vec::<String>::new());
    assert_eq!(archive(&mut cloud), Vec::<String>::new());
    assert!(cloud.is_archived(2));
    assert_eq!(cloud.audit(), Vec::<String>::new());
}

/// With one leftover row nova-manage archives nothing, exit 255, every time.
#[test]
fn case_2_share_mapping() {
    let mut nova = Nova::new();
    let cloud = &mut nova.cell;
    fill(cloud);
    cloud.sql(&format!(
        "INSERT INTO share_mapping (id, instance_uuid) VALUES (1, '{}')",
        uuid(2)
    ));
    let before = cloud.contents();
    let output = nova.nova_manage_archive(&["--until-complete", "--verbose"]);
    assert_eq!(output.status.code(), Some(255), "{output:?}");
    let cloud = &mut nova.cell;
    assert_eq!(
        cloud.count("shadow_instances"),
        0,
        "nova-manage archives nothing"
    );
    assert_eq!(cloud.contents(), before);

    assert_eq!(cloud.audit(), ["unarchivable-parent error instances: 1"]);
    assert_eq!(archive(cloud), ["no-shadow-table instances:2"]);
    assert_eq!(cloud.audit(), ["unarchivable-parent error instances: 1"]);
    let directory = tempfile::tempdir().unwrap();
    cloud.archive(&Options {
        drop_unshadowed: BTreeSet::from(["share_mapping".to_owned()]),
        export_dir: directory.path().to_owned(),
        ..until_complete()
    });
    assert!(cloud.is_archived(2));
    assert_eq!(cloud.audit(), Vec::<String>::new());
}

#[test]
fn case_3_foreign_keys_that_only_the_database_has() {
    let mut cloud = cloud();
    cloud.sql(&format!(
        "INSERT INTO fixed_ips (id, instance_uuid, deleted) VALUES (1, '{}', 2)",
        uuid(2)
    ));
    assert_eq!(
        cloud.audit(),
        [
            "inconsistent-marker warning fixed_ips: 1",
            "unarchivable-parent warning instances: 1"
        ]
    );
    assert_eq!(archive(&mut cloud), Vec::<String>::new());
    assert!(cloud.is_archived(2));
}

#[test]
fn case_4_a_rule_with_two_references_to_one_group() {
    let mut cloud = cloud();
    cloud.sql(
        "INSERT INTO security_groups (id, name, deleted, deleted_at) \
         VALUES (1, 'g', 1, '2025-06-01 00:00:00');
         INSERT INTO security_group_rules (id, parent_group_id, group_id, deleted, deleted_at) \
         VALUES (1, 1, NULL, 1, '2025-06-01 00:00:00')",
    );
    assert_eq!(
        cloud.audit(),
        ["unarchivable-parent warning security_groups: 1"]
    );
    assert_eq!(archive(&mut cloud), Vec::<String>::new());
    assert_eq!(cloud.count("shadow_security_group_rules"), 1);
}

#[test]
fn case_5_a_table_that_the_models_do_not_know() {
    let mut cloud = cloud();
    cloud.sql("CREATE TABLE instances_bak AS SELECT * FROM instances");
    assert_eq!(
        cloud.audit(),
        [
            "shadow-drift warning instances_bak: 1",
            "unarchivable-parent error instances_bak: 3"
        ]
    );
    // It has a marker and no shadow table: its rows are explained, never touched.
    assert_eq!(archive(&mut cloud), ["no-shadow-table instances_bak"]);
    assert_eq!(cloud.count("instances_bak"), 4);
}

#[test]
fn case_6_before_goes_by_the_root() {
    let mut cloud = cloud();
    cloud.sql(&format!(
        "UPDATE instance_system_metadata SET deleted_at = '2020-01-01 00:00:00' \
         WHERE instance_uuid = '{}'",
        uuid(2)
    ));
    let before = Before::parse("2021-01-01", Timestamp::now()).unwrap();
    let outcome = cloud.archive(&Options {
        before: Some(before),
        ..until_complete()
    });
    assert_eq!(outcome.total_rows, 0);
    assert!(!cloud.is_archived(2));
    assert_eq!(archive(&mut cloud), Vec::<String>::new());
    assert!(cloud.is_archived(2));
}

#[test]
fn case_7_null_dates_and_null_markers() {
    let mut cloud = cloud();
    cloud.dead_instance(4);
    cloud.sql(
        "UPDATE instances SET deleted_at = NULL WHERE id = 2;
         UPDATE instances SET deleted = NULL WHERE id = 4",
    );
    let found = cloud.audit();
    assert!(
        found.contains(&"inconsistent-marker warning instances: 1".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"unarchivable-parent error instances: 1".to_owned()),
        "{found:?}"
    );
    let before = Before::parse("2100-01-01", Timestamp::now()).unwrap();
    let outcome = cloud.archive(&Options {
        before: Some(before),
        ..until_complete()
    });
    assert_eq!(outcome.blocked_families["no-date"], 1);
    archive(&mut cloud);
    assert!(cloud.is_archived(2));
    assert_eq!(cloud.count("instances WHERE id = 4"), 1);
}

#[test]
fn case_8_a_fuzzy_date_is_refused() {
    let error = Before::parse("30 days ago", Timestamp::now()).unwrap_err();
    assert_eq!(error.code as u8, 64);
}

#[test]
fn case_9_missing_shadow_tables_and_columns() {
    let mut cloud = cloud();
    cloud.sql("DROP TABLE shadow_instances");
    let found = cloud.audit();
    assert!(
        found.contains(&"unarchivable-parent error instances: 3".to_owned()),
        "{found:?}"
    );
    let outcome = cloud.archive_all();
    assert_eq!(outcome.total_rows, 0);
    assert_eq!(outcome.blocked_families["no-shadow-table"], 3);

    let mut cloud = self::cloud();
    cloud.sql(&format!(
        "INSERT INTO instance_faults (id, instance_uuid, code, deleted, deleted_at) \
         VALUES (1, '{}', 1, 1, '2025-06-01 00:00:00');
         ALTER TABLE shadow_instance_faults DROP COLUMN details",
        uuid(2)
    ));
    let found = cloud.audit();
    assert!(
        found.contains(&"shadow-drift error instance_faults: 1".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"unarchivable-parent error instances: 1".to_owned()),
        "{found:?}"
    );
    assert_eq!(archive(&mut cloud), ["shadow-column-missing instances:2"]);
}

#[test]
fn case_10_a_shadow_table_that_cannot_roll_back() {
    let mut cloud = cloud();
    cloud.sql(&format!(
        "INSERT INTO instance_faults (id, instance_uuid, code, deleted, deleted_at) \
         VALUES (1, '{}', 1, 1, '2025-06-01 00:00:00');
         ALTER TABLE shadow_instance_faults ENGINE=MyISAM",
        uuid(2)
    ));
    let found = cloud.audit();
    assert!(
        found.contains(&"non-transactional-table error shadow_instance_faults: 1".to_owned())
            || found.contains(&"non-transactional-table error instance_faults: 1".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"unarchivable-parent error instances: 1".to_owned()),
        "{found:?}"
    );
    assert_eq!(archive(&mut cloud), ["non-transactional-table instances:2"]);
}

#[test]
fn case_11_a_key_that_the_shadow_table_has() {
    let mut cloud = cloud();
    cloud.sql(&format!(
        "INSERT INTO shadow_instance_system_metadata SELECT * FROM instance_system_metadata \
         WHERE instance_uuid = '{}'",
        uuid(2)
    ));
    let found = cloud.audit();
    let twins = "duplicate-in-shadow warning instance_system_metadata: 2".to_owned();
    assert!(found.contains(&twins), "{found:?}");
    assert!(
        found.contains(&"unarchivable-parent error instances: 1".to_owned()),
        "{found:?}"
    );
    let outcome = cloud.archive(&until_complete());
    assert!(cloud.is_archived(1) && cloud.is_archived(3));
    assert_eq!(outcome.blocked_families["shadow-key-taken"], 1);
}

#[test]
fn case_12_live_children_go_and_a_purge_takes_the_family() {
    let mut cloud = cloud();
    cloud.sql(&format!(
        "UPDATE instance_extra SET deleted = 0, deleted_at = NULL WHERE instance_uuid = '{}'",
        uuid(2)
    ));
    assert_eq!(cloud.audit(), ["residue warning instance_extra: 1"]);
    assert_eq!(archive(&mut cloud), Vec::<String>::new());
    assert!(cloud.is_archived(2));
    let graph = cloud.graph();
    let stop = sexton::archive::Stop::default();
    let options = until_complete();
    let outcome = sexton::archive::purge(&mut cloud.session, &graph, &options, &stop, &mut ());
    assert_eq!(cloud.whereabouts(2), (0, 0));
    assert_eq!(outcome.unwrap().rows["shadow_instances"], 3);
}

#[test]
fn case_13_columns_that_the_models_forgot() {
    let mut cloud = cloud();
    cloud.sql("UPDATE instances SET internal_id = 7 WHERE id = 2");
    assert_eq!(cloud.audit(), ["shadow-drift warning instances: 1"]);
    assert_eq!(archive(&mut cloud), Vec::<String>::new());
    assert_eq!(cloud.count("shadow_instances WHERE internal_id = 7"), 1);
}

/// On PostgreSQL, with the schema of the real migrations there.
#[test]
fn case_15_an_enum_of_another_type() {
    let (main, api) = (
        Database::fresh(Engine::Postgres),
        Database::fresh(Engine::Postgres),
    );
    sync(&main, &api);
    let mut cloud = Cloud::on(main);
    fill(&mut cloud);
    cloud.sql("UPDATE instances SET locked_by = 'admin' WHERE id = 2");
    let found = cloud.audit();
    assert!(
        found.contains(&"shadow-drift warning instances: 1".to_owned()),
        "{found:?}"
    );
    assert_eq!(archive(&mut cloud), Vec::<String>::new());
    assert_eq!(cloud.count("shadow_instances WHERE locked_by = 'admin'"), 1);
}

#[test]
fn case_16_rows_without_a_foreign_key() {
    let mut cloud = cloud();
    cloud.sql(&format!(
        "INSERT INTO volume_usage_cache (id, volume_id, instance_uuid, deleted) \
         VALUES (1, 'v', '{u}', 0);
         INSERT INTO instance_id_mappings (id, uuid, deleted) VALUES (1, '{u}', 0);
         INSERT INTO tags (resource_id, tag) VALUES ('{u}', 't');
         INSERT INTO console_auth_tokens (id, token_hash, console_type, host, port, \
         instance_uuid, expires) VALUES (1, 'h', 'c', 'h', 1, '{u}', 1)",
        u = uuid(2)
    ));
    assert_eq!(cloud.audit(), ["residue warning instance_id_mappings: 1"]);
    let outcome = cloud.archive_all();
    assert_eq!(cloud.count("shadow_volume_usage_cache"), 1);
    assert_eq!(cloud.count("shadow_instance_id_mappings"), 1);
    assert_eq!(
        (
            outcome.left_behind["tags"],
            outcome.left_behind["console_auth_tokens"]
        ),
        (1, 1)
    );
    // Left where they are, and named.
    assert_eq!(
        cloud.audit(),
        [
            "residue warning console_auth_tokens: 1",
            "residue warning tags: 1"
        ]
    );
}
