//! A run: table by table, batch by batch, until all that may move has moved or it is told to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::db::{AdvisoryLock, Session};
use crate::error::Result;
use crate::schema::{FamilyGraph, Member};

use super::around::run;
use super::capture::{Gone, RootKind};
use super::explain::remedy_of;
use super::forest::Key;
use super::name::row_name;
use super::options::{Observer, Options};
use super::outcome::{Blocked, LISTED_PER_REASON, Outcome, StopReason};
use super::pace::Pace;
use super::preflight::{check, check_owners};
use super::roots::{Roots, WINDOW};
use super::sql::Sql;
use super::stop::Stop;
use super::unindexed::slow_references;

/// Moves the soft-deleted families of one database to its shadow tables.
///
/// # Errors
///
/// Exit code 65 if there are no shadow tables or a row does not tell which row owns it, 64 if `drop_unshadowed` names
/// a table that is not there or has a shadow table, 75 if the database goes away for good (what was committed is
/// whole), 69 if it refuses or another archiver is at work in it.
pub fn archive(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    archive_abreast(session, &mut [], graph, options, stop, observer)
}

/// The same with more sessions of the same database, which work on other families at the same time. They are used
/// with `until_complete` alone, for a batch of each must not be more than what is asked for.
///
/// # Errors
///
/// As [`archive`].
pub fn archive_abreast(
    session: &mut Session,
    helpers: &mut [Session],
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    check(session.label(), graph, options)?;
    check_owners(session.label(), graph)?;
    let work = |run: &mut Run<'_>| run.families();
    run(session, helpers, graph, options, stop, observer, work)
}

/// Deletes the soft-deleted families of a service without shadow tables where they are, whole:
/// a family goes when all its rows are soft-deleted and older than `options.before`, and nothing
/// that stays refers to it. `graph` is made by [`FamilyGraph::in_place`].
///
/// # Errors
///
/// Exit code 65 if a row does not tell which row owns it, 75 if the database goes away for good
/// (what was committed is whole), 69 if it refuses or another archiver is at work in it.
pub fn purge_in_place(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    debug_assert!(graph.deletes_in_place);
    check_owners(session.label(), graph)?;
    let work = |run: &mut Run<'_>| run.families();
    run(session, &mut [], graph, options, stop, observer, work)
}

pub(super) struct Run<'a> {
    pub(super) session: &'a mut Session,
    pub(super) sql: Sql<'a>,
    pub(super) stop: &'a Stop<'a>,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) outcome: Outcome,
    /// More sessions of the same database, to work on other batches at the same time.
    pub(super) helpers: &'a mut [Session],
    pub(super) pace: Pace,
    /// How many rows a root brought with it so far, by table.
    pub(super) rows_per_root: BTreeMap<String, f64>,
    /// The table whose plan was shown last, in a dry run.
    pub(super) planned: Option<String>,
    /// In a dry run: what would be gone by now.
    pub(super) gone: Gone,
    /// Since when others hold a lock that is waited for.
    pub(super) held_up: Option<Instant>,
    /// Families that are known of, for those who watch.
    expected: u64,
    /// Why no further batch may begin.
    pub(super) halted: Option<StopReason>,
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
            helpers: &mut [],
            pace: Pace::new(options),
            rows_per_root: BTreeMap::new(),
            planned: None,
            gone: Gone::new(),
            held_up: None,
            expected: 0,
            halted: None,
            lock: None,
        }
    }

    /// All families, after a word on what will be slow.
    fn families(&mut self) -> Result<()> {
        let graph = self.sql.graph;
        // Like every other question of a run: again where the connection is lost or others hold a lock.
        for slow in self.reading(|session| slow_references(session, graph))? {
            self.observer.notice(&slow);
        }
        self.all()
    }

    /// Passes over all tables, until nothing moves any more: what blocks a family may itself move
    /// later in the same pass. Without blocked families one pass is enough; where a pass has left the same ones as
    /// that before it, what it moved has come meanwhile, and more may come for ever.
    fn all(&mut self) -> Result<()> {
        let mut estimates = self.observer.wants_estimate();
        if estimates {
            let graph = self.sql.graph;
            for table in graph.root_order() {
                if graph.owners(table).next().is_none() {
                    self.estimate(table)?;
                }
            }
        }
        let mut left = None;
        loop {
            let before = self.outcome.total_rows;
            self.pass(std::mem::take(&mut estimates))?;
            let again = self.outcome.total_rows > before && self.outcome.has_blocked();
            if !again || self.halted.is_some() || self.sql.options.dry_run {
                return Ok(());
            }
            let listed = self.outcome.blocked.iter().map(|b| b.root.clone());
            let blocked = (
                self.outcome.blocked_families.clone(),
                listed.collect::<BTreeSet<_>>(),
            );
            if left.as_ref() == Some(&blocked) {
                return Ok(());
            }
            left = Some(blocked);
            self.outcome.blocked.clear();
            self.outcome.blocked_families.clear();
        }
    }

    /// Counts the roots of a table, for those who watch. Of a table that others own only when its turn comes: until
    /// then nearly all its rows are asked about, one by one, and are no roots.
    fn estimate(&mut self, table: &str) -> Result<()> {
        let member = self.sql.graph.member(table);
        if let Some(member) = member.filter(|m| m.obstacle.is_none()) {
            let statement = self.sql.count(member);
            let count = self.reading(|session| session.query_count(&statement))?;
            self.expected += u64::try_from(count).unwrap_or(0);
            self.observer.expects(self.expected);
        }
        Ok(())
    }

    fn pass(&mut self, estimates: bool) -> Result<()> {
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
                    if estimates && self.sql.graph.owners(table).next().is_some() {
                        self.estimate(table)?;
                    }
                    let waiting = self.table(member, Roots::of_table())?;
                    deferred.entry(table).or_default().extend(waiting);
                }
            }
        }
        self.again(deferred)?;
        self.stragglers()
    }

    /// Families that waited for others: tried again, with what they waited for, as long as
    /// anything moves. Those that wait still are blocked; how they are called.
    pub(super) fn again(
        &mut self,
        mut deferred: BTreeMap<&'a str, Vec<(Key, Blocked)>>,
    ) -> Result<BTreeSet<String>> {
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
                return Ok(BTreeSet::new());
            }
            if self.outcome.total_rows == before {
                let mut told = BTreeSet::new();
                for (table, waiting) in deferred {
                    for (key, why) in waiting {
                        told.insert(row_name(table, &key));
                        self.outcome.block(why);
                    }
                }
                return Ok(told);
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
                let keys = self.reading(|session| session.query(&statement))?;
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

    /// Soft-deleted roots of a table that has no way into a shadow table.
    fn obstructed(&mut self, member: &Member) -> Result<()> {
        let Some(obstacle) = &member.obstacle else {
            return Ok(());
        };
        let statement = self.sql.count(member);
        let count = self.reading(|session| session.query_count(&statement))?;
        if count == 0 {
            return Ok(());
        }
        let names = match member.key.as_slice() {
            [] => vec![member.table.clone()],
            _ => {
                let statement = self.sql.candidates(member, None, LISTED_PER_REASON);
                let keys = self.reading(|session| session.query(&statement))?;
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
            let (count, listed) = self.reading(|session| {
                let (mut count, mut listed) = (0, Vec::new());
                session.query_each(&statement, |key| {
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
                Ok((count, listed))
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
