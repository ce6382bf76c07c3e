//! What there is to hit in an undisturbed run, as jobs.

use std::collections::BTreeSet;

use super::super::case::{Case, Judged, PowerLossPoint};
use super::super::fault::{Fault, Mode, Setting};
use super::super::injector::Passed;
use super::super::normal::Kind;
use super::super::runner::{Reference, Runner};
use super::super::stage::Backend;
use super::super::vfs::{PowerLoss, Recording};
use super::super::world::{Layout, World};
use super::super::writer::{Action, Change, Writer};
use super::{Campaign, Points};
use crate::db::Engine;
use crate::error::Result;
use crate::generate::Random;

/// Images of lost power hold whole files: of larger databases than this only two are kept for each moment.
const POWER_LOSS_BYTES: usize = 48 << 10;

/// How a rerun is hit after a run that was killed. Others are tried at random.
const SECOND_MODES: [Mode; 2] = [Mode::KillBefore, Mode::CutAfter];

/// A piece of work for one worker: a case, or several that follow from one another.
pub(super) enum Job {
    /// One case.
    Case(Case),
    /// A case of which one part may leave the other without its turn.
    Combined(Case),
    /// A first fault, and then a second one at every point of the rerun.
    Pairs(Case),
    /// An image of lost power.
    PowerLoss(PowerLossPoint, PowerLoss),
}

/// What there is to hit on one world.
#[derive(Default)]
pub(super) struct Enumeration {
    pub(super) jobs: Vec<Job>,
    /// Statements that are hit.
    pub(super) points: BTreeSet<u64>,
    /// Operations on files that are hit.
    pub(super) operations: u64,
    /// Modes by name, writers included.
    pub(super) modes: BTreeSet<String>,
    /// Images of lost power.
    pub(super) power_losses: u64,
}

impl Enumeration {
    /// Everything that the campaign wants to hit in the run of `reference`.
    pub(super) fn new(
        campaign: &Campaign,
        runner: &mut Runner,
        reference: &Reference,
        process: bool,
    ) -> Result<Self> {
        let mut all = Self::default();
        all.statements(campaign, runner, reference, process);
        if campaign.files && runner.stage.vfs().is_some() && !process {
            all.files(campaign, runner)?;
            if campaign.modes.is_none() {
                all.losses(runner)?;
            }
        }
        Ok(all)
    }

    fn statements(
        &mut self,
        campaign: &Campaign,
        runner: &Runner,
        reference: &Reference,
        process: bool,
    ) {
        let setting = Setting {
            engine: campaign.backend.engine(),
            process,
        };
        let deciding = deciding(&reference.trace);
        let writers: Vec<_> = Action::ALL
            .into_iter()
            .filter(|action| campaign.writers && can(*action, &runner.world, runner))
            .collect();
        for (passed, point) in reference.trace.iter().filter_map(|p| Some((p, p.point?))) {
            if campaign.points == Points::Deciding && !deciding.contains(&point) {
                continue;
            }
            for mode in modes_at(campaign, reference, passed, setting) {
                let text = passed.identity();
                self.fault(Fault { point, mode, text });
                self.points.insert(point);
            }
            for action in &writers {
                self.points.insert(point);
                self.modes.insert(format!("writer {}", action.name()));
                self.jobs.push(Job::Case(Case {
                    writer: Some(Writer {
                        point,
                        action: *action,
                        text: passed.identity(),
                    }),
                    ..Case::default()
                }));
            }
        }
    }

    fn files(&mut self, campaign: &Campaign, runner: &mut Runner) -> Result<()> {
        for (point, text) in (1..).zip(runner.operations()?) {
            for mode in Mode::of_files().into_iter().filter(|m| wants(campaign, *m)) {
                self.operations = point;
                self.fault(Fault {
                    point,
                    mode,
                    text: text.clone(),
                });
            }
        }
        Ok(())
    }

    fn losses(&mut self, runner: &mut Runner) -> Result<()> {
        let recording: Recording = runner.record()?;
        let all_images = runner.stage.size() <= POWER_LOSS_BYTES;
        let mut moment = (0, 0);
        for loss in recording.power_loss_states() {
            // The first two of each moment: all that was not synced is there, none of it is.
            moment = match moment.0 == loss.after_operation {
                true => (moment.0, moment.1 + 1),
                false => (loss.after_operation, 0),
            };
            if all_images || moment.1 < 2 {
                let point = PowerLossPoint {
                    after_operation: loss.after_operation,
                    lost: loss.lost.clone(),
                };
                self.modes.insert("power-loss".into());
                self.power_losses += 1;
                self.jobs.push(Job::PowerLoss(point, loss));
            }
        }
        Ok(())
    }

    fn fault(&mut self, fault: Fault) {
        self.modes.insert(fault.mode.to_string());
        self.jobs.push(Job::Case(Case {
            fault: Some(fault),
            ..Case::default()
        }));
    }

    /// Second faults after every first one that leaves the rerun something to do.
    pub(super) fn add_pairs(&mut self) {
        let firsts: Vec<_> = self
            .jobs
            .iter()
            .filter_map(|job| match job {
                Job::Case(case) if case.fault.as_ref().is_some_and(is_kill) => Some(case.clone()),
                _ => None,
            })
            .collect();
        self.jobs.extend(firsts.into_iter().map(Job::Pairs));
    }

    /// Some of the jobs instead of all, and as many with a fault and a writer, or two faults.
    pub(super) fn sample(&mut self, cases: usize, random: &mut Random) {
        self.jobs = sampled(std::mem::take(&mut self.jobs), cases, random);
    }
}

impl Job {
    /// Does the work, and books each case; whether all of it was done. It is not where `book` says that
    /// it is time to stop.
    pub(super) fn run(
        &self,
        runner: &mut Runner,
        book: &mut dyn FnMut(Case, &Judged) -> bool,
    ) -> Result<bool> {
        match self {
            Self::Case(case) => {
                let judged = runner.run(case, false)?;
                book(case.clone(), &judged);
            }
            // Without its turn it was the other part alone, and is no case; what it found is found.
            Self::Combined(case) => {
                let judged = runner.run(case, false)?;
                book(case.clone(), &judged);
            }
            Self::PowerLoss(point, loss) => {
                let case = Case {
                    power_loss: Some(point.clone()),
                    ..Case::default()
                };
                let judged = runner.run_power_loss(loss, &case, false)?;
                book(case, &judged);
            }
            Self::Pairs(first) => {
                for mode in SECOND_MODES {
                    if !second_faults(runner, first, mode, book)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
}

/// The rerun's points depend on what the first fault left: tried until none is left.
fn second_faults(
    runner: &mut Runner,
    first: &Case,
    mode: Mode,
    book: &mut dyn FnMut(Case, &Judged) -> bool,
) -> Result<bool> {
    for point in 1.. {
        let case = Case {
            second: Some(Fault {
                point,
                mode,
                text: String::new(),
            }),
            ..first.clone()
        };
        let judged = runner.run(&case, false)?;
        if !judged.fired {
            break;
        }
        if !book(case, &judged) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the writer has something to do on this world.
fn can(action: Action, world: &World, runner: &Runner) -> bool {
    action == Action::SecondArchiver && world.layout == Layout::OneDatabase
        || Change::of(action, world, &runner.stage.graph).is_some()
}

fn wants(campaign: &Campaign, mode: Mode) -> bool {
    let modes = campaign.modes.as_ref();
    modes.is_none_or(|modes| modes.contains(&mode))
}

fn modes_at(
    campaign: &Campaign,
    reference: &Reference,
    passed: &Passed,
    setting: Setting,
) -> Vec<Mode> {
    let mut modes = Mode::at(passed.kind, setting);
    let has_middle = match setting.engine {
        Engine::Sqlite => passed.kind == Kind::Read || passed.affected > 0,
        Engine::Mysql | Engine::Postgres => passed
            .point
            .is_some_and(|p| reference.victims.contains_key(&p)),
    };
    if has_middle {
        modes.extend(Mode::of_middle(setting.engine));
    }
    if campaign.server_kills && campaign.backend != Backend::Sqlite && passed.kind.decides() {
        modes.extend(Mode::of_server());
    }
    // A mode that is asked for by name is used wherever it makes sense at all.
    let asked = campaign.modes.iter().flatten().copied();
    modes.extend(asked.filter(|m| *m == Mode::CommitLost && passed.kind == Kind::Commit));
    modes.retain(|m| wants(campaign, *m));
    modes
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
            Kind::Read | Kind::Begin | Kind::Savepoint | Kind::Setup => false,
        };
        deciding.extend(passed.point.filter(|_| decides));
    }
    deciding
}

/// Some of the jobs, and some pairs of them in one run and its rerun.
fn sampled(jobs: Vec<Job>, cases: usize, random: &mut Random) -> Vec<Job> {
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

/// Faults after which another run has to begin anew. The death of the server leaves the same rows as
/// that of the engine at the same statement, and takes a second of recovery each time.
fn is_kill(fault: &Fault) -> bool {
    matches!(
        fault.mode,
        Mode::KillBefore | Mode::KillAfter | Mode::Freeze
    )
}
