//! Reports and exit codes of runs that go well, and of audits that find something.

use serde_json::Value as Json;

use crate::sample::{Ran, Sample, command, refused, run, sexton};

/// The fields are there and of this kind: `n`umber, `s`tring, `a`rray, `o`bject.
fn has_fields(json: &Json, fields: &[(&str, char)]) {
    for (name, kind) in fields {
        let value = &json[name];
        let right = match kind {
            'n' => value.is_u64(),
            's' => value.is_string(),
            'a' => value.is_array(),
            _ => value.is_object(),
        };
        assert!(right, "{name} in {json}");
    }
    assert_eq!(json["version"], 1);
}

#[test]
fn audit_as_json() {
    let sample = Sample::empty();
    sample.generate(&[
        "--families",
        "10",
        "--live",
        "2",
        "--damage",
        "split-family=2",
    ]);
    let ran = sexton(&["audit", &sample.cell(), "--format", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    let json = ran.json();
    has_fields(
        &json,
        &[
            ("database", 's'),
            ("profile", 's'),
            ("findings", 'a'),
            ("not_checked", 'a'),
            ("summary", 'o'),
        ],
    );
    for severity in ["error", "warning", "note"] {
        assert!(json["summary"][severity].is_u64(), "{json}");
    }
    let findings = json["findings"].as_array().unwrap();
    let split: Vec<_> = findings
        .iter()
        .filter(|f| f["check"] == "split-family")
        .collect();
    assert!(!split.is_empty(), "{json}");
    for finding in split {
        for name in ["severity", "table", "reference", "message", "remedy"] {
            assert!(finding[name].is_string(), "{name} in {finding}");
        }
        assert!(finding["count"].is_u64() && finding["samples"].is_array());
        let object = finding.as_object().unwrap();
        assert!(object.contains_key("oldest") && object.contains_key("newest"));
    }
}

#[test]
fn archive_as_json() {
    let sample = Sample::new();
    let cell = sample.cell();
    let api = sample.api();
    let run = |more: &[&str]| {
        sexton(&[&["archive", &cell, "--api", &api, "--format", "json"], more].concat())
    };
    let ran = run(&["--dry-run", "--until-complete"]);
    assert_eq!((ran.code, &ran.json()["dry_run"]), (0, &Json::Bool(true)));
    let planned = ran.json()["rows"].clone();
    assert_eq!(sample.count("shadow_instances"), 0);

    let ran = run(&["--max-rows", "100"]);
    assert_eq!(ran.code, 75);
    assert_eq!(ran.json()["stopped_because"], "max-rows");
    assert!(ran.json()["total_rows"].as_u64().unwrap() <= 100);
    let first = ran.json()["rows"].clone();

    let ran = run(&["--until-complete"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let json = ran.json();
    has_fields(
        &json,
        &[
            ("rows", 'o'),
            ("total_rows", 'n'),
            ("families", 'n'),
            ("blocked", 'a'),
            ("batches", 'n'),
            ("statements", 'n'),
            ("retries", 'n'),
            ("elapsed_ms", 'n'),
            ("stopped_because", 's'),
        ],
    );
    assert_eq!(json["stopped_because"], "complete");
    let rows = |json: &Json, table: &str| json[table].as_u64().unwrap_or(0);
    for (table, count) in planned.as_object().unwrap() {
        let moved = rows(&first, table) + rows(&json["rows"], table);
        assert_eq!(Some(moved), count.as_u64(), "{table}");
    }
    assert_eq!(sample.count("shadow_instances"), 30);
}

#[test]
fn archive_with_a_blocked_family() {
    let sample = Sample::empty();
    sample.generate(&["--families", "5", "--damage", "unarchivable-parent=2"]);
    let ran = sexton(&[
        "archive",
        &sample.cell(),
        "--until-complete",
        "--format",
        "json",
    ]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let json = ran.json();
    assert_eq!(json["stopped_because"], "complete");
    let blocked = json["blocked"].as_array().unwrap();
    assert_eq!(blocked.len(), 2, "{json}");
    for family in blocked {
        assert!(family["reason"].is_string() && family["root"].is_string());
        assert!(family["path"].is_array() && family["remedy"].is_string());
    }
    let text = sexton(&["archive", &sample.cell(), "--until-complete"]);
    assert_eq!(text.code, 1);
    assert!(text.stdout.contains("remedy: "), "{}", text.stdout);
}

#[test]
fn audit_exit_codes() {
    let sample = Sample::new();
    let audit = |sample: &Sample, fail_on: &str| {
        sexton(&["audit", &sample.cell(), "--fail-on", fail_on]).code
    };
    assert_eq!(sexton(&["audit", &sample.cell()]).code, 0);
    // The sample has usage rows that nova never marks: a note.
    let codes = ["error", "warning", "note"].map(|f| audit(&sample, f));
    assert_eq!(codes, [0, 0, 1]);

    let warned = Sample::empty();
    warned.generate(&["--families", "5", "--damage", "residue=1"]);
    let codes = ["error", "warning", "note"].map(|f| audit(&warned, f));
    assert_eq!(codes, [0, 1, 1]);
    assert_eq!(sexton(&["audit", &warned.cell()]).code, 1);

    let broken = Sample::empty();
    broken.generate(&["--families", "5", "--damage", "split-family=1"]);
    let codes = ["error", "warning", "note"].map(|f| audit(&broken, f));
    assert_eq!(codes, [2, 2, 2]);
    // What could not be checked is never clean.
    let ran = sexton(&["audit", &sample.cell(), "--check", "stranded-api-record"]);
    assert_eq!(ran.code, 69, "{}", ran.stdout);
}

#[test]
fn a_report_in_a_file() {
    let sample = Sample::new();
    let cell = sample.cell();
    let report = sample.name("report.json");
    let to_file = ["--format", "json", "--output", &report];
    for command in ["audit", "archive"] {
        // The second report is longer or shorter than the first, and takes its place.
        let ran = sexton(&[&[command, &cell][..], &to_file].concat());
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
        let text = std::fs::read_to_string(&report).unwrap();
        let json: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(json["version"], 1);
    }
    // A run that is refused leaves no file behind.
    let other = sample.name("other.json");
    let ran = sexton(&["audit", &sample.name("none.db"), "--output", &other]);
    assert_eq!(ran.code, 69);
    assert!(!std::path::Path::new(&other).exists());
}

/// A report in the place of the database.
#[test]
fn a_report_is_not_written_over_what_is_read() {
    let sample = Sample::new();
    let (cell, api, configuration) = (sample.cell(), sample.api(), sample.configuration());
    let link = sample.name("link");
    std::os::unix::fs::symlink(&cell, &link).unwrap();
    let profile = sample.file("p.toml", "name = \"p\"\ntitle = \"p\"\n");
    let before = sample.bytes();
    for (arguments, output) in [
        (&["audit", cell.as_str()][..], &cell),
        (&["audit", &cell], &link),
        (&["audit", &cell, "--api", &api], &api),
        (&["audit", "--config-file", &configuration], &configuration),
        (&["audit", "--config-file", &configuration], &cell),
        (&["audit", "--cell", &format!("a={cell}")], &cell),
        (&["audit", &cell, "--profile", &profile], &profile),
        (&["archive", &cell, "--until-complete"], &cell),
        (&["purge", &cell, "--all"], &cell),
        (&["schema", "diff", &cell], &cell),
        (&["schema", "diagram", &cell], &cell),
        (&["generate", &cell], &cell),
    ] {
        let message = refused(64, &[arguments, &["--output", output]].concat());
        assert!(
            message.contains("is what the command works on"),
            "{message}"
        );
    }
    assert!(sample.bytes() == before, "a file was changed");
}

#[test]
fn a_configuration_file_names_both_databases() {
    let sample = Sample::new();
    let configuration = sample.configuration();
    let with = |command: &str, more: &[&str]| -> Ran {
        sexton(&[&[command, "--config-file", &configuration][..], more].concat())
    };
    let ran = with("audit", &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let ran = with("archive", &["--until-complete", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.json()["api_records"]["instance_mappings"], 30);
    let ran = with("audit", &["--check", "stranded-api-record"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
}

#[test]
fn generate_twice_adds_to_what_is_there() {
    let sample = Sample::empty();
    let first = sample.generate(&["--families", "5", "--live", "2", "--format", "json"]);
    let json = first.json();
    has_fields(
        &json,
        &[("database", 's'), ("rows", 'o'), ("total_rows", 'n')],
    );
    assert_eq!(sample.count("instances"), 7);
    let second = sample.generate(&["--families", "5", "--live", "2", "--format", "json"]);
    assert_eq!(second.json()["rows"]["instances"], 7);
    assert_eq!(sample.count("instances"), 14);
    let ran = sexton(&["audit", &sample.cell(), "--api", &sample.api()]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let ran = sexton(&["archive", &sample.cell(), "--until-complete"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert_eq!(sample.count("shadow_instances"), 10);
}

/// What audit counts for a check: errors and warnings.
fn counted(sample: &Sample, check: &str) -> u64 {
    let ran = sexton(&[
        "audit",
        &sample.cell(),
        "--api",
        &sample.api(),
        "--check",
        check,
        "--format",
        "json",
    ]);
    let json = ran.json();
    assert_eq!(json["not_checked"], Json::Array(Vec::new()));
    let findings = json["findings"].as_array().unwrap().iter();
    findings
        .filter(|f| f["check"] == check && f["severity"] != "note")
        .map(|f| f["count"].as_u64().unwrap())
        .sum()
}

#[test]
fn every_damage_is_found_as_often_as_it_was_planted() {
    let sound = Sample::new();
    for check in [
        "orphaned-row",
        "split-family",
        "unarchivable-parent",
        "residue",
        "missing-required-child",
        "duplicate-in-shadow",
        "inconsistent-marker",
        "shadow-drift",
        "stranded-api-record",
    ] {
        for planted in [1, 3, 8] {
            let sample = Sample::empty();
            let damage = format!("{check}={planted}");
            sample.generate(&["--families", "10", "--live", "5", "--damage", &damage]);
            // A real Nova's shadow tables differ from its tables without our doing.
            let before = counted(&sound, check);
            assert_eq!(counted(&sample, check) - before, planted, "{check}");
        }
    }
    let sample = Sample::empty();
    let damage = "non-transactional-table=1";
    let ran = sexton(&["generate", &sample.cell(), "--damage", damage]);
    assert!(matches!(ran.code, 64 | 65), "{}{}", ran.code, ran.stderr);
    assert!(ran.stderr.contains("; "), "{}", ran.stderr);
}

#[test]
fn the_demonstration_leaves_a_database_to_go_on_with() {
    let sample = Sample::empty();
    let directory = sample.name("");
    let ran = sexton(&["demo", "--families", "50", "--directory", &directory]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let path = sample.path("nova.sqlite");
    let path = path.to_str().unwrap();
    let last = ran.stdout.lines().last().unwrap();
    assert!(
        last.ends_with(path) && last.starts_with("Done in "),
        "{last}"
    );
    // What needs no choice is healed, all of it, and of the rest it is said why.
    let after = |check: &str| -> u64 {
        let lines = ran.stdout.lines().map(|l| l.split_whitespace().collect());
        let counted = |words: &Vec<&str>| {
            words.len() > 3 && words[1..3].iter().all(|n| n.parse::<u64>().is_ok())
        };
        let mut rows = lines.filter(|words| counted(words) && words[0] == check);
        rows.next().unwrap()[2].parse().unwrap()
    };
    for check in ["split-family", "residue", "inconsistent-marker"] {
        assert_eq!(after(check), 0, "{check}");
    }
    assert_eq!(after("duplicate-in-shadow"), 1);
    let left = "left to you: duplicate-in-shadow (1 instance_system_metadata";
    assert!(ran.stdout.contains(left), "{}", ran.stdout);
    // What is left of the damage is for people to judge: the commands say so and run.
    for line in ran.stdout.lines().filter(|l| l.contains(path)) {
        let Some(("", words)) = line.split_once("   sexton ") else {
            continue;
        };
        let arguments: Vec<_> = words.split(' ').collect();
        // One of them writes a file where it runs.
        let mut there = command();
        there.current_dir(&directory).args(arguments);
        let ran = run(there);
        assert!(ran.code <= 2, "{words}: {} {}", ran.code, ran.stderr);
    }
    let again = sexton(&["demo", "--directory", &directory]);
    assert_eq!(again.code, 64);
    assert!(again.stderr.contains("already there"), "{}", again.stderr);
}

/// A script that knows the codes must not be told less than `docs/archive.md` does.
#[test]
fn help_says_that_a_lost_database_ends_with_75() {
    for arguments in [
        &["archive", "--help"][..],
        &["purge", "--help"],
        &["--help"],
    ] {
        let help = sexton(arguments).stdout;
        let words: Vec<_> = help.split_whitespace().collect();
        let words = words.join(" ");
        assert!(
            words.contains("the database was lost"),
            "{arguments:?}: {help}"
        );
    }
}
