//! How runs behave: budgets, dry runs, locks, signals, convergence.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use sexton::archive::{self, Observer, Options, Stop, StopReason};
use sexton::db::Engine;

use crate::support::cloud::{Cloud, ROWS_PER_INSTANCE, uuid};

/// 20 families of 8 rows.
fn cloud_of_20(cloud: &mut Cloud) {
    (1..=20).for_each(|id| cloud.dead_instance(id));
}

#[test]
fn max_rows_counts_all_rows_and_never_cuts_a_family() {
    Cloud::on_each_engine(|mut cloud| {
        cloud_of_20(&mut cloud);
        let outcome = cloud.archive(&Options {
            max_rows: 50,
            ..Options::default()
        });
        assert_eq!(outcome.total_rows, 6 * ROWS_PER_INSTANCE);
        assert_eq!(outcome.stopped_because, StopReason::MaxRows);
        assert_eq!((1..=20).filter(|id| cloud.is_archived(*id)).count(), 6);
        let options = Options {
            max_rows: 50,
            until_complete: true,
            ..Options::default()
        };
        let outcome = cloud.archive(&options);
        assert_eq!((outcome.families, outcome.batches), (14, 3));
        assert_eq!(outcome.stopped_because, StopReason::Complete);
    });
}

/// What is left of the limit is enough for one more family, to the row.
#[test]
fn max_rows_is_used_up_to_the_last_row() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    cloud_of_20(&mut cloud);
    let outcome = cloud.archive(&Options {
        max_rows: 3 * ROWS_PER_INSTANCE,
        ..Options::default()
    });
    assert_eq!(
        (outcome.total_rows, outcome.batches),
        (3 * ROWS_PER_INSTANCE, 2)
    );
}

/// Invariant 7.
#[test]
fn a_dry_run_counts_what_a_run_moves_and_changes_nothing() {
    Cloud::on_each_engine(|mut cloud| {
        cloud_of_20(&mut cloud);
        cloud.sql("DELETE FROM block_device_mapping WHERE id > 10");
        let before = cloud.contents();
        let live = cloud.count("instances");
        let options = Options {
            dry_run: true,
            until_complete: true,
            ..Options::default()
        };
        let planned = cloud.archive(&options);
        assert_eq!((cloud.contents(), cloud.count("instances")), (before, live));
        let done = cloud.archive_all();
        assert_eq!(planned.rows, done.rows);
        assert_eq!(planned.total_rows, done.total_rows);
        assert!(planned.dry_run);
    });
}

#[test]
fn a_second_archiver_is_kept_out() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        let mut other = cloud.database.session();
        let lock = sexton::db::AdvisoryLock::acquire(&mut other).unwrap();
        let graph = cloud.graph();
        let run = |cloud: &mut Cloud| {
            let stop = Stop::default();
            let options = Options::default();
            archive::archive(&mut cloud.session, &graph, &options, &stop, &mut ())
        };
        let error = run(&mut cloud).unwrap_err();
        assert!(error.to_string().contains("another archiver"), "{error}");
        assert_eq!(error.code as u8, 69);
        assert!(!cloud.is_archived(1));
        lock.release(&mut other).unwrap();
        run(&mut cloud).unwrap();
        assert!(cloud.is_archived(1));
    });
}

/// Asks to stop when the first batch is done.
struct StopAfterOne<'a>(&'a AtomicBool);

impl Observer for StopAfterOne<'_> {
    fn batch(&mut self, _: u64, _: u64, _: u64) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn a_request_to_stop_is_heard_after_the_batch_in_hand() {
    Cloud::on_each_engine(|mut cloud| {
        cloud_of_20(&mut cloud);
        let graph = cloud.graph();
        let flag = AtomicBool::new(false);
        let options = Options {
            max_rows: 20,
            until_complete: true,
            ..Options::default()
        };
        let outcome = archive::archive(
            &mut cloud.session,
            &graph,
            &options,
            &Stop::on(&flag),
            &mut StopAfterOne(&flag),
        )
        .unwrap();
        assert_eq!(outcome.stopped_because, StopReason::Signal);
        assert_eq!((outcome.batches, outcome.families), (1, 2));
        assert_eq!(cloud.archive_all().families, 18);
    });
}

/// Invariant 1: whoever reads while a run is under way sees whole families.
#[test]
fn a_reader_never_sees_a_part_of_a_family() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=60).for_each(|id| cloud.dead_instance(id));
        let done = AtomicBool::new(false);
        let mut reader = cloud.database.session();
        let reads = std::thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut reads = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    // One statement sees one state.
                    for (one, other) in [
                        (
                            "instances a",
                            "instance_extra b ON b.instance_uuid = a.uuid",
                        ),
                        (
                            "instance_extra a",
                            "instances b ON b.uuid = a.instance_uuid",
                        ),
                        (
                            "shadow_instances a",
                            "shadow_instance_extra b ON b.instance_uuid = a.uuid",
                        ),
                    ] {
                        let torn = format!(
                            "SELECT COUNT(*) FROM {one} LEFT JOIN {other} WHERE b.id IS NULL"
                        );
                        assert_eq!(reader.query_count(&torn).unwrap(), 0, "{torn}");
                    }
                    reads += 1;
                }
                reads
            });
            let options = Options {
                max_rows: 10,
                until_complete: true,
                ..Options::default()
            };
            assert_eq!(cloud.archive(&options).families, 60);
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            watch.join().unwrap()
        });
        assert!(reads > 5, "only {reads} reads during the run");
    });
}

/// Invariant 2: here a trigger keeps one row from being deleted, and says nothing.
#[test]
fn a_delete_that_touches_other_rows_than_were_copied_is_rolled_back() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=9).for_each(|id| cloud.dead_instance(id));
    cloud
        .session
        .execute(
            "CREATE TRIGGER keep BEFORE DELETE ON instance_extra WHEN OLD.id = 4 \
             BEGIN SELECT RAISE(IGNORE); END",
        )
        .unwrap();
    let outcome = cloud.archive_all();
    assert_eq!(outcome.blocked_families["refused"], 1);
    assert_eq!(outcome.blocked[0].root, "instances:4");
    assert!(outcome.blocked[0].path[1].contains("instance_extra"));
    assert_eq!((1..=9).filter(|id| cloud.is_archived(*id)).count(), 8);
}

/// Invariant 7: a dry run waits for nobody's locks, so it takes none.
#[test]
fn a_dry_run_locks_nothing() {
    for engine in [Engine::Mysql, Engine::Postgres] {
        let mut cloud = Cloud::new(engine);
        (1..=3).for_each(|id| cloud.dead_instance(id));
        let mut other = cloud.database.session();
        other.begin().unwrap();
        for table in ["instances", "instance_extra", "instance_system_metadata"] {
            other
                .query(&format!("SELECT id FROM {table} FOR UPDATE"))
                .unwrap();
        }
        let patience = match engine {
            Engine::Mysql => "SET SESSION innodb_lock_wait_timeout = 1",
            _ => "SET lock_timeout = '1s'",
        };
        cloud.session.execute(patience).unwrap();
        let options = Options {
            dry_run: true,
            until_complete: true,
            retries: 0,
            ..Options::default()
        };
        assert_eq!(cloud.archive(&options).families, 3);
        other.rollback().unwrap();
    }
}

/// Hears everything.
#[derive(Default)]
struct Notes {
    archived: Vec<Vec<String>>,
    plans: Vec<(String, Vec<String>)>,
}

impl Observer for Notes {
    fn archived(&mut self, api_keys: &[String]) -> sexton::error::Result<BTreeMap<String, u64>> {
        self.archived.push(api_keys.to_vec());
        Ok([("request_specs".to_owned(), 1)].into())
    }

    fn plan(&mut self, table: &str, statements: &[String]) {
        self.plans.push((table.to_owned(), statements.to_vec()));
    }
}

#[test]
fn an_observer_hears_of_the_roots_of_each_batch_and_a_dry_run_shows_a_plan_a_table() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=3).for_each(|id| cloud.dead_instance(id));
    cloud.sql(&format!(
        "INSERT INTO services (id, report_count, deleted) VALUES (1, 0, 1);
         INSERT INTO share_mapping (id, uuid, instance_uuid, share_id, status, tag) \
         VALUES (1, 's', '{}', 'x', 'inactive', 't')",
        uuid(1)
    ));
    let graph = cloud.graph();
    let options = |dry_run| Options {
        max_rows: 8,
        until_complete: true,
        dry_run,
        ..Options::default()
    };
    let mut run = |dry_run| {
        let mut notes = Notes::default();
        let stop = Stop::default();
        let options = options(dry_run);
        let session = &mut cloud.session;
        let outcome = archive::archive(session, &graph, &options, &stop, &mut notes).unwrap();
        (outcome, notes)
    };
    let (outcome, notes) = run(true);
    assert!(notes.archived.is_empty() && outcome.api_records.is_empty());
    let tables: Vec<_> = notes.plans.iter().map(|(t, _)| t.as_str()).collect();
    assert_eq!(tables, ["instances", "services"]);
    // Each kind of statement and table once, though there are two rows of system metadata.
    let starts = |s: &String| {
        s.split(" (")
            .next()
            .unwrap()
            .split(" WHERE")
            .next()
            .unwrap()
            .to_owned()
    };
    let shown: Vec<_> = notes.plans[0].1.iter().map(starts).collect();
    insta::assert_debug_snapshot!(shown);

    let (outcome, notes) = run(false);
    assert!(notes.plans.is_empty());
    assert_eq!(notes.archived, [vec![uuid(2)], vec![uuid(3)], vec![]]);
    assert_eq!(
        outcome.api_records,
        [("request_specs".to_owned(), 3)].into()
    );
}

/// Deletes one more living instance after each batch, as a cloud in use does.
struct Users {
    session: sexton::db::Session,
    deleted: i64,
}

impl Observer for Users {
    fn batch(&mut self, _: u64, _: u64, _: u64) {
        self.deleted += 1;
        let id = self.deleted;
        let delete =
            format!("UPDATE instances SET deleted = id, deleted_at = '2025-01-01' WHERE id = {id}");
        self.session.execute(&delete).unwrap();
    }
}

/// A family that stays blocked is no reason to look for more for as long as there is more.
#[test]
fn a_run_ends_though_users_go_on_deleting() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=30).for_each(|id| cloud.live_instance(id));
    (31..=32).for_each(|id| cloud.dead_instance(id));
    cloud.sql(&format!(
        "INSERT INTO share_mapping (id, instance_uuid) VALUES (5, '{}')",
        uuid(32)
    ));
    let mut users = Users {
        session: cloud.database.session(),
        deleted: 0,
    };
    let graph = cloud.graph();
    let options = Options {
        max_rows: ROWS_PER_INSTANCE,
        until_complete: true,
        ..Options::default()
    };
    let outcome = archive::archive(
        &mut cloud.session,
        &graph,
        &options,
        &Stop::default(),
        &mut users,
    )
    .unwrap();
    assert_eq!(outcome.blocked_families["no-shadow-table"], 1);
    assert_eq!((outcome.families, users.deleted), (2, 2));
}

/// Hears notices.
#[derive(Default)]
struct Notices(Vec<String>);

impl Observer for Notices {
    fn notice(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

/// PostgreSQL makes no index for a foreign key, and nobody sees why a run is slow.
#[test]
fn a_large_child_without_an_index_is_said_before_the_run() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql(
            "CREATE TABLE parents (id INTEGER PRIMARY KEY, deleted INTEGER);\
             CREATE TABLE shadow_parents (id INTEGER PRIMARY KEY, deleted INTEGER);\
             CREATE TABLE items (id INTEGER PRIMARY KEY, parent_id INTEGER NOT NULL, \
             CONSTRAINT item_of FOREIGN KEY (parent_id) REFERENCES parents (id));\
             CREATE TABLE shadow_items (id INTEGER PRIMARY KEY, parent_id INTEGER NOT NULL);\
             INSERT INTO parents VALUES (1, 0)",
        );
        let items = |from: i64, to: i64| {
            let rows: Vec<_> = (from..to).map(|id| format!("({id}, 1)")).collect();
            format!("INSERT INTO items VALUES {}", rows.join(", "))
        };
        let said = |cloud: &mut Cloud| {
            let graph = cloud.graph();
            let (session, mut heard) = (&mut cloud.session, Notices::default());
            let (options, stop) = (Options::default(), Stop::default());
            archive::archive(session, &graph, &options, &stop, &mut heard).unwrap();
            heard.0
        };
        cloud.sql(&items(0, 9_999));
        assert_eq!(said(&mut cloud), Vec::<String>::new());
        cloud.sql(&items(9_999, 10_000));
        let heard = said(&mut cloud);
        if cloud.engine() == Engine::Mysql {
            // InnoDB makes one for the foreign key.
            assert_eq!(heard, Vec::<String>::new());
            return;
        }
        assert_eq!(heard.len(), 1, "{heard:?}");
        let index = r#"CREATE INDEX "ix_items_parent_id" ON "items" ("parent_id")"#;
        assert!(heard[0].ends_with(index), "{heard:?}");
        cloud.sql(index);
        assert_eq!(said(&mut cloud), Vec::<String>::new());
    });
}
