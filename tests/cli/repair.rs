//! `sexton repair`: what it is told, what it says, and its codes.

use crate::sample::{Sample, refused, sexton};

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

    // Records are seen where they can be.
    let records = ["repair", &cell, "--check", "stranded-api-record"];
    let ran = sexton(&records);
    assert_eq!(ran.code, 69, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("it needs the API database"),
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
    assert!(
        report["api_records"]
            .as_object()
            .unwrap()
            .values()
            .any(|n| n.as_u64() > Some(0))
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
