//! What a campaign found: text, and a file for each other format.

mod github;
mod jsonl;
mod junit;
mod markdown;
mod problems;
mod sarif;
mod verdict;

use std::fmt::Write as _;

use anstyle::Style;

use super::paint::{ERROR, FAINT, Paint, STRONG, WARNING};
use super::{grouped, indented, right_aligned, several};
use crate::exit::ExitCode;
use crate::prove::report::{Failure, Undetermined};
use crate::prove::{Case, Report};
use crate::quote::shortened;

pub use github::prove_github;
pub use jsonl::prove_jsonl;
pub use junit::prove_junit;
pub use markdown::prove_markdown;
pub use sarif::prove_sarif;
pub(super) use verdict::verdict;

/// The whole report as text.
pub fn prove_text(report: &Report, paint: Paint) -> String {
    let mut text = totals(report, paint);
    let _ = writeln!(text, "\n{}", paint.headed(&by_world(report)));
    let _ = writeln!(text, "\n{}", paint.headed(&by_oracle(report)));
    if !report.writers.is_empty() {
        let _ = writeln!(text, "\n{}", paint.headed(&by_writer(report)));
    }
    for failure in &report.failures {
        text.push('\n');
        block(&mut text, failure, paint);
    }
    if report.cases > report.fired {
        let cases = several(report.cases - report.fired, "case");
        let head = format!("{cases} whose fault did not fire, which proves nothing:");
        let _ = writeln!(text, "\n{}", paint.with(ERROR, &head));
        for case in &report.not_fired {
            let _ = writeln!(text, "    {case}");
        }
    }
    if let Some(found) = &report.undetermined {
        let head = format!("The engine does not do the same twice: {}", place(found));
        let _ = writeln!(text, "\n{}", paint.with(ERROR, &head));
        indented(&mut text, paint, "first", &found.expected);
        indented(&mut text, paint, "then", &found.found);
    }
    text.push('\n');
    let verdict = verdict(report);
    let (first, rest) = verdict.split_once('\n').unwrap_or((&verdict, ""));
    text += &paint.closing(of(report.exit_code()), first);
    if !rest.is_empty() {
        let _ = writeln!(text, "{rest}");
    }
    text
}

/// The style of a verdict.
fn of(code: ExitCode) -> Style {
    match code {
        ExitCode::Done => STRONG,
        ExitCode::Stopped => WARNING,
        _ => ERROR,
    }
}

/// What was run, with every denominator.
fn totals(report: &Report, paint: Paint) -> String {
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let running = seconds(report.elapsed_ms.saturating_sub(report.shrinking_ms));
    let rate = report.cases as f64 / running.max(0.001);
    let mut time = format!("{:.1} s", seconds(report.elapsed_ms));
    if report.shrinking_ms >= 100 {
        let shrinking = seconds(report.shrinking_ms);
        let _ = write!(time, ", {shrinking:.1} s of it to shrink failures");
    }
    let mut text = String::new();
    for (label, value) in [
        ("engine", report.engine.clone()),
        ("database", report.database.name().into()),
        ("points", points(report)),
        ("modes", grouped(report.modes)),
        ("cases", grouped(report.cases)),
        ("fired", grouped(report.fired)),
        ("time", time),
        (
            "rate",
            format!(
                "{rate:.0} cases/s, {}",
                several(report.jobs as u64, "worker")
            ),
        ),
    ] {
        let label = paint.with(FAINT, &format!("{label:<10}"));
        let _ = writeln!(text, "{label}{value}");
    }
    text
}

pub(super) fn points(report: &Report) -> String {
    let hit = if report.stopped { ", not all hit" } else { "" };
    format!("{}{hit}", grouped(report.points))
}

fn by_world(report: &Report) -> String {
    let head = [
        "world",
        "statements",
        "file operations",
        "power losses",
        "modes",
        "cases",
        "fired",
        "failures",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for world in &report.worlds {
        let failures = report.failures.iter().filter(|f| f.world == world.name);
        let mut row = vec![world.name.clone()];
        row.extend(
            [
                world.statements,
                world.operations,
                world.power_losses,
                world.modes.len() as u64,
                world.cases,
                world.fired,
                failures.count() as u64,
            ]
            .map(grouped),
        );
        rows.push(row);
    }
    for name in &report.unreached {
        rows.push(vec![name.clone(), "not begun".into()]);
    }
    right_aligned(rows, 1..head.len())
}

fn by_oracle(report: &Report) -> String {
    let head = ["oracle", "held", "failed", "meaning"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (oracle, verdict) in &report.verdict {
        rows.push(vec![
            oracle.to_string(),
            grouped(verdict.held),
            grouped(verdict.failed),
            oracle.meaning().into(),
        ]);
    }
    right_aligned(rows, 1..3)
}

/// How often writers had a turn, and how often they were let in.
fn by_writer(report: &Report) -> String {
    let head = ["writer", "turns", "changed a row"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    for (action, turns) in &report.writers {
        rows.push(vec![
            action.clone(),
            grouped(turns.turns),
            grouped(turns.changed),
        ]);
    }
    right_aligned(rows, 1..3)
}

fn block(text: &mut String, failure: &Failure, paint: Paint) {
    let head = format!("failure {}", failure.fingerprint);
    let _ = writeln!(text, "{}", paint.with(ERROR, &head));
    let mut line = |label: &str, value: &str| indented(text, paint, label, value);
    line("world", &failure.world);
    let fault = shortened(&failure.fault, QUOTED);
    let fault = match failure.undisturbed && failure.scenario.case != Case::default() {
        true => format!("none is needed, the undisturbed run fails too; here {fault}"),
        false => fault,
    };
    line("fault", &fault);
    line("found", &failure.what);
    let calm = failure.undisturbed && !failure.said.is_empty();
    let undisturbed = if calm { "undisturbed: " } else { "" };
    let said = format!("{undisturbed}{}", failure.said);
    line("engine", &shortened(&said, QUOTED));
    line("cases", &grouped(failure.count));
    line("bundle", failure.bundle.as_deref().unwrap_or_default());
    let why = failure.not_shrunk.as_deref().unwrap_or_default();
    line("unshrunk", why);
}

/// How much of a statement, or of what an engine says, is quoted, in characters.
const QUOTED: usize = 200;

fn place(found: &Undetermined) -> String {
    match found.point {
        0 => format!("world {}", found.world),
        point => format!("world {}, point {point}", found.world),
    }
}

/// Two worlds, one of them with failures, for the tests of the formats.
#[cfg(test)]
fn example() -> Report {
    use crate::prove::oracle::Oracle;
    use crate::prove::report::{Verdict, WorldCount};
    use crate::prove::{Backend, Scenario, archiver, catalogue};

    let scenario = Scenario {
        version: 1,
        seed: None,
        database: Backend::Sqlite,
        engine: "control:no-transaction".into(),
        directory: None,
        fingerprint: None,
        options: archiver::EngineOptions::default(),
        oracles: Oracle::ALL.into_iter().collect(),
        case: Case::default(),
        world: std::sync::Arc::new(catalogue::world("chain").unwrap()),
    };
    let mut report = Report::new(&scenario.engine, scenario.database, &scenario.oracles);
    (report.points, report.modes) = (212, 23);
    (report.cases, report.fired, report.failed) = (3_001, 3_001, 12);
    (report.jobs, report.elapsed_ms) = (2, 12_345);
    for (name, cases, failed) in [("chain", 2_000, 12), ("cycle", 1_001, 0)] {
        let held = cases - failed;
        report.worlds.push(WorldCount {
            name: name.into(),
            statements: 26,
            operations: 80,
            modes: (1..=23).map(|n| format!("mode-{n}")).collect(),
            power_losses: 975,
            planned: cases,
            finished: true,
            cases,
            fired: cases,
            verdict: [(Oracle::Whole, Verdict { held, failed })].into(),
        });
        let total = report.verdict.entry(Oracle::Whole).or_default();
        total.held += held;
        total.failed += failed;
    }
    for place in ["child.root_id -> root.id", "leaf.child_id -> child.id"] {
        report.failures.push(Failure {
            oracle: Oracle::Whole,
            fingerprint: format!("whole@{place}"),
            world: "chain".into(),
            fault: "the engine is killed after the statement (statement 9: main: COMMIT)".into(),
            what: "child:10 & the parent of it lie apart".into(),
            said: "was killed".into(),
            count: 12,
            undisturbed: false,
            bundle: None,
            not_shrunk: None,
            scenario: scenario.clone(),
            timeline: None,
        });
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitCode;

    /// The example, with nothing to complain of.
    fn sound() -> Report {
        Report {
            failures: Vec::new(),
            ..example()
        }
    }

    #[test]
    fn a_report_has_its_denominators() {
        insta::assert_snapshot!(prove_text(&example(), Paint::Plain));
    }

    #[test]
    fn colours_add_nothing_but_themselves() {
        for report in [example(), sound()] {
            let coloured = prove_text(&report, Paint::Colour);
            let plain = anstream::adapter::strip_str(&coloured).to_string();
            assert_eq!(plain, prove_text(&report, Paint::Plain));
        }
        let text = prove_text(&example(), Paint::Colour);
        assert!(text.contains("\u{1b}[1m\u{1b}[31mFAILED: "), "{text}");
    }

    #[test]
    fn a_campaign_that_passed_over_statements_says_so() {
        let mut report = sound();
        assert!(!prove_text(&report, Paint::Plain).contains("--faults all"));
        report.deciding_only = true;
        assert!(
            prove_text(&report, Paint::Plain).contains("--faults all hits those between them too")
        );
    }

    #[test]
    fn a_writer_that_was_always_kept_out_is_named() {
        let mut report = sound();
        let turns = |turns, changed| crate::prove::report::Turns { turns, changed };
        report.writers.insert("revive".into(), turns(12, 3));
        assert!(!prove_text(&report, Paint::Plain).contains("Never changed a row"));
        report.writers.insert("add-child".into(), turns(12, 0));
        let text = prove_text(&report, Paint::Plain);
        assert!(
            text.contains("Never changed a row, and so prove nothing: add-child."),
            "{text}"
        );
    }

    #[test]
    fn a_mode_that_had_nothing_to_hit_proves_nothing() {
        let mut report = sound();
        report.never_hit.push("freeze".into());
        assert_eq!(report.exit_code(), ExitCode::Data);
        let text = prove_text(&report, Paint::Plain);
        assert!(text.contains("NOT PROVED"), "{text}");
        assert!(text.contains("Had nothing to hit: freeze."), "{text}");
    }

    #[test]
    fn a_failure_of_the_undisturbed_run_is_shown_as_one() {
        let mut report = example();
        report.failures.truncate(1);
        report.failures[0].undisturbed = true;
        let fault = |report: &Report| {
            let text = prove_text(report, Paint::Plain);
            let line = text.lines().find(|l| l.starts_with("    fault"));
            line.unwrap().to_owned()
        };
        // Of case 0 itself that is all there is to say.
        assert!(fault(&report).contains("    the engine is killed"));
        report.failures[0].scenario.case.fault = Some(crate::prove::fault::Fault {
            point: 9,
            mode: crate::prove::fault::Mode::KillAfter,
            text: "main: COMMIT".into(),
        });
        let shown = fault(&report);
        assert!(
            shown.contains("none is needed, the undisturbed run fails too; here the engine"),
            "{shown}"
        );
    }

    #[test]
    fn what_shrinking_took_does_not_count_in_the_rate() {
        let mut report = sound();
        (report.cases, report.elapsed_ms, report.shrinking_ms) = (1_000, 30_000, 20_000);
        let text = prove_text(&report, Paint::Plain);
        assert!(
            text.contains("30.0 s, 20.0 s of it to shrink failures"),
            "{text}"
        );
        assert!(text.contains("100 cases/s"), "{text}");
    }

    #[test]
    fn second_faults_that_were_not_counted_off_yet_are_named() {
        let mut report = sound();
        (report.stopped, report.worlds[1].finished) = (true, false);
        let text = prove_text(&report, Paint::Plain);
        assert!(
            text.contains("Not run: second faults in the worlds"),
            "{text}"
        );
    }

    #[test]
    fn a_failure_that_was_not_shrunk_says_why() {
        let mut report = example();
        report.failures[0].not_shrunk = Some("it did not fail again".into());
        let text = prove_text(&report, Paint::Plain);
        let line = "\n    unshrunk  it did not fail again\n";
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }

    #[test]
    fn a_campaign_that_holds_says_so_and_one_that_stopped_says_how_far_it_came() {
        let text = prove_text(&sound(), Paint::Plain);
        assert!(text.contains("HELD: all oracles, in 3,001 cases"), "{text}");
        assert!(text.contains("Never asked: conserved, "), "{text}");
        let mut stopped = Report {
            stopped: true,
            unreached: vec!["nova".into()],
            ..sound()
        };
        (stopped.worlds[1].planned, stopped.worlds[1].finished) = (1_800, false);
        insta::assert_snapshot!(prove_text(&stopped, Paint::Plain));
        assert_eq!(stopped.exit_code(), ExitCode::Stopped);
    }

    #[test]
    fn a_fault_that_did_not_fire_is_no_success() {
        let mut report = sound();
        report.fired -= 1;
        report
            .not_fired
            .push("cycle: the connection is lost".into());
        assert_eq!(report.exit_code(), ExitCode::Internal);
        let text = prove_text(&report, Paint::Plain);
        assert!(text.contains("1 case whose fault did not fire"), "{text}");
        assert!(text.contains("    cycle: the connection is lost"), "{text}");
        assert!(text.contains("NOT PROVED"), "{text}");
    }

    #[test]
    fn an_engine_that_does_other_things_each_time_is_undetermined() {
        let mut report = sound();
        report.undetermined = Some(Undetermined {
            world: "cycle".into(),
            point: 7,
            expected: "main: DELETE FROM server".into(),
            found: "main: DELETE FROM disk".into(),
        });
        assert_eq!(report.exit_code(), ExitCode::Data);
        let text = prove_text(&report, Paint::Plain);
        for part in [
            "world cycle, point 7",
            "    first     main: DELETE FROM server",
            "    then      main: DELETE FROM disk",
            "UNDETERMINED",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // A failure is one whatever else is true.
        report.failures = example().failures;
        assert_eq!(report.exit_code(), ExitCode::Errors);
    }

    /// Scripts rely on these names: they may grow, not change.
    #[test]
    fn the_json_is_stable() {
        let mut report = example();
        report.failures.truncate(1);
        report.failures[0].bundle = Some("failures/chain-whole".into());
        report.worlds.truncate(1);
        insta::assert_snapshot!(crate::report::json(&report).unwrap());
    }
}
