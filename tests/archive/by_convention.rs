//! References that the database does not declare (case 16).

use std::collections::BTreeSet;

use sexton::archive::Options;

use crate::support::cloud::{Cloud, uuid};

fn rows_by_convention(cloud: &mut Cloud, id: i64) {
    cloud.sql(&format!(
        "INSERT INTO instance_id_mappings (id, uuid, deleted) VALUES ({id}, '{u}', 0);
         INSERT INTO volume_usage_cache (id, volume_id, instance_uuid, deleted) \
         VALUES ({id}, 'v', '{u}', 0)",
        u = uuid(id)
    ));
}

#[test]
fn children_by_convention_go_with_their_instance() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.live_instance(2);
        rows_by_convention(&mut cloud, 1);
        rows_by_convention(&mut cloud, 2);
        cloud.archive_all();
        for table in ["instance_id_mappings", "volume_usage_cache"] {
            assert_eq!(
                cloud.count(&format!("shadow_{table} WHERE id = 1")),
                1,
                "{table}"
            );
            assert_eq!(cloud.count(&format!("{table} WHERE id = 2")), 1, "{table}");
        }
    });
}

/// nova-manage leaves them for ever; the next run of sexton fetches them.
#[test]
fn children_by_convention_that_were_left_behind_follow() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.archive_all();
        rows_by_convention(&mut cloud, 1);
        let outcome = cloud.archive_all();
        assert_eq!(outcome.total_rows, 2);
        assert_eq!(cloud.count("shadow_volume_usage_cache"), 1);
        assert_eq!(cloud.count("volume_usage_cache"), 0);
    });
}

#[test]
fn rows_by_convention_in_a_table_without_shadow_stay_and_are_reported() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql(&format!(
            "INSERT INTO tags (resource_id, tag) VALUES ('{u}', 'a'), ('{u}', 'b')",
            u = uuid(1)
        ));
        let outcome = cloud.archive_all();
        assert!(cloud.is_archived(1));
        assert_eq!(outcome.left_behind["tags"], 2);
        assert_eq!(cloud.count("tags"), 2);

        let directory = tempfile::tempdir().unwrap();
        let outcome = cloud.archive(&Options {
            until_complete: true,
            drop_unshadowed: BTreeSet::from(["tags".to_owned()]),
            export_dir: directory.path().to_owned(),
            ..Options::default()
        });
        assert_eq!(outcome.dropped["tags"], 2);
        assert_eq!(cloud.count("tags"), 0);
        let file = std::fs::read_to_string(directory.path().join("tags.jsonl")).unwrap();
        assert_eq!(file.lines().count(), 2);
    });
}
