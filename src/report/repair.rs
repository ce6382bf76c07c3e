//! What a repair did, or would do, for people.

use std::fmt::Write;

use super::archive::table;
use super::grouped;
use crate::archive::StopReason;
use crate::plural::{plural, several};
use crate::repair::RepairOutcome;

/// The whole report.
pub fn repair_text(outcome: &RepairOutcome) -> String {
    let mut text = repair_rows(outcome);
    text += match outcome.stopped_because {
        StopReason::Failed => "The database was lost; run again to go on.\n",
        reason if reason != StopReason::Complete => "Stopped early; run again to go on.\n",
        _ if !outcome.applied && outcome.healed.is_empty() => "Nothing to heal.\n",
        _ if !outcome.applied => "A plan: nothing was written. --apply does it.\n",
        _ if outcome.left.is_empty() && outcome.blocked.is_empty() => "Done.\n",
        _ => "Done, but for what is left to you.\n",
    };
    text
}

/// What is or would be healed and moved, and what is left.
pub fn repair_rows(outcome: &RepairOutcome) -> String {
    let mut text = String::new();
    let applied = outcome.applied;
    for healed in &outcome.healed {
        let done = if applied { "healed" } else { "to heal" };
        let _ = writeln!(
            text,
            "{done}: {} ({} {} {}: {})\n    what       {}\n    how        {}",
            healed.check,
            grouped(healed.rows),
            healed.table,
            plural(healed.rows, "row"),
            keys(&healed.samples, healed.rows),
            healed.message,
            healed.done,
        );
    }
    if !outcome.healed.is_empty() {
        text.push('\n');
    }
    let word = if applied { "moved" } else { "would move" };
    for (where_to, rows) in [
        (
            format!("Rows that {word} back to the live tables"),
            &outcome.returned,
        ),
        (
            format!("Rows that {word} to the shadow tables"),
            &outcome.archived,
        ),
        (
            match applied {
                true => "API-database records removed for good".to_owned(),
                false => "API-database records that would go for good".to_owned(),
            },
            &outcome.api_records,
        ),
    ] {
        if rows.values().any(|n| *n > 0) {
            let _ = writeln!(text, "{where_to}:\n{}\n", table(rows));
        }
    }
    if !outcome.not_restored.is_empty() {
        let _ = writeln!(
            text,
            "API-database records that are gone for good: {}\n",
            outcome.not_restored.join(", ")
        );
    }
    for blocked in &outcome.blocked {
        let _ = writeln!(
            text,
            "in the way: {}\n    path       {}\n    remedy     {}",
            blocked.reason,
            blocked.path.join("  <-  "),
            blocked.remedy
        );
    }
    for left in &outcome.left {
        let _ = writeln!(
            text,
            "left to you: {} ({} {}: {})\n    what       {}\n    why        {}\n    choices    {}",
            left.check,
            grouped(left.count),
            left.table,
            keys(&left.samples, left.count),
            left.message,
            left.why,
            left.choices,
        );
    }
    for gap in &outcome.not_checked {
        let table = gap.table.as_deref().unwrap_or("");
        let _ = writeln!(text, "not checked: {} {table}: {}", gap.check, gap.why);
    }
    if !(outcome.left.is_empty() && outcome.blocked.is_empty() && outcome.not_checked.is_empty()) {
        text.push('\n');
    }
    let _ = writeln!(
        text,
        "{}: {} {}, {} left, {}.",
        outcome.database,
        several(outcome.healed.len() as u64, "finding"),
        if applied { "healed" } else { "to heal" },
        outcome.left.len(),
        several(outcome.statements, "statement"),
    );
    text
}

fn keys(samples: &[String], all: u64) -> String {
    let more = if all > samples.len() as u64 {
        ", ..."
    } else {
        ""
    };
    format!("{}{more}", samples.join(", "))
}
