//! Suppressions: findings that somebody answers for, until a date, in a file that people write.
//!
//! A suppressed finding is shown as such and does not make an audit fail. What could not be checked cannot be
//! suppressed.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use toml::value::Datetime;

use super::{AuditReport, Finding, catalogue};
use crate::error::{Error, Result};

/// The entries of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suppressions {
    entries: Vec<Suppression>,
}

/// One entry: which findings, why, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// The check.
    pub check: String,
    /// The table as reports spell it; without a cell before it, in every cell.
    pub table: String,
    /// The reference as reports spell it; all of the table if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Why it is all right.
    pub reason: String,
    /// The last day on which it holds, in UTC.
    pub until: Date,
}

/// What a report says of a finding that is suppressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressed {
    /// Why it is all right.
    pub reason: String,
    /// The last day on which it holds, in UTC.
    pub until: Date,
}

/// What has come of the entries of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionsUsed {
    /// Entries whose date is over: they suppress nothing any more.
    pub expired: Vec<Suppression>,
    /// Entries that fit no finding, though their check was made.
    pub unused: Vec<Suppression>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    suppress: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    check: String,
    table: String,
    reference: Option<String>,
    reason: String,
    until: Datetime,
}

impl Suppressions {
    /// Reads a file. `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// Exit code 65 if it is not of this form, or an entry has no reason, no date, or a check that there is not.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|e| {
            // The first line says where.
            let line = e.to_string().lines().next().unwrap_or_default().to_owned();
            Error::data(format!("suppressions {origin}: {line}: {}", e.message())).hint(HINT)
        })?;
        let entries = (1..).zip(file.suppress);
        let entries = entries.map(|(number, entry)| {
            entry.read().map_err(|what| {
                let message =
                    format!("suppressions {origin}: [[suppress]] number {number}: {what}");
                Error::data(message).hint(HINT)
            })
        });
        Ok(Self {
            entries: entries.collect::<Result<_>>()?,
        })
    }

    /// Marks the findings that are suppressed on that day.
    pub fn apply(&self, report: &mut AuditReport, today: Date) {
        let mut used = SuppressionsUsed::default();
        for entry in &self.entries {
            if entry.until < today {
                used.expired.push(entry.clone());
                continue;
            }
            let mut any = false;
            for finding in report.findings.iter_mut().filter(|f| entry.fits(f)) {
                any = true;
                finding.suppressed.get_or_insert_with(|| Suppressed {
                    reason: entry.reason.clone(),
                    until: entry.until,
                });
            }
            if !any && report.covers_anywhere(&entry.check, &entry.table) {
                used.unused.push(entry.clone());
            }
        }
        report.suppressions = Some(used);
        report.count();
    }
}

const HINT: &str = "an entry is [[suppress]] with check, table, reason and until = 2027-01-31, and may have a \
                    reference; see docs/reports.md";

impl Entry {
    fn read(self) -> Result<Suppression, String> {
        let known = catalogue();
        if known.iter().all(|(id, _)| *id != self.check) {
            return Err(format!("there is no check '{}'", self.check));
        }
        if self.table.trim().is_empty() {
            return Err("its table is empty".into());
        }
        if self.reason.trim().is_empty() {
            return Err("its reason is empty".into());
        }
        let until = self.until;
        let day = match (until.date, until.time, until.offset) {
            (Some(day), None, None) => day,
            _ => return Err(format!("until = {until} is not a day")),
        };
        let parts = (
            i16::try_from(day.year),
            i8::try_from(day.month),
            i8::try_from(day.day),
        );
        let (Ok(year), Ok(month), Ok(number)) = parts else {
            return Err(format!("until = {until} is not a day"));
        };
        let until =
            Date::new(year, month, number).map_err(|_| format!("until = {until} is not a day"))?;
        Ok(Suppression {
            check: self.check,
            table: self.table,
            reference: self.reference,
            reason: self.reason,
            until,
        })
    }
}

impl Suppression {
    /// Whether it is about this finding.
    fn fits(&self, finding: &Finding) -> bool {
        let cell = finding.table.strip_suffix(&self.table);
        self.check == finding.check
            && cell.is_some_and(|cell| cell.is_empty() || cell.ends_with('.'))
            && (self.reference.is_none() || self.reference == finding.reference)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::Severity;
    use super::*;
    use crate::exit::ExitCode;

    fn one(more: &str) -> Suppressions {
        let text = format!(
            "[[suppress]]\ncheck = \"residue\"\nreason = \"r\"\nuntil = 2026-11-28\n{more}\n"
        );
        Suppressions::parse(&text, "f").unwrap()
    }

    fn report() -> AuditReport {
        let mut report = AuditReport::new("d", "p");
        report.cover("", ["residue"]);
        let finding = |table: &str, reference: &str| Finding {
            reference: Some(reference.into()),
            ..Finding::new("residue", Severity::Error, table, 1)
        };
        let findings = vec![
            finding("tags", "a"),
            finding("tags", "b"),
            finding("cell1.tags", "a"),
            finding("image_tags", "a"),
        ];
        report.add(findings, Vec::new());
        report
    }

    /// Which of the findings it suppresses on that day.
    fn suppressed(suppressions: &Suppressions, today: Date) -> Vec<usize> {
        let mut report = report();
        suppressions.apply(&mut report, today);
        let all = report.findings.iter().enumerate();
        let hidden: Vec<_> = all
            .filter(|(_, f)| f.suppressed.is_some())
            .map(|(i, _)| i)
            .collect();
        assert_eq!(report.summary.suppressed, hidden.len());
        hidden
    }

    #[test]
    fn a_table_is_meant_in_every_cell_and_a_reference_alone() {
        let today = date(2026, 11, 28);
        assert_eq!(suppressed(&one("table = \"tags\""), today), [0, 1, 2]);
        assert_eq!(suppressed(&one("table = \"cell1.tags\""), today), [2]);
        let over = one("table = \"tags\"\nreference = \"b\"");
        assert_eq!(suppressed(&over, today), [1]);
    }

    #[test]
    fn it_ends_with_its_day() {
        let entry = one("table = \"tags\"");
        let mut report = report();
        entry.apply(&mut report, date(2026, 11, 29));
        assert_eq!(report.exit_code(Severity::Note), ExitCode::Errors);
        let used = report.suppressions.unwrap();
        assert_eq!((used.expired.len(), used.unused.len()), (1, 0));
        assert_eq!(suppressed(&entry, date(2026, 11, 28)).len(), 3);
    }
}
