//! Metrics for Prometheus, read back by a parser of the format that is not ours.

use std::collections::BTreeMap;

use prometheus_parse::{Scrape, Value};
use serde_json::Value as Json;

use crate::sample::{Sample, sexton};

/// Runs the command and reads its metrics: values by name and by all labels but the database.
fn metrics(code: i32, arguments: &[&str]) -> BTreeMap<String, f64> {
    let ran = sexton(&[arguments, &["--format", "prometheus"]].concat());
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.ends_with('\n'));
    let lines = ran.stdout.lines().map(|line| Ok(line.to_owned()));
    let scrape = Scrape::parse(lines).unwrap();
    let mut found = BTreeMap::new();
    for sample in scrape.samples {
        let Value::Gauge(value) = sample.value else {
            panic!("{sample:?} is no gauge");
        };
        assert!(
            scrape.docs.contains_key(&sample.metric),
            "no help: {sample:?}"
        );
        let database = sample.labels.get("database");
        assert!(database.is_some_and(|d| !d.is_empty()), "{sample:?}");
        let labels = sample
            .labels
            .iter()
            .filter(|(name, _)| **name != "database");
        let mut labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        labels.sort();
        let key = format!("{}{{{}}}", sample.metric, labels.join(","));
        assert!(
            found.insert(key.clone(), value).is_none(),
            "{key} is there twice"
        );
    }
    found
}

fn now() -> f64 {
    jiff::Timestamp::now().as_second() as f64
}

#[test]
fn the_metrics_of_an_audit_say_what_the_json_says() {
    let sample = Sample::empty();
    sample.generate(&[
        "--families",
        "20",
        "--live",
        "5",
        "--damage",
        "split-family=2",
        "--damage",
        "unarchivable-parent=3",
    ]);
    let cell = sample.cell();
    let begun = now();
    let found = metrics(2, &["audit", &cell]);
    let json = sexton(&["audit", &cell, "--census", "--format", "json"]).json();

    for table in json["census"]["tables"].as_array().unwrap() {
        let name = table["table"].as_str().unwrap();
        let number = |field: &str| table[field].as_f64();
        let rows = |place: &str| {
            found
                .get(&format!("sexton_rows{{place={place},table={name}}}"))
                .copied()
        };
        assert_eq!(rows("live"), number("rows"), "{name}");
        assert_eq!(rows("shadow"), number("archived"), "{name}");
        let of_table = |key: &str| {
            key.starts_with("sexton_backlog_rows{") && key.ends_with(&format!(",table={name}}}"))
        };
        let backlog: f64 = found
            .iter()
            .filter(|(k, _)| of_table(k))
            .map(|(_, n)| n)
            .sum();
        assert_eq!(Some(backlog), number("pending"), "{name}");
        // What nobody can tell has no sample, and what is nothing has.
        let never = [
            "instance_actions",
            "instance_actions_events",
            "task_log",
            "volume_usage_cache",
        ]
        .contains(&name);
        assert_eq!(table["never_marked"] == true, never, "{name}");
        assert_eq!(found.keys().any(|key| of_table(key)), !never, "{name}");
        let age = found.get(&format!(
            "sexton_oldest_pending_age_seconds{{table={name}}}"
        ));
        let expected = number("oldest_age_seconds");
        assert_eq!(age.is_some(), expected.is_some(), "{name}");
        // The two were not taken in the same second.
        assert!(
            (age.unwrap_or(&0.0) - expected.unwrap_or(0.0)).abs() < 60.0,
            "{name}"
        );
    }
    let findings = json["findings"].as_array().unwrap();
    let of = |check: &str, severity: &str| {
        findings
            .iter()
            .filter(|f| f["check"] == check && f["severity"] == severity)
            .collect::<Vec<_>>()
    };
    let counted = |found: &[&Json]| {
        found
            .iter()
            .map(|f| f["count"].as_f64().unwrap())
            .sum::<f64>()
    };
    for (check, severity) in [
        ("split-family", "error"),
        ("unarchivable-parent", "error"),
        ("shadow-drift", "note"),
        ("residue", "warning"),
    ] {
        let labels = format!("{{check={check},severity={severity}}}");
        let expected = of(check, severity);
        assert_eq!(
            found[&format!("sexton_findings{labels}")],
            expected.len() as f64,
            "{check}"
        );
        assert_eq!(
            found[&format!("sexton_finding_rows{labels}")],
            counted(&expected),
            "{check}"
        );
    }
    assert_eq!(found["sexton_split_families{}"], 2.0);
    let blocked: f64 = ["error", "warning", "note"]
        .iter()
        .map(|s| counted(&of("unarchivable-parent", s)))
        .sum();
    assert_eq!(found["sexton_unarchivable_parents{}"], blocked);
    for name in ["run", "success"] {
        let moment = found[&format!("sexton_audit_last_{name}_timestamp_seconds{{}}")];
        assert!(moment >= begun && moment <= now(), "{moment}");
    }
    // Without the API database nobody knows of its records.
    assert!(
        found.keys().all(|key| !key.contains("stranded-api-record")),
        "{found:?}"
    );
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        found[&format!("sexton_build_info{{command=audit,version={version}}}")],
        1.0
    );
}

#[test]
fn what_was_not_checked_has_no_zero_and_is_no_success() {
    let sample = Sample::new();
    let found = metrics(
        69,
        &["audit", &sample.cell(), "--check", "stranded-api-record"],
    );
    assert_eq!(found["sexton_audit_not_checked{}"], 1.0);
    assert!(found.contains_key("sexton_audit_last_run_timestamp_seconds{}"));
    assert!(!found.contains_key("sexton_audit_last_success_timestamp_seconds{}"));
    let zero =
        |key: &&String| key.starts_with("sexton_findings") || key.starts_with("sexton_split");
    assert_eq!(found.keys().filter(zero).count(), 0, "{found:?}");
}

#[test]
fn the_metrics_of_archive_runs_and_purges_say_what_the_json_says() {
    let sample = Sample::empty();
    sample.generate(&["--families", "10", "--damage", "unarchivable-parent=2"]);
    let cell = sample.cell();
    for (command, arguments, code) in [
        ("archive", vec!["archive", &cell, "--until-complete"], 1),
        ("purge", vec!["purge", &cell, "--all"], 0),
    ] {
        let dry = [&arguments[..], &["--dry-run"]].concat();
        let planned = metrics(code, &dry);
        let json = sexton(&[&dry[..], &["--format", "json"]].concat()).json();
        let found = metrics(code, &arguments);
        let value = |name: &str| found[&format!("sexton_{command}_{name}")];
        for (name, counts) in [
            ("rows{table=", &json["rows"]),
            ("blocked_families{reason=", &json["blocked_families"]),
        ] {
            let counts = counts.as_object().unwrap();
            assert!(!counts.is_empty() || command == "purge", "{json}");
            for (key, count) in counts {
                assert_eq!(
                    Some(value(&format!("{name}{key}}}"))),
                    count.as_f64(),
                    "{key}"
                );
            }
        }
        assert_eq!(Some(value("families{}")), json["families"].as_f64());
        let stopped = |reason: &str| value(&format!("stopped{{reason={reason}}}"));
        assert_eq!((stopped("complete"), stopped("signal")), (1.0, 0.0));
        let success = format!("sexton_{command}_last_success_timestamp_seconds{{}}");
        assert!(now() - found[&success] < 60.0);
        // What only would have moved is no success.
        assert!(!planned.contains_key(&success));
        assert_eq!(planned[&format!("sexton_{command}_dry_run{{}}")], 1.0);
    }
}

/// A table may have any name, and a label any value.
#[test]
fn labels_are_escaped() {
    let sample = Sample::new();
    let mut session = sample.session();
    session
        .execute("CREATE TABLE \"a\"\"b\\c\nd\" (id INTEGER PRIMARY KEY, deleted INT)")
        .unwrap();
    drop(session);
    let ran = sexton(&["audit", &sample.cell(), "--format", "prometheus"]);
    let line = ran
        .stdout
        .lines()
        .find(|l| l.starts_with("sexton_rows") && l.contains("c\\nd"));
    let line = line.unwrap_or_else(|| panic!("{}", ran.stdout));
    assert!(line.contains(r#"table="a\"b\\c\nd""#), "{line}");
    assert!(
        ran.stdout
            .lines()
            .all(|l| l.starts_with('#') || l.starts_with("sexton_")),
        "{}",
        ran.stdout
    );
}
