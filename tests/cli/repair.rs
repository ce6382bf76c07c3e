//! `sexton repair`: what it is told, what it says, and its codes.

use crate::plan::{at_a_terminal, at_a_terminal_after};
use crate::sample::{Sample, refused, session, sexton};

#[test]
fn a_plan_to_repair_is_done_with_apply() {
    let sample = Sample::empty();
    sample.generate(&[
        "--families",
        "3",
        "--live",
        "2",
        "--damage",
        "split-family=2",
        "--damage",
        "orphaned-row=1",
        "--damage",
        "stranded-api-record=2",
    ]);
    let (cell, api) = (sample.cell(), sample.api());
    let before = sample.bytes();
    let plan = sexton(&["repair", &cell]);
    assert_eq!(plan.code, 1, "{}{}", plan.stdout, plan.stderr);
    assert!(
        plan.stdout.starts_with("to heal: split-family ("),
        "{}",
        plan.stdout
    );
    assert!(
        plan.stdout.contains("left to you: orphaned-row (1 "),
        "{}",
        plan.stdout
    );
    assert!(
        plan.stdout
            .ends_with("A plan: nothing was written. --apply does it.\n"),
        "{}",
        plan.stdout
    );
    assert!(
        plan.stderr.contains("INSERT INTO \"shadow_"),
        "{}",
        plan.stderr
    );
    assert!(sample.bytes() == before);
    let same = sexton(&["repair", &cell, "--dry-run"]);
    assert_eq!((same.code, same.stdout), (plan.code, plan.stdout));

    // Records are seen where they can be.
    let records = ["repair", &cell, "--check", "stranded-api-record"];
    let ran = sexton(&records);
    assert_eq!(ran.code, 69, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("it needs the API database"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.ends_with("Not everything could be looked at.\n"),
        "{}",
        ran.stdout
    );
    let ran = sexton(&[&records[..], &["--api", &api]].concat());
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.starts_with("to heal: stranded-api-record ("),
        "{}",
        ran.stdout
    );
    assert!(sample.bytes() == before);

    let done = sexton(&[
        "repair", &cell, "--api", &api, "--apply", "--format", "json", "--quiet",
    ]);
    assert_eq!(done.code, 1, "{}{}", done.stdout, done.stderr);
    let report = done.json();
    assert_eq!(report["left"][0]["check"], "orphaned-row");
    assert_eq!(report["left"].as_array().unwrap().len(), 1);
    // One was stranded (the other is of no cell that was given), one went with its family.
    let records = &report["api_records"];
    assert_eq!(records["instance_mappings"], 2, "{records}");
    let healed = report["healed"].as_array().unwrap().iter();
    let swept: Vec<_> = healed.filter(|h| h["way"] == "sweep").collect();
    assert!(
        swept
            .iter()
            .any(|h| h["table"] == "instance_mappings" && h["rows"] == 1),
        "{swept:?}"
    );
    let audit = sexton(&["audit", &cell, "--api", &api, "--format", "json"]).json();
    let findings = audit["findings"].as_array().unwrap().iter();
    let serious: Vec<_> = findings
        .filter(|f| f["severity"] != "note")
        .map(|f| &f["check"])
        .collect();
    assert_eq!(serious, ["orphaned-row"]);

    let one = sexton(&["repair", &cell, "--check", "split-family"]);
    assert_eq!(one.code, 0, "{}{}", one.stdout, one.stderr);
    assert!(one.stdout.ends_with("Nothing to heal.\n"), "{}", one.stdout);
    let message = refused(64, &["repair", &cell, "--check", "splits"]);
    assert!(message.contains("unknown check 'splits'"), "{message}");
    // Nothing of the kind is looked at here, and that is not clean.
    let message = refused(64, &["repair", &cell, "--check", "backlog"]);
    assert!(message.contains("--upgrade-to"), "{message}");
}

#[test]
fn the_records_of_a_family_that_is_archived_go_with_it() {
    let sample = Sample::empty();
    sample.generate(&[
        "--families",
        "3",
        "--live",
        "2",
        "--damage",
        "split-family=4",
    ]);
    let (cell, api) = (sample.cell(), sample.api());
    let before = sample.bytes();
    let heal = ["repair", &cell, "--check", "split-family", "--api", &api];
    let heal = [&heal[..], &["--format", "json"]].concat();
    let planned = sexton(&heal).json();
    assert!(sample.bytes() == before);
    let done = sexton(&[&heal[..], &["--apply"]].concat());
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    let report = done.json();
    let archived = report["archived"]["instances"].as_u64().unwrap();
    assert!(archived > 0);
    assert_eq!(report["api_records"]["instance_mappings"], archived);
    assert_eq!(planned["api_records"], report["api_records"]);
    let stranded = [
        "audit",
        &cell,
        "--api",
        &api,
        "--check",
        "stranded-api-record",
    ];
    assert_eq!(sexton(&stranded).code, 0);
}

#[test]
fn somebody_at_a_terminal_sees_the_plan_and_is_asked() {
    let sample = Sample::empty();
    sample.generate(&["--families", "3", "--damage", "split-family=2"]);
    let cell = sample.cell();
    let before = sample.bytes();
    let apply = ["repair", &cell, "--apply", "--quiet"];
    let (code, shown) = at_a_terminal(&apply, "n\n");
    assert_eq!(code, 75, "{shown}");
    assert!(shown.contains("to heal: split-family ("), "{shown}");
    assert!(shown.contains("This is to be done in "), "{shown}");
    assert!(sample.bytes() == before);
    // What would follow its parent is gone by the time of the answer.
    let fewer = "DELETE FROM instance_system_metadata WHERE instance_uuid NOT IN (SELECT uuid FROM instances)";
    let (code, shown) = at_a_terminal_after(&apply, "y\n", || {
        sample.session().execute(fewer).unwrap();
    });
    assert_eq!(code, 65, "{shown}");
    assert!(shown.contains("has changed since it was shown"), "{shown}");
    let (code, shown) = at_a_terminal(&[&apply[..], &["--yes"]].concat(), "");
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("give it with --api"), "{shown}");
    // Records that would go for good are something to ask about.
    let with_api = [
        "repair",
        &cell,
        "--api",
        &sample.api(),
        "--apply",
        "--quiet",
    ];
    let (code, shown) = at_a_terminal(&with_api, "n\n");
    assert_eq!(code, 75, "{shown}");
    assert!(shown.contains("to heal: stranded-api-record ("), "{shown}");
    // Nothing to heal, nothing to ask.
    let (code, shown) = at_a_terminal(&apply, "");
    assert_eq!(code, 0, "{shown}");
    let ran = sexton(&["repair", &cell, "--yes"]);
    assert_eq!(ran.code, 64, "{}", ran.stderr);
    assert!(ran.stderr.contains("--apply"), "{}", ran.stderr);
}

#[test]
fn young_families_are_not_archived() {
    let sample = Sample::empty();
    sample.generate(&["--families", "3", "--damage", "residue=2"]);
    let cell = sample.cell();
    let before = sample.bytes();
    let heal = ["repair", &cell, "--check", "residue", "--apply", "--before"];
    let left = sexton(&[&heal[..], &["2000-01-01"]].concat());
    assert_eq!(left.code, 1, "{}{}", left.stdout, left.stderr);
    assert!(
        left.stdout.contains("too young for --before"),
        "{}",
        left.stdout
    );
    assert!(sample.bytes() == before);
    let message = refused(64, &[&heal[..], &["soon"]].concat());
    assert!(message.contains("--before"), "{message}");
    let done = sexton(&[&heal[..], &["1d"]].concat());
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
}

/// Of a cell that was not given nothing is asked, and nothing is to be healed here.
#[test]
fn records_of_another_cell_are_no_gap() {
    let sample = Sample::empty();
    sample.generate(&[
        "--families",
        "3",
        "--live",
        "2",
        "--damage",
        "stranded-api-record=2",
    ]);
    let (cell, api) = (sample.cell(), sample.api());
    let mut session = session(&sample.path("api.db"));
    session
        .execute("INSERT INTO cell_mappings (id, uuid, name, transport_url, database_connection) VALUES (77, 'other', 'other', 'none:///', 'mysql://other/nova')")
        .unwrap();
    let moved = session
        .execute("UPDATE instance_mappings SET cell_id = 77 WHERE id = (SELECT MIN(id) FROM instance_mappings)")
        .unwrap();
    assert_eq!(moved, 1);
    let records = ["--api", &api, "--check", "stranded-api-record"];
    let ran = sexton(&[&["audit", &cell][..], &records].concat());
    assert!(ran.stdout.contains("not checked"), "{}", ran.stdout);
    let ran = sexton(&[&["repair", &cell][..], &records].concat());
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains("not checked"), "{}", ran.stdout);
}
