//! A baseline and an earlier report: files that people keep, merge and edit, and hold an audit against.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sexton::audit::{AuditReport, Baseline, Finding, Severity, Since};

/// An audit with two findings.
fn report() -> AuditReport {
    let mut report = AuditReport::new("d", "p");
    report.cover("", ["residue", "orphaned-row"]);
    let mut dated = Finding::new("residue", Severity::Warning, "tags", 3);
    dated.newest = Some("2026-01-01 00:00:00".into());
    let other = Finding::new("orphaned-row", Severity::Error, "cell1.tags", 1);
    report.add(vec![dated, other], Vec::new());
    report
}

fuzz_target!(|text: &str| {
    match Baseline::parse(text, "fuzz") {
        Ok(baseline) => {
            let written = serde_json::to_string(&baseline).expect("JSON");
            let again =
                Baseline::parse(&written, "fuzz").unwrap_or_else(|e| panic!("{written}: {e}"));
            assert_eq!(again, baseline);
            let mut report = report();
            baseline.apply(&mut report);
            assert!(report.findings.iter().all(|f| f.baseline.is_some()));
            // What is accepted is known from then on.
            let accepted = Baseline::of(&report, baseline.written, Some(&baseline));
            accepted.apply(&mut report);
            assert!(report.findings.iter().all(Finding::is_known));
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
    match Since::parse(text, "fuzz") {
        Ok(since) => {
            let mut report = report();
            let before = report.exit_code(Severity::Note);
            since.apply(&mut report);
            assert_eq!(
                report.exit_code(Severity::Note),
                before,
                "it excuses nothing"
            );
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
});
