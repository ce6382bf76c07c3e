//! Purges where there are no shadow tables, under every fault; and that the harness sees what a purge gets
//! wrong.

use std::collections::BTreeMap;

use sexton::archive::Before;
use sexton::error::Result;
use sexton::exit::ExitCode;
use sexton::prove::archiver::{Archiver, Control, Own, Place, Ran};
use sexton::prove::campaign::Sample;
use sexton::prove::fault::Mode;
use sexton::prove::oracle::Oracle;
use sexton::prove::world::Task;
use sexton::prove::{Backend, Campaign, Points, Report, catalogue};

use crate::own::show;

fn own() -> Result<Box<dyn Archiver>> {
    Ok(Box::new(Own))
}

fn purges(backend: Backend, worlds: &[&str]) -> Campaign {
    let worlds = worlds
        .iter()
        .map(|w| catalogue::world(w).unwrap())
        .collect();
    let mut campaign = Campaign::new(backend, worlds);
    campaign.task = Task::Purge;
    campaign
}

fn holds(campaign: &Campaign) -> Report {
    let report = campaign.run(&own, &()).unwrap();
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.exit_code(), ExitCode::Done, "{}", show(&report));
    report
}

#[test]
fn no_fault_in_a_purge_does_harm_on_sqlite() {
    let mut campaign = purges(Backend::Sqlite, &["chain", "cycle", "two-references"]);
    campaign.pairs = false;
    let report = holds(&campaign);
    assert!(report.cases > 1_000, "{}", show(&report));
    let names: Vec<_> = report.worlds.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(
        names,
        ["purge-chain", "purge-cycle", "purge-two-references"]
    );
    for writer in ["revive", "update-child", "second-archiver"] {
        assert!(report.writers[writer].changed > 0, "{writer}: {report:?}");
    }
    for oracle in Oracle::ALL
        .into_iter()
        .filter(|o| *o != Oracle::ApiConsistent)
    {
        assert!(report.verdict[&oracle].held > 100, "{oracle}: {report:?}");
    }
}

/// All worlds, and second faults, where it decides.
#[test]
fn no_fault_at_a_decision_of_a_purge_does_harm_on_sqlite() {
    let mut campaign = purges(Backend::Sqlite, &catalogue::NAMES);
    campaign.points = Points::Deciding;
    campaign.files = false;
    assert!(holds(&campaign).cases > 1_000);
}

fn no_fault_does_harm_on(backend: Backend) {
    let mut campaign = purges(backend, &["self-reference"]);
    campaign.points = Points::Deciding;
    campaign.pairs = false;
    assert!(holds(&campaign).cases > 50);
}

#[test]
fn no_fault_in_a_purge_does_harm_on_mariadb() {
    no_fault_does_harm_on(Backend::Mariadb);
}

#[test]
fn no_fault_in_a_purge_does_harm_on_postgresql() {
    no_fault_does_harm_on(Backend::Postgres);
}

#[test]
fn no_purge_at_random_does_harm() {
    let mut campaign = purges(Backend::Sqlite, &[]);
    campaign.random = Some(Sample {
        seed: 5,
        worlds: 20,
        cases: 12,
    });
    assert!(holds(&campaign).cases > 100);
}

/// What a careless purge does.
#[derive(Clone, Copy)]
enum Purge {
    /// Each table in a transaction of its own, children first.
    TableByTable,
    /// Whatever is marked, without asking who needs it.
    WithoutForeignKeys,
    /// All that a marked root owns, marked or not.
    LivingToo,
    /// Nothing, and says that it is done.
    Idle,
}

impl Archiver for Purge {
    fn name(&self) -> String {
        "careless".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut session = place.main.open()?;
        let dead = "SELECT id FROM root WHERE deleted <> 0";
        let free = format!("{dead} AND id NOT IN (SELECT root_id FROM child WHERE deleted = 0)");
        let children = |roots: &str| format!("SELECT id FROM child WHERE root_id IN ({roots})");
        let (roots, marked) = match self {
            Self::TableByTable => (free, ""),
            Self::WithoutForeignKeys => (dead.to_owned(), " AND deleted <> 0"),
            Self::LivingToo => (dead.to_owned(), ""),
            Self::Idle => ("SELECT 0".to_owned(), ""),
        };
        let whole = !matches!(self, Self::TableByTable);
        let mut statements = vec![
            "PRAGMA foreign_keys = OFF".to_owned(),
            format!(
                "DELETE FROM leaf WHERE child_id IN ({}){marked}",
                children(&roots)
            ),
            format!("DELETE FROM child WHERE root_id IN ({roots}){marked}"),
            format!("DELETE FROM root WHERE id IN ({roots})"),
        ];
        if !whole {
            // The roots, while it is still known which they are.
            statements.insert(1, format!("CREATE TEMP TABLE gone AS {roots}"));
            for statement in &mut statements[2..] {
                *statement = statement.replace(&roots, "SELECT id FROM gone");
            }
        } else {
            statements.insert(1, "BEGIN IMMEDIATE".into());
            statements.push("COMMIT".into());
        }
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        for statement in statements {
            match session.execute(&statement) {
                Ok(affected) => {
                    if let Some(rest) = statement.strip_prefix("DELETE FROM ") {
                        let table = rest.split(' ').next().unwrap_or_default();
                        *rows.entry(table.to_owned()).or_default() += affected;
                    }
                }
                Err(error) => return Ok(Ran::failed(error.to_string())),
            }
        }
        Ok(Ran::done(rows))
    }
}

#[test]
fn what_a_purge_gets_wrong_is_seen() {
    for (purge, oracle, place) in [
        (
            Purge::TableByTable,
            Oracle::Whole,
            "leaf.child_id -> child.id",
        ),
        (
            Purge::WithoutForeignKeys,
            Oracle::Whole,
            "child.root_id -> root.id",
        ),
        (Purge::LivingToo, Oracle::Untouched, "child"),
        (Purge::Idle, Oracle::Convergent, "child"),
    ] {
        let mut campaign = purges(Backend::Sqlite, &["chain"]);
        campaign.modes = Some([Mode::KillBefore].into());
        (campaign.writers, campaign.files, campaign.pairs) = (false, false, false);
        let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(purge)) };
        let report = campaign.run(&engines, &()).unwrap();
        let found = report.failures.iter().find(|f| f.oracle == oracle);
        let found = found.unwrap_or_else(|| panic!("{oracle}: {}", show(&report)));
        assert_eq!(
            found.fingerprint,
            format!("{oracle}@{place}"),
            "{}",
            show(&report)
        );
        assert!(!found.what.contains("archived"), "{}", found.what);
    }
}

#[test]
fn an_engine_that_only_archives_is_not_asked_to_purge() {
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Control::textbook())) };
    let campaign = purges(Backend::Sqlite, &["chain"]);
    let error = campaign.run(&engines, &()).unwrap_err();
    assert_eq!(error.code, ExitCode::Usage);
    assert_eq!(error.message, "engine textbook does not purge");
}

/// A purge of the shadow tables: every row of the world lies there.
fn empties(backend: Backend, worlds: &[&str]) -> Campaign {
    let mut campaign = purges(backend, worlds);
    campaign.task = Task::EmptyShadows;
    campaign.points = Points::Deciding;
    (campaign.pairs, campaign.files) = (false, false);
    campaign
}

/// Not `cycle` and `self-reference`: rows that own each other are no family to it (`docs/purge.md`), which the next
/// test has.
#[test]
fn no_fault_in_a_purge_of_shadow_tables_does_harm() {
    let worlds = ["chain", "diamond", "composite-key", "no-shadow"];
    let mut campaign = empties(Backend::Sqlite, &worlds);
    campaign.options.max_rows = 4;
    let report = holds(&campaign);
    assert!(report.cases > 900, "{}", show(&report));
    assert_eq!(report.worlds[0].name, "empty-chain");
    for oracle in [
        Oracle::Whole,
        Oracle::Conserved,
        Oracle::Convergent,
        Oracle::Truthful,
    ] {
        assert!(report.verdict[&oracle].held > 900, "{oracle}: {report:?}");
    }
    // By the age of each family's root: those of the young ones stay.
    let mut campaign = empties(Backend::Sqlite, &["chain", "missing-foreign-key"]);
    campaign.options.before = Before::try_from("2026-01-03 00:00:00".to_owned()).ok();
    campaign.modes = Some([Mode::KillAfter, Mode::CutBefore].into());
    campaign.writers = false;
    holds(&campaign);
    for backend in [Backend::Mariadb, Backend::Postgres] {
        let mut campaign = empties(backend, &["chain"]);
        campaign.modes = Some([Mode::KillAfter, Mode::CutAfter].into());
        campaign.writers = false;
        let report = holds(&campaign);
        assert!(report.cases > 20, "{}", show(&report));
    }
}

/// What is known to be wrong is seen.
#[test]
fn a_purge_of_shadow_tables_that_takes_rows_apart_is_seen() {
    let mut campaign = empties(Backend::Sqlite, &["self-reference"]);
    campaign.options.max_rows = 1;
    (campaign.writers, campaign.modes) = (false, Some([Mode::KillAfter].into()));
    let report = campaign.run(&own, &()).unwrap();
    let whole = |f: &sexton::prove::report::Failure| f.oracle == Oracle::Whole && f.undisturbed;
    assert!(report.failures.iter().any(whole), "{}", show(&report));
}
