//! The last lines of a campaign's report: what it comes to, and what it does not.

use std::fmt::Write as _;

use super::{grouped, several};
use crate::exit::ExitCode;
use crate::prove::Report;

/// The last lines: what it comes to.
pub(in crate::report) fn verdict(report: &Report) -> String {
    let cases = several(report.cases, "case");
    let failures = report.failures.len() as u64;
    let mut text = match report.exit_code() {
        ExitCode::Errors => format!(
            "FAILED: {} of {cases}, in {}.",
            grouped(report.failed),
            several(failures, "way")
        ),
        ExitCode::Data if report.undetermined.is_some() => {
            "UNDETERMINED: where runs differ, faults cannot be told apart.".into()
        }
        ExitCode::Data => {
            "NOT PROVED: not all that was asked for by name had something to hit or to judge."
                .into()
        }
        ExitCode::Internal => {
            "NOT PROVED: a fault that does not fire is a fault of sexton's own.".into()
        }
        ExitCode::Stopped => "STOPPED EARLY: all oracles held so far.".into(),
        _ => format!("HELD: all oracles, in {cases}; every fault fired."),
    };
    if report.deciding_only {
        text += "\nHit at the statements that write or end a transaction only; --faults all hits those \
                 between them too.";
    }
    if report.without_turn > 0 || report.idle_worlds > 0 {
        let _ = write!(
            text,
            "\nAt random, not counted: {} whose second part had no turn, {} in which nothing can move.",
            several(report.without_turn, "run"),
            several(report.idle_worlds, "world")
        );
    }
    if !report.never_hit.is_empty() {
        let _ = write!(
            text,
            "\nHad nothing to hit: {}.",
            report.never_hit.join(", ")
        );
    }
    let idle = report.kept_out();
    if !idle.is_empty() {
        let _ = write!(
            text,
            "\nNever changed a row, and so prove nothing: {}. Whatever kept these writers out, locks or a \
             foreign key, did so in every case.",
            idle.join(", ")
        );
    }
    if let Some(broken) = &report.broken {
        let _ = write!(text, "\nEnded early, by no fault of the engine: {broken}");
    }
    if report.stopped {
        let left = report.worlds.iter();
        let left: u64 = left.map(|w| w.planned.saturating_sub(w.cases)).sum();
        let left = match left {
            // They are counted off when all first faults have been tried.
            0 => "second faults".to_owned(),
            left => format!("{} or more", several(left, "case")),
        };
        let _ = write!(
            text,
            "\nRun: {cases}. Not run: {left} in the worlds that were begun."
        );
    }
    let silent: Vec<_> = report
        .verdict
        .iter()
        .filter(|(_, verdict)| verdict.held + verdict.failed == 0)
        .map(|(oracle, _)| oracle.name())
        .collect();
    if !silent.is_empty() {
        let _ = write!(text, "\nNever asked: {}.", silent.join(", "));
    }
    if failures > 0 && report.failures.iter().all(|f| f.bundle.is_none()) {
        text.push_str("\nTo keep failures and run them again: --bundles DIR, --replay DIR.");
    }
    text
}
