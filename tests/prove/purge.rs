//! Purges where there are no shadow tables, under every fault; and that the harness sees what a purge gets
//! wrong.

use std::collections::BTreeMap;

use sexton::archive::Before;
use sexton::error::Result;
use sexton::exit::ExitCode;
use sexton::prove::archiver::{Archiver, Control, Ended, Own, Place, Ran};
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

/// Rows with several owners and rows that own each other among them, one family to a transaction.
#[test]
fn no_fault_in_a_purge_of_shadow_tables_does_harm() {
    let mut worlds = catalogue::NAMES.to_vec();
    worlds.retain(|name| *name != "nova");
    let mut campaign = empties(Backend::Sqlite, &worlds);
    campaign.options.max_rows = 1;
    let report = holds(&campaign);
    assert!(report.cases > 2000, "{}", show(&report));
    assert_eq!(report.worlds[0].name, "empty-chain");
    for oracle in [
        Oracle::Whole,
        Oracle::Conserved,
        Oracle::Convergent,
        Oracle::Truthful,
    ] {
        assert!(report.verdict[&oracle].held > 2000, "{oracle}: {report:?}");
    }
}

/// By the age of each family's root: those of the young ones stay.
#[test]
fn a_purge_of_shadow_tables_by_age_takes_no_young_family() {
    let trees = &["chain", "missing-foreign-key"][..];
    let tangles = &["self-reference", "cycle", "diamond"][..];
    for (day, worlds) in [("03", trees), ("10", tangles), ("20", tangles)] {
        let mut campaign = empties(Backend::Sqlite, worlds);
        campaign.options.before = Before::try_from(format!("2026-01-{day} 00:00:00")).ok();
        campaign.options.max_rows = 1;
        campaign.modes = Some([Mode::KillAfter, Mode::CutBefore].into());
        campaign.writers = false;
        holds(&campaign);
    }
}

#[test]
fn a_purge_of_shadow_tables_on_servers() {
    for backend in [Backend::Mariadb, Backend::Postgres] {
        let mut campaign = empties(backend, &["chain", "self-reference", "cycle", "diamond"]);
        campaign.modes = Some([Mode::KillAfter, Mode::CutAfter].into());
        campaign.options.max_rows = 1;
        campaign.options.before = Before::try_from("2026-01-22 00:00:00".to_owned()).ok();
        campaign.writers = false;
        let report = holds(&campaign);
        assert!(report.cases > 80, "{}", show(&report));
    }
}

#[test]
fn a_purge_of_shadow_tables_in_worlds_at_random() {
    let mut campaign = empties(Backend::Sqlite, &[]);
    campaign.random = Some(Sample {
        seed: 4,
        worlds: 60,
        cases: 8,
    });
    assert!(holds(&campaign).cases > 300);
}

/// A purge that takes rows apart is seen: the children of each row first, in transactions of their own.
struct ChildrenFirst;

impl Archiver for ChildrenFirst {
    fn name(&self) -> String {
        "children-first".into()
    }

    fn purges(&self) -> bool {
        true
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut session = place.main.open()?;
        for table in &place.graph.delete_order {
            let shadow = place.graph.member(table).and_then(|m| m.shadow.as_ref());
            if let Some(shadow) = shadow {
                session.execute(&format!("DELETE FROM {shadow}"))?;
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
fn a_purge_of_shadow_tables_that_takes_rows_apart_is_seen() {
    let mut campaign = empties(Backend::Sqlite, &["chain"]);
    (campaign.writers, campaign.modes) = (false, Some([Mode::KillAfter].into()));
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(ChildrenFirst)) };
    let report = campaign.run(&engines, &()).unwrap();
    let whole = |f: &sexton::prove::report::Failure| f.oracle == Oracle::Whole && f.undisturbed;
    assert!(report.failures.iter().any(whole), "{}", show(&report));
}
