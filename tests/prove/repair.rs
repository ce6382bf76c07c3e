//! Repairs, under every fault: what is damaged is healed, what is not stays as it is, and no row is lost.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sexton::archive::{self, Options, Stop};
use sexton::audit::{self, audit};
use sexton::db::{Engine, Session, SqliteDriver, SqliteMode, introspect};
use sexton::error::Result;
use sexton::exit::ExitCode;
use sexton::prove::archiver::{Archiver, Control, Ended, Own, Place, Ran};
use sexton::prove::campaign::Sample;
use sexton::prove::fault::Mode;
use sexton::prove::oracle::{Breach, Oracle};
use sexton::prove::world::{Content, Task};
use sexton::prove::{Backend, Campaign, Points, Report, catalogue, replay};

use crate::own::show;

fn repairs(backend: Backend, worlds: &[&str]) -> Campaign {
    let worlds = worlds
        .iter()
        .map(|w| catalogue::world(w).unwrap())
        .collect();
    let mut campaign = Campaign::new(backend, worlds);
    campaign.task = Task::Repair;
    campaign.points = Points::Deciding;
    (campaign.writers, campaign.pairs, campaign.files) = (false, false, false);
    campaign
}

fn holds(campaign: &Campaign) -> Report {
    let own = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Own)) };
    let report = campaign.run(&own, &()).unwrap();
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.exit_code(), ExitCode::Done, "{}", show(&report));
    report
}

/// Lost before every statement, its questions among them.
#[test]
fn no_fault_in_a_repair_does_harm_on_sqlite() {
    let mut campaign = repairs(Backend::Sqlite, &["missing-foreign-key"]);
    campaign.points = Points::All;
    campaign.modes = Some([Mode::CutAfter].into());
    let report = holds(&campaign);
    assert!(report.cases > 150, "{}", show(&report));
    assert_eq!(report.worlds[0].name, "repair-missing-foreign-key");
    for oracle in [
        Oracle::Whole,
        Oracle::Conserved,
        Oracle::Convergent,
        Oracle::Idempotent,
        Oracle::Untouched,
        Oracle::Truthful,
    ] {
        assert!(report.verdict[&oracle].held > 150, "{oracle}: {report:?}");
    }
}

/// Rows with several owners, rows that refer to each other, keys of several columns, foreign keys that cascade.
#[test]
fn no_fault_at_a_decision_of_a_repair_does_harm_on_sqlite() {
    let mut worlds = catalogue::NAMES.to_vec();
    worlds.retain(|name| *name != "nova");
    let mut campaign = repairs(Backend::Sqlite, &worlds);
    campaign.modes = Some([Mode::KillAfter].into());
    assert!(holds(&campaign).cases > 250);
}

/// Markers that hold a key, and records in another database.
#[test]
fn no_fault_at_a_decision_of_a_repair_of_nova_does_harm() {
    let mut campaign = repairs(Backend::Sqlite, &["nova"]);
    campaign.modes = Some([Mode::CutBefore].into());
    let report = holds(&campaign);
    let records = report.verdict[&Oracle::ApiConsistent];
    assert!(records.held > 50, "{}", show(&report));
}

#[test]
fn no_fault_in_a_repair_does_harm_on_mariadb() {
    let mut campaign = repairs(Backend::Mariadb, &["chain"]);
    campaign.modes = Some([Mode::CutBefore, Mode::KillAfter].into());
    assert!(holds(&campaign).cases > 50);
}

#[test]
fn no_fault_in_a_repair_does_harm_on_postgresql() {
    let mut campaign = repairs(Backend::Postgres, &["chain"]);
    campaign.modes = Some([Mode::CutBefore, Mode::KillAfter].into());
    let report = holds(&campaign);
    assert!(report.cases > 40, "{}", show(&report));
}

/// Lost before every statement, its questions among them.
#[test]
fn no_fault_at_any_statement_of_a_repair_does_harm_on_mariadb() {
    let mut campaign = repairs(Backend::Mariadb, &["chain"]);
    campaign.points = Points::All;
    campaign.modes = Some([Mode::CutBefore].into());
    let report = holds(&campaign);
    assert!(report.cases > 150, "{}", show(&report));
}

#[test]
fn no_fault_at_any_statement_of_a_repair_does_harm_on_postgresql() {
    let mut campaign = repairs(Backend::Postgres, &["chain"]);
    campaign.points = Points::All;
    campaign.modes = Some([Mode::CutBefore].into());
    let report = holds(&campaign);
    assert!(report.cases > 150, "{}", show(&report));
}

/// A service works on.
#[test]
fn no_writer_beside_a_repair_comes_to_harm() {
    let mut campaign = repairs(Backend::Sqlite, &["two-references"]);
    (campaign.writers, campaign.modes) = (true, Some(BTreeSet::new()));
    let report = holds(&campaign);
    assert_eq!(report.writers.len(), 5, "{}", show(&report));
    for (action, turns) in &report.writers {
        assert!(turns.changed > 0, "{action}: {}", show(&report));
    }
}

/// A few worlds, and those in which copies were dropped from the wrong side: of rows that own themselves, or are without
/// an owner over one of their references.
#[test]
fn no_repair_at_random_does_harm() {
    for (seed, worlds) in [
        (7, 6),
        (3_179_846_399, 1),
        (442_411_371, 1),
        (3_754_640_399, 1),
    ] {
        let mut campaign = repairs(Backend::Sqlite, &[]);
        campaign.random = Some(Sample {
            seed,
            worlds,
            cases: 8,
        });
        assert!(holds(&campaign).cases > 8, "{seed}");
    }
}

/// A database with this content.
fn filled(content: &Content, path: PathBuf, main_url: &str) -> Session {
    let label = path.display().to_string();
    let driver = SqliteDriver::open(path, SqliteMode::Create).unwrap();
    let mut session = Session::new(Box::new(driver), Engine::Sqlite, &label);
    let create = content.create(Engine::Sqlite).unwrap();
    for statement in create
        .into_iter()
        .chain(content.fill(Engine::Sqlite, main_url))
    {
        session.execute(&statement).unwrap();
    }
    session
}

/// Every kind of damage that a repair claims to heal is in one of the worlds, by what the audit says.
#[test]
fn the_worlds_have_damage_of_every_kind() {
    let (mut found, mut records_left) = (BTreeSet::new(), BTreeSet::new());
    for name in ["repair-chain", "repair-nova"] {
        let world = catalogue::world(name).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut session = filled(&world.main, directory.path().join("main.db"), "");
        let schema = introspect(&mut session).unwrap();
        let graph = world.profile.families(&schema).unwrap();
        let report = audit(&mut session, &graph, &audit::Options::default()).unwrap();
        found.extend(report.findings.into_iter().map(|f| f.message));
        let (Some(content), Some(records)) = (&world.api, &world.profile.api) else {
            continue;
        };
        let url = session.label().to_owned();
        let mut api = filled(content, directory.path().join("api.db"), &url);
        let mut cells = [audit::Cell {
            name: String::new(),
            session: &mut session,
            graph: &graph,
        }];
        let stranded = audit::stranded(&mut api, &mut cells, records, 5);
        assert_eq!(stranded.not_checked, []);
        records_left.extend(stranded.findings.into_iter().map(|f| f.table));
    }
    let has = |words: &[&str]| {
        let mut texts = found.iter();
        texts.any(|text| words.iter().all(|word| text.contains(word)))
    };
    for words in [
        &["and, the same, in"][..],
        &["taken by other rows"],
        &["are still live while their"],
        &["rows are in shadow_", "row is still live"],
        &["rows are in shadow_", "row is soft-deleted, not archived"],
        &["belong to soft-deleted"],
        &["marked deleted and have no"],
        &["that is not their id"],
    ] {
        assert!(has(words), "{words:?}: {found:?}");
    }
    assert!(!records_left.is_empty());
}

/// A repair with one mistake, and what it does instead.
struct Careless {
    name: &'static str,
    does: fn(&mut Session, &Place) -> Result<()>,
}

impl Archiver for Careless {
    fn name(&self) -> String {
        self.name.into()
    }

    fn repairs(&self) -> bool {
        true
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut session = place.main.open()?;
        (self.does)(&mut session, place)?;
        Ok(Ran {
            ended: Ended::Done,
            rows: None,
            output: String::new(),
        })
    }
}

fn all(session: &mut Session, statements: &[&str]) -> Result<()> {
    for statement in statements {
        session.execute(statement)?;
    }
    Ok(())
}

#[test]
fn a_careless_repair_is_seen() {
    let careless: [(Oracle, Careless); 6] = [
        (
            Oracle::Conserved,
            Careless {
                name: "drops-by-key",
                does: |session, _| {
                    // Also those over whose key another row lives.
                    all(
                        session,
                        &["DELETE FROM shadow_child WHERE id IN (SELECT id FROM child)"],
                    )
                },
            },
        ),
        (
            Oracle::Conserved,
            Careless {
                name: "drops-both",
                does: |session, _| {
                    all(
                        session,
                        &[
                            "CREATE TEMPORARY TABLE twice AS SELECT id FROM leaf INTERSECT SELECT id FROM shadow_leaf",
                            "DELETE FROM leaf WHERE id IN (SELECT id FROM twice)",
                            "DELETE FROM shadow_leaf WHERE id IN (SELECT id FROM twice)",
                        ],
                    )
                },
            },
        ),
        (
            Oracle::Conserved,
            Careless {
                name: "dates-all",
                does: |session, _| {
                    all(
                        session,
                        &["UPDATE root SET deleted_at = CURRENT_TIMESTAMP WHERE deleted = 1"],
                    )
                },
            },
        ),
        (
            Oracle::Whole,
            Careless {
                name: "one-row-alone",
                does: |session, _| {
                    // The first of a family that was whole, as if its child were all that it has.
                    all(
                        session,
                        &[
                            "INSERT INTO shadow_leaf SELECT * FROM leaf WHERE child_id IN (SELECT id FROM child WHERE deleted = 1) AND id NOT IN (SELECT id FROM shadow_leaf)",
                            "DELETE FROM leaf WHERE child_id IN (SELECT id FROM child WHERE deleted = 1)",
                        ],
                    )
                },
            },
        ),
        (
            Oracle::Untouched,
            Careless {
                name: "archives-all",
                does: |session, place| {
                    let options = Options {
                        until_complete: true,
                        ..Options::default()
                    };
                    archive::archive(session, &place.graph, &options, &Stop::default(), &mut ())?;
                    Ok(())
                },
            },
        ),
        (
            Oracle::Convergent,
            Careless {
                name: "dates-alone",
                does: |session, _| {
                    all(
                        session,
                        &[
                            "UPDATE root SET deleted_at = CURRENT_TIMESTAMP WHERE deleted = 1 AND deleted_at IS NULL",
                        ],
                    )
                },
            },
        ),
    ];
    for (oracle, careless) in careless {
        let (name, does) = (careless.name, careless.does);
        let engines =
            move || -> Result<Box<dyn Archiver>> { Ok(Box::new(Careless { name, does })) };
        let mut campaign = repairs(Backend::Sqlite, &["chain"]);
        campaign.modes = Some(BTreeSet::new());
        campaign.jobs = 1;
        let report = campaign.run(&engines, &()).unwrap();
        let seen = report.failures.iter().find(|f| f.oracle == oracle);
        let seen = seen.unwrap_or_else(|| panic!("{name}: {}", show(&report)));
        assert!(
            seen.undisturbed && !seen.what.is_empty(),
            "{name}: {seen:?}"
        );
        // What is kept of it fails again.
        let judged = replay(&seen.scenario, &engines).unwrap();
        let mut breaches = judged.breaches.iter().map(Breach::fingerprint);
        assert!(
            breaches.any(|f| f == seen.fingerprint),
            "{name}: {judged:?}"
        );
    }
}

/// sexton's own repair with one mistake about what it says, or about the API records.
struct Almost {
    name: &'static str,
    /// Whether it is shown the API database.
    sweeps: bool,
    then: fn(&Place, &mut Ran) -> Result<()>,
}

impl Archiver for Almost {
    fn name(&self) -> String {
        self.name.into()
    }

    fn repairs(&self) -> bool {
        true
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut shown = place.with(place.options.clone());
        shown.api = shown.api.filter(|_| self.sweeps);
        let mut ran = Own.run(&shown)?;
        (self.then)(place, &mut ran)?;
        Ok(ran)
    }
}

/// One row more of each of these tables than moved.
fn says_more(ran: &mut Ran, tables: &[&str]) -> Result<()> {
    for table in tables {
        let rows = ran.rows.get_or_insert_default();
        *rows.entry((*table).into()).or_default() += 1;
    }
    Ok(())
}

#[test]
fn a_repair_that_lies_or_mistakes_the_api_records_is_seen() {
    let almost: [(&str, Oracle, Almost); 4] = [
        (
            "chain",
            Oracle::Truthful,
            Almost {
                name: "says-more",
                sweeps: true,
                then: |_, ran| says_more(ran, &["leaf"]),
            },
        ),
        (
            // As if as many had come back as went, and so on.
            "chain",
            Oracle::Truthful,
            Almost {
                name: "says-more-of-both-sides",
                sweeps: true,
                then: |_, ran| says_more(ran, &["leaf", "shadow_leaf"]),
            },
        ),
        (
            "nova",
            Oracle::ApiConsistent,
            Almost {
                name: "leaves-records",
                sweeps: false,
                then: |_, _| Ok(()),
            },
        ),
        (
            "nova",
            Oracle::ApiConsistent,
            Almost {
                name: "drops-all-records",
                sweeps: true,
                then: |place, _| {
                    let mut api = place.api.as_ref().unwrap().open()?;
                    all(&mut api, &["DELETE FROM request_specs"])
                },
            },
        ),
    ];
    for (world, oracle, almost) in almost {
        let Almost { name, sweeps, then } = almost;
        let engines =
            move || -> Result<Box<dyn Archiver>> { Ok(Box::new(Almost { name, sweeps, then })) };
        let mut campaign = repairs(Backend::Sqlite, &[world]);
        campaign.modes = Some(BTreeSet::new());
        campaign.jobs = 1;
        let report = campaign.run(&engines, &()).unwrap();
        let mut failures = report.failures.iter();
        let seen = failures.any(|f| f.oracle == oracle && f.undisturbed);
        assert!(seen, "{name}: {}", show(&report));
    }
}

#[test]
fn an_engine_that_only_archives_is_not_asked_to_repair() {
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Control::textbook())) };
    let error = repairs(Backend::Sqlite, &["chain"])
        .run(&engines, &())
        .unwrap_err();
    assert_eq!(error.code, ExitCode::Usage);
    assert_eq!(error.message, "engine textbook does not repair");
}
