//! Makes a failing case smaller while it fails in the same way.
//!
//! Greedy and in a fixed order, so that the same case gives the same smaller one: something is left
//! out, the undisturbed run is made again on what is left, the fault goes where its statement is now,
//! and if the oracle says no at the same place, it stays left out. Rows go first, as all else gets
//! faster with fewer of them; tables last, as most engines know which tables there are.

mod cut;
mod goal;
mod places;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use self::cut::{Rows, idle_tables, without_tables};
use self::goal::{Goal, Meter};
use super::archiver::EngineOptions;
use super::campaign::{Engines, Watch};
use super::case::{Case, Judged};
use super::oracle::Breach;
use super::replay::{Rig, SetUp};
use super::scenario::Scenario;
use super::stage::Ground;
use super::world::World;
use crate::error::Result;

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Wall time.
    pub time: Duration,
    /// Cases, undisturbed ones included.
    pub tries: u64,
}

impl Default for Budget {
    /// Plenty on SQLite; on a server, and for a program of its own, what there is patience for.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            tries: 5_000,
        }
    }
}

/// A failing case that has been made smaller.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The smaller case.
    pub scenario: Scenario,
    /// What came of it when it was run once more at the end, with [`Judged::evidence`].
    pub judged: Judged,
    /// The breach that it was all about.
    pub breach: Breach,
    /// Cases that were tried.
    pub tries: u64,
    /// Whether nothing was left to try within the budget.
    pub finished: bool,
}

/// Makes a case smaller that fails with this fingerprint ([`Breach::fingerprint`]).
///
/// Where the undisturbed run already fails like that, the fault is left out. Where it does not, it
/// must not in the smaller world either: there the engine would fail for another reason.
///
/// # Errors
///
/// Exit code 65 if the case does not fail like that when it is run again; else where the database or
/// the harness fails.
pub fn shrink(
    scenario: &Scenario,
    fingerprint: &str,
    engines: &dyn Engines,
    budget: Budget,
) -> Result<Shrunk> {
    let mut ground = Ground::new(scenario.database)?;
    shrink_on(&mut ground, scenario, fingerprint, engines, budget, &())
}

/// The same on a ground that is there; at an end too when `watch` says so.
pub(super) fn shrink_on(
    ground: &mut Ground,
    scenario: &Scenario,
    fingerprint: &str,
    engines: &dyn Engines,
    budget: Budget,
    watch: &dyn Watch,
) -> Result<Shrunk> {
    let mut meter = Meter::new(budget, watch);
    let mut rig = Rig::new(ground, engines);
    let up = rig.set_up(scenario)?;
    let mut goal = Goal::new(fingerprint, &up.calm, scenario.database.engine());
    let judged = up.judge(&scenario.case, false)?;
    goal.fired = judged.fired;
    if !goal.reached(&judged) {
        return Err(goal.missed());
    }
    meter.tries += 1;
    let mut shrinker = Shrinker {
        rig,
        goal,
        meter,
        best: scenario.clone(),
    };
    shrinker.go();
    shrinker.confirm(scenario)
}

struct Shrinker<'a> {
    rig: Rig<'a>,
    goal: Goal,
    meter: Meter<'a>,
    /// The smallest case so far.
    best: Scenario,
}

impl Shrinker<'_> {
    fn go(&mut self) {
        self.fewer_parts();
        if self.best.case.power_loss.is_some() {
            // Hundreds of images for each world: a kill, if it does, is much quicker to place.
            self.simpler_fault();
        }
        self.without_api();
        self.fewer_rows(false);
        if self.best.case != Case::default() {
            self.fewer_rows(true);
        }
        self.smaller_batches();
        self.simpler_fault();
        self.fewer_rows(false);
        self.fewer_tables();
        let usual = EngineOptions::default();
        self.with_options(EngineOptions {
            max_rows: usual.max_rows,
            ..self.best.options.clone()
        });
        self.with_options(EngineOptions {
            before: None,
            ..self.best.options.clone()
        });
    }

    fn with_options(&mut self, options: EngineOptions) {
        if self.best.options != options {
            self.attempt(
                Scenario {
                    options,
                    ..self.best.clone()
                },
                false,
            );
        }
    }

    /// Takes the candidate, with its fault at the first place where it does it, if it fails in the
    /// same way. Where the harness cannot even set it up, it does not.
    fn attempt(&mut self, candidate: Scenario, everywhere: bool) -> bool {
        match self.find(&candidate, everywhere) {
            Ok(Some(case)) => {
                self.best = Scenario { case, ..candidate };
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    fn find(&mut self, candidate: &Scenario, everywhere: bool) -> Result<Option<Case>> {
        if !self.meter.take() {
            return Ok(None);
        }
        let up = self.rig.set_up(candidate)?;
        if !self.goal.allows(&up.calm) {
            return Ok(None);
        }
        if candidate.case == Case::default() {
            return Ok(self.goal.reached(&up.calm).then(Case::default));
        }
        for case in places::places(&candidate.case, everywhere, up)? {
            if let Some(found) = strike(up, &self.goal, &mut self.meter, &case)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Takes the first of these cases, on the same world, that fails in the same way.
    fn first_of(&mut self, cases: Vec<Case>) -> Result<bool> {
        for case in cases {
            let up = self.rig.set_up(&self.best)?;
            if let Some(case) = strike(up, &self.goal, &mut self.meter, &case)? {
                self.best.case = case;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn fewer_parts(&mut self) {
        if self.goal.calm_fails {
            self.best.case = Case::default();
        }
        while let Ok(true) = self.first_of(places::fewer(&self.best.case)) {}
    }

    fn simpler_fault(&mut self) {
        let cases = match self.rig.set_up(&self.best) {
            Ok(up) => places::simpler(&self.best.case, up),
            Err(error) => Err(error),
        };
        // What cannot be listed cannot be tried; the case stays as it is.
        drop(cases.and_then(|cases| self.first_of(cases)));
    }

    fn with_world(&self, world: World) -> Scenario {
        Scenario {
            world: Arc::new(world),
            ..self.best.clone()
        }
    }

    fn without_api(&mut self) {
        if self.best.world.api.is_some() {
            let world = World {
                api: None,
                ..World::clone(&self.best.world)
            };
            let candidate = self.with_world(world);
            self.attempt(candidate, false);
        }
    }

    /// One family alone, whichever does it; then without each row and what refers to it.
    fn fewer_rows(&mut self, everywhere: bool) {
        let world = Arc::clone(&self.best.world);
        let Ok(rows) = Rows::of(&world) else {
            return;
        };
        let families = rows.families();
        for family in families.iter().filter(|_| families.len() > 1) {
            let others = families.iter().filter(|other| *other != family);
            let gone = rows.falling(others.flatten().copied());
            let candidate = self.with_world(rows.without(&world, &gone));
            if self.attempt(candidate, everywhere) {
                break;
            }
        }
        while self.without_rows(everywhere) && !self.meter.spent {}
    }

    /// Leaves out every row once; whether that helped.
    fn without_rows(&mut self, everywhere: bool) -> bool {
        let (mut helped, mut next) = (false, 0);
        while let Ok(rows) = Rows::of(&self.best.world) {
            let falls = rows.falls();
            let Some(gone) = falls.get(next) else {
                break;
            };
            let candidate = self.with_world(rows.without(&self.best.world, gone));
            match self.attempt(candidate, everywhere) {
                true => helped = true,
                false => next += 1,
            }
        }
        helped
    }

    /// Fewer rows in a batch, if that makes fewer rows do: a family that is cut at the batch's end
    /// needs no more than two.
    fn smaller_batches(&mut self) {
        let before = self.best.clone();
        for max_rows in [1, 2, 4] {
            if max_rows >= before.options.max_rows || rows_of(&before.world) <= 2 {
                return;
            }
            let options = EngineOptions {
                max_rows,
                ..before.options.clone()
            };
            if self.attempt(
                Scenario {
                    options,
                    ..before.clone()
                },
                true,
            ) {
                self.fewer_rows(false);
                if rows_of(&self.best.world) < rows_of(&before.world) {
                    return;
                }
            }
            self.best = before.clone();
        }
    }

    /// Without the tables that nothing needs: all of them, or one after the other.
    fn fewer_tables(&mut self) {
        let mut kept = BTreeSet::new();
        let idle = idle_tables(&self.best.world, &kept).unwrap_or_default();
        if idle.is_empty() || self.without(&idle.concat()) {
            return;
        }
        while let Ok(idle) = idle_tables(&self.best.world, &kept)
            && let Some(tables) = idle.first()
        {
            if !self.without(tables) {
                kept.extend(tables.iter().cloned());
            }
        }
    }

    fn without(&mut self, tables: &[String]) -> bool {
        match without_tables(&self.best.world, tables) {
            Ok(world) => self.attempt(self.with_world(world), false),
            Err(_) => false,
        }
    }

    /// Runs the smallest case once more, from the beginning; or the original, if that one was chance.
    fn confirm(mut self, original: &Scenario) -> Result<Shrunk> {
        for mut scenario in [self.best.clone(), original.clone()] {
            self.rig.take_down();
            let judged = self.rig.set_up(&scenario)?.judge(&scenario.case, true)?;
            self.meter.tries += 2;
            let found = judged.breaches.iter();
            let mut found = found.filter(|b| b.fingerprint() == self.goal.fingerprint);
            if let (true, Some(breach)) = (self.goal.reached(&judged), found.next().cloned()) {
                name_second(&mut scenario, &judged);
                return Ok(Shrunk {
                    finished: !self.meter.spent && scenario.case == self.best.case,
                    scenario,
                    judged,
                    breach,
                    tries: self.meter.tries,
                });
            }
        }
        Err(self.goal.missed())
    }
}

/// The case, or with a second fault the same one with that at another point, if it fails in the same
/// way.
fn strike(up: &mut SetUp, goal: &Goal, meter: &mut Meter<'_>, case: &Case) -> Result<Option<Case>> {
    if !meter.take() {
        return Ok(None);
    }
    let judged = up.judge(case, false)?;
    if goal.reached(&judged) {
        return Ok(Some(case.clone()));
    }
    let Some(second) = &case.second else {
        return Ok(None);
    };
    for point in (1..=judged.points).filter(|p| *p != second.point) {
        let mut moved = case.clone();
        if let Some(second) = &mut moved.second {
            second.point = point;
            second.text.clear();
        }
        if !meter.take() {
            break;
        }
        if goal.reached(&up.judge(&moved, false)?) {
            return Ok(Some(moved));
        }
    }
    Ok(None)
}

/// Gives a second fault the text of its statement, which is known only once the rerun was traced.
fn name_second(scenario: &mut Scenario, judged: &Judged) {
    let rerun = judged.evidence.as_ref().and_then(|e| e.runs.get(1));
    if let (Some(second), Some(rerun)) = (&mut scenario.case.second, rerun)
        && let Some(passed) = rerun.iter().find(|p| p.point == Some(second.point))
    {
        second.text = passed.identity();
    }
}

fn rows_of(world: &World) -> usize {
    world
        .databases()
        .map(|(_, content)| content.rows.len())
        .sum()
}
