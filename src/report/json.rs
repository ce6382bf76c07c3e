//! A report as JSON, for scripts. Every kind of report carries a `version`.

use serde::Serialize;

use crate::error::{Error, Result};

/// The report as pretty-printed JSON, with a newline at its end.
pub fn json(report: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(report)
        .map(|text| text + "\n")
        .map_err(|e| Error::internal(format!("a report cannot be written: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditReport;

    /// Scripts rely on these names: they may grow, not change.
    #[test]
    fn the_form_is_stable_and_reads_back() {
        let report = crate::report::example();
        let text = json(&report).unwrap_or_default();
        insta::assert_snapshot!(text);
        assert_eq!(
            serde_json::from_str::<AuditReport>(&text).ok(),
            Some(report)
        );
    }
}
