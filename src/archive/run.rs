//! A run: table by table, batch by batch, until all that may move has moved or it is told to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::db::{AdvisoryLock, Session};
use crate::error::Result;
use crate::schema::{FamilyGraph, Member};

use super::batch::{Batch, Done, describe};
use super::capture::{Gone, RootKind};
use super::explain::remedy_of;
use super::forest::{Key, row_name};
use super::options::{Observer, Options, Stop};
use super::outcome::{Blocked, LISTED_PER_REASON, Outcome, StopReason};
use super::preflight::{check, check_owners};
use super::roots::{Roots, WINDOW};
use super::sql::Sql;

/// Moves the soft-deleted families of one database to its shadow tables.
///
/// # Errors
///
/// Exit code 65 if there are no shadow tables or a row does not tell which row owns it, 64 if `drop_unshadowed` names a table that is not
/// there or has a shadow table, 69 if the database goes away for good or another archiver is at
/// work in it.
pub fn archive(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    check(session.label(), graph, options)?;
    run(session, graph, options, stop, observer)
}

/// Deletes the soft-deleted families of a service without shadow tables where they are, whole:
/// a family goes when all its rows are soft-deleted and older than `options.before`, and nothing
/// that stays refers to it. `graph` is made by [`FamilyGraph::in_place`].
///
/// # Errors
///
/// Exit code 65 if a row does not tell which row owns it, 69 if the database goes away for good or another
/// archiver is at work in it.
pub fn purge_in_place(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    debug_assert!(graph.deletes_in_place);
    run(session, graph, options, stop, observer)
}

fn run(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    check_owners(session.label(), graph)?;
    let started = Instant::now();
    if !options.dry_run {
        session.lock_rows_only()?;
    }
    let lock = match options.dry_run {
        true => None,
        false => Some(AdvisoryLock::acquire(session)?),
    };
    let statements = session.statements();
    let outcome = Outcome {
        version: 1,
        database: session.label().to_owned(),
        dry_run: options.dry_run,
        before: options.before.as_ref().map(ToString::to_string),
        ..Outcome::default()
    };
    let mut run = Run::new(&mut *session, graph, options, stop, observer);
    run.outcome = outcome;
    run.lock = lock.as_ref();
    run.all()?;
    let (mut outcome, halted) = (run.outcome, run.halted);
    if let Some(lock) = lock {
        lock.release(session)?;
    }
    outcome.stopped_because = halted.unwrap_or_default();
    outcome.statements = session.statements() - statements;
    outcome.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(outcome)
}

pub(super) struct Run<'a> {
    pub(super) session: &'a mut Session,
    pub(super) sql: Sql<'a>,
    pub(super) stop: &'a Stop<'a>,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) outcome: Outcome,
    /// How many rows a root brought with it so far, by table.
    rows_per_root: BTreeMap<String, f64>,
    /// The table whose plan was shown last, in a dry run.
    planned: Option<String>,
    /// In a dry run: what would be gone by now.
    gone: Gone,
    /// Why no further batch may begin.
    halted: Option<StopReason>,
    /// What keeps a second archiver out; not taken in a dry run.
    pub(super) lock: Option<&'a AdvisoryLock>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        session: &'a mut Session,
        graph: &'a FamilyGraph,
        options: &'a Options,
        stop: &'a Stop<'a>,
        observer: &'a mut dyn Observer,
    ) -> Self {
        let engine = session.engine();
        Self {
            session,
            sql: Sql {
                graph,
                engine,
                options,
            },
            stop,
            observer,
            outcome: Outcome::default(),
            rows_per_root: BTreeMap::new(),
            planned: None,
            gone: Gone::new(),
            halted: None,
            lock: None,
        }
    }

    /// Passes over all tables, until nothing moves any more: what blocks a family may itself move
    /// later in the same pass. Without blocked families one pass is enough.
    fn all(&mut self) -> Result<()> {
        loop {
            let before = self.outcome.total_rows;
            self.pass()?;
            let again = self.outcome.total_rows > before && self.outcome.has_blocked();
            if !again || self.halted.is_some() || self.sql.options.dry_run {
                return Ok(());
            }
            self.outcome.blocked.clear();
            self.outcome.blocked_families.clear();
        }
    }

    fn pass(&mut self) -> Result<()> {
        self.ageless()?;
        let mut deferred: BTreeMap<&str, Vec<(Key, Blocked)>> = BTreeMap::new();
        for table in self.sql.graph.root_order() {
            let Some(member) = self.sql.graph.member(table) else {
                continue;
            };
            if self.halted.is_some() {
                break;
            }
            let dropped = self.sql.options.drop_unshadowed.contains(&member.table);
            match member.obstacle {
                Some(_) if !dropped => self.obstructed(member)?,
                _ => {
                    let waiting = self.table(member, Roots::of_table())?;
                    deferred.entry(table).or_default().extend(waiting);
                }
            }
        }
        self.again(deferred)?;
        self.stragglers()
    }

    /// Families that waited for others: tried again, with what they waited for, as long as
    /// anything moves.
    fn again(&mut self, mut deferred: BTreeMap<&'a str, Vec<(Key, Blocked)>>) -> Result<()> {
        loop {
            let before = self.outcome.total_rows;
            for (table, waiting) in &mut deferred {
                let Some(member) = self.sql.graph.member(table) else {
                    continue;
                };
                if self.halted.is_none() && !waiting.is_empty() {
                    let keys = waiting.iter().map(|(key, _)| key.clone()).collect();
                    let left = self.table(member, Roots::given(RootKind::Waiting, keys))?;
                    let text = |key: &Key| format!("{key:?}");
                    let left: BTreeSet<_> = left.iter().map(|(key, _)| text(key)).collect();
                    waiting.retain(|(key, _)| left.contains(&text(key)));
                }
            }
            if self.halted.is_some() {
                return Ok(());
            }
            if self.outcome.total_rows == before {
                let still = deferred.into_values().flatten();
                still.for_each(|(_, why)| self.outcome.block(why));
                return Ok(());
            }
        }
    }

    /// Children by convention whose parents went without them: an older run, another tool.
    fn stragglers(&mut self) -> Result<()> {
        for reference in &self.sql.graph.references {
            let Some(child) = self.sql.graph.member(&reference.child) else {
                continue;
            };
            let wanted = match &child.obstacle {
                None => !reference.declared,
                Some(_) => self.sql.options.drop_unshadowed.contains(&child.table),
            };
            while wanted && reference.is_owned() && self.halted.is_none() {
                let Some(statement) = self.sql.stragglers(reference, WINDOW) else {
                    break;
                };
                let keys = self.session.query(&statement)?;
                let last = keys.len() < WINDOW;
                let before = self.outcome.total_rows;
                self.table(child, Roots::given(RootKind::Straggler, keys))?;
                if last || self.outcome.total_rows == before || self.sql.options.dry_run {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Moves the families of one table's roots; returns those that wait for others.
    fn table(&mut self, member: &Member, mut roots: Roots) -> Result<Vec<(Key, Blocked)>> {
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
            if self.stop.requested() {
                self.halt(StopReason::Signal);
                return Ok(deferred);
            }
            let count = self
                .roots_for(member, budget)
                .min(limit)
                .min(roots.pending.len());
            let keys: Vec<Key> = roots.pending.drain(..count).collect();
            let gone = std::mem::take(&mut self.gone);
            let batch = Batch {
                sql: self.sql,
                member,
                kind: roots.kind,
                keys: &keys,
                unindexed: &roots.unindexed,
                // A dry run has no INSERT that would be refused.
                probe_shadow: limit != usize::MAX || self.sql.options.dry_run,
                gone: &gone,
                budget,
                oversize,
            };
            let attempted = self.attempt(&batch)?;
            self.gone = gone;
            match attempted {
                Ok(done) => {
                    limit = limit.saturating_mul(2);
                    if limit > WINDOW {
                        limit = usize::MAX;
                    }
                    done.left_over
                        .iter()
                        .rev()
                        .for_each(|k| roots.pending.push_front(k.clone()));
                    let full = done.moved() == 0 && !done.left_over.is_empty();
                    deferred.extend(self.finish(member, done)?);
                    if full {
                        self.halt(StopReason::MaxRows);
                        return Ok(deferred);
                    }
                }
                // One family alone is refused: that is the one.
                Err(why) if keys.len() == 1 && limit == 1 => {
                    limit = 2;
                    let root = row_name(&member.table, &keys[0]);
                    self.outcome.block(Blocked {
                        reason: "refused".into(),
                        path: vec![root.clone(), why],
                        root,
                        remedy: "mend what the database complains of and run again".into(),
                    });
                }
                Err(_) => {
                    limit = if keys.len() == 1 { 1 } else { keys.len() / 2 };
                    keys.into_iter()
                        .rev()
                        .for_each(|k| roots.pending.push_front(k));
                }
            }
        }
    }

    /// Rows the next batch may hold, and whether a larger family may go; `None` if none may.
    fn budget(&self) -> Option<(u64, bool)> {
        let max = self.sql.options.max_rows;
        if self.sql.options.until_complete {
            return Some((max, true));
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
    fn finish(&mut self, member: &Member, done: Done) -> Result<Vec<(Key, Blocked)>> {
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
            if !self.sql.options.dry_run {
                for (table, count) in self.observer.archived(&done.api_keys)? {
                    *self.outcome.api_records.entry(table).or_default() += count;
                }
                self.stop.sleep(self.sql.options.sleep);
            }
        }
        Ok(done.deferred)
    }

    /// Soft-deleted roots of a table that has no way into a shadow table.
    fn obstructed(&mut self, member: &Member) -> Result<()> {
        let Some(obstacle) = &member.obstacle else {
            return Ok(());
        };
        let count = self.session.query_count(&self.sql.count(member))?;
        if count == 0 {
            return Ok(());
        }
        let names = match member.key.as_slice() {
            [] => vec![member.table.clone()],
            _ => {
                let statement = self.sql.candidates(member, None, LISTED_PER_REASON);
                let keys = self.session.query(&statement)?;
                keys.iter()
                    .map(|key| row_name(&member.table, key))
                    .collect()
            }
        };
        let listed = names.into_iter().map(|root| Blocked {
            reason: obstacle.reason().into(),
            path: vec![root.clone(), obstacle.to_string()],
            root,
            remedy: remedy_of(self.sql, member),
        });
        let count = u64::try_from(count).unwrap_or(0);
        self.outcome
            .block_all(obstacle.reason(), count, listed.collect());
        Ok(())
    }

    /// Soft-deleted roots without a date, which `--before` never reaches.
    fn ageless(&mut self) -> Result<()> {
        let without = match self.sql.graph.deletes_in_place {
            true => "purge with --all",
            false => "archive without --before",
        };
        for member in self.sql.graph.members.values() {
            let Some(statement) = self.sql.ageless(member).filter(|_| !member.key.is_empty())
            else {
                continue;
            };
            let date = member.age.as_deref().unwrap_or("the date");
            let (mut count, mut listed) = (0, Vec::new());
            self.session.query_each(&statement, |key| {
                count += 1;
                if listed.len() < LISTED_PER_REASON {
                    let root = row_name(&member.table, &key);
                    listed.push(Blocked {
                        reason: "no-date".into(),
                        path: vec![root.clone()],
                        root,
                        remedy: format!("set {date} of the row, or {without}"),
                    });
                }
                true
            })?;
            if count > 0 {
                self.outcome.block_all("no-date", count, listed);
            }
        }
        Ok(())
    }

    pub(super) fn halt(&mut self, why: StopReason) {
        self.halted.get_or_insert(why);
    }
}
