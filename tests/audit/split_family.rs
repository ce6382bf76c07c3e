use sexton::db::Engine;
use sexton::schema::ColumnType;

use crate::fixture::{Db, State, probes, schema, uuid};

const CHECK: &str = "split-family";

#[test]
fn bug_1837995_a_child_archived_before_its_live_parent() {
    let mut db = Db::clean();
    db.sql("INSERT INTO shadow_instance_extra SELECT * FROM instance_extra WHERE id IN (10, 20)");
    db.sql("DELETE FROM instance_extra WHERE id IN (10, 20)");
    let findings = db.findings(CHECK);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let finding = &findings[0];
    assert_eq!(
        (finding.count, finding.samples.join(" ")),
        (2, "1 2".into())
    );
    assert_eq!(
        finding.message,
        "instance_extra rows are in shadow_instance_extra while their instances row is still live"
    );
    let finding = &db.findings(CHECK)[0];
    let label = db.session.label();
    let command = format!("sexton repair {label} --check split-family --apply");
    assert_eq!(finding.repair, Some(command));
    db.mend(CHECK);
}

#[test]
fn a_required_child_is_not_explained_by_its_own_delete_unless_another_is_there() {
    let mut db = Db::clean();
    // The clean database has an archived info cache of instance 2 beside a live one.
    db.sql("DELETE FROM instance_info_caches WHERE id = 20");
    assert_eq!(
        db.lines(CHECK),
        ["error instance_info_caches instance_info_caches.instance_uuid -> instances.uuid 1 [2]"]
    );
    db.mend(CHECK);
}

#[test]
fn the_remedy_leaves_what_is_explained() {
    let mut db = Db::clean();
    db.insert(
        "shadow_block_device_mapping",
        96,
        State::Live,
        "instance_uuid",
        &uuid(2),
    );
    let count = "SELECT COUNT(*) FROM shadow_block_device_mapping";
    let before = db.session.query_count(count).unwrap();
    db.mend(CHECK);
    assert_eq!(db.session.query_count(count).unwrap(), before - 1);
}

#[test]
fn a_row_that_is_in_both_tables_is_no_gap() {
    let mut db = Db::clean();
    db.sql("INSERT INTO shadow_instance_extra SELECT * FROM instance_extra");
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
    // The same key, and the child of another parent.
    db.sql(&format!(
        "UPDATE instance_extra SET instance_uuid = '{}' WHERE id = 10",
        uuid(2)
    ));
    assert_eq!(db.findings(CHECK)[0].samples, ["1"]);
}

#[test]
fn a_child_that_was_deleted_with_its_parent_has_gone_before_it() {
    let mut db = Db::clean();
    db.insert(
        "shadow_block_device_mapping",
        94,
        State::Deleted,
        "instance_uuid",
        &uuid(3),
    );
    let findings = db.findings(CHECK);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(
        (findings[0].count, findings[0].samples.join(" ")),
        (1, "3".into())
    );
    assert!(
        findings[0]
            .message
            .ends_with("instances row is soft-deleted, not archived")
    );
    assert_eq!(findings[0].oldest.as_deref(), Some("2024-03-02 10:00:00"));
}

#[test]
fn two_children_of_one_root_count_once() {
    let mut db = Db::clean();
    db.insert(
        "shadow_block_device_mapping",
        94,
        State::Deleted,
        "instance_uuid",
        &uuid(3),
    );
    db.insert(
        "shadow_block_device_mapping",
        95,
        State::Deleted,
        "instance_uuid",
        &uuid(3),
    );
    assert_eq!(db.findings(CHECK)[0].count, 1);
}

#[test]
fn rows_that_are_never_marked_explain_nothing() {
    let mut db = Db::clean();
    db.insert(
        "shadow_instance_actions",
        94,
        State::Deleted,
        "instance_uuid",
        &uuid(1),
    );
    assert_eq!(
        db.lines(CHECK),
        ["error instance_actions instance_actions.instance_uuid -> instances.uuid 1 [1]"]
    );
    db.mend(CHECK);
}

#[test]
fn a_child_left_behind_is_counted_by_its_archived_parents() {
    let mut db = Db::clean();
    db.insert(
        "instance_system_metadata",
        900,
        State::Deleted,
        "instance_uuid",
        &uuid(5),
    );
    db.insert(
        "instance_system_metadata",
        901,
        State::Deleted,
        "instance_uuid",
        &uuid(5),
    );
    db.insert(
        "instance_system_metadata",
        902,
        State::Deleted,
        "instance_uuid",
        &uuid(6),
    );
    let findings = db.findings(CHECK);
    assert_eq!((findings.len(), findings[0].count), (1, 2));
    assert_eq!(findings[0].samples, ["5", "6"]);
    // What it shows are the children.
    let select = findings[0].select.as_ref().unwrap();
    assert_eq!(db.session.query(select).unwrap().len(), 3);
    db.mend(CHECK);
}

/// nova-manage leaves such rows behind with every instance.
#[test]
fn a_split_by_convention_is_a_warning() {
    let mut db = Db::clean();
    db.insert(
        "volume_usage_cache",
        900,
        State::Live,
        "instance_uuid",
        &uuid(5),
    );
    assert_eq!(
        db.lines(CHECK),
        ["warning volume_usage_cache volume_usage_cache.instance_uuid -> instances.uuid 1 [5]"]
    );
    // Residue is for tables that have no shadow table.
    assert_eq!(db.lines("residue"), [] as [&str; 0]);
}

/// Two enum types with the same labels: SQLite and MariaDB have no such thing.
#[test]
fn the_remedy_casts_to_the_enum_type_of_the_other_table() {
    let remedies = |shadow: &str| -> Vec<String> {
        let mut schema = schema();
        for (table, native) in [("instance_extra", "a"), ("shadow_instance_extra", shadow)] {
            let column = &mut schema.tables.get_mut(table).unwrap().columns[6];
            assert_eq!(column.name, "vpmems");
            column.ty = ColumnType::Enum(vec!["x".into()]);
            column.native = Some(native.into());
        }
        let probes = probes(&schema, Engine::Postgres, CHECK);
        let about = probes.into_iter().filter(|p| p.table == "instance_extra");
        about.map(|p| p.remedy).collect()
    };
    let casts = |remedies: &[String], to: &str| {
        let cast = format!("c.\"vpmems\"::text::{to}");
        remedies.iter().any(|r| r.contains(&cast))
    };
    let (one, two) = (remedies("a"), remedies("b"));
    assert!(casts(&two, "a") && casts(&two, "b"), "{two:#?}");
    assert!(!casts(&one, "a"), "{one:#?}");
}
