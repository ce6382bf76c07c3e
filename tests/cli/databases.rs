//! Databases that are not what a command needs: files of every wrong kind, the wrong Nova.

use sexton::db::attach;

use crate::sample::{Sample, refused, session, sexton};

#[test]
fn a_missing_file_is_not_made() {
    let sample = Sample::empty();
    let missing = sample.name("none.db");
    for command in ["audit", "archive"] {
        assert!(refused(69, &[command, &missing]).contains(&missing));
    }
    let nowhere = sample.name("none/nova.db");
    assert!(refused(69, &["generate", &nowhere]).contains(&nowhere));
    let nowhere = sample.name("none");
    assert!(refused(69, &["demo", "--directory", &nowhere]).contains(&nowhere));
    assert_eq!(sample.bytes(), []);
}

#[test]
fn a_file_that_is_no_database() {
    let sample = Sample::empty();
    let text = sample.file("notes.txt", "it is a note");
    let directory = sample.name("");
    let before = sample.bytes();
    for command in ["audit", "archive", "generate"] {
        let message = refused(65, &[command, &text]);
        assert!(message.contains("SQLite database"), "{message}");
        // What is in it may be a configuration with a password.
        assert!(!message.contains("it is a note"), "{message}");
        let message = refused(65, &[command, &directory]);
        assert!(message.contains("is a directory"), "{message}");
    }
    assert_eq!(sample.bytes(), before);
}

/// A process that closes a file loses its POSIX locks on it, whichever connection took them.
#[test]
fn a_second_connection_leaves_the_lock_of_the_first() {
    let sample = Sample::empty();
    let locked = sample.file("locked.db", "");
    let mut first = session(&sample.path("locked.db"));
    first.begin().unwrap();
    drop(session(&sample.path("locked.db")));
    sample.file("other.db", "");
    let mut other = session(&sample.path("other.db"));
    attach(&mut other, &sample.path("locked.db"), "locked").unwrap();
    let ran = sexton(&["generate", &locked]);
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    assert!(ran.stderr.contains("is locked"), "{}", ran.stderr);
}

#[test]
fn a_database_without_tables() {
    let sample = Sample::empty();
    let empty = sample.file("empty.db", "");
    let bare = sample.name("bare.db");
    sample.file("bare.db", "");
    let mut maker = session(&sample.path("bare.db"));
    maker.execute("CREATE TABLE t (a); DROP TABLE t").unwrap();
    drop(maker);
    let before = sample.bytes();
    for command in ["audit", "archive"] {
        for path in [&empty, &bare] {
            let message = refused(65, &[command, path]);
            assert!(message.contains("has no tables"), "{message}");
        }
    }
    assert_eq!(sample.bytes(), before);
}

#[test]
fn a_database_without_shadow_tables() {
    let sample = Sample::empty();
    let path = sample.file("other.db", "");
    session(&sample.path("other.db"))
        .execute(
            "CREATE TABLE images (id INTEGER PRIMARY KEY, deleted INT, deleted_at TEXT);
             INSERT INTO images VALUES (1, 1, '2024-01-01 00:00:00')",
        )
        .unwrap();
    let before = sample.bytes();
    for more in [&[][..], &["--dry-run"], &["--until-complete", "--purge"]] {
        let message = refused(65, &[&["archive", path.as_str()], more].concat());
        assert!(
            message.contains(&path) && message.contains("no shadow tables"),
            "{message}"
        );
    }
    let message = refused(65, &["generate", &path]);
    assert!(message.contains("is not empty"), "{message}");
    assert_eq!(sample.bytes(), before);
}

/// Every instance's records would look stranded in a database that has none.
#[test]
fn an_api_database_that_is_none() {
    let sample = Sample::new();
    let cell = sample.cell();
    let missing = sample.name("none.db");
    let text = sample.file("notes.txt", "it is a note");
    let before = sample.bytes();
    for command in ["audit", "archive"] {
        let with = |code, api: &str| refused(code, &[command, &cell, "--api", api]);
        let message = with(65, &cell);
        assert!(message.contains("is not an API database"), "{message}");
        assert!(with(65, &text).contains("API database: "));
        assert!(with(69, &missing).contains("API database: "));
        assert!(with(64, "oracle://u:s3cr3t@h/n").contains("scheme"));
    }
    assert!(sample.bytes() == before, "a refused run changed a file");
}

#[test]
fn a_file_of_which_a_part_is_lost() {
    let sample = Sample::new();
    let mut bytes = std::fs::read(sample.path("nova.db")).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(sample.path("nova.db"), bytes).unwrap();
    let ran = crate::sample::sexton(&["audit", &sample.cell()]);
    // Whatever could be read: this is never clean.
    assert!(
        matches!(ran.code, 2 | 65 | 69),
        "{}{}",
        ran.code,
        ran.stdout
    );
}

/// Whoever writes one is told where it is wrong.
#[test]
fn a_profile_with_a_typo() {
    let sample = Sample::new();
    let cell = sample.cell();
    let profile = sample.file("mine.toml", "name = \"mine\"\nmarker_hold_key = true\n");
    let message = refused(65, &["audit", &cell, "--profile", &profile]);
    assert!(
        message.contains(
            "mine.toml: TOML parse error at line 2, column 1: unknown field `marker_hold_key`"
        ),
        "{message}"
    );
}

#[test]
fn generate_leaves_no_file_that_it_did_not_fill() {
    let sample = Sample::empty();
    let (cell, api) = (sample.cell(), sample.name("nowhere/api.db"));
    let small = ["--families", "2", "--live", "1"];
    let both = [&["generate", &cell, "--api", &api][..], &small].concat();
    let said = refused(69, &both);
    assert!(said.contains("nowhere/api.db cannot be made"), "{said}");
    assert!(sample.bytes().is_empty(), "{:?}", sample.bytes().len());
    // What was there already stays.
    assert_eq!(sexton(&[&["generate", &cell][..], &small].concat()).code, 0);
    refused(69, &both);
    assert!(sample.count("instances") >= 3);
}

/// Nothing is made that would have to be cleared away.
#[test]
fn generate_refuses_a_model_before_it_makes_a_file() {
    let sample = Sample::empty();
    let path = sample.name("new.db");
    for (model, said) in [
        ("nova-99", "unknown model 'nova-99'"),
        (
            "manila-23.0.1",
            "no synthetic data for a database of manila-23.0.1",
        ),
        (
            "nova-34.0.0-api",
            "no synthetic data for a database of nova-34.0.0-api",
        ),
    ] {
        let message = refused(64, &["generate", &path, "--model", model]);
        assert!(message.contains(said), "{message}");
        assert!(!std::path::Path::new(&path).exists(), "{model}");
    }
}

/// What lies under the name of a database is told from one, each thing in a line of its own.
#[test]
fn a_file_of_another_kind_is_named_as_what_it_is() {
    let sample = Sample::new();
    let whole = std::fs::read(sample.path("nova.db")).unwrap();
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut garbled = whole.clone();
    garbled[4096..200_000].fill(0xa5);
    let noise: Vec<u8> = (0..4096_u32).map(|n| (n * n % 251) as u8 | 0x80).collect();
    let text = "line 1 is none of a dump, and this is no SQLite database";
    for (name, bytes, said) in [
        ("text", b"hello, world\n".to_vec(), text),
        ("text.gz", gzip(b"hello, world\n"), text),
        (
            "nova.db.gz",
            gzip(&whole),
            "is a compressed SQLite database; unpack it first",
        ),
        (
            "encrypted",
            noise.clone(),
            "no text: it does not begin as any of them",
        ),
        (
            "noise.gz",
            gzip(&noise),
            "no text: it does not begin as any of them",
        ),
        (
            "cut",
            whole[..5000].to_vec(),
            "is not a sound SQLite database",
        ),
        ("garbled", garbled, "is not a sound SQLite database"),
        ("empty", Vec::new(), "has no tables"),
    ] {
        std::fs::write(sample.path(name), &bytes).unwrap();
        for command in ["audit", "archive"] {
            let message = refused(65, &[command, &sample.name(name)]);
            assert!(message.contains(said), "{name}: {message}");
        }
        assert!(std::fs::read(sample.path(name)).unwrap() == bytes, "{name}");
    }
    std::fs::create_dir(sample.path("directory")).unwrap();
    let message = refused(65, &["archive", &sample.name("directory")]);
    assert!(message.contains("is a directory; name the database file in it"));
}
