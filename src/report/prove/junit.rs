//! What a campaign found, for CI systems: JUnit XML.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use super::{Paint, block, grouped, place, several};
use crate::error::Result;
use crate::prove::Report;
use crate::prove::oracle::Oracle;
use crate::prove::report::WorldCount;

/// The report as JUnit XML: a suite for each world, a test for each oracle.
///
/// # Errors
///
/// Exit code 70 if it cannot be written as XML.
pub fn prove_junit(report: &Report) -> Result<String> {
    let name = format!(
        "sexton prove: {} on {}",
        report.engine,
        report.database.name()
    );
    let mut out = quick_junit::Report::new(name);
    out.set_time(Duration::from_millis(report.elapsed_ms));
    for world in &report.worlds {
        out.add_test_suite(suite(report, world));
    }
    if let Some(suite) = campaign(report) {
        out.add_test_suite(suite);
    }
    for name in &report.unreached {
        let mut suite = TestSuite::new(name.as_str());
        let mut status = TestCaseStatus::skipped();
        status.set_message("the campaign ended before this world");
        suite.add_test_case(case(name, "campaign", status));
        out.add_test_suite(suite);
    }
    super::super::junit::xml(&out)
}

/// What is to be said of the campaign as a whole, where not all of it was shown.
fn campaign(report: &Report) -> Option<TestSuite> {
    const NAME: &str = "campaign";
    let mut suite = TestSuite::new(NAME);
    let mut error = |name: &str, message: String| {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(message);
        suite.add_test_case(case(NAME, name, status));
    };
    if !report.never_hit.is_empty() {
        let modes = report.never_hit.join(", ");
        error("modes", format!("had nothing to hit: {modes}"));
    }
    if !report.never_judged.is_empty() {
        let oracles: Vec<_> = report.never_judged.iter().map(|o| o.name()).collect();
        error(
            "oracles",
            format!("had nothing to judge: {}", oracles.join(", ")),
        );
    }
    if let Some(broken) = &report.broken {
        error(
            "whole",
            format!("ended early, by no fault of the engine: {broken}"),
        );
    }
    let kept_out = report.kept_out();
    if !kept_out.is_empty() {
        let mut status = TestCaseStatus::skipped();
        status.set_message(format!("never changed a row: {}", kept_out.join(", ")));
        suite.add_test_case(case(NAME, "writers", status));
    }
    (!suite.test_cases.is_empty()).then_some(suite)
}

fn suite(report: &Report, world: &WorldCount) -> TestSuite {
    let mut suite = TestSuite::new(world.name.as_str());
    for (name, count) in [
        ("statements", world.statements),
        ("operations", world.operations),
        ("power-losses", world.power_losses),
        ("modes", world.modes.len() as u64),
        ("cases", world.cases),
        ("fired", world.fired),
    ] {
        suite.add_property(Property::new(name, count.to_string()));
    }
    for oracle in report.verdict.keys() {
        suite.add_test_case(case(
            &world.name,
            oracle.name(),
            status(report, world, *oracle),
        ));
    }
    if !world.finished {
        // That each oracle held so far would else look like all there was to ask.
        let mut status = TestCaseStatus::skipped();
        let (run, planned) = (grouped(world.cases), several(world.planned, "case"));
        status.set_message(format!(
            "the campaign ended after {run} of at least {planned}"
        ));
        suite.add_test_case(case(&world.name, "complete", status));
    }
    if world.cases > world.fired {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        let cases = several(world.cases - world.fired, "case");
        status.set_message(format!("{cases} whose fault did not fire"));
        let prefix = format!("{}: ", world.name);
        let of_world = report.not_fired.iter().filter(|c| c.starts_with(&prefix));
        let cases: Vec<_> = of_world.map(String::as_str).collect();
        status.set_description(cases.join("\n"));
        suite.add_test_case(case(&world.name, "fired", status));
    }
    if let Some(found) = report
        .undetermined
        .as_ref()
        .filter(|u| u.world == world.name)
    {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(format!(
            "the engine does not do the same twice: {}",
            place(found)
        ));
        status.set_description(format!("first: {}\nthen: {}", found.expected, found.found));
        suite.add_test_case(case(&world.name, "determined", status));
    }
    suite
}

fn case(world: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("sexton.prove.{world}"));
    case
}

/// What an oracle said of a world. Failures at several places make one test fail.
fn status(report: &Report, world: &WorldCount, oracle: Oracle) -> TestCaseStatus {
    let failures: Vec<_> = report
        .failures
        .iter()
        .filter(|f| f.world == world.name && f.oracle == oracle)
        .collect();
    match failures.first() {
        Some(first) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(format!("{}: {}", first.fingerprint, first.what));
            status.set_type(first.fingerprint.as_str());
            let mut text = String::new();
            for failure in failures {
                block(&mut text, failure, Paint::Plain);
            }
            status.set_description(text);
            status
        }
        None if world.verdict.contains_key(&oracle) => TestCaseStatus::success(),
        None => {
            let mut status = TestCaseStatus::skipped();
            status.set_message("was not asked in this world");
            status
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::report::Undetermined;

    #[test]
    fn there_is_a_suite_for_each_world_and_a_test_for_each_oracle() {
        let mut report = super::super::example();
        report.unreached.push("nova".into());
        let xml = prove_junit(&report).unwrap();
        insta::assert_snapshot!(xml);
        let read = quick_junit::Report::deserialize_from_str(&xml).unwrap();
        let suites: Vec<_> = read.test_suites.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(suites, ["chain", "cycle", "nova"]);
        assert_eq!((read.failures, read.errors), (1, 0));
    }

    #[test]
    fn a_world_that_was_not_finished_says_so() {
        let mut report = super::super::example();
        (report.worlds[1].planned, report.worlds[1].finished) = (1_800, false);
        let xml = prove_junit(&report).unwrap();
        let read = quick_junit::Report::deserialize_from_str(&xml).unwrap();
        let complete = |suite: &TestSuite| {
            let mut cases = suite.test_cases.iter();
            cases.find(|c| c.name.as_str() == "complete").cloned()
        };
        assert_eq!(complete(&read.test_suites[0]), None, "{xml}");
        let status = complete(&read.test_suites[1]).unwrap().status;
        assert!(matches!(status, TestCaseStatus::Skipped { .. }), "{xml}");
        let said = "the campaign ended after 1,001 of at least 1,800 cases";
        assert!(xml.contains(said), "{xml}");
    }

    #[test]
    fn what_was_asked_for_and_not_shown_is_said_of_the_campaign() {
        let mut report = super::super::example();
        let names = |report: &crate::prove::Report| {
            let xml = prove_junit(report).unwrap();
            let read = quick_junit::Report::deserialize_from_str(&xml).unwrap();
            let suites = read.test_suites.into_iter();
            let suite = suites.into_iter().find(|s| s.name.as_str() == "campaign");
            let cases = suite.map(|s| s.test_cases).unwrap_or_default();
            let names = cases.iter().map(|c| c.name.as_str().to_owned());
            (names.collect::<Vec<_>>(), read.errors)
        };
        assert_eq!(names(&report), (Vec::new(), 0));
        report.never_hit.push("freeze".into());
        report.never_judged.push(Oracle::Truthful);
        report.broken = Some("no disk".into());
        let turns = crate::prove::report::Turns {
            turns: 3,
            changed: 0,
        };
        report.writers.insert("revive".into(), turns);
        let all = ["modes", "oracles", "whole", "writers"].map(str::to_owned);
        assert_eq!(names(&report), (all.to_vec(), 3));
    }

    #[test]
    fn what_proves_nothing_is_an_error() {
        let mut report = super::super::example();
        report.failures.clear();
        report.worlds[1].fired -= 1;
        report
            .not_fired
            .push("cycle: the connection is lost".into());
        report.undetermined = Some(Undetermined {
            world: "cycle".into(),
            point: 7,
            expected: "main: DELETE FROM server".into(),
            found: "main: DELETE FROM disk".into(),
        });
        let xml = prove_junit(&report).unwrap();
        let read = quick_junit::Report::deserialize_from_str(&xml).unwrap();
        assert_eq!((read.failures, read.errors), (0, 2), "{xml}");
        assert!(xml.contains("the connection is lost"), "{xml}");
        assert!(xml.contains("then: main: DELETE FROM disk"), "{xml}");
    }
}
