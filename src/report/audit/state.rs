//! What is known of findings from before, and said of them by people, in words: the same in every format.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::super::{grouped, several};
use crate::audit::{AuditReport, Change, Compared, Comparison, Finding, Known, Suppression};

/// What an audit was held against: `the baseline of 2026-11-01T10:00:00Z`.
pub(in crate::report) fn against(what: &str, moment: Option<Timestamp>) -> String {
    match moment {
        Some(moment) => format!("{what} of {moment}"),
        None => what.to_owned(),
    }
}

/// The comparisons of a report, each with its name.
pub(in crate::report) fn comparisons(
    report: &AuditReport,
) -> impl Iterator<Item = (&'static str, &Comparison)> {
    let baseline = report.baseline.as_ref().map(|c| ("the baseline", c));
    let since = report.since.as_ref().map(|c| ("the earlier report", c));
    baseline.into_iter().chain(since)
}

/// What is known and said of a finding; empty if nothing is.
pub(in crate::report) fn of(finding: &Finding) -> String {
    let mut words = Vec::new();
    if let Some(compared) = &finding.baseline {
        words.push(match compared.change {
            Change::New => "not in the baseline".to_owned(),
            Change::Same => "known".to_owned(),
            Change::Shrank => format!("known, {}", changed(finding, compared, "the baseline")),
            Change::Grew => changed(finding, compared, "the baseline"),
        });
    }
    if let Some(compared) = &finding.since {
        words.push(match compared.change {
            Change::New => "new since the earlier report".to_owned(),
            Change::Same => "as in the earlier report".to_owned(),
            Change::Shrank | Change::Grew => changed(finding, compared, "the earlier report"),
        });
    }
    if let Some(suppressed) = &finding.suppressed {
        let (until, reason) = (suppressed.until, &suppressed.reason);
        words.push(format!("suppressed until {until}: {reason}"));
    }
    words.join("; ")
}

/// From what to what: `grew since the baseline: count 3 to 5`.
fn changed(finding: &Finding, compared: &Compared, what: &str) -> String {
    let mut parts = Vec::new();
    if let Some(before) = compared.severity {
        let now = finding.severity;
        parts.push(format!("{} to {}", before.as_str(), now.as_str()));
    }
    let before = compared.count.unwrap_or(0);
    if before != finding.count {
        let (before, now) = (grouped(before), grouped(finding.count));
        parts.push(format!("count {before} to {now}"));
    }
    if compared.newest != finding.newest {
        let date = |date: &Option<String>| date.clone().unwrap_or_else(|| "no date".into());
        let (before, now) = (date(&compared.newest), date(&finding.newest));
        parts.push(format!("newest {before} to {now}"));
    }
    let change = compared.change.as_str();
    format!("{change} since {what}: {}", parts.join(", "))
}

/// The ages of the rows, and whether they go on coming; empty where they have none.
pub(in crate::report) fn age(finding: &Finding) -> String {
    let window = match (&finding.oldest, &finding.newest) {
        (Some(oldest), Some(newest)) if oldest == newest => oldest.clone(),
        (Some(oldest), Some(newest)) => format!("{oldest} to {newest}"),
        (Some(oldest), None) => format!("from {oldest}"),
        _ if finding.course.is_some() => "no date".to_owned(),
        _ => return String::new(),
    };
    match finding.course {
        Some(course) => format!("{window} ({})", course.as_str()),
        None => window,
    }
}

/// One that went away.
pub(in crate::report) fn gone(known: &Known) -> String {
    format!(
        "{} {}: {} (count {}, id {})",
        known.check,
        known.table,
        known.message,
        grouped(known.count),
        known.fingerprint
    )
}

/// A suppression that does nothing: `residue of tags, until 2027-01-31: reason`.
pub(in crate::report) fn suppression(entry: &Suppression) -> String {
    let Suppression {
        check,
        table,
        until,
        reason,
        ..
    } = entry;
    let over = entry
        .reference
        .as_deref()
        .map(|r| format!(" over {r}"))
        .unwrap_or_default();
    format!("{check} of {table}{over}, until {until}: {reason}")
}

/// The counts: `2 errors, 1 warning, 0 notes; 1 known; 1 not checked`.
pub(in crate::report) fn summary(report: &AuditReport) -> String {
    let number = |n: usize, what: &str| several(n as u64, what);
    let s = &report.summary;
    let mut line = if report.findings.is_empty() {
        "nothing found".to_owned()
    } else {
        format!(
            "{}, {}, {}",
            number(s.error, "error"),
            number(s.warning, "warning"),
            number(s.note, "note")
        )
    };
    let more = [
        (s.known, "known"),
        (s.suppressed, "suppressed"),
        (report.not_checked.len(), "not checked"),
    ];
    for (count, what) in more.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(line, "; {count} {what}");
    }
    line
}

/// The title of a suppression that has ended.
pub(in crate::report) const EXPIRED: &str = "expired suppression";

/// What is no finding and has to be said all the same, each with a title: what went away, suppressions that do
/// nothing.
pub(in crate::report) fn aside(report: &AuditReport) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for (what, comparison) in comparisons(report) {
        let since = against(what, comparison.moment);
        let gone = comparison.gone.iter();
        all.extend(gone.map(|known| ("gone", format!("since {since}: {}", self::gone(known)))));
    }
    if let Some(used) = &report.suppressions {
        all.extend(
            used.expired
                .iter()
                .map(|entry| (EXPIRED, suppression(entry))),
        );
        let unused = used.unused.iter();
        all.extend(unused.map(|entry| ("unused suppression", suppression(entry))));
    }
    all
}
