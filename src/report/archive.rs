//! What a run of archive or purge did: text, and a file for each other format.

mod github;
mod jsonl;
mod markdown;

pub use github::archive_github;
pub use jsonl::archive_jsonl;
pub use markdown::archive_markdown;

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use super::paint::{ERROR, FAINT, Paint, STRONG, WARNING};
use crate::archive::{Outcome, StopReason};
use crate::plural::several;

/// How many blocked families of one reason are shown one by one.
const SHOWN: usize = 3;

/// The last line where cells are missing.
const NOT_ALL: &str =
    "Not complete: this is all but the cells that were not reached; run again with them.\n";

/// The last line where an error ended the run, which is on stderr.
const FAILED: &str = "Ended by an error; what was committed is whole; run again to go on.\n";

/// What a run was to do with the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Move them to the shadow tables.
    Archive,
    /// Delete them.
    Purge,
}

impl Deed {
    /// The name of the command.
    fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Purge => "purge",
        }
    }

    /// What became of the rows, or would become of them.
    fn verb(self, dry_run: bool) -> &'static str {
        match (self, dry_run) {
            (Self::Archive, false) => "moved",
            (Self::Archive, true) => "would move",
            (Self::Purge, false) => "deleted",
            (Self::Purge, true) => "would be deleted",
        }
    }

    /// What became of families that may not go.
    fn blocked(self) -> &'static str {
        match self {
            Self::Archive => "blocked",
            Self::Purge => "kept",
        }
    }

    /// The counts by table, each with its title.
    fn sections(self, outcome: &Outcome) -> Vec<(String, &BTreeMap<String, u64>)> {
        let verb = self.verb(outcome.dry_run);
        let api = (
            api_records(outcome.dry_run).to_owned(),
            &outcome.api_records,
        );
        match self {
            Self::Purge => vec![(format!("Rows {verb}"), &outcome.rows), api],
            Self::Archive => vec![
                (
                    format!("Rows that {verb} to the shadow tables"),
                    &outcome.rows,
                ),
                (dropped(outcome.dry_run).to_owned(), &outcome.dropped),
                api,
                ("Rows purged".into(), &outcome.purged),
                (
                    "Rows that stay in tables without shadow (--drop-unshadowed takes them)".into(),
                    &outcome.left_behind,
                ),
            ],
        }
    }
}

/// What becomes of records of the API database, as a title: nothing brings them back.
pub(super) fn api_records(dry_run: bool) -> &'static str {
    match dry_run {
        true => "API-database records that would be removed for good",
        false => "API-database records removed",
    }
}

/// What becomes of rows in tables without shadow, as a title.
pub(super) fn dropped(dry_run: bool) -> &'static str {
    match dry_run {
        true => "Rows that would be written to a file and deleted",
        false => "Rows written to a file and deleted",
    }
}

/// The whole report.
pub fn archive_text(outcome: &Outcome, paint: Paint) -> String {
    let mut text = String::new();
    let deed = Deed::Archive;
    for (title, counts) in deed.sections(outcome) {
        if counts.values().any(|n| *n > 0) {
            text += &section(&title, counts, paint);
        }
    }
    if outcome.purge_kept > 0 {
        let _ = writeln!(
            text,
            "{} not purged: a part of each is in the live tables (sexton audit says which)\n",
            several(outcome.purge_kept, "family")
        );
    }
    text += &kept_text(outcome, deed.blocked(), paint);
    text += &unreachable(outcome, paint);
    text += &totals(outcome, deed.verb(outcome.dry_run), paint);
    if let Some(before) = &outcome.before {
        let _ = writeln!(
            text,
            "Only families whose root was soft-deleted before {before} UTC."
        );
    }
    text + &ending(outcome, closing(outcome, deed), paint)
}

/// Rows by table, under a title.
pub(super) fn section(title: &str, counts: &BTreeMap<String, u64>, paint: Paint) -> String {
    let title = paint.with(STRONG, &format!("{title}:"));
    format!("{title}\n{}\n\n", table(counts))
}

/// The last line, by how well it ended.
pub(super) fn ending(outcome: &Outcome, line: &str, paint: Paint) -> String {
    let style = match outcome.stopped_because {
        StopReason::Failed | StopReason::Unreachable => ERROR,
        StopReason::Complete if !outcome.has_blocked() => STRONG,
        _ => WARNING,
    };
    paint.closing(style, line)
}

/// The last line: why it ended, and what that means.
pub(super) fn closing(outcome: &Outcome, deed: Deed) -> &'static str {
    match (outcome.stopped_because, deed) {
        (StopReason::Unreachable, _) => NOT_ALL,
        (StopReason::Complete, Deed::Archive) if outcome.dry_run => {
            "A dry run: nothing was written.\n"
        }
        (StopReason::Complete, Deed::Archive) if outcome.has_blocked() => {
            "Complete: all that may move has moved; the blocked families remain.\n"
        }
        (StopReason::Complete, Deed::Archive) => "Complete: all that may move has moved.\n",
        (StopReason::Complete, Deed::Purge) if outcome.dry_run => {
            "A dry run: nothing was deleted.\n"
        }
        (StopReason::Complete, Deed::Purge) if outcome.has_blocked() => {
            "Complete: all that may go has gone; the families that are listed were kept.\n"
        }
        (StopReason::Complete, Deed::Purge) => "Complete: all that may go has gone.\n",
        (StopReason::MaxRows, Deed::Archive) => {
            "Stopped at --max-rows; run again, or with --until-complete.\n"
        }
        (StopReason::MaxRows, Deed::Purge) | (StopReason::Signal, _) => {
            "Stopped on a signal after a whole batch; run again to go on.\n"
        }
        (StopReason::Time, _) => {
            "Stopped at the end of its time after a whole batch; run again to go on.\n"
        }
        (StopReason::StopFile, _) => {
            "Stopped by the stop file after a whole batch; run again to go on.\n"
        }
        (StopReason::Load, _) => {
            "Stopped after a whole batch: --critical-load was passed, or a replica does not replicate; run again to \
             go on.\n"
        }
        (StopReason::MaxWait, _) => {
            "Stopped after a whole batch: it had waited for --max-wait; run again to go on.\n"
        }
        (StopReason::Failed, _) => FAILED,
    }
}

/// The line of totals, and where the time went.
pub(super) fn totals(outcome: &Outcome, verb: &str, paint: Paint) -> String {
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let spent = outcome.spent_ms.iter();
    let spent: Vec<_> = spent
        .map(|(kind, ms)| format!("{kind} {}", seconds(*ms)))
        .collect();
    let spent = match spent.is_empty() {
        true => String::new(),
        false => format!("Seconds by kind: {}.\n", spent.join(", ")),
    };
    let all = format!(
        "{}: {} of {} {verb} in {}, {}, {}, {} s.",
        outcome.database,
        several(outcome.total_rows, "row"),
        several(outcome.families, "family"),
        several(outcome.batches, "batch"),
        several(outcome.statements, "statement"),
        several(outcome.retries, "retry"),
        seconds(outcome.elapsed_ms),
    );
    format!("{}\n{spent}", paint.with(STRONG, &all))
}

/// The report of a purge.
pub fn purge_text(outcome: &Outcome, paint: Paint) -> String {
    let mut text = String::new();
    let deed = Deed::Purge;
    for (title, counts) in deed.sections(outcome) {
        if counts.values().any(|n| *n > 0) {
            text += &section(&title, counts, paint);
        }
    }
    text += &kept_text(outcome, deed.blocked(), paint);
    text += &unreachable(outcome, paint);
    text += &totals(outcome, deed.verb(outcome.dry_run), paint);
    if let Some(before) = &outcome.before {
        let _ = writeln!(text, "Only what was deleted before {before} UTC.");
    }
    text + &ending(outcome, closing(outcome, deed), paint)
}

/// The blocked families, with path and remedy.
pub fn blocked_text(outcome: &Outcome) -> String {
    kept_text(outcome, Deed::Archive.blocked(), Paint::Plain)
}

fn unreachable(outcome: &Outcome, paint: Paint) -> String {
    let word = paint.with(ERROR, "Not reached");
    let line = |(cell, why): (&String, &String)| format!("{word}: cell {cell}: {why}\n");
    let lines: String = outcome.unreachable.iter().map(line).collect();
    if lines.is_empty() {
        lines
    } else {
        lines + "\n"
    }
}

fn kept_text(outcome: &Outcome, word: &str, paint: Paint) -> String {
    let mut text = String::new();
    for (reason, count) in &outcome.blocked_families {
        let head = format!("{count} {word}: {reason}");
        let _ = writeln!(text, "{}", paint.with(WARNING, &head));
        let mut remedies: Vec<&str> = Vec::new();
        for blocked in outcome
            .blocked
            .iter()
            .filter(|b| b.reason == *reason)
            .take(SHOWN)
        {
            let _ = writeln!(text, "  {}", blocked.path.join("  <-  "));
            if !remedies.contains(&blocked.remedy.as_str()) {
                remedies.push(&blocked.remedy);
            }
        }
        if *count > SHOWN as u64 {
            let _ = writeln!(
                text,
                "  ... and {} more (--format json lists them)",
                count - SHOWN as u64
            );
        }
        for remedy in remedies {
            let label = paint.with(FAINT, "remedy:");
            let _ = writeln!(text, "  {label} {remedy}");
        }
        text.push('\n');
    }
    text
}

pub(super) fn table(counts: &BTreeMap<String, u64>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, count) in counts.iter().filter(|(_, n)| **n > 0) {
        table.add_row([format!("  {name}"), count.to_string()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// A run with one of everything, for the tests of the formats.
#[cfg(test)]
fn example() -> Outcome {
    use crate::archive::Blocked;

    let counts = |table: &str, rows| BTreeMap::from([(table.to_owned(), rows)]);
    Outcome {
        version: 1,
        database: "mysql://nova@db/nova".into(),
        before: Some("2026-01-01 00:00:00".into()),
        rows: counts("instances", 2_340),
        total_rows: 2_340,
        families: 12,
        blocked: vec![Blocked {
            reason: "no-shadow-table".into(),
            root: "instances:3".into(),
            path: vec![
                "instances:3".into(),
                "share_mapping.instance_uuid -> instances.uuid".into(),
                "share_mapping:1".into(),
            ],
            remedy: "--drop-unshadowed share_mapping; or create the table".into(),
        }],
        blocked_families: counts("no-shadow-table", 2),
        left_behind: counts("tags", 4),
        api_records: counts("request_specs", 12),
        batches: 2,
        statements: 40,
        elapsed_ms: 1_234,
        spent_ms: counts("read", 600),
        unreachable: BTreeMap::from([("cell2".to_owned(), "it refused".to_owned())]),
        stopped_because: StopReason::Unreachable,
        ..Outcome::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::restore_text;

    #[test]
    fn colours_add_nothing_but_themselves() {
        for text in [archive_text, purge_text, restore_text] {
            let coloured = text(&example(), Paint::Colour);
            let plain = anstream::adapter::strip_str(&coloured).to_string();
            assert_eq!(plain, text(&example(), Paint::Plain));
            assert_ne!(plain, coloured);
        }
        let text = archive_text(&example(), Paint::Colour);
        let blocked = "\u{1b}[1m\u{1b}[33m2 blocked: no-shadow-table\u{1b}[0m\n";
        assert!(text.contains(blocked), "{text}");
    }
}
