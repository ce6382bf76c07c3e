use sexton::audit::{Options, audit};
use sexton::db::introspect;
use sexton::schema::Profile;

use crate::fixture::{Db, State, uuid};

const CHECK: &str = "unarchivable-parent";

fn only(db: &mut Db) -> sexton::audit::Finding {
    let mut findings = db.findings(CHECK);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings.remove(0)
}

#[test]
fn a_live_rule_of_another_group_holds_its_group_back() {
    let mut db = Db::clean();
    db.sql("UPDATE security_group_rules SET group_id = 2 WHERE id = 1");
    let finding = only(&mut db);
    assert_eq!((finding.count, finding.samples.join(" ")), (1, "2".into()));
    assert_eq!(
        finding.path,
        [
            "security_groups",
            "security_group_rules.group_id -> security_groups.id"
        ]
    );
    db.mend(CHECK);
}

#[test]
fn a_live_association_of_a_live_instance_holds_its_group_back_and_one_of_a_deleted_does_not() {
    let mut db = Db::clean();
    let table = "security_group_instance_association";
    db.insert(table, 500, State::Live, "security_group_id", "2");
    db.insert(table, 501, State::Live, "security_group_id", "2");
    db.sql(&format!(
        "UPDATE {table} SET instance_uuid = '{}' WHERE id = 500",
        uuid(3)
    ));
    db.sql(&format!(
        "UPDATE {table} SET instance_uuid = '{}' WHERE id = 501",
        uuid(4)
    ));
    // They move with their instances.
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
    db.sql(&format!("UPDATE {table} SET instance_uuid = '{}'", uuid(1)));
    assert_eq!(only(&mut db).count, 1);
    db.mend(CHECK);
}

#[test]
fn a_live_device_holds_its_node_back() {
    let mut db = Db::clean();
    db.sql("UPDATE compute_nodes SET deleted = 1, deleted_at = '2024-01-01 00:00:00'");
    assert_eq!(
        only(&mut db).path[1],
        "pci_devices.compute_node_id -> compute_nodes.id"
    );
    db.sql("UPDATE pci_devices SET deleted = 1");
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
}

#[test]
fn case_2_a_share_mapping_has_no_shadow_table() {
    let mut db = Db::clean();
    let rows = format!(
        "(1, '{0}'), (2, '{0}'), (3, '{1}'), (4, '{2}')",
        uuid(3),
        uuid(4),
        uuid(1)
    );
    db.sql(&format!("INSERT INTO share_mapping VALUES {rows}"));
    let finding = only(&mut db);
    assert_eq!(
        (finding.count, finding.samples.join(" ")),
        (2, "3 4".into())
    );
    assert!(finding.remedy.contains("--drop-unshadowed share_mapping"));
    assert_eq!(
        finding.path,
        ["instances", "share_mapping.instance_uuid -> instances.uuid"]
    );
}

#[test]
fn case_3_a_foreign_key_that_only_the_database_has_stops_nova_manage() {
    let mut db = Db::clean();
    db.insert("consoles", 1, State::Live, "instance_uuid", &uuid(3));
    let finding = only(&mut db);
    assert_eq!((finding.severity.as_str(), finding.count), ("warning", 1));
    assert_eq!(finding.remedy, "`sexton archive` moves them together");
    // Without a shadow table it stops everyone.
    db.sql("DROP TABLE shadow_consoles");
    let finding = only(&mut db);
    assert_eq!((finding.severity.as_str(), finding.count), ("error", 1));
}

/// Nothing ties the rows of the deleted instances there.
#[test]
fn a_removed_table_without_a_foreign_key_stops_nobody() {
    let mut db = Db::clean();
    let schema = introspect(&mut db.session).unwrap();
    let mut profile = Profile::detect(&schema);
    profile.removed.push("instance_id_mappings".into());
    let graph = profile.families(&schema).unwrap();
    let options = Options {
        checks: vec![CHECK.into()],
        ..Options::default()
    };
    let report = audit(&mut db.session, &graph, &options).unwrap();
    assert_eq!((report.findings, report.not_checked), (vec![], vec![]));
}

#[test]
fn a_removed_table_with_all_that_it_owned_is_not_what_nova_manage_archives() {
    let mut db = Db::clean();
    for prefix in ["", "shadow_"] {
        for (table, column) in [
            ("instance_groups", "name TEXT"),
            (
                "instance_group_policy",
                "group_id INT REFERENCES instance_groups (id)",
            ),
        ] {
            db.sql(&format!(
                "CREATE TABLE {prefix}{table} (id INTEGER PRIMARY KEY, deleted INT, {column})"
            ));
        }
    }
    db.sql("INSERT INTO instance_groups (id, deleted) VALUES (1, 1)");
    db.sql("INSERT INTO instance_group_policy (id, deleted, group_id) VALUES (1, 1, 1)");
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
}

#[test]
fn case_4_a_rule_with_two_references_to_its_group_stops_nova_manage() {
    let mut db = Db::clean();
    let table = "security_group_rules";
    db.insert(table, 2, State::Deleted, "parent_group_id", "2");
    let finding = only(&mut db);
    assert_eq!((finding.severity.as_str(), finding.count), ("warning", 1));
    assert!(finding.message.contains("twice"));
}

#[test]
fn case_9_a_shadow_column_that_is_missing_stops_every_family() {
    let mut db = Db::clean();
    db.sql("ALTER TABLE shadow_instance_actions_events DROP COLUMN details");
    let finding = only(&mut db);
    assert_eq!(
        (finding.count, finding.samples.join(" ")),
        (2, "3 4".into())
    );
    assert_eq!(
        finding.path,
        [
            "instances",
            "instance_actions.instance_uuid -> instances.uuid",
            "instance_actions_events.action_id -> instance_actions.id",
        ]
    );
    db.mend(CHECK);
}

#[test]
fn a_missing_shadow_table_of_the_roots_own_table() {
    let mut db = Db::clean();
    db.sql("DROP TABLE shadow_security_groups");
    assert_eq!(db.lines(CHECK), ["error security_groups - 1 [2]"]);
    assert_eq!(only(&mut db).remedy, "create shadow_security_groups");
}

/// Its service means it to have none.
#[test]
fn a_table_that_is_to_have_no_shadow_table_is_no_obstacle() {
    let mut db = Db::clean();
    for table in ["inventories", "somebody_elses"] {
        db.sql(&format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, deleted INT)"
        ));
        db.sql(&format!("INSERT INTO {table} VALUES (1, 1)"));
    }
    assert_eq!(db.lines(CHECK), ["error somebody_elses - 1 [1]"]);
    // One that it has all the same is held to what any is.
    db.sql("CREATE TABLE shadow_inventories (id INTEGER PRIMARY KEY)");
    assert_eq!(
        db.lines(CHECK),
        ["error inventories - 1 [1]", "error somebody_elses - 1 [1]"]
    );
}

#[test]
fn without_any_shadow_table_there_is_nothing_to_archive_into() {
    let mut db = Db::bare();
    db.sql("CREATE TABLE things (id INTEGER PRIMARY KEY, deleted INT)");
    db.sql("INSERT INTO things VALUES (1, 1)");
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
    db.sql("CREATE TABLE others (id INTEGER PRIMARY KEY)");
    db.sql("CREATE TABLE shadow_others (id INTEGER PRIMARY KEY)");
    assert_eq!(db.lines(CHECK), ["error things - 1 [1]"]);
}

/// They stay where they are: residue.
#[test]
fn rows_without_a_foreign_key_and_without_a_shadow_table_hold_nothing_back() {
    let mut db = Db::clean();
    db.sql(&format!("INSERT INTO tags VALUES ('{}', 'x')", uuid(3)));
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
}

#[test]
fn case_11_a_key_that_is_taken_in_the_shadow_table() {
    let mut db = Db::clean();
    db.insert(
        "shadow_instance_actions_events",
        30,
        State::Live,
        "action_id",
        "50",
    );
    db.insert("shadow_instances", 4, State::Deleted, "uuid", &uuid(80));
    assert_eq!(
        db.lines(CHECK),
        [
            "error instances - 1 [4]",
            "error instances instance_actions_events.action_id -> instance_actions.id 1 [3]",
        ]
        .into_iter()
        .rev()
        .collect::<Vec<_>>()
    );
}

#[test]
fn case_7_a_marker_that_is_null() {
    let mut db = Db::clean();
    db.sql("UPDATE instances SET deleted = NULL WHERE id = 4");
    // Children move with their parent, whatever their own marker says.
    db.sql("UPDATE instance_extra SET deleted = NULL WHERE id = 30");
    assert_eq!(db.lines(CHECK), ["error instances - 1 [4]"]);
    assert_eq!(
        only(&mut db).remedy,
        "if they live: UPDATE \"instances\" SET \"deleted\" = 0, \"deleted_at\" = NULL WHERE \"id\" IN (4); or if \
         not: UPDATE \"instances\" SET \"deleted\" = \"id\", \"deleted_at\" = CURRENT_TIMESTAMP WHERE \"id\" IN (4)"
    );
}

#[test]
fn a_null_that_the_shadow_table_does_not_allow() {
    let mut db = Db::clean();
    db.sql("ALTER TABLE shadow_instance_system_metadata DROP COLUMN value");
    db.sql(
        "ALTER TABLE shadow_instance_system_metadata ADD COLUMN value VARCHAR(255) NOT NULL \
         DEFAULT ''",
    );
    db.sql("UPDATE instance_system_metadata SET value = 'x' WHERE id <> 40");
    assert_eq!(only(&mut db).samples, ["4"]);
}

#[test]
fn a_child_that_was_deleted_on_its_own_is_a_root_and_one_deleted_with_its_parent_is_not() {
    let mut db = Db::clean();
    // The mapping of live instance 1 is a root of its own; that of instance 3 is not.
    db.sql("UPDATE block_device_mapping SET deleted = 10, deleted_at = '2024-01-01' WHERE id = 10");
    db.insert(
        "shadow_block_device_mapping",
        10,
        State::Deleted,
        "instance_uuid",
        &uuid(5),
    );
    db.insert(
        "shadow_block_device_mapping",
        30,
        State::Deleted,
        "instance_uuid",
        &uuid(5),
    );
    assert_eq!(
        db.lines(CHECK),
        [
            "error block_device_mapping - 1 [10]",
            "error instances block_device_mapping.instance_uuid -> instances.uuid 1 [3]",
        ]
    );
}

#[test]
fn a_deleted_row_that_points_at_no_owner_is_a_root() {
    let mut db = Db::clean();
    db.sql("UPDATE block_device_mapping SET deleted = 10, instance_uuid = NULL WHERE id = 10");
    db.insert(
        "shadow_block_device_mapping",
        10,
        State::Deleted,
        "instance_uuid",
        &uuid(5),
    );
    assert_eq!(db.lines(CHECK), ["error block_device_mapping - 1 [10]"]);
}

#[test]
fn a_marker_that_its_service_never_sets_makes_no_root() {
    let mut db = Db::clean();
    db.sql("ALTER TABLE shadow_instance_actions_events DROP COLUMN details");
    db.sql("UPDATE instance_actions SET deleted = id WHERE id = 10");
    assert_eq!(only(&mut db).samples, ["3", "4"]);
}
