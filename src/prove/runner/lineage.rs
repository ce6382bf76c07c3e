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
                    let columns = table.columns.iter();
                    let record = columns.map(|c| row.values.get(c).map(ToString::to_string));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of one connection, a statement a word, each at its point from 1; the main database's first
    /// connection unless the word begins with another one's name.
    fn sight(words: &str) -> Sight {
        let mut inside = std::collections::BTreeMap::new();
        let mut sight = Sight::default();
        for (index, word) in words.split(' ').enumerate() {
            let (connection, word) = match word.split_once(':') {
                Some((connection, word)) => (connection.parse().unwrap(), word),
                None => (0, word),
            };
            let kind = match word {
                "begin" => Kind::Begin,
                "read" => Kind::Read,
                "write" => Kind::Write,
                "commit" => Kind::Commit,
                "rollback" => Kind::Rollback,
                other => panic!("{other}"),
            };
            let point = index as u64 + 1;
            let open: &mut bool = inside.entry(connection).or_default();
            sight.trace.push(Passed {
                point: Some(point),
                database: "main".into(),
                connection,
                sql: word.into(),
                kind,
                outcome: "ok".into(),
                affected: 0,
                in_transaction: *open,
                committed: kind == Kind::Commit,
                identity: word.into(),
            });
            *open = match kind {
                Kind::Begin => true,
                Kind::Commit | Kind::Rollback => false,
                _ => *open,
            };
            if kind == Kind::Commit || kind == Kind::Write && !*open {
                sight.commits.push((point, State::default()));
            }
        }
        sight
    }

    fn excused(words: &str, point: u64) -> Option<u64> {
        concurrent(&sight(words), point).map(|(point, _)| *point)
    }

    /// What the transaction has read or written before may be older than the mark; nothing else may.
    #[test]
    fn only_the_transaction_that_was_at_work_is_excused() {
        let run = "read begin read write commit read begin write commit";
        let excused: Vec<_> = (1..=9).map(|point| excused(run, point)).collect();
        let (none, first, second) = (None, Some(5), Some(9));
        assert_eq!(
            excused,
            [none, none, none, first, first, none, none, none, second]
        );
    }

    #[test]
    fn what_is_rolled_back_explains_nothing() {
        let run = "begin read write rollback begin write write commit";
        assert_eq!(excused(run, 3), None);
        assert_eq!(excused(run, 7), Some(8));
    }

    #[test]
    fn a_statement_of_its_own_is_no_transaction_at_work() {
        assert_eq!(excused("read write read write", 2), None);
        assert_eq!(excused("read write read write", 4), None);
    }

    #[test]
    fn another_connection_is_not_at_work_in_it() {
        let run = "begin 1:read 1:begin read write 1:read 1:write 1:commit commit";
        // The first connection has done nothing yet when its read comes.
        assert_eq!(excused(run, 4), None);
        assert_eq!(excused(run, 5), Some(9));
        assert_eq!(excused(run, 6), None);
        assert_eq!(excused(run, 7), Some(8));
    }

    #[test]
    fn no_such_point_is_excused() {
        assert_eq!(excused("begin read commit", 4), None);
    }
}
