//! An audit as SARIF 2.1.0: each check is a rule, each finding a result.
//!
//! A finding that went away is a result that is `absent`; what could not be checked is a notification, and makes
//! the run one that did not succeed.

use serde_json::{Value, json};

use super::super::sarif::{Run, log, place};
use super::worst_first;
use crate::audit::{
    self, AuditReport, Change, Compared, Finding, Known, NotChecked, Severity, catalogue,
};
use crate::error::Result;

/// The report as SARIF.
///
/// # Errors
///
/// Exit code 70 if it cannot be written as JSON.
pub fn audit_sarif(report: &AuditReport) -> Result<String> {
    let mut results: Vec<_> = worst_first(report).map(|f| result(report, f)).collect();
    // A result has one state: that of the baseline, where both are given.
    let comparison = report.baseline.as_ref().or(report.since.as_ref());
    results.extend(comparison.iter().flat_map(|c| c.gone.iter().map(absent)));
    let mut properties = json!({ "profile": report.profile, "summary": report.summary });
    if let Some(used) = &report.suppressions {
        properties["suppressions"] = json!(used);
    }
    if let Some(since) = report.since.as_ref().filter(|_| report.baseline.is_some()) {
        properties["goneSinceReport"] = json!(since.gone);
    }
    if let Some(upgrade) = &report.upgrade {
        properties["upgrade"] = json!(upgrade);
    }
    log(Run {
        rules: catalogue().into_iter().map(rule).collect(),
        results,
        notifications: report.not_checked.iter().map(notification).collect(),
        begun: report.audited_at.map(|moment| moment.to_string()),
        base: format!("the tables of {}", report.database),
        properties,
    })
}

fn rule((id, summary): (&str, &str)) -> Value {
    let page = audit::page(id);
    json!({
        "id": id,
        "shortDescription": { "text": summary },
        "help": { "text": page, "markdown": page },
    })
}

fn index(check: &str) -> Option<usize> {
    catalogue().iter().position(|(id, _)| *id == check)
}

fn result(report: &AuditReport, finding: &Finding) -> Value {
    let mut result = base(&Known::from(finding));
    result["kind"] = "fail".into();
    result["level"] = level(finding.severity).into();
    let compared = match report.baseline.is_some() {
        true => finding.baseline.as_ref(),
        false => finding.since.as_ref(),
    };
    if let Some(compared) = compared {
        result["baselineState"] = state(compared).into();
    }
    // Where one result has them all have: none is an empty list then.
    if report.suppressions.is_some() {
        let suppressed = finding.suppressed.iter().map(|s| {
            json!({
                "kind": "external",
                "status": "accepted",
                "justification": format!("{} (until {})", s.reason, s.until),
            })
        });
        result["suppressions"] = suppressed.collect();
    }
    // All that JSON has; what stands elsewhere too does no harm.
    result["properties"] = json!(finding);
    result["properties"]["remedy"] = finding.to_mend().into();
    result
}

/// One that went away. It is no failure, whoever does not look at its state.
fn absent(known: &Known) -> Value {
    let mut result = base(known);
    result["kind"] = "pass".into();
    result["level"] = "none".into();
    result["baselineState"] = "absent".into();
    result["properties"] = json!(known);
    result
}

fn base(known: &Known) -> Value {
    let mut result = json!({
        "ruleId": known.check,
        "message": { "text": known.message },
        "locations": [place(&known.table, "table")],
        "partialFingerprints": { "sextonFinding/v1": known.fingerprint },
    });
    if let Some(index) = index(&known.check) {
        result["ruleIndex"] = index.into();
    }
    result
}

fn state(compared: &Compared) -> &'static str {
    match compared.change {
        Change::New => "new",
        Change::Same => "unchanged",
        Change::Grew | Change::Shrank => "updated",
    }
}

fn level(severity: Severity) -> &'static str {
    // SARIF has the same three words.
    severity.as_str()
}

fn notification(gap: &NotChecked) -> Value {
    let table = gap
        .table
        .as_deref()
        .map(|t| format!(" {t}"))
        .unwrap_or_default();
    let mut notification = json!({
        "level": "error",
        "message": { "text": format!("could not check {}{table}: {}", gap.check, gap.why) },
    });
    if let Some(index) = index(&gap.check) {
        notification["associatedRule"] = json!({ "id": gap.check, "index": index });
    }
    notification
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::judged;

    #[test]
    fn each_finding_is_a_result_with_what_is_known_of_it() {
        let text = audit_sarif(&judged()).unwrap();
        let log: Value = serde_json::from_str(&text).unwrap();
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        for result in run["results"].as_array().unwrap() {
            let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
            assert_eq!(rule["id"], result["ruleId"]);
            assert!(rule["help"]["markdown"].as_str().unwrap().starts_with("# "));
        }
        // The rules are the catalogue and its pages, which have tests of their own.
        let mut run = run.clone();
        run["tool"]["driver"]["rules"] = Value::Null;
        run["tool"]["driver"]["version"] = Value::Null;
        insta::assert_snapshot!(crate::report::json(&run).unwrap());
    }
}
