//! Empties the shadow tables, family by family.
//!
//! Shadow tables have no index but their primary key, so asking them for the children of a batch
//! would read them once per batch. Instead each is read once ([`lists`]): temporary tables with an
//! index number the roots and list, for each number, the keys of the family's rows. Batches then
//! delete by primary key. The temporary tables belong to the session and hold keys only.
//!
//! Rows that have several owners, or own each other, are put together first ([`tangle`]).
//!
//! A family goes by the age of its root. One of which any part still is in the live tables is kept:
//! its shadow half is the only copy of what may have to be put together again.

mod lists;
mod tangle;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::db::{AdvisoryLock, DbError, DbErrorKind, Session, Value};
use crate::error::{Error, Result};
use crate::exit::ExitCode;
use crate::plural::several;
use crate::schema::{FamilyGraph, Member};

use super::batch::Failure;
use super::export;
use super::forest::Key;
use super::name::row_name;
use super::options::{Observer, Options};
use super::outcome::{Blocked, Outcome};
use super::preflight::check_owners;
use super::sql::Sql;
use super::stop::Stop;
use lists::{Held, KEPT, Listed};
use tangle::tangles;

/// Rows to delete, by table.
type Doomed<'a> = BTreeMap<&'a str, (&'a Member, BTreeSet<String>, Vec<Key>)>;

/// Deletes the families in the shadow tables whose root is older than `options.before`, whole, in
/// transactions of about `options.max_rows` rows; rows without a family go as families of their own.
/// The task log goes with `options.task_log`. Families that are not wholly in the shadow tables, and
/// roots without a date where one is asked for, stay and are in [`Outcome::blocked`].
///
/// # Errors
///
/// Exit code 65 if a row does not tell which row owns it, 69 if another archiver is at work or a file of
/// `options.export` cannot be written, 75 if the database goes away; what was purged by then was purged whole.
pub fn purge(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    check_owners(session.label(), graph)?;
    let graph = &with_shadows_alone(graph);
    let started = Instant::now();
    let before = session.statements();
    let (spent, waited) = (session.spent(), stop.waited());
    let lock = match options.dry_run {
        true => None,
        false => {
            session.mind_cluster()?;
            Some(AdvisoryLock::acquire(session)?)
        }
    };
    let mut outcome = Outcome {
        version: 1,
        database: session.label().to_owned(),
        dry_run: options.dry_run,
        before: options.before.as_ref().map(ToString::to_string),
        ..Outcome::default()
    };
    let mut purge = Purge {
        sql: Sql {
            graph,
            engine: session.engine(),
            options,
        },
        session: &mut *session,
        stop,
        observer,
        outcome: &mut outcome,
        cut: false,
    };
    let tangles = tangles(graph);
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let order: Vec<&Member> = top_down(graph)
        .into_iter()
        .filter_map(|table| graph.member(table))
        .filter(|m| !m.on_request || options.task_log)
        .collect();
    for member in &order {
        let table = member.table.as_str();
        if done.contains(table) {
            continue;
        }
        if stop.requested() {
            purge.cut |= shadow_with_key(member).is_some();
            continue;
        }
        match tangles.iter().find(|tables| tables.contains(table)) {
            Some(tables) => {
                let hang_together = order.iter().filter(|m| tables.contains(m.table.as_str()));
                purge.tangle(&hang_together.copied().collect::<Vec<_>>())?;
                done.extend(tables);
            }
            None => purge.roots(member)?,
        }
    }
    // A request that came when all had been done has stopped nothing.
    if let Some(reason) = stop.reason().filter(|_| purge.cut) {
        purge.outcome.stopped_because = reason;
    }
    if let Some(lock) = lock {
        // Where that fails the connection is gone, and the lock with it; the purge is done all the same.
        drop(lock.release(session));
    }
    outcome.statements = session.statements() - before;
    outcome.add_spent((session.spent() - spent).milliseconds());
    outcome.add_waited(stop.waited() - waited);
    outcome.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(outcome)
}

/// The same tables with those shadow tables whose live table is gone: their rows are families of their own.
fn with_shadows_alone(graph: &FamilyGraph) -> FamilyGraph {
    let mut graph = graph.clone();
    let prefix = graph.profile.shadow_prefix.clone();
    for member in graph.members.values_mut() {
        if member.shadow.is_none() && member.table.starts_with(&prefix) {
            member.shadow = Some(member.table.clone());
        }
    }
    graph
}

/// Owners before what they own, so that a child's rows go with their root and only what no root
/// claimed is left when the child's own turn comes.
fn top_down(graph: &FamilyGraph) -> Vec<&str> {
    let mut order: Vec<&str> = graph.members.keys().map(String::as_str).collect();
    order.sort_by_key(|table| graph.chains_to(table).iter().map(Vec::len).max());
    order
}

/// The shadow table, if its rows can be told apart.
fn shadow_with_key(member: &Member) -> Option<&String> {
    member.shadow.as_ref().filter(|_| !member.key.is_empty())
}

struct Purge<'a, 's> {
    session: &'s mut Session,
    sql: Sql<'a>,
    stop: &'s Stop<'s>,
    observer: &'s mut dyn Observer,
    outcome: &'s mut Outcome,
    /// Whether a request to stop has left something undone.
    cut: bool,
}

impl<'a> Purge<'a, '_> {
    /// Purges the families whose roots are in one shadow table.
    fn roots(&mut self, member: &'a Member) -> Result<()> {
        let Some(shadow) = shadow_with_key(member) else {
            return Ok(());
        };
        let count = format!("SELECT COUNT(*) FROM {}", self.sql.engine.quote(shadow));
        if self.session.query_count(&count)? == 0 {
            return Ok(());
        }
        let mut lists: Vec<Listed<'a>> = Vec::new();
        self.list(member, None, &mut lists)?;
        let count = format!("SELECT COUNT(*) FROM {}", lists[0].name);
        let roots = self.session.query_count(&count)?;
        self.purge_listed(&lists, roots, &Held::default())
    }

    /// Purges the numbered families of these lists, and drops the lists.
    fn purge_listed(&mut self, lists: &[Listed<'a>], families: i64, held: &Held) -> Result<()> {
        if families > 0 {
            self.keep(lists, held)?;
            self.batches(lists, families)?;
            self.drop_list(KEPT)?;
        }
        for list in lists {
            self.drop_list(&list.name)?;
        }
        Ok(())
    }

    fn batches(&mut self, lists: &[Listed<'a>], roots: i64) -> Result<()> {
        let sizes = self.sizes(lists, roots)?;
        let mut from = 0;
        let mut most = self.sql.options.max_rows;
        while from < roots && !self.stop.requested() {
            self.stop.wait(self.observer);
            if self.stop.requested() {
                break;
            }
            let to = from + fitting(&sizes[from as usize..], most);
            let kept = self.session.query_count(&format!(
                "SELECT COUNT(DISTINCT sexton_root) FROM {KEPT} \
                 WHERE sexton_root > {from} AND sexton_root <= {to}"
            ))?;
            let families = u64::try_from(to - from - kept).unwrap_or_default();
            let doomed = self.doomed(lists, from, to)?;
            if families == 0 {
                from = to;
                continue;
            }
            let rows = match self.sql.options.dry_run {
                true => counts(&doomed),
                false => match self.delete(&doomed)? {
                    Ok(rows) => rows,
                    Err(_) if to - from > 1 => {
                        most = (counts(&doomed).values().sum::<u64>() / 2).max(1);
                        continue;
                    }
                    Err(error) => {
                        self.too_large(&doomed, &error);
                        most = self.sql.options.max_rows;
                        from = to;
                        continue;
                    }
                },
            };
            from = to;
            let total = rows.values().sum::<u64>();
            for (shadow, rows) in rows {
                *self.outcome.rows.entry(shadow).or_default() += rows;
            }
            self.outcome.total_rows += total;
            self.outcome.families += families;
            self.outcome.batches += 1;
            let outcome = &self.outcome;
            self.observer
                .batch(total, outcome.total_rows, outcome.families);
            self.stop.sleep(self.sql.options.sleep);
        }
        self.cut |= from < roots;
        Ok(())
    }

    /// One family that is more than the cluster takes in a transaction.
    fn too_large(&mut self, doomed: &Doomed<'_>, error: &DbError) {
        let rows = counts(doomed).values().sum::<u64>();
        let first = doomed.values().find_map(|(member, _, keys)| {
            let shadow = member.shadow.as_ref()?;
            Some(row_name(shadow, keys.first()?))
        });
        let root = first.unwrap_or_default();
        self.outcome.block(Blocked {
            reason: "too-large".into(),
            path: vec![
                root.clone(),
                format!("{} ({})", error.message, several(rows, "row")),
            ],
            root,
            remedy: super::table::TOO_LARGE.into(),
        });
    }

    /// How many rows each family has, by its number from 0; nothing where it stays.
    fn sizes(&mut self, lists: &[Listed<'a>], roots: i64) -> Result<Vec<u32>> {
        let mut sizes = vec![0_u32; usize::try_from(roots).unwrap_or_default()];
        for list in lists {
            let statement = format!(
                "SELECT t.sexton_root, COUNT(*) FROM {} t WHERE NOT EXISTS (SELECT 1 FROM {KEPT} k \
                 WHERE k.sexton_root = t.sexton_root) GROUP BY t.sexton_root",
                list.name
            );
            self.session.query_each(&statement, |row| {
                let number = |i: usize| row.get(i).and_then(Value::as_int);
                if let (Some(family), Some(rows)) = (number(0), number(1))
                    && let Some(size) = sizes.get_mut((family - 1) as usize)
                {
                    *size = size.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
                }
                true
            })?;
        }
        Ok(sizes)
    }

    /// Deletes them in one transaction; again after a deadlock or the like. The inner error is that they are more than
    /// a transaction may hold.
    fn delete(
        &mut self,
        doomed: &Doomed<'_>,
    ) -> Result<std::result::Result<BTreeMap<String, u64>, DbError>> {
        for attempt in 0.. {
            let failure = match self.try_delete(doomed) {
                Ok(()) => return Ok(Ok(counts(doomed))),
                Err(failure) => failure,
            };
            drop(self.session.rollback());
            let error = match failure {
                Failure::Fatal(error) => return Err(error),
                Failure::Mismatch {
                    table,
                    expected,
                    found,
                } => return Err(changed_meanwhile(&table, expected, found)),
                Failure::Ambiguous(error, ..) | Failure::Refused(error) => error,
            };
            match error.kind {
                DbErrorKind::TooLarge => return Ok(Err(error)),
                // The lists went with the connection.
                DbErrorKind::Connection => {
                    let message = format!("the database was lost: {error}");
                    return Err(Error::new(ExitCode::Stopped, message)
                        .hint("what was purged was purged whole; run again to go on"));
                }
                DbErrorKind::Retryable if attempt < self.sql.options.retries => {
                    self.outcome.retries += 1;
                    self.stop.sleep(Duration::from_millis(20 << attempt.min(8)));
                }
                _ => return Err(error.into()),
            }
        }
        Err(Error::internal("a batch was tried without end"))
    }

    fn try_delete(&mut self, doomed: &Doomed<'_>) -> Result<(), Failure> {
        self.session.begin()?;
        let mut exports = Vec::new();
        for (member, _, keys) in doomed.values() {
            if let (Some(shadow), Some(_)) = (&member.shadow, self.sql.options.export) {
                exports.push(export::read(self.session, self.sql, member, shadow, keys)?);
            }
        }
        for (member, _, keys) in doomed.values() {
            let Some(shadow) = &member.shadow else {
                continue;
            };
            for chunk in &self.sql.pieces(keys) {
                let found = self.session.execute(&format!(
                    "DELETE FROM {} WHERE {}",
                    self.sql.engine.quote(shadow),
                    self.sql.key_in("", &member.key, chunk)
                ))?;
                let expected = chunk.len() as u64;
                if found != expected {
                    let table = shadow.clone();
                    return Err(Failure::Mismatch {
                        table,
                        expected,
                        found,
                    });
                }
            }
        }
        for export in exports {
            export.write()?;
        }
        self.session.commit()?;
        match self.session.in_cluster() {
            true => self.believe(doomed),
            false => Ok(()),
        }
    }

    /// A Galera node says OK to a COMMIT that commits nothing, where the transaction had been rolled back before.
    fn believe(&mut self, doomed: &Doomed<'_>) -> Result<(), Failure> {
        let first = doomed.values().find_map(|(member, _, keys)| {
            let key = std::slice::from_ref(keys.first()?);
            let shadow = self.sql.engine.quote(member.shadow.as_ref()?);
            let key = self.sql.key_in("", &member.key, key);
            Some(format!("SELECT COUNT(*) FROM {shadow} WHERE {key}"))
        });
        let Some(count) = first else {
            return Ok(());
        };
        match self.session.query_count(&count)? {
            0 => Ok(()),
            _ => Err(Failure::of_empty_commit()),
        }
    }
}

/// How many of the next families fill a transaction of so many rows; the first goes in any case.
fn fitting(sizes: &[u32], max_rows: u64) -> i64 {
    let mut room = max_rows;
    let fits = |size: &&u32| {
        let left = room.checked_sub(u64::from(**size));
        room = left.unwrap_or_default();
        left.is_some()
    };
    let families = sizes.iter().take_while(fits).count().max(1);
    i64::try_from(families.min(sizes.len())).unwrap_or(i64::MAX)
}

fn counts(doomed: &Doomed<'_>) -> BTreeMap<String, u64> {
    let tables = doomed.values().filter(|(_, _, keys)| !keys.is_empty());
    let count = |(member, _, keys): &(&Member, BTreeSet<String>, Vec<Key>)| {
        let shadow = member.shadow.clone()?;
        Some((shadow, keys.len() as u64))
    };
    tables.filter_map(count).collect()
}

fn changed_meanwhile(table: &str, expected: u64, found: u64) -> Error {
    Error::unavailable(format!(
        "{table}: {expected} rows were listed, {found} were there to delete: another archiver is at \
         work"
    ))
    .hint("what was purged by then was purged whole; run again when the other one is done")
}
