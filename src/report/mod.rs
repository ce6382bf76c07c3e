//! Reports, one file per format, from the values that `audit`, `archive` and `prove` return.

mod archive;
mod audit;
mod census;
pub mod compat;
mod diagram;
mod github;
mod html;
mod junit;
mod markdown;
mod mend;
mod paint;
mod prometheus;
mod prove;
mod repair;
mod restore;
mod sarif;
mod schema;

pub use archive::{
    Deed, archive_github, archive_jsonl, archive_markdown, archive_text, blocked_text, purge_text,
};
pub use audit::{audit_github, audit_jsonl, audit_junit, audit_markdown, audit_sarif, audit_text};
pub use diagram::{DiagramFormat, diagram};
pub use html::{Families, archive_html, audit_html, failure_html, prove_html};
pub use paint::Paint;
pub use prometheus::{archive_prometheus, audit_prometheus, purge_prometheus};
pub use prove::{prove_github, prove_jsonl, prove_junit, prove_markdown, prove_sarif, prove_text};
pub use repair::{repair_rows, repair_text};
pub use restore::restore_text;
pub use schema::{Entry as SchemaEntry, SchemaReport, schema_text};

use std::fmt::Write as _;
use std::ops::Range;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::plural::plural;

/// A report as JSON for scripts.
pub fn json(report: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(report)
        .map_err(|e| Error::internal(format!("a report cannot be written as JSON: {e}")))
}

/// Values as lines of JSON.
fn lines(values: &[impl Serialize]) -> Result<String> {
    let line = |value| {
        serde_json::to_string(value)
            .map_err(|e| Error::internal(format!("a report cannot be written as JSON: {e}")))
    };
    let lines: Vec<_> = values.iter().map(line).collect::<Result<_>>()?;
    Ok(lines.join("\n"))
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
fn indented(out: &mut String, paint: Paint, label: &str, value: &str) {
    if !value.is_empty() {
        let label = paint.with(paint::FAINT, &format!("{label:<10}"));
        let _ = writeln!(out, "    {label}{value}");
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

/// The number with a comma between thousands, and what it counts: `1 error`, `2,000 errors`.
fn several(number: u64, word: &str) -> String {
    format!("{} {}", grouped(number), plural(number, word))
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
    report.cover(
        "",
        ["split-family", "residue", "orphaned-row", "shadow-drift"],
    );
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
                remedy: "move them back to their parent: DELETE FROM `shadow_instance_extra` WHERE `id` IN (1, 2); or \
                         look at them"
                    .into(),
                repair: Some("sexton repair nova.db --check split-family --apply".into()),
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

/// The example with all that can be known and said of findings: one that grew, one that is known, one that is
/// suppressed, one that is new, and one that went away.
#[cfg(test)]
fn judged() -> crate::audit::AuditReport {
    use crate::audit::{Baseline, Finding, Severity, Since, Suppressions};

    let mut report = example();
    report.audited_at = "2026-11-28T10:00:00Z".parse().ok();
    let mut earlier = report.clone();
    earlier.audited_at = "2024-01-01T00:00:00Z".parse().ok();
    let orphans = Finding {
        message: "tags rows have no parent".into(),
        ..Finding::new("orphaned-row", Severity::Error, "tags", 7)
    };
    earlier.add(vec![orphans], Vec::new());
    let split = &mut earlier.findings[2];
    (split.count, split.newest) = (12_000, Some("2023-12-31 10:00:00".into()));
    let written = earlier.audited_at.unwrap_or_default();
    let baseline = Baseline::of(&earlier, written, None);
    earlier.findings.remove(0);

    let suppressions = r#"
        [[suppress]]
        check = "residue"
        table = "tags"
        reason = "OPS-12: | cleaned <up> by the next release"
        until = 2027-01-31

        [[suppress]]
        check = "orphaned-row"
        table = "tags"
        reason = "OPS-13"
        until = 2025-12-31

        [[suppress]]
        check = "shadow-drift"
        table = "quotas"
        reason = "OPS-14"
        until = 2027-01-31
    "#;
    let today = jiff::civil::date(2026, 11, 28);
    let suppressions = Suppressions::parse(suppressions, "example");
    suppressions.expect("the example").apply(&mut report, today);
    baseline.apply(&mut report);
    let earlier = json(&earlier).expect("the example");
    Since::parse(&earlier, "example")
        .expect("the example")
        .apply(&mut report);
    report
}
