//! What belongs to a family and moves with it.

use sexton::archive::Options;

use crate::support::cloud::{Cloud, ROWS_PER_INSTANCE, uuid};

#[test]
fn a_family_moves_whole_and_live_instances_stay() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.live_instance(2);
        cloud.dead_instance(3);
        let outcome = cloud.archive_all();
        assert!(cloud.is_archived(1) && cloud.is_archived(3) && !cloud.is_archived(2));
        assert_eq!(outcome.families, 2);
        assert_eq!(outcome.total_rows, 2 * ROWS_PER_INSTANCE);
        assert_eq!(outcome.rows["instance_system_metadata"], 4);
        assert_eq!(outcome.blocked, []);
    });
}

/// Bug 1622545: children that nobody marked deleted made instances un-archivable.
#[test]
fn residue_goes_with_its_parent() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql(
            "UPDATE instance_extra SET deleted = 0, deleted_at = NULL;
             UPDATE instance_system_metadata SET deleted = 0, deleted_at = NULL",
        );
        cloud.archive_all();
        assert!(cloud.is_archived(1));
    });
}

/// Case 3: foreign keys of tables whose models were removed stop nova-manage.
#[test]
fn rows_of_removed_models_go_too() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql(&format!(
            "INSERT INTO console_pools (id, deleted) VALUES (1, 0);
             INSERT INTO consoles (id, instance_uuid, pool_id, deleted) VALUES (1, '{u}', 1, 0);
             INSERT INTO fixed_ips (id, instance_uuid, deleted) VALUES (1, '{u}', 0)",
            u = uuid(1)
        ));
        cloud.archive_all();
        assert!(cloud.is_archived(1));
        assert_eq!(cloud.count("shadow_consoles"), 1);
        assert_eq!(cloud.count("shadow_fixed_ips"), 1);
    });
}

/// Case 4: nova-manage inserts a rule with two references to its group twice.
#[test]
fn a_rule_with_two_references_to_its_group_moves_once() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql(
            "INSERT INTO security_groups (id, name, deleted, deleted_at) \
             VALUES (1, 'g', 1, '2025-06-01 00:00:00');
             INSERT INTO security_group_rules (id, parent_group_id, group_id, deleted) \
             VALUES (1, 1, 1, 0)",
        );
        let outcome = cloud.archive_all();
        assert_eq!(cloud.count("shadow_security_group_rules"), 1);
        assert_eq!(outcome.rows["security_groups"], 1);
    });
}

/// Two deleted groups whose rules name each other are one family.
#[test]
fn groups_whose_rules_name_each_other_move_together() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql(
            "INSERT INTO security_groups (id, name, deleted) VALUES (1, 'a', 1), (2, 'b', 2);
             INSERT INTO security_group_rules (id, parent_group_id, group_id, deleted) \
             VALUES (1, 1, 2, 1), (2, 2, 1, 2)",
        );
        let outcome = cloud.archive_all();
        assert_eq!((outcome.families, outcome.total_rows), (1, 4));
        assert_eq!(cloud.count("security_groups"), 0);
    });
}

/// Case 13: nova-manage archives columns that its models forgot as NULL. `contents` compares every
/// column; these two are the known ones.
#[test]
fn columns_that_the_models_forgot_are_copied() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.archive_all();
        assert_eq!(cloud.count("shadow_instances WHERE internal_id = 7"), 1);
        assert_eq!(
            cloud.count("shadow_instance_extra WHERE vpmems = 'kept'"),
            1
        );
    });
}

/// Case 15: PostgreSQL gives `shadow_instances.locked_by` an enum type of its own.
#[test]
fn enum_values_move_between_types() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql("UPDATE instances SET locked_by = 'admin'");
        cloud.archive_all();
        assert_eq!(cloud.count("shadow_instances WHERE locked_by = 'admin'"), 1);
    });
}

/// Bug 1899541: an allocated PCI device is live inventory.
#[test]
fn allocated_pci_devices_stay() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql(&format!(
            "INSERT INTO compute_nodes (id, vcpus, memory_mb, local_gb, vcpus_used, memory_mb_used, \
             local_gb_used, hypervisor_type, hypervisor_version, cpu_info, deleted) \
             VALUES (1, 1, 1, 1, 1, 1, 1, 'q', 1, '{{}}', 0);
             INSERT INTO pci_devices (id, compute_node_id, address, product_id, vendor_id, \
             dev_type, label, status, instance_uuid, deleted) \
             VALUES (1, 1, 'a', 'p', 'v', 't', 'l', 'allocated', '{}', 0)",
            uuid(1)
        ));
        cloud.archive_all();
        assert!(cloud.is_archived(1));
        assert_eq!(cloud.count("pci_devices"), 1);
        assert_eq!(cloud.count("shadow_pci_devices"), 0);
    });
}

/// Case 5: nova-manage raises on a table that is not in its models, after the instances went.
#[test]
fn tables_that_nobody_knows_are_left_alone() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql("CREATE TABLE instances_bak (id INTEGER PRIMARY KEY, note VARCHAR(9))");
        cloud.sql("INSERT INTO instances_bak (id, note) VALUES (1, 'x')");
        cloud.archive_all();
        assert!(cloud.is_archived(1));
        assert_eq!(cloud.count("instances_bak"), 1);
    });
}

/// Nova's test_archive_deleted_rows_parent_child_trees_one_at_time: `--max-rows 5` moves one whole
/// family per run.
#[test]
fn a_family_larger_than_max_rows_moves_alone() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=3).for_each(|id| cloud.dead_instance(id));
        let options = Options {
            max_rows: 5,
            ..Options::default()
        };
        for archived in 1..=3 {
            let outcome = cloud.archive(&options);
            assert_eq!(
                (outcome.families, outcome.total_rows),
                (1, ROWS_PER_INSTANCE)
            );
            let there = (1..=3).filter(|id| cloud.is_archived(*id)).count();
            assert_eq!(there, archived);
        }
        assert_eq!(cloud.archive(&options).total_rows, 0);
    });
}
