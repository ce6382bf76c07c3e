//! An audit as lines of JSON, for tools that read line by line: the head, each finding, each gap, what a
//! comparison or a suppression adds, the summary. Every line has a `type`, the first one the version.

use serde::Serialize;

use super::worst_first;
use crate::audit::upgrade::Upgrade;
use crate::audit::{
    AuditReport, Census, Finding, Known, NotChecked, Summary, Suppression, TableCensus,
};
use crate::error::Result;
use crate::report::lines;

/// A line.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line<'a> {
    Head {
        version: u32,
        database: &'a str,
        profile: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        audited_at: Option<jiff::Timestamp>,
        checks: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        baseline: Option<Earlier<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<Earlier<'a>>,
    },
    Finding(&'a Finding),
    NotChecked(&'a NotChecked),
    Gone {
        since: &'static str,
        #[serde(flatten)]
        known: &'a Known,
    },
    Suppression {
        state: &'static str,
        #[serde(flatten)]
        entry: &'a Suppression,
    },
    Census {
        at: &'a str,
        #[serde(flatten)]
        table: &'a TableCensus,
    },
    Upgrade(&'a Upgrade),
    Summary(Summary),
}

/// What the audit was held against.
#[derive(Serialize)]
struct Earlier<'a> {
    moment: Option<jiff::Timestamp>,
    database: &'a str,
}

/// The report as lines of JSON, the worst findings first.
///
/// # Errors
///
/// Exit code 70 if it cannot be written as JSON.
pub fn audit_jsonl(report: &AuditReport) -> Result<String> {
    let comparisons = [("baseline", &report.baseline), ("report", &report.since)];
    let [baseline, since] = comparisons.map(|(_, comparison)| {
        comparison.as_ref().map(|c| Earlier {
            moment: c.moment,
            database: &c.database,
        })
    });
    let mut all = vec![Line::Head {
        version: report.version,
        database: &report.database,
        profile: &report.profile,
        audited_at: report.audited_at,
        checks: &report.checks,
        baseline,
        since,
    }];
    all.extend(worst_first(report).map(Line::Finding));
    all.extend(report.not_checked.iter().map(Line::NotChecked));
    for (since, comparison) in comparisons {
        let gone = comparison.iter().flat_map(|c| &c.gone);
        all.extend(gone.map(|known| Line::Gone { since, known }));
    }
    if let Some(used) = &report.suppressions {
        for (state, entries) in [("expired", &used.expired), ("unused", &used.unused)] {
            all.extend(
                entries
                    .iter()
                    .map(|entry| Line::Suppression { state, entry }),
            );
        }
    }
    if let Some(Census { at, tables }) = &report.census {
        all.extend(tables.iter().map(|table| Line::Census { at, table }));
    }
    all.extend(report.upgrade.as_ref().map(Line::Upgrade));
    all.push(Line::Summary(report.summary));
    lines(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_thing() {
        insta::assert_snapshot!(audit_jsonl(&crate::report::judged()).unwrap());
    }
}
