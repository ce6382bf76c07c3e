//! What is around the work of a run, whatever it moves: the settings of its sessions, the lock that keeps a second
//! archiver out, the journal mode, and the book of what was done.

use std::time::{Duration, Instant};

use crate::db::{AdvisoryLock, DbError, DbErrorKind, Session};
use crate::error::Result;
use crate::schema::FamilyGraph;

use super::options::{Observer, Options};
use super::outcome::{Outcome, StopReason};
use super::run::Run;
use super::stop::Stop;

/// What every run has around its `work`: the settings of its sessions, the lock that keeps a second one out, and the
/// book of what it did.
pub(super) fn run(
    session: &mut Session,
    helpers: &mut [Session],
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
    work: impl FnOnce(&mut Run<'_>) -> Result<()>,
) -> Result<Outcome> {
    if !options.dry_run {
        helpers
            .iter_mut()
            .try_for_each(|helper| awake(helper, graph, options))?;
    }
    let lock = taken(session, graph, options)?;
    let lent = lock.as_ref();
    let (outcome, ended) = under(
        session,
        lent,
        helpers,
        graph,
        options,
        stop,
        &mut *observer,
        work,
    );
    let_go(session, lock);
    match ended {
        Ok(()) => Ok(outcome),
        Err(error) => {
            observer.failed(&outcome);
            Err(error)
        }
    }
}

/// The lock that keeps a second archiver out, with the settings that a run relies on; a dry run needs neither.
pub(super) fn taken(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
) -> Result<Option<AdvisoryLock>> {
    match options.dry_run {
        true => Ok(None),
        false => settled(session, graph, options).map(Some),
    }
}

/// Gives the lock back, however the run ended.
pub(crate) fn let_go(session: &mut Session, lock: Option<AdvisoryLock>) {
    if let Some(lock) = lock {
        // Where that fails the connection is gone, and the lock with it; the run is done all the same.
        drop(lock.release(session));
    }
}

/// The same under a lock that is held already: what was done, and how it ended.
#[expect(clippy::too_many_arguments, reason = "it is what a run is made of")]
pub(super) fn under(
    session: &mut Session,
    lock: Option<&AdvisoryLock>,
    helpers: &mut [Session],
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
    work: impl FnOnce(&mut Run<'_>) -> Result<()>,
) -> (Outcome, Result<()>) {
    let started = Instant::now();
    let sent = |session: &Session, helpers: &[Session]| {
        session.statements() + helpers.iter().map(Session::statements).sum::<u64>()
    };
    let spent = |session: &Session, helpers: &[Session]| {
        helpers
            .iter()
            .fold(session.spent(), |sum, helper| sum + helper.spent())
    };
    let statements = sent(session, helpers);
    let (before, waited) = (spent(session, helpers), stop.waited());
    let outcome = Outcome {
        version: 1,
        database: session.label().to_owned(),
        dry_run: options.dry_run,
        before: options.before.as_ref().map(ToString::to_string),
        ..Outcome::default()
    };
    let mut run = Run::new(&mut *session, graph, options, stop, observer);
    run.outcome = outcome;
    run.helpers = &mut *helpers;
    run.lock = lock;
    let kept = match options.dry_run {
        true => Ok(()),
        false => run.session.keep_journal(),
    };
    let ended = match kept {
        Ok(()) => work(&mut run),
        Err(error) => Err(error.into()),
    };
    let (mut outcome, halted) = (run.outcome, run.halted);
    // What ended the run says more than what comes of tidying up after it.
    let tidied = session.remove_journal();
    let ended = ended.and_then(|()| tidied.map_err(Into::into));
    let ended_by = match ended {
        Ok(()) => StopReason::Complete,
        Err(_) => StopReason::Failed,
    };
    outcome.stopped_because = halted.unwrap_or(ended_by);
    outcome.statements = sent(session, helpers) - statements;
    outcome.add_spent((spent(session, helpers) - before).milliseconds());
    outcome.add_waited(stop.waited() - waited);
    outcome.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    (outcome, ended)
}

/// How long a statement waits for a lock before a request to stop is looked for, and it is tried again.
const LOCKS: Duration = Duration::from_secs(5);

/// Makes the settings that a run relies on.
fn settle(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
) -> std::result::Result<(), DbError> {
    // A child that goes by cascade before it was read would be lost: there the gaps are locked too.
    if !graph.cascades_over_other_keys() {
        session.lock_rows_only()?;
    }
    if !options.lock_patience.is_zero() {
        session.wait_for_locks(LOCKS.min(options.lock_patience))?;
    }
    session.mind_cluster()
}

/// The same for a further session, which is made anew where it was closed meanwhile.
fn awake(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
) -> std::result::Result<(), DbError> {
    match settle(session, graph, options) {
        Err(error) if error.kind == DbErrorKind::Connection => {
            session.reconnect()?;
            settle(session, graph, options)
        }
        settled => settled,
    }
}

/// The same, with the lock that keeps a second archiver out. A session that was made when the run began and had to wait
/// for other cells may have been closed meanwhile: it is made anew, once.
fn settled(session: &mut Session, graph: &FamilyGraph, options: &Options) -> Result<AdvisoryLock> {
    let settle = |session: &mut Session| {
        self::settle(session, graph, options)?;
        AdvisoryLock::acquire(session)
    };
    settle(session).or_else(|error| {
        let lost = session
            .query_row("SELECT 1")
            .is_err_and(|e| e.kind == DbErrorKind::Connection);
        if !lost {
            return Err(error);
        }
        session.reconnect()?;
        settle(session)
    })
}
