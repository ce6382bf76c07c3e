use crate::fixture::{Db, State, uuid};

const CHECK: &str = "residue";

#[test]
fn bug_1622545_live_rows_of_a_deleted_parent() {
    let mut db = Db::clean();
    db.sql(
        "UPDATE instance_system_metadata SET deleted = 0, deleted_at = NULL WHERE id IN (30, 40)",
    );
    assert_eq!(
        db.lines(CHECK),
        ["warning instance_system_metadata \
          instance_system_metadata.instance_uuid -> instances.uuid 2 [30 40]"]
    );
    assert_eq!(
        db.findings(CHECK)[0].message,
        "live instance_system_metadata rows belong to soft-deleted instances rows"
    );
}

#[test]
fn rows_without_a_foreign_key_are_noted() {
    let mut db = Db::clean();
    db.sql(&format!(
        "INSERT INTO tags VALUES ('{}', 'x'), ('{}', 'y')",
        uuid(3),
        uuid(1)
    ));
    db.insert(
        "volume_usage_cache",
        900,
        State::Live,
        "instance_uuid",
        &uuid(4),
    );
    let message = &db.findings(CHECK)[1].message;
    assert_eq!(message, "tags rows belong to soft-deleted instances rows");
    assert_eq!(
        db.lines(CHECK),
        [
            "note volume_usage_cache volume_usage_cache.instance_uuid -> instances.uuid 1 [900]",
            "note tags tags.resource_id -> instances.uuid 1 \
             [00000003-0000-4000-8000-000000000000/x]",
        ]
    );
}

#[test]
fn rows_that_could_not_follow_their_parent() {
    let mut db = Db::clean();
    db.sql(&format!("INSERT INTO tags VALUES ('{}', 'x')", uuid(5)));
    db.sql(&format!(
        "INSERT INTO share_mapping VALUES (7, '{}')",
        uuid(6)
    ));
    let findings = db.findings(CHECK);
    let remedies: Vec<_> = findings.iter().map(|f| f.remedy.as_str()).collect();
    assert_eq!(
        remedies,
        [
            "`sexton archive --drop-unshadowed share_mapping` writes such rows to a file and deletes them",
            "`sexton archive --drop-unshadowed tags` writes such rows to a file and deletes them",
        ]
    );
}

#[test]
fn a_parent_that_is_live_too_has_left_nobody() {
    let mut db = Db::clean();
    db.sql(&format!("INSERT INTO tags VALUES ('{}', 'x')", uuid(1)));
    db.sql("INSERT INTO shadow_instances SELECT * FROM instances WHERE id = 1");
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
}

#[test]
fn rows_archived_while_they_were_marked_live_are_noted() {
    let mut db = Db::clean();
    db.sql("UPDATE shadow_instance_system_metadata SET deleted = 0, deleted_at = NULL");
    assert_eq!(
        db.lines(CHECK),
        ["note shadow_instance_system_metadata \
          instance_system_metadata.instance_uuid -> instances.uuid 2 [50 60]"]
    );
}

/// It holds the other back: unarchivable-parent.
#[test]
fn a_live_row_that_merely_points_at_a_deleted_one_is_no_residue() {
    let mut db = Db::clean();
    let table = "security_group_instance_association";
    db.insert(table, 500, State::Live, "security_group_id", "2");
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
}
