//! Oracles: judgements over states, each separate in the verdict.

mod api;
mod conserved;
pub(super) mod healed;
mod whole;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use api::api_consistent;
pub use conserved::{conserved, durable, idempotent, same, untouched};
pub use whole::Lineage;

use crate::error::Error;

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oracle {
    /// No family that was whole is split, in any committed state.
    Whole,
    /// Live and shadow rows together are what they were, by key and content.
    Conserved,
    /// Run again without a fault the engine reaches the end state of an undisturbed run.
    Convergent,
    /// A further run changes nothing.
    Idempotent,
    /// No acknowledged commit is lost. A failure is the server's, not the engine's.
    Durable,
    /// No row moved that is neither marked deleted nor owned by such a row.
    Untouched,
    /// Exit code and printed counts match what happened.
    Truthful,
    /// After the rerun the API database holds no record of a root that is archived, and has lost
    /// none of a root that lives.
    ApiConsistent,
}

impl Oracle {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::Whole,
        Self::Conserved,
        Self::Convergent,
        Self::Idempotent,
        Self::Durable,
        Self::Untouched,
        Self::Truthful,
        Self::ApiConsistent,
    ];

    /// The name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Conserved => "conserved",
            Self::Convergent => "convergent",
            Self::Idempotent => "idempotent",
            Self::Durable => "durable",
            Self::Untouched => "untouched",
            Self::Truthful => "truthful",
            Self::ApiConsistent => "api-consistent",
        }
    }

    /// One line for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Whole => "no family that was whole is split, in any committed state",
            Self::Conserved => "live and shadow rows together are what they were",
            Self::Convergent => "a rerun reaches the end state of an undisturbed run",
            Self::Idempotent => "a further run changes nothing",
            Self::Durable => "no acknowledged commit is lost (the server's fault, if so)",
            Self::Untouched => "no row moved that should have stayed",
            Self::Truthful => "exit code and counts match what happened",
            Self::ApiConsistent => "no API record is stranded, none of a living root is gone",
        }
    }
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Oracle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|o| o.name() == text);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::usage(format!("unknown oracle '{text}'")).hint(format!("known are {names}"))
        })
    }
}

/// Why an oracle says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Which oracle.
    pub oracle: Oracle,
    /// Where: a reference or a table. With the oracle it makes the fingerprint by which two failures
    /// count as the same.
    pub place: String,
    /// What is wrong, for people, with rows.
    pub what: String,
}

impl Breach {
    /// A breach of this oracle at this place.
    pub fn new(oracle: Oracle, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            oracle,
            place: place.into(),
            what: what.into(),
        }
    }

    /// What two failures that are the same have in common: `whole@instance_extra.instance_uuid ->
    /// instances.uuid`.
    pub fn fingerprint(&self) -> String {
        format!("{}@{}", self.oracle, self.place)
    }
}

/// The first few rows, for people.
pub(super) fn some(rows: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut text = rows[..rows.len().min(SHOWN)].join(", ");
    if rows.len() > SHOWN {
        text.push_str(&format!(" and {} more", rows.len() - SHOWN));
    }
    text
}
