//! Every operation of the workload, hit in every way.

use std::time::Duration;

use super::super::OpKind;
use super::*;
use crate::db::{DbErrorKind, Driver, SqliteDriver, SqliteMode, Value};

fn moves_or_does_not(journal_mode: &str) {
    let bench = Bench::new(journal_mode, Layout::OneFile);
    let (unhit, rows) = bench.on_a_copy(atomic, None);
    assert_eq!(rows, after());
    assert_eq!(unhit.fired, None);
    assert!(unhit.count() > 20, "{unhit:?}");
    assert_eq!(bench.on_a_copy(atomic, None).0, unhit, "not deterministic");
    for mode in MODES {
        let mut seen_before = 0;
        for k in 1..=unhit.count() {
            let (seen, rows) = bench.on_a_copy(atomic, fault(k, mode));
            let context = format!("{journal_mode} {mode:?} at {k}, {:?}", seen.struck());
            assert_eq!(seen.fired, Some(k), "{context}");
            let hit = usize::try_from(k).unwrap();
            assert_eq!(seen.operations[..hit], unhit.operations[..hit], "{context}");
            assert!(rows == before() || rows == after(), "{context}: {rows:?}");
            seen_before += u64::from(rows == before());
            if mode == IoMode::Freeze {
                assert_eq!(seen.count(), k, "a dead process went on: {context}");
            }
        }
        assert!(seen_before > 0, "{mode:?} had no effect");
        let beyond = bench.on_a_copy(atomic, fault(unhit.count() + 1, mode));
        assert_eq!(beyond, (unhit.clone(), after()));
    }
}

#[test]
fn a_transaction_survives_every_fault_with_a_rollback_journal() {
    moves_or_does_not("delete");
}

#[test]
fn a_transaction_survives_every_fault_with_a_wal() {
    moves_or_does_not("wal");
}

/// The rows that freezes leave which are neither those before nor those after.
fn torn(journal_mode: &str, layout: Layout, engine: Engine) -> Vec<Rows> {
    let bench = Bench::new(journal_mode, layout);
    let (unhit, rows) = bench.on_a_copy(engine, None);
    assert_eq!(rows, after());
    (1..=unhit.count())
        .map(|k| bench.on_a_copy(engine, fault(k, IoMode::Freeze)).1)
        .filter(|rows| *rows != before() && *rows != after())
        .collect()
}

#[test]
fn an_engine_that_commits_between_copy_and_delete_is_caught() {
    for journal_mode in ["delete", "wal"] {
        let torn = torn(journal_mode, Layout::OneFile, careless);
        assert!(!torn.is_empty(), "{journal_mode}");
        let doubled = (before().0, after().1);
        assert!(torn.iter().all(|rows| *rows == doubled), "{torn:?}");
    }
}

#[test]
fn a_transaction_over_two_files_is_atomic_with_rollback_journals_only() {
    assert_eq!(torn("delete", Layout::TwoFiles, atomic), []);
    let torn = torn("wal", Layout::TwoFiles, atomic);
    let lost = (after().0, Vec::new());
    assert!(torn.contains(&lost), "{torn:?}");
}

#[test]
fn a_super_journal_has_the_same_name_in_each_run() {
    let bench = Bench::new("delete", Layout::TwoFiles);
    let (seen, _) = bench.on_a_copy(atomic, None);
    assert_eq!(seen, bench.on_a_copy(atomic, None).0);
    let created = seen.operations.iter().filter(|o| o.kind == OpKind::Create);
    let names: Vec<&str> = created.map(|o| &*o.file).collect();
    assert_eq!(names, ["other.db-journal", "shop.db-journal", "shop.db-mj"]);
}

#[test]
fn the_answers_are_those_of_the_fault() {
    let bench = Bench::new("delete", Layout::OneFile);
    let (unhit, _) = bench.on_a_copy(atomic, None);
    for mode in MODES {
        for (index, operation) in unhit.operations.iter().enumerate() {
            let copy = bench.copy();
            copy.vfs.arm(fault(index as u64 + 1, mode), false);
            let connection = copy
                .connect(copy.dir.path(), Some(copy.vfs.name()))
                .unwrap();
            let error = atomic(&connection, &copy.vfs, copy.layout).unwrap_err();
            let code = error.sqlite_error().unwrap().extended_code & 0xff;
            let expected = match (mode, operation.kind) {
                (IoMode::Full | IoMode::FullForGood, OpKind::Write) => rusqlite::ffi::SQLITE_FULL,
                (IoMode::Freeze, _) => rusqlite::ffi::SQLITE_IOERR,
                (_, OpKind::Create) => rusqlite::ffi::SQLITE_CANTOPEN,
                _ => rusqlite::ffi::SQLITE_IOERR,
            };
            assert_eq!(code, expected, "{mode:?} at {operation}");
        }
    }
}

#[test]
fn a_fault_for_good_stays_until_the_run_ends() {
    let modes = [
        (IoMode::Error, false),
        (IoMode::ErrorForGood, true),
        (IoMode::Full, false),
        (IoMode::FullForGood, true),
    ];
    for (mode, stays) in modes {
        let bench = Bench::new("delete", Layout::OneFile);
        bench.vfs.arm(fault(2, mode), false);
        let connection = bench
            .connect(bench.dir.path(), Some(bench.vfs.name()))
            .unwrap();
        atomic(&connection, &bench.vfs, bench.layout).unwrap_err();
        let _ = connection.execute_batch("ROLLBACK");
        assert_eq!(count(&connection), 12, "{mode:?} keeps from reading");
        let again = atomic(&connection, &bench.vfs, bench.layout);
        assert_eq!(again.is_err(), stays, "{mode:?}: {again:?}");
        // The same connection goes on when it is over.
        bench.vfs.disarm();
        let _ = connection.execute_batch("ROLLBACK");
        if stays {
            atomic(&connection, &bench.vfs, bench.layout).unwrap();
        }
        drop(connection);
        assert_eq!(bench.judge(bench.dir.path()), after());
    }
}

#[test]
fn a_full_disk_takes_what_makes_no_file_longer() {
    // The write at which the database itself begins to change.
    let bench = Bench::new("delete", Layout::OneFile);
    let (unhit, _) = bench.on_a_copy(atomic, None);
    let mut operations = unhit.operations.iter();
    let first = operations.position(|o| o.kind == OpKind::Write && &*o.file == "shop.db");
    let hit = fault(first.unwrap() as u64 + 1, IoMode::FullForGood);
    let (seen, _) = bench.run(atomic, hit, false);
    assert_eq!(seen.fired, hit.map(|hit| hit.operation));
    // The engine could roll back: its journal is gone, and nobody has anything to recover.
    assert_eq!(bench.files(), ["shop.db"]);
    assert_eq!(bench.judge(bench.dir.path()), before());
}

#[test]
fn a_dead_process_reads_nothing() {
    let bench = Bench::new("delete", Layout::OneFile);
    bench.vfs.arm(fault(1, IoMode::Freeze), false);
    let connect = || {
        bench
            .connect(bench.dir.path(), Some(bench.vfs.name()))
            .unwrap()
    };
    // Has its lock, and only the index in its cache.
    let reader = connect();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(count(&reader), 12);
    atomic(&connect(), &bench.vfs, bench.layout).unwrap_err();
    let bodies = "SELECT sum(length(body)) FROM live";
    assert!(reader.query_row(bodies, [], |_| Ok(())).is_err());
}

#[test]
fn a_dead_process_stays_dead_after_its_run() {
    for journal_mode in ["delete", "wal"] {
        let bench = Bench::new(journal_mode, Layout::OneFile);
        // Opened before the run, killed in it.
        let early = bench
            .connect(bench.dir.path(), Some(bench.vfs.name()))
            .unwrap();
        bench.vfs.arm(fault(9, IoMode::Freeze), false);
        atomic(&early, &bench.vfs, bench.layout).unwrap_err();
        let files = bench.files();
        assert!(files.len() > 1, "{files:?}");
        let late = bench.connect(bench.dir.path(), Some(bench.vfs.name()));
        assert!(late.is_err(), "a dead process opened a file");
        bench.vfs.disarm();
        assert!(early.execute_batch("SELECT * FROM live").is_err());
        drop(early);
        assert_eq!(bench.files(), files, "a dead process tidied up");
        let (seen, _) = bench.run(atomic, None, false);
        assert!(seen.count() > 0);
        assert_eq!(bench.judge(bench.dir.path()), after());
    }
}

fn count(connection: &Connection) -> i64 {
    let query = "SELECT count(*) FROM live";
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn locks_hold_between_this_vfs_and_the_default_one() {
    for journal_mode in ["delete", "wal"] {
        let bench = Bench::new(journal_mode, Layout::OneFile);
        bench.vfs.arm(None, false);
        let through = bench
            .connect(bench.dir.path(), Some(bench.vfs.name()))
            .unwrap();
        let plain = bench.plain();
        plain.busy_timeout(Duration::ZERO).unwrap();
        through.execute_batch("BEGIN IMMEDIATE").unwrap();
        let busy = plain.execute_batch("BEGIN IMMEDIATE").unwrap_err();
        let code = busy.sqlite_error_code();
        assert_eq!(code, Some(rusqlite::ErrorCode::DatabaseBusy));
        through.execute_batch("ROLLBACK").unwrap();
        plain
            .execute_batch("DELETE FROM live WHERE id = 1")
            .unwrap();
        assert_eq!(count(&through), 11);
    }
}

/// Locks within a process are SQLite's own bookkeeping; those of the system, which other processes
/// meet, go when any handle on the file is closed.
#[cfg(target_os = "linux")]
#[test]
fn recording_leaves_the_locks_of_the_process_alone() {
    use std::collections::BTreeSet;
    use std::os::unix::fs::MetadataExt;

    let bench = Bench::new("delete", Layout::OneFile);
    let inode = format!(":{} ", bench.path().metadata().unwrap().ino());
    // Other locks come and go while the list is read, and ours may be in it twice or not at all.
    let locks = || -> BTreeSet<String> {
        let lists = (0..10).map(|_| std::fs::read_to_string("/proc/locks").unwrap());
        let ours = lists.flat_map(|list| -> Vec<String> {
            let ours = list.lines().filter(|lock| lock.contains(&inode));
            ours.filter_map(|lock| Some(lock.split_once(": ")?.1.to_owned()))
                .collect()
        });
        ours.collect()
    };
    let plain = bench.plain();
    plain.execute_batch("BEGIN IMMEDIATE").unwrap();
    let held = locks();
    assert!(!held.is_empty());
    bench.vfs.arm(None, true);
    let through = bench
        .connect(bench.dir.path(), Some(bench.vfs.name()))
        .unwrap();
    assert_eq!(count(&through), 12);
    let recording = bench.vfs.disarm();
    assert_eq!(locks(), held);
    assert!(recording.directory().is_some(), "nothing was read");
}

#[test]
fn each_vfs_counts_for_itself() {
    fn crosses_threads<T: Send + Sync>() {}
    crosses_threads::<Vfs>();
    let bench = Bench::new("wal", Layout::OneFile);
    let copies = [bench.copy(), bench.copy()];
    assert_ne!(copies[0].vfs.name(), copies[1].vfs.name());
    let seen = std::thread::scope(|scope| {
        let runs = copies.each_ref().map(|copy| {
            let hit = fault(6, IoMode::Freeze);
            let hit = hit.filter(|_| std::ptr::eq(copy, &copies[1]));
            scope.spawn(move || copy.run(atomic, hit, false).0)
        });
        runs.map(|run| run.join().unwrap())
    });
    assert_eq!(seen[0].fired, None);
    assert!(seen[0].count() > 20);
    assert_eq!((seen[1].fired, seen[1].count()), (Some(6), 6));
}

#[test]
fn a_connection_may_outlive_its_vfs() {
    let bench = Bench::new("wal", Layout::OneFile);
    let Bench { dir, layout, vfs } = bench;
    let path = dir.path().join("shop.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let open = |name: &str| Connection::open_with_flags_and_vfs(&path, flags, name);
    let name = vfs.name().to_owned();
    let connection = open(&name).unwrap();
    vfs.arm(fault(1, IoMode::Freeze), true);
    drop(vfs);
    let other = Vfs::register().unwrap();
    atomic(&connection, &other, layout).unwrap();
    assert!(open(&name).is_err(), "the name is still registered");
}

#[test]
fn a_driver_reconnects_through_its_vfs_and_not_after_its_death() {
    let bench = Bench::new("delete", Layout::OneFile);
    let name = bench.vfs.name().to_owned();
    let mut driver =
        SqliteDriver::open_with_vfs(bench.path(), SqliteMode::ReadWrite, Some(name)).unwrap();
    bench.vfs.arm(fault(3, IoMode::Freeze), false);
    driver.reconnect().unwrap();
    let delete = "DELETE FROM live WHERE id = 1";
    let error = driver.execute(delete).unwrap_err();
    assert_eq!(bench.vfs.seen().fired, Some(3), "not through the VFS");
    assert_eq!(
        (error.kind, &*error.code),
        (DbErrorKind::Other, "SQLITE_IOERR")
    );
    let error = driver.reconnect().unwrap_err();
    assert_eq!(
        (error.kind, &*error.code),
        (DbErrorKind::Other, "SQLITE_IOERR")
    );
    let error = driver.execute(delete).unwrap_err();
    assert_eq!(error.kind, DbErrorKind::Connection, "it is not open");
    bench.vfs.disarm();
    driver.reconnect().unwrap();
    let mut count = None;
    let query = "SELECT count(*) FROM live";
    let mut each = |row: Vec<Value>| {
        count = row.first().cloned();
        false
    };
    driver.query(query, &mut each).unwrap();
    assert_eq!(count, Some(Value::Int(12)));
}

#[test]
fn a_fault_is_written_as_in_a_scenario() {
    let text = r#"{"operation":7,"mode":"error-for-good"}"#;
    let read: IoFault = serde_json::from_str(text).unwrap();
    assert_eq!(Some(read), fault(7, IoMode::ErrorForGood));
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}
