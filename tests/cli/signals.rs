//! Signals: one ends a run after the batch in hand, two end it at once, and neither cuts a family.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::sample::{Sample, VARIABLES, sexton};
use crate::support::cloud::contents;

/// Longest wait for anything here.
const PATIENCE: Duration = Duration::from_secs(30);

/// An archive run, ended when the test ends.
struct Running(Option<Child>);

impl Running {
    fn start(sample: &Sample, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sexton"));
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        let child = command
            .args(["archive", "--until-complete", "--max-rows", "5"])
            .args(["--format", "json", &sample.cell()])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(Some(child))
    }

    /// Waits until at least that many rows are in the shadow table.
    fn until_archived(&mut self, sample: &Sample, table: &str, rows: i64) {
        let deadline = Instant::now() + PATIENCE;
        while sample.count(&format!("shadow_{table}")) < rows {
            assert!(self.is_alive(), "the run ended early");
            assert!(Instant::now() < deadline, "nothing was archived");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_alive(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.0.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end; what it left and how long that took.
    fn end(mut self) -> (Output, Duration) {
        let started = Instant::now();
        while self.is_alive() {
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        (output, started.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Tables whose rows go with their instance, and the column that names it.
const OWNED: [&str; 8] = [
    "instance_extra",
    "instance_info_caches",
    "instance_system_metadata",
    "instance_metadata",
    "instance_actions",
    "instance_faults",
    "virtual_interfaces",
    "security_group_instance_association",
];

/// No archived instance has live rows, and no live one archived rows.
fn assert_whole(sample: &Sample) {
    for table in OWNED {
        for (here, there) in [("", "shadow_"), ("shadow_", "")] {
            let split = sample.count(&format!(
                "{here}{table} c JOIN {there}instances i ON i.uuid = c.instance_uuid"
            ));
            assert_eq!(split, 0, "{here}{table} with {there}instances");
        }
    }
    let ran = sexton(&["audit", &sample.cell()]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
}

fn assert_rerun_completes(sample: &Sample) {
    let ran = sexton(&["archive", "--until-complete", &sample.cell()]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(sample.count("shadow_instances"), 30);
    assert_eq!(sample.count("instances WHERE deleted <> 0"), 0);
    assert_whole(sample);
}

fn one_signal_ends_the_run(signal: Signal) {
    let sample = Sample::new();
    let before = contents(&mut sample.session());
    let mut run = Running::start(&sample, &["--sleep", "0.2"]);
    run.until_archived(&sample, "instances", 2);
    run.signal(signal);
    let (output, _) = run.end();
    assert_eq!(output.status.code(), Some(75));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["stopped_because"], "signal");
    let archived = sample.count("shadow_instances");
    assert_eq!(json["rows"]["instances"], archived);
    assert!((2..30).contains(&archived), "{archived}");
    assert_whole(&sample);
    assert!(contents(&mut sample.session()) == before, "rows were lost");
    assert_rerun_completes(&sample);
    assert!(contents(&mut sample.session()) == before, "rows were lost");
}

#[test]
fn sigterm_ends_a_run_after_its_batch() {
    one_signal_ends_the_run(Signal::TERM);
}

#[test]
fn sigint_ends_a_run_after_its_batch() {
    one_signal_ends_the_run(Signal::INT);
}

/// A maintenance window, and somebody who wants it over.
#[test]
fn a_run_ends_with_its_time_and_at_a_file() {
    let sample = Sample::new();
    let file = sample.name("stop");
    for (arguments, reason) in [
        (["--run-time", "700ms"], "time"),
        (["--stop-file", file.as_str()], "stop-file"),
    ] {
        drop(std::fs::remove_file(&file));
        let sample = Sample::new();
        let run = Running::start(&sample, &[&["--sleep", "0.1"], &arguments[..]].concat());
        std::thread::sleep(Duration::from_millis(700));
        std::fs::write(&file, "").unwrap();
        let (output, took) = run.end();
        assert_eq!(output.status.code(), Some(75));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["stopped_because"], reason);
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert_whole(&sample);
        assert_rerun_completes(&sample);
    }
}

#[test]
fn a_run_waits_while_the_pause_file_is_there() {
    let sample = Sample::new();
    let file = sample.file("pause", "");
    let mut run = Running::start(&sample, &["--pause-file", &file]);
    std::thread::sleep(Duration::from_millis(700));
    assert!(run.is_alive());
    assert_eq!(sample.count("shadow_instances"), 0);
    std::fs::remove_file(&file).unwrap();
    let (output, _) = run.end();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("paused: ") && said.contains("going on"),
        "{said}"
    );
    assert_eq!(sample.count("shadow_instances"), 30);
}

#[test]
fn a_signal_ends_a_long_pause() {
    let sample = Sample::new();
    let mut run = Running::start(&sample, &["--sleep", "3600"]);
    // Volumes detached from living instances go first.
    run.until_archived(&sample, "block_device_mapping", 1);
    run.signal(Signal::TERM);
    run.signal(Signal::INT);
    let (output, took) = run.end();
    assert_eq!(output.status.code(), Some(75));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_whole(&sample);
    assert_rerun_completes(&sample);
}

/// Whoever presses Ctrl-C in the middle of a batch would press it again, and abort.
#[test]
fn the_first_signal_is_acknowledged_at_once() {
    let sample = Sample::new();
    let mut run = Running::start(&sample, &["--sleep", "0.1", "--quiet"]);
    run.until_archived(&sample, "instances", 2);
    let mut other = sample.session();
    other.execute("BEGIN IMMEDIATE").unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let stderr = run.0.as_mut().unwrap().stderr.take().unwrap();
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            drop(said.send(line));
        }
    });
    run.signal(Signal::INT);
    let line = "sexton: stopping after the batch in hand; once more to abort";
    while heard.recv_timeout(Duration::from_secs(3)).unwrap() != line {}
    assert!(run.is_alive(), "it was said when all was over");
    other.execute("ROLLBACK").unwrap();
    let (output, _) = run.end();
    assert_eq!(output.status.code(), Some(75));
    assert!(!heard.iter().any(|again| again == line), "it is said twice");
    assert_whole(&sample);
}

/// The first signal waits for the batch in hand, which waits for a lock; the second does not.
#[test]
fn a_second_signal_ends_a_run_in_the_middle_of_a_batch() {
    let sample = Sample::new();
    let before = contents(&mut sample.session());
    let mut run = Running::start(&sample, &["--sleep", "0.1"]);
    run.until_archived(&sample, "instances", 2);
    let mut other = sample.session();
    other.execute("BEGIN IMMEDIATE").unwrap();
    // Longer than the pause, shorter than the run waits for a lock before it tries again.
    std::thread::sleep(Duration::from_millis(700));
    run.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    assert!(run.is_alive(), "one signal cut a batch");
    run.signal(Signal::TERM);
    let (output, took) = run.end();
    assert_eq!(output.status.code(), Some(75));
    assert_eq!(output.stdout, b"");
    assert!(took < Duration::from_secs(2), "{took:?}");
    other.execute("ROLLBACK").unwrap();
    assert!(contents(&mut sample.session()) == before, "rows were lost");
    assert_whole(&sample);
    assert_rerun_completes(&sample);
}
