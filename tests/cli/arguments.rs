//! Arguments that make no sense: refused before anything is touched.

use crate::sample::{Sample, refused, refused_by_clap, sexton};

#[test]
fn urls_that_name_no_database() {
    for command in ["audit", "archive", "generate"] {
        let message = refused(64, &[command, "oracle://u:s3cr3t@h/n"]);
        assert!(message.contains("scheme that is not known"), "{message}");
        for url in [
            "mysql://u:s3cr3t@h",
            "mysql://u:s3cr3t@h/",
            "postgresql://u:s3cr3t@h",
        ] {
            let message = refused(64, &[command, url]);
            assert!(message.contains("names no database"), "{message}");
        }
    }
    for command in ["audit", "archive"] {
        let message = refused(64, &[command]);
        assert!(message.contains("SEXTON_DATABASE"), "{message}");
    }
}

/// Each is refused with words that name it, and leaves every file as it was.
#[test]
fn values_of_archive() {
    let sample = Sample::new();
    let (cell, before) = (sample.cell(), sample.bytes());
    for (option, value, said) in [
        ("--before", "30 days ago", "'30 days ago' is not a date"),
        ("--before", "2026-02-30", "'2026-02-30' is not a date"),
        ("--max-rows", "0", "--max-rows 0 is not a number above 0"),
        ("--max-rows", "-1", "--max-rows -1 is not"),
        ("--max-rows", "abc", "--max-rows abc is not"),
        ("--max-rows", "1.5", "--max-rows 1.5 is not"),
        ("--max-rows", "99999999999999999999", "is not a number"),
        (
            "--run-time",
            "soon",
            "--run-time soon is not a time above 0",
        ),
        ("--run-time", "0s", "--run-time 0s is not a time above 0"),
        ("--until", "soon", "--until soon is no time"),
        ("--until", "2020-01-01T00:00:00Z", "is over"),
        (
            "--target-batch-time",
            "soon",
            "--target-batch-time soon is not a time",
        ),
        (
            "--target-batch-time",
            "0s",
            "--target-batch-time 0s is not a time",
        ),
        (
            "--target-batch-time",
            "2h",
            "--target-batch-time 2h is not a time",
        ),
        ("--sleep", "-1", "--sleep -1 is not a time"),
        ("--sleep", "-1s", "--sleep -1s is not a time"),
        ("--sleep", "nan", "--sleep nan is not a time"),
        ("--sleep", "inf", "--sleep inf is not a time"),
        ("--sleep", "soon", "--sleep soon is not a time"),
        (
            "--sleep",
            "25h",
            "--sleep 25h is not a time of a day at most",
        ),
        (
            "--drop-unshadowed",
            "nothing",
            "there is no table 'nothing'",
        ),
        ("--drop-unshadowed", "instances", "'instances' has a shadow"),
        ("--output", "/nonexistent/report", "/nonexistent/report"),
        ("--output", "/", "cannot write /"),
    ] {
        let message = refused(64, &["archive", &cell, "--until-complete", option, value]);
        assert!(message.contains(said), "{option} {value}: {message}");
    }
    refused_by_clap(&["archive", &cell, "--jobs", "0"], "--jobs");
    refused_by_clap(&["archive", &cell, "--dry-run", "--purge"], "--purge");
    // They would be of no effect, and nobody would know.
    for option in ["--jobs=2", "--cells-at-once=2", "--target-batch-time=1s"] {
        refused_by_clap(&["archive", &cell, option], "--until-complete");
    }
    assert!(sample.bytes() == before, "a refused run changed a file");
}

#[test]
fn values_of_audit() {
    let sample = Sample::new();
    let (cell, before) = (sample.cell(), sample.bytes());
    let message = refused(64, &["audit", &cell, "--check", "nothing"]);
    assert!(
        message.contains("unknown check 'nothing'") && message.contains("split-family"),
        "{message}"
    );
    refused(64, &["audit", &cell, "--output", "/nonexistent/report"]);
    refused_by_clap(&["audit", &cell, "--fail-on", "never"], "--fail-on");
    refused_by_clap(&["audit", &cell, "--format", "xml"], "--format");
    assert!(sample.bytes() == before, "a refused run changed a file");
}

#[test]
fn profiles() {
    let sample = Sample::new();
    let cell = sample.cell();
    let missing = sample.name("none.toml");
    let bad = sample.file("bad.toml", "name = 3\n");
    let before = sample.bytes();
    for command in ["audit", "archive"] {
        let with = |code, profile| refused(code, &[command, &cell, "--profile", profile]);
        assert!(with(65, "nothing").contains("unknown profile 'nothing'"));
        assert!(with(64, &missing).contains(&missing));
        assert!(with(65, &bad).contains(&bad));
    }
    assert!(sample.bytes() == before, "a refused run changed a file");
}

#[test]
fn cells() {
    for cell in ["nova", "=nova.db", "cell1="] {
        refused_by_clap(&["archive", "--cell", cell], "expected NAME=DB");
    }
    let message = refused(64, &["archive", "--cell", "cell1=oracle://u:s3cr3t@h/n"]);
    assert!(message.contains("scheme"), "{message}");
}

/// Nothing is connected to for that: the URLs alone tell.
#[test]
fn nodes_of_a_cluster() {
    let node = |host: &str, database: &str| format!("mysql://u:s3cr3t@{host}/{database}");
    let (one, two) = (node("a", "nova"), node("b", "nova"));
    let (other, file) = (node("b", "glance"), "nova.db".to_owned());
    let postgres = "postgresql://u:s3cr3t@b/nova".to_owned();
    for command in ["audit", "archive"] {
        for (first, node, said) in [
            (
                &one,
                &other,
                "mysql://u@b/glance is no further node of mysql://u@a/nova: its name is another",
            ),
            (&one, &postgres, "it is of another kind"),
            (&one, &file, "a file has no nodes"),
            (&file, &one, "a file has no nodes"),
            (&one, &one, "mysql://u@a/nova is given twice"),
        ] {
            let with_db = refused(64, &[command, first, "--db", node]);
            assert!(with_db.contains(said), "{with_db}");
            // The first one is DB where that is not given.
            let alone = refused(64, &[command, "--db", first, "--db", node]);
            assert_eq!(alone, with_db);
            let [first, node] = [first, node].map(|url| format!("cell1={url}"));
            let as_cell = refused(64, &[command, "--cell", &first, "--cell", &node]);
            assert!(as_cell.contains(said), "{as_cell}");
            assert!(!as_cell.contains("--db"), "{as_cell}");
        }
        // A node of one cell is not another cell.
        let [one_node, two_node] = [&one, &two].map(|url| format!("cell1={url}"));
        let cells = ["--cell", &one_node, "--cell", &two_node];
        let twin = format!("cell2={two}");
        let message = refused(64, &[&[command], &cells[..], &["--cell", &twin]].concat());
        assert!(
            message.contains("mysql://u@b/nova is given twice"),
            "{message}"
        );
        for nodes in [
            &[one.as_str(), "--db", &two][..],
            &["--db", &one, "--db", &two],
        ] {
            let all = ["--all-cells", "--api", "api.db"];
            let message = refused(64, &[&[command], nodes, &all].concat());
            assert!(
                message.contains("--db gives further nodes of DB, which is no cell"),
                "{message}"
            );
        }
    }
}

#[test]
fn configuration_files() {
    let sample = Sample::new();
    let cell = sample.cell();
    let missing = sample.name("none.conf");
    let before = sample.bytes();
    for command in ["audit", "archive"] {
        let with = |code, path: &str, said: &str| {
            let message = refused(code, &[command, "--config-file", path]);
            assert!(
                message.contains(path) && message.contains(said),
                "{message}"
            );
        };
        with(64, &missing, "No such file");
        let write = |text: &str| sample.file("a.conf", text);
        with(65, &write("[DEFAULT]\n"), "no section [database]");
        with(
            65,
            &write("[database]\nx = 1\n"),
            "[database] has no connection",
        );
        with(
            65,
            &write("[database]\n#connection = x\n"),
            "[database] has no",
        );
        with(65, &write("[database]\nconnection =\n"), "is empty");
        with(
            64,
            &write("[database]\nconnection = oracle://u:s3cr3t@h/n\n"),
            "scheme",
        );
        // An API database that cannot be read is not passed over: its records would be left.
        let half = format!("[database]\nconnection = sqlite:///{cell}\n[api_database]\n");
        let path = write(&(half + "connection = mysql://u:$s3cr3t@h/n\n"));
        with(65, &path, "refers with $");
        refused_by_clap(&[command, "--config-file", &path, &cell], "cannot be used");
    }
    std::fs::remove_file(sample.path("a.conf")).unwrap();
    assert!(sample.bytes() == before, "a refused run changed a file");
}

/// A limit of lag without a replica would protect nothing, and nobody would know.
#[test]
fn a_limit_of_lag_wants_a_replica() {
    for limit in [&["--max-lag", "5s"][..], &["--stopped-replica", "wait"]] {
        refused_by_clap(&[&["archive", "nova.db"], limit].concat(), "--replica");
    }
}

/// It would be gone on without, as one that does not replicate.
#[test]
fn a_replica_is_of_the_kind_of_its_database() {
    let url = "mysql://nova@127.0.0.1:1/nova";
    let replica = "postgresql://nova@127.0.0.1:1/nova";
    let said = refused(64, &["archive", url, "--replica", replica]);
    assert!(said.contains("is of another kind"), "{said}");
}

/// What clap refuses in its own words has ours beside them, where they do not say what to do instead.
#[test]
fn a_purge_that_follows_has_no_dry_run_of_its_own() {
    let sample = Sample::new();
    let cell = sample.cell();
    let ran = sexton(&["archive", &cell, "--purge", "--dry-run"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (64, ""));
    let instead = ["purge", &cell, "--all", "--task-log", "--dry-run"];
    let said = format!(
        "`sexton {} {}` what would be deleted",
        instead[0],
        instead[2..].join(" ")
    );
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    assert_eq!(sexton(&instead).code, 0);
    // No other conflict has it.
    let other = sexton(&["archive", &cell, "--plan", "x", "--dry-run"]);
    assert_eq!(other.code, 64);
    assert!(!other.stderr.contains("note: "), "{}", other.stderr);
}

#[test]
fn help_of_help_is_help() {
    for (typed, plain) in [
        (&["help", "--help"][..], &["help"][..]),
        (&["help", "-h"], &["help"]),
        (&["help", "archive", "--help"], &["archive", "--help"]),
        (&["schema", "help", "--help"], &["schema", "help"]),
        (
            &["help", "schema", "diff", "-h"],
            &["help", "schema", "diff"],
        ),
    ] {
        let (ran, expected) = (sexton(typed), sexton(plain));
        assert_eq!(ran.code, 0, "{typed:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, expected.stdout, "{typed:?}");
        assert!(ran.stdout.contains("Usage: sexton"), "{}", ran.stdout);
    }
    // Where it is a name it stays one.
    assert_eq!(sexton(&["explain", "help"]).code, 64);
    assert_eq!(sexton(&["help", "nothing"]).code, 64);
}

/// nova-manage takes it too; but who meant it?
#[test]
fn a_date_in_the_future_is_taken_and_said() {
    let sample = Sample::new();
    let said = "sexton: --before: 2999-01-01 00:00:00 UTC is in the future: whatever is soft-deleted is old enough";
    for command in [
        &["archive", "--dry-run", "--quiet"][..],
        &["archive", "--compat", "nova-manage"],
        &["purge", "--dry-run", "--quiet"],
        &["repair", "--quiet"],
    ] {
        let notices = |before: &str| {
            let ran = sexton(&[command, &["--before", before, &sample.cell()]].concat());
            assert!(ran.code <= 3, "{command:?}: {} {}", ran.code, ran.stderr);
            ran.stderr.lines().filter(|line| *line == said).count()
        };
        assert_eq!(notices("2999-01-01"), 1, "{command:?}");
        assert_eq!(notices("2001-01-01"), 0, "{command:?}");
    }
}
