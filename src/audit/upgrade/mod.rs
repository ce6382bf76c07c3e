//! What stands between a database and another release of its service.
//!
//! The questions that an operator asks before an upgrade (bug 1791824): where the schema is and where it has to
//! go, whether it is what its release made, which rows online migrations still have to change, and how much
//! that nobody needs any more makes all of that slow. The answers are findings like any others, and one verdict
//! with the commands to run, in order.

mod backlog;
mod migration;
mod pending;
mod unindexed;
mod verdict;

use serde::{Deserialize, Serialize};

pub use backlog::Backlog;
pub use pending::Pending;
pub use verdict::{Step, Verdict};

use super::{AuditReport, Finding, NotChecked};
use crate::archive::Before;
use crate::db::{DbError, Session};
use crate::error::Result;
use crate::schema::{FamilyGraph, Model, Schema};

/// The checks that are made for an upgrade only: id and summary.
pub const CHECKS: [(&str, &str); 5] = [
    (
        migration::BEHIND,
        "a schema that is of another release (needs --upgrade-to)",
    ),
    (
        pending::ID,
        "rows that online data migrations have yet to change (needs --upgrade-to)",
    ),
    (
        migration::DRIFT,
        "a schema that is not what its release made (needs --upgrade-to)",
    ),
    (
        backlog::ID,
        "more or older soft-deleted rows than there should be (needs --upgrade-to)",
    ),
    (
        unindexed::ID,
        "references without an index, which make deletes slow (needs --upgrade-to)",
    ),
];

/// What an upgrade is judged by.
#[derive(Debug, Clone)]
pub struct Options {
    /// The release to go to: `nova-34`.
    pub release: String,
    /// Ids of the checks to make; all if empty.
    pub checks: Vec<String>,
    /// Most soft-deleted rows that are no finding.
    pub max_deleted_rows: u64,
    /// Rows that were soft-deleted before this moment are too old.
    pub deleted_since: Before,
    /// Sample names per finding.
    pub samples: usize,
}

impl Options {
    fn wants(&self, id: &str) -> bool {
        self.checks.is_empty() || self.checks.iter().any(|c| c == id)
    }
}

/// One of the service's databases.
pub struct Database<'a> {
    /// The name of the cell, where it has one.
    pub cell: Option<String>,
    /// What stands before its tables in findings: `cell1.`, or nothing.
    pub prefix: String,
    /// A session with it.
    pub session: &'a mut Session,
    /// Its schema.
    pub schema: &'a Schema,
    /// Its families; of the API database there are none.
    pub graph: Option<&'a FamilyGraph>,
}

/// What an upgrade would meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The release to go to: `nova 34.0.0`.
    pub release: String,
    /// Where each database is.
    pub databases: Vec<At>,
    /// Soft-deleted and archived rows, by table; tables without any are left out.
    pub backlog: Vec<Backlog>,
    /// Online data migrations with rows to change.
    pub pending: Vec<Pending>,
    /// What was not looked at, because it was not given.
    pub unseen: Vec<String>,
    /// Go, go with care, or stop.
    pub verdict: Verdict,
    /// What to run, in this order.
    pub commands: Vec<Step>,
}

/// Where a database is, and where it has to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// The database, without password.
    pub database: String,
    /// The version that its migrations left; `None` where they left none.
    pub version: Option<String>,
    /// The releases of that version that are known here, the newest first.
    pub releases: Vec<String>,
    /// The version that the release has.
    pub target: String,
}

/// What a check adds to the report.
#[derive(Default)]
struct Answers {
    findings: Vec<Finding>,
    gaps: Vec<NotChecked>,
}

impl Answers {
    fn gap(&mut self, check: &str, table: &str, error: &DbError) {
        self.gaps.push(NotChecked {
            check: check.into(),
            table: Some(table.into()),
            why: error.to_string(),
        });
    }
}

/// Looks at the databases of a service, the API database last, adds what is found to the report, and judges all
/// that is in it.
///
/// # Errors
///
/// Exit code 64 if there is no such release, 65 if it is of another service.
pub fn upgrade(
    databases: &mut [Database<'_>],
    options: &Options,
    report: &mut AuditReport,
) -> Result<Upgrade> {
    let mut answers = Answers::default();
    let mut upgrade = Upgrade {
        release: String::new(),
        databases: Vec::new(),
        backlog: Vec::new(),
        pending: Vec::new(),
        unseen: Vec::new(),
        verdict: Verdict::Go,
        commands: Vec::new(),
    };
    let (mut present, mut far) = (None, false);
    for database in databases.iter_mut() {
        let target = migration::target(&options.release, database)?;
        let found = migration::look(database, &target, options, &mut answers)?;
        if database.graph.is_some() {
            upgrade.release = target.title();
            present = present.or(found.present);
            far |= found.far;
        }
        upgrade.databases.push(found.at);
        if let Some(graph) = database.graph {
            let census = report.census.as_ref();
            let (session, prefix) = (&mut *database.session, &database.prefix);
            let backlog = backlog::look(session, prefix, graph, census, &mut answers);
            upgrade.backlog.extend(backlog);
            if options.wants(unindexed::ID) {
                unindexed::look(database.session, &database.prefix, graph, &mut answers);
            }
        }
    }
    if options.wants(backlog::ID) {
        answers
            .findings
            .extend(backlog::judge(&upgrade.backlog, options));
    }
    let profile = databases
        .iter()
        .find_map(|d| d.graph.map(|g| g.profile.clone()));
    let profile = profile.unwrap_or_default();
    if options.wants(pending::ID) {
        let target = Model::of_release(&options.release, &Schema::default())?;
        let newest = target.numbers().first().copied().unwrap_or(0);
        let (pending, unseen) = pending::look(databases, &profile, newest, present, &mut answers);
        upgrade.pending = pending;
        upgrade.unseen = unseen;
    }
    if !options.checks.is_empty() {
        upgrade
            .unseen
            .push(format!("all checks but {}", options.checks.join(", ")));
    }
    // Some findings are about a database as a whole, or about all of them.
    let prefixes = databases.iter().map(|d| d.prefix.as_str()).chain([""]);
    for prefix in prefixes {
        let ids = CHECKS.iter().map(|(id, _)| *id);
        report.cover(prefix, ids.filter(|id| options.wants(id)));
    }
    report.add(answers.findings, answers.gaps);
    upgrade.verdict = verdict::of(report, &upgrade);
    upgrade.commands = verdict::commands(&upgrade, &profile, far, options, report, databases);
    Ok(upgrade)
}
