//! `sexton prove`: campaigns, their reports and exit codes, bundles.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

use crate::sample::{Ran, Sample, command, refused, refused_by_clap, run, sexton};

/// A campaign of seconds.
fn prove(arguments: &[&str]) -> Ran {
    sexton(&[&["prove", "--quiet", "--jobs", "2"], arguments].concat())
}

/// Longest wait for anything here.
const PATIENCE: Duration = Duration::from_secs(30);

/// A lie of the database, which no engine survives: the way to failures.
const LOST: [&str; 4] = ["--world", "chain", "--faults", "commit-lost"];

fn number(json: &Json, name: &str) -> u64 {
    let number = json[name].as_u64();
    number.unwrap_or_else(|| panic!("{name} in {json}"))
}

#[test]
fn a_world_under_every_fault() {
    let ran = prove(&["--world", "chain", "--no-pairs", "--format", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let json = ran.json();
    assert_eq!(json["version"], 1);
    assert_eq!(json["engine"], "sexton");
    assert_eq!(json["database"], "sqlite");
    assert_eq!(json["failures"], Json::Array(Vec::new()));
    for name in ["points", "modes", "cases", "elapsed_ms"] {
        assert!(number(&json, name) > 0, "{name} in {json}");
    }
    assert!(number(&json, "cases") > 1000, "{json}");
    assert_eq!(number(&json, "fired"), number(&json, "cases"));
    let world = &json["worlds"][0];
    assert_eq!(number(world, "cases"), number(&json, "cases"));
    assert_eq!(number(world, "planned"), number(&json, "cases"));
    for (oracle, verdict) in json["verdict"].as_object().unwrap() {
        assert_eq!(number(verdict, "failed"), 0, "{oracle} in {json}");
        // Of API records chain knows nothing.
        let asked = oracle != "api-consistent";
        assert_eq!(number(verdict, "held") > 0, asked, "{oracle} in {json}");
    }
}

/// What is damaged is healed. A COMMIT that the database loses is no fault of the repair's, and the way to a bundle.
#[test]
fn repairs_are_proved_reported_and_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let repair = ["--repair", "--world", "two-references", "--faults"];
    let formats = ["text", "junit", "sarif", "markdown", "github", "html"];
    let reports = formats.map(|f| format!("--report={f}={}", path(f)));
    let reports: Vec<_> = reports.iter().map(String::as_str).collect();
    let held = ["deciding,cut-before", "--format", "json"];
    let ran = prove(&[&repair, &held[..], &reports].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert_eq!(ran.json()["worlds"][0]["name"], "repair-two-references");
    for format in &formats {
        let text = std::fs::read_to_string(path(format)).unwrap();
        // These two name worlds only where something fails.
        assert!(
            text.contains("repair-two-references") || ["github", "sarif"].contains(format),
            "{format}: {text}"
        );
    }

    let bundles = path("bundles");
    let ran = prove(&[&repair, &["commit-lost", "--bundles", &bundles][..]].concat());
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let bundle = std::fs::read_dir(&bundles).unwrap().next().unwrap();
    let bundle = bundle.unwrap().path().display().to_string();
    let again = sexton(&["prove", "--replay", &bundle]);
    assert_eq!(again.code, 2, "{}{}", again.stdout, again.stderr);
}

/// A process can be killed in earnest, and get signals, while the proxy holds its statement.
#[test]
fn a_process_is_killed_at_every_statement_that_decides() {
    let deadly = "deciding,kill-before,kill-after,interrupt,terminate,statement-killed";
    for server in ["mariadb", "postgres"] {
        let arguments = [
            "--engine", "process", "--world", "chain", "--server", server,
        ];
        let more = ["--faults", deadly, "--format", "json"];
        let mut prove = command();
        // What its user has set for runs of his own is not what is proved.
        prove.env("SEXTON_ARCHIVE_DRY_RUN", "true");
        prove.args(["prove", "--quiet", "--jobs", "2"]);
        prove.args(arguments).args(more);
        let ran = run(prove);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
        let json = ran.json();
        assert_eq!(json["engine"], "process");
        assert_eq!(number(&json, "modes"), 5, "{json}");
        assert_eq!(number(&json, "fired"), number(&json, "cases"));
        // Undisturbed; every decision in four modes; every copy killed in its middle.
        assert!(
            number(&json, "cases") > 4 * number(&json, "points") + 1,
            "{json}"
        );
    }
}

/// A line without what differs from machine to machine.
fn without_times(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(' ') {
        Some((label @ ("time" | "rate"), _)) => format!("{label}      ..."),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn text_has_totals_worlds_oracles_and_a_verdict() {
    let ran = prove(&[
        "--world",
        "cycle",
        "--faults",
        "kill-before,error:SQLITE_BUSY",
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for part in [
        "engine",
        "points",
        "cases",
        "fired",
        "cycle",
        "HELD: all oracles",
    ] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
}

#[test]
fn a_failure_is_reported_kept_and_run_again() {
    let sample = Sample::empty();
    let bundles = sample.name("failures");
    // With one worker it is always the same case that stands for those like it.
    let ran = sexton(&[&["prove", "--quiet", "--jobs", "1"], &LOST[..]].concat());
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    insta::assert_snapshot!(without_times(&ran.stdout));

    let ran = prove(&[&LOST[..], &["--format", "json", "--bundles", &bundles]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let failures = ran.json()["failures"].as_array().unwrap().clone();
    assert!(!failures.is_empty());
    for failure in &failures {
        let bundle = failure["bundle"].as_str().unwrap();
        let again = sexton(&["prove", "--replay", bundle, "--format", "json"]);
        assert_eq!(again.code, 2, "{}{}", again.stdout, again.stderr);
        let found = again.json()["failures"].as_array().unwrap().clone();
        let fingerprint = &failure["fingerprint"];
        assert!(
            found.iter().any(|f| f["fingerprint"] == *fingerprint),
            "{fingerprint} in {}",
            again.stdout
        );
        let words = std::fs::read_to_string(format!("{bundle}/README.md")).unwrap();
        assert!(words.contains(fingerprint.as_str().unwrap()), "{words}");
    }
    assert_eq!(
        std::fs::read_dir(&bundles).unwrap().count(),
        failures.len(),
        "a directory for each failure"
    );
}

/// Another failure is none that a bundle was kept for: a program that is not found any more, for one.
#[test]
fn a_replay_says_if_it_is_another_failure_that_came() {
    let sample = Sample::empty();
    let bundles = sample.name("failures");
    let ran = prove(&[&LOST[..], &["--bundles", &bundles]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let bundle = std::fs::read_dir(&bundles).unwrap().next().unwrap();
    let file = bundle.unwrap().path().join("scenario.json");
    let replay = |file: &std::path::Path| {
        let ran = sexton(&["prove", "--replay", &file.display().to_string()]);
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        ran.stderr
    };
    assert_eq!(replay(&file), "");
    let kept = std::fs::read_to_string(&file).unwrap();
    let other = kept.replacen("\"durable@", "\"whole@", 1);
    assert_ne!(other, kept);
    std::fs::write(&file, other).unwrap();
    let said = replay(&file);
    assert!(said.contains("the failure of the bundle, whole@"), "{said}");
    assert!(said.contains("did not come again; others did"), "{said}");
}

/// What nobody can read was not done.
#[test]
fn a_report_that_cannot_be_written_is_no_success() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sexton"))
        .args(["prove", "--list"])
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("cannot write the standard output"), "{said}");
}

#[test]
fn junit_has_a_suite_for_each_world() {
    let ran = prove(&[&LOST[..], &["--world", "nova", "--format", "junit"]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let report = quick_junit::Report::deserialize_from_str(&ran.stdout).unwrap();
    let suites: Vec<_> = report.test_suites.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(suites, ["chain", "nova"]);
    for suite in &report.test_suites {
        assert_eq!((suite.tests, suite.failures), (8, 1), "{}", ran.stdout);
        let failed = suite
            .test_cases
            .iter()
            .find(|c| c.name.as_str() == "durable");
        assert!(failed.is_some());
    }
}

#[test]
fn a_budget_ends_a_campaign_with_what_is_known_so_far() {
    for budget in ["1 case", "1ms"] {
        let arguments = ["--world", "chain", "--world", "cycle", "--budget", budget];
        let ran = prove(&[&arguments[..], &["--format", "json"]].concat());
        assert_eq!(ran.code, 75, "{}{}", ran.stdout, ran.stderr);
        let json = ran.json();
        assert_eq!(json["stopped"], true);
        assert_eq!(json["unreached"], serde_json::json!(["cycle"]));
        assert!(number(&json, "cases") >= 1);
        assert_eq!(number(&json, "fired"), number(&json, "cases"));
    }
    let text = prove(&["--world", "chain", "--budget", "1 case"]);
    assert_eq!(text.code, 75);
    assert!(
        text.stdout.contains("\nRun: 1 case. Not run: 1,"),
        "{}",
        text.stdout
    );
}

/// Whether the process has a handler for SIGINT, as the kernel tells.
fn hears_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask >> (Signal::INT.as_raw() - 1) & 1 == 1)
}

#[test]
fn a_signal_ends_a_campaign_with_a_report() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sexton"))
        .args(["prove", "--format", "json", "--jobs", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !hears_interrupts(child.id()) {
        assert!(started.elapsed() < PATIENCE, "it does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let asked = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if asked.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    let json: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["stopped"], true);
    assert!(number(&json, "cases") >= 1, "{json}");
}

#[test]
fn bad_arguments() {
    let sample = Sample::empty();
    let none = sample.name("none.json");
    for (option, value, said) in [
        ("--world", "nothing", "unknown world 'nothing'"),
        ("--world", &none, "none.json cannot be read"),
        ("--faults", "nothing", "unknown fault mode 'nothing'"),
        ("--faults", "all,cut-before", "unknown fault mode 'all'"),
        ("--oracle", "nothing", "unknown oracle 'nothing'"),
        ("--engine", "nothing", "unknown engine 'nothing'"),
        ("--engine", "control:", "needs the name of an engine"),
        ("--budget", "nothing", "'nothing' is not a budget"),
        ("--budget", "60", "'60' is not a budget"),
        ("--server", "oracle", "unknown database 'oracle'"),
        ("--print-world", "nothing", "unknown world 'nothing'"),
        ("--replay", &sample.name("none"), "there is no bundle at"),
        ("--output", "/nonexistent/report", "/nonexistent/report"),
        ("--bundles", "/dev/null/failures", "/dev/null/failures"),
    ] {
        let message = refused(64, &["prove", option, value]);
        assert!(message.contains(said), "{option} {value}: {message}");
    }
    let twice = ["prove", "--world", "chain", "--world", "chain"];
    assert!(refused(64, &twice).contains("world 'chain' is given twice"));
    let bad = sample.file("bad.json", "{}");
    assert!(refused(65, &["prove", "--world", &bad]).contains("bad.json is not a world"));
    let chain = sexton(&["prove", "--print-world", "chain"]).stdout;
    for (is, would_be, said) in [
        ("\"note\":", "\"nota\":", "with nota, which is no column"),
        (
            "\"table\": \"leaf\"",
            "\"table\": \"lief\"",
            "main: a row of table lief, which is no table of it",
        ),
    ] {
        let other = chain.replacen(is, would_be, 1);
        assert_ne!(other, chain);
        let odd = sample.file("odd.json", &other);
        let message = refused(65, &["prove", "--world", &odd]);
        assert!(
            message.contains("odd.json: ") && message.contains(said),
            "{message}"
        );
    }
    refused_by_clap(&["prove", "--jobs", "0"], "--jobs");
    refused_by_clap(&["prove", "--jobs", "65"], "--jobs");
    refused_by_clap(&["prove", "--replay", "x", "--seed", "1"], "--replay");
    let message = refused(64, &["prove", "--faults", "kill-before,error:1213"]);
    assert!(
        message.contains("there is no error:1213 on SQLite"),
        "{message}"
    );
    // Said before anything is run, not when the first failure is there.
    let message = refused(64, &["prove", "--bundles", "/proc"]);
    assert!(message.contains("cannot write /proc"), "{message}");
    refused_by_clap(&["prove", "--max-rows", "0"], "--max-rows");
    refused_by_clap(&["prove", "--list", "--quiet"], "--list");
    refused_by_clap(&["prove", "--replay", "x", "--world", "chain"], "--replay");
}

#[test]
fn a_world_from_a_file() {
    let sample = Sample::empty();
    let printed = sexton(&["prove", "--print-world", "chain"]);
    assert_eq!(printed.code, 0);
    let renamed = printed.stdout.replacen("\"chain\"", "\"mine\"", 1);
    let file = sample.file("mine.json", &renamed);
    let ran = prove(&[
        "--world",
        &file,
        "--faults",
        "kill-after",
        "--format",
        "json",
    ]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.json()["worlds"][0]["name"], "mine");
    assert!(refused(65, &["prove", "--profile", "nothing"]).contains("unknown profile"));
    // Nothing in it may be archived: then there is nothing to prove.
    let live = renamed.replace("\"deleted\": 1", "\"deleted\": 0");
    let file = sample.file("live.json", &live);
    assert!(refused(65, &["prove", "--world", &file]).contains("moved nothing in world mine"));
}

/// Under another profile the same rows are other families.
#[test]
fn a_profile_instead_of_that_of_the_world() {
    let sample = Sample::empty();
    let profile = sample.file("mine.toml", "name = \"mine\"\n");
    let split = |more: &[&str]| {
        let arguments = [
            "--world",
            "missing-foreign-key",
            "--engine",
            "control:child-first",
            "--oracle",
            "whole",
            "--faults",
            "kill-after",
            "--format",
            "json",
        ];
        let ran = prove(&[&arguments[..], more].concat());
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
        let failures = ran.json()["failures"].as_array().unwrap().clone();
        let fingerprint = |f: &Json| f["fingerprint"].as_str().unwrap().to_owned();
        let mut all: Vec<_> = failures.iter().map(fingerprint).collect();
        all.sort();
        all
    };
    let declared = "whole@child.root_id -> root.id";
    let in_the_profile = "whole@loose.root_id -> root.id";
    assert_eq!(split(&[]), [declared, in_the_profile]);
    assert_eq!(split(&["--profile", &profile]), [declared]);
}

#[test]
fn what_there_is_to_choose_from_can_be_kept() {
    let sample = Sample::empty();
    for arguments in [&["--list"][..], &["--print-world", "chain"]] {
        let printed = sexton(&[&["prove"], arguments].concat());
        let file = sample.name("kept");
        let kept = sexton(&[&["prove", "--output", &file], arguments].concat());
        assert_eq!(
            (kept.code, kept.stdout.as_str()),
            (0, ""),
            "{}",
            kept.stderr
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), printed.stdout);
        for other in [
            &["--quiet"][..],
            &["--world", "chain"],
            &["--format", "json"],
            &["--seed", "1"],
        ] {
            refused_by_clap(&[&["prove"], arguments, other].concat(), arguments[0]);
        }
    }
    refused_by_clap(&["prove", "--list", "--print-world", "chain"], "--list");
}

#[test]
fn the_list_has_everything_there_is_to_choose_from() {
    let ran = sexton(&["prove", "--list"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for part in [
        "Worlds (--world)\n  chain ",
        "\n  missing-foreign-key ",
        "\n  cut-before ",
        "\n  error-for-good:CODE ",
        "\n  freeze ",
        "1213",
        "\n  second-archiver ",
        "Oracles (--oracle)\n  whole ",
        "\n  api-consistent ",
        "\n  control:NAME ",
        "\n  nova-34.0.0 ",
        "\n  nova-share-mapping ",
        " write, COMMIT, ROLLBACK ",
        "\nNAME in control:NAME\n  child-first ",
        "\n  miscounts ",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
}
