//! The batches of one table: how many roots go into each, what becomes of each, and several at the same time.

use std::time::Instant;

use crate::db::{DbErrorKind, Session};
use crate::error::{Error, Result};
use crate::schema::Member;

use super::attempt::Refusal;
use super::batch::{Batch, Done, Failure, describe};
use super::forest::Key;
use super::name::row_name;
use super::outcome::{Blocked, StopReason};
use super::roots::{Roots, WINDOW};
use super::run::Run;

/// What to do about a family that is larger than a transaction may be.
pub(super) const TOO_LARGE: &str = "raise the limit for this run (Galera: wsrep_max_ws_rows, wsrep_max_ws_size; a binlog: \
                         max_binlog_cache_size) and run again: a family moves in one transaction or not at all";

/// What became of a batch.
enum Attempted {
    Done(Box<Done>),
    /// The database's last word on these families.
    Refused(Refusal),
    /// Rolled back, for a reason that need not be there the next time.
    Again,
}

impl Run<'_> {
    /// Moves the families of one table's roots; returns those that wait for others.
    pub(super) fn table(
        &mut self,
        member: &Member,
        mut roots: Roots,
    ) -> Result<Vec<(Key, Blocked)>> {
        let mut deferred = Vec::new();
        // How many roots a batch may take at most; halved to close in on a family that the
        // database refuses, doubled again after each success.
        let mut limit = usize::MAX;
        loop {
            let window = if self.sql.options.until_complete {
                WINDOW
            } else {
                usize::try_from(self.sql.options.max_rows).unwrap_or(WINDOW)
            };
            if !self.refill(&mut roots, member, window)? {
                return Ok(deferred);
            }
            let Some((budget, oversize)) = self.budget() else {
                self.halt(StopReason::MaxRows);
                return Ok(deferred);
            };
            self.stop.wait(self.observer);
            if let Some(reason) = self.stop.reason() {
                self.halt(reason);
                return Ok(deferred);
            }
            let shares = self.shares(member, &mut roots, budget, limit);
            let gone = std::mem::take(&mut self.gone);
            let batch = |keys| Batch {
                sql: self.sql,
                member,
                kind: roots.kind,
                keys,
                beside: &[],
                together: false,
                unindexed: &roots.unindexed,
                // A dry run has no INSERT that would be refused.
                probe_shadow: limit != usize::MAX || self.sql.options.dry_run,
                gone: &gone,
                budget,
                oversize,
            };
            let batches: Vec<_> = shares
                .iter()
                .map(|(_, keys)| batch(keys.as_slice()))
                .collect();
            let begun = Instant::now();
            let attempted = self.attempt_all(&batches)?;
            let took = begun.elapsed();
            self.gone = gone;
            limit = limit.saturating_mul(2);
            if limit > WINDOW {
                limit = usize::MAX;
            }
            let (mut largest, mut full) = (0, false);
            // The last first: what comes back does not shift the places of those before it.
            for ((place, keys), attempted) in shares.into_iter().zip(attempted).rev() {
                let back: Vec<Key> = match attempted {
                    Attempted::Done(mut done) => {
                        let left = std::mem::take(&mut done.left_over);
                        largest = largest.max(done.moved());
                        full |= done.moved() == 0 && !left.is_empty();
                        deferred.extend(self.finish(member, *done)?);
                        left
                    }
                    // One family alone is refused: that is the one.
                    Attempted::Refused(why) if keys.len() == 1 && limit == 2 => {
                        let root = row_name(&member.table, &keys[0]);
                        let (reason, remedy) = match why.too_large {
                            true => {
                                self.pace.one_was_too_large();
                                ("too-large", TOO_LARGE)
                            }
                            false => (
                                "refused",
                                "mend what the database complains of and run again",
                            ),
                        };
                        self.outcome.block(Blocked {
                            reason: reason.into(),
                            path: vec![root.clone(), why.why],
                            root,
                            remedy: remedy.into(),
                        });
                        Vec::new()
                    }
                    Attempted::Refused(why) => {
                        if why.too_large {
                            self.pace.too_large();
                        }
                        limit = if keys.len() == 1 { 1 } else { keys.len() / 2 };
                        keys
                    }
                    Attempted::Again => keys,
                };
                let behind = roots.pending.split_off(place.min(roots.pending.len()));
                roots.pending.extend(back);
                roots.pending.extend(behind);
            }
            self.pace.note(largest, took);
            if full {
                self.halt(StopReason::MaxRows);
                return Ok(deferred);
            }
        }
    }

    /// The roots of the next batches: one, or one for each session where nothing is in doubt. Each with the place in
    /// `pending` to which those go back that do not fit.
    fn shares(
        &self,
        member: &Member,
        roots: &mut Roots,
        budget: u64,
        limit: usize,
    ) -> Vec<(usize, Vec<Key>)> {
        let options = self.sql.options;
        let abreast = options.until_complete && !options.dry_run && limit == usize::MAX;
        let count = self.roots_for(member, budget).min(limit);
        // A server reads a small table whole, and waits at the rows that another session has locked.
        let room = roots.pending.len() / count;
        let sessions = if abreast {
            (1 + self.helpers.len()).min(room).max(1)
        } else {
            1
        };
        // Far from each other: a range is read up to the row behind it, which must not be one that another session
        // has locked.
        let pending = &mut roots.pending;
        let lane = pending.len().div_ceil(sessions).max(1);
        let from = |session: usize| (session * lane).min(pending.len());
        let bounds: Vec<_> = (0..sessions)
            .map(|n| from(n)..from(n + 1).min(from(n) + count))
            .collect();
        let mut drained = 0;
        let mut shares = Vec::new();
        for places in bounds.into_iter().filter(|places| !places.is_empty()) {
            let place = places.start - drained;
            let keys: Vec<Key> = pending.drain(place..places.end - drained).collect();
            drained += keys.len();
            shares.push((place, keys));
        }
        shares
    }

    /// Runs the first batch on the run's own session, again and again where that may help, and each further one
    /// once on a session of its own at the same time.
    fn attempt_all(&mut self, batches: &[Batch<'_>]) -> Result<Vec<Attempted>> {
        let Some((mine, others)) = batches.split_first() else {
            return Ok(Vec::new());
        };
        let helpers = std::mem::take(&mut self.helpers);
        let (first, rest) = std::thread::scope(|scope| {
            let running: Vec<_> = helpers
                .iter_mut()
                .zip(others)
                .map(|(session, batch)| scope.spawn(move || batch.run(session)))
                .collect();
            let first = self.attempt(mine);
            let rest: Vec<_> = running.into_iter().map(|thread| thread.join()).collect();
            (first, rest)
        });
        let mut attempted = vec![first.map(|first| match first {
            Ok(done) => Attempted::Done(Box::new(done)),
            Err(why) => Attempted::Refused(why),
        })];
        for (result, session) in rest.into_iter().zip(helpers.iter_mut()) {
            attempted.push(match result {
                Ok(Ok(done)) => Ok(Attempted::Done(Box::new(done))),
                // What ends the run need not be waited for a second time.
                Ok(Err(_)) if attempted[0].is_err() => Ok(Attempted::Again),
                Ok(Err(failure)) => self.after(failure, session),
                Err(_) => Err(Error::internal("a batch ended with a panic")),
            });
        }
        self.helpers = helpers;
        if attempted.iter().any(Result::is_err) {
            self.book(batches, &mut attempted);
        }
        attempted.into_iter().collect()
    }

    /// Books what some sessions have committed, where another one's error ends the run.
    fn book(&mut self, batches: &[Batch<'_>], attempted: &mut [Result<Attempted>]) {
        for (batch, attempted) in batches.iter().zip(attempted) {
            if let Ok(Attempted::Done(done)) = attempted {
                // That the API database fails too is no news, and the next run sweeps it.
                drop(self.finish(batch.member, std::mem::take(&mut **done)));
            }
        }
    }

    /// What a failure on a further session means.
    fn after(&mut self, failure: Failure, session: &mut Session) -> Result<Attempted> {
        let error = match failure {
            Failure::Fatal(error) => return Err(error),
            // The next time the run's own session looks closer.
            Failure::Mismatch { table, .. } => return Ok(Attempted::Refused(Refusal::of(table))),
            Failure::Ambiguous(error, table, key, done) => {
                self.outcome.retries += 1;
                drop(session.reconnect());
                let gone = match self.is_gone(&table, &key) {
                    // This run's own session was lost with the other one's.
                    Err(lost) if lost.kind.may_pass_again() => {
                        self.is_gone_after(error, &table, &key)?
                    }
                    gone => gone?,
                };
                return Ok(match gone {
                    true => Attempted::Done(done),
                    false => Attempted::Again,
                });
            }
            Failure::Refused(error) => error,
        };
        match error.kind {
            kind if kind.may_pass_again() => {
                self.outcome.retries += 1;
                if error.kind == DbErrorKind::Connection {
                    // If it fails, the next batch of this session does.
                    drop(session.reconnect());
                }
                Ok(Attempted::Again)
            }
            kind if kind.refuses_rows() => Ok(Attempted::Refused(error.into())),
            _ => Err(error.into()),
        }
    }

    /// Rows the next batch may hold, and whether a larger family may go; `None` if none may.
    fn budget(&self) -> Option<(u64, bool)> {
        let max = self.sql.options.max_rows;
        if self.sql.options.until_complete {
            return Some((self.pace.rows(), true));
        }
        let left = max.saturating_sub(self.outcome.total_rows);
        (left > 0).then_some((left, self.outcome.total_rows == 0))
    }

    /// About as many roots as fill the budget.
    fn roots_for(&self, member: &Member, budget: u64) -> usize {
        let owns = self
            .sql
            .graph
            .children(&member.table)
            .any(|(_, r)| r.is_owned());
        let guess = if owns { 16.0 } else { 1.0 };
        let each = self
            .rows_per_root
            .get(&member.table)
            .copied()
            .unwrap_or(guess)
            .max(1.0);
        let roots = (budget as f64 / each * 1.05).ceil() as usize;
        roots.clamp(1, WINDOW)
    }

    /// Books what a batch did.
    pub(super) fn finish(&mut self, member: &Member, done: Done) -> Result<Vec<(Key, Blocked)>> {
        let moved = done.moved();
        if self.sql.options.dry_run && self.planned.as_ref() != Some(&member.table) && moved > 0 {
            self.planned = Some(member.table.clone());
            self.observer.plan(&member.table, &describe(&done.steps));
        }
        for (mine, theirs) in [
            (&mut self.outcome.rows, done.rows),
            (&mut self.outcome.dropped, done.dropped),
            (&mut self.outcome.left_behind, done.left_behind),
        ] {
            theirs
                .into_iter()
                .for_each(|(table, rows)| *mine.entry(table).or_default() += rows);
        }
        done.blocked
            .into_iter()
            .for_each(|blocked| self.outcome.block(blocked));
        for (table, key) in done.gone {
            self.gone.entry(table).or_default().insert(key);
        }
        if moved > 0 {
            let each = moved as f64 / done.roots.max(1) as f64;
            self.rows_per_root
                .entry(member.table.clone())
                .and_modify(|old| *old = (*old + each) / 2.0)
                .or_insert(each);
            self.outcome.batches += 1;
            self.outcome.families += done.families;
            self.outcome.total_rows += moved;
            self.observer
                .batch(moved, self.outcome.total_rows, self.outcome.families);
            let records = match self.sql.options.dry_run {
                true => self.observer.would_archive(&done.api_keys)?,
                false => self.observer.archived(&done.api_keys)?,
            };
            self.outcome.add_api_records(&records);
            if !self.sql.options.dry_run {
                self.stop.sleep(self.sql.options.sleep);
            }
        }
        Ok(done.deferred)
    }
}
