use crate::fixture::{Db, State, uuid};

const CHECK: &str = "orphaned-row";

#[test]
fn a_child_of_nobody_is_found_in_either_table() {
    let mut db = Db::clean();
    db.insert(
        "instance_system_metadata",
        900,
        State::Live,
        "instance_uuid",
        &uuid(99),
    );
    db.insert(
        "instance_system_metadata",
        901,
        State::Deleted,
        "instance_uuid",
        &uuid(98),
    );
    db.insert(
        "shadow_instance_extra",
        902,
        State::Deleted,
        "instance_uuid",
        &uuid(97),
    );
    db.sql(&format!("INSERT INTO tags VALUES ('{}', 'x')", uuid(96)));
    db.sql("UPDATE instances SET compute_id = 77 WHERE id = 2");
    assert_eq!(
        db.lines(CHECK),
        [
            "warning shadow_instance_extra instance_extra.instance_uuid -> instances.uuid 1 [902]",
            "error instance_system_metadata \
             instance_system_metadata.instance_uuid -> instances.uuid 2 [900 901]",
            "warning tags tags.resource_id -> instances.uuid 1 \
             [00000060-0000-4000-8000-000000000000/x]",
            "warning instances instances.compute_id -> compute_nodes.id 1 [2]",
        ]
    );
}

#[test]
fn an_owned_row_is_deleted() {
    let mut db = Db::clean();
    db.insert(
        "instance_actions_events",
        900,
        State::Live,
        "action_id",
        "77",
    );
    assert_eq!(db.findings(CHECK).len(), 1);
    db.mend(CHECK);
}

#[test]
fn a_shared_reference_is_cut() {
    let mut db = Db::clean();
    db.sql("UPDATE instances SET compute_id = 77 WHERE id = 2");
    db.mend(CHECK);
}
