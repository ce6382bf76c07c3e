//! Every form of a report has the same findings; and where reports go.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::sample::{Ran, Sample, refused, refused_by_clap, run, sexton};

/// All that an audit can say: findings of every severity, gaps, known, grown, gone and suppressed ones.
pub(crate) struct Audited {
    pub(crate) sample: Sample,
    pub(crate) reports: BTreeMap<&'static str, String>,
}

const FORMATS: [&str; 8] = [
    "text", "json", "jsonl", "junit", "sarif", "markdown", "github", "html",
];

impl Audited {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn json(&self, format: &str) -> Json {
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
            "html" => {
                let value = |card: &str, name: &str| {
                    let from = card.split(&format!("data-{name}=\"")).nth(1).unwrap();
                    from.split('"').next().unwrap().to_owned()
                };
                let cards = text.split("<article ").skip(1);
                cards
                    .map(|c| (value(c, "fingerprint"), count(&value(c, "count"))))
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

/// The table of docs/reports.md: which command has which formats.
#[test]
fn the_page_about_reports_lists_the_formats_that_there_are() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reports.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().skip_while(|l| !l.starts_with("| format |"));
    let rows = rows.take_while(|l| l.starts_with('|'));
    let rows: Vec<Vec<_>> = rows
        .map(|row| row.split('|').skip(1).map(str::trim).collect())
        .collect();
    let (head, formats) = (&rows[0], &rows[2..]);
    let mut commands = 0;
    for (column, names) in head.iter().enumerate().skip(1).take(4) {
        let listed: Vec<_> = formats.iter().filter(|row| row[column] == "yes").collect();
        let listed: Vec<_> = listed.iter().map(|row| row[0].trim_matches('`')).collect();
        for name in names.split(", ") {
            let words: Vec<_> = name.split(' ').collect();
            let ran = sexton(&[&words[..], &["--format", "none"]].concat());
            let known = ran.stderr.split("[possible values: ").nth(1).unwrap();
            let known = known.split(']').next().unwrap();
            assert_eq!(known.split(", ").collect::<Vec<_>>(), listed, "{name}");
            commands += 1;
        }
    }
    assert_eq!(commands, 8);
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

/// Nobody may make a file in that directory, not even root.
#[test]
fn a_report_is_written_in_place_where_no_other_can_be_made() {
    let sample = Sample::new();
    let ran = sexton(&["audit", &sample.cell(), "--output", "/proc/self/comm"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
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
