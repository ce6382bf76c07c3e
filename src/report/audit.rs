//! An audit for people: the worst first, a block for each finding, one closing line.

use std::fmt::Write as _;

use super::{grouped, indented, right_aligned};
use crate::audit::upgrade::Upgrade;
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
    if let Some(upgrade) = &report.upgrade {
        self::upgrade(&mut out, upgrade);
    }
    out
}

fn upgrade(out: &mut String, upgrade: &Upgrade) {
    let _ = writeln!(out, "\nupgrade to {}: {}", upgrade.release, upgrade.verdict);
    let mut section = |title: &str, head: &[&str], rows: Vec<Vec<String>>, numbers| {
        if !rows.is_empty() {
            let head = head.iter().map(|h| (*h).to_owned()).collect();
            let all = std::iter::once(head).chain(rows).collect();
            let table = right_aligned(all, numbers);
            let _ = write!(out, "\n{title}\n");
            for line in table.lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let databases = upgrade.databases.iter().map(|at| {
        let releases = match at.releases.is_empty() {
            true => "not known here".to_owned(),
            false => at.releases.join(", "),
        };
        vec![
            at.database.clone(),
            or_none(&at.version),
            releases,
            at.target.clone(),
        ]
    });
    let head = ["database", "version", "release", "to version"];
    section("where it is", &head, databases.collect(), 0..0);
    let backlog = upgrade.backlog.iter().map(|b| {
        let (deleted, archived) = (grouped(b.deleted), grouped(b.archived));
        let old = [or_none(&b.oldest), or_none(&b.oldest_archived)];
        let [oldest, oldest_archived] = old;
        vec![b.table.clone(), deleted, archived, oldest, oldest_archived]
    });
    let head = [
        "table",
        "soft-deleted",
        "in shadow",
        "oldest",
        "oldest in shadow",
    ];
    section("what nobody needs any more", &head, backlog.collect(), 1..3);
    let pending = upgrade.pending.iter().map(|p| {
        let (rows, deleted) = (grouped(p.rows), grouped(p.deleted));
        let when = if p.due { "before" } else { "after" };
        vec![
            p.migration.clone(),
            p.table.clone(),
            rows,
            deleted,
            when.to_owned(),
        ]
    });
    let head = ["migration", "table", "rows", "soft-deleted", "run it"];
    section("online data migrations", &head, pending.collect(), 2..4);
    if !upgrade.unseen.is_empty() {
        out.push_str("\nnot looked at (give the API database with --api)\n");
        for what in &upgrade.unseen {
            let _ = writeln!(out, "    {what}");
        }
    }
    if !upgrade.commands.is_empty() {
        out.push_str("\nrun, in this order\n");
        for (number, step) in (1..).zip(&upgrade.commands) {
            let _ = writeln!(out, "{number:>3}. {}\n     {}", step.command, step.why);
        }
    }
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
        (Some(oldest), None) => format!("from {oldest}"),
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
