//! Every form of a report is valid by its schema: ours, or that of whoever made the form.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value as Json, json};
use sexton::archive::StopReason;

use crate::formats::Audited;
use crate::sample::{Sample, session, sexton};

/// A schema of ours, which knows every field that there is: one that it does not name is a mistake in it. (To
/// others a schema says that fields may be added.)
fn strict(name: &str) -> jsonschema::Validator {
    let mut schema = ours(name);
    // Its lines are these objects with a type more.
    schema["$defs"].as_object_mut().unwrap().remove("line");
    close(&mut schema);
    jsonschema::validator_for(&schema).unwrap()
}

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

/// The schema of the lines of JSONL, closed likewise. Where a line is one of the objects with a type more, the two know
/// its fields together.
fn of_lines(name: &str) -> jsonschema::Validator {
    let mut defs = ours(name)["$defs"].take();
    close(&mut defs);
    let lines = defs["line"]["oneOf"].as_array_mut().unwrap();
    let mut objects = Vec::new();
    for line in lines {
        let line = line.as_object_mut().unwrap();
        line.remove("additionalProperties");
        line.insert("unevaluatedProperties".into(), false.into());
        for object in line
            .get("allOf")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            let object = object["$ref"].as_str().unwrap();
            objects.push(object.strip_prefix("#/$defs/").unwrap().to_owned());
        }
    }
    for object in objects {
        let object = defs[&object].as_object_mut().unwrap();
        object.remove("additionalProperties");
    }
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
    for line in &lines {
        valid(&schema, line);
        let mut misspelt = line.clone();
        misspelt["no_such_field"] = true.into();
        assert!(!schema.is_valid(&misspelt), "{misspelt}");
    }
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
fn a_census_is_valid_and_in_every_form_that_has_all() {
    let sample = Sample::new();
    let audit = |format: &str| sexton(&["audit", &sample.cell(), "--census", "--format", format]);
    let json = audit("json").json();
    valid(&strict("audit"), &json);
    let lines = audit("jsonl").stdout;
    valid_lines("audit", &lines);
    let of_census = lines.lines().filter(|l| l.contains("\"type\":\"census\""));
    let tables = json["census"]["tables"].as_array().unwrap();
    assert_eq!(of_census.count(), tables.len());
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

/// What came back, what would, and what is in the way; where a row is not in its shadow table there is no report.
#[test]
fn reports_of_a_restore_are_valid() {
    let sample = Sample::new();
    let cell = sample.cell();
    let archived = sexton(&["archive", &cell, "--until-complete", "--quiet"]);
    assert!(archived.code < 2, "{}", archived.stderr);
    let restore = |code: i32, arguments: &[&str]| -> Json {
        let all = ["restore", &cell, "--format", "json", "--quiet"];
        let ran = sexton(&[&all[..], arguments].concat());
        assert_eq!(ran.code, code, "{}", ran.stderr);
        let json = ran.json();
        valid(&strict("archive"), &json);
        json
    };
    let mut keys = session(&sample.path("nova.db"));
    let keys = keys.query("SELECT id, uuid FROM shadow_instances ORDER BY id LIMIT 2");
    let keys = keys.unwrap();
    let root = |key: &[sexton::db::Value]| format!("instances:{}", key[0]);
    let (first, second) = (root(&keys[0]), root(&keys[1]));

    let planned = restore(0, &["--root", &first, "--dry-run"]);
    let done = restore(0, &["--root", &first]);
    for (json, dry_run) in [(&planned, true), (&done, false)] {
        assert_eq!(json["dry_run"], dry_run);
        assert_eq!(
            (&json["rows"], &json["families"]),
            (&done["rows"], &json!(1))
        );
        assert_eq!(json["not_restored"][0], "instance_mappings");
        assert_eq!(json["stopped_because"], "complete");
    }
    let taken = format!(
        "INSERT INTO instances (uuid, deleted) VALUES ('{}', 0)",
        keys[1][1]
    );
    sample.session().execute(&taken).unwrap();
    let refused = restore(65, &["--root", &second]);
    assert_eq!(refused["blocked"][0]["reason"], "live-key-taken");
    assert_eq!(
        (&refused["total_rows"], refused.get("not_restored")),
        (&json!(0), None)
    );

    let nothing = [
        "restore",
        &cell,
        "--format",
        "json",
        "--root",
        "instances:999999",
    ];
    let ran = sexton(&nothing);
    assert_eq!((ran.code, ran.stdout.as_str()), (65, ""), "{}", ran.stderr);
}

/// Every reason for which a run may end is in the schema, of the report and of its last line.
#[test]
fn every_reason_to_stop_is_in_the_schema() {
    let schema = ours("archive");
    let all = json!(StopReason::ALL.map(StopReason::name));
    assert_eq!(schema["properties"]["stopped_because"]["enum"], all);
    let lines = schema["$defs"]["line"]["oneOf"].as_array().unwrap();
    let of_lines = lines
        .iter()
        .filter_map(|line| line["properties"].get("stopped_because"));
    let of_lines: Vec<_> = of_lines.map(|field| &field["enum"]).collect();
    assert_eq!(of_lines, [&all]);
}

#[test]
fn the_report_of_a_restore_is_one_of_archive() {
    let sample = Sample::new();
    let cell = sample.cell();
    sexton(&["archive", &cell, "--until-complete", "--quiet"]);
    let key = "SELECT id FROM shadow_instances ORDER BY id LIMIT 1";
    let key = sample.session().query_count(key).unwrap();
    let root = format!("instances:{key}");
    let restore = || {
        sexton(&[
            "restore",
            &cell,
            "--root",
            &root,
            "--dry-run",
            "--format",
            "json",
        ])
    };
    let ran = restore();
    assert!(ran.json()["not_restored"][0].is_string(), "{}", ran.stdout);
    valid(&strict("archive"), &ran.json());
    // Its key is taken.
    sample
        .session()
        .execute("INSERT INTO instances SELECT * FROM shadow_instances")
        .unwrap();
    let ran = restore();
    assert!(ran.json()["blocked"][0].is_object(), "{}", ran.stdout);
    valid(&strict("archive"), &ran.json());
}

#[test]
fn reports_of_a_proof_are_valid() {
    let sample = Sample::empty();
    let formats = ["json", "jsonl", "sarif", "junit", "markdown", "github"];
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
    valid_lines("prove", &read("jsonl"));
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

#[test]
fn a_plan_is_valid() {
    let sample = Sample::empty();
    sample.generate(&["--families", "5", "--damage", "unarchivable-parent=2"]);
    let (cell, plan) = (sample.cell(), sample.name("plan.json"));
    let dated = ["--before", "2030-01-01", "--quiet"];
    let ran = sexton(&[&["archive", &cell, "--plan", &plan][..], &dated].concat());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let plan: Json = serde_json::from_str(&std::fs::read_to_string(plan).unwrap()).unwrap();
    assert!(
        plan["before"].is_string() && plan["blocked"][0].is_object(),
        "{plan}"
    );
    valid(&strict("plan"), &plan);
}

#[test]
fn reports_of_generate_and_of_a_difference_of_schemas_are_valid() {
    let sample = Sample::empty();
    let damage = ["--damage", "residue=1", "--format", "json"];
    let ran = sample.generate(&[&["--families", "5"], &damage[..]].concat());
    let json = ran.json();
    assert!(json["damage"]["residue"].is_array(), "{json}");
    valid(&strict("generate"), &json);

    sample
        .session()
        .execute("ALTER TABLE instances ADD COLUMN mine INTEGER")
        .unwrap();
    let ran = sexton(&["schema", "diff", &sample.cell(), "--format", "json"]);
    let json = ran.json();
    assert!(json["differences"][0].is_object(), "{json}");
    valid(&strict("schema-diff"), &json);
}

#[test]
fn reports_of_a_repair_are_valid() {
    let sample = Sample::empty();
    let damage = [
        "split-family=3",
        "residue=1",
        "inconsistent-marker=3",
        "duplicate-in-shadow=5",
        "orphaned-row=1",
        "unarchivable-parent=2",
        "stranded-api-record=2",
    ];
    let damage = damage.iter().flat_map(|damage| ["--damage", *damage]);
    let damage: Vec<_> = ["--families", "3", "--live", "2"]
        .into_iter()
        .chain(damage)
        .collect();
    sample.generate(&damage);
    let (cell, api) = (sample.cell(), sample.api());
    let repair = ["repair", &cell, "--api", &api, "--format", "json"];
    for more in [&[][..], &["--apply"]] {
        let json = sexton(&[&repair[..], more].concat()).json();
        for part in ["healed", "left"] {
            assert!(json[part][1].is_object(), "{json}");
        }
        valid(&strict("repair"), &json);
    }
    let without = [
        "repair",
        &cell,
        "--check",
        "stranded-api-record",
        "--format",
        "json",
    ];
    let json = sexton(&without).json();
    assert!(json["not_checked"][0].is_object(), "{json}");
    valid(&strict("repair"), &json);
}
