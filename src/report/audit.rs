//! An audit for people: the worst first, a block for each finding, one closing line.

use std::fmt::Write as _;

use super::{grouped, indented};
use crate::audit::{AuditReport, Finding, Severity};

/// The report as plain text.
pub fn audit_text(report: &AuditReport) -> String {
    let mut out = format!("{} (profile {})\n", report.database, report.profile);
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        for finding in report.findings.iter().filter(|f| f.severity == severity) {
            out.push('\n');
            block(&mut out, finding);
        }
    }
    if !report.not_checked.is_empty() {
        out.push_str("\ncould not check\n");
        for gap in &report.not_checked {
            let table = gap.table.as_deref().unwrap_or_default();
            let _ = writeln!(out, "    {} {table}: {}", gap.check, gap.why);
        }
    }
    let _ = writeln!(out, "\n{}", summary(report));
    out
}

fn block(out: &mut String, finding: &Finding) {
    let severity = finding.severity.as_str();
    let _ = writeln!(out, "{severity}[{}]: {}", finding.check, finding.message);
    let mut line = |label: &str, value: &str| indented(out, label, value);
    line("table", &finding.table);
    line(
        "reference",
        finding.reference.as_deref().unwrap_or_default(),
    );
    line("path", &finding.path.join(" | "));
    line("count", &grouped(finding.count));
    let mut samples = finding.samples.join(", ");
    if !samples.is_empty() && (finding.samples.len() as u64) < finding.count {
        samples.push_str(", ...");
    }
    line("samples", &samples);
    line("age", &age(finding));
    line("remedy", &finding.remedy);
}

fn age(finding: &Finding) -> String {
    match (&finding.oldest, &finding.newest) {
        (Some(oldest), Some(newest)) if oldest == newest => oldest.clone(),
        (Some(oldest), Some(newest)) => format!("{oldest} to {newest}"),
        _ => String::new(),
    }
}

fn summary(report: &AuditReport) -> String {
    let number = |n: usize, what: &str| {
        let plural = if n == 1 { "" } else { "s" };
        format!("{n} {what}{plural}")
    };
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
    if !report.not_checked.is_empty() {
        let _ = write!(line, "; {} not checked", report.not_checked.len());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_from_the_worst_down() {
        insta::assert_snapshot!(audit_text(&crate::report::example()));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn nothing_found_is_said() {
        let report = AuditReport::new("nova.db", "nova");
        assert_eq!(
            audit_text(&report),
            "nova.db (profile nova)\n\nnothing found\n"
        );
    }

    /// Scripts rely on these names: they may grow, not change.
    #[test]
    fn the_json_is_stable_and_reads_back() {
        let report = crate::report::example();
        let text = crate::report::json(&report).unwrap();
        insta::assert_snapshot!(text);
        assert_eq!(serde_json::from_str::<AuditReport>(&text).unwrap(), report);
    }
}
