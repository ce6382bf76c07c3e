//! A campaign as SARIF 2.1.0: each oracle is a rule, each failure a result.
//!
//! What was not shown (a fault that did not fire, an engine that does not do the same twice) is a notification, and
//! makes the run one that did not succeed.

use serde_json::{Value, json};

use super::super::sarif::{Run, log, place};
use super::problems::problems;
use crate::error::Result;
use crate::prove::Report;
use crate::prove::oracle::Oracle;
use crate::prove::report::Failure;

/// The report as SARIF.
///
/// # Errors
///
/// Exit code 70 if it cannot be written as JSON.
pub fn prove_sarif(report: &Report) -> Result<String> {
    let notification = |text: String| json!({ "level": "error", "message": { "text": text } });
    let notifications = problems(report).into_iter();
    log(Run {
        rules: Oracle::ALL.into_iter().map(rule).collect(),
        results: report.failures.iter().map(result).collect(),
        notifications: notifications.map(notification).collect(),
        begun: None,
        base: "the worlds of sexton prove".into(),
        properties: json!({
            "engine": report.engine,
            "database": report.database,
            "points": report.points,
            "cases": report.cases,
            "fired": report.fired,
            "verdict": report.verdict,
        }),
    })
}

fn rule(oracle: Oracle) -> Value {
    json!({
        "id": oracle.name(),
        "shortDescription": { "text": oracle.meaning() },
        "help": { "text": format!("{}; docs/prove.md says what each oracle holds.", oracle.meaning()) },
    })
}

fn result(failure: &Failure) -> Value {
    let fingerprint = format!("{}: {}", failure.world, failure.fingerprint);
    json!({
        "ruleId": failure.oracle.name(),
        "ruleIndex": Oracle::ALL.iter().position(|o| *o == failure.oracle),
        "kind": "fail",
        "level": "error",
        "message": { "text": format!("{}; {}", failure.what, failure.fault) },
        "locations": [place(&failure.world, "world")],
        "partialFingerprints": { "sextonFailure/v1": fingerprint },
        "occurrenceCount": failure.count,
        "properties": failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_a_result() {
        let text = prove_sarif(&super::super::example()).unwrap();
        let mut log: Value = serde_json::from_str(&text).unwrap();
        log["runs"][0]["tool"]["driver"]["version"] = Value::Null;
        insta::assert_snapshot!(crate::report::json(&log).unwrap());
    }
}
