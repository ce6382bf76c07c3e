//! Findings held against those of an earlier moment: what is new, what grew or shrank, what went away, and
//! whether what is there is old or goes on.
//!
//! Pure. [`super::Baseline`] and [`super::Since`] say where the earlier findings come from and what follows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{AuditReport, Finding, Severity};

/// A finding as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// How it is told from all others.
    pub fingerprint: String,
    /// The check that found it.
    pub check: String,
    /// How bad it was.
    pub severity: Severity,
    /// The table.
    pub table: String,
    /// The reference concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Rows, or roots.
    pub count: u64,
    /// The age of the oldest row, as the database spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// The age of the newest row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// What was wrong, for people.
    #[serde(default)]
    pub message: String,
}

impl From<&Finding> for Known {
    fn from(finding: &Finding) -> Self {
        Self {
            fingerprint: finding.fingerprint.clone(),
            check: finding.check.clone(),
            severity: finding.severity,
            table: finding.table.clone(),
            reference: finding.reference.clone(),
            count: finding.count,
            oldest: finding.oldest.clone(),
            newest: finding.newest.clone(),
            message: finding.message.clone(),
        }
    }
}

/// What has become of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It was not there.
    New,
    /// It is what it was.
    Same,
    /// There are more rows, or newer ones, or it is worse.
    Grew,
    /// There are fewer rows, and none is newer.
    Shrank,
}

impl Change {
    /// The word as output spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Same => "same",
            Self::Grew => "grew",
            Self::Shrank => "shrank",
        }
    }
}

/// A finding beside what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// What has become of it.
    pub change: Change,
    /// The count that it had; `None` of a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The age that its newest row had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// How bad it was, where that has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

impl Compared {
    /// Whether it was there and did not grow.
    pub fn is_known(&self) -> bool {
        matches!(self.change, Change::Same | Change::Shrank)
    }
}

/// What an audit was held against, and what is not there any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// When the earlier audit was made, if that is known.
    pub moment: Option<Timestamp>,
    /// The database that it was of.
    pub database: String,
    /// Findings that went away. One that was not looked for now is not among them.
    pub gone: Vec<Known>,
}

/// Whether the rows of a finding are all from before an earlier audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    /// The newest row is not newer than the earlier audit: residue of something that is over.
    Old,
    /// Rows have come since: it is still being made.
    GoesOn,
}

impl Course {
    /// One word or two for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::GoesOn => "goes on",
        }
    }

    /// `since` is the moment of the earlier audit.
    fn of(finding: &Finding, compared: &Compared, since: Option<Timestamp>) -> Option<Self> {
        let newest = finding.newest.as_deref().and_then(moment);
        match compared.change {
            Change::Grew => Some(Self::GoesOn),
            // Without dates other rows may have taken their place.
            Change::Same | Change::Shrank => newest.map(|_| Self::Old),
            // Old rows that nobody knew of: they may have been damaged yesterday.
            Change::New => (newest? > since?).then_some(Self::GoesOn),
        }
    }
}

/// An earlier audit.
pub(super) struct Earlier<'a> {
    /// When it began, if that is known.
    pub(super) moment: Option<Timestamp>,
    /// The database that it was of.
    pub(super) database: &'a str,
    /// What it found.
    pub(super) findings: &'a [Known],
}

impl Earlier<'_> {
    /// Gives each finding of a report what has become of it, and says of it whether it is old or goes on, unless
    /// that is said already. What went away is in the result.
    pub(super) fn hold_against(
        &self,
        report: &mut AuditReport,
        put: fn(&mut Finding, Compared),
    ) -> Comparison {
        let (compared, gone) = compare(report, self.findings);
        for (finding, compared) in report.findings.iter_mut().zip(compared) {
            let course = Course::of(finding, &compared, self.moment);
            finding.course = finding.course.or(course);
            put(finding, compared);
        }
        Comparison {
            moment: self.moment,
            database: self.database.to_owned(),
            gone,
        }
    }
}

/// Each finding beside what it was, in the order of the report; and those that went away.
fn compare(report: &AuditReport, earlier: &[Known]) -> (Vec<Compared>, Vec<Known>) {
    let known: BTreeMap<_, _> = earlier
        .iter()
        .map(|known| (known.fingerprint.as_str(), known))
        .collect();
    let beside = |finding: &Finding| match known.get(finding.fingerprint.as_str()) {
        None => Compared {
            change: Change::New,
            count: None,
            newest: None,
            severity: None,
        },
        Some(known) => Compared {
            change: change(known, finding),
            count: Some(known.count),
            newest: known.newest.clone(),
            severity: (known.severity != finding.severity).then_some(known.severity),
        },
    };
    let compared = report.findings.iter().map(beside).collect();
    let here = |known: &Known| {
        let mut found = report.findings.iter();
        found.any(|f| f.fingerprint == known.fingerprint)
    };
    let gone = |known: &&Known| !here(known) && report.covers(&known.check, &known.table);
    (compared, earlier.iter().filter(gone).cloned().collect())
}

fn change(known: &Known, finding: &Finding) -> Change {
    let worse = finding.severity > known.severity;
    if worse
        || finding.count > known.count
        || is_newer(finding.newest.as_deref(), known.newest.as_deref())
    {
        Change::Grew
    } else if finding.count < known.count {
        Change::Shrank
    } else {
        Change::Same
    }
}

/// Whether there is a newer row than there was. Where dates cannot be read another one is taken for a newer one:
/// better a look too many.
fn is_newer(now: Option<&str>, before: Option<&str>) -> bool {
    let (Some(now), Some(before)) = (now, before) else {
        return now.is_some();
    };
    match (moment(now), moment(before)) {
        (Some(now), Some(before)) => now > before,
        _ => now != before,
    }
}

/// The moment that a database spells like this; UTC where no zone is given, as services write it.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let local: DateTime = text.parse().ok()?;
    Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::super::NotChecked;
    use super::*;

    fn finding(table: &str, count: u64, newest: Option<&str>) -> Finding {
        Finding {
            newest: newest.map(str::to_owned),
            ..Finding::new("residue", Severity::Warning, table, count)
        }
    }

    /// A report of two cells.
    fn report(findings: Vec<Finding>, gaps: Vec<NotChecked>) -> AuditReport {
        let mut report = AuditReport::new("d", "p");
        report.cover("a.", ["residue", "orphaned-row"]);
        report.cover("b.", ["residue"]);
        report.add(findings, gaps);
        report
    }

    fn known(findings: Vec<Finding>) -> Vec<Known> {
        let report = report(findings, Vec::new());
        report.findings.iter().map(Known::from).collect()
    }

    #[test]
    fn growth_is_more_rows_or_a_newer_one() {
        let before = "2024-03-02 10:00:00";
        let of = |then: (u64, Option<&str>), now: (u64, Option<&str>)| {
            let earlier = known(vec![finding("a.tags", then.0, then.1)]);
            let report = report(vec![finding("a.tags", now.0, now.1)], Vec::new());
            compare(&report, &earlier).0[0].change
        };
        assert_eq!(of((3, None), (3, None)), Change::Same);
        assert_eq!(of((3, None), (4, None)), Change::Grew);
        assert_eq!(of((3, None), (2, None)), Change::Shrank);
        // The same moment as another engine spells it.
        assert_eq!(
            of((3, Some(before)), (3, Some("2024-03-02 10:00:00.000000"))),
            Change::Same
        );
        assert_eq!(
            of((3, Some(before)), (3, Some("2024-03-02 11:00:00+01"))),
            Change::Same
        );
        assert_eq!(
            of((3, Some(before)), (2, Some("2024-03-02 10:00:01"))),
            Change::Grew
        );
        assert_eq!(
            of((3, Some(before)), (3, Some("2024-03-01 10:00:00"))),
            Change::Same
        );
        assert_eq!(of((3, None), (3, Some(before))), Change::Grew);
        assert_eq!(of((3, Some(before)), (3, None)), Change::Same);
        let worse = Finding {
            severity: Severity::Error,
            ..finding("a.tags", 3, None)
        };
        let earlier = known(vec![finding("a.tags", 3, None)]);
        let changes = compare(&report(vec![worse], Vec::new()), &earlier).0;
        assert_eq!(changes[0].change, Change::Grew);
        assert_eq!(changes[0].severity, Some(Severity::Warning));
        // Whatever it means.
        assert_eq!(of((3, Some("monday")), (3, Some("tuesday"))), Change::Grew);
        assert_eq!(of((3, Some("monday")), (3, Some("monday"))), Change::Same);
    }

    #[test]
    fn only_what_was_looked_for_is_gone() {
        let orphan = |table: &str| Finding {
            check: "orphaned-row".into(),
            ..finding(table, 1, None)
        };
        let earlier = known(vec![
            finding("a.tags", 1, None),
            finding("b.tags", 1, None),
            finding("c.tags", 1, None),
            finding("tags", 1, None),
            finding("a.migrations", 1, None),
            finding("a.instances", 1, None),
            orphan("a.tags"),
            orphan("b.tags"),
        ]);
        let gap = |check: &str, table: Option<&str>| NotChecked {
            check: check.into(),
            table: table.map(str::to_owned),
            why: String::new(),
        };
        let gone = |gaps| {
            let report = report(vec![finding("a.instances", 1, None)], gaps);
            let gone = compare(&report, &earlier).1.into_iter();
            gone.map(|known| format!("{} {}", known.check, known.table))
                .collect::<Vec<_>>()
        };
        let all = [
            "residue a.tags",
            "residue b.tags",
            "residue a.migrations",
            "orphaned-row a.tags",
        ];
        assert_eq!(gone(Vec::new()), all);
        let gaps = vec![gap("residue", Some("tags"))];
        assert_eq!(gone(gaps), ["residue a.migrations", "orphaned-row a.tags"]);
        assert_eq!(gone(vec![gap("residue", None)]), ["orphaned-row a.tags"]);
        assert!(gone(vec![gap("all", None)]).is_empty());
    }

    #[test]
    fn growth_goes_on_and_what_stays_is_old() {
        let (then, before) = ("2024-03-02 10:00:00", "2024-03-01 10:00:00");
        let earlier = known(vec![
            finding("a.same", 3, Some(before)),
            finding("a.fewer", 3, Some(before)),
            finding("a.newer", 3, Some(before)),
            finding("a.more", 3, Some(before)),
            finding("a.undated", 3, None),
            finding("a.more-undated", 3, None),
        ]);
        let mut report = report(
            vec![
                finding("a.same", 3, Some(before)),
                finding("a.fewer", 2, Some(before)),
                finding("a.newer", 3, Some("2024-03-02 10:00:01")),
                finding("a.more", 4, Some(before)),
                finding("a.undated", 3, None),
                finding("a.more-undated", 4, None),
                finding("a.new-of-old-rows", 1, Some(then)),
                finding("a.new", 1, Some("2024-03-02 10:00:01")),
            ],
            Vec::new(),
        );
        let hold = |report: &mut AuditReport, moment: &str, findings: &[Known]| {
            let earlier = Earlier {
                moment: moment.parse().ok(),
                database: "d",
                findings,
            };
            earlier.hold_against(report, |finding, compared| finding.since = Some(compared));
            let courses = report.findings.iter().map(|f| f.course);
            courses.collect::<Vec<_>>()
        };
        let (old, goes_on) = (Some(Course::Old), Some(Course::GoesOn));
        let expected = vec![old, old, goes_on, goes_on, None, goes_on, None, goes_on];
        assert_eq!(
            hold(&mut report, "2024-03-02T10:00:00Z", &earlier),
            expected
        );
        // What was said first stays.
        let again = hold(&mut report, "2020-01-01T00:00:00Z", &[]);
        assert_eq!(again[..4], expected[..4]);
        assert_eq!(again[6], goes_on);
    }
}
