//! What an archive run did, for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use crate::archive::{Outcome, StopReason};

/// How many blocked families of one reason are shown one by one.
const SHOWN: usize = 3;

/// The last line where cells are missing.
const NOT_ALL: &str =
    "Not complete: this is all but the cells above that were not reached; run again with them.\n";

/// The last line where an error ended the run, which is on stderr.
const FAILED: &str = "Ended by an error; what was committed is whole; run again to go on.\n";

/// The whole report.
pub fn archive_text(outcome: &Outcome) -> String {
    let mut text = String::new();
    let verb = if outcome.dry_run {
        "would move"
    } else {
        "moved"
    };
    let sections = [
        (
            format!("Rows that {verb} to the shadow tables"),
            &outcome.rows,
        ),
        (
            "Rows written to a file and deleted".into(),
            &outcome.dropped,
        ),
        ("API-database records removed".into(), &outcome.api_records),
        ("Rows purged".into(), &outcome.purged),
        (
            "Rows that stay in tables without shadow (--drop-unshadowed takes them)".into(),
            &outcome.left_behind,
        ),
    ];
    for (title, counts) in sections {
        if counts.values().any(|n| *n > 0) {
            let _ = writeln!(text, "{title}:\n{}\n", table(counts));
        }
    }
    if outcome.purge_kept > 0 {
        let _ = writeln!(
            text,
            "{} families were not purged: a part of each is in the live tables (sexton audit says \
             which)\n",
            outcome.purge_kept
        );
    }
    text += &blocked_text(outcome);
    text += &unreachable(outcome);
    text += &totals(outcome, verb);
    if let Some(before) = &outcome.before {
        let _ = writeln!(
            text,
            "Only families whose root was soft-deleted before {before} UTC."
        );
    }
    text += match outcome.stopped_because {
        StopReason::Unreachable => NOT_ALL,
        StopReason::Complete if outcome.dry_run => "A dry run: nothing was written.\n",
        StopReason::Complete if outcome.has_blocked() => {
            "Complete: all that may move has moved; the blocked families above remain.\n"
        }
        StopReason::Complete => "Complete: all that may move has moved.\n",
        StopReason::MaxRows => "Stopped at --max-rows; run again, or with --until-complete.\n",
        StopReason::Signal => "Stopped on a signal after a whole batch; run again to go on.\n",
        StopReason::Time => {
            "Stopped at the end of its time after a whole batch; run again to go on.\n"
        }
        StopReason::StopFile => {
            "Stopped by the stop file after a whole batch; run again to go on.\n"
        }
        StopReason::Load => {
            "Stopped after a whole batch: --critical-load was passed, or a replica does not replicate; run again to \
             go on.\n"
        }
        StopReason::MaxWait => {
            "Stopped after a whole batch: it had waited for --max-wait; run again to go on.\n"
        }
        StopReason::Failed => FAILED,
    };
    text
}

/// The line of totals, and where the time went.
fn totals(outcome: &Outcome, verb: &str) -> String {
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let spent = outcome.spent_ms.iter();
    let spent: Vec<_> = spent
        .map(|(kind, ms)| format!("{kind} {}", seconds(*ms)))
        .collect();
    let spent = match spent.is_empty() {
        true => String::new(),
        false => format!("Seconds by kind: {}.\n", spent.join(", ")),
    };
    format!(
        "{}: {} rows of {} families {verb} in {} batches, {} statements, {} retries, {} s.\n{spent}",
        outcome.database,
        outcome.total_rows,
        outcome.families,
        outcome.batches,
        outcome.statements,
        outcome.retries,
        seconds(outcome.elapsed_ms),
    )
}

/// The report of a purge.
pub fn purge_text(outcome: &Outcome) -> String {
    let mut text = String::new();
    let verb = if outcome.dry_run {
        "would be deleted"
    } else {
        "deleted"
    };
    if outcome.total_rows > 0 {
        let _ = writeln!(text, "Rows {verb}:\n{}\n", table(&outcome.rows));
    }
    if outcome.api_records.values().any(|n| *n > 0) {
        let records = table(&outcome.api_records);
        let _ = writeln!(text, "API-database records removed:\n{records}\n");
    }
    text += &kept_text(outcome, "kept");
    text += &unreachable(outcome);
    text += &totals(outcome, verb);
    if let Some(before) = &outcome.before {
        let _ = writeln!(text, "Only what was deleted before {before} UTC.");
    }
    text += match outcome.stopped_because {
        StopReason::Unreachable => NOT_ALL,
        StopReason::Complete if outcome.dry_run => "A dry run: nothing was deleted.\n",
        StopReason::Complete if outcome.has_blocked() => {
            "Complete: all that may go has gone; the families above were kept.\n"
        }
        StopReason::Complete => "Complete: all that may go has gone.\n",
        StopReason::MaxRows | StopReason::Signal => {
            "Stopped on a signal after a whole batch; run again to go on.\n"
        }
        StopReason::Time => {
            "Stopped at the end of its time after a whole batch; run again to go on.\n"
        }
        StopReason::StopFile => {
            "Stopped by the stop file after a whole batch; run again to go on.\n"
        }
        StopReason::Load => {
            "Stopped after a whole batch: --critical-load was passed, or a replica does not replicate; run again to \
             go on.\n"
        }
        StopReason::MaxWait => {
            "Stopped after a whole batch: it had waited for --max-wait; run again to go on.\n"
        }
        StopReason::Failed => FAILED,
    };
    text
}

/// The blocked families, with path and remedy.
pub fn blocked_text(outcome: &Outcome) -> String {
    kept_text(outcome, "blocked")
}

fn unreachable(outcome: &Outcome) -> String {
    let line = |(cell, why): (&String, &String)| format!("Not reached: cell {cell}: {why}\n");
    let lines: String = outcome.unreachable.iter().map(line).collect();
    if lines.is_empty() {
        lines
    } else {
        lines + "\n"
    }
}

fn kept_text(outcome: &Outcome, word: &str) -> String {
    let mut text = String::new();
    for (reason, count) in &outcome.blocked_families {
        let _ = writeln!(text, "{count} {word}: {reason}");
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
            let _ = writeln!(text, "  remedy: {remedy}");
        }
        text.push('\n');
    }
    text
}

fn table(counts: &BTreeMap<String, u64>) -> String {
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
