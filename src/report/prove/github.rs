//! A campaign as annotations of a GitHub Actions run: each failure, and what was not shown, is an error.

use super::super::github::{Level, annotation};
use super::problems::problems;
use super::{Paint, block, verdict};
use crate::prove::Report;

/// The report as workflow commands.
pub fn prove_github(report: &Report) -> String {
    let mut out = String::new();
    for failure in &report.failures {
        let mut text = String::new();
        block(&mut text, failure, Paint::Plain);
        let title = format!("{} in {}", failure.fingerprint, failure.world);
        annotation(&mut out, Level::Error, &title, text.trim_end());
    }
    for problem in problems(report) {
        annotation(&mut out, Level::Error, "not proved", &problem);
    }
    annotation(&mut out, Level::Notice, "sexton prove", &verdict(report));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_an_error_and_so_is_what_was_not_shown() {
        let mut report = super::super::example();
        report.never_hit.push("freeze".into());
        insta::assert_snapshot!(prove_github(&report));
    }
}
