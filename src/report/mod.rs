//! Reports: text and JSON, one file per kind, from the values that `audit` and `archive` return.

mod archive;
pub mod compat;

pub use archive::{archive_text, blocked_text};

use serde::Serialize;

use crate::error::{Error, Result};

/// A report as JSON for scripts.
pub fn json(report: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(report)
        .map_err(|e| Error::internal(format!("a report cannot be written as JSON: {e}")))
}
