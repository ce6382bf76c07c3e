//! What a repair did, or would do, for people.

use std::fmt::Write;

use super::archive::section;
use super::grouped;
use super::paint::{ERROR, FAINT, Paint, STRONG, WARNING};
use crate::archive::StopReason;
use crate::plural::{plural, several};
use crate::repair::RepairOutcome;

/// The whole report.
pub fn repair_text(outcome: &RepairOutcome, paint: Paint) -> String {
    let (style, line) = match outcome.stopped_because {
        StopReason::Failed => (
            ERROR,
            "The database was lost, or refused to go on; run again.",
        ),
        reason if reason != StopReason::Complete => (WARNING, "Stopped early; run again to go on."),
        _ if !outcome.not_checked.is_empty() => (ERROR, "Not everything could be looked at."),
        _ if !outcome.applied && outcome.healed.is_empty() => (STRONG, "Nothing to heal."),
        _ if !outcome.applied => (STRONG, "A plan: nothing was written. --apply does it."),
        _ if outcome.left.is_empty() && outcome.blocked.is_empty() => (STRONG, "Done."),
        _ => (WARNING, "Done, but for what is left to you."),
    };
    repair_rows(outcome, paint) + &paint.closing(style, line)
}

/// What is or would be healed and moved, and what is left.
pub fn repair_rows(outcome: &RepairOutcome, paint: Paint) -> String {
    let mut text = String::new();
    let line = |text: &mut String, label: &str, value: &str| {
        let label = paint.with(FAINT, &format!("{label:<11}"));
        let _ = writeln!(text, "    {label}{value}");
    };
    let applied = outcome.applied;
    for healed in &outcome.healed {
        let done = if applied { "healed" } else { "to heal" };
        let _ = writeln!(
            text,
            "{} ({} {} {}{})",
            paint.with(STRONG, &format!("{done}: {}", healed.check)),
            grouped(healed.rows),
            healed.table,
            plural(healed.rows, "row"),
            keys(&healed.samples, healed.rows),
        );
        line(&mut text, "what", &healed.message);
        line(&mut text, "how", &healed.done);
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
            text += &section(&where_to, rows, paint);
        }
    }
    if !outcome.not_removed.is_empty() {
        let _ = writeln!(
            text,
            "API-database records of what {} are not looked at ({}): give it with --api\n",
            if applied { "moved" } else { "would move" },
            outcome.not_removed.join(", ")
        );
    }
    if !outcome.not_restored.is_empty() {
        let _ = writeln!(
            text,
            "API-database records that are gone for good: {}\n",
            outcome.not_restored.join(", ")
        );
    }
    for blocked in &outcome.blocked {
        let head = format!("in the way: {}", blocked.reason);
        let _ = writeln!(text, "{}", paint.with(WARNING, &head));
        line(&mut text, "path", &blocked.path.join("  <-  "));
        line(&mut text, "remedy", &blocked.remedy);
    }
    let listed = u64::try_from(outcome.blocked.len()).unwrap_or(u64::MAX);
    let blocked = outcome.blocked_families.values().sum::<u64>();
    if blocked > listed {
        let _ = writeln!(text, "... and {} more", grouped(blocked - listed));
    }
    for left in &outcome.left {
        let _ = writeln!(
            text,
            "{} ({} {}{})",
            paint.with(WARNING, &format!("left to you: {}", left.check)),
            grouped(left.count),
            left.table,
            keys(&left.samples, left.count),
        );
        line(&mut text, "what", &left.message);
        line(&mut text, "why", &left.why);
        line(&mut text, "choices", &left.choices);
    }
    for gap in &outcome.not_checked {
        let table = gap.table.as_deref().map(|table| format!(" {table}"));
        let word = paint.with(ERROR, "not checked");
        let table = table.unwrap_or_default();
        let _ = writeln!(text, "{word}: {}{table}: {}", gap.check, gap.why);
    }
    if !(outcome.left.is_empty() && outcome.blocked.is_empty() && outcome.not_checked.is_empty()) {
        text.push('\n');
    }
    let totals = format!(
        "{}: {} {}, {} left, {}.",
        outcome.database,
        several(outcome.healed.len() as u64, "finding"),
        if applied { "healed" } else { "to heal" },
        outcome.left.len(),
        several(outcome.statements, "statement"),
    );
    let _ = writeln!(text, "{}", paint.with(STRONG, &totals));
    text
}

/// `: 1, 2, ...`, or nothing where there are none to show.
fn keys(samples: &[String], all: u64) -> String {
    if samples.is_empty() {
        return String::new();
    }
    let more = if all > samples.len() as u64 {
        ", ..."
    } else {
        ""
    };
    format!(": {}{more}", samples.join(", "))
}
