//! Arguments that make no sense: refused before anything is touched.

use crate::sample::{Sample, refused, refused_by_clap};

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
        ("--sleep", "-1", "--sleep -1 is not a number of seconds"),
        ("--sleep", "nan", "--sleep NaN is not a number of seconds"),
        ("--sleep", "inf", "--sleep inf is not a number of seconds"),
        (
            "--drop-unshadowed",
            "nothing",
            "there is no table 'nothing'",
        ),
        ("--drop-unshadowed", "instances", "'instances' has a shadow"),
        ("--output", "/nonexistent/report", "/nonexistent/report"),
        ("--output", "/", "cannot write /"),
    ] {
        let message = refused(64, &["archive", &cell, option, value]);
        assert!(message.contains(said), "{option} {value}: {message}");
    }
    refused_by_clap(&["archive", &cell, "--sleep", "soon"], "--sleep");
    refused_by_clap(&["archive", &cell, "--jobs", "0"], "--jobs");
    refused_by_clap(&["archive", &cell, "--dry-run", "--purge"], "--purge");
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
