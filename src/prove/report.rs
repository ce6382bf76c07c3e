//! What a campaign found, counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::archiver::Ended;
use super::bundle::Timeline;
use super::case::{Case, Judged};
use super::fault::Mode;
use super::oracle::Oracle;
use super::scenario::Scenario;
use super::stage::Backend;
use crate::error::Result;
use crate::exit::ExitCode;
use crate::quote::one_line;

/// What a campaign found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of the format.
    pub version: u32,
    /// The engine under test.
    pub engine: String,
    /// The database.
    pub database: Backend,
    /// Points hit: statements and operations on files, over all worlds.
    pub points: u64,
    /// Whether only statements that write or end a transaction were points, and none between them.
    pub deciding_only: bool,
    /// Modes, writers included; the most on any one world.
    pub modes: u64,
    /// Modes that were asked for by name and of which no world had a statement or operation to hit.
    pub never_hit: Vec<String>,
    /// Oracles that were asked for by name and had nothing to judge.
    pub never_judged: Vec<Oracle>,
    /// Cases run, undisturbed ones included.
    pub cases: u64,
    /// Cases in which an oracle failed.
    pub failed: u64,
    /// Cases in which every fault and writer had its turn.
    pub fired: u64,
    /// Judgements by oracle.
    pub verdict: BTreeMap<Oracle, Verdict>,
    /// Cases by the mode of what was done to them: held where all oracles did. A case with two faults counts for both.
    pub faults: BTreeMap<String, Verdict>,
    /// Failures, one for each world and fingerprint.
    pub failures: Vec<Failure>,
    /// Cases whose fault did not fire.
    pub not_fired: Vec<String>,
    /// Where the engine did not do the same twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undetermined: Option<Undetermined>,
    /// Counts by world.
    pub worlds: Vec<WorldCount>,
    /// Worlds that were not begun, because the campaign ended before.
    pub unreached: Vec<String>,
    /// Worlds at random in which nothing can move: nothing was tried on them.
    pub idle_worlds: u64,
    /// Runs at random whose second fault, or writer, had no turn because the first fault left it none.
    /// They are no cases.
    pub without_turn: u64,
    /// What a concurrent writer came to, by what it does.
    pub writers: BTreeMap<String, Turns>,
    /// Why the campaign ended early, if something other than the engine failed after failures had been
    /// found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// Whether the budget was used up, or the campaign was asked to stop.
    pub stopped: bool,
    /// Workers.
    pub jobs: usize,
    /// Wall time in milliseconds.
    pub elapsed_ms: u64,
    /// How much of it went by after the last case, while failures were shrunk and written.
    pub shrinking_ms: u64,
}

/// How often a writer had its turn, and how often that changed a row: the engine's locks, or a foreign key,
/// may keep it from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Turns {
    /// Cases in which it had its turn.
    pub turns: u64,
    /// Cases in which it changed a row.
    pub changed: u64,
}

/// How often an oracle held and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Cases in which it held.
    pub held: u64,
    /// Cases in which it failed.
    pub failed: u64,
}

impl Verdict {
    fn book(&mut self, failed: bool) {
        match failed {
            true => self.failed += 1,
            false => self.held += 1,
        }
    }
}

/// A failure: the first case with this fingerprint on this world.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// The oracle.
    pub oracle: Oracle,
    /// Oracle and place: what failures that count as the same have in common.
    pub fingerprint: String,
    /// The world.
    pub world: String,
    /// The fault in words.
    pub fault: String,
    /// What is wrong.
    pub what: String,
    /// How the first run ended, by its own words.
    pub said: String,
    /// Cases like it.
    pub count: u64,
    /// Whether the undisturbed run fails in this way too.
    pub undisturbed: bool,
    /// The directory that replays it, if one was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Why the bundle holds the case as it was, not shrunk, or why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_shrunk: Option<String>,
    /// The case itself.
    #[serde(skip)]
    pub scenario: Scenario,
    /// What happened in it, or in the smaller one of its bundle; why that is not known; `None` where nobody looked.
    #[serde(skip)]
    pub timeline: Option<Result<Timeline, String>>,
}

/// Two undisturbed runs differed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undetermined {
    /// The world.
    pub world: String,
    /// The statement.
    pub point: u64,
    /// What the first run said there.
    pub expected: String,
    /// What another run said there.
    pub found: String,
}

/// Counts of one world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorldCount {
    /// Its name.
    pub name: String,
    /// Statements hit.
    pub statements: u64,
    /// Operations on files hit.
    pub operations: u64,
    /// Modes that there were to hit it with, writers included.
    #[serde(serialize_with = "counted")]
    pub modes: BTreeSet<String>,
    /// Images of lost power; 0 on servers.
    pub power_losses: u64,
    /// Cases that there are to run, as far as is known: second faults are counted off when all first ones
    /// have been tried.
    pub planned: u64,
    /// Whether all of them were run.
    pub finished: bool,
    /// Cases, the undisturbed run included.
    pub cases: u64,
    /// Cases in which every fault and writer had its turn.
    pub fired: u64,
    /// Judgements by oracle.
    pub verdict: BTreeMap<Oracle, Verdict>,
}

/// How the first run of a case ended, in one line.
fn said(scenario: &Scenario, judged: &Judged) -> String {
    let Some(ran) = judged.ran.first() else {
        return String::new();
    };
    if scenario.case.power_loss.is_some() || scenario.case.kills(1) {
        return Ended::Killed.to_string();
    }
    let last = ran.output.lines().rev().find(|l| !l.trim().is_empty());
    let said = match (&ran.ended, last) {
        // It quotes the last line itself.
        (Ended::Failed(_), _) | (_, None) => ran.ended.to_string(),
        (_, Some(last)) => format!("{}; its last line: {}", ran.ended, last.trim()),
    };
    one_line(said)
}

fn counted<S: serde::Serializer>(
    modes: &BTreeSet<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    modes.len().serialize(serializer)
}

/// How many cases without fault are listed.
const LISTED: usize = 20;

impl Report {
    pub(crate) fn new(engine: &str, database: Backend, oracles: &BTreeSet<Oracle>) -> Self {
        Self {
            version: 1,
            engine: engine.into(),
            database,
            points: 0,
            deciding_only: false,
            modes: 0,
            never_hit: Vec::new(),
            never_judged: Vec::new(),
            cases: 0,
            failed: 0,
            fired: 0,
            verdict: oracles.iter().map(|o| (*o, Verdict::default())).collect(),
            faults: BTreeMap::new(),
            failures: Vec::new(),
            not_fired: Vec::new(),
            undetermined: None,
            worlds: Vec::new(),
            unreached: Vec::new(),
            idle_worlds: 0,
            without_turn: 0,
            writers: BTreeMap::new(),
            broken: None,
            stopped: false,
            jobs: 1,
            elapsed_ms: 0,
            shrinking_ms: 0,
        }
    }

    /// Books a case.
    pub(super) fn judged(&mut self, scenario: &Scenario, judged: &Judged) {
        self.cases += 1;
        self.fired += u64::from(judged.fired);
        self.failed += u64::from(!judged.breaches.is_empty());
        if let Some((expected, found)) = &judged.other_text {
            // The later one: an earlier one with another text would have left it no turn.
            let faults = scenario
                .case
                .second
                .as_ref()
                .or(scenario.case.fault.as_ref());
            let fault = faults.map(|f| f.point);
            let writer = scenario.case.writer.as_ref().map(|w| w.point);
            self.undetermined.get_or_insert(Undetermined {
                world: scenario.world.name.clone(),
                point: fault.or(writer).unwrap_or(0),
                expected: expected.clone(),
                found: found.clone(),
            });
        } else if !judged.fired && self.not_fired.len() < LISTED {
            let what = format!("{}: {}", scenario.world.name, scenario.describe());
            self.not_fired.push(what);
        }
        if let (Some(writer), Some(wrote)) = (&scenario.case.writer, judged.wrote) {
            let name = writer.action.name().to_owned();
            let turns = self.writers.entry(name).or_default();
            turns.turns += 1;
            turns.changed += u64::from(wrote);
        }
        let mut modes = scenario.case.modes();
        if modes.is_empty() {
            modes.insert("none".into());
        }
        for mode in modes {
            let verdict = self.faults.entry(mode).or_default();
            verdict.book(!judged.breaches.is_empty());
        }
        let count = self.count(&scenario.world.name);
        count.cases += 1;
        count.fired += u64::from(judged.fired);
        let failed: BTreeSet<_> = judged.breaches.iter().map(|b| b.oracle).collect();
        for oracle in judged.asked.iter().chain(&failed).collect::<BTreeSet<_>>() {
            let of_world = self.count(&scenario.world.name).verdict.entry(*oracle);
            of_world.or_default().book(failed.contains(oracle));
            let verdict = self.verdict.entry(*oracle).or_default();
            verdict.book(failed.contains(oracle));
        }
        for breach in &judged.breaches {
            let fingerprint = breach.fingerprint();
            let known = self
                .failures
                .iter_mut()
                .find(|f| f.fingerprint == fingerprint && f.world == scenario.world.name);
            match known {
                Some(failure) => {
                    failure.count += 1;
                    // What a fault leaves behind says more than what a reader sees in passing.
                    if failure.scenario.case == Case::default() {
                        failure.fault = scenario.describe();
                        failure.what.clone_from(&breach.what);
                        // What it says of a run that nothing disturbs stays: there the cause is.
                        failure.scenario = scenario.clone();
                    }
                }
                None => self.failures.push(Failure {
                    oracle: breach.oracle,
                    fingerprint,
                    world: scenario.world.name.clone(),
                    fault: scenario.describe(),
                    what: breach.what.clone(),
                    said: said(scenario, judged),
                    count: 1,
                    undisturbed: scenario.case == Case::default(),
                    bundle: None,
                    not_shrunk: None,
                    scenario: scenario.clone(),
                    timeline: None,
                }),
            }
        }
    }

    /// What was done, or `None` where it failed after failures had been found: those are not thrown away.
    pub(super) fn unless_failed<T>(&mut self, done: Result<T>) -> Result<Option<T>> {
        match done {
            Err(error) if !self.failures.is_empty() => {
                self.broken.get_or_insert(error.to_string());
                Ok(None)
            }
            done => done.map(Some),
        }
    }

    /// Whether the campaign came to its end.
    pub(super) fn is_whole(&self) -> bool {
        !self.stopped && self.undetermined.is_none() && self.broken.is_none()
    }

    /// Whether no oracle that was asked for had anything to judge.
    pub(super) fn judged_nothing(&self) -> bool {
        let silent = self.verdict.values().all(|v| v.held + v.failed == 0);
        self.is_whole() && self.failures.is_empty() && silent
    }

    /// Whether undisturbed runs were all there was, though nothing has stopped the campaign.
    pub(super) fn hit_nothing(&self) -> bool {
        self.is_whole() && self.failures.is_empty() && self.modes == 0
    }

    /// The counts of this world, which begin with its undisturbed run.
    pub(super) fn count(&mut self, world: &str) -> &mut WorldCount {
        let known = self.worlds.iter().position(|w| w.name == world);
        let index = known.unwrap_or_else(|| {
            self.worlds.push(WorldCount {
                name: world.into(),
                ..WorldCount::default()
            });
            self.worlds.len() - 1
        });
        &mut self.worlds[index]
    }

    /// The points and modes, once all worlds are counted.
    pub(super) fn sum(&mut self) {
        self.points = self
            .worlds
            .iter()
            .map(|w| w.statements + w.operations)
            .sum();
        let modes = self.worlds.iter().map(|w| w.modes.len() as u64);
        self.modes = modes.max().unwrap_or(0);
    }

    /// Whether something that was asked for by name was not shown.
    pub fn has_gaps(&self) -> bool {
        !self.never_hit.is_empty() || !self.never_judged.is_empty()
    }

    /// The writers that had turns and never changed a row.
    pub fn kept_out(&self) -> Vec<&str> {
        let out = self.writers.iter().filter(|(_, w)| w.changed == 0);
        out.map(|(name, _)| name.as_str()).collect()
    }

    /// Which of the modes that were asked for there was nothing to hit with, once all worlds are counted.
    pub(super) fn miss(&mut self, asked: &BTreeSet<Mode>) {
        let hit = |mode: &String| self.worlds.iter().any(|w| w.modes.contains(mode));
        let names = asked.iter().map(ToString::to_string);
        self.never_hit = names.filter(|mode| !hit(mode)).collect();
    }

    /// How the command ends.
    pub fn exit_code(&self) -> ExitCode {
        if !self.failures.is_empty() {
            ExitCode::Errors
        } else if self.undetermined.is_some() || self.has_gaps() {
            ExitCode::Data
        } else if self.fired != self.cases {
            ExitCode::Internal
        } else if self.stopped {
            ExitCode::Stopped
        } else {
            ExitCode::Done
        }
    }
}
