//! Findings, and the report they make: the same value behind every output format.

use serde::{Deserialize, Serialize};

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
    /// The SELECT that shows the rows; `None` where the schema itself is at fault.
    pub select: Option<String>,
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
}

/// All that an audit of one database found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// The version of this form.
    pub version: u32,
    /// The database, without password.
    pub database: String,
    /// The profile it was read with.
    pub profile: String,
    /// The findings, check by check in the order of the registry.
    pub findings: Vec<Finding>,
    /// What could not be checked.
    pub not_checked: Vec<NotChecked>,
    /// The findings, counted.
    pub summary: Summary,
    /// What an upgrade would meet, if that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
}

impl AuditReport {
    /// A report with nothing in it yet.
    pub fn new(database: impl Into<String>, profile: impl Into<String>) -> Self {
        Self {
            version: 1,
            database: database.into(),
            profile: profile.into(),
            findings: Vec::new(),
            not_checked: Vec::new(),
            summary: Summary::default(),
            upgrade: None,
        }
    }

    /// Adds findings, and what could not be checked, once each.
    pub fn add(&mut self, findings: Vec<Finding>, not_checked: Vec<NotChecked>) {
        self.findings.extend(findings);
        for gap in not_checked {
            if !self.not_checked.contains(&gap) {
                self.not_checked.push(gap);
            }
        }
        self.count();
    }

    fn count(&mut self) {
        let of = |s| self.findings.iter().filter(|f| f.severity == s).count();
        self.summary = Summary {
            error: of(Severity::Error),
            warning: of(Severity::Warning),
            note: of(Severity::Note),
        };
    }

    /// The exit code. Errors come first; then what could not be checked, because that is never
    /// clean; then the milder findings, from `fail_on` upwards.
    pub fn exit_code(&self, fail_on: Severity) -> ExitCode {
        let worst = self.findings.iter().map(|f| f.severity).max();
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
        let finding = |severity: &Severity| Finding {
            check: "c".into(),
            severity: *severity,
            table: "t".into(),
            reference: None,
            path: Vec::new(),
            count: 1,
            samples: Vec::new(),
            oldest: None,
            newest: None,
            message: String::new(),
            remedy: String::new(),
            select: None,
        };
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
