//! One transaction: read with locks, judge, write, count, commit.

use std::collections::BTreeMap;

use crate::db::{DbError, DbErrorKind, Session};
use crate::error::Error;
use crate::plural::several;
use crate::schema::Member;

use super::capture::{Capture, Captured, Gone, RootKind, Unindexed};
use super::export;
use super::forest::{Family, Hold, Key, fill};
use super::name::row_name;
use super::outcome::Blocked;
use super::plan::{self, Action, Step};
use super::sql::Sql;
use super::vanished::gone_meanwhile;

/// What to put into a transaction.
pub(super) struct Batch<'a> {
    pub(super) sql: Sql<'a>,
    pub(super) member: &'a Member,
    pub(super) kind: RootKind,
    /// Roots to start from.
    pub(super) keys: &'a [Key],
    /// Roots of other tables that are to go in the same transaction.
    pub(super) beside: &'a [(&'a Member, Vec<Key>)],
    /// Whether nothing moves where anything is held back.
    pub(super) together: bool,
    pub(super) unindexed: &'a Unindexed,
    pub(super) probe_shadow: bool,
    /// In a dry run: what earlier batches would have moved.
    pub(super) gone: &'a Gone,
    /// Most rows.
    pub(super) budget: u64,
    /// Whether a family larger than the budget may move, alone.
    pub(super) oversize: bool,
}

/// What a transaction did.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) rows: BTreeMap<String, u64>,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) left_behind: BTreeMap<String, u64>,
    pub(super) families: u64,
    /// Roots that went, to tell rows per root.
    pub(super) roots: u64,
    pub(super) blocked: Vec<Blocked>,
    /// Roots that may go later in this run, with the reason if not.
    pub(super) deferred: Vec<(Key, Blocked)>,
    /// Roots that did not fit, in order.
    pub(super) left_over: Vec<Key>,
    /// What API-database records call the roots that went.
    pub(super) api_keys: Vec<String>,
    pub(super) steps: Vec<Step>,
    /// In a dry run: rows that would be gone and that others may refer to.
    pub(super) gone: Vec<(String, String)>,
}

impl Done {
    pub(super) fn moved(&self) -> u64 {
        self.rows.values().chain(self.dropped.values()).sum()
    }
}

/// Why a transaction did not happen.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database refused; rolled back.
    Refused(DbError),
    /// The connection was lost while committing: it may have happened. The table and key tell: if
    /// that row is gone, it has.
    Ambiguous(DbError, String, Key, Box<Done>),
    /// A statement touched another number of rows than was read; rolled back.
    Mismatch {
        table: String,
        expected: u64,
        found: u64,
    },
    /// A fault outside the database (the export file).
    Fatal(Error),
}

impl Failure {
    /// A Galera node said OK to the COMMIT of a transaction that had been rolled back before.
    pub(super) fn of_empty_commit() -> Self {
        Self::Refused(DbError::new(
            DbErrorKind::Retryable,
            "",
            "COMMIT was answered OK, and nothing was committed",
        ))
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Refused(error)
    }
}

impl Batch<'_> {
    /// Runs the transaction; on any failure it has been rolled back, or the connection is gone.
    pub(super) fn run(&self, session: &mut Session) -> Result<Done, Failure> {
        if self.sql.options.dry_run {
            let (done, _, _) = self.prepare(session)?;
            return Ok(done);
        }
        session.begin()?;
        let written = self.write(session);
        let (done, witness) = match written {
            Ok(written) => written,
            Err(failure) => {
                // After a failed statement never COMMIT: Galera would say OK and commit nothing.
                // If the connection is gone the ROLLBACK fails too, and the server does it.
                drop(session.rollback());
                return Err(failure);
            }
        };
        match session.commit() {
            Ok(()) => match witness {
                Some((table, key)) if session.in_cluster() => {
                    self.believe(session, done, table, key)
                }
                _ => Ok(done),
            },
            Err(error) => match witness {
                Some((table, key)) if is_ambiguous(session, error.kind) => {
                    if error.kind != DbErrorKind::Connection {
                        // It may be open still, and would see its own DELETE.
                        drop(session.rollback());
                    }
                    Err(Failure::Ambiguous(error, table, key, Box::new(done)))
                }
                _ => {
                    drop(session.rollback());
                    Err(sized(error, done.moved()).into())
                }
            },
        }
    }

    /// A Galera node says OK to a COMMIT that commits nothing, where the transaction had been rolled back before: the
    /// witness tells whether it has happened.
    fn believe(
        &self,
        session: &mut Session,
        done: Done,
        table: String,
        key: Key,
    ) -> Result<Done, Failure> {
        match is_gone(session, self.sql, &table, &key, false) {
            Ok(true) => Ok(done),
            Ok(false) => Err(Failure::of_empty_commit()),
            Err(error) => Err(Failure::Ambiguous(error, table, key, Box::new(done))),
        }
    }

    fn write(&self, session: &mut Session) -> Result<(Done, Option<(String, Key)>), Failure> {
        let (done, captured, chosen) = self.prepare(session)?;
        let mut exports = Vec::new();
        for (table, keys) in self.to_export(&captured, &chosen) {
            if let Some(member) = self.sql.graph.member(table) {
                exports.push(export::read(session, self.sql, member, table, &keys)?);
            }
        }
        for step in &done.steps {
            let touched = session.execute(&step.sql);
            let touched = touched.map_err(|error| sized(error, done.moved()))?;
            if let Some(expected) = step.expect.filter(|e| *e != touched) {
                let table = step.table.clone();
                return Err(Failure::Mismatch {
                    table,
                    expected,
                    found: touched,
                });
            }
        }
        // Last of all, so that a batch which the database refuses leaves nothing in the files.
        for export in exports {
            export.write()?;
        }
        let witness = chosen.first().and_then(|f| f.rows.first()).map(|index| {
            let row = captured.forest.row(*index);
            (row.table.clone(), row.key.clone())
        });
        Ok((done, witness))
    }

    /// Rows that will be nowhere else: of tables without shadow, and on request those of a purge.
    fn to_export<'c>(
        &self,
        captured: &'c Captured,
        chosen: &[Family],
    ) -> BTreeMap<&'c str, Vec<Key>> {
        let all = self.sql.graph.deletes_in_place && self.sql.options.export.is_some();
        plan::keys_by_table(&captured.forest, chosen, !all)
    }

    /// Everything but the writes.
    fn prepare(&self, session: &mut Session) -> Result<(Done, Captured, Vec<Family>), Failure> {
        let capture = Capture::new(
            session,
            self.sql,
            self.unindexed,
            self.gone,
            self.probe_shadow,
        );
        let beside = self
            .beside
            .iter()
            .map(|(member, keys)| (*member, keys.as_slice()));
        let roots: Vec<_> = std::iter::once((self.member, self.keys))
            .chain(beside)
            .collect();
        let mut captured = capture.read(&roots, self.kind)?;
        let mut done = Done::default();
        let mut free = Vec::new();
        for family in captured.forest.families() {
            match &family.hold {
                None => free.push(family),
                Some(Hold::Blocked(blocked)) if self.kind != RootKind::Waiting => {
                    done.blocked.push(blocked.clone());
                }
                // What a waiting root waits for was said when it began to wait.
                Some(Hold::Blocked(blocked) | Hold::Deferred(blocked)) => {
                    let roots = roots_of(&captured, &family, &self.member.table);
                    done.deferred
                        .extend(roots.into_iter().map(|key| (key, blocked.clone())));
                }
            }
        }
        if self.together {
            let vanished = captured.vanished.iter();
            done.blocked
                .extend(vanished.map(|(table, key)| gone_meanwhile(row_name(table, key))));
            if !done.blocked.is_empty() {
                free.clear();
            }
        }
        let (mut chosen, left) = fill(free, self.budget);
        let size: u64 = chosen.iter().map(|f| f.rows.len() as u64).sum();
        let mut over = left;
        if size > self.budget && !self.oversize {
            over.splice(0..0, chosen.drain(..));
        }
        for family in &over {
            done.left_over
                .extend(roots_of(&captured, family, &self.member.table));
        }
        self.count(&mut done, &captured, &chosen);
        done.steps = plan::steps(self.sql, &captured.forest, &chosen);
        Ok((done, captured, chosen))
    }

    fn count(&self, done: &mut Done, captured: &Captured, chosen: &[Family]) {
        done.families = chosen.len() as u64;
        for index in chosen.iter().flat_map(|f| &f.rows) {
            let row = captured.forest.row(*index);
            let counts = if row.drop {
                &mut done.dropped
            } else {
                &mut done.rows
            };
            *counts.entry(row.table.clone()).or_default() += 1;
            if self.sql.options.dry_run && self.sql.graph.may_block(&row.table) {
                let key = captured.forest.key_text(&row.key);
                done.gone.push((row.table.clone(), key));
            }
            done.roots += u64::from(row.from.is_none());
            done.api_keys.extend(captured.api_keys.get(index).cloned());
        }
        let gone: std::collections::HashSet<_> = chosen.iter().flat_map(|f| &f.rows).collect();
        for (row, table) in &captured.left_behind {
            if gone.contains(row) {
                *done.left_behind.entry(table.clone()).or_default() += 1;
            }
        }
    }
}

/// Whether a COMMIT that was answered with such an error may have happened. A node of a cluster that is parted from the
/// others may have sent them what it then refuses itself; only a lost conflict and a limit are the same everywhere.
fn is_ambiguous(session: &Session, kind: DbErrorKind) -> bool {
    let clear = matches!(kind, DbErrorKind::Retryable | DbErrorKind::TooLarge);
    kind == DbErrorKind::Connection || (session.in_cluster() && !clear)
}

/// What is too large is told with its size.
fn sized(mut error: DbError, rows: u64) -> DbError {
    if error.kind == DbErrorKind::TooLarge {
        error.message = format!(
            "{} (a transaction of {})",
            error.message,
            several(rows, "row")
        );
    }
    error
}

/// Whether a row is no longer there; `locked` waits for whoever may be deleting it.
pub(super) fn is_gone(
    session: &mut Session,
    sql: Sql<'_>,
    table: &str,
    key: &Key,
    locked: bool,
) -> Result<bool, DbError> {
    let Some(member) = sql.graph.member(table) else {
        return Ok(false);
    };
    let lock = match locked {
        true => sql.lock(None),
        false => String::new(),
    };
    let statement = format!(
        "SELECT 1 FROM {} t WHERE {}{lock}",
        sql.engine.quote(table),
        sql.key_in("t", &member.key, std::slice::from_ref(key))
    );
    Ok(session.query_row(&statement)?.is_none())
}

/// Keys of the family's roots in the table the batch started from.
fn roots_of(captured: &Captured, family: &Family, table: &str) -> Vec<Key> {
    let rows = family.rows.iter().map(|i| captured.forest.row(*i));
    rows.filter(|r| r.from.is_none() && r.table == table)
        .map(|r| r.key.clone())
        .collect()
}

/// The statements of a batch for people: one of each kind and table.
pub(super) fn describe(steps: &[Step]) -> Vec<String> {
    let mut shown: Vec<(Action, &str)> = Vec::new();
    let mut text = Vec::new();
    for step in steps {
        if !shown.contains(&(step.action, step.table.as_str())) {
            shown.push((step.action, &step.table));
            text.push(step.sql.clone());
        }
    }
    text
}
