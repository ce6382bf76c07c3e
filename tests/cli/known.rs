//! Findings that are known: baselines, suppressions, earlier reports.

use serde_json::Value as Json;

use crate::sample::{Ran, Sample, refused, session, sexton};

/// A Nova with this damage.
fn damaged(damage: &[&str]) -> Sample {
    let sample = Sample::empty();
    sample.generate(&["--families", "10", "--live", "2"]);
    worsen(&sample, damage);
    sample
}

/// Adds damage.
fn worsen(sample: &Sample, damage: &[&str]) {
    for damage in damage {
        sample.generate(&["--families", "1", "--damage", damage]);
    }
}

fn audit(sample: &Sample, more: &[&str]) -> Ran {
    let ran = sexton(&[&["audit", &sample.cell()][..], more].concat());
    assert_eq!(ran.stderr, "", "{}", ran.stdout);
    ran
}

fn json(sample: &Sample, more: &[&str]) -> Json {
    audit(sample, &[&["--format", "json"], more].concat()).json()
}

/// The findings of a check.
fn of<'j>(report: &'j Json, check: &str) -> Vec<&'j Json> {
    let findings = report["findings"].as_array().unwrap().iter();
    let of_check: Vec<_> = findings.filter(|f| f["check"] == check).collect();
    assert!(!of_check.is_empty(), "no {check} in {report}");
    of_check
}

#[test]
fn known_findings_are_shown_and_do_not_fail_until_they_grow() {
    let sample = damaged(&["residue=2", "split-family=1"]);
    let baseline = sample.name("baseline.json");
    // The exit code says what was found, also when it is written down.
    assert_eq!(audit(&sample, &["--write-baseline", &baseline]).code, 2);
    let first = json(&sample, &[]);

    let with = |more: &[&str]| audit(&sample, &[&["--baseline", &baseline], more].concat());
    let ran = with(&[]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("state     known\n"), "{}", ran.stdout);
    let report = with(&["--format", "json"]).json();
    assert_eq!(
        report["findings"].as_array().unwrap().len(),
        first["findings"].as_array().unwrap().len()
    );
    assert_eq!(
        report["summary"]["known"],
        first["findings"].as_array().unwrap().len()
    );
    assert_eq!(report["summary"]["error"], first["summary"]["error"]);

    worsen(&sample, &["residue=1"]);
    let ran = with(&[]);
    assert_eq!(ran.code, 1, "only the residue fails: {}", ran.stdout);
    assert!(
        ran.stdout.contains("grew since the baseline: count 2 to 3"),
        "{}",
        ran.stdout
    );
    let report = with(&["--format", "json"]).json();
    let grown = of(&report, "residue")
        .into_iter()
        .find(|f| f["severity"] == "warning")
        .unwrap();
    assert_eq!(
        (&grown["baseline"]["change"], &grown["baseline"]["count"]),
        (&"grew".into(), &2.into())
    );

    // What is accepted takes the place of what was.
    assert_eq!(with(&["--write-baseline", &baseline]).code, 1);
    assert_eq!(with(&[]).code, 0);
}

/// What is known of one cell excuses nothing in another; of a copy it does, and that is said.
#[test]
fn what_is_known_of_another_database_is_refused_and_a_copy_is_said() {
    let sample = damaged(&["residue=2"]);
    let (baseline, earlier) = (sample.name("baseline.json"), sample.name("earlier.json"));
    let json = ["--format", "json", "--output", &earlier];
    let write = ["--write-baseline", &baseline];
    let cell = format!("cell1={}", sample.cell());
    let named = ["audit", "--cell", &cell];
    assert_eq!(sexton(&[&named[..], &write, &json].concat()).code, 1);
    let kept: Json = serde_json::from_str(&std::fs::read_to_string(&baseline).unwrap()).unwrap();
    let databases = &kept["databases"][0];
    assert_eq!(
        (&databases["cell"], &databases["engine"]),
        (&"cell1".into(), &"SQLite".into())
    );

    let other = format!("cell2={}", sample.cell());
    for known in [["--baseline", &baseline], ["--since", &earlier]] {
        let said = refused(64, &[&["audit", "--cell", &other][..], &known].concat());
        assert!(
            said.contains(known[0]) && said.contains("it is of cell cell1, this of cell cell2"),
            "{said}"
        );
        let by_convention = [&named[..], &known, &["--profile", "convention"]].concat();
        let said = refused(64, &by_convention);
        assert!(
            said.contains("profile nova, this is with convention"),
            "{said}"
        );
        let ran = sexton(&[&named[..], &known].concat());
        assert_eq!(ran.stderr, "");

        let copy = sample.name("copy.db");
        std::fs::copy(sample.cell(), &copy).unwrap();
        let ran = sexton(&[&["audit", &copy][..], &known].concat());
        let said = format!("{copy} is taken for the same database, or a copy of it\n");
        assert!(ran.stderr.ends_with(&said), "{}", ran.stderr);
        assert_eq!(ran.code, i32::from(known[0] == "--since"), "{}", ran.stdout);
        let quiet = sexton(&[&["audit", &copy, "--quiet"][..], &known].concat());
        assert_eq!((quiet.stderr.as_str(), quiet.stdout), ("", ran.stdout));
    }
}

#[test]
fn what_went_away_is_said_and_what_was_not_looked_for_is_not_gone() {
    let sample = damaged(&["residue=2", "orphaned-row=1"]);
    let (baseline, earlier) = (sample.name("baseline.json"), sample.name("earlier.json"));
    let both = ["--baseline", &baseline, "--since", &earlier];
    audit(
        &sample,
        &[
            "--write-baseline",
            &baseline,
            "--format",
            "json",
            "--output",
            &earlier,
        ],
    );
    sexton(&["archive", &sample.cell(), "--until-complete", "--quiet"]);

    let report = json(&sample, &both);
    for comparison in ["baseline", "since"] {
        let gone = report[comparison]["gone"].as_array().unwrap();
        assert!(
            gone.iter().any(|g| g["check"] == "residue"),
            "{comparison}: {report}"
        );
        assert!(
            gone.iter().all(|g| g["check"] != "orphaned-row"),
            "{comparison}: {report}"
        );
    }
    for (format, said) in [
        ("text", "gone since the baseline"),
        ("markdown", "gone: since the baseline"),
        ("github", "::notice title=gone::since the earlier report"),
        ("jsonl", r#"{"type":"gone","since":"report""#),
        ("junit", "since the earlier report"),
        ("sarif", r#""baselineState": "absent""#),
    ] {
        let ran = audit(&sample, &[&both[..], &["--format", format]].concat());
        assert!(ran.stdout.contains(said), "{format}: {}", ran.stdout);
    }
    let report = json(&sample, &[&both[..], &["--check", "orphaned-row"]].concat());
    assert_eq!(report["baseline"]["gone"], Json::Array(Vec::new()));
    // Nor are the findings of checks that were not made taken out of the baseline.
    let again = sample.name("again.json");
    audit(
        &sample,
        &[
            "--baseline",
            &baseline,
            "--check",
            "orphaned-row",
            "--write-baseline",
            &again,
        ],
    );
    let checks = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap();
        let json: Json = serde_json::from_str(&text).unwrap();
        let findings = json["findings"].as_array().unwrap().iter();
        let mut checks: Vec<_> = findings.map(|f| f["check"].to_string()).collect();
        checks.sort();
        checks
    };
    assert_eq!(checks(&again), checks(&baseline));
}

/// The moment of the baseline parts an old residue from a leak.
#[test]
fn what_goes_on_is_told_from_what_is_old() {
    let sample = damaged(&["inconsistent-marker=1", "split-family=2"]);
    let baseline = sample.name("baseline.json");
    audit(&sample, &["--write-baseline", &baseline]);
    let course = |report: &Json| -> Vec<String> {
        let found = of(report, "split-family").into_iter();
        found
            .filter(|f| !f["newest"].is_null())
            .map(|f| f["course"].to_string())
            .collect()
    };
    let before = course(&json(&sample, &["--baseline", &baseline]));
    assert!(
        !before.is_empty() && before.iter().all(|c| c == "\"old\""),
        "{before:?}"
    );
    sample
        .session()
        .execute("UPDATE instances SET deleted_at = '2099-01-01 00:00:00', updated_at = '2099-01-01 00:00:00', created_at = '2099-01-01 00:00:00'")
        .unwrap();
    sample
        .session()
        .execute("UPDATE shadow_instances SET deleted_at = '2099-01-01 00:00:00', updated_at = '2099-01-01 00:00:00', created_at = '2099-01-01 00:00:00'")
        .unwrap();
    let report = json(&sample, &["--baseline", &baseline]);
    let after = course(&report);
    assert!(after.iter().any(|c| c == "\"goes-on\""), "{report}");
    // Not more rows, but a newer one.
    let grown = of(&report, "split-family")
        .into_iter()
        .find(|f| f["course"] == "goes-on")
        .unwrap();
    assert_eq!(grown["baseline"]["change"], "grew");
    let ran = audit(&sample, &["--baseline", &baseline]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout.contains("2099-01-01 00:00:00 (goes on)"),
        "{}",
        ran.stdout
    );
}

fn entry(check: &str, table: &str, until: &str) -> String {
    format!(
        "[[suppress]]\ncheck = \"{check}\"\ntable = \"{table}\"\nreason = \"OPS-1\"\nuntil = {until}\n"
    )
}

#[test]
fn a_suppressed_finding_is_shown_and_does_not_fail_until_its_day() {
    let sample = damaged(&["residue=2"]);
    let report = json(&sample, &[]);
    let residue = of(&report, "residue")
        .into_iter()
        .find(|f| f["severity"] == "warning")
        .unwrap();
    let table = residue["table"].as_str().unwrap();
    let with = |content: &str, more: &[&str]| {
        let file = sample.file("suppressions.toml", content);
        audit(&sample, &[&["--suppressions", &file], more].concat())
    };
    let ran = with(&entry("residue", table, "2099-12-31"), &[]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("state     suppressed until 2099-12-31: OPS-1"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("; 1 suppressed"), "{}", ran.stdout);

    let ran = with(&entry("residue", table, "2020-01-31"), &[]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("whose date is over"), "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains(&format!("residue of {table}, until 2020-01-31: OPS-1")),
        "{}",
        ran.stdout
    );

    let unused = entry("orphaned-row", table, "2099-12-31");
    assert!(
        with(&unused, &[])
            .stdout
            .contains("suppressions that fit no finding")
    );
    // It was not looked for.
    assert!(
        !with(&unused, &["--check", "residue"])
            .stdout
            .contains("fit no finding")
    );

    // A new baseline does not make it last for ever.
    let baseline = sample.name("baseline.json");
    with(
        &entry("residue", table, "2099-12-31"),
        &["--write-baseline", &baseline],
    );
    assert_eq!(audit(&sample, &["--baseline", &baseline]).code, 1);
}

#[test]
fn what_could_not_be_checked_is_never_excused() {
    let sample = damaged(&[]);
    let check = ["--check", "stranded-api-record"];
    let baseline = sample.name("baseline.json");
    let write = ["--write-baseline", baseline.as_str()];
    assert_eq!(audit(&sample, &[&check[..], &write].concat()).code, 69);
    let tables = ["instance_mappings", "request_specs"]
        .map(|t| entry("stranded-api-record", t, "2099-12-31"));
    let file = sample.file("suppressions.toml", &tables.concat());
    let excused = ["--baseline", &baseline, "--suppressions", &file];
    assert_eq!(audit(&sample, &[&check[..], &excused].concat()).code, 69);
}

#[test]
fn bad_files_are_refused_before_anything_is_read() {
    let sample = Sample::new();
    let cell = sample.cell();
    let no = |option: &str, content: &str, says: &str| {
        let file = sample.file("bad", content);
        let message = refused(65, &["audit", &cell, option, &file]);
        assert!(message.contains(says), "{message}");
    };
    no("--baseline", "{", "is not a baseline");
    no(
        "--baseline",
        &entry("residue", "tags", "2099-12-31"),
        "is not a baseline",
    );
    let baseline = r#"{"version":2,"written":"2026-01-01T00:00:00Z","database":"d","profile":"p","findings":[]}"#;
    no("--baseline", baseline, "its version is 2");
    no("--since", baseline, "is not the report of an audit");
    no("--suppressions", "{}", "suppressions");
    no(
        "--suppressions",
        &entry("residues", "tags", "2099-12-31"),
        "no check 'residues'",
    );
    no(
        "--suppressions",
        &entry("residue", "tags", "2099-02-30"),
        "line",
    );
    no(
        "--suppressions",
        &entry("residue", "tags", "2099-12-31T00:00:00Z"),
        "is not a day",
    );
    no(
        "--suppressions",
        "[[suppress]]\ncheck = \"residue\"\ntable = \"tags\"\nuntil = 2099-12-31\n",
        "reason",
    );
    let empty = entry("residue", "tags", "2099-12-31").replace("OPS-1", " ");
    no("--suppressions", &empty, "its reason is empty");
    no(
        "--suppressions",
        "[[suppress]]\ncheck = \"residue\"\ntable = \"tags\"\nreason = \"r\"\n",
        "until",
    );

    let none = sample.name("none");
    for option in ["--baseline", "--suppressions", "--since"] {
        let message = refused(64, &["audit", &cell, option, &none]);
        assert!(message.contains("cannot be read"), "{message}");
    }
    let message = refused(64, &["audit", &cell, "--write-baseline", &cell]);
    assert!(
        message.contains("is what the command works on"),
        "{message}"
    );
    let file = sample.file("s.toml", "");
    for output in ["--output", "--write-baseline"] {
        let message = refused(
            64,
            &["audit", &cell, "--suppressions", &file, output, &file],
        );
        assert!(
            message.contains("is what the command works on"),
            "{message}"
        );
    }
}

/// Fingerprints of the findings, with their tables.
fn fingerprints(report: &Json) -> Vec<(String, String)> {
    let text = |f: &Json, name: &str| f[name].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|f| (text(f, "table"), text(f, "fingerprint")))
        .collect()
}

#[test]
fn a_copy_elsewhere_has_the_same_fingerprints() {
    let [here, there] = [Sample::empty(), Sample::empty()];
    here.generate(&[
        "--families",
        "10",
        "--damage",
        "residue=2",
        "--damage",
        "stranded-api-record=2",
    ]);
    for file in ["nova.db", "api.db"] {
        std::fs::copy(here.path(file), there.path(file)).unwrap();
    }
    let moved = format!(
        "UPDATE cell_mappings SET database_connection = '{}' WHERE name = 'cell1'",
        there.cell()
    );
    session(&there.path("api.db")).execute(&moved).unwrap();
    let [first, copy] = [&here, &there].map(|sample| json(sample, &["--api", &sample.api()]));
    assert!(!of(&first, "stranded-api-record").is_empty());
    assert_ne!(first["database"], copy["database"]);
    assert_eq!(fingerprints(&first), fingerprints(&copy));
}

#[test]
fn each_cell_has_findings_and_a_past_of_its_own() {
    let [one, two] = [(); 2].map(|()| damaged(&["residue=2"]));
    let cells = [format!("one={}", one.cell()), format!("two={}", two.cell())];
    let baseline = one.name("baseline.json");
    let both = |more: &[&str]| {
        let cells = ["--cell", &cells[0], "--cell", &cells[1]];
        sexton(&[&["audit"][..], &cells, more].concat())
    };
    both(&["--write-baseline", &baseline]);
    let with = ["--baseline", &baseline, "--format", "json"];
    let report = both(&with).json();
    let known = fingerprints(&report);
    assert_eq!(report["summary"]["known"], known.len());
    let mut different: Vec<_> = known.iter().map(|(_, fingerprint)| fingerprint).collect();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), known.len(), "{known:?}");

    sexton(&["archive", &one.cell(), "--until-complete", "--quiet"]);
    let report = both(&with).json();
    let gone = report["baseline"]["gone"].as_array().unwrap();
    let tables: Vec<_> = gone.iter().map(|g| g["table"].as_str().unwrap()).collect();
    assert!(
        !tables.is_empty() && tables.iter().all(|t| t.starts_with("one.")),
        "{report}"
    );

    // A cell that was not looked at is not healed.
    let alone = sexton(&[&["audit", &two.cell()][..], &with].concat()).json();
    assert_eq!(alone["baseline"]["gone"], Json::Array(Vec::new()));

    let all = two.file(
        "suppressions.toml",
        &entry("residue", "instance_system_metadata", "2099-12-31"),
    );
    let report = both(&["--suppressions", &all, "--format", "json"]).json();
    let of_two = of(&report, "residue")
        .into_iter()
        .find(|f| f["table"] == "two.instance_system_metadata");
    assert!(of_two.unwrap()["suppressed"].is_object(), "{report}");
}
