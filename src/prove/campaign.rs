//! A campaign: every point, every mode, on every world, counted.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::archiver::{Archiver, EngineOptions};
use super::bundle;
use super::fault::{Fault, Mode, Setting};
use super::injector::Passed;
use super::normal::Kind;
use super::oracle::Oracle;
use super::random::Plan;
use super::report::{Report, Undetermined, WorldCount};
use super::runner::{Case, Judged, PowerLossPoint, Runner};
use super::scenario::Scenario;
use super::stage::{Backend, Ground};
use super::vfs::{PowerLoss, Recording};
use super::world::{Layout, World};
use super::writer::{Action, Change, Writer};
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
    /// Where the numbers come from: the same seed makes the same cases.
    pub seed: u64,
    /// How many worlds.
    pub worlds: u64,
    /// How many cases on each, half of them with a fault and a writer or two faults.
    pub cases: usize,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// On which database.
    pub backend: Backend,
    /// On which worlds.
    pub worlds: Vec<World>,
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
    /// On the first world: a second fault at every point of the rerun.
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
}

impl Campaign {
    /// Everything, on these worlds.
    pub fn new(backend: Backend, worlds: Vec<World>) -> Self {
        Self {
            backend,
            worlds,
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
        }
    }
}

/// Hears how a campaign goes.
pub trait Watch: Sync {
    /// A world begins, with so many cases.
    fn world(&self, _name: &str, _cases: usize) {}
    /// A case was judged; whether all oracles held.
    fn case(&self, _held: bool) {}
    /// Whether to stop now.
    fn stop(&self) -> bool {
        false
    }
}

impl Watch for () {}

/// Images of lost power hold whole files: of larger databases than this only two are kept for each moment.
const POWER_LOSS_BYTES: usize = 48 << 10;

/// A case to be run: from the enumeration, or an image of lost power.
enum Job<'a> {
    Case(Case),
    Combined(Case),
    Pairs(Case),
    PowerLoss(PowerLossPoint, &'a PowerLoss),
}

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
        let mut grounds = Vec::new();
        for _ in 0..self.jobs.max(1) {
            grounds.push(Ground::new(self.backend)?);
        }
        let probe = engines.engine()?;
        let mut report = Report::new(&probe.name(), self.backend, &self.oracles);
        report.jobs = grounds.len();
        if !probe.runs_on(self.backend.engine()) {
            return Err(Error::usage(format!(
                "engine {} does not run on {}",
                probe.name(),
                self.backend.name()
            )));
        }
        let layout = probe.layout();
        drop(probe);
        let seeds = self.random.iter().flat_map(|s| s.seed..s.seed + s.worlds);
        let random = seeds.map(|seed| {
            let world = Plan::from_seed(seed).world(&format!("random-{seed}"));
            (Cow::Owned(world), Some(seed))
        });
        let listed = self.worlds.iter().map(|w| (Cow::Borrowed(w), None));
        for (index, (world, seed)) in listed.chain(random).enumerate() {
            let mut world = world.into_owned();
            world.layout = layout;
            let over = self.world(
                (index == 0 && self.pairs, seed),
                &Arc::new(world),
                &mut grounds,
                engines,
                watch,
                started,
                &mut report,
            )?;
            if over {
                let rest = &self.worlds[index + 1..];
                report.unreached = rest.iter().map(|w| w.name.clone()).collect();
                break;
            }
        }
        report.sum();
        if let (Some(directory), Some(ground)) = (&self.bundles, grounds.first_mut()) {
            bundle::keep(directory, &mut report, ground, engines, watch)?;
        }
        report.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(report)
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
        let process = engines.engine()?.is_process();
        let Some(first) = runners.first_mut() else {
            return Err(Error::internal("a campaign without workers"));
        };
        let template = Scenario {
            version: 1,
            seed,
            database: self.backend,
            engine: report.engine.clone(),
            options: options.clone(),
            oracles: self.oracles.clone(),
            case: Case::default(),
            world: Arc::clone(world),
        };
        let undisturbed = first.rehearse()?;
        let base = first.base()?;
        if base.start == base.end && seed.is_some() && undisturbed.breaches.is_empty() {
            // Nothing is free to move in it: not every random world is of use.
            return Ok(false);
        }
        if base.start == base.end {
            let said = undisturbed.ran.first().map(|r| format!("{:?}", r.ended));
            report.judged(&template, &undisturbed);
            if report.failures.is_empty() {
                return Err(Error::data(format!(
                    "engine {} moved nothing in world {}: {}",
                    report.engine,
                    world.name,
                    said.unwrap_or_default()
                ))
                .hint("look at its options; there would be nothing to prove"));
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
        let (recording, operations) = match self.files && first.stage.vfs().is_some() && !process {
            true => (Some(first.record()?), first.operations()?),
            false => (None, Vec::new()),
        };
        let graph = Arc::clone(&first.stage.graph);
        let all_images = first.stage.size() <= POWER_LOSS_BYTES;
        let mut moment = (0, 0);
        let losses: Vec<PowerLoss> = recording
            .as_ref()
            .filter(|_| self.modes.is_none())
            .map(Recording::power_loss_states)
            .into_iter()
            .flatten()
            .filter(|loss| {
                // The first two of each moment: all that was not synced is there, none of it is.
                moment = match moment.0 == loss.after_operation {
                    true => (moment.0, moment.1 + 1),
                    false => (loss.after_operation, 0),
                };
                all_images || moment.1 < 2
            })
            .collect();
        for other in &mut runners[1..] {
            other.adopt(&base);
        }
        let setting = Setting {
            engine: self.backend.engine(),
            process,
        };
        let mut jobs = Vec::new();
        let mut points = BTreeSet::new();
        let mut modes = BTreeSet::new();
        let deciding = deciding(&base.trace);
        for (passed, point) in base.trace.iter().filter_map(|p| Some((p, p.point?))) {
            if self.points == Points::Deciding && !deciding.contains(&point) {
                continue;
            }
            for mode in self.modes_at(passed, setting) {
                points.insert(point);
                modes.insert(mode.to_string());
                jobs.push(Job::Case(Case {
                    fault: Some(Fault {
                        point,
                        mode,
                        text: passed.identity(),
                    }),
                    ..Case::default()
                }));
            }
            for action in Action::ALL.into_iter().filter(|_| self.writers) {
                let can = action == Action::SecondArchiver && world.layout == Layout::OneDatabase
                    || Change::of(action, world, &graph).is_some();
                if can {
                    points.insert(point);
                    modes.insert(format!("writer {}", action.name()));
                    jobs.push(Job::Case(Case {
                        writer: Some(Writer {
                            point,
                            action,
                            text: passed.identity(),
                        }),
                        ..Case::default()
                    }));
                }
            }
        }
        let mut file_points = 0;
        for (number, text) in (1..).zip(&operations) {
            let wanted = Mode::of_files().into_iter().filter(|m| self.wants(*m));
            for mode in wanted {
                modes.insert(mode.to_string());
                file_points = number;
                jobs.push(Job::Case(Case {
                    fault: Some(Fault {
                        point: number,
                        mode,
                        text: text.clone(),
                    }),
                    ..Case::default()
                }));
            }
        }
        for loss in &losses {
            modes.insert("power-loss".into());
            let point = PowerLossPoint {
                after_operation: loss.after_operation,
                lost: loss.lost.clone(),
            };
            jobs.push(Job::PowerLoss(point, loss));
        }
        if let (Some(sample), Some(_)) = (self.random, seed) {
            jobs = sampled(jobs, sample.cases, &mut random);
        }
        if pairs {
            // Second faults after every first one that leaves the rerun something to do.
            let firsts: Vec<_> = jobs
                .iter()
                .filter_map(|job| match job {
                    Job::Case(case) if case.fault.as_ref().is_some_and(is_kill) => {
                        Some(case.clone())
                    }
                    _ => None,
                })
                .collect();
            jobs.extend(firsts.into_iter().map(Job::Pairs));
        }
        watch.world(&world.name, jobs.len());
        let count = report.count(&world.name);
        *count = WorldCount {
            statements: points.len() as u64,
            operations: file_points,
            modes: modes.len() as u64,
            power_losses: losses.len() as u64,
            planned: jobs.len() as u64 + 1,
            ..count.clone()
        };
        let tally = Mutex::new(report);
        let next = AtomicUsize::new(0);
        let over = AtomicBool::new(false);
        let broken: Mutex<Option<Error>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for runner in &mut runners {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::SeqCst);
                        // With no job left there is nothing to stop.
                        let Some(job) = jobs.get(index) else {
                            break;
                        };
                        let cases = tally.lock().unwrap_or_else(PoisonError::into_inner).cases;
                        let spent = self.budget.is_some_and(|b| started.elapsed() > b)
                            || self.max_cases.is_some_and(|most| cases >= most);
                        if spent || watch.stop() {
                            over.store(true, Ordering::SeqCst);
                        }
                        if over.load(Ordering::SeqCst) {
                            break;
                        }
                        let done = self.job(runner, job, setting, &mut |case, judged| {
                            let mut report = tally.lock().unwrap_or_else(PoisonError::into_inner);
                            let scenario = Scenario {
                                case,
                                ..template.clone()
                            };
                            report.judged(&scenario, judged);
                            drop(report);
                            watch.case(judged.breaches.is_empty());
                        });
                        if let Err(error) = done {
                            let mut slot = broken.lock().unwrap_or_else(PoisonError::into_inner);
                            slot.get_or_insert(error);
                            over.store(true, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        if let Some(error) = broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let report = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        let over = over.into_inner();
        report.stopped |= over;
        Ok(over)
    }

    fn wants(&self, mode: Mode) -> bool {
        self.modes
            .as_ref()
            .is_none_or(|modes| modes.contains(&mode))
    }

    fn modes_at(&self, passed: &Passed, setting: Setting) -> Vec<Mode> {
        let mut modes = Mode::at(passed.kind, setting);
        if self.server_kills && self.backend != Backend::Sqlite && passed.kind.decides() {
            modes.extend(Mode::of_server());
        }
        // A mode that is asked for by name is used wherever it makes sense at all.
        let asked = self.modes.iter().flatten().copied();
        modes.extend(asked.filter(|m| *m == Mode::CommitLost && passed.kind == Kind::Commit));
        modes.retain(|m| self.wants(*m));
        modes
    }

    fn job(
        &self,
        runner: &mut Runner,
        job: &Job<'_>,
        _setting: Setting,
        book: &mut dyn FnMut(Case, &Judged),
    ) -> Result<()> {
        match job {
            Job::Case(case) => {
                let judged = runner.run(case, false)?;
                book(case.clone(), &judged);
            }
            // The one may leave the other without its turn: then it was the one alone, and does not
            // count.
            Job::Combined(case) => {
                let judged = runner.run(case, false)?;
                if judged.fired {
                    book(case.clone(), &judged);
                }
            }
            Job::PowerLoss(point, loss) => {
                let case = Case {
                    power_loss: Some(point.clone()),
                    ..Case::default()
                };
                let judged = runner.run_power_loss(loss, &case, false)?;
                book(case, &judged);
            }
            // The rerun's points depend on what the first fault left: tried until none is left.
            Job::Pairs(first) => {
                for point in 1.. {
                    let case = Case {
                        second: Some(Fault {
                            point,
                            mode: Mode::KillBefore,
                            text: String::new(),
                        }),
                        ..first.clone()
                    };
                    let judged = runner.run(&case, false)?;
                    if !judged.fired {
                        break;
                    }
                    book(case, &judged);
                }
            }
        }
        Ok(())
    }
}

/// Statements that write, and those that end a transaction in which something was written.
fn deciding(trace: &[Passed]) -> BTreeSet<u64> {
    let mut written = BTreeSet::new();
    let mut deciding = BTreeSet::new();
    for passed in trace {
        let connection = (passed.database.as_str(), passed.connection);
        let decides = match passed.kind {
            Kind::Write => {
                written.insert(connection);
                true
            }
            Kind::Commit | Kind::Rollback => written.remove(&connection),
            Kind::Read | Kind::Begin | Kind::Setup => false,
        };
        deciding.extend(passed.point.filter(|_| decides));
    }
    deciding
}

/// Some of the jobs, and some pairs of them in one run and its rerun.
fn sampled<'a>(jobs: Vec<Job<'a>>, cases: usize, random: &mut Random) -> Vec<Job<'a>> {
    if jobs.is_empty() {
        return jobs;
    }
    let cases_of = |wanted: fn(&Case) -> bool| -> Vec<Case> {
        let all = jobs.iter().filter_map(|job| match job {
            Job::Case(case) => Some(case.clone()),
            _ => None,
        });
        all.filter(wanted).collect()
    };
    let faults = cases_of(|c| c.fault.is_some());
    let writers = cases_of(|c| c.writer.is_some());
    let mut chosen = Vec::new();
    for _ in 0..cases.div_ceil(2) {
        if faults.is_empty() {
            break;
        }
        let mut case = faults[random.index(faults.len())].clone();
        if writers.is_empty() || random.index(2) == 0 {
            case.second = faults[random.index(faults.len())].fault.clone();
            // What the rerun says there is not known beforehand.
            if let Some(second) = &mut case.second {
                second.text.clear();
            }
        } else {
            case.writer = writers[random.index(writers.len())].writer.clone();
            for text in [
                case.writer.as_mut().map(|w| &mut w.text),
                case.fault.as_mut().map(|f| &mut f.text),
            ]
            .into_iter()
            .flatten()
            {
                text.clear();
            }
        }
        chosen.push(Job::Combined(case));
    }
    let mut jobs = jobs;
    for _ in 0..cases / 2 {
        if jobs.is_empty() {
            break;
        }
        chosen.push(jobs.swap_remove(random.index(jobs.len())));
    }
    chosen
}

/// Faults after which another run has to begin anew.
fn is_kill(fault: &Fault) -> bool {
    matches!(
        fault.mode,
        Mode::KillBefore | Mode::KillAfter | Mode::Freeze | Mode::ServerKillAfter
    )
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
