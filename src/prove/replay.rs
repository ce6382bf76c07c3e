//! One scenario, run again.

use std::sync::Arc;

use super::archiver::{Archiver, EngineOptions, check_task};
use super::campaign::Engines;
use super::case::{Case, Judged};
use super::oracle::Oracle;
use super::report::{Report, WorldCount};
use super::runner::Runner;
use super::scenario::Scenario;
use super::stage::Ground;
use super::vfs::{PowerLoss, Recording};
use super::world::World;
use crate::error::{Error, Result};
use crate::quote::shortened;

/// How much of a statement an error quotes, in characters.
const QUOTED: usize = 200;

/// Runs the scenario on a database of its own and judges it, with [`Judged::evidence`].
///
/// An engine that says something else than it did has no statement any more that the fault was for:
/// then nothing fires ([`Judged::fired`]), and [`Judged::other_text`] says what was found in its
/// place.
///
/// # Errors
///
/// Where the database or the harness fails. What oracles say is in the result.
pub fn replay(scenario: &Scenario, engines: &dyn Engines) -> Result<Judged> {
    let mut ground = Ground::new(scenario.database)?;
    let mut rig = Rig::new(&mut ground, engines);
    rig.set_up(scenario)?.judge(&scenario.case, true)
}

/// The same as a report: the undisturbed run and the case.
///
/// # Errors
///
/// As [`replay`]; exit code 65 if the point of the scenario does not exist any more.
pub fn report(scenario: &Scenario, engines: &dyn Engines) -> Result<Report> {
    let started = std::time::Instant::now();
    let mut ground = Ground::new(scenario.database)?;
    let mut rig = Rig::new(&mut ground, engines);
    let up = rig.set_up(scenario)?;
    let engine = up.runner.engine_name();
    let mut report = Report::new(&engine, scenario.database, &scenario.oracles);
    let rehearsal = Scenario {
        case: Case::default(),
        ..scenario.clone()
    };
    report.judged(&rehearsal, &up.calm);
    let mut planned = 1;
    if scenario.case != Case::default() {
        let judged = up.judge(&scenario.case, true)?;
        let other = judged.other_text.is_some() || !judged.fired;
        if other && judged.breaches.is_empty() {
            let message = match (&judged.other_text, &scenario.case.power_loss) {
                (Some((expected, found)), _) => format!(
                    "at the point of the scenario the engine says '{}', not '{}'",
                    shortened(found, QUOTED),
                    shortened(expected, QUOTED)
                ),
                (None, Some(_)) => {
                    "the engine's operations on files are not those of the scenario".into()
                }
                (None, None) => "the run ends before the point of the scenario".into(),
            };
            return Err(Error::data(message).hint(
                "the engine has changed since, for the better perhaps: run the campaign again",
            ));
        }
        report.judged(scenario, &judged);
        planned = 2;
    }
    let (statements, operations, power_losses) =
        match (&scenario.case.power_loss, &scenario.case.fault) {
            (Some(_), _) => (0, 0, 1),
            (None, Some(fault)) if fault.mode.is_of_files() => (0, 1, 0),
            (None, _) => (1, 0, 0),
        };
    let count = report.count(&scenario.world.name);
    *count = WorldCount {
        statements,
        operations,
        modes: scenario.case.modes(),
        power_losses,
        planned,
        finished: true,
        ..count.clone()
    };
    report.sum();
    report.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

/// A ground on which one scenario after the other is set up: servers, and some engines, are slow to
/// start.
pub(super) struct Rig<'a> {
    ground: &'a mut Ground,
    engines: &'a dyn Engines,
    up: Option<SetUp>,
}

/// What is set up now.
pub(super) struct SetUp {
    world: Arc<World>,
    options: EngineOptions,
    oracles: std::collections::BTreeSet<Oracle>,
    pub(super) runner: Runner,
    /// Case 0.
    pub(super) calm: Judged,
    /// Whether the engine is a process of its own.
    pub(super) process: bool,
    operations: Option<Vec<String>>,
    losses: Option<Vec<PowerLoss>>,
}

impl<'a> Rig<'a> {
    pub(super) fn new(ground: &'a mut Ground, engines: &'a dyn Engines) -> Self {
        Self {
            ground,
            engines,
            up: None,
        }
    }

    /// Takes down what is set up, so that nothing is left of it in memory.
    pub(super) fn take_down(&mut self) {
        self.up = None;
    }

    /// The scenario's world and engine, after an undisturbed run.
    pub(super) fn set_up(&mut self, scenario: &Scenario) -> Result<&mut SetUp> {
        let last = self.up.take();
        if let Some(up) = last {
            let same = up.options == scenario.options && up.oracles == scenario.oracles;
            if same && up.world == scenario.world {
                return Ok(self.up.insert(up));
            }
            let engine = match up.has_tables_of(&scenario.world) {
                true => up.runner.into_engine(),
                false => self.engines.engine()?,
            };
            return self.begin(scenario, engine);
        }
        let engine = self.engines.engine()?;
        self.begin(scenario, engine)
    }

    fn begin(&mut self, scenario: &Scenario, engine: Box<dyn Archiver>) -> Result<&mut SetUp> {
        let database = scenario.database;
        if !engine.runs_on(database.engine()) {
            let (engine, database) = (engine.name(), database.name());
            let message = format!("engine {engine} does not run on {database}");
            return Err(Error::usage(message).hint("name another with --engine"));
        }
        check_task(
            engine.as_ref(),
            scenario.world.task,
            "name another with --engine",
        )?;
        let process = engine.is_process();
        let mut world = Arc::clone(&scenario.world);
        // Another engine may want the shadow tables in another place.
        if world.layout != engine.layout() {
            Arc::make_mut(&mut world).layout = engine.layout();
        }
        let mut runner = Runner::new(
            self.ground,
            world,
            engine,
            scenario.options.clone(),
            scenario.oracles.clone(),
        )?;
        let calm = runner.rehearse()?;
        Ok(self.up.insert(SetUp {
            world: Arc::clone(&scenario.world),
            options: scenario.options.clone(),
            oracles: scenario.oracles.clone(),
            runner,
            calm,
            process,
            operations: None,
            losses: None,
        }))
    }
}

impl SetUp {
    /// Whether that world differs in rows only.
    fn has_tables_of(&self, other: &World) -> bool {
        let api = |world: &World| world.api.as_ref().map(|a| a.schema.clone());
        self.world.main.schema == other.main.schema && api(&self.world) == api(other)
    }

    /// Runs and judges a case; case 0 is judged already.
    pub(super) fn judge(&mut self, case: &Case, trace: bool) -> Result<Judged> {
        if *case == Case::default() {
            return Ok(self.calm.clone());
        }
        let Some(point) = &case.power_loss else {
            return self.runner.run(case, trace);
        };
        let same =
            |l: &&PowerLoss| l.after_operation == point.after_operation && l.lost == point.lost;
        let losses = self.losses()?;
        let Some(loss) = losses.iter().find(same).cloned() else {
            return Ok(Judged::default());
        };
        self.runner.run_power_loss(&loss, case, trace)
    }

    /// Whether operations on files can be hit.
    fn has_files(&self) -> bool {
        self.runner.stage.vfs().is_some() && !self.process
    }

    /// The operations on files of an undisturbed run; none where they cannot be hit.
    pub(super) fn operations(&mut self) -> Result<Vec<String>> {
        if self.operations.is_none() {
            self.operations = Some(match self.has_files() {
                true => self.runner.operations()?,
                false => Vec::new(),
            });
        }
        Ok(self.operations.clone().unwrap_or_default())
    }

    /// The images that a loss of power may leave of an undisturbed run; none where there are no
    /// files.
    pub(super) fn losses(&mut self) -> Result<&[PowerLoss]> {
        if self.losses.is_none() {
            let recording = match self.has_files() {
                true => self.runner.record()?,
                false => Recording::default(),
            };
            self.losses = Some(recording.power_loss_states().collect());
        }
        Ok(self.losses.as_deref().unwrap_or_default())
    }
}
