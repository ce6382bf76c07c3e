//! A campaign: every point, every mode, on every world, counted.

mod crew;
mod enumeration;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::crew::Crew;
use self::enumeration::Enumeration;
use super::archiver::{Archiver, EngineOptions, check_task};
use super::bundle;
use super::case::Case;
use super::fault::{Mode, Setting};
use super::injector::Passed;
use super::oracle::Oracle;
use super::random::Plan;
use super::report::{Report, Undetermined, WorldCount};
use super::runner::Runner;
use super::scenario::Scenario;
use super::stage::{Backend, Ground};
use super::world::{Task, World};
use crate::archive::Before;
use crate::error::{Error, Result};
use crate::generate::Random;

/// Makes engines, one for each worker.
pub trait Engines: Sync {
    /// A new engine.
    fn engine(&self) -> Result<Box<dyn Archiver>>;
}

impl<F> Engines for F
where
    F: Fn() -> Result<Box<dyn Archiver>> + Sync,
{
    fn engine(&self) -> Result<Box<dyn Archiver>> {
        self()
    }
}

/// Which statements are hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Points {
    /// Those that write or end a transaction: what decides what is in the database.
    Deciding,
    /// All but those that set up a session.
    #[default]
    All,
}

/// How much to try at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Where the numbers come from: the same seed makes the same worlds and cases.
    pub seed: u64,
    /// How many worlds.
    pub worlds: u64,
    /// How many cases on each, half of them with a fault and a writer, or with two faults if there are to
    /// be pairs.
    pub cases: usize,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// On which database.
    pub backend: Backend,
    /// On which worlds.
    pub worlds: Vec<World>,
    /// [`Task::Purge`] and [`Task::EmptyShadows`] make all of them, and those at random, worlds in which an engine
    /// is to purge; [`Task::Restore`] those in which it is to bring rows back, [`Task::Repair`] those in which it is to
    /// heal damage.
    pub task: Task,
    /// Which statements are hit.
    pub points: Points,
    /// Only these modes; all that apply if `None`.
    pub modes: Option<BTreeSet<Mode>>,
    /// Whether a concurrent writer acts at every statement too.
    pub writers: bool,
    /// Whether operations on files are hit and power is lost (SQLite).
    pub files: bool,
    /// Whether the server is killed at every statement too.
    pub server_kills: bool,
    /// Second faults: on the first world, after each different state that a first one leaves, in every mode
    /// at every point of the rerun; of those at random some.
    pub pairs: bool,
    /// What is judged.
    pub oracles: BTreeSet<Oracle>,
    /// Options of the engine.
    pub options: EngineOptions,
    /// Worlds, options, faults and writers at random, after the catalogue.
    pub random: Option<Sample>,
    /// When to stop.
    pub budget: Option<Duration>,
    /// After how many cases to stop, undisturbed runs and those of all workers included.
    pub max_cases: Option<u64>,
    /// Workers, each with a database of its own.
    pub jobs: usize,
    /// Where a bundle of each failure is written, shrunk; beyond the budget, in a few minutes.
    pub bundles: Option<PathBuf>,
    /// The directory in which the command line of an engine that is a program was given, for those who
    /// read a bundle.
    pub directory: Option<PathBuf>,
}

impl Sample {
    /// A number for each world: the seed itself for the first, so that any world can be had alone, and
    /// numbers that follow from it for the others, so that two seeds have no worlds in common.
    pub fn numbers(self) -> impl Iterator<Item = u64> {
        let number = move |index| match index {
            0 => self.seed,
            _ => Random::of(&[self.seed, index]).number(),
        };
        (0..self.worlds).map(number)
    }
}

impl Campaign {
    /// Everything, on these worlds.
    pub fn new(backend: Backend, worlds: Vec<World>) -> Self {
        Self {
            backend,
            worlds,
            task: Task::Archive,
            points: Points::All,
            modes: None,
            writers: true,
            files: true,
            server_kills: true,
            pairs: true,
            oracles: Oracle::ALL.into_iter().collect(),
            options: EngineOptions::default(),
            random: None,
            budget: None,
            max_cases: None,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            bundles: None,
            directory: None,
        }
    }
}

/// Hears how a campaign goes.
pub trait Watch: Sync {
    /// A world begins, with so many cases.
    fn world(&self, _name: &str, _cases: usize) {}
    /// The world has so many cases more than was known at its beginning.
    fn more(&self, _cases: usize) {}
    /// A case was judged; whether all oracles held.
    fn case(&self, _held: bool) {}
    /// Whether to stop now.
    fn stop(&self) -> bool {
        false
    }
}

impl Watch for () {}

impl Campaign {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// Where the harness or its servers fail, or the engine moves nothing even when undisturbed (exit
    /// code 65): there would be nothing to prove. What oracles say is in the report.
    pub fn run(&self, engines: &dyn Engines, watch: &dyn Watch) -> Result<Report> {
        let started = Instant::now();
        if let Some(directory) = &self.bundles {
            bundle::prepare(directory)?;
        }
        let probe = engines.engine()?;
        let mut report = Report::new(&probe.name(), self.backend, &self.oracles);
        report.deciding_only = self.points == Points::Deciding;
        if !probe.runs_on(self.backend.engine()) {
            let (name, database) = (probe.name(), self.backend.name());
            let message = format!("engine {name} does not run on {database}");
            return Err(
                Error::usage(message).hint("choose a database that it runs on with --server")
            );
        }
        if let Some(modes) = &self.modes {
            let setting = Setting {
                engine: self.backend.engine(),
                process: probe.is_process(),
            };
            setting.check(modes, self.backend.is_cluster())?;
        }
        for task in self.worlds.iter().map(|w| w.task).chain([self.task]) {
            let hint = "prove it in worlds in which there is something to archive";
            check_task(probe.as_ref(), task, hint)?;
        }
        if self.options.before.is_some() && !probe.takes_before() {
            return Err(
                Error::usage(format!("engine {} is not told of --before", probe.name()))
                    .hint("a program is where {before} stands in its command"),
            );
        }
        for world in &self.worlds {
            let fits = |w: World| w.check(self.backend.engine());
            world
                .to_task(self.task)
                .and_then(fits)
                .map_err(|error| Error {
                    message: format!("world {}: {}", world.name, error.message),
                    ..error
                })?;
        }
        let layout = probe.layout();
        drop(probe);
        let mut grounds = Vec::new();
        for _ in 0..self.jobs.max(1) {
            grounds.push(Ground::new(self.backend)?);
        }
        report.jobs = grounds.len();
        let numbers: Vec<_> = self.random.into_iter().flat_map(Sample::numbers).collect();
        let name = |number: &u64| format!("random-{number}");
        let random = numbers.iter().map(|number| {
            let world = Plan::from_seed(*number).world(&name(number));
            (Cow::Owned(world), Some(*number))
        });
        let listed = self.worlds.iter().map(|w| (Cow::Borrowed(w), None));
        for (index, (world, seed)) in listed.chain(random).enumerate() {
            let mut world = world.to_task(self.task)?;
            world.layout = layout;
            let done = self.world(
                (index == 0 && self.pairs, seed),
                &Arc::new(world),
                &mut grounds,
                engines,
                watch,
                started,
                &mut report,
            );
            let over = report.unless_failed(done)?.unwrap_or(true);
            if over {
                let listed = self.worlds.iter().map(|w| w.name.clone());
                let random = numbers.iter().map(name);
                report.unreached = listed.chain(random).skip(index + 1).collect();
                break;
            }
        }
        let ran = started.elapsed();
        report.sum();
        if let (Some(directory), Some(ground)) = (&self.bundles, grounds.first_mut()) {
            let kept = bundle::keep(directory, &mut report, ground, engines, watch);
            report.unless_failed(kept)?;
        }
        // Whoever asks for no fault at all wants to see the undisturbed run.
        let asked = self.writers || self.modes.as_ref().is_none_or(|modes| !modes.is_empty());
        if asked && report.hit_nothing() {
            return Err(
                Error::data("there is nothing that these faults could hit").hint(
                    "choose other faults or another world; an undisturbed run alone proves little",
                ),
            );
        }
        if report.judged_nothing() {
            let names: Vec<_> = self.oracles.iter().map(ToString::to_string).collect();
            return Err(Error::data(format!(
                "no oracle had anything to judge: {}",
                names.join(", ")
            ))
            .hint("choose other oracles or another world"));
        }
        // What ended early has not come to all that there is to hit.
        if report.is_whole() {
            report.miss(self.modes.as_ref().unwrap_or(&BTreeSet::new()));
            if self.oracles.len() < Oracle::ALL.len() {
                let silent = report
                    .verdict
                    .iter()
                    .filter(|(_, v)| v.held + v.failed == 0);
                report.never_judged = silent.map(|(oracle, _)| *oracle).collect();
            }
        }
        let all = started.elapsed();
        report.elapsed_ms = milliseconds(all);
        report.shrinking_ms = milliseconds(all.saturating_sub(ran));
        Ok(report)
    }

    /// Whether time or cases are used up.
    fn is_spent(&self, started: Instant, cases: u64) -> bool {
        self.budget.is_some_and(|b| started.elapsed() > b)
            || self.max_cases.is_some_and(|most| cases >= most)
    }

    /// One world; whether the campaign is over.
    #[expect(
        clippy::too_many_arguments,
        reason = "the state of one campaign, passed through once"
    )]
    fn world(
        &self,
        (pairs, seed): (bool, Option<u64>),
        world: &Arc<World>,
        grounds: &mut [Ground],
        engines: &dyn Engines,
        watch: &dyn Watch,
        started: Instant,
        report: &mut Report,
    ) -> Result<bool> {
        let mut random = Random::of(&[seed.unwrap_or(0)]);
        let mut options = self.options.clone();
        if seed.is_some() {
            options.max_rows = 1 + random.index(12) as u64;
        }
        let probe = engines.engine()?;
        // What comes back, and what is healed, does so whatever its age.
        let by_age = probe.takes_before() && !matches!(world.task, Task::Restore | Task::Repair);
        if let (Some(seed), None, true) = (seed, &options.before, by_age) {
            options.before = before(seed);
        }
        let mut runners = Vec::new();
        for ground in grounds {
            runners.push(Runner::new(
                ground,
                Arc::clone(world),
                engines.engine()?,
                options.clone(),
                self.oracles.clone(),
            )?);
        }
        let process = probe.is_process();
        let Some(first) = runners.first_mut() else {
            return Err(Error::internal("a campaign without workers"));
        };
        let template = Scenario {
            version: 1,
            seed,
            database: self.backend,
            engine: report.engine.clone(),
            directory: self.directory.clone().filter(|_| process),
            fingerprint: None,
            options: options.clone(),
            oracles: self.oracles.clone(),
            case: Case::default(),
            world: Arc::clone(world),
        };
        let undisturbed = first.rehearse()?;
        let base = first.base()?;
        if base.start == base.end && seed.is_some() && undisturbed.breaches.is_empty() {
            // Nothing is free to move in it: not every random world is of use.
            report.idle_worlds += 1;
            return Ok(false);
        }
        if base.start == base.end {
            let said = undisturbed.ran.first().map(|r| r.ended.to_string());
            if !undisturbed.breaches.is_empty() {
                report.judged(&template, &undisturbed);
            } else {
                return Err(Error::data(format!(
                    "engine {} moved nothing in world {}: {}",
                    report.engine,
                    world.name,
                    said.unwrap_or_default()
                ))
                .hint(
                    "look at its options, and for soft-deleted rows that nothing holds back: there would be \
                     nothing to prove",
                ));
            }
        } else {
            report.judged(&template, &undisturbed);
        }
        let twin = first.retrace()?;
        if let Some((expected, found)) = difference(&base.trace, &twin) {
            report.undetermined.get_or_insert(Undetermined {
                world: world.name.clone(),
                point: found.0,
                expected,
                found: found.1,
            });
            return Ok(true);
        }
        let mut found = Enumeration::new(self, first, &base, process)?;
        if let (Some(sample), Some(_)) = (self.random, seed) {
            found.sample(sample.cases, self.pairs, &mut random);
        }
        for other in &mut runners[1..] {
            other.adopt(&base);
        }
        watch.world(&world.name, found.jobs.len());
        let count = report.count(&world.name);
        *count = WorldCount {
            statements: found.points.len() as u64,
            operations: found.operations,
            modes: found.modes.clone(),
            power_losses: found.power_losses,
            planned: found.jobs.len() as u64 + 1,
            ..count.clone()
        };
        let crew = Crew {
            campaign: self,
            watch,
            started,
            template: &template,
        };
        let Some(remains) = crew.work(&mut runners, &found.jobs, report)? else {
            report.stopped = true;
            return Ok(true);
        };
        if pairs && seed.is_none() {
            let Some(first) = runners.first_mut() else {
                return Err(Error::internal("a campaign without workers"));
            };
            let firsts = remains.cases();
            let found = Enumeration::second_faults(&crew, first, &firsts, process, report.cases)?;
            let Some(found) = found else {
                report.stopped = true;
                return Ok(true);
            };
            watch.more(found.jobs.len());
            report.count(&world.name).planned += found.jobs.len() as u64;
            if crew.work(&mut runners, &found.jobs, report)?.is_none() {
                report.stopped = true;
                return Ok(true);
            }
        }
        report.count(&world.name).finished = true;
        Ok(false)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A moment among those at which rows of worlds at random were deleted, for one world in three.
fn before(seed: u64) -> Option<Before> {
    let mut random = Random::of(&[seed, 2]);
    if random.index(3) > 0 {
        return None;
    }
    let text = format!("2026-01-{:02} 00:00:00", 2 + random.index(26));
    Before::try_from(text).ok()
}

/// The first point at which two undisturbed runs differ.
fn difference(a: &[Passed], b: &[Passed]) -> Option<(String, (u64, String))> {
    let texts = |trace: &[Passed]| -> Vec<String> {
        let points = trace.iter().filter(|p| p.point.is_some());
        points.map(Passed::identity).collect()
    };
    let (a, b) = (texts(a), texts(b));
    let none = || "nothing".to_owned();
    (0..a.len().max(b.len()))
        .find(|i| a.get(*i) != b.get(*i))
        .map(|i| {
            (
                a.get(i).cloned().unwrap_or_else(none),
                (i as u64 + 1, b.get(i).cloned().unwrap_or_else(none)),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_beside_each_other_have_no_worlds_in_common() {
        let numbers = |seed| {
            let (worlds, cases) = (200, 1);
            let sample = Sample {
                seed,
                worlds,
                cases,
            };
            sample.numbers().collect::<BTreeSet<_>>()
        };
        assert!(numbers(7).contains(&7));
        assert_eq!(numbers(7).len(), 200);
        assert!(numbers(7).is_disjoint(&numbers(8)));
    }
}
