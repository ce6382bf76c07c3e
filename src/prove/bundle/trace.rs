//! `trace.sql`: every statement of a case, in order.

use super::super::evidence::Evidence;
use super::super::injector::Passed;
use super::super::scenario::Scenario;
use super::spot::{Spot, was_executed};

/// The statements of all runs, each with its number, database and outcome; those that were not
/// executed as comments, so that the text can be given to a database.
pub(super) fn text(scenario: &Scenario, evidence: &Evidence, spots: &[Spot<'_>]) -> String {
    let mut text = format!(
        "-- The statements of {} on world {} ({}).\n-- Number, database, outcome; then the \
         statement.\n",
        scenario.engine,
        scenario.world.name,
        scenario.database.name()
    );
    for (run, statements) in evidence.runs.iter().enumerate() {
        text.push_str(&format!("\n-- Run {}: {}\n", run + 1, title(scenario, run)));
        for (index, passed) in statements.iter().enumerate() {
            push_marks(&mut text, spots, (run, index));
            push(&mut text, passed);
        }
        push_marks(&mut text, spots, (run, statements.len()));
    }
    text
}

pub(super) fn title(scenario: &Scenario, run: usize) -> &'static str {
    let case = &scenario.case;
    let hit = case.fault.is_some() || case.writer.is_some() || case.power_loss.is_some();
    match run {
        0 if hit => "the one that was hit",
        0 => "undisturbed",
        1 if case.second.is_some() => "again, hit once more",
        _ => "again, undisturbed",
    }
}

fn push_marks(text: &mut String, spots: &[Spot<'_>], place: (usize, usize)) {
    for spot in spots.iter().filter(|s| (s.run, s.index) == place) {
        text.push_str(&format!("\n-- >>> {} <<<\n", one_line(&spot.mark)));
    }
}

fn push(text: &mut String, passed: &Passed) {
    text.push('\n');
    text.push_str(&head(passed));
    let statement = format!("{};", passed.sql.trim_end().trim_end_matches(';'));
    let prefix = if was_executed(passed) { "" } else { "-- " };
    for line in statement.lines() {
        text.push_str(&format!("{prefix}{line}\n"));
    }
}

/// `-- 7 main: ok, 2 rows`; set-up statements have no number.
pub(super) fn head(passed: &Passed) -> String {
    let number = passed.point.map_or("set-up".into(), |p| p.to_string());
    let outcome = one_line(&passed.outcome);
    format!("-- {number} {}: {outcome}\n", passed.database)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
