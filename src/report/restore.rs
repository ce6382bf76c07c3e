//! What a restore brought back, for people.

use std::fmt::Write;

use super::archive::{ending, section, totals};
use super::paint::Paint;
use crate::archive::{Outcome, StopReason};

/// The whole report.
pub fn restore_text(outcome: &Outcome, paint: Paint) -> String {
    let mut text = String::new();
    let verb = match outcome.dry_run {
        true => "would come back",
        false => "came back",
    };
    if outcome.total_rows > 0 {
        let title = format!("Rows that {verb} to the live tables");
        text += &section(&title, &outcome.rows, paint);
    }
    text += &totals(outcome, verb, paint);
    if !outcome.not_restored.is_empty() {
        let _ = writeln!(
            text,
            "Records in the API database ({}) do not come back, if the archive run removed them (--api).",
            outcome.not_restored.join(", ")
        );
    }
    let line = match outcome.stopped_because {
        StopReason::Complete if outcome.dry_run => "A dry run: nothing was written.\n",
        StopReason::Complete => {
            "Complete: soft-deleted as before, and the next archive run takes them again.\n"
        }
        _ => "Stopped before anything came back; run again.\n",
    };
    text + &ending(outcome, line, paint)
}
