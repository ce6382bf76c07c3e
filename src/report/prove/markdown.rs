//! A campaign as Markdown, for the summary of a CI job.

use std::fmt::Write as _;

use super::super::{grouped, markdown as md, several};
use super::problems::problems;
use super::{Paint, block, points, verdict};
use crate::prove::Report;

/// The report as Markdown.
pub fn prove_markdown(report: &Report) -> String {
    let verdict = verdict(report);
    let mut said = verdict.lines();
    let first = md::text(said.next().unwrap_or_default());
    let (engine, database) = (md::code(&report.engine), report.database.name());
    let mut out = format!(
        "## sexton prove: {first}\n\n{engine} on {database}: {} points, {}, {} fired\n\n",
        points(report),
        several(report.cases, "case"),
        grouped(report.fired)
    );
    let rows = report.verdict.iter().map(|(oracle, verdict)| {
        let (held, failed) = (grouped(verdict.held), grouped(verdict.failed));
        vec![
            md::text(oracle.name()),
            held,
            failed,
            md::text(oracle.meaning()),
        ]
    });
    md::table(&mut out, &["oracle", "held:", "failed:", "meaning"], rows);
    let rows = report.worlds.iter().map(|world| {
        let failures = report.failures.iter().filter(|f| f.world == world.name);
        let counts = [world.cases, world.fired, failures.count() as u64];
        let mut row = vec![md::text(&world.name)];
        row.extend(counts.map(grouped));
        row
    });
    md::table(&mut out, &["world", "cases:", "fired:", "failures:"], rows);
    for failure in &report.failures {
        let mut text = String::new();
        block(&mut text, failure, Paint::Plain);
        let mut content = String::new();
        md::code_block(&mut content, "text", &text);
        let title = format!(
            "{} in {}: {}",
            failure.fingerprint, failure.world, failure.what
        );
        md::folded(&mut out, &title, &content);
    }
    for problem in problems(report) {
        let _ = writeln!(out, "- {}", md::text(&problem));
    }
    for line in said {
        let _ = writeln!(out, "\n{}", md::text(line));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oracles_and_worlds_are_tables_and_failures_folded() {
        insta::assert_snapshot!(prove_markdown(&super::super::example()));
    }
}
