//! One case: reset, run, hit, wait, judge; run again, judge again.

mod bench;
mod files;
mod lineage;
mod reruns;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use self::bench::{Bench, left};
use self::files::io_fault;
use super::archiver::{Archiver, Ended, EngineOptions, Ran};
use super::case::{Case, Judged};
use super::evidence::{Evidence, Names};
use super::fault::{Fault, Mode};
use super::healing::Moves;
use super::injector::{Orders, Passed, Sight};
use super::model::free_rows_at_most;
use super::oracle::{Breach, Lineage, Oracle};
use super::stage::{Ground, Stage};
use super::state::{State, movable};
use super::touch::{Touch, touches};
use super::victim::{Victim, victims};
use super::world::World;
use super::writer::Action;
use crate::db::Engine;
use crate::error::{Error, Result};

const UNDISTURBED: &str = "after an undisturbed run";

/// An undisturbed run: what the others are measured by.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// A number that differs from that of runs on other rows.
    id: u64,
    pub(super) start: State,
    pub(super) end: State,
    movable: BTreeSet<String>,
    /// The same where damage is to be healed.
    moves: Moves,
    pub(super) trace: Vec<Passed>,
    /// Committed states, with the number of the statement that committed each.
    commits: Vec<(u64, State)>,
    /// Rows with which statements can be held in their middle, by their number; on servers.
    pub(super) victims: BTreeMap<u64, Victim>,
    /// How another node gets in the way of statements, by their number; on a cluster.
    pub(super) touches: BTreeMap<u64, Touch>,
    /// What the run left though nothing holds it back: what it was run for has not happened.
    stuck: Vec<Breach>,
}

impl Reference {
    /// What is to be done to the first run of a case.
    fn orders(&self, case: &Case) -> Orders {
        let victim = case.fault.as_ref().and_then(|fault| {
            let victim = self.victims.get(&fault.point);
            victim.filter(|_| fault.mode.is_of_middle()).cloned()
        });
        Orders {
            fault: case.fault.clone(),
            writer: case.writer.clone(),
            victim,
            touch: case.fault.as_ref().and_then(|fault| {
                let touch = self.touches.get(&fault.point);
                touch.filter(|_| fault.mode == Mode::Conflict).cloned()
            }),
            ..Orders::default()
        }
    }
}

/// One worker's engine on its stage.
pub(super) struct Runner {
    pub(super) world: Arc<World>,
    pub(super) stage: Stage,
    engine: Box<dyn Archiver>,
    options: EngineOptions,
    oracles: BTreeSet<Oracle>,
    base: Option<Arc<Reference>>,
    by_action: BTreeMap<Action, Arc<Reference>>,
    /// States in which nothing was wrong, by their digest and the run that they are measured by.
    sound: RefCell<HashSet<(u64, u64)>>,
    /// The statements of each run of a case, if they are to be kept.
    runs: Option<Vec<Vec<Passed>>>,
}

impl Runner {
    pub(super) fn new(
        ground: &mut Ground,
        world: Arc<World>,
        engine: Box<dyn Archiver>,
        options: EngineOptions,
        oracles: BTreeSet<Oracle>,
    ) -> Result<Self> {
        let stage = Stage::new(ground, Arc::clone(&world), &options)?;
        Ok(Self {
            world,
            stage,
            engine,
            options,
            oracles,
            base: None,
            by_action: BTreeMap::new(),
            sound: RefCell::default(),
            runs: None,
        })
    }

    /// The engine, for another runner.
    pub(super) fn into_engine(self) -> Box<dyn Archiver> {
        self.engine
    }

    /// Rows that an engine may take away from where they are.
    fn may_go(&self, start: &State) -> BTreeSet<String> {
        let (graph, shape) = (&self.stage.graph, &self.stage.shape);
        // What is purged cannot be brought back, and age is asked of no foreign key: here no more than
        // what the model lets go.
        match shape.is_strict() {
            true => free_rows_at_most(graph, shape, start).into_iter().collect(),
            false => movable(shape, start),
        }
    }

    /// Rows that an engine may move that is to heal.
    fn may_heal(&self, start: &State) -> Moves {
        let (graph, shape) = (&self.stage.graph, &self.stage.shape);
        match shape.repairs {
            true => Moves::of(graph, shape, start),
            false => Moves::default(),
        }
    }

    /// Begins to keep what a case looks like from near.
    fn witness(&mut self, start: &State) -> Option<Box<Evidence>> {
        self.runs = Some(Vec::new());
        Some(Evidence::new(&self.stage.shape, start))
    }

    /// Ends what `witness` began.
    fn testify(&mut self, judged: &mut Judged, expected: &State, calm: &[Passed]) {
        let runs = self.runs.take().unwrap_or_default();
        let Some(evidence) = &mut judged.evidence else {
            return;
        };
        let names = Names::of(&self.stage.place(&self.options));
        evidence.expected = expected.clone();
        evidence.calm = calm.to_vec();
        evidence.runs = runs;
        evidence.tidy(&names);
        judged.ran.iter_mut().for_each(|ran| names.tidy_ran(ran));
    }

    /// The engine's name in reports.
    pub(super) fn engine_name(&self) -> String {
        self.engine.name()
    }

    /// Takes over what another runner on the same world has found out.
    pub(super) fn adopt(&mut self, base: &Arc<Reference>) {
        self.base = Some(Arc::clone(base));
    }

    pub(super) fn base(&self) -> Result<Arc<Reference>> {
        let missing = || Error::internal("no undisturbed run has been made");
        self.base.clone().ok_or_else(missing)
    }

    /// Case 0: the undisturbed run, which can fail too.
    pub(super) fn rehearse(&mut self) -> Result<Judged> {
        self.stage.reset(None)?;
        let start = self.stage.state()?;
        let mut judged = Judged {
            fired: true,
            evidence: self.witness(&start),
            ..Judged::default()
        };
        let (ran, sight) = self.go(
            Orders {
                observe_all: true,
                trace: true,
                ..Orders::default()
            },
            None,
        )?;
        let after = self.stage.state()?;
        let victims = match self.stage.engine {
            // There the layer that runs a statement stops it itself.
            Engine::Sqlite => BTreeMap::new(),
            Engine::Mysql | Engine::Postgres => {
                victims(&self.stage.shape, &sight.trace, &start, &sight.commits)
            }
        };
        let touches = match self.stage.is_cluster() {
            true => touches(
                &self.stage.graph,
                &self.stage.shape,
                (&sight.trace, &victims),
                (&start, &sight.commits),
            ),
            false => BTreeMap::new(),
        };
        let reference = Reference {
            id: start.digest(),
            movable: self.may_go(&start),
            moves: self.may_heal(&start),
            victims,
            touches,
            start,
            end: after.clone(),
            trace: sight.trace.clone(),
            commits: sight.commits.clone(),
            stuck: Vec::new(),
        };
        judged.trace.clone_from(&sight.trace);
        judged.points = sight.points;
        let mut lineage = Lineage::from(&self.stage.shape, &reference.start);
        let mut bench = self.bench(&mut judged, &reference);
        bench.run(&mut lineage, 0, &sight, &after, (0, &reference));
        bench.truthful(&reference.start, &after, &ran);
        bench.candid(&after, &ran);
        judged.ran.push(ran.clone());
        let end = self.rerun(
            &mut judged,
            &mut lineage,
            &reference,
            (&after, ran.ended, true),
            (true, None),
        )?;
        let stuck = left(&self.stage, &reference.start, &end, UNDISTURBED);
        let reference = Reference {
            end,
            stuck,
            ..reference
        };
        let mut bench = self.bench(&mut judged, &reference);
        bench.final_state(&reference.end);
        bench.stuck();
        self.idempotent(&mut judged, &reference, &reference.end)?;
        self.testify(&mut judged, &reference.end, &reference.trace);
        self.base = Some(Arc::new(reference));
        Ok(judged)
    }

    /// The statements of another undisturbed run.
    pub(super) fn retrace(&mut self) -> Result<Vec<Passed>> {
        self.stage.reset(None)?;
        let orders = Orders {
            trace: true,
            ..Orders::default()
        };
        Ok(self.go(orders, None)?.1.trace)
    }

    /// Runs and judges a case.
    pub(super) fn run(&mut self, case: &Case, trace: bool) -> Result<Judged> {
        let judged = self.run_by(case, trace, false)?;
        // An engine may take families in another order each time, in the same words: then what it had
        // committed is seen in its own run only.
        let lost = judged.breaches.iter().any(|b| b.oracle == Oracle::Durable);
        match lost && !self.is_lie(case) {
            true => self.run_by(case, trace, true),
            false => Ok(judged),
        }
    }

    /// `own`: whether what was committed before the fault is read in this run, not known from case 0.
    fn run_by(&mut self, case: &Case, trace: bool, own: bool) -> Result<Judged> {
        let mut judged = Judged::default();
        let base = self.base()?;
        self.runs = None;
        if let Some(writer) = &case.writer
            && writer.action != Action::SecondArchiver
        {
            self.prepare(writer.action)?;
        }
        if trace {
            judged.evidence = self.witness(&base.start);
        }
        self.stage.reset(None)?;
        let orders = Orders {
            observe: true,
            observe_all: own,
            // What was open when a root was marked is told from the statements.
            trace: trace || case.has_writer(Action::SoftDelete),
            ..base.orders(case)
        };
        let (ran, sight) = self.go(orders, case.fault.as_ref())?;
        judged.fired = (case.fault.is_none() || sight.fired)
            && (case.writer.is_none() || sight.wrote.is_some());
        judged.begun =
            case.fault.is_none() && case.writer.is_none() || sight.fired || sight.wrote.is_some();
        judged.wrote = sight.wrote;
        judged.other_text.clone_from(&sight.other_text);
        judged.trace.clone_from(&sight.trace);
        judged.points = sight.points;
        // Up to the fault the run was that of case 0, commits and all.
        let commits = if own { &sight.commits } else { &base.commits };
        let acknowledged = usize::try_from(sight.acknowledged)
            .ok()
            .and_then(|n| n.checked_sub(1))
            .and_then(|i| commits.get(i))
            .map(|(_, state)| state.clone());
        let reference = match &case.writer {
            Some(writer) if sight.wrote == Some(true) => {
                self.by_action.get(&writer.action).unwrap_or(&base).clone()
            }
            _ => base,
        };
        self.judge(
            &mut judged,
            case,
            &reference,
            (acknowledged, if own { sight.acknowledged } else { 0 }),
            &sight,
            Some(ran),
        )?;
        Ok(judged)
    }

    /// Of the commits that were seen the first `known` are those that had been acknowledged.
    fn judge(
        &mut self,
        judged: &mut Judged,
        case: &Case,
        reference: &Reference,
        (acknowledged, known): (Option<State>, u64),
        sight: &Sight,
        ran: Option<Ran>,
    ) -> Result<()> {
        let base = self.base()?;
        let mut lineage = self.lineage(case, &base, sight);
        let mut before = self.stage.state()?;
        judged.left = Some(before.digest());
        let counted = !case.has_writer(Action::SecondArchiver) && !self.is_lie(case);
        let found = case.writer.as_ref().and_then(|writer| {
            let earlier = base
                .commits
                .iter()
                .filter(|(point, _)| *point < writer.point);
            earlier.map(|(_, state)| state.clone()).next_back()
        });
        let mut bench = self.bench(judged, reference);
        bench.alone = case.writer.is_none();
        bench.counted = counted;
        let written = case.writer.as_ref().map_or(0, |w| w.point);
        bench.found = found.as_ref();
        bench.run(&mut lineage, 0, sight, &before, (written, &base));
        bench.lasting(acknowledged.as_ref(), sight, known, &before);
        if let Some(ran) = &ran {
            bench.truthful(&base.start, &before, ran);
        }
        if self.stage.mend()? {
            let (nodes, mended) = (self.stage.states_elsewhere()?, self.stage.state()?);
            let mut bench = self.bench(judged, reference);
            bench.agreed(&before, &[(0, mended)]);
            bench.agreed(&before, &nodes);
        }
        // A loss of power is the end of a run that nobody hears of any more.
        let mut last = ran.as_ref().map_or(Ended::Killed, |ran| ran.ended.clone());
        judged.ran.extend(ran);
        if case.second.is_some() {
            let orders = Orders {
                fault: case.second.clone(),
                observe: true,
                ..Orders::default()
            };
            let (ran, sight) = self.go(orders, case.second.as_ref())?;
            judged.fired &= sight.fired;
            if judged.other_text.is_none() {
                judged.other_text.clone_from(&sight.other_text);
            }
            judged.points = sight.points;
            let after = self.stage.state()?;
            let mut bench = self.bench(judged, reference);
            bench.alone = case.writer.is_none();
            bench.found = found.as_ref();
            bench.run(&mut lineage, 1, &sight, &after, (0, &base));
            bench.lasting(None, &sight, 0, &after);
            bench.truthful(&before, &after, &ran);
            last = ran.ended.clone();
            judged.ran.push(ran);
            before = after;
        }
        if case.writer.is_some() || self.is_lie(case) {
            // What it could not know of is not held against it.
            last = Ended::Killed;
        }
        let end = self.rerun(
            judged,
            &mut lineage,
            reference,
            (&before, last, false),
            (case.writer.is_none(), found.as_ref()),
        )?;
        let mut bench = self.bench(judged, reference);
        // What of a damaged family a writer changes decides what is to be done about it.
        let decides = self.stage.shape.repairs && case.writer.is_some();
        let marks = case.has_writer(Action::SoftDelete) || case.has_writer(Action::Revive);
        let marks = marks || decides;
        match marks && sight.wrote == Some(true) {
            true => bench.settled(&end),
            false => bench.convergent(&end),
        }
        bench.final_state(&end);
        self.idempotent(judged, reference, &end)?;
        self.testify(judged, &reference.end, &base.trace);
        Ok(())
    }

    fn bench<'a>(&'a self, judged: &'a mut Judged, reference: &'a Reference) -> Bench<'a> {
        Bench {
            runner: self,
            reference,
            judged,
            counted: true,
            alone: true,
            found: None,
        }
    }

    /// Whether there are records about roots in another database.
    fn has_records(&self) -> bool {
        self.world.api.is_some() && self.world.profile.api.is_some()
    }

    /// Whether the server itself lied: what the engine then says is not its fault. On a cluster it is no lie: an OK to a
    /// COMMIT says nothing there, and whoever believes it has only himself to blame.
    fn is_lie(&self, case: &Case) -> bool {
        let mut faults = case.fault.iter().chain(&case.second);
        faults.any(|f| f.mode == Mode::CommitLost) && !self.stage.is_cluster()
    }

    /// A run of the engine, whatever it does: one that panics has failed.
    fn engine_run(&mut self) -> Result<Ran> {
        let place = self.stage.place(&self.options);
        let run = std::panic::AssertUnwindSafe(|| self.engine.run(&place));
        std::panic::catch_unwind(run).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Ok(Ran::failed(format!(
                "panicked: {}",
                text.unwrap_or("without a word")
            )))
        })
    }

    /// One run of the engine under these orders; afterwards the database does nothing any more.
    fn go(&mut self, mut orders: Orders, fault: Option<&Fault>) -> Result<(Ran, Sight)> {
        self.stage.mend()?;
        let vfs = self.stage.vfs();
        orders.trace |= self.runs.is_some();
        orders.process = self.engine.is_process();
        orders.believes = !self.stage.is_cluster();
        let on_files = fault.filter(|f| f.mode.is_of_files());
        if let Some(vfs) = &vfs {
            vfs.arm(on_files.and_then(io_fault), false);
        }
        self.stage.injector.arm(orders);
        let ran = self.engine_run();
        let mut sight = self.stage.injector.disarm();
        if let Some(vfs) = &vfs {
            vfs.disarm();
            if let Some(fault) = on_files {
                let seen = vfs.seen();
                sight.fired = seen.fired.is_some();
                if let Some(struck) = seen.struck().map(ToString::to_string)
                    && struck != fault.text
                    && !fault.text.is_empty()
                {
                    sight.other_text = Some((fault.text.clone(), struck));
                }
            }
        }
        self.stage.settle()?;
        sight.nodes = self.stage.states_elsewhere()?;
        if let Some(runs) = &mut self.runs {
            runs.push(sight.trace.clone());
        }
        if let Some(broken) = &sight.broken {
            return Err(Error::internal(format!(
                "the harness itself failed: {broken}"
            )));
        }
        Ok((ran?, sight))
    }
}
