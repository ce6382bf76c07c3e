//! A scenario: one case with all that it needs, as a value that can be written down and replayed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::archiver::EngineOptions;
use super::case::Case;
use super::oracle::Oracle;
use super::stage::Backend;
use super::world::World;
use crate::error::{Error, Result};

/// One case with all that it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Version of the format.
    pub version: u32,
    /// The seed it was built from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The database.
    pub database: Backend,
    /// The engine, as `--engine` takes it.
    pub engine: String,
    /// Of an engine that is a program: the directory in which its command line was given, if that is
    /// known. What is relative in it is relative to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Its options.
    pub options: EngineOptions,
    /// What is judged.
    pub oracles: BTreeSet<Oracle>,
    /// The failure that it was kept for: oracle and place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Fault, writer, second fault.
    pub case: Case,
    /// Schema, profile and rows.
    pub world: Arc<World>,
}

impl Scenario {
    /// Reads a scenario; `origin` names it in errors.
    ///
    /// # Errors
    ///
    /// Exit code 65 if it is none.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let scenario: Self = serde_json::from_str(text).map_err(|e| {
            Error::data(format!("{origin} is not a scenario: {e}"))
                .hint("give what sexton prove wrote; docs/prove.md has its form")
        })?;
        if scenario.version != 1 {
            let message = format!("{origin} has version {}, not 1", scenario.version);
            return Err(Error::data(message).hint("it was written by another release of sexton"));
        }
        Ok(scenario)
    }

    /// The text of its file.
    pub fn to_text(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|e| Error::internal(format!("a scenario cannot be written: {e}")))
    }

    /// The fault in words.
    pub fn describe(&self) -> String {
        let mut parts = Vec::new();
        if let Some(fault) = &self.case.fault {
            parts.push(format!("{} ({})", fault.mode.describe(), place(fault)));
        }
        if let Some(writer) = &self.case.writer {
            parts.push(format!(
                "a concurrent writer ({}) acts before statement {}",
                writer.action.name(),
                writer.point
            ));
        }
        if let Some(fault) = &self.case.second {
            parts.push(format!(
                "in the rerun {} ({})",
                fault.mode.describe(),
                place(fault)
            ));
        }
        if let Some(loss) = &self.case.power_loss {
            parts.push(format!(
                "power is lost after operation {} on files, of which {} had not reached the disk",
                loss.after_operation,
                loss.lost.len()
            ));
        }
        match parts.is_empty() {
            true => "the undisturbed run".into(),
            false => parts.join("; "),
        }
    }
}

fn place(fault: &super::fault::Fault) -> String {
    let what = match fault.mode.is_of_files() {
        true => "operation",
        false => "statement",
    };
    match fault.text.is_empty() {
        true => format!("{what} {}", fault.point),
        false => format!("{what} {}: {}", fault.point, fault.text),
    }
}
