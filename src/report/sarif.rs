//! SARIF 2.1.0: what is the same for every command.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::error::Result;

/// One run of a command.
pub(super) struct Run {
    /// What can be found: `reportingDescriptor` objects.
    pub(super) rules: Vec<Value>,
    /// What was found: `result` objects.
    pub(super) results: Vec<Value>,
    /// What kept the run from looking at all it should: `notification` objects.
    pub(super) notifications: Vec<Value>,
    /// When it began, in RFC 3339.
    pub(super) begun: Option<String>,
    /// What stands under the name of [`BASE`], for people.
    pub(super) base: String,
    /// More about the run.
    pub(super) properties: Value,
}

/// The name of the place to which the paths of results are relative: the database.
pub(super) const BASE: &str = "DATABASE";

/// The log of the run as JSON.
pub(super) fn log(run: Run) -> Result<String> {
    let mut invocation = json!({ "executionSuccessful": run.notifications.is_empty() });
    if let Some(begun) = run.begun {
        invocation["startTimeUtc"] = begun.into();
    }
    if !run.notifications.is_empty() {
        invocation["toolExecutionNotifications"] = run.notifications.into();
    }
    super::json(&json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "sexton",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": run.rules,
            } },
            "invocations": [invocation],
            "originalUriBaseIds": { BASE: { "description": { "text": run.base } } },
            "results": run.results,
            "properties": run.properties,
        }],
    }))
}

/// A table, or another thing with a name, as the place of a result. Services that show results want a file: the
/// path `cell/table` below the database stands for one.
pub(super) fn place(name: &str, kind: &str) -> Value {
    let last = name.rsplit_once('.').map_or(name, |(_, table)| table);
    let path: Vec<_> = name.split('.').map(encoded).collect();
    json!({
        "physicalLocation": { "artifactLocation": { "uri": path.join("/"), "uriBaseId": BASE } },
        "logicalLocations": [{ "name": last, "fullyQualifiedName": name, "kind": kind }],
    })
}

/// What may stand in a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

fn encoded(part: &str) -> String {
    utf8_percent_encode(part, PLAIN).to_string()
}
