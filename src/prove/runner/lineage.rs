//! What a writer's doing explains of what lies apart.

use super::super::case::Case;
use super::super::injector::{Passed, Sight};
use super::super::normal::Kind;
use super::super::oracle::Lineage;
use super::super::state::{Record, Shape, State};
use super::super::writer::{Action, Change};
use super::{Reference, Runner};
use crate::db::Value;

impl Runner {
    /// What is explained before a case is judged, that had `sight` as its first run.
    pub(super) fn lineage(&self, case: &Case, base: &Reference, sight: &Sight) -> Lineage {
        let shape = &self.stage.shape;
        let mut lineage = Lineage::from(shape, &base.start);
        let Some(writer) = &case.writer else {
            return lineage;
        };
        for (_, state) in base
            .commits
            .iter()
            .filter(|(point, _)| *point < writer.point)
        {
            // What an undisturbed run's earlier commits explain stays explained; what they break is
            // case 0's failure, not this one's.
            lineage.judge(shape, state);
        }
        match Change::of(writer.action, &self.world, &self.stage.graph) {
            Some(Change::Insert(row)) => {
                if let Some(table) = shape.table(&row.table) {
                    let table = &shape.tables[table];
                    let record = table
                        .columns
                        .iter()
                        .map(|c| row.values.get(c).map(ToString::to_string));
                    lineage.excuse_insert(shape, &table.row_name(&record.collect()));
                }
            }
            Some(Change::Update { table, key, .. }) if writer.action == Action::SoftDelete => {
                // A transaction that had read or written something when the row was marked may come before that
                // or after it: it locks no living row only because one of its children was deleted.
                if let Some((_, state)) = concurrent(sight, writer.point)
                    && let Some(before) = unmarked(shape, &base.start, state, &table, &key)
                {
                    lineage.judge(shape, &before);
                }
            }
            _ => {}
        }
        lineage
    }
}

/// The commit of the transaction that was at work already when this statement was about to come.
fn concurrent(sight: &Sight, point: u64) -> Option<&(u64, State)> {
    let at = sight.trace.iter().position(|p| p.point == Some(point))?;
    let own = |passed: &&Passed| {
        let held = &sight.trace[at];
        (&passed.database, passed.connection) == (&held.database, held.connection)
    };
    let ends =
        |passed: &&Passed| matches!(passed.kind, Kind::Begin | Kind::Commit | Kind::Rollback);
    let works = |passed: &&Passed| matches!(passed.kind, Kind::Read | Kind::Write);
    let last = sight.trace[..at].iter().filter(own).rev();
    let begun = sight.trace[at].in_transaction && last.take_while(|p| !ends(p)).any(|p| works(&p));
    let end = sight.trace[at..].iter().filter(own).find(ends)?;
    let committed = end.point.filter(|_| begun && end.kind == Kind::Commit)?;
    sight.commits.iter().find(|(point, _)| *point == committed)
}

/// The state with that row as it was at the start.
fn unmarked(
    shape: &Shape,
    start: &State,
    state: &State,
    table: &str,
    key: &[(String, Value)],
) -> Option<State> {
    let index = shape.table(table)?;
    let columns = &shape.tables[index].columns;
    let is_it = |record: &Record| {
        key.iter().all(|(column, value)| {
            let at = columns.iter().position(|c| c == column);
            at.is_some_and(|at| record[at].as_deref() == Some(value.to_string().as_str()))
        })
    };
    let was = start.tables[index].live.iter().find(|r| is_it(r))?;
    let mut state = state.clone();
    let is = state.tables[index].live.iter_mut().find(|r| is_it(r))?;
    is.clone_from(was);
    Some(state)
}
