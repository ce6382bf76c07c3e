//! Findings, and the report they make: the same value behind every output format.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::audited::Audited;
use super::census::Census;
use super::compare::{Compared, Comparison, Course};
use super::fingerprint::fingerprint;
use super::suppress::{Suppressed, SuppressionsUsed};
use super::upgrade::Upgrade;
use crate::exit::ExitCode;

/// How bad a finding is; the order is from harmless to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing suffers from it.
    Note,
    /// Something will be left behind, or fails with another archiver.
    Warning,
    /// Rows are separated, lost to their service, or can never be archived.
    Error,
}

impl Severity {
    /// The name as output spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is wrong, with all that is needed to look at it and to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check that found it.
    pub check: String,
    /// How bad it is.
    pub severity: Severity,
    /// The table with the rows.
    pub table: String,
    /// The reference concerned, `child.column -> parent.column`.
    pub reference: Option<String>,
    /// How the root is reached: its table, then reference by reference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Which of the check's questions has found it, where it asks several about a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Rows concerned in the table; of `unarchivable-parent` and `split-family`, roots.
    pub count: u64,
    /// Keys of the first rows, `3`, or `a/b` for a composite key.
    pub samples: Vec<String>,
    /// The age of the oldest row, as the database spells it.
    pub oldest: Option<String>,
    /// The age of the newest row.
    pub newest: Option<String>,
    /// What is wrong, one sentence.
    pub message: String,
    /// What mends it: a command, a flag or SQL.
    pub remedy: String,
    /// The command that heals what needs no choice, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<String>,
    /// The SELECT that shows the rows; `None` where the schema itself is at fault.
    pub select: Option<String>,
    /// How it is told from all others, in every run and every format; given to it by [`AuditReport::add`].
    #[serde(default)]
    pub fingerprint: String,
    /// Beside what it is in the baseline, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Compared>,
    /// Beside what it was in an earlier report, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Compared>,
    /// Whether it is old or goes on, if it has an age to hold against a baseline or an earlier report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Course>,
    /// Why it is all right for now, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppressed>,
}

impl Finding {
    /// A finding about a table, with nothing in it but what every one has.
    pub fn new(check: &str, severity: Severity, table: impl Into<String>, count: u64) -> Self {
        Self {
            check: check.into(),
            severity,
            table: table.into(),
            reference: None,
            path: Vec::new(),
            kind: None,
            count,
            samples: Vec::new(),
            oldest: None,
            newest: None,
            message: String::new(),
            remedy: String::new(),
            repair: None,
            select: None,
            fingerprint: String::new(),
            baseline: None,
            since: None,
            course: None,
            suppressed: None,
        }
    }

    /// All that mends it, in one sentence: what does it by itself first.
    pub fn to_mend(&self) -> String {
        match &self.repair {
            Some(command) => format!("`{command}`; or {}", self.remedy),
            None => self.remedy.clone(),
        }
    }

    /// Whether it is in the baseline and has not grown since.
    pub fn is_known(&self) -> bool {
        self.baseline.as_ref().is_some_and(Compared::is_known)
    }

    /// Whether it is known or suppressed, and so does not make an audit fail.
    pub fn is_excused(&self) -> bool {
        self.is_known() || self.suppressed.is_some()
    }
}

/// Something that could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotChecked {
    /// The check that could not be made.
    pub check: String,
    /// The table it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Why not.
    pub why: String,
}

/// The number of findings of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Errors.
    pub error: usize,
    /// Warnings.
    pub warning: usize,
    /// Notes.
    pub note: usize,
    /// Those of all these that are in the baseline and have not grown.
    #[serde(default)]
    pub known: usize,
    /// Those of all these that are suppressed.
    #[serde(default)]
    pub suppressed: usize,
}

/// All that an audit of one database found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// The version of this form.
    pub version: u32,
    /// The database, without password.
    pub database: String,
    /// The databases one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<Audited>,
    /// The profile it was read with.
    pub profile: String,
    /// When the audit began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audited_at: Option<Timestamp>,
    /// The checks that were made.
    #[serde(default)]
    pub checks: Vec<String>,
    /// The findings, check by check in the order of the registry.
    pub findings: Vec<Finding>,
    /// What could not be checked.
    pub not_checked: Vec<NotChecked>,
    /// The findings, counted.
    pub summary: Summary,
    /// What an upgrade would meet, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    /// The baseline that the findings are held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Comparison>,
    /// The earlier report that the findings are held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Comparison>,
    /// What has come of suppressions that suppress nothing, if there is a file of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressions: Option<SuppressionsUsed>,
    /// Which checks were made on tables with which prefix.
    #[serde(skip)]
    covered: BTreeSet<(String, String)>,
    /// How many rows there are and how old those are that wait to be moved, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub census: Option<Census>,
}

impl AuditReport {
    /// A report with nothing in it yet.
    pub fn new(database: impl Into<String>, profile: impl Into<String>) -> Self {
        Self {
            version: 1,
            database: database.into(),
            databases: Vec::new(),
            profile: profile.into(),
            audited_at: None,
            checks: Vec::new(),
            findings: Vec::new(),
            not_checked: Vec::new(),
            summary: Summary::default(),
            upgrade: None,
            baseline: None,
            since: None,
            suppressions: None,
            covered: BTreeSet::new(),
            census: None,
        }
    }

    /// Books that these checks were made on the tables with this prefix: `cell1.`, or nothing.
    pub fn cover<'c>(&mut self, prefix: &str, checks: impl IntoIterator<Item = &'c str>) {
        for check in checks {
            if !self.checks.iter().any(|known| known == check) {
                self.checks.push(check.to_owned());
            }
            self.covered.insert((prefix.to_owned(), check.to_owned()));
        }
    }

    /// Whether a finding of this check in this table would be here if there was one: a check that was not made, or
    /// not to its end, has not shown that there is none.
    pub fn covers(&self, check: &str, table: &str) -> bool {
        let end = table.find('.').map_or(0, |dot| dot + 1);
        let at = (table[..end].to_owned(), check.to_owned());
        self.covered.contains(&at) && !self.has_gap(check, table)
    }

    /// The same of a table in whatever cell.
    pub(super) fn covers_anywhere(&self, check: &str, table: &str) -> bool {
        self.checks.iter().any(|made| made == check) && !self.has_gap(check, table)
    }

    fn has_gap(&self, check: &str, table: &str) -> bool {
        // A gap may name its table without the cell; and some findings are about all tables together.
        let of_table =
            |gap: &str| table == gap || table.ends_with(&format!(".{gap}")) || table.ends_with('*');
        self.not_checked.iter().any(|gap| {
            (gap.check == "all" || gap.check == check) && gap.table.as_deref().is_none_or(of_table)
        })
    }

    /// Adds findings, each with its fingerprint, and what could not be checked, once each.
    pub fn add(&mut self, findings: Vec<Finding>, not_checked: Vec<NotChecked>) {
        self.findings
            .extend(findings.into_iter().map(|finding| Finding {
                fingerprint: fingerprint(&finding),
                ..finding
            }));
        for gap in not_checked {
            if !self.not_checked.contains(&gap) {
                self.not_checked.push(gap);
            }
        }
        self.count();
    }

    pub(super) fn count(&mut self) {
        let number =
            |what: &dyn Fn(&Finding) -> bool| self.findings.iter().filter(|f| what(f)).count();
        let of = |severity| number(&|f| f.severity == severity);
        self.summary = Summary {
            error: of(Severity::Error),
            warning: of(Severity::Warning),
            note: of(Severity::Note),
            known: number(&Finding::is_known),
            suppressed: number(&|f| f.suppressed.is_some()),
        };
    }

    /// The exit code. Errors come first; then what could not be checked, because that is never
    /// clean; then the milder findings, from `fail_on` upwards. Findings that are known or suppressed do not count.
    pub fn exit_code(&self, fail_on: Severity) -> ExitCode {
        let failing = self.findings.iter().filter(|f| !f.is_excused());
        let worst = failing.map(|f| f.severity).max();
        match worst {
            Some(Severity::Error) => ExitCode::Errors,
            _ if !self.not_checked.is_empty() => ExitCode::Unavailable,
            Some(severity) if severity >= fail_on => ExitCode::Findings,
            _ => ExitCode::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(severities: &[Severity], gaps: usize) -> AuditReport {
        let finding = |severity: &Severity| Finding::new("c", *severity, "t", 1);
        let gap = |n| NotChecked {
            check: "c".into(),
            table: None,
            why: format!("{n}"),
        };
        let mut report = AuditReport::new("d", "p");
        report.add(
            severities.iter().map(finding).collect(),
            (0..gaps).map(gap).collect(),
        );
        report
    }

    #[test]
    fn exit_codes_put_errors_before_gaps_before_warnings() {
        use Severity::{Error, Note, Warning};
        let code = |found: &[Severity], gaps, fail_on| report(found, gaps).exit_code(fail_on);
        assert_eq!(code(&[Error, Warning], 1, Warning), ExitCode::Errors);
        assert_eq!(code(&[Error], 0, Error), ExitCode::Errors);
        assert_eq!(code(&[Warning], 1, Warning), ExitCode::Unavailable);
        assert_eq!(code(&[], 1, Error), ExitCode::Unavailable);
        assert_eq!(code(&[Warning], 0, Warning), ExitCode::Findings);
        assert_eq!(code(&[Warning], 0, Error), ExitCode::Done);
        assert_eq!(code(&[Note], 0, Warning), ExitCode::Done);
        assert_eq!(code(&[Note], 0, Note), ExitCode::Findings);
        assert_eq!(code(&[], 0, Note), ExitCode::Done);
    }

    #[test]
    fn the_same_gap_is_reported_once() {
        let mut report = report(&[], 1);
        report.add(Vec::new(), report.not_checked.clone());
        assert_eq!(report.not_checked.len(), 1);
    }
}
