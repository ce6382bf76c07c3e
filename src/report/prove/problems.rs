//! What was not shown, in words for the formats that list it.

use std::fmt::Write as _;

use super::{place, several};
use crate::prove::Report;

/// What keeps a campaign from proving anything, or from proving all that was asked of it.
pub(super) fn problems(report: &Report) -> Vec<String> {
    let mut all = Vec::new();
    if report.cases > report.fired {
        let mut text = format!(
            "{} whose fault did not fire, which proves nothing",
            several(report.cases - report.fired, "case")
        );
        for case in &report.not_fired {
            let _ = write!(text, "\n{case}");
        }
        all.push(text);
    }
    if let Some(found) = &report.undetermined {
        all.push(format!(
            "the engine does not do the same twice: {}\nfirst: {}\nthen: {}",
            place(found),
            found.expected,
            found.found
        ));
    }
    if !report.never_hit.is_empty() {
        all.push(format!(
            "had nothing to hit: {}",
            report.never_hit.join(", ")
        ));
    }
    if !report.never_judged.is_empty() {
        let oracles: Vec<_> = report.never_judged.iter().map(|o| o.name()).collect();
        all.push(format!("had nothing to judge: {}", oracles.join(", ")));
    }
    if let Some(broken) = &report.broken {
        all.push(format!("ended early, by no fault of the engine: {broken}"));
    }
    all
}
