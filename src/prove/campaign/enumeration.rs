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
use super::crew::Crew;
use super::{Campaign, Points};
use crate::db::Engine;
use crate::error::Result;
use crate::generate::Random;

/// Images of lost power hold whole files: of larger databases than this only two are kept for each moment.
const POWER_LOSS_BYTES: usize = 48 << 10;

/// A piece of work for one worker.
pub(super) enum Job {
    /// One case.
    Case(Case),
    /// A case of which one part may leave the other without its turn.
    Combined(Case),
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
        let crossroads = match campaign.backend.is_cluster() {
            true => crossroads(reference),
            false => BTreeSet::new(),
        };
        let writers: Vec<_> = Action::ALL
            .into_iter()
            .filter(|action| campaign.writers && can(*action, &runner.world, runner))
            .collect();
        for (passed, point) in reference.trace.iter().filter_map(|p| Some((p, p.point?))) {
            let decides = campaign.points == Points::All || deciding.contains(&point);
            if decides {
                let mut modes = modes_at(campaign, Some(reference), passed, setting);
                if crossroads.contains(&point) {
                    let nodes = Mode::of_cluster().into_iter().filter(|m| m.is_of_node());
                    modes.extend(nodes.filter(|mode| wants(campaign, *mode)));
                }
                for mode in modes {
                    let text = passed.identity();
                    self.fault(Fault { point, mode, text });
                    self.points.insert(point);
                }
            }
            // Once it has begun to write an engine holds its locks: what a writer can do to it, it does before
            // the transaction begins.
            let open = decides || !passed.in_transaction;
            for action in writers.iter().filter(|_| open) {
                self.points.insert(point);
                self.case(Case {
                    writer: Some(Writer {
                        point,
                        action: *action,
                        text: passed.identity(),
                    }),
                    ..Case::default()
                });
            }
        }
    }

    fn files(&mut self, campaign: &Campaign, runner: &mut Runner) -> Result<()> {
        for fault in on_files(campaign, &runner.operations()?) {
            self.operations = fault.point;
            self.fault(fault);
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
        self.case(Case {
            fault: Some(fault),
            ..Case::default()
        });
    }

    fn case(&mut self, case: Case) {
        self.modes.extend(case.modes());
        self.jobs.push(Job::Case(case));
    }

    /// A second fault in every mode at every point of the rerun, after each of these cases; `None` if it is
    /// time to stop before all of them are counted off.
    pub(super) fn second_faults(
        crew: &Crew<'_>,
        runner: &mut Runner,
        firsts: &[Case],
        process: bool,
        cases: u64,
    ) -> Result<Option<Self>> {
        let campaign = crew.campaign;
        let setting = Setting {
            engine: campaign.backend.engine(),
            process,
        };
        let mut all = Self::default();
        for first in firsts {
            if crew.is_over(cases) {
                return Ok(None);
            }
            let rerun = runner.rerun_after(first)?;
            let deciding = deciding(&rerun.statements);
            for (passed, point) in rerun
                .statements
                .iter()
                .filter_map(|p| Some((p, p.point?)))
                .filter(|(_, point)| campaign.points == Points::All || deciding.contains(point))
            {
                let mut modes = modes_at(campaign, None, passed, setting);
                // The death of the server leaves the same rows as that of the engine at the same
                // statement, and takes a second of recovery each time.
                modes.retain(|mode| !mode.is_of_server());
                for mode in modes {
                    let text = passed.identity();
                    all.second(first, Fault { point, mode, text });
                }
            }
            if campaign.files && runner.stage.vfs().is_some() && !process {
                for fault in on_files(campaign, &rerun.operations) {
                    all.second(first, fault);
                }
            }
        }
        Ok(Some(all))
    }

    fn second(&mut self, first: &Case, fault: Fault) {
        self.case(Case {
            second: Some(fault),
            ..first.clone()
        });
    }

    /// Some of the jobs instead of all, and as many with a fault and a writer, or with two faults where
    /// `pairs` are wanted.
    pub(super) fn sample(&mut self, cases: usize, pairs: bool, random: &mut Random) {
        self.jobs = sampled(std::mem::take(&mut self.jobs), cases, pairs, random);
    }
}

impl Job {
    /// Does the work: the case, and what came of it.
    pub(super) fn run(&self, runner: &mut Runner) -> Result<(Case, Judged)> {
        match self {
            Self::Case(case) | Self::Combined(case) => {
                let judged = runner.run(case, false)?;
                Ok((case.clone(), judged))
            }
            Self::PowerLoss(point, loss) => {
                let case = Case {
                    power_loss: Some(point.clone()),
                    ..Case::default()
                };
                let judged = runner.run_power_loss(loss, &case, false)?;
                Ok((case, judged))
            }
        }
    }
}

/// The faults at these operations on files.
fn on_files(campaign: &Campaign, operations: &[String]) -> Vec<Fault> {
    let modes: Vec<_> = Mode::of_files()
        .into_iter()
        .filter(|mode| wants(campaign, *mode))
        .collect();
    let mut faults = Vec::new();
    for (point, text) in (1..).zip(operations) {
        for mode in &modes {
            faults.push(Fault {
                point,
                mode: *mode,
                text: text.clone(),
            });
        }
    }
    faults
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

/// The modes at a statement. Of a rerun there is no `reference`, which knows the rows that hold a copy in
/// its middle on servers.
fn modes_at(
    campaign: &Campaign,
    reference: Option<&Reference>,
    passed: &Passed,
    setting: Setting,
) -> Vec<Mode> {
    let mut modes = Mode::at(passed.kind, setting);
    let has_middle = match setting.engine {
        Engine::Sqlite => passed.kind == Kind::Read || passed.affected > 0,
        Engine::Mysql | Engine::Postgres => passed
            .point
            .is_some_and(|p| reference.is_some_and(|r| r.victims.contains_key(&p))),
    };
    if has_middle {
        modes.extend(Mode::of_middle(setting.engine));
    }
    let one = matches!(campaign.backend, Backend::Mariadb | Backend::Postgres);
    if campaign.server_kills && one && passed.kind.decides() {
        modes.extend(Mode::of_server());
    }
    let reference = reference.filter(|_| campaign.backend.is_cluster());
    if let (Some(reference), Some(point)) = (reference, passed.point)
        && reference.touches.contains_key(&point)
    {
        modes.push(Mode::Conflict);
    }
    let asked = campaign.modes.iter().flatten().copied();
    modes.extend(asked.filter(|mode| match mode {
        Mode::CommitLost => passed.kind == Kind::Commit,
        mode => mode.is_by_name(),
    }));
    modes.retain(|m| wants(campaign, *m));
    modes
}

/// The COMMITs at which a node of a cluster is taken away: the first in which rows moved, the last, and one between
/// them. Each costs some seconds, and the rows that it leaves differ by no more than where the run had come to.
fn crossroads(reference: &Reference) -> BTreeSet<u64> {
    let commits = reference.trace.iter().filter(|p| p.kind == Kind::Commit);
    let touched = commits.filter_map(|p| p.point.filter(|p| reference.touches.contains_key(p)));
    let touched: Vec<_> = touched.collect();
    let ends = [
        touched.first(),
        touched.get(touched.len() / 2),
        touched.last(),
    ];
    ends.into_iter().flatten().copied().collect()
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

/// Some of the jobs, and some of them combined in one run, or in one run and its rerun.
fn sampled(jobs: Vec<Job>, cases: usize, pairs: bool, random: &mut Random) -> Vec<Job> {
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
    let combine = !faults.is_empty() && (pairs || !writers.is_empty());
    let combined = if combine { cases.div_ceil(2) } else { 0 };
    for _ in 0..combined {
        let mut case = faults[random.index(faults.len())].clone();
        if pairs && (writers.is_empty() || random.index(2) == 0) {
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
    for _ in combined..cases {
        if jobs.is_empty() {
            break;
        }
        chosen.push(jobs.swap_remove(random.index(jobs.len())));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::super::writer::{Action, Writer};
    use super::*;

    fn jobs() -> Vec<Job> {
        let fault = |point| Case {
            fault: Some(Fault {
                point,
                mode: Mode::KillBefore,
                text: "main: COMMIT".into(),
            }),
            ..Case::default()
        };
        let writer = |point| Case {
            writer: Some(Writer {
                point,
                action: Action::Revive,
                text: "main: COMMIT".into(),
            }),
            ..Case::default()
        };
        let both = (1..=40).map(fault).chain((1..=40).map(writer));
        both.map(Job::Case).collect()
    }

    /// Of a sample: cases, those with a second fault, those with a fault and a writer.
    fn kinds(jobs: Vec<Job>, pairs: bool) -> [usize; 3] {
        let chosen = sampled(jobs, 20, pairs, &mut Random::of(&[3]));
        let cases: Vec<_> = chosen
            .iter()
            .filter_map(|job| match job {
                Job::Case(case) | Job::Combined(case) => Some(case),
                Job::PowerLoss(..) => None,
            })
            .collect();
        let of = |wanted: fn(&Case) -> bool| cases.iter().filter(|c| wanted(c)).count();
        [
            cases.len(),
            of(|c| c.second.is_some()),
            of(|c| c.fault.is_some() && c.writer.is_some()),
        ]
    }

    #[test]
    fn a_sample_has_second_faults_only_if_pairs_are_wanted() {
        let [cases, second, beside] = kinds(jobs(), true);
        assert_eq!((cases, second + beside), (20, 10));
        assert!(second > 0 && beside > 0);
        assert_eq!(kinds(jobs(), false), [20, 0, 10]);
        let mut faults = jobs();
        faults.truncate(40);
        assert_eq!(kinds(faults, false), [20, 0, 0]);
    }
}
