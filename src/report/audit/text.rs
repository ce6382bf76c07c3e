//! An audit for people: the worst first, a block for each finding, one closing line.

use std::fmt::Write as _;

use anstyle::Style;

use super::super::census::census_text;
use super::super::paint::{FAINT, Paint, STRONG, of};
use super::super::{grouped, indented};
use super::upgrade::upgrade;
use super::{state, worst_first};
use crate::audit::{AuditReport, Finding, Severity};
use crate::quote::one_line;

/// The report as text.
pub fn audit_text(report: &AuditReport, paint: Paint) -> String {
    let mut out = format!("{} (profile {})\n", report.database, report.profile);
    for finding in worst_first(report) {
        out.push('\n');
        out.push_str(&block(finding, paint));
    }
    let mut section = |style: Style, title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = writeln!(out, "\n{}", paint.with(style, title));
            for line in lines {
                let _ = writeln!(out, "    {}", one_line(line));
            }
        }
    };
    let gaps = report.not_checked.iter().map(|gap| {
        let table = gap.table.as_deref().unwrap_or_default();
        format!("{} {table}: {}", gap.check, gap.why)
    });
    section(of(Severity::Error), "could not check", gaps.collect());
    for (what, comparison) in state::comparisons(report) {
        let title = format!("gone since {}", state::against(what, comparison.moment));
        section(
            STRONG,
            &title,
            comparison.gone.iter().map(state::gone).collect(),
        );
    }
    if let Some(used) = &report.suppressions {
        let lines = |entries: &[_]| entries.iter().map(state::suppression).collect();
        let title = "suppressions whose date is over: they hide nothing any more";
        section(of(Severity::Warning), title, lines(&used.expired));
        section(
            STRONG,
            "suppressions that fit no finding",
            lines(&used.unused),
        );
    }
    let _ = writeln!(out, "\n{}", paint.with(STRONG, &state::summary(report)));
    if let Some(census) = &report.census {
        out += &census_text(census);
    }
    if let Some(found) = &report.upgrade {
        upgrade(&mut out, found);
    }
    out
}

/// All that there is to say of a finding, in lines.
pub(super) fn block(finding: &Finding, paint: Paint) -> String {
    let style = match finding.is_excused() {
        true => FAINT,
        false => of(finding.severity),
    };
    let head = format!("{}[{}]", finding.severity.as_str(), finding.check);
    let message = one_line(finding.message.clone());
    let mut out = format!(
        "{}: {}\n",
        paint.with(style, &head),
        paint.with(STRONG, &message)
    );
    let mut line = |label: &str, value: &str| {
        indented(&mut out, paint, label, &one_line(value.to_owned()));
    };
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
    line("age", &state::age(finding));
    line("state", &state::of(finding));
    line("remedy", &finding.to_mend());
    line("id", &finding.fingerprint);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{example, judged};

    #[test]
    fn a_report_reads_from_the_worst_down() {
        insta::assert_snapshot!(audit_text(&example(), Paint::Plain));
    }

    #[test]
    fn what_is_known_and_said_of_findings_is_shown_beside_them() {
        insta::assert_snapshot!(audit_text(&judged(), Paint::Plain));
    }

    #[test]
    fn colours_add_nothing_but_themselves() {
        let (plain, coloured) = (
            audit_text(&judged(), Paint::Plain),
            audit_text(&judged(), Paint::Colour),
        );
        assert!(
            coloured.contains("\u{1b}[1m\u{1b}[31merror[split-family]\u{1b}[0m"),
            "{coloured}"
        );
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    }

    /// A key that somebody chose.
    #[test]
    fn what_a_database_holds_does_not_speak_to_the_terminal() {
        let mut report = example();
        report.findings[0].samples = vec!["a\u{1b}[2Jb\nc".into()];
        let text = audit_text(&report, Paint::Plain);
        assert!(text.contains(r"samples   a\u{1b}[2Jb\nc"), "{text}");
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
            audit_text(&report, Paint::Plain),
            "nova.db (profile nova)\n\nnothing found\n"
        );
    }

    /// Scripts rely on these names: they may grow, not change.
    #[test]
    fn the_json_is_stable_and_reads_back() {
        for report in [example(), judged()] {
            let text = crate::report::json(&report).unwrap();
            let read: AuditReport = serde_json::from_str(&text).unwrap();
            assert_eq!(crate::report::json(&read).unwrap(), text);
        }
        insta::assert_snapshot!(crate::report::json(&judged()).unwrap());
    }
}
