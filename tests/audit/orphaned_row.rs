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
    let findings = db.findings(CHECK);
    assert_eq!(
        findings[0].message,
        "instance_actions_events rows point at instance_actions rows that are in neither \
         instance_actions nor shadow_instance_actions"
    );
    db.mend(CHECK);
    let count = "SELECT COUNT(*) FROM instance_actions_events WHERE id = 900";
    assert_eq!(db.session.query_count(count).unwrap(), 0);
}

#[test]
fn a_shared_reference_is_cut() {
    let mut db = Db::clean();
    db.sql("UPDATE instances SET compute_id = 77 WHERE id = 2");
    db.mend(CHECK);
    let count = "SELECT COUNT(*) FROM instances WHERE id = 2 AND compute_id IS NULL";
    assert_eq!(db.session.query_count(count).unwrap(), 1);
}

#[test]
fn a_shared_reference_that_must_be_set_takes_its_row_along() {
    let mut db = Db::clean();
    db.sql("UPDATE pci_devices SET compute_node_id = 77");
    db.mend(CHECK);
    let count = "SELECT COUNT(*) FROM pci_devices";
    assert_eq!(db.session.query_count(count).unwrap(), 0);
}

/// What merely pointed at something may outlive it; what was owned, or tied, should not have.
#[test]
fn an_archived_orphan_is_as_bad_as_its_reference() {
    let mut db = Db::clean();
    db.insert(
        "shadow_volume_usage_cache",
        900,
        State::Live,
        "instance_uuid",
        &uuid(99),
    );
    db.insert(
        "shadow_pci_devices",
        901,
        State::Deleted,
        "compute_node_id",
        "77",
    );
    db.sql("UPDATE shadow_instances SET compute_id = 77 WHERE id = 5");
    let mut lines = db.lines(CHECK);
    lines.sort();
    assert_eq!(
        lines,
        [
            "note shadow_instances instances.compute_id -> compute_nodes.id 1 [5]",
            "warning shadow_pci_devices pci_devices.compute_node_id -> compute_nodes.id 1 [901]",
            "warning shadow_volume_usage_cache \
             volume_usage_cache.instance_uuid -> instances.uuid 1 [900]",
        ]
    );
}

#[test]
fn a_parent_without_a_shadow_table_is_just_not_there() {
    let mut db = Db::clean();
    db.sql("DROP TABLE shadow_compute_nodes");
    db.sql("UPDATE pci_devices SET compute_node_id = 77");
    assert_eq!(
        db.findings(CHECK)[0].message,
        "pci_devices rows point at compute_nodes rows that are not there"
    );
}
