//! An audit for CI systems: JUnit XML.
//!
//! A suite for each check that was made, a test for each finding, or one that passed where there is none. It agrees
//! with the exit code: a test fails if its finding makes the audit fail, and what could not be checked is an error.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::super::Paint;
use super::text::block;
use super::{state, worst_first};
use crate::audit::{AuditReport, Finding, NotChecked, Severity};
use crate::error::Result;

/// The report as JUnit XML, of an audit that fails from this severity upwards.
///
/// # Errors
///
/// Exit code 70 if it cannot be written as XML.
pub fn audit_junit(report: &AuditReport, fail_on: Severity) -> Result<String> {
    let mut out = Report::new(format!("sexton audit: {}", report.database));
    for check in checks(report) {
        let mut suite = TestSuite::new(check);
        let of_check = |c: &String| c == check;
        for finding in worst_first(report).filter(|f| of_check(&f.check)) {
            suite.add_test_case(of_finding(finding, fail_on));
        }
        for gap in report.not_checked.iter().filter(|g| of_check(&g.check)) {
            suite.add_test_case(of_gap(gap));
        }
        if suite.test_cases.is_empty() {
            suite.add_test_case(case(check, "nothing found", TestCaseStatus::success()));
        }
        out.add_test_suite(suite);
    }
    let mut aside = TestSuite::new(ASIDE);
    for (name, message) in state::aside(report) {
        let mut status = TestCaseStatus::skipped();
        status.set_message(message);
        aside.add_test_case(case(ASIDE, name, status));
    }
    if !aside.test_cases.is_empty() {
        out.add_test_suite(aside);
    }
    super::super::junit::xml(&out)
}

/// The suite of what is no finding: what went away, suppressions that do nothing.
const ASIDE: &str = "known findings";

/// Every check that was made or has something to say, in the order of the report.
fn checks(report: &AuditReport) -> Vec<&str> {
    let made = report.checks.iter();
    let gaps = report.not_checked.iter().map(|g| &g.check);
    let all = made
        .chain(report.findings.iter().map(|f| &f.check))
        .chain(gaps);
    let mut checks: Vec<&str> = Vec::new();
    for check in all {
        if !checks.contains(&check.as_str()) {
            checks.push(check);
        }
    }
    checks
}

fn of_finding(finding: &Finding, fail_on: Severity) -> TestCase {
    let text = block(finding, Paint::Plain);
    let name = format!("{} [{}]", finding.table, finding.fingerprint);
    let mut status = match (finding.is_excused(), finding.severity >= fail_on) {
        (true, _) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(state::of(finding));
            status
        }
        (false, true) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(finding.message.as_str());
            status.set_type(finding.severity.as_str());
            status
        }
        (false, false) => TestCaseStatus::success(),
    };
    let succeeds = matches!(status, TestCaseStatus::Success { .. });
    if !succeeds {
        status.set_description(text.as_str());
    }
    let mut case = case(&finding.check, name, status);
    if succeeds {
        case.set_system_out(text);
    }
    case
}

fn of_gap(gap: &NotChecked) -> TestCase {
    let table = gap.table.as_deref().unwrap_or("all tables");
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(format!("could not check: {}", gap.why));
    status.set_type("not-checked");
    case(&gap.check, format!("{table} [not checked]"), status)
}

fn case(check: &str, name: impl Into<quick_junit::XmlString>, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("sexton.audit.{check}"));
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{example, judged};

    fn counts(report: &AuditReport, fail_on: Severity) -> (usize, usize, usize) {
        let xml = audit_junit(report, fail_on).unwrap();
        let read = Report::deserialize_from_str(&xml).unwrap();
        (read.tests, read.failures, read.errors)
    }

    #[test]
    fn a_suite_for_each_check_and_a_test_for_each_finding() {
        insta::assert_snapshot!(audit_junit(&judged(), Severity::Warning).unwrap());
    }

    #[test]
    fn it_fails_where_the_audit_does() {
        let report = example();
        assert_eq!(counts(&report, Severity::Note), (5, 3, 1));
        assert_eq!(counts(&report, Severity::Warning), (5, 2, 1));
        assert_eq!(counts(&report, Severity::Error), (5, 1, 1));
    }
}
