//! `sexton restore`: what it is told, what it says, and its codes.

use crate::sample::{Sample, refused, session, sexton};

const UUID: &str = "SELECT uuid FROM shadow_instances ORDER BY id LIMIT 1";

/// A Nova whose dead instances are archived, and the uuid of one of them.
fn archived() -> (Sample, String) {
    let sample = Sample::new();
    let cell = sample.cell();
    let ran = sexton(&["archive", &cell, "--until-complete", "--quiet"]);
    assert!(ran.code < 2, "{}", ran.stderr);
    let mut opened = session(&sample.path("nova.db"));
    let uuid = opened.query_row(UUID).unwrap().unwrap()[0].to_string();
    (sample, uuid)
}

#[test]
fn an_instance_comes_back_and_can_be_archived_again() {
    let (sample, uuid) = archived();
    let cell = sample.cell();
    let before = sample.bytes();
    let plan = sexton(&["restore", &cell, "--instance", &uuid, "--dry-run"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    assert!(
        plan.stdout.contains("A dry run: nothing was written."),
        "{}",
        plan.stdout
    );
    assert!(
        plan.stderr.contains("INSERT INTO \"instances\""),
        "{}",
        plan.stderr
    );
    assert!(sample.bytes() == before);

    let ran = sexton(&["restore", &cell, "--instance", &uuid]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .starts_with("Rows that came back to the live tables:\n"),
        "{}",
        ran.stdout
    );
    let gone = "Records in the API database (instance_mappings, request_specs, instance_group_member) do \
                not come back, if the archive run removed them (--api).\nComplete: soft-deleted as before";
    assert!(ran.stdout.contains(gone), "{}", ran.stdout);

    let message = refused(65, &["restore", &cell, "--instance", &uuid]);
    assert!(
        message.contains("is not in shadow_instances of"),
        "{message}"
    );
    assert!(
        message.contains("it is in the live table, as instances:"),
        "{message}"
    );
    let message = refused(64, &["restore", &cell, "--instance", ""]);
    assert!(message.contains("--instance is empty"), "{message}");
    let message = refused(64, &["restore", &cell, "--root", "cell1.instances:3"]);
    assert!(
        message.contains("leave 'cell1.' out, as in instances:KEY"),
        "{message}"
    );
    let again = sexton(&[
        "archive",
        &cell,
        "--until-complete",
        "--quiet",
        "--format",
        "json",
    ]);
    assert_eq!(again.json()["rows"]["instances"], 1);
}

#[test]
fn a_refusal_is_one_line_and_json_has_it_all() {
    let (sample, uuid) = archived();
    let cell = sample.cell();
    let live = "INSERT INTO instances (uuid, deleted) SELECT uuid, 0 FROM shadow_instances ORDER BY id LIMIT 1";
    session(&sample.path("nova.db")).execute(live).unwrap();
    let before = sample.bytes();
    let message = refused(65, &["restore", &cell, "--instance", &uuid]);
    assert!(message.contains("live-key-taken"), "{message}");
    assert!(
        message.contains("instances.uuid is that of instances:"),
        "{message}"
    );
    let ran = sexton(&["restore", &cell, "--instance", &uuid, "--format", "json"]);
    assert_eq!(ran.code, 65);
    let report = ran.json();
    assert_eq!(
        (report["version"].as_u64(), report["total_rows"].as_u64()),
        (Some(1), Some(0))
    );
    assert_eq!(report["blocked"][0]["reason"], "live-key-taken");
    assert!(sample.bytes() == before);
}

#[test]
fn names_that_make_no_sense_change_nothing() {
    let (sample, uuid) = archived();
    let (cell, before) = (sample.cell(), sample.bytes());
    for (code, arguments, said) in [
        (64, &["--root", "instances"][..], "is not TABLE:KEY"),
        (64, &["--root", "tags:a/b"], "has no shadow table"),
        (
            64,
            &["--instance", &uuid, "--profile", "convention"],
            "profile convention has no instances",
        ),
        (
            65,
            &["--root", "instances:999999"],
            "is not in shadow_instances",
        ),
        (
            64,
            &["--instance", &uuid, "--cell", "b=b.db"],
            "several cells were given",
        ),
    ] {
        let message = refused(code, &[&["restore", cell.as_str()], arguments].concat());
        assert!(message.contains(said), "{arguments:?}: {message}");
    }
    let message = refused(64, &["restore", &cell]);
    assert!(
        message.contains("needs --instance UUID or --root"),
        "{message}"
    );
    assert!(sample.bytes() == before);
}
