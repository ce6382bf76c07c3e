//! Reports: text and JSON, one file per kind, from the values that `audit` and `archive` return.

mod archive;
mod audit;
pub mod compat;

pub use archive::{archive_text, blocked_text};
pub use audit::audit_text;

use serde::Serialize;

use crate::error::{Error, Result};

/// A report as JSON for scripts.
pub fn json(report: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(report)
        .map_err(|e| Error::internal(format!("a report cannot be written as JSON: {e}")))
}

/// A report with one of everything, for the tests of the formats.
#[cfg(test)]
fn example() -> crate::audit::AuditReport {
    use crate::audit::{AuditReport, Finding, NotChecked, Severity};

    let finding = |check: &str, severity, table: &str, message: &str| Finding {
        check: check.into(),
        severity,
        table: table.into(),
        reference: None,
        path: Vec::new(),
        count: 1,
        samples: vec!["3".into()],
        oldest: None,
        newest: None,
        message: message.into(),
        remedy: "`sexton archive` moves them".into(),
        select: None,
    };
    let reference = "instance_extra.instance_uuid -> instances.uuid";
    let mut report = AuditReport::new("mysql://nova@db/nova", "nova");
    report.add(
        vec![
            finding(
                "shadow-drift",
                Severity::Note,
                "key_pairs",
                "key_pairs.name: differs",
            ),
            finding(
                "residue",
                Severity::Warning,
                "tags",
                "tags rows were left behind",
            ),
            Finding {
                reference: Some(reference.into()),
                path: vec!["instances".into(), reference.into()],
                count: 12_345,
                samples: vec!["1".into(), "2".into()],
                oldest: Some("2022-01-01 00:00:00".into()),
                newest: Some("2024-03-02 10:00:00".into()),
                select: Some("SELECT 1".into()),
                ..finding(
                    "split-family",
                    Severity::Error,
                    "instance_extra",
                    "instance_extra rows are in shadow_instance_extra while their instances row \
                     is still live",
                )
            },
        ],
        vec![NotChecked {
            check: "residue".into(),
            table: Some("migrations".into()),
            why: "no right to read it".into(),
        }],
    );
    report
}
