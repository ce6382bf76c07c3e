//! An audit in every form: one file per format, all from the same findings.
//!
//! A format leaves nothing out: each has every finding with its fingerprint and count, what could not be checked,
//! and what a baseline, an earlier report and suppressions have to say. What they say is worded in `state.rs`,
//! once for all.

mod github;
mod jsonl;
mod junit;
mod markdown;
mod sarif;
pub(super) mod state;
mod text;
mod upgrade;

pub use github::audit_github;
pub use jsonl::audit_jsonl;
pub use junit::audit_junit;
pub use markdown::audit_markdown;
pub use sarif::audit_sarif;
pub use text::audit_text;

use crate::audit::{AuditReport, Finding, Severity};

/// The findings, the worst first.
pub(super) fn worst_first(report: &AuditReport) -> impl Iterator<Item = &Finding> {
    let all = [Severity::Error, Severity::Warning, Severity::Note].into_iter();
    all.flat_map(|severity| {
        report
            .findings
            .iter()
            .filter(move |f| f.severity == severity)
    })
}
