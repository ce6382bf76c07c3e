//! Every form of a report: each is valid by its own schema, and all of them have the same findings.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::sample::{Ran, Sample, refused, refused_by_clap, run, sexton};

/// All that an audit can say: findings of every severity, gaps, known, grown, gone and suppressed ones.
struct Audited {
    sample: Sample,
    reports: BTreeMap<&'static str, String>,
}

const FORMATS: [&str; 7] = [
    "text", "json", "jsonl", "junit", "sarif", "markdown", "github",
];

impl Audited {
    fn new() -> Self {
        let sample = Sample::empty();
        let plant = |damage: &[&str]| {
            let all: Vec<_> = damage.iter().flat_map(|d| ["--damage", d]).collect();
            sample.generate(&[&["--families", "5", "--live", "2"], &all[..]].concat());
        };
        let damage = [
            "split-family=1",
            "residue=2",
            "orphaned-row=1",
            "inconsistent-marker=1",
            "unarchivable-parent=2",
        ];
        plant(&damage);
        let (cell, baseline, earlier) = (
            sample.cell(),
            sample.name("baseline.json"),
            sample.name("earlier.json"),
        );
        let files = [
            "--write-baseline",
            &baseline,
            "--report",
            &format!("json={earlier}"),
        ];
        sexton(&[&["audit", &cell][..], &files].concat());
        sample
            .session()
            .execute("UPDATE instances SET deleted_at = updated_at WHERE deleted = 0")
            .unwrap();
        plant(&["split-family=1", "missing-required-child=1"]);
        let suppressions = sample.file(
            "suppressions.toml",
            "[[suppress]]\ncheck = \"unarchivable-parent\"\ntable = \"instances\"\nreason = \"a | b: <c>\"\n\
             until = 2099-12-31\n\
             [[suppress]]\ncheck = \"residue\"\ntable = \"tags\"\nreason = \"over\"\nuntil = 2020-12-31\n\
             [[suppress]]\ncheck = \"residue\"\ntable = \"none\"\nreason = \"unused\"\nuntil = 2099-12-31\n",
        );
        let known = [
            "--baseline",
            &baseline,
            "--since",
            &earlier,
            "--suppressions",
            &suppressions,
        ];
        let named = FORMATS.map(|format| (format, sample.name(format)));
        let mut arguments = vec!["audit", &cell];
        arguments.extend(known);
        // The last one cannot be made without the API database.
        let checks = sexton::audit::all();
        let checks = checks
            .iter()
            .map(|c| c.id())
            .chain([sexton::audit::STRANDED]);
        arguments.extend(checks.flat_map(|check| ["--check", check]));
        let to: Vec<_> = named
            .iter()
            .map(|(format, path)| format!("{format}={path}"))
            .collect();
        arguments.extend(to.iter().flat_map(|to| ["--report", to.as_str()]));
        let ran = sexton(&arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (2, ""), "{}", ran.stdout);
        let read = |(format, path): &(&'static str, String)| {
            (*format, std::fs::read_to_string(path).unwrap())
        };
        let reports: BTreeMap<_, _> = named.iter().map(read).collect();
        assert_eq!(ran.stdout, reports["text"]);
        Self { sample, reports }
    }

    fn json(&self, format: &str) -> Json {
        serde_json::from_str(&self.reports[format]).unwrap()
    }
}

/// The counts by fingerprint.
type Counts = BTreeMap<String, u64>;

fn count(text: &str) -> u64 {
    text.trim()
        .replace(',', "")
        .parse()
        .unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The findings in blocks of lines, each with a label: the count comes before the id.
fn labelled(text: &str) -> Counts {
    let mut counts = Counts::new();
    let mut last = None;
    let value = |line: &str, label: &str| {
        let rest = line.trim_start().strip_prefix(label)?;
        let value = rest.strip_prefix([' ', ':'])?;
        Some(value.trim().to_owned())
    };
    for line in text.lines() {
        if let Some(number) = value(line, "count") {
            last = Some(count(&number));
        } else if let Some(id) = value(line, "id") {
            counts.insert(id, last.take().unwrap());
        }
    }
    counts
}

/// All that a test of JUnit says.
fn said(case: &quick_junit::TestCase) -> String {
    use quick_junit::TestCaseStatus::{NonSuccess, Skipped, Success};
    let text = match &case.status {
        NonSuccess { description, .. } | Skipped { description, .. } => description.as_ref(),
        Success { .. } => case.system_out.as_ref(),
    };
    text.map(|t| t.as_str().to_owned()).unwrap_or_default()
}

fn of_json(finding: &Json) -> (String, u64) {
    (
        finding["fingerprint"].as_str().unwrap().to_owned(),
        finding["count"].as_u64().unwrap(),
    )
}

#[test]
fn the_same_findings_are_in_every_format() {
    let audited = Audited::new();
    let expected: Counts = audited.json("json")["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(of_json)
        .collect();
    assert!(expected.len() > 8, "{expected:?}");
    for format in FORMATS {
        let text = &audited.reports[format];
        let found: Counts = match format {
            "json" => continue,
            "text" => labelled(text),
            "jsonl" => {
                let lines = text
                    .lines()
                    .map(|l| serde_json::from_str::<Json>(l).unwrap());
                lines
                    .filter(|l| l["type"] == "finding")
                    .map(|l| of_json(&l))
                    .collect()
            }
            "junit" => {
                let report = quick_junit::Report::deserialize_from_str(text).unwrap();
                let cases = report.test_suites.iter().flat_map(|s| &s.test_cases);
                let mut counts = Counts::new();
                for case in cases {
                    counts.extend(labelled(&said(case)));
                }
                counts
            }
            "sarif" => {
                let log = audited.json("sarif");
                let results = log["runs"][0]["results"].as_array().unwrap().iter();
                let there = results.filter(|r| r["baselineState"] != "absent");
                there
                    .map(|r| {
                        let id = r["partialFingerprints"]["sextonFinding/v1"]
                            .as_str()
                            .unwrap();
                        (id.to_owned(), r["properties"]["count"].as_u64().unwrap())
                    })
                    .collect()
            }
            "markdown" => {
                let rows = text
                    .lines()
                    .filter(|l| l.starts_with("| ") && l.ends_with("` |"));
                let cells = rows.map(|l| {
                    l.replace(r"\|", "")
                        .split(" | ")
                        .map(str::to_owned)
                        .collect::<Vec<_>>()
                });
                let cells = cells.filter(|c| c.len() == 7);
                cells
                    .map(|c| (c[6].replace(['`', '|', ' '], ""), count(&c[3])))
                    .collect()
            }
            "github" => labelled(&text.replace("%0A", "\n")),
            other => panic!("how to read {other}?"),
        };
        assert_eq!(found, expected, "{format}: {text}");
        assert!(
            text.contains("it needs the API database"),
            "{format}: {text}"
        );
    }
}

/// A schema of ours, which knows every field that there is: one that it does not name is a mistake in it. (To
/// others a schema says that fields may be added.)
fn strict(name: &str) -> jsonschema::Validator {
    fn close(schema: &mut Json) {
        match schema {
            Json::Object(object) => {
                let lists = object.get("properties").is_some_and(Json::is_object)
                    && !object.contains_key("allOf");
                object.values_mut().for_each(close);
                if lists && object.get("type") == Some(&json!("object")) {
                    object.insert("additionalProperties".into(), false.into());
                }
            }
            Json::Array(array) => array.iter_mut().for_each(close),
            _ => {}
        }
    }
    let mut schema = ours(name);
    // Its lines are these objects with a type more.
    schema["$defs"].as_object_mut().unwrap().remove("line");
    close(&mut schema);
    jsonschema::validator_for(&schema).unwrap()
}

/// The schema of the lines of JSONL, as it is.
fn of_lines(name: &str) -> jsonschema::Validator {
    let mut schema = ours(name);
    let defs = schema["$defs"].take();
    jsonschema::validator_for(&json!({ "$ref": "#/$defs/line", "$defs": defs })).unwrap()
}

fn ours(name: &str) -> Json {
    let path = format!("{}/docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn valid(schema: &jsonschema::Validator, json: &Json) {
    let errors: Vec<_> = schema
        .iter_errors(json)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\nin {json:#}");
}

fn valid_lines(name: &str, text: &str) {
    let schema = of_lines(name);
    let lines: Vec<Json> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    lines.iter().for_each(|line| valid(&schema, line));
    let types: Vec<_> = lines.iter().map(|l| l["type"].as_str().unwrap()).collect();
    assert_eq!(
        (types.first(), types.last()),
        (Some(&"head"), Some(&"summary"))
    );
    assert_eq!(
        types
            .iter()
            .filter(|t| **t == "head" || **t == "summary")
            .count(),
        2
    );
}

/// The schema of OASIS, see schemas/README.md.
fn sarif() -> jsonschema::Validator {
    let text = include_str!("schemas/sarif-2.1.0.json");
    // The pattern of languages has a bracket too many, which not all regular expressions take.
    let text = text.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$");
    let schema = serde_json::from_str(&text).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// The schema of Jenkins, see schemas/README.md, held against a file by xmllint.
fn valid_junit(sample: &Sample, xml: &str) {
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/cli/schemas/junit-10.xsd"
    );
    let file = sample.file("junit.xml", xml);
    let output = Command::new("xmllint")
        .args(["--noout", "--schema", schema, &file])
        .output();
    let output =
        output.expect("xmllint: install libxml2-utils, or run `cargo xtask test`, which does");
    assert!(
        output.status.success(),
        "{}{xml}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn reports_of_an_audit_are_valid() {
    let audited = Audited::new();
    let json = audited.json("json");
    let keys = ["audited_at", "baseline", "since", "suppressions"];
    assert!(keys.iter().all(|k| json.get(k).is_some()), "{json}");
    valid(&strict("audit"), &json);
    valid_lines("audit", &audited.reports["jsonl"]);
    valid(&sarif(), &audited.json("sarif"));
    valid_junit(&audited.sample, &audited.reports["junit"]);
    let baseline = std::fs::read_to_string(audited.sample.path("baseline.json")).unwrap();
    valid(
        &strict("baseline"),
        &serde_json::from_str(&baseline).unwrap(),
    );
}

/// With what an upgrade would meet, and without anything to hold it against.
#[test]
fn reports_of_an_audit_before_an_upgrade_are_valid() {
    let sample = Sample::new();
    let upgrade = |format: &str| {
        let (cell, api) = (sample.cell(), sample.api());
        let ran = sexton(&[
            "audit",
            &cell,
            "--api",
            &api,
            "--upgrade-to",
            "nova-34",
            "--format",
            format,
        ]);
        assert!(ran.code <= 2, "{}", ran.stderr);
        ran
    };
    valid(&strict("audit"), &upgrade("json").json());
    valid_lines("audit", &upgrade("jsonl").stdout);
    valid(&sarif(), &upgrade("sarif").json());
    valid_junit(&sample, &upgrade("junit").stdout);
    assert!(
        upgrade("markdown")
            .stdout
            .contains("### Upgrade to nova 34.0.0")
    );
}

#[test]
fn reports_of_archive_and_purge_are_valid_and_say_the_same() {
    let sample = Sample::empty();
    let damage = ["--families", "5", "--damage", "unarchivable-parent=2"];
    sample.generate(&damage);
    let with_reports = |arguments: &[&str]| -> BTreeMap<&str, String> {
        let formats = ["json", "jsonl", "markdown", "github"];
        let to = formats.map(|format| format!("{format}={}", sample.name(format)));
        let to: Vec<_> = to.iter().flat_map(|to| ["--report", to.as_str()]).collect();
        let ran = sexton(&[arguments, &["--quiet"], &to].concat());
        assert!(ran.code <= 1, "{}", ran.stderr);
        let read = |format| {
            (
                format,
                std::fs::read_to_string(sample.path(format)).unwrap(),
            )
        };
        formats.into_iter().map(read).collect()
    };
    let cell = sample.cell();
    for (arguments, done) in [
        (&["archive", &cell, "--until-complete"][..], "moved"),
        (&["purge", &cell, "--all"], "deleted"),
    ] {
        let reports = with_reports(arguments);
        let json: Json = serde_json::from_str(&reports["json"]).unwrap();
        valid(&strict("archive"), &json);
        valid_lines("archive", &reports["jsonl"]);
        let total = json["total_rows"].as_u64().unwrap();
        assert!(total > 0, "{json}");
        let lines = reports["jsonl"]
            .lines()
            .map(|l| serde_json::from_str::<Json>(l).unwrap());
        let rows = lines.filter(|l| l["type"] == "rows" && l["what"] == "rows");
        let rows: u64 = rows.map(|l| l["rows"].as_u64().unwrap()).sum();
        assert_eq!(rows, total);
        let families = json["families"].as_u64().unwrap();
        let said = format!("{total} rows of {families} families {done}");
        for format in ["markdown", "github"] {
            assert!(
                reports[format].replace(',', "").contains(&said),
                "{}",
                reports[format]
            );
        }
        let blocked = reports["github"]
            .lines()
            .filter(|l| l.starts_with("::warning "));
        let reasons = json["blocked_families"].as_object().unwrap();
        assert_eq!(blocked.count(), reasons.len(), "{}", reports["github"]);
    }
}

#[test]
fn reports_of_a_proof_are_valid() {
    let sample = Sample::empty();
    let formats = ["json", "sarif", "junit", "markdown", "github"];
    let to = formats.map(|format| format!("{format}={}", sample.name(format)));
    let to: Vec<_> = to.iter().flat_map(|to| ["--report", to.as_str()]).collect();
    // A lie of the database, which no engine survives.
    let lost = [
        "prove",
        "--quiet",
        "--jobs",
        "2",
        "--world",
        "chain",
        "--faults",
        "commit-lost",
    ];
    let ran = sexton(&[&lost[..], &to].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let read = |format: &str| std::fs::read_to_string(sample.path(format)).unwrap();
    let json: Json = serde_json::from_str(&read("json")).unwrap();
    valid(&strict("prove"), &json);
    valid(&sarif(), &serde_json::from_str(&read("sarif")).unwrap());
    valid_junit(&sample, &read("junit"));
    let failures = json["failures"].as_array().unwrap();
    assert!(!failures.is_empty());
    for failure in failures {
        let fingerprint = failure["fingerprint"].as_str().unwrap();
        for format in formats {
            let text = read(format).replace("&gt;", ">").replace("%0A", "\n");
            assert!(
                text.contains(fingerprint),
                "{fingerprint} in {format}: {text}"
            );
        }
    }
}

fn coloured(set: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = crate::sample::command();
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    run({
        command.envs(set.iter().copied()).args(arguments);
        command
    })
}

#[test]
fn colours_are_for_terminals_and_for_whoever_asks() {
    let sample = Sample::empty();
    sample.generate(&["--families", "5", "--damage", "residue=1"]);
    let (cell, file) = (sample.cell(), sample.name("report"));
    let audit = ["audit", cell.as_str()];
    let has = |set: &[(&str, &str)]| coloured(set, &audit).stdout.contains('\u{1b}');
    assert!(!has(&[]), "it is a pipe");
    assert!(has(&[("CLICOLOR_FORCE", "1")]));
    assert!(!has(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    coloured(
        &[("CLICOLOR_FORCE", "1")],
        &[&audit[..], &["--output", &file]].concat(),
    );
    assert!(!std::fs::read_to_string(&file).unwrap().contains('\u{1b}'));
}

#[test]
fn reports_of_one_run_go_to_files_of_their_own() {
    let sample = Sample::new();
    let (cell, file) = (sample.cell(), sample.name("report"));
    for further in ["xml=report", "json=", "report"] {
        refused_by_clap(&["audit", &cell, "--report", further], "--report");
    }
    let (one, other) = (format!("json={file}"), format!("sarif={file}"));
    let twice = ["--report", &one, "--report", &other];
    let message = refused(64, &[&["audit", &cell][..], &twice].concat());
    assert!(message.contains("two reports"), "{message}");
    refused(64, &["audit", &cell, "--output", &file, "--report", &one]);
    let over = format!("json={cell}");
    let message = refused(64, &["audit", &cell, "--report", &over]);
    assert!(
        message.contains("is what the command works on"),
        "{message}"
    );
    let nowhere = format!("json={file}/none");
    refused(64, &["audit", &cell, "--report", &nowhere]);
    assert!(!sample.path("report").exists());
}

/// Who reads it meanwhile has the old one to its end.
#[test]
fn a_report_takes_the_place_of_another_in_one_piece() {
    use std::os::unix::fs::PermissionsExt;
    let sample = Sample::new();
    let (cell, link) = (sample.cell(), sample.name("link.json"));
    let (file, held) = (sample.file("report.json", "old"), sample.name("held.json"));
    std::fs::hard_link(&file, &held).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    sexton(&["audit", &cell, "--report", &format!("json={link}")]);
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(&held), "old");
    assert!(read(&file).starts_with('{'), "{}", read(&file));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(mode(&file), 0o640);
    let left = sample.bytes().into_iter().map(|(path, _)| path);
    let left: Vec<_> = left
        .filter(|p| p.to_string_lossy().contains(".sexton-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Its output is another program's.
#[test]
fn no_further_report_beside_that_of_another_tool() {
    let sample = Sample::new();
    let report = format!("json={}", sample.name("report.json"));
    let compat = ["--compat", "nova-manage", "--report", &report];
    refused_by_clap(
        &[&["archive", &sample.cell()][..], &compat].concat(),
        "--report",
    );
}
