//! `sexton prove` on clusters of its own: its oracles, on faults that only a cluster has.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sexton::error::Result;
use sexton::prove::archiver::{Archiver, Control, Ended, Mistake, Own, Place, Ran};
use sexton::prove::fault::Mode;
use sexton::prove::oracle::Oracle;
use sexton::prove::{Backend, Campaign, Points, Report, catalogue};
use sexton::report::{Paint, prove_text};

fn campaign(backend: Backend, worlds: &[&str], modes: &[Mode]) -> Campaign {
    let worlds = worlds.iter().map(|name| catalogue::world(name).unwrap());
    let mut campaign = Campaign::new(backend, worlds.collect());
    campaign.modes = Some(modes.iter().copied().collect());
    campaign.points = Points::Deciding;
    (campaign.writers, campaign.pairs) = (false, false);
    campaign.jobs = 1;
    campaign
}

fn run<A: Archiver + 'static>(campaign: &Campaign, engine: impl Fn() -> A + Sync) -> Report {
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(engine())) };
    campaign.run(&engines, &()).unwrap()
}

type Ends = Arc<Mutex<Vec<Ended>>>;

/// sexton, whose runs are looked at.
struct Watched(Ends);

impl Archiver for Watched {
    fn name(&self) -> String {
        "watched".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let ran = Own.run(place)?;
        self.0.lock().unwrap().push(ran.ended.clone());
        Ok(ran)
    }
}

/// Runs sexton, in which nothing may be wrong; how its runs ended.
fn holds(campaign: &Campaign, cases: u64) -> Vec<Ended> {
    let ends = Ends::default();
    let report = run(campaign, || Watched(Arc::clone(&ends)));
    assert!(
        report.failures.is_empty(),
        "{}",
        prove_text(&report, Paint::Plain)
    );
    assert_eq!(
        report.fired,
        report.cases,
        "{}",
        prove_text(&report, Paint::Plain)
    );
    assert!(
        report.cases >= cases,
        "{}",
        prove_text(&report, Paint::Plain)
    );
    assert!(report.never_hit.is_empty(), "{:?}", report.never_hit);
    let ends = ends.lock().unwrap();
    ends.clone()
}

/// At each COMMIT, and at each statement between the first write and that, another node has written a row of the
/// batch; and each COMMIT is once answered OK for nothing.
#[test]
fn no_conflict_and_no_empty_ok_does_harm() {
    let modes = [Mode::Conflict, Mode::CommitLost];
    let worlds = ["chain", "composite-key", "nova"];
    let ends = holds(&campaign(Backend::Galera, &worlds, &modes), 45);
    // Each is tried again, and needs no rerun.
    assert!(ends.iter().all(Ended::is_done), "{ends:?}");
}

#[test]
fn a_run_goes_on_where_its_node_is_lost_at_a_commit() {
    let modes = Mode::of_cluster().into_iter().filter(|m| m.is_of_node());
    let modes: Vec<_> = modes.collect();
    let campaign = campaign(Backend::Galera, &["chain"], &modes);
    let ends = holds(&campaign, 9);
    assert!(ends.iter().all(Ended::is_done), "{ends:?}");
}

/// A COMMIT that a node refuses for whatever reason may have left its transaction open, which sees its own DELETE: what
/// became of it is asked outside of it.
#[test]
fn what_became_of_a_refused_commit_is_asked_outside_of_it() {
    let modes = ["error:1317", "error-for-good:1317", "error:1114"];
    let modes = modes.map(|mode| mode.parse().unwrap());
    holds(&campaign(Backend::Galera, &["chain"], &modes), 40);
}

#[test]
fn a_run_that_knows_no_other_node_leaves_what_a_rerun_mends() {
    let modes = [Mode::NodeKillAfter, Mode::NodeIsolateBefore];
    let mut campaign = campaign(Backend::GaleraOneNode, &["chain"], &modes);
    // One batch, one COMMIT.
    campaign.options.max_rows = 1000;
    let ends = holds(&campaign, 3);
    let failed = ends.iter().filter(|end| matches!(end, Ended::Failed(_)));
    assert_eq!(failed.count(), 2, "{ends:?}");
}

/// Another engine in each world: one cluster for all.
struct Wrong;

impl Archiver for Wrong {
    fn name(&self) -> String {
        "wrong".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let is_here = |table| place.graph.members.contains_key(table);
        let mut engine = match (is_here("leaf"), is_here("left_side")) {
            // Whose transaction has lost a conflict has none any more, and deletes what was not copied.
            (true, _) => Control::of(Mistake::SwallowLockTimeout),
            (_, true) => Control::of(Mistake::CommitPerTable),
            // It has no mistake but where an OK to a COMMIT means nothing.
            _ => Control::textbook(),
        };
        engine.run(place)
    }
}

#[test]
fn what_an_engine_gets_wrong_on_a_cluster_is_seen() {
    let worlds = ["chain", "diamond", "two-references"];
    let modes = [Mode::Conflict, Mode::CommitLost];
    let report = run(&campaign(Backend::Galera, &worlds, &modes), || Wrong);
    let by = |world: &str, mode: Mode| -> BTreeSet<Oracle> {
        let failures = report.failures.iter().filter(|f| {
            let fault = f.scenario.case.fault.as_ref();
            f.world == world && (f.undisturbed || fault.is_some_and(|f| f.mode == mode))
        });
        failures.map(|f| f.oracle).collect()
    };
    let text = prove_text(&report, Paint::Plain);
    let swallows = by("chain", Mode::Conflict);
    assert!(swallows.contains(&Oracle::Conserved), "{text}");
    let splits = by("diamond", Mode::Conflict);
    assert!(splits.contains(&Oracle::Whole), "{text}");
    let believes = by("two-references", Mode::CommitLost);
    assert_eq!(believes, BTreeSet::from([Oracle::Truthful]), "{text}");
    assert!(by("two-references", Mode::Conflict).is_empty(), "{text}");
}
