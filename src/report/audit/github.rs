//! An audit as annotations of a GitHub Actions run.
//!
//! What makes the audit fail keeps its severity; what is known or suppressed is a notice.

use super::super::github::{Level, annotation};
use super::super::grouped;
use super::{state, worst_first};
use crate::audit::{AuditReport, Finding, Severity};

/// The report as workflow commands, the worst first: of each level GitHub shows ten.
pub fn audit_github(report: &AuditReport) -> String {
    let mut out = String::new();
    for gap in &report.not_checked {
        let table = gap.table.as_deref().unwrap_or_default();
        let message = format!("{} {table}: {}", gap.check, gap.why);
        annotation(&mut out, Level::Error, "could not check", &message);
    }
    for finding in worst_first(report) {
        let level = match (finding.is_excused(), finding.severity) {
            (false, Severity::Error) => Level::Error,
            (false, Severity::Warning) => Level::Warning,
            _ => Level::Notice,
        };
        let title = format!("{}: {}", finding.check, finding.table);
        annotation(&mut out, level, &title, &message(finding));
    }
    for (title, message) in state::aside(report) {
        let level = match title {
            state::EXPIRED => Level::Warning,
            _ => Level::Notice,
        };
        annotation(&mut out, level, title, &message);
    }
    if let Some(upgrade) = &report.upgrade {
        let message = format!("upgrade to {}: {}", upgrade.release, upgrade.verdict);
        annotation(&mut out, Level::Notice, "sexton audit", &message);
    }
    annotation(
        &mut out,
        Level::Notice,
        "sexton audit",
        &state::summary(report),
    );
    out
}

fn message(finding: &Finding) -> String {
    let mut lines = vec![finding.message.clone()];
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("{label}: {value}"));
        }
    };
    line(
        "reference",
        finding.reference.as_deref().unwrap_or_default(),
    );
    line("path", &finding.path.join(" | "));
    line("count", &grouped(finding.count));
    line("samples", &finding.samples.join(", "));
    line("age", &state::age(finding));
    line("state", &state::of(finding));
    line("remedy", &finding.to_mend());
    line("id", &finding.fingerprint);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_for_each_finding() {
        insta::assert_snapshot!(audit_github(&crate::report::judged()));
    }
}
