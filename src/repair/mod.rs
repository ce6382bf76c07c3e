//! Heals what an audit finds, where there is nothing to choose.
//!
//! Its checks say what heals the rows that they find ([`crate::audit::Cure`]), as data. Here that is done, way by way:
//! rows move through the archive engine ([`crate::archive`]), in whole families; what is written otherwise
//! ([`writes`]) is checked again in the statement that writes it. Without `apply` nothing is written, and what would be
//! done is the report.
//!
//! Nothing is kept between two runs: what there is to heal is asked for, each time.

mod outcome;
mod writes;

use std::collections::{BTreeMap, HashSet};

use crate::archive::{self, Api, Direction, Observer, Stop, reunite};
use crate::audit::{self, Checks, Curable, Repair, Way, curable};
use crate::db::{Session, Value};
use crate::error::Result;
use crate::schema::FamilyGraph;

pub use outcome::{Healed, Left, RepairOutcome};

use writes::write;

/// What is to be healed, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Ids of the checks whose findings are healed; all if empty.
    pub checks: Vec<String>,
    /// Whether to do it. Otherwise it is only said.
    pub apply: bool,
    /// Most rows of a transaction, retries, patience.
    pub run: archive::Options,
}

/// The order in which it is done.
const ORDER: [fn(&Way) -> bool; 6] = [
    |way| matches!(way, Way::DropShadowCopy { .. }),
    |way| matches!(way, Way::DropLiveCopy { .. }),
    |way| matches!(way, Way::Return),
    |way| matches!(way, Way::Follow),
    |way| matches!(way, Way::Archive),
    |way| matches!(way, Way::Set { .. }),
];

/// Heals one database, and the API database beside it.
///
/// # Errors
///
/// Exit code 64 for an unknown check, 65 if a row does not tell which row owns it, 75 if the database goes away for good
/// (what was committed is whole), 69 if it refuses or an archiver is at work in it.
pub fn repair(
    session: &mut Session,
    graph: &FamilyGraph,
    api: Option<&mut Api<'_>>,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<RepairOutcome> {
    let checks = Checks::choose(&options.checks)?;
    let mut outcome = RepairOutcome::new(session.label(), options.apply);
    let before = session.statements();
    let mut found = curable(session, graph, &checks)?;
    // What one healing moves may be what another one waited for.
    loop {
        let so_far = outcome.rows_healed();
        for is_its_turn in ORDER {
            let mine = found.iter().filter(|rows| is_its_turn(&rows.cure.way));
            let mine: Vec<_> = mine.cloned().collect();
            if mine.is_empty() || stop.requested() {
                continue;
            }
            heal(session, graph, &mine, options, stop, observer, &mut outcome)?;
            // Asked anew: what was healed may have healed others, and what was in the way is still there.
            let now = match options.apply {
                true => curable(session, graph, &checks)?,
                false => Vec::new(),
            };
            mine.iter().for_each(|rows| outcome.healed(rows, &now));
            if options.apply {
                found = now;
            }
        }
        let nothing_more = outcome.rows_healed() == so_far || found.is_empty();
        if !options.apply || nothing_more || stop.requested() {
            break;
        }
    }
    if let Some(reason) = stop.reason() {
        outcome.stopped_because = reason;
    } else if options.apply
        && let Some(api) = api
        && options.wants(audit::STRANDED)
    {
        outcome.api_records = api.sweep()?;
    }
    leave(session, graph, options, &mut outcome)?;
    outcome.statements = session.statements() - before;
    Ok(outcome)
}

impl Options {
    /// Whether what this check finds is to be healed.
    pub fn wants(&self, check: &str) -> bool {
        self.checks.is_empty() || self.checks.iter().any(|id| id == check)
    }
}

/// Does all of one way.
fn heal(
    session: &mut Session,
    graph: &FamilyGraph,
    found: &[Curable],
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
    outcome: &mut RepairOutcome,
) -> Result<()> {
    let run = archive::Options {
        dry_run: !options.apply,
        ..options.run.clone()
    };
    let mut by_table: BTreeMap<Direction, BTreeMap<String, Vec<Vec<Value>>>> = BTreeMap::new();
    for rows in found {
        let direction = match rows.cure.way {
            Way::Return => Direction::Return,
            Way::Follow => Direction::Follow,
            Way::Archive => Direction::Archive,
            Way::DropShadowCopy { .. } | Way::DropLiveCopy { .. } | Way::Set { .. } => {
                write(session, graph, rows, &run, stop, observer)?;
                continue;
            }
        };
        let tables = by_table.entry(direction).or_default();
        let all = tables.entry(rows.cure.table.clone()).or_default();
        all.extend(rows.keys.iter().cloned());
    }
    for (direction, mut tables) in by_table {
        for keys in tables.values_mut() {
            let mut seen = HashSet::new();
            keys.retain(|key| seen.insert(format!("{key:?}")));
        }
        let moved = reunite(session, graph, direction, tables, &run, stop, observer)?;
        outcome.moved(direction, moved);
    }
    Ok(())
}

/// What is found still, or would be: what no cure is for, with the choices that there are.
fn leave(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
    outcome: &mut RepairOutcome,
) -> Result<()> {
    let audit = audit::Options {
        checks: options.checks.clone(),
        ..audit::Options::default()
    };
    let reasons: BTreeMap<_, _> = audit::all()
        .into_iter()
        .map(|check| (check.id(), check.repair()))
        .collect();
    let report = audit::audit(session, graph, &audit)?;
    for finding in report.findings {
        let healed = !options.apply
            && outcome
                .healed
                .iter()
                .any(|h| h.check == finding.check && h.message == finding.message);
        if healed || finding.severity == audit::Severity::Note {
            continue;
        }
        let why = match reasons.get(finding.check.as_str()) {
            Some(Repair::Leaves(why)) => why,
            Some(Repair::Heals(_)) | None => "what could be decided without you was done",
        };
        outcome.left.push(Left::of(finding, why));
    }
    outcome.not_checked = report.not_checked;
    Ok(())
}
