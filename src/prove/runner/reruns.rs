//! Runs that nothing disturbs: those after a case, and the one by which a writer's cases are measured.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::archiver::Ended;
use super::super::case::{Case, Judged};
use super::super::injector::{Orders, Passed};
use super::super::oracle::Lineage;
use super::super::state::State;
use super::super::writer::{Action, Change};
use super::bench::left;
use super::{Reference, Runner, UNDISTURBED};
use crate::error::{Error, Result};

/// Reruns until an engine has to say that it is done.
const RERUNS: usize = 4;

/// What a rerun does.
pub(in super::super) struct Rerun {
    pub(in super::super) statements: Vec<Passed>,
    pub(in super::super) operations: Vec<String>,
}

impl Runner {
    /// What an undisturbed run makes of the world with the writer's change made beforehand.
    pub(super) fn prepare(&mut self, action: Action) -> Result<()> {
        if self.by_action.contains_key(&action) {
            return Ok(());
        }
        let Some(change) = Change::of(action, &self.world, &self.stage.graph) else {
            return Ok(());
        };
        self.stage.reset(Some(&change.applied_to(&self.world)))?;
        let start = self.stage.state()?;
        let (mut ran, sight) = self.go(
            Orders {
                observe_all: true,
                ..Orders::default()
            },
            None,
        )?;
        for _ in 0..RERUNS {
            if ran.ended.is_done() {
                break;
            }
            ran = self.go(Orders::default(), None)?.0;
        }
        let end = self.stage.state()?;
        let mut movable = self.may_go(&start);
        if self.stage.shape.is_strict() {
            // Marked or live, a row makes one family of others: what has gone before the writer came was
            // free by the rows as they were.
            movable.extend(self.base()?.movable.iter().cloned());
        }
        let mut moves = self.may_heal(&start);
        // What comes back to a row that is marked meanwhile goes again with it.
        moves
            .returned
            .extend(self.base()?.moves.returned.iter().cloned());
        let reference = Reference {
            stuck: left(&self.stage, &start, &end, UNDISTURBED),
            id: start.digest(),
            movable,
            moves,
            start,
            end,
            trace: Vec::new(),
            victims: BTreeMap::new(),
            touches: BTreeMap::new(),
            commits: sight.commits,
        };
        self.by_action.insert(action, Arc::new(reference));
        Ok(())
    }

    /// Runs again, undisturbed, until the engine says that it is done; the state then. `calm`, whether the run
    /// before was undisturbed too. Each of these runs
    /// is judged like the first one, and what it said of itself too. `found` is what a writer has found.
    pub(super) fn rerun(
        &mut self,
        judged: &mut Judged,
        lineage: &mut Lineage,
        reference: &Reference,
        (before, mut last, mut calm): (&State, Ended, bool),
        (alone, found): (bool, Option<&State>),
    ) -> Result<State> {
        let mut state = before.clone();
        for _ in 0..RERUNS {
            let orders = Orders {
                observe_all: true,
                ..Orders::default()
            };
            let run = self.runs.as_ref().map_or(judged.ran.len(), Vec::len);
            let (ran, sight) = self.go(orders, None)?;
            let after = self.stage.state()?;
            let mut bench = self.bench(judged, reference);
            bench.alone = alone;
            bench.found = found;
            bench.run(lineage, run, &sight, &after, (0, reference));
            bench.lasting(None, &sight, 0, &after);
            // A family that a fault has held back is blocked, and free in the next run.
            if last == Ended::Done || calm && last == Ended::Blocked {
                bench.hasty(&state, &after, &ran);
            }
            bench.truthful(&state, &after, &ran);
            if alone {
                bench.candid(&after, &ran);
            }
            (last, calm) = (ran.ended.clone(), alone);
            judged.ran.push(ran);
            state = after;
            if last.is_done() {
                break;
            }
        }
        Ok(state)
    }

    /// What the rerun after this case has to be hit at: its statements, and its operations on files.
    ///
    /// # Errors
    ///
    /// If the case's fault does not fire, as it did when it was judged (exit code 70).
    pub(in super::super) fn rerun_after(&mut self, case: &Case) -> Result<Rerun> {
        self.stage.reset(None)?;
        let orders = self.base()?.orders(case);
        let (_, sight) = self.go(orders, case.fault.as_ref())?;
        if case.fault.is_some() && !sight.fired {
            return Err(Error::internal(
                "a fault that fired did not fire when its case was run again for second faults",
            ));
        }
        // Whoever judges reads it too, and thereby makes good what a death left in the files.
        self.stage.state()?;
        let orders = Orders {
            trace: true,
            ..Orders::default()
        };
        let (_, sight) = self.go(orders, None)?;
        let seen = self.stage.vfs().map(|vfs| vfs.seen().operations);
        let operations = seen.unwrap_or_default();
        Ok(Rerun {
            statements: sight.trace,
            operations: operations.iter().map(ToString::to_string).collect(),
        })
    }

    pub(super) fn idempotent(
        &mut self,
        judged: &mut Judged,
        reference: &Reference,
        end: &State,
    ) -> Result<()> {
        self.go(Orders::default(), None)?;
        let again = self.stage.state()?;
        self.bench(judged, reference).idempotent(end, &again);
        Ok(())
    }
}
