//! Which rows begin a family: age, task log, children of living parents.

use jiff::Timestamp;
use sexton::archive::{Before, Options};

use crate::support::cloud::{Cloud, uuid};

fn before(text: &str) -> Options {
    let before = Before::parse(text, Timestamp::now()).unwrap();
    Options {
        until_complete: true,
        before: Some(before),
        ..Options::default()
    }
}

#[test]
fn before_takes_families_by_the_date_of_their_root() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.instance_deleted_at(1, Some("2020-01-01 00:00:00"));
        cloud.instance_deleted_at(2, Some("2021-01-01 00:00:00"));
        assert_eq!(cloud.archive(&before("2019-01-01")).total_rows, 0);
        let outcome = cloud.archive(&before("2020-06-01"));
        assert!(cloud.is_archived(1) && !cloud.is_archived(2));
        assert!(outcome.blocked_families.is_empty(), "{outcome:?}");
        cloud.archive(&before("2100-01-01"));
        assert!(cloud.is_archived(2));
    });
}

/// Case 6: nova-manage filters each table by itself, so that the older child goes and its parent
/// stays.
#[test]
fn before_never_takes_a_child_without_its_parent() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.instance_deleted_at(1, Some("2021-01-01 00:00:00"));
        cloud.sql("UPDATE instance_system_metadata SET deleted_at = '2019-01-01 00:00:00'");
        let outcome = cloud.archive(&before("2020-01-01"));
        assert_eq!(outcome.total_rows, 0);
        assert!(!cloud.is_archived(1));
    });
}

/// Case 7: a NULL date never matches; it is reported instead of forgotten.
#[test]
fn a_root_without_a_date_is_reported_under_before() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql("UPDATE instances SET deleted_at = NULL");
        let outcome = cloud.archive(&before("2100-01-01"));
        assert!(!cloud.is_archived(1));
        assert_eq!(outcome.blocked_families["no-date"], 1);
        assert_eq!(outcome.blocked[0].root, "instances:1");
        cloud.archive_all();
        assert!(cloud.is_archived(1));
    });
}

/// A detached volume of a living instance.
#[test]
fn a_deleted_child_of_a_living_parent_is_a_root_of_its_own() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.live_instance(1);
        cloud.sql(&format!(
            "INSERT INTO block_device_mapping (id, instance_uuid, deleted) VALUES (9, '{}', 9)",
            uuid(1)
        ));
        let outcome = cloud.archive_all();
        assert_eq!(outcome.total_rows, 1);
        assert_eq!(cloud.count("shadow_block_device_mapping WHERE id = 9"), 1);
        assert_eq!(cloud.count("instances"), 1);
    });
}

/// Bug 1877189: task_log rows are never marked; they move on request, by updated_at.
#[test]
fn the_task_log_moves_on_request_only() {
    Cloud::on_each_engine(|mut cloud| {
        let row = |id: i64, year: i64| {
            format!(
                "INSERT INTO task_log (id, task_name, state, host, period_beginning, \
                 period_ending, message, deleted, updated_at) VALUES ({id}, 't', 's', 'h', \
                 '{year}-01-01 00:00:00', '{year}-02-01 00:00:00', 'm', 0, '{year}-03-01 00:00:00')"
            )
        };
        cloud.sql(&row(1, 2020));
        cloud.sql(&row(2, 2022));
        assert_eq!(cloud.archive_all().total_rows, 0);
        cloud.archive(&Options {
            task_log: true,
            ..before("2021-01-01")
        });
        assert_eq!(cloud.count("shadow_task_log WHERE id = 1"), 1);
        assert_eq!(cloud.count("task_log"), 1);
        let all = Options {
            task_log: true,
            until_complete: true,
            ..Options::default()
        };
        cloud.archive(&all);
        assert_eq!(cloud.count("task_log"), 0);
    });
}
