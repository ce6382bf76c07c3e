//! An audit as Markdown, for the summary of a CI job or a comment: counts, a table of all findings, and what is to
//! be said of each, folded.

use std::fmt::Write as _;

use super::super::{grouped, markdown as md};
use super::{state, worst_first};
use crate::audit::upgrade::Upgrade;
use crate::audit::{AuditReport, Finding};

/// The report as Markdown.
pub fn audit_markdown(report: &AuditReport) -> String {
    let mut out = format!("## sexton audit: {}\n\n", state::summary(report));
    let (database, profile) = (md::code(&report.database), md::text(&report.profile));
    let _ = write!(out, "{database}, profile {profile}");
    let comparisons = state::comparisons(report);
    let against: Vec<_> = comparisons
        .map(|(what, comparison)| state::against(what, comparison.moment))
        .collect();
    if !against.is_empty() {
        let _ = write!(out, ", held against {}", md::text(&against.join(" and ")));
    }
    out.push_str("\n\n");
    if !report.not_checked.is_empty() {
        out.push_str("### Could not check\n\n");
        let rows = report.not_checked.iter().map(|gap| {
            let table = gap.table.as_deref().unwrap_or_default();
            vec![md::text(&gap.check), md::code(table), md::text(&gap.why)]
        });
        md::table(&mut out, &["check", "table", "why"], rows);
    }
    if !report.findings.is_empty() {
        let head = ["severity", "check", "table", "count:", "age", "state", "id"];
        md::table(&mut out, &head, worst_first(report).map(row));
    }
    for finding in worst_first(report) {
        let (severity, check) = (finding.severity.as_str(), &finding.check);
        let title = format!("{severity}: {check}: {}", finding.message);
        md::folded(&mut out, &title, &details(finding));
    }
    let aside = state::aside(report);
    if !aside.is_empty() {
        out.push_str("### Not findings any more, and suppressions that do nothing\n\n");
        for (what, text) in aside {
            let _ = writeln!(out, "- {what}: {}", md::text(&text));
        }
        out.push('\n');
    }
    if let Some(found) = &report.upgrade {
        upgrade(&mut out, found);
    }
    out
}

fn row(finding: &Finding) -> Vec<String> {
    let severity = match finding.is_excused() {
        true => finding.severity.as_str().to_owned(),
        false => format!("**{}**", finding.severity.as_str()),
    };
    vec![
        severity,
        md::text(&finding.check),
        md::code(&finding.table),
        grouped(finding.count),
        md::text(&state::age(finding)),
        md::text(&state::of(finding)),
        md::code(&finding.fingerprint),
    ]
}

fn details(finding: &Finding) -> String {
    let mut out = String::new();
    let mut line = |label: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "- {label}: {value}");
        }
    };
    line(
        "reference",
        md::code(finding.reference.as_deref().unwrap_or_default()),
    );
    line("path", md::code(&finding.path.join(" | ")));
    line("samples", md::code(&finding.samples.join(", ")));
    line("remedy", md::remedy(&finding.to_mend()));
    line("id", md::code(&finding.fingerprint));
    if let Some(select) = &finding.select {
        out.push('\n');
        md::code_block(&mut out, "sql", select);
    }
    out
}

fn upgrade(out: &mut String, upgrade: &Upgrade) {
    let (release, verdict) = (md::text(&upgrade.release), upgrade.verdict.to_string());
    let _ = write!(out, "### Upgrade to {release}: {}\n\n", md::text(&verdict));
    for (number, step) in (1..).zip(&upgrade.commands) {
        let _ = writeln!(
            out,
            "{number}. {}: {}",
            md::code(&step.command),
            md::text(&step.why)
        );
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_a_table_and_the_rest_folded() {
        insta::assert_snapshot!(audit_markdown(&crate::report::judged()));
    }
}
