//! Suppressions: a file that people write.
#![no_main]

use jiff::civil::date;
use libfuzzer_sys::fuzz_target;
use sexton::audit::{AuditReport, Finding, Severity, Suppressions};

fuzz_target!(|text: &str| {
    let suppressions = match Suppressions::parse(text, "fuzz") {
        Ok(suppressions) => suppressions,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    for today in [date(1, 1, 1), date(2026, 11, 28), date(9999, 12, 31)] {
        let mut report = AuditReport::new("d", "p");
        report.cover("", ["residue"]);
        let finding = Finding::new("residue", Severity::Warning, "tags", 3);
        report.add(vec![finding], Vec::new());
        suppressions.apply(&mut report, today);
        if let Some(suppressed) = &report.findings[0].suppressed {
            assert!(suppressed.until >= today && !suppressed.reason.trim().is_empty());
        }
        let used = report.suppressions.as_ref().expect("what came of them");
        assert!(used.expired.iter().all(|entry| entry.until < today));
        assert!(used.unused.iter().all(|entry| entry.until >= today));
    }
});
