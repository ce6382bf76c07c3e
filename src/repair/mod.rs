//! Heals what an audit finds, where there is nothing to choose.
//!
//! Its checks say what heals the rows that they find ([`crate::audit::Cure`]), as data. Here that is done, cure by cure and
//! window by window ([`heal`]), under one lock: rows move through the archive engine ([`crate::archive`]), in whole
//! families; what is written otherwise ([`writes`]) is checked again in the statement that writes it. Without `apply`
//! nothing is written, and what would be done is the report.
//!
//! Nothing is kept between two runs: what there is to heal is asked for, each time.

mod heal;
mod left;
mod outcome;
mod watch;
mod writes;

use crate::archive::{self, Api, Before, Held, Observer, Stop, StopReason, let_go};
use crate::audit::{self, Checks, NotChecked, plan};
use crate::db::Session;
use crate::error::Result;
use crate::exit::ExitCode;
use crate::schema::FamilyGraph;

pub use outcome::{Healed, Left, RepairOutcome};

use heal::{Ailment, Healing};
use watch::Watch;

/// How often all cures are gone through at most: what one healing moves may be what another one waited for.
const PASSES: usize = 8;

/// What is to be healed, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Ids of the checks whose findings are healed; all if empty.
    pub checks: Vec<String>,
    /// Whether to do it. Otherwise it is only said.
    pub apply: bool,
    /// Most rows of a transaction, retries, patience; which families are old enough to be archived.
    pub run: archive::Options,
}

impl Options {
    /// Whether what this check finds is to be healed.
    pub fn wants(&self, check: &str) -> bool {
        self.checks.is_empty() || self.checks.iter().any(|id| id == check)
    }

    fn before(&self) -> Option<&Before> {
        self.run.before.as_ref()
    }
}

/// Heals one database, and the API database beside it, of which it is the one cell that was given.
///
/// A database that goes away for good ends it early: [`RepairOutcome::stopped_because`] says so, and what was committed is
/// whole.
///
/// # Errors
///
/// Exit code 64 for an unknown check, 65 if a row does not tell which row owns it, 69 if the database refuses or an
/// archiver is at work in it.
pub fn repair(
    session: &mut Session,
    graph: &FamilyGraph,
    mut api: Option<&mut Api<'_>>,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<RepairOutcome> {
    let checks = Checks::choose(&options.checks)?;
    let mut outcome = RepairOutcome::new(session.label(), options.apply);
    let (before, alone) = (session.statements(), api.is_none());
    let probes = plan(graph, session.engine(), &checks);
    let run = archive::Options {
        dry_run: !options.apply,
        ..options.run.clone()
    };
    let mut watch = Watch::new(observer, api.as_deref_mut());
    let mut held = Held::take(session, graph, &run, stop, &mut watch)?;
    let ended = all(
        &mut held,
        &Ailment::of(&probes),
        options,
        stop,
        &mut outcome,
    );
    let lock = held.detach();
    let refused = watch.refused();
    let ended = ended_early(ended, observer, stop, &mut outcome);
    if let (Some(api), true) = (api, outcome.is_whole() && refused.is_none()) {
        sweep(api, options, &mut outcome);
    }
    outcome.not_swept(refused);
    let_go(session, lock);
    ended?;
    if outcome.is_whole() {
        left::leave(session, graph, &probes, options, &mut outcome)?;
    }
    outcome.not_restored(graph);
    if alone {
        outcome.not_removed(graph);
    }
    outcome.statements = session.statements() - before;
    Ok(outcome)
}

/// Removes the API-database records that earlier runs left, or counts them.
fn sweep(api: &mut Api<'_>, options: &Options, outcome: &mut RepairOutcome) {
    if !options.wants(audit::STRANDED) {
        return;
    }
    let swept = match options.apply {
        true => api.sweep().map(|records| outcome.swept(records)),
        // What is wrong with them is what an audit finds.
        false => api
            .would_sweep()
            .map(|records| outcome.add_records(records)),
    };
    // The cell is healed all the same.
    outcome.not_swept(swept.err().map(|error| error.to_string()));
}

/// All cures, again as long as one healing makes room for another.
fn all(
    held: &mut Held<'_>,
    ailments: &[Ailment<'_>],
    options: &Options,
    stop: &Stop<'_>,
    outcome: &mut RepairOutcome,
) -> Result<()> {
    for _ in 0..PASSES {
        let so_far = outcome.rows_healed();
        outcome.unblock();
        let mut pass = Healing::new(held, options, stop, outcome);
        for ailment in ailments {
            pass.heal(ailment)?;
        }
        if !options.apply || outcome.rows_healed() == so_far || stop.requested() {
            break;
        }
    }
    Ok(())
}

/// What was done is told where the end was asked for, the database was lost, or it refused to go on.
fn ended_early(
    ended: Result<()>,
    observer: &mut dyn Observer,
    stop: &Stop<'_>,
    outcome: &mut RepairOutcome,
) -> Result<()> {
    if let Some(reason) = stop.reason() {
        outcome.stopped_because = reason;
    }
    let Err(error) = ended else {
        return Ok(());
    };
    match error.code {
        ExitCode::Stopped => {
            observer.notice(&error.to_string());
            if outcome.stopped_because == StopReason::Complete {
                outcome.stopped_because = StopReason::Failed;
            }
            Ok(())
        }
        ExitCode::Unavailable if outcome.has_changed() => {
            outcome.not_asked(NotChecked {
                check: "all".into(),
                table: None,
                why: error.to_string(),
            });
            outcome.interrupted = true;
            outcome.stopped_because = StopReason::Failed;
            Ok(())
        }
        _ => Err(error),
    }
}
