//! Losses of power, made up from recordings of the workload.

use super::super::recording::Change;
use super::super::{OpKind, PowerLoss};
use super::*;

/// The database that an image recovers to; the directory is that of the recording, as the journals
/// of a transaction over two files name each other by their full paths.
fn recovered(bench: &Bench, image: &PowerLoss) -> rusqlite::Result<Rows> {
    image.write_to(bench.dir.path()).unwrap();
    bench.try_to_judge(bench.dir.path())
}

fn recorded(bench: &Bench, engine: Engine) -> Recording {
    let (seen, recording) = bench.run(engine, None, true);
    assert_eq!(recording.operations(), seen.count());
    let directory = bench.dir.path().canonicalize().unwrap();
    assert_eq!(recording.directory(), Some(directory));
    recording
}

fn loses_no_commit(journal_mode: &str) {
    let bench = Bench::new(journal_mode, Layout::OneFile);
    let recording = recorded(&bench, atomic);
    let mut images = 0;
    let mut marked = 0;
    for image in recording.power_loss_states() {
        images += 1;
        marked += image.after_marks;
        let rows = recovered(&bench, &image).unwrap();
        let at = format!("after {}, lost {:?}", image.after_operation, image.lost);
        if image.after_marks > 0 {
            assert_eq!(rows, after(), "an acknowledged commit is gone {at}");
        } else {
            assert!(rows == before() || rows == after(), "{at}: {rows:?}");
        }
    }
    assert!(images > 100, "{images}");
    assert!(marked > 0);
}

#[test]
fn a_transaction_survives_every_loss_of_power_with_a_rollback_journal() {
    loses_no_commit("delete");
}

#[test]
fn a_transaction_survives_every_loss_of_power_with_a_wal() {
    loses_no_commit("wal");
}

#[test]
fn a_disk_that_never_syncs_breaks_something() {
    for journal_mode in ["delete", "wal"] {
        let bench = Bench::new(journal_mode, Layout::OneFile);
        let mut recording = recorded(&bench, atomic);
        recording
            .events
            .retain(|event| event.change != Change::Sync);
        let broken = recording
            .power_loss_states()
            .any(|image| match recovered(&bench, &image) {
                Err(_) => true,
                Ok(rows) if image.after_marks > 0 => rows != after(),
                Ok(rows) => rows != before() && rows != after(),
            });
        assert!(broken, "{journal_mode}");
    }
}

#[test]
fn a_loss_of_power_catches_an_engine_that_commits_in_between() {
    for journal_mode in ["delete", "wal"] {
        let bench = Bench::new(journal_mode, Layout::OneFile);
        let recording = recorded(&bench, careless);
        let doubled = (before().0, after().1);
        let mut images = recording.power_loss_states();
        assert!(images.any(|image| recovered(&bench, &image).unwrap() == doubled));
    }
}

#[test]
fn a_loss_of_power_tears_two_files_with_a_wal_only() {
    for (journal_mode, tears) in [("delete", false), ("wal", true)] {
        let bench = Bench::new(journal_mode, Layout::TwoFiles);
        let recording = recorded(&bench, atomic);
        let lost = (after().0, Vec::new());
        let mut torn = Vec::new();
        for image in recording.power_loss_states() {
            let rows = recovered(&bench, &image).unwrap();
            if rows != before() && rows != after() {
                torn.push(rows);
            }
        }
        assert_eq!(torn.contains(&lost), tears, "{journal_mode}");
        assert_eq!(torn.is_empty(), !tears, "{journal_mode}: {torn:?}");
    }
}

/// A recording of one file, written by hand.
fn by_hand(initial: Option<&[u8]>, changes: Vec<(u64, Change<'static>)>) -> Recording {
    let mut recording = Recording::default();
    recording.meet("/d/f", || initial.map(<[u8]>::to_vec));
    for (operation, change) in changes {
        recording.record(operation, "/d/f", &change);
        recording.end(operation);
    }
    recording
}

fn write(offset: u64, data: &'static [u8]) -> Change<'static> {
    Change::Write {
        offset,
        data: data.into(),
    }
}

/// The contents that the images of one file have, and what was lost.
fn contents(recording: &Recording) -> Vec<(u64, Vec<u64>, Option<String>)> {
    let images = recording.power_loss_states();
    let content = |image: PowerLoss| {
        let text = image.files.get("f");
        let text = text.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        (image.after_operation, image.lost, text)
    };
    images.map(content).collect()
}

#[test]
fn subsets_of_what_was_not_synced_are_lost() {
    let recording = by_hand(
        Some(b"...."),
        vec![
            (1, write(0, b"a")),
            (2, write(1, b"b")),
            (3, write(2, b"c")),
            (4, Change::Sync),
            (5, write(3, b"d")),
            (6, Change::Truncate { size: 2 }),
        ],
    );
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        (0, vec![], some("....")),
        (1, vec![], some("a...")),
        (2, vec![], some("ab..")),
        (2, vec![1], some(".b..")),
        (3, vec![], some("abc.")),
        (3, vec![1], some(".bc.")),
        (3, vec![2], some("a.c.")),
        (3, vec![1, 2], some("..c.")),
        (5, vec![], some("abcd")),
        (6, vec![], some("ab")),
    ];
    assert_eq!(contents(&recording), expected);
}

#[test]
fn what_is_lost_is_lost_over_all_files() {
    let mut recording = Recording::default();
    for path in ["/d/e/f", "/d/g"] {
        recording.meet(path, || Some(b"..".to_vec()));
    }
    recording.record(1, "/d/e/f", &write(0, b"a"));
    recording.record(2, "/d/g", &write(0, b"b"));
    recording.record(3, "/d/g", &write(1, b"c"));
    recording.end(3);
    assert_eq!(recording.directory(), Some("/d".into()));
    let content = |image: PowerLoss| {
        let text = |name: &str| String::from_utf8(image.files[name].clone()).unwrap();
        (text("e/f") + " " + &text("g"), image.lost)
    };
    let expected = [
        (".. ..", vec![]),
        ("a. ..", vec![]),
        ("a. b.", vec![]),
        (".. b.", vec![1]),
        ("a. bc", vec![]),
        (".. bc", vec![1]),
        ("a. .c", vec![2]),
        (".. .c", vec![1, 2]),
    ];
    let expected = expected.map(|(text, lost)| (text.to_owned(), lost));
    let found: Vec<_> = recording.power_loss_states().map(content).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_file_comes_and_goes_whole_and_at_once() {
    let recording = by_hand(
        None,
        vec![
            (2, Change::Create),
            (3, write(2, b"x")),
            (5, Change::Delete),
            (6, Change::Create),
        ],
    );
    let some = |text: &str| Some(text.to_owned());
    // Operation 4 was none of this file: what lies before it lies before 5 as well.
    let expected = [
        (1, vec![], None),
        (2, vec![], some("")),
        (4, vec![], some("\0\0x")),
    ];
    assert_eq!(contents(&recording), expected);
}

#[test]
fn a_marker_makes_images_count_again() {
    let mut recording = by_hand(Some(b"."), vec![(1, write(0, b"a")), (2, Change::Sync)]);
    recording.mark(1, 7);
    let marks = recording
        .power_loss_states()
        .map(|i| (i.lost, i.after_marks));
    let expected = [(vec![], 0), (vec![], 1), (vec![1], 1)];
    assert_eq!(marks.collect::<Vec<_>>(), expected);
    assert_eq!(recording.marks().collect::<Vec<_>>(), [(1, 7)]);
}

#[test]
fn images_replace_what_is_in_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let recording = by_hand(
        Some(b"old"),
        vec![(1, write(0, b"new")), (2, Change::Delete)],
    );
    std::fs::write(dir.path().join("f-shm"), "stale").unwrap();
    let images: Vec<PowerLoss> = recording.power_loss_states().collect();
    images[1].write_to(dir.path()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"new");
    assert!(!dir.path().join("f-shm").exists());
    images[2].write_to(dir.path()).unwrap();
    assert!(!dir.path().join("f").exists());
}

#[test]
fn files_are_recorded_whenever_the_run_was_armed() {
    let bench = Bench::new("wal", Layout::OneFile);
    let connection = bench
        .connect(bench.dir.path(), Some(bench.vfs.name()))
        .unwrap();
    // Committed into the WAL, of which the run sees nothing but later frames.
    connection
        .execute_batch("UPDATE live SET body = 'new' WHERE id = 1")
        .unwrap();
    bench.vfs.arm(None, true);
    atomic(&connection, &bench.vfs, bench.layout).unwrap();
    let recording = bench.vfs.disarm();
    drop(connection);
    let first = recording.power_loss_states().next().unwrap();
    assert_eq!(recovered(&bench, &first).unwrap(), before());
    assert_eq!(body(&bench.plain()), "new");
    assert!(
        recording
            .events
            .iter()
            .any(|e| e.change.kind() == OpKind::Sync)
    );
}

#[test]
fn a_wal_that_the_run_does_not_touch_is_part_of_the_database() {
    let bench = Bench::new("wal", Layout::OneFile);
    let connection = bench
        .connect(bench.dir.path(), Some(bench.vfs.name()))
        .unwrap();
    connection
        .execute_batch("UPDATE live SET body = 'new' WHERE id = 1")
        .unwrap();
    assert_eq!(body(&connection), "new");
    bench.vfs.arm(None, true);
    // From the cache.
    assert_eq!(body(&connection), "new");
    let recording = bench.vfs.disarm();
    drop(connection);
    let images: Vec<PowerLoss> = recording.power_loss_states().collect();
    assert_eq!(images.len(), 1);
    assert_eq!(recovered(&bench, &images[0]).unwrap(), before());
    assert_eq!(body(&bench.plain()), "new");
}

fn body(connection: &Connection) -> String {
    let query = "SELECT body FROM live WHERE id = 1";
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}
