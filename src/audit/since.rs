//! An earlier report of the same database: what is new since, what grew or shrank, what went away.
//!
//! Unlike a baseline it excuses nothing.

use jiff::Timestamp;
use serde::Deserialize;

use super::audited::Before;
use super::compare::{Earlier, Known};
use super::fingerprint::fingerprint;
use super::{AuditReport, Audited, Finding, Scope};
use crate::error::{Error, Result};

/// An earlier audit, read back from its JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    moment: Option<Timestamp>,
    database: String,
    databases: Vec<Audited>,
    profile: String,
    findings: Vec<Known>,
}

/// What matters of a report; all else in it may be of another version of sexton.
#[derive(Deserialize)]
struct Written {
    version: u32,
    database: String,
    #[serde(default)]
    databases: Vec<Audited>,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    audited_at: Option<Timestamp>,
    findings: Vec<Finding>,
    #[serde(rename = "not_checked")]
    _not_checked: Vec<serde_json::Value>,
}

impl Since {
    /// Reads the JSON of an audit. `origin` names the file in messages.
    ///
    /// # Errors
    ///
    /// Exit code 65 if it is no such report, or of another version.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let no = |what: String| {
            Error::data(format!("{origin} is not the report of an audit: {what}"))
                .hint("`sexton audit --format json --output FILE` writes one")
        };
        let earlier: Written = serde_json::from_str(text).map_err(|e| no(e.to_string()))?;
        if earlier.version != 1 {
            return Err(no(format!("its version is {}, not 1", earlier.version)));
        }
        let known = |finding: &Finding| Known {
            // Computed, not read: what was written by hand could claim anything.
            fingerprint: fingerprint(finding),
            ..Known::from(finding)
        };
        Ok(Self {
            moment: earlier.audited_at,
            database: earlier.database,
            databases: earlier.databases,
            profile: earlier.profile,
            findings: earlier.findings.iter().map(known).collect(),
        })
    }

    /// Whether it may be of what is looked at now; what is to be said of it, if anything. `origin` names the file.
    ///
    /// # Errors
    ///
    /// Exit code 64 if it is of another database.
    pub fn fits(&self, origin: &str, now: &Scope<'_>) -> Result<Option<String>> {
        let before = Before {
            profile: &self.profile,
            databases: &self.databases,
            findings: &self.findings,
        };
        before.fits(origin, now)
    }

    /// Says of each finding what has become of it, and what went away.
    pub fn apply(&self, report: &mut AuditReport) {
        let earlier = Earlier {
            moment: self.moment,
            database: &self.database,
            findings: &self.findings,
        };
        let put = |finding: &mut Finding, compared| finding.since = Some(compared);
        report.since = Some(earlier.hold_against(report, put));
    }
}
