//! What a run asks and writes, statement by statement. A change here is a change of cost or of meaning.

use std::path::Path;

use jiff::Timestamp;
use sexton::archive::{Before, Options, Outcome, Stop, archive};
use sexton::db::Engine;

use crate::rough::session;
use crate::support::cloud::{Cloud, uuid};
use crate::support::databases::Database;

fn all() -> Options {
    Options {
        until_complete: true,
        max_rows: 16,
        ..Options::default()
    }
}

/// The statements of a run, long lists of columns left out; they are counted in the outcome.
fn statements(cloud: &mut Cloud, options: &Options) -> (String, Outcome) {
    let graph = cloud.graph();
    let (mut session, seen) = session(cloud, &[]);
    let outcome = archive(&mut session, &graph, options, &Stop::default(), &mut ()).unwrap();
    let statements = seen.statements.lock().unwrap();
    // The first one takes the lock.
    assert_eq!(
        statements.len() as u64 - u64::from(!options.dry_run),
        outcome.statements
    );
    assert_eq!((outcome.version, outcome.database.as_str()), (1, "rough"));
    assert_eq!(outcome.dry_run, options.dry_run);
    let before = options.before.as_ref().map(ToString::to_string);
    assert_eq!(outcome.before, before);
    assert!(outcome.api_records.is_empty(), "nobody removed any");
    (
        statements.iter().map(|s| short(s) + "\n").collect(),
        outcome,
    )
}

/// `INSERT INTO t ("a", "b", "c", "d") SELECT "a", "b", "c", "d" FROM` as `INSERT INTO t (...) SELECT ... FROM`.
fn short(statement: &str) -> String {
    let Some((head, rest)) = statement.split_once(" (\"") else {
        return statement.to_owned();
    };
    match rest.split_once(" FROM ") {
        Some((columns, tail)) if head.starts_with("INSERT") => {
            let (into, from) = columns.split_once(") SELECT ").unwrap();
            assert_eq!(into.trim_start_matches('"'), from.trim_start_matches('"'));
            format!("{head} (...) SELECT ... FROM {tail}")
        }
        _ => statement.to_owned(),
    }
}

fn group(cloud: &mut Cloud) {
    cloud.sql(&format!(
        "INSERT INTO security_groups (id, name, deleted, deleted_at) VALUES \
         (1, 'dead', 1, '2025-06-01 00:00:00'), (2, 'live', 0, NULL), (3, 'dead', 3, NULL);
         INSERT INTO security_group_rules (id, parent_group_id, group_id, deleted) VALUES \
         (1, 1, 1, 1), (2, 2, 1, 2), (3, 3, 2, 0);
         INSERT INTO security_group_instance_association \
         (id, security_group_id, instance_uuid, deleted) VALUES (1, 1, '{}', 1)",
        uuid(1)
    ));
}

#[test]
fn of_instances_in_batches() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=3).for_each(|id| cloud.dead_instance(id));
    cloud.live_instance(4);
    cloud.sql(&format!(
        "INSERT INTO volume_usage_cache (id, volume_id, instance_uuid, deleted) VALUES \
         (1, 'v', '{one}', 0), (4, 'v', '{four}', 0);
         INSERT INTO tags (resource_id, tag) VALUES ('{one}', 'a')",
        one = uuid(1),
        four = uuid(4)
    ));
    let (statements, outcome) = statements(&mut cloud, &all());
    insta::assert_snapshot!(statements);
    assert_eq!((outcome.families, outcome.batches), (3, 2));
}

#[test]
fn of_families_that_share_rows() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    cloud.dead_instance(1);
    group(&mut cloud);
    let (statements, outcome) = statements(
        &mut cloud,
        &Options {
            max_rows: 100,
            ..all()
        },
    );
    insta::assert_snapshot!(statements);
    // The instance, two groups, and the rule of the one that lives.
    assert_eq!(outcome.families, 4);
}

#[test]
fn of_a_dry_run_over_families_that_share_rows() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    cloud.dead_instance(1);
    group(&mut cloud);
    let options = Options {
        max_rows: 100,
        dry_run: true,
        ..all()
    };
    insta::assert_snapshot!(statements(&mut cloud, &options).0);
}

#[test]
fn of_a_run_with_a_date_and_the_task_log() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=2).for_each(|id| cloud.dead_instance(id));
    group(&mut cloud);
    cloud.sql("UPDATE instances SET deleted_at = NULL WHERE id = 2");
    let options = Options {
        before: Some(Before::parse("2025-07-01", Timestamp::now()).unwrap()),
        task_log: true,
        ..all()
    };
    let (statements, outcome) = statements(&mut cloud, &options);
    insta::assert_snapshot!(statements);
    // Instance 2, security group 3, rule 2.
    assert_eq!(outcome.blocked_families["no-date"], 3);
}

#[test]
fn of_blocked_families_and_of_one_that_follows_its_parent() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=3).for_each(|id| cloud.dead_instance(id));
    cloud.archive(&Options {
        max_rows: 8,
        ..Options::default()
    });
    cloud.sql(&format!(
        "INSERT INTO share_mapping (id, uuid, instance_uuid, share_id, status, tag) \
         VALUES (1, 's', '{two}', 'x', 'inactive', 't');
         INSERT INTO volume_usage_cache (id, volume_id, instance_uuid, deleted) \
         VALUES (1, 'v', '{one}', 0);
         INSERT INTO shadow_instance_extra (id, instance_uuid, deleted) VALUES (3, '{three}', 3)",
        one = uuid(1),
        two = uuid(2),
        three = uuid(3)
    ));
    let (statements, outcome) = statements(&mut cloud, &all());
    insta::assert_snapshot!(statements);
    assert_eq!(outcome.total_rows, 1);
    let reasons: Vec<_> = outcome.blocked_families.keys().collect();
    assert_eq!(reasons, ["no-shadow-table", "shadow-key-taken"]);
}

#[test]
fn of_rows_that_go_to_a_file() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    cloud.dead_instance(1);
    cloud.sql(&format!(
        "INSERT INTO share_mapping (id, uuid, instance_uuid, share_id, status, tag) \
         VALUES (1, 's', '{}', 'x', 'inactive', 't')",
        uuid(1)
    ));
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        drop_unshadowed: ["share_mapping".to_owned()].into(),
        export_dir: Path::to_owned(directory.path()),
        ..all()
    };
    let (statements, outcome) = statements(&mut cloud, &options);
    insta::assert_snapshot!(statements);
    assert_eq!(outcome.dropped["share_mapping"], 1);
}

/// Roots in two tables that own one child, and a tree of rows of one table.
#[test]
fn of_families_with_several_roots() {
    let mut cloud = Cloud::on(Database::fresh(Engine::Sqlite));
    for (table, columns) in [
        ("a", "deleted INTEGER NOT NULL"),
        ("b", "deleted INTEGER NOT NULL"),
        (
            "c",
            "a_id INTEGER NOT NULL REFERENCES a (id), b_id INTEGER NOT NULL REFERENCES b (id)",
        ),
        (
            "d",
            "deleted INTEGER NOT NULL, a_id INTEGER REFERENCES a (id) ON DELETE CASCADE, \
             b_id INTEGER REFERENCES b (id) ON DELETE CASCADE",
        ),
        (
            "tree",
            "deleted INTEGER NOT NULL, up INTEGER REFERENCES tree (id) ON DELETE CASCADE",
        ),
    ] {
        let shadow: Vec<_> = columns
            .split(", ")
            .map(|c| c.split(" REFERENCES").next().unwrap())
            .collect();
        cloud.sql(&format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, {columns});
             CREATE TABLE shadow_{table} (id INTEGER PRIMARY KEY, {})",
            shadow.join(", ")
        ));
    }
    cloud.sql(
        "INSERT INTO a VALUES (1, 1), (2, 2), (3, 0);
         INSERT INTO b VALUES (1, 1), (2, 2), (3, 3), (9, 0);
         INSERT INTO c VALUES (1, 1, 1), (2, 1, 2), (3, 2, 3), (4, 3, 9), (5, 2, 9);
         INSERT INTO d VALUES (1, 1, 3, 9), (2, 2, 1, 9), (3, 0, 3, 9);
         INSERT INTO tree VALUES (1, 1, NULL), (2, 2, 1), (3, 0, 2), (4, 4, NULL), (5, 0, NULL)",
    );
    let (statements, outcome) = statements(
        &mut cloud,
        &Options {
            max_rows: 5,
            ..all()
        },
    );
    insta::assert_snapshot!(statements);
    // a:1 with b:1, b:2 and d:2; d:1, whose owners live; tree:1; tree:4. What has a:2 has b:9, which
    // lives.
    let done = (outcome.families, outcome.total_rows);
    assert_eq!(done, (4, 11));
}

/// A batch asks for as many roots as are likely to fill it, by the mean of what was seen.
#[test]
fn of_batches_that_learn_how_large_families_are() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=60).for_each(|id| cloud.dead_instance(id));
    for id in 1..=3 {
        for number in 0..10 * id {
            cloud.sql(&format!(
                "INSERT INTO instance_faults (id, instance_uuid, code, deleted) \
                 VALUES ({}, '{}', 1, 0)",
                id * 100 + number,
                uuid(id)
            ));
        }
    }
    let options = Options {
        max_rows: 100,
        ..all()
    };
    let (statements, outcome) = statements(&mut cloud, &options);
    let asked = statements.lines().filter_map(|l| {
        l.strip_prefix(r#"SELECT t."id", t."uuid" FROM "instances" t WHERE t."id" BETWEEN "#)
    });
    let number = |word: Option<&str>| word.unwrap().parse::<u64>().unwrap();
    let asked: Vec<_> = asked
        .map(|l| {
            let mut words = l.split(' ');
            let first = number(words.next());
            1 + number(words.nth(1)) - first
        })
        .collect();
    insta::assert_debug_snapshot!((asked, outcome.batches, outcome.families));
}
