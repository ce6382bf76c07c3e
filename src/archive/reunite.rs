//! Moves rows that are named one by one, each with all of its family, to where the rest of it is.

use std::collections::BTreeMap;

use crate::db::{Session, Value};
use crate::error::Result;
use crate::schema::FamilyGraph;

use super::capture::RootKind;
use super::forest::row_name;
use super::options::{Observer, Options};
use super::outcome::{Blocked, Outcome};
use super::preflight::check_owners;
use super::restore::by_live_table;
use super::roots::Roots;
use super::run::{Run, run};
use super::stop::Stop;

/// Which way rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    /// Soft-deleted live rows to the shadow tables, with what owns them.
    Archive,
    /// Live rows, whatever their marker says, after their parent into the shadow tables.
    Follow,
    /// Rows of the shadow tables to the live ones, with what owns them.
    Return,
}

/// Moves the families of these rows, by table (by shadow table for those that come back), batch by batch. What is in the
/// way of one holds up no other.
///
/// # Errors
///
/// As [`super::archive`].
pub(crate) fn reunite(
    session: &mut Session,
    graph: &FamilyGraph,
    direction: Direction,
    rows: BTreeMap<String, Vec<Vec<Value>>>,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    check_owners(session.label(), graph)?;
    let options = &Options {
        until_complete: true,
        ..options.clone()
    };
    let kind = match direction {
        Direction::Archive | Direction::Return => RootKind::Named,
        Direction::Follow => RootKind::Straggler,
    };
    let work = |run: &mut Run<'_>| run.each(kind, rows);
    match direction {
        Direction::Archive | Direction::Follow => {
            run(session, &mut [], graph, options, stop, observer, work)
        }
        Direction::Return => {
            let back = graph.returning();
            let outcome = run(session, &mut [], &back, options, stop, observer, work)?;
            Ok(by_live_table(outcome, &back))
        }
    }
}

impl Run<'_> {
    fn each(&mut self, kind: RootKind, rows: BTreeMap<String, Vec<Vec<Value>>>) -> Result<()> {
        let graph = self.sql.graph;
        let mut deferred = BTreeMap::new();
        for (table, keys) in rows {
            let Some(member) = graph.member(&table) else {
                continue;
            };
            let Some(obstacle) = &member.obstacle else {
                let waiting = self.table(member, Roots::given(kind, keys))?;
                deferred.insert(member.table.as_str(), waiting);
                continue;
            };
            for key in keys {
                let root = row_name(&table, &key);
                self.outcome.block(Blocked {
                    reason: obstacle.reason().into(),
                    path: vec![root.clone(), obstacle.to_string()],
                    root,
                    remedy: super::explain::remedy_of(self.sql, member),
                });
            }
        }
        self.again(deferred)
    }
}
