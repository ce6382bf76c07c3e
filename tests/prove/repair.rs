//! Repairs, under faults: no family that was whole is split, none is lost, and the next run gets to the same end.

use std::time::Duration;

use sexton::archive::{self, Options, Stop, StopReason};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::prove::archiver::{Archiver, Ended, Place, Ran};
use sexton::prove::fault::Mode;
use sexton::prove::oracle::Oracle;
use sexton::prove::world::World;
use sexton::prove::{Backend, Campaign, Points, catalogue};
use sexton::repair::{self, repair};

use crate::own::show;

/// Repairs what is split, then archives the rest: of a database with whole families alone a repair takes nothing.
struct Repairer;

impl Archiver for Repairer {
    fn name(&self) -> String {
        "repair".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let run = Options {
            max_rows: place.options.max_rows,
            until_complete: true,
            retries: 3,
            backoff: Duration::ZERO,
            lock_patience: Duration::ZERO,
            ..Options::default()
        };
        let options = repair::Options {
            checks: vec!["split-family".into()],
            apply: true,
            run: run.clone(),
        };
        let stop = Stop::on(&place.stop);
        let work = || -> Result<()> {
            let mut session = place.main.open()?;
            let graph = &place.graph;
            let healed = repair(&mut session, graph, None, &options, &stop, &mut ())?;
            if healed.stopped_because != StopReason::Complete {
                return Err(Error::new(ExitCode::Stopped, "the repair was cut"));
            }
            archive::archive(&mut session, graph, &run, &stop, &mut ())?;
            Ok(())
        };
        Ok(match work() {
            Ok(()) => Ran {
                ended: Ended::Done,
                rows: None,
                output: String::new(),
            },
            Err(error) => Ran::failed(error.to_string()),
        })
    }
}

/// A chain of which rows lie apart in each of the ways that there are.
fn split() -> World {
    let mut world = catalogue::world("chain").unwrap();
    let apart = [
        // Of a living root; a child of a deleted one; a deleted root without its children.
        ("child", 30),
        ("leaf", 300),
        ("child", 10),
        ("root", 4),
    ];
    for row in &mut world.main.rows {
        let id = row.values.get("id").and_then(sexton::db::Value::as_int);
        if apart
            .iter()
            .any(|(table, key)| row.table == *table && id == Some(*key))
        {
            row.table = format!("shadow_{}", row.table);
        }
    }
    world.name = "split-chain".into();
    world
}

fn campaign(backend: Backend) -> Campaign {
    let mut campaign = Campaign::new(backend, vec![split()]);
    campaign.points = Points::Deciding;
    campaign.modes = Some([Mode::CutBefore, Mode::CutAfter, Mode::KillAfter].into());
    (campaign.writers, campaign.pairs, campaign.files) = (false, false, false);
    // What comes back was acknowledged as archived, once; and there is no API database.
    campaign.oracles.remove(&Oracle::Durable);
    campaign.oracles.remove(&Oracle::ApiConsistent);
    campaign
}

fn holds(campaign: &Campaign, cases: u64) {
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Repairer)) };
    let report = campaign.run(&engines, &()).unwrap();
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.exit_code(), ExitCode::Done, "{}", show(&report));
    for oracle in [
        Oracle::Whole,
        Oracle::Conserved,
        Oracle::Convergent,
        Oracle::Idempotent,
        Oracle::Untouched,
    ] {
        let held = report.verdict[&oracle].held;
        assert!(held >= cases, "{oracle}: {}", show(&report));
    }
}

/// Cut at every statement, its questions among them.
#[test]
fn no_fault_in_a_repair_does_harm_on_sqlite() {
    let mut campaign = campaign(Backend::Sqlite);
    campaign.points = Points::All;
    holds(&campaign, 240);
}

#[test]
fn no_fault_in_a_repair_does_harm_on_mariadb() {
    holds(&campaign(Backend::Mariadb), 50);
}

#[test]
fn no_fault_in_a_repair_does_harm_on_postgresql() {
    holds(&campaign(Backend::Postgres), 50);
}
