//! Oracles at work on one case.

use std::collections::BTreeSet;

use super::super::archiver::{Ended, Ran};
use super::super::case::Judged;
use super::super::evidence::When;
use super::super::healing::unhealed;
use super::super::injector::Sight;
use super::super::model::free_rows;
use super::super::oracle::{
    Breach, Lineage, Oracle, api_consistent, conserved, durable, healed, idempotent, same,
    untouched,
};
use super::super::stage::Stage;
use super::super::state::{Shape, Sides, State, TableShape};
use super::{Reference, Runner};

/// What oracles need to judge a case, and where they put what they say.
pub(super) struct Bench<'a> {
    pub(super) runner: &'a Runner,
    pub(super) reference: &'a Reference,
    pub(super) judged: &'a mut Judged,
    /// Whether counts can be held against the engine.
    pub(super) counted: bool,
    /// Whether the engine has the database to itself.
    pub(super) alone: bool,
    /// What a concurrent writer has found.
    pub(super) found: Option<&'a State>,
}

impl Bench<'_> {
    pub(super) fn ask(&mut self, oracle: Oracle) -> bool {
        let asked = self.runner.oracles.contains(&oracle);
        if asked {
            self.judged.asked.insert(oracle);
        }
        asked
    }

    pub(super) fn say(&mut self, breaches: Vec<Breach>) {
        for breach in breaches {
            let known = self.judged.breaches.iter();
            let fingerprint = breach.fingerprint();
            if !known.map(Breach::fingerprint).any(|f| f == fingerprint) {
                if let Some(evidence) = &mut self.judged.evidence {
                    evidence.breach(&fingerprint);
                }
                self.judged.breaches.push(breach);
            }
        }
    }

    /// What must hold in every committed state of a run and at its end. The states up to the statement
    /// before which a writer acted are measured by the run without it.
    pub(super) fn run(
        &mut self,
        lineage: &mut Lineage,
        run: usize,
        sight: &Sight,
        after: &State,
        (written, unwritten): (u64, &Reference),
    ) {
        for (point, state) in &sight.commits {
            let when = When::Commit { run, point: *point };
            let reference = match written <= *point {
                true => self.reference,
                false => unwritten,
            };
            self.moment_by(reference, lineage, state, when);
        }
        self.moment(lineage, after, When::End { run });
        self.agreed(after, &sight.nodes);
    }

    /// Every node of a cluster holds what ours does.
    pub(super) fn agreed(&mut self, ours: &State, nodes: &[(usize, State)]) {
        for (node, state) in nodes {
            if self.ask(Oracle::Durable) {
                let shape = &self.runner.stage.shape;
                let told = |mut breach: Breach| {
                    breach.what = format!("other rows at node {node}: {}", breach.what);
                    breach
                };
                let mut breaches = same(Oracle::Durable, shape, ours, state);
                let api = shape.api.iter().zip(ours.api.iter().zip(&state.api));
                let differ = api.filter(|(_, (ours, theirs))| ours != theirs);
                breaches.extend(
                    differ.map(|((name, _), _)| {
                        Breach::new(Oracle::Durable, name, "other API records")
                    }),
                );
                self.say(breaches.into_iter().map(told).collect());
            }
        }
    }

    /// What must hold in every committed state.
    pub(super) fn moment(&mut self, lineage: &mut Lineage, state: &State, when: When) {
        self.moment_by(self.reference, lineage, state, when);
    }

    fn moment_by(
        &mut self,
        reference: &Reference,
        lineage: &mut Lineage,
        state: &State,
        when: When,
    ) {
        let shape = &self.runner.stage.shape;
        if let Some(evidence) = &mut self.judged.evidence {
            evidence.moment(when, state);
        }
        let asked = [Oracle::Whole, Oracle::Conserved, Oracle::Untouched].map(|o| self.ask(o));
        // Thousands of cases go through the same few states, and without a writer what is said of one
        // does not depend on the way to it.
        let known = (reference.id, state.digest());
        if self.alone && self.runner.sound.borrow().contains(&known) {
            return;
        }
        let mut breaches = Vec::new();
        if asked[0] {
            breaches.extend(lineage.judge(shape, state));
        }
        if asked[1] && shape.repairs {
            breaches.extend(healed::conserved(
                shape,
                &reference.start,
                self.found,
                state,
            ));
        } else if asked[1] {
            breaches.extend(conserved(shape, &reference.start, state));
        }
        if asked[2] && shape.repairs {
            let (start, moves) = (&reference.start, &reference.moves);
            breaches.extend(healed::untouched(shape, start, moves, self.found, state));
        } else if asked[2] {
            let (start, movable) = (&reference.start, &reference.movable);
            breaches.extend(untouched(shape, start, movable, state));
        }
        if breaches.is_empty() && self.alone {
            self.runner.sound.borrow_mut().insert(known);
        }
        self.say(breaches);
    }

    /// What was acknowledged before the fault, or seen committed after it, is there to the end. The first
    /// `known` commits are those that were acknowledged.
    pub(super) fn lasting(
        &mut self,
        acknowledged: Option<&State>,
        sight: &Sight,
        known: u64,
        after: &State,
    ) {
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let seen = sight.commits.iter().skip(known).map(|(_, state)| state);
        if let Some(acknowledged) = acknowledged {
            for state in seen.clone().chain([after]) {
                self.durable(acknowledged, state);
            }
        }
        for state in seen {
            self.durable(state, after);
        }
    }

    fn durable(&mut self, acknowledged: &State, found: &State) {
        if self.ask(Oracle::Durable) {
            let shape = &self.runner.stage.shape;
            let breaches = match shape.repairs {
                // What lay there before may come back, or go for good.
                true => {
                    let new = healed::without_shadows_of(&self.reference.start, acknowledged);
                    durable(shape, &new, found)
                }
                false => durable(shape, acknowledged, found),
            };
            self.say(breaches);
        }
    }

    /// What the engine says of its run against what has happened.
    pub(super) fn truthful(&mut self, before: &State, after: &State, ran: &Ran) {
        // What says nothing cannot lie.
        if self.counted && ran.rows.is_some() && self.ask(Oracle::Truthful) {
            let shape = &self.runner.stage.shape;
            self.say(match (&ran.rows, shape.repairs) {
                (Some(rows), true) => {
                    healed::claims(shape, &self.reference.moves, before, after, rows)
                }
                _ => claims(shape, before, after, ran),
            });
        }
    }

    /// How the engine says that a run ended which nothing disturbed.
    pub(super) fn candid(&mut self, after: &State, ran: &Ran) {
        if self.ask(Oracle::Truthful) {
            let stranded = self.stranded(after);
            let stage = &self.runner.stage;
            // Of what is left to people it may say what it likes.
            let silent = stage.shape.repairs && matches!(ran.ended, Ended::Blocked);
            if !silent {
                self.say(candid(&stage.shape, after, ran, stranded));
            }
        }
    }

    /// A run that said it was done, and the next one found more. Only of engines that print counts.
    pub(super) fn hasty(&mut self, before: &State, after: &State, ran: &Ran) {
        if ran.rows.is_some() && self.ask(Oracle::Truthful) {
            let shape = &self.runner.stage.shape;
            self.say(match shape.repairs {
                true => healed::hasty(shape, before, after),
                false => hasty(shape, before, after),
            });
        }
    }

    pub(super) fn idempotent(&mut self, end: &State, again: &State) {
        if self.ask(Oracle::Idempotent) {
            self.say(idempotent(&self.runner.stage.shape, end, again));
        }
    }

    pub(super) fn convergent(&mut self, end: &State) {
        if self.ask(Oracle::Convergent) {
            let shape = &self.runner.stage.shape;
            self.say(same(Oracle::Convergent, shape, &self.reference.end, end));
            self.say(self.reference.stuck.clone());
        }
    }

    /// What must hold once the engine is done.
    pub(super) fn final_state(&mut self, end: &State) {
        if self.runner.has_records() && self.ask(Oracle::ApiConsistent) {
            self.say(self.records(end));
        }
    }

    /// Whether anything is wrong with the API records of a state.
    fn stranded(&self, state: &State) -> bool {
        self.runner.has_records() && !self.records(state).is_empty()
    }

    fn records(&self, state: &State) -> Vec<Breach> {
        let (stage, world) = (&self.runner.stage, &self.runner.world);
        let records = world.profile.api.iter();
        records
            .flat_map(|r| api_consistent(&stage.shape, r, &self.reference.start, state))
            .collect()
    }

    /// What an undisturbed run was for, and has not done.
    pub(super) fn stuck(&mut self) {
        if self.ask(Oracle::Convergent) {
            self.say(self.reference.stuck.clone());
        }
    }

    /// Like [`convergent`](Self::convergent), for a writer that marks a root deleted or live: a marked
    /// child may go before its parent is marked, or stay with it after, so the end state of an
    /// undisturbed run is not the only one to expect; one in which nothing free is left will do.
    pub(super) fn settled(&mut self, end: &State) {
        let stage = &self.runner.stage;
        if !self.ask(Oracle::Convergent) {
            return;
        }
        if !same(Oracle::Convergent, &stage.shape, &self.reference.end, end).is_empty() {
            self.say(left(stage, end, end, "after the rerun"));
        }
    }
}

/// Rows that the reference model calls free in the one state and that are live in the other.
pub(super) fn left(stage: &Stage, at: &State, end: &State, when: &str) -> Vec<Breach> {
    let (graph, shape) = (&stage.graph, &stage.shape);
    if shape.repairs {
        return unhealed(graph, shape, end, when);
    }
    let free: BTreeSet<_> = free_rows(graph, shape, at).into_iter().collect();
    let breach = |(table, sides): (&TableShape, &Sides)| {
        let names = sides.live.iter().map(|r| table.row_name(r));
        let stuck: Vec<_> = names.filter(|name| free.contains(name)).collect();
        let first = stuck.first()?;
        let what = format!(
            "{} rows that nothing holds back are still live {when}: {first} ...",
            stuck.len()
        );
        Some(Breach::new(Oracle::Convergent, &table.name, what))
    };
    let tables = shape.tables.iter().zip(&end.tables);
    tables.filter_map(breach).collect()
}

/// An engine that said it was done, and had more to do.
fn hasty(shape: &Shape, before: &State, after: &State) -> Vec<Breach> {
    let (was, is) = (before.archived(shape), after.archived(shape));
    let more = |(table, now): (&String, &u64)| {
        let moved = now.saturating_sub(was.get(table).copied().unwrap_or(0));
        let what = format!("said that it was done; the next run moved {moved} rows more");
        (moved > 0).then(|| Breach::new(Oracle::Truthful, table, what))
    };
    let moved = is.iter().find_map(more);
    let mut tables = shape.api.iter().zip(before.api.iter().zip(&after.api));
    let changed = || {
        let ((name, _), _) = tables.find(|(_, (was, is))| was != is)?;
        let what = format!("said that it was done; the next run changed records of {name}");
        Some(Breach::new(Oracle::Truthful, name, what))
    };
    moved.or_else(changed).into_iter().collect()
}

/// What an engine says of its end, where nothing has disturbed it, against what is left to do.
fn candid(shape: &Shape, after: &State, ran: &Ran, stranded: bool) -> Vec<Breach> {
    let tables = shape.tables.iter().zip(&after.tables);
    let mut marked = tables.flat_map(|(table, sides)| {
        let rows = sides.live.iter().filter(|row| table.is_marked(row));
        rows.map(|row| table.row_name(row))
    });
    let what = match &ran.ended {
        Ended::Blocked => "says that families are blocked",
        Ended::Failed(_) if !stranded => "says that it failed, though nothing disturbed it",
        _ => return Vec::new(),
    };
    // Whatever is left may be its reason.
    if marked.next().is_some() {
        return Vec::new();
    }
    let what = format!("{what}; no soft-deleted row is left ({})", ran.ended);
    vec![Breach::new(Oracle::Truthful, "exit code", what)]
}

/// Counts that the engine gives against rows that came into the shadow tables.
fn claims(shape: &Shape, before: &State, after: &State, ran: &Ran) -> Vec<Breach> {
    let Some(rows) = &ran.rows else {
        return Vec::new();
    };
    let (was, is) = (before.archived(shape), after.archived(shape));
    let mut wrong = Vec::new();
    for (table, claimed) in rows.iter().filter(|(_, n)| **n > 0) {
        let is_it = |t: &TableShape| t.name == *table || t.shadow.as_ref() == Some(table);
        if !shape.tables.iter().any(is_it) {
            let what = format!("says {claimed} rows of {table}, which is no table");
            wrong.push(Breach::new(Oracle::Truthful, table, what));
        }
    }
    for (table, now) in &is {
        let moved = now.saturating_sub(was.get(table).copied().unwrap_or(0));
        let claimed = rows.get(table).copied().unwrap_or(0);
        if moved != claimed {
            let what = format!("says {claimed} rows, moved {moved}");
            wrong.push(Breach::new(Oracle::Truthful, table, what));
        }
    }
    wrong
}
