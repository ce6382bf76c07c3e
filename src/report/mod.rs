//! Reports: text and JSON, one file per kind, from the values that `audit`, `archive` and `prove`
//! return.

mod archive;
mod audit;
pub mod compat;
mod diagram;
mod prove;
mod schema;

pub use archive::{archive_text, blocked_text, purge_text};
pub use audit::audit_text;
pub use diagram::{DiagramFormat, diagram};
pub use prove::{prove_junit, prove_text};
pub use schema::{Entry as SchemaEntry, SchemaReport, schema_text};

use std::fmt::Write as _;
use std::ops::Range;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::error::{Error, Result};

/// A report as JSON for scripts.
pub fn json(report: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(report)
        .map_err(|e| Error::internal(format!("a report cannot be written as JSON: {e}")))
}

/// Rows in aligned columns, indented.
pub fn columns<R: IntoIterator<Item = impl ToString>>(rows: impl IntoIterator<Item = R>) -> String {
    let text = |row: R| row.into_iter().map(|cell| cell.to_string()).collect();
    let rows = rows.into_iter().map(text).collect();
    let table = right_aligned(rows, 0..0);
    let lines: Vec<_> = table.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// Rows in aligned columns, those of `numbers` to the right.
fn right_aligned(rows: Vec<Vec<String>>, numbers: Range<usize>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for row in rows {
        table.add_row(row);
    }
    for index in 0..table.column_count() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
            if numbers.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.trim_fmt()
}

/// A line of a block: a label, and a value unless it is empty.
fn indented(out: &mut String, label: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(out, "    {label:<10}{value}");
    }
}

/// The number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A report with one of everything, for the tests of the formats.
#[cfg(test)]
fn example() -> crate::audit::AuditReport {
    use crate::audit::{AuditReport, Finding, NotChecked, Severity};

    let finding = |check: &str, severity, table: &str, message: &str| Finding {
        samples: vec!["3".into()],
        message: message.into(),
        remedy: "`sexton archive` moves them".into(),
        ..Finding::new(check, severity, table, 1)
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
