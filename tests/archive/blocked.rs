//! Families that may not move: left out, explained, and no harm to the others.

use std::collections::BTreeSet;

use sexton::archive::{Options, Outcome, StopReason};
use sexton::db::Engine;

use crate::support::cloud::{Cloud, uuid};
use crate::support::databases::Database;

fn until_complete() -> Options {
    Options {
        until_complete: true,
        ..Options::default()
    }
}

fn reasons(outcome: &Outcome) -> Vec<(&str, &str)> {
    outcome
        .blocked
        .iter()
        .map(|b| (b.reason.as_str(), b.root.as_str()))
        .collect()
}

/// Case 2: one leftover share_mapping row aborts every run of nova-manage.
#[test]
fn a_leftover_share_mapping_row_blocks_its_family_alone() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=3).for_each(|id| cloud.dead_instance(id));
        cloud.sql(&format!(
            "INSERT INTO share_mapping (id, instance_uuid) VALUES (5, '{}')",
            uuid(2)
        ));
        let outcome = cloud.archive_all();
        assert!(cloud.is_archived(1) && cloud.is_archived(3) && !cloud.is_archived(2));
        assert_eq!(reasons(&outcome), [("no-shadow-table", "instances:2")]);
        assert_eq!(
            outcome.blocked[0].path,
            [
                "instances:2",
                "share_mapping.instance_uuid -> instances.uuid",
                "share_mapping:5"
            ]
        );
        assert!(
            outcome.blocked[0]
                .remedy
                .contains("--drop-unshadowed share_mapping")
        );
    });
}

#[test]
fn drop_unshadowed_writes_the_rows_to_a_file_and_deletes_them() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.live_instance(2);
        cloud.sql(&format!(
            "INSERT INTO share_mapping (id, instance_uuid, tag) VALUES (5, '{}', 'say \"hi\"'), \
             (6, '{}', 'live')",
            uuid(1),
            uuid(2)
        ));
        let directory = tempfile::tempdir().unwrap();
        let outcome = cloud.archive(&Options {
            drop_unshadowed: BTreeSet::from(["share_mapping".to_owned()]),
            export_dir: directory.path().to_owned(),
            ..until_complete()
        });
        assert!(cloud.is_archived(1));
        assert_eq!(outcome.dropped["share_mapping"], 1);
        assert_eq!(cloud.count("share_mapping WHERE id = 6"), 1);
        assert_eq!(cloud.count("share_mapping"), 1);
        let path = directory.path().join("share_mapping.jsonl");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "whole rows are for nobody else");
        }
        let file = std::fs::read_to_string(path).unwrap();
        let record: serde_json::Value = serde_json::from_str(file.trim_end()).unwrap();
        assert_eq!(record["table"], "share_mapping");
        assert_eq!(record["row"]["id"], 5);
        assert_eq!(record["row"]["tag"], "say \"hi\"");
        assert_eq!(record["row"]["share_id"], serde_json::Value::Null);
    });
}

#[test]
fn rows_are_not_deleted_when_their_file_cannot_be_written() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    cloud.dead_instance(1);
    cloud.sql(&format!(
        "INSERT INTO share_mapping (id, instance_uuid) VALUES (5, '{}')",
        uuid(1)
    ));
    let graph = cloud.graph();
    let options = Options {
        drop_unshadowed: BTreeSet::from(["share_mapping".to_owned()]),
        export_dir: "/nowhere/at/all".into(),
        ..until_complete()
    };
    let stop = sexton::archive::Stop::default();
    let error =
        sexton::archive::archive(&mut cloud.session, &graph, &options, &stop, &mut ()).unwrap_err();
    assert!(error.to_string().contains("nothing was deleted"), "{error}");
    assert_eq!(cloud.count("share_mapping"), 1);
    assert!(!cloud.is_archived(1));
}

/// A live rule of a living group names the deleted group.
#[test]
fn a_live_child_over_a_shared_reference_blocks() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql(
            "INSERT INTO security_groups (id, name, deleted) VALUES (1, 'dead', 1), (2, 'live', 0), \
             (3, 'dead too', 3);
             INSERT INTO security_group_rules (id, parent_group_id, group_id, deleted) \
             VALUES (1, 2, 1, 0)",
        );
        let outcome = cloud.archive_all();
        assert_eq!(reasons(&outcome), [("live-child", "security_groups:1")]);
        assert_eq!(cloud.count("security_groups WHERE id IN (1, 2)"), 2);
        assert_eq!(cloud.count("shadow_security_groups WHERE id = 3"), 1);
        assert!(
            outcome.blocked[0]
                .remedy
                .contains("UPDATE security_group_rules SET")
        );
    });
}

/// The deleted rule of a living group goes first, then the deleted group that it names.
#[test]
fn a_deleted_child_over_a_shared_reference_goes_before_its_parent() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql(
            "INSERT INTO security_groups (id, name, deleted) VALUES (1, 'dead', 1), (2, 'live', 0);
             INSERT INTO security_group_rules (id, parent_group_id, group_id, deleted) \
             VALUES (1, 2, 1, 1)",
        );
        let outcome = cloud.archive_all();
        assert_eq!(outcome.blocked, []);
        assert_eq!(cloud.count("shadow_security_groups WHERE id = 1"), 1);
        assert_eq!(cloud.count("shadow_security_group_rules"), 1);
    });
}

/// The deleted child is itself held back, so its parent must stay, and says so.
#[test]
fn a_parent_waits_for_a_deleted_child_that_stays() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql(&format!(
            "INSERT INTO share_mapping (id, instance_uuid) VALUES (5, '{u}');
             INSERT INTO security_groups (id, name, deleted) VALUES (1, 'dead', 1);
             INSERT INTO security_group_instance_association \
             (id, security_group_id, instance_uuid, deleted) VALUES (1, 1, '{u}', 1)",
            u = uuid(1)
        ));
        let outcome = cloud.archive_all();
        assert_eq!(
            reasons(&outcome),
            [
                ("no-shadow-table", "instances:1"),
                ("soft-deleted-child-stays", "security_groups:1")
            ]
        );
        assert_eq!(outcome.total_rows, 0);
    });
}

/// Case 9: without shadow_instances nova-manage archives the children alone.
#[test]
fn without_a_shadow_table_for_the_root_nothing_of_the_family_moves() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql("DROP TABLE shadow_instances");
        let outcome = cloud.archive_all();
        assert_eq!(reasons(&outcome), [("no-shadow-table", "instances:1")]);
        assert_eq!(outcome.total_rows, 0);
    });
}

#[test]
fn without_a_shadow_table_for_a_child_only_families_with_such_a_child_stay() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.dead_instance(2);
        cloud.sql("DROP TABLE shadow_block_device_mapping");
        cloud.sql(&format!(
            "DELETE FROM block_device_mapping WHERE instance_uuid = '{}'",
            uuid(2)
        ));
        let outcome = cloud.archive_all();
        assert_eq!(reasons(&outcome), [("no-shadow-table", "instances:1")]);
        assert_eq!(cloud.count("shadow_instances WHERE id = 2"), 1);
        assert_eq!(cloud.count("shadow_instance_extra"), 1);
        assert_eq!(cloud.count("instance_extra WHERE id = 1"), 1);
    });
}

/// A column that the shadow table lacks is an error before the first write, never NULLs after.
#[test]
fn a_missing_shadow_column_blocks_and_the_remedy_mends_it() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql("ALTER TABLE shadow_instance_extra DROP COLUMN vpmems");
        let outcome = cloud.archive_all();
        assert_eq!(
            reasons(&outcome),
            [("shadow-column-missing", "instances:1")]
        );
        let remedy = outcome.blocked[0].remedy.clone();
        cloud.session.execute(&remedy).unwrap();
        cloud.archive_all();
        assert!(cloud.is_archived(1));
        assert_eq!(
            cloud.count("shadow_instance_extra WHERE vpmems = 'kept'"),
            1
        );
    });
}

/// Case 11: id reuse, or a half-done older run. nova-manage's whole batch is stuck for good.
#[test]
fn a_key_that_the_shadow_table_has_blocks_its_family_alone() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=40).for_each(|id| cloud.dead_instance(id));
        cloud.sql(
            "INSERT INTO shadow_instance_system_metadata (id, instance_uuid, `key`, deleted) \
             VALUES (171, 'u', 'x', 1)",
        );
        let outcome = cloud.archive_all();
        assert_eq!(reasons(&outcome), [("shadow-key-taken", "instances:17")]);
        assert_eq!((1..=40).filter(|id| cloud.is_archived(*id)).count(), 39);
    });
}

/// Whatever else the database refuses: the family is found and left out.
#[test]
fn a_family_that_the_database_refuses_is_left_out() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=30).for_each(|id| cloud.dead_instance(id));
        let (engine, bad) = (cloud.engine(), uuid(7));
        // A check that only one row fails.
        let check = format!("CHECK (instance_uuid <> '{bad}')");
        match engine {
            Engine::Sqlite => cloud.session.execute(&format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON shadow_instance_extra \
                     WHEN NEW.instance_uuid = '{bad}' BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )),
            Engine::Mysql | Engine::Postgres => cloud.session.execute(&format!(
                "ALTER TABLE shadow_instance_extra ADD CONSTRAINT refuse {check}"
            )),
        }
        .unwrap();
        let outcome = cloud.archive_all();
        assert_eq!(reasons(&outcome), [("refused", "instances:7")]);
        assert_eq!((1..=30).filter(|id| cloud.is_archived(*id)).count(), 29);
    });
}

/// Case 10: a rollback leaves copies in a MyISAM shadow table.
#[test]
fn a_shadow_table_that_cannot_roll_back_blocks() {
    let mut cloud = Cloud::new(Engine::Mysql);
    cloud.dead_instance(1);
    cloud.sql("ALTER TABLE shadow_instance_extra ENGINE=MyISAM");
    let outcome = cloud.archive_all();
    assert_eq!(
        reasons(&outcome),
        [("non-transactional-table", "instances:1")]
    );
    cloud.sql(&outcome.blocked[0].remedy);
    cloud.archive_all();
    assert!(cloud.is_archived(1));
}

/// A table that no profile knows, without any key, refers to instances.
#[test]
fn a_child_table_without_a_key_blocks_only_families_with_such_a_child() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.dead_instance(2);
        let charset = match cloud.engine() {
            Engine::Mysql => "CHARACTER SET utf8mb3",
            Engine::Sqlite | Engine::Postgres => "",
        };
        cloud.sql(&format!(
            "CREATE TABLE instance_notes (instance_uuid VARCHAR(36) {charset} NOT NULL, \
             deleted INTEGER, FOREIGN KEY (instance_uuid) REFERENCES instances (uuid))",
        ));
        cloud.archive_all();
        assert!(cloud.is_archived(1), "the table is empty");
        cloud.dead_instance(3);
        cloud.dead_instance(4);
        cloud.sql(&format!(
            "INSERT INTO instance_notes VALUES ('{}', 1)",
            uuid(3)
        ));
        let outcome = cloud.archive_all();
        assert!(cloud.is_archived(4) && !cloud.is_archived(3));
        assert!(!outcome.blocked.is_empty());
        assert!(outcome.has_blocked());
    });
}

#[test]
fn every_blocked_root_is_counted_and_a_hundred_are_listed() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=130).for_each(|id| cloud.dead_instance(id));
    cloud.sql("DROP TABLE shadow_instances");
    let outcome = cloud.archive_all();
    assert_eq!(outcome.blocked_families["no-shadow-table"], 130);
    assert_eq!(outcome.blocked.len(), 100);
}

/// Groups in a ring, more than one batch holds: each waits for the next one's rule.
#[test]
fn families_that_wait_for_each_other_move_together() {
    Cloud::on_each_engine(|mut cloud| {
        for id in 1..=20 {
            cloud.sql(&format!(
                "INSERT INTO security_groups (id, name, deleted, deleted_at) \
                 VALUES ({id}, 'g{id}', {id}, '2025-06-01 00:00:00')"
            ));
        }
        for id in 1..=20 {
            let next = id % 20 + 1;
            cloud.sql(&format!(
                "INSERT INTO security_group_rules (id, parent_group_id, group_id, deleted) \
                 VALUES ({id}, {id}, {next}, {id})"
            ));
        }
        // The youngest one holds all of them back.
        cloud.sql("UPDATE security_groups SET deleted_at = '2025-07-01 00:00:00' WHERE id = 9");
        let before = sexton::archive::Before::parse("2025-06-15", jiff::Timestamp::now()).unwrap();
        let outcome = cloud.archive(&Options {
            max_rows: 10,
            before: Some(before),
            ..until_complete()
        });
        assert_eq!(outcome.total_rows, 0);
        assert_eq!(outcome.blocked_families["soft-deleted-child-stays"], 19);
        let outcome = cloud.archive(&Options {
            max_rows: 10,
            ..until_complete()
        });
        assert_eq!((outcome.families, outcome.total_rows), (1, 40));
        assert_eq!(outcome.blocked, []);
    });
}

/// A marked grandchild under an unmarked child: the family begins at the top.
#[test]
fn a_marked_row_far_below_a_deleted_root_does_not_go_alone() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.sql(&format!(
            "UPDATE instance_actions_events SET deleted = 1;
             INSERT INTO share_mapping (id, instance_uuid) VALUES (5, '{}')",
            uuid(1)
        ));
        let outcome = cloud.archive_all();
        assert_eq!(outcome.total_rows, 0);
        assert!(!cloud.is_archived(1));
    });
}

/// A group that is named by a rule of another one waits for that; what holds the other back holds it too.
#[test]
fn what_holds_a_family_back_holds_those_that_need_it() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql(
            "INSERT INTO security_groups (id, name, deleted) VALUES (1, 'a', 1), (2, 'b', 2), \
             (3, 'c', 3), (4, 'live', 0);
             INSERT INTO security_group_rules (id, parent_group_id, group_id, deleted) \
             VALUES (1, 2, 1, 1), (2, 3, 2, 2), (3, 4, 3, 0)",
        );
        let outcome = cloud.archive_all();
        assert_eq!(outcome.total_rows, 0);
        assert_eq!(
            outcome.blocked_families,
            [("live-child".to_owned(), 3)].into()
        );
        let paths: Vec<_> = outcome
            .blocked
            .iter()
            .map(|b| b.path.join(" <- "))
            .collect();
        insta::allow_duplicates! { insta::assert_debug_snapshot!(paths); }
        for blocked in &outcome.blocked {
            assert_eq!(blocked.root, blocked.path[0]);
        }
    });
}

/// A limit is no reason to forget what was found before.
#[test]
fn a_run_that_stops_early_says_what_was_blocked() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=3).for_each(|id| cloud.dead_instance(id));
        cloud.sql(&format!(
            "INSERT INTO share_mapping (id, uuid, instance_uuid, share_id, status, tag) \
             VALUES (1, 's', '{}', 'x', 'inactive', 't')",
            uuid(1)
        ));
        let outcome = cloud.archive(&Options {
            max_rows: 8,
            ..Options::default()
        });
        assert_eq!(outcome.stopped_because, StopReason::MaxRows);
        assert_eq!(outcome.total_rows, 8);
        assert_eq!(reasons(&outcome), [("no-shadow-table", "instances:1")]);
    });
}

#[test]
fn a_hundred_roots_without_a_date_are_listed_and_all_are_counted() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=101).for_each(|id| cloud.instance_deleted_at(id, Some("2025-06-01 00:00:00")));
    cloud.sql("UPDATE instances SET deleted_at = NULL");
    let before = sexton::archive::Before::parse("2025-07-01", jiff::Timestamp::now()).unwrap();
    let outcome = cloud.archive(&Options {
        before: Some(before),
        ..until_complete()
    });
    assert_eq!(outcome.blocked_families["no-date"], 101);
    assert_eq!(outcome.blocked.len(), 100);
}

/// The other way round: a family that is needed by one that stays goes all the same.
#[test]
fn what_a_blocked_family_needs_may_go() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql(
            "INSERT INTO security_groups (id, name, deleted) VALUES (1, 'a', 1), (2, 'b', 2), \
             (4, 'live', 0);
             INSERT INTO security_group_rules (id, parent_group_id, group_id, deleted) \
             VALUES (1, 2, 1, 1), (3, 4, 1, 0)",
        );
        let outcome = cloud.archive(&Options {
            dry_run: true,
            ..until_complete()
        });
        assert_eq!(reasons(&outcome), [("live-child", "security_groups:1")]);
        let outcome = cloud.archive_all();
        assert_eq!(outcome.total_rows, 2);
        assert_eq!(reasons(&outcome), [("live-child", "security_groups:1")]);
        assert_eq!(cloud.count("security_groups WHERE id = 2"), 0);
    });
}

#[test]
fn a_living_child_without_a_key_is_named_as_well_as_can_be() {
    let mut cloud = Cloud::on(Database::fresh(Engine::Sqlite));
    cloud.sql(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, deleted INTEGER NOT NULL);
         CREATE TABLE shadow_a (id INTEGER PRIMARY KEY, deleted INTEGER NOT NULL);
         CREATE TABLE k (a_id INTEGER REFERENCES a (id), deleted INTEGER NOT NULL);
         INSERT INTO a VALUES (1, 1);
         INSERT INTO k VALUES (1, 0)",
    );
    let outcome = cloud.archive(&until_complete());
    assert_eq!(reasons(&outcome), [("live-child", "a:1")]);
    assert_eq!(outcome.blocked[0].remedy, "DELETE FROM k WHERE ...");
}

/// Its own roots, not only what hangs on others.
#[test]
fn soft_deleted_rows_of_a_table_without_shadow_go_to_a_file_on_request() {
    for database in Database::on_each_engine() {
        let (binary, bytes) = match database.engine {
            Engine::Postgres => ("BYTEA", "'\\x00ff'"),
            Engine::Sqlite | Engine::Mysql => ("BLOB", "x'00ff'"),
        };
        let mut cloud = Cloud::on(database);
        cloud.sql(&format!(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, deleted INTEGER NOT NULL, data {binary});
             CREATE TABLE b (id INTEGER PRIMARY KEY, deleted INTEGER NOT NULL);
             CREATE TABLE shadow_b (id INTEGER PRIMARY KEY, deleted INTEGER NOT NULL);
             INSERT INTO a VALUES (1, 1, {bytes}), (2, 0, NULL)"
        ));
        let outcome = cloud.archive(&until_complete());
        assert_eq!(reasons(&outcome), [("no-shadow-table", "a:1")]);
        let directory = tempfile::tempdir().unwrap();
        let outcome = cloud.archive(&Options {
            drop_unshadowed: ["a".to_owned()].into(),
            export_dir: directory.path().to_owned(),
            ..until_complete()
        });
        assert_eq!(outcome.dropped["a"], 1);
        assert_eq!(cloud.count("a"), 1);
        let file = std::fs::read_to_string(directory.path().join("a.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(&file.to_lowercase()).unwrap();
        assert_eq!(
            line["row"],
            serde_json::json!({"id": 1, "deleted": 1, "data": "00ff"})
        );
    }
}

#[test]
fn only_rows_that_can_be_told_apart_and_have_no_other_place_go_to_a_file() {
    let mut cloud = Cloud::on(Database::fresh(Engine::Sqlite));
    cloud.sql(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, deleted INTEGER NOT NULL);
         CREATE TABLE shadow_a (id INTEGER PRIMARY KEY, deleted INTEGER NOT NULL);
         CREATE TABLE k (number INTEGER, deleted INTEGER NOT NULL)",
    );
    let graph = cloud.graph();
    for (table, said) in [
        ("a", "'a' has a shadow table, where its rows go"),
        ("k", "table 'k' has no key to tell rows apart"),
        ("z", "there is no table 'z'"),
    ] {
        let options = Options {
            drop_unshadowed: [table.to_owned()].into(),
            ..until_complete()
        };
        let stop = sexton::archive::Stop::default();
        let session = &mut cloud.session;
        let error = sexton::archive::archive(session, &graph, &options, &stop, &mut ());
        let error = error.unwrap_err();
        assert_eq!(error.code, sexton::exit::ExitCode::Usage);
        assert!(error.message.ends_with(said), "{error}");
    }
}
