//! Restores, under every fault: a family is in the shadow tables or in the live ones, whole.

use sexton::error::Result;
use sexton::exit::ExitCode;
use sexton::prove::archiver::{Archiver, Control, Ended, Own, Place, Ran};
use sexton::prove::campaign::Sample;
use sexton::prove::fault::Mode;
use sexton::prove::oracle::Oracle;
use sexton::prove::world::Task;
use sexton::prove::{Backend, Campaign, Points, Report, catalogue};

use crate::own::show;

fn restores(backend: Backend, worlds: &[&str]) -> Campaign {
    let worlds = worlds
        .iter()
        .map(|w| catalogue::world(w).unwrap())
        .collect();
    let mut campaign = Campaign::new(backend, worlds);
    campaign.task = Task::Restore;
    (campaign.pairs, campaign.files) = (false, false);
    campaign
}

fn holds(campaign: &Campaign) -> Report {
    let own = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Own)) };
    let report = campaign.run(&own, &()).unwrap();
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.exit_code(), ExitCode::Done, "{}", show(&report));
    report
}

/// Cut before and after every statement.
#[test]
fn no_fault_in_a_restore_does_harm_on_sqlite() {
    let mut campaign = restores(Backend::Sqlite, &["chain"]);
    campaign.modes = Some([Mode::CutBefore, Mode::CutAfter, Mode::KillAfter].into());
    let report = holds(&campaign);
    assert!(report.cases > 200, "{}", show(&report));
    assert_eq!(report.worlds[0].name, "restore-chain");
    for oracle in [
        Oracle::Whole,
        Oracle::Conserved,
        Oracle::Convergent,
        Oracle::Idempotent,
        Oracle::Truthful,
    ] {
        assert!(report.verdict[&oracle].held > 200, "{oracle}: {report:?}");
    }
}

/// Rows with several owners, rows that refer to each other, foreign keys that cascade, keys of several columns.
#[test]
fn no_fault_at_a_decision_of_a_restore_does_harm_on_sqlite() {
    let mut worlds = catalogue::NAMES.to_vec();
    worlds.retain(|name| *name != "nova");
    let mut campaign = restores(Backend::Sqlite, &worlds);
    campaign.points = Points::Deciding;
    campaign.modes = Some([Mode::CutBefore, Mode::CutAfter, Mode::KillAfter].into());
    assert!(holds(&campaign).cases > 500);
}

fn no_fault_does_harm_on(backend: Backend) {
    let mut campaign = restores(backend, &["self-reference", "cycle", "diamond"]);
    campaign.points = Points::Deciding;
    campaign.modes = Some([Mode::CutBefore, Mode::CutAfter].into());
    assert!(holds(&campaign).cases > 50);
}

#[test]
fn no_fault_in_a_restore_does_harm_on_mariadb() {
    no_fault_does_harm_on(Backend::Mariadb);
}

#[test]
fn no_fault_in_a_restore_does_harm_on_postgresql() {
    no_fault_does_harm_on(Backend::Postgres);
}

#[test]
fn no_restore_at_random_does_harm() {
    let mut campaign = restores(Backend::Sqlite, &[]);
    campaign.points = Points::Deciding;
    campaign.random = Some(Sample {
        seed: 6,
        worlds: 20,
        cases: 6,
    });
    assert!(holds(&campaign).cases > 60);
}

/// Brings the rows of each table back in a transaction of its own.
struct TableByTable;

impl Archiver for TableByTable {
    fn name(&self) -> String {
        "table-by-table".into()
    }

    fn restores(&self) -> bool {
        true
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut session = place.main.open()?;
        for table in place.graph.delete_order.iter().rev() {
            let shadow = place.graph.member(table).and_then(|m| m.shadow.as_ref());
            if let Some(shadow) = shadow {
                session.begin()?;
                session.execute(&format!("INSERT INTO {table} SELECT * FROM {shadow}"))?;
                session.execute(&format!("DELETE FROM {shadow}"))?;
                session.commit()?;
            }
        }
        Ok(Ran {
            ended: Ended::Done,
            rows: None,
            output: String::new(),
        })
    }
}

#[test]
fn a_restore_that_takes_families_apart_is_seen() {
    let mut campaign = restores(Backend::Sqlite, &["chain"]);
    (campaign.writers, campaign.modes) = (false, Some([Mode::KillAfter].into()));
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(TableByTable)) };
    let report = campaign.run(&engines, &()).unwrap();
    let whole = report.failures.iter().find(|f| f.oracle == Oracle::Whole);
    let whole = whole.unwrap_or_else(|| panic!("{}", show(&report)));
    assert!(
        whole.undisturbed && !whole.what.is_empty(),
        "{}",
        show(&report)
    );
}

#[test]
fn an_engine_that_only_archives_is_not_asked_to_restore() {
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Control::textbook())) };
    let campaign = restores(Backend::Sqlite, &["chain"]);
    let error = campaign.run(&engines, &()).unwrap_err();
    assert_eq!(error.code, ExitCode::Usage);
    assert_eq!(error.message, "engine textbook does not restore");
}
