//! A baseline: the findings that are known and accepted for now, in a file.
//!
//! A known finding is shown and marked, and does not make an audit fail, as long as it does not grow. What could
//! not be checked is never in a baseline, and no baseline excuses it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::audited::Before;
use super::compare::{Earlier, Known};
use super::{AuditReport, Audited, Finding, Scope};
use crate::error::{Error, Result};

/// The version of the form.
const VERSION: u32 = 1;

/// The findings of a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The version of this form.
    pub version: u32,
    /// When the audit that it is of began.
    pub written: Timestamp,
    /// The database, without password. For people: a copy of it elsewhere has the same findings.
    pub database: String,
    /// The databases one by one, by which a baseline of others is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<Audited>,
    /// The profile it was read with.
    pub profile: String,
    /// The findings.
    pub findings: Vec<Known>,
}

impl Baseline {
    /// Reads one. `origin` names the file in messages.
    ///
    /// # Errors
    ///
    /// Exit code 65 if it is no baseline, or of another version, or names a finding twice.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let hint = "`sexton audit --write-baseline FILE` writes one";
        let no =
            |what: String| Error::data(format!("{origin} is not a baseline: {what}")).hint(hint);
        let baseline: Self = serde_json::from_str(text).map_err(|e| no(e.to_string()))?;
        if baseline.version != VERSION {
            let version = baseline.version;
            return Err(no(format!("its version is {version}, not {VERSION}")));
        }
        let mut seen = BTreeSet::new();
        let twice = baseline
            .findings
            .iter()
            .find(|f| !seen.insert(&f.fingerprint));
        match twice {
            Some(known) => Err(no(format!("{} is in it twice", known.fingerprint))),
            None => Ok(baseline),
        }
    }

    /// The baseline that accepts what this audit found at that moment.
    ///
    /// Suppressed findings are not in it: they would outlive the date of their suppression. What the audit
    /// did not look at is taken over from `earlier`.
    pub fn of(report: &AuditReport, moment: Timestamp, earlier: Option<&Self>) -> Self {
        let found = report.findings.iter().filter(|f| f.suppressed.is_none());
        let mut findings: Vec<_> = found.map(Known::from).collect();
        let unseen = |known: &&Known| {
            !report.covers(&known.check, &known.table)
                && report
                    .findings
                    .iter()
                    .all(|f| f.fingerprint != known.fingerprint)
        };
        findings.extend(
            earlier
                .iter()
                .flat_map(|e| e.findings.iter().filter(unseen))
                .cloned(),
        );
        let mut databases = report.databases.clone();
        let audited = |was: &&Audited| databases.iter().all(|is| is.cell != was.cell);
        let others: Vec<_> = earlier
            .iter()
            .flat_map(|e| e.databases.iter().filter(audited))
            .filter(|was| !was.cell.is_empty())
            .cloned()
            .collect();
        databases.extend(others);
        Self {
            version: VERSION,
            written: moment,
            database: report.database.clone(),
            databases,
            profile: report.profile.clone(),
            findings,
        }
    }

    /// Whether it may be of what is looked at now; what is to be said of it, if anything. `origin` names the file.
    ///
    /// # Errors
    ///
    /// Exit code 64 if it is of another database.
    pub fn fits(&self, origin: &str, now: &Scope<'_>) -> Result<Option<String>> {
        let before = Before {
            profile: &self.profile,
            databases: &self.databases,
            findings: &self.findings,
        };
        before.fits(origin, now)
    }

    /// Marks the findings of an audit that are known, and tells what went away.
    pub fn apply(&self, report: &mut AuditReport) {
        let earlier = Earlier {
            moment: Some(self.written),
            database: &self.database,
            findings: &self.findings,
        };
        let put = |finding: &mut Finding, compared| finding.baseline = Some(compared);
        report.baseline = Some(earlier.hold_against(report, put));
        report.count();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NotChecked, Severity};
    use super::*;
    use crate::exit::ExitCode;

    fn report(counts: &[(&str, u64)]) -> AuditReport {
        let mut report = AuditReport::new("d", "p");
        report.cover("", ["residue"]);
        let finding =
            |(table, count): &(&str, u64)| Finding::new("residue", Severity::Error, *table, *count);
        report.add(counts.iter().map(finding).collect(), Vec::new());
        report
    }

    #[test]
    fn known_findings_are_marked_and_excused_until_they_grow() {
        let baseline = Baseline::of(&report(&[("a", 3), ("b", 3)]), Timestamp::UNIX_EPOCH, None);
        let code = |counts: &[(&str, u64)]| {
            let mut report = report(counts);
            baseline.apply(&mut report);
            (report.exit_code(Severity::Note), report.summary.known)
        };
        assert_eq!(code(&[("a", 3), ("b", 2)]), (ExitCode::Done, 2));
        assert_eq!(code(&[("a", 4), ("b", 2)]), (ExitCode::Errors, 1));
        assert_eq!(code(&[("a", 3), ("c", 1)]), (ExitCode::Errors, 1));
    }

    #[test]
    fn what_could_not_be_checked_is_not_excused() {
        let mut report = report(&[("a", 3)]);
        let gap = NotChecked {
            check: "residue".into(),
            table: Some("b".into()),
            why: "no right".into(),
        };
        report.add(Vec::new(), vec![gap]);
        let baseline = Baseline::of(&report, Timestamp::UNIX_EPOCH, None);
        baseline.apply(&mut report);
        assert_eq!(report.exit_code(Severity::Note), ExitCode::Unavailable);
    }

    #[test]
    fn what_was_not_looked_at_is_taken_over() {
        let all = Baseline::of(
            &report(&[("a", 3), ("b", 3), ("cell1.a", 3)]),
            Timestamp::UNIX_EPOCH,
            None,
        );
        let now = Baseline::of(&report(&[("a", 2)]), Timestamp::UNIX_EPOCH, Some(&all));
        let tables: Vec<_> = now.findings.iter().map(|f| f.table.as_str()).collect();
        assert_eq!(tables, ["a", "cell1.a"]);
    }

    #[test]
    fn it_reads_back_and_names_no_finding_twice() {
        let mut baseline = Baseline::of(&report(&[("a", 3)]), Timestamp::UNIX_EPOCH, None);
        let text = serde_json::to_string(&baseline).unwrap();
        assert_eq!(Baseline::parse(&text, "f").unwrap(), baseline);
        baseline.findings.push(baseline.findings[0].clone());
        let text = serde_json::to_string(&baseline).unwrap();
        let error = Baseline::parse(&text, "f").unwrap_err();
        assert_eq!(error.code, ExitCode::Data);
        assert!(error.to_string().contains("is in it twice"), "{error}");
    }
}
