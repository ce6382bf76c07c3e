//! A run as Markdown, for the summary of a CI job or a ticket.

use std::fmt::Write as _;

use super::super::{grouped, markdown as md, several};
use super::{Deed, SHOWN};
use crate::archive::Outcome;

/// The outcome as Markdown.
pub fn archive_markdown(outcome: &Outcome, deed: Deed) -> String {
    let mut out = format!(
        "## sexton {}: {} of {} {}\n\n{}\n\n",
        deed.name(),
        several(outcome.total_rows, "row"),
        several(outcome.families, "family"),
        deed.verb(outcome.dry_run),
        md::code(&outcome.database),
    );
    for (title, counts) in deed.sections(outcome) {
        let rows = counts.iter().filter(|(_, rows)| **rows > 0);
        let rows: Vec<_> = rows.map(|(t, n)| vec![md::code(t), grouped(*n)]).collect();
        if !rows.is_empty() {
            let _ = write!(out, "### {}\n\n", md::text(&title));
            md::table(&mut out, &["table", "rows:"], rows);
        }
    }
    for (reason, count) in &outcome.blocked_families {
        let word = deed.blocked();
        let _ = write!(
            out,
            "### {} {word}: {}\n\n",
            grouped(*count),
            md::text(reason)
        );
        let listed: Vec<_> = outcome
            .blocked
            .iter()
            .filter(|b| b.reason == *reason)
            .collect();
        let rows = listed.iter().take(SHOWN).map(|blocked| {
            let path = blocked.path.join("  <-  ");
            vec![
                md::code(&blocked.root),
                md::code(&path),
                md::remedy(&blocked.remedy),
            ]
        });
        md::table(&mut out, &["root", "path", "remedy"], rows);
        let more = count.saturating_sub(SHOWN.min(listed.len()) as u64);
        if more > 0 {
            let _ = write!(out, "... and {} more\n\n", grouped(more));
        }
    }
    for (cell, why) in &outcome.unreachable {
        let _ = write!(
            out,
            "**Not reached:** cell {}: {}\n\n",
            md::code(cell),
            md::text(why)
        );
    }
    let _ = writeln!(
        out,
        "{}",
        md::text(super::closing(outcome, deed).trim_end())
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_blocked_families_are_tables() {
        let outcome = super::super::example();
        insta::assert_snapshot!(archive_markdown(&outcome, Deed::Archive));
        let purged = archive_markdown(&outcome, Deed::Purge);
        assert!(
            purged.starts_with("## sexton purge: 2,340 rows of 12 families deleted"),
            "{purged}"
        );
    }
}
