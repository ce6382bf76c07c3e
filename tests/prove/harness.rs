//! The harness itself: what would let a fault pass for one that an engine survived.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use sexton::archive::Before;
use sexton::db::{DbErrorKind, Value};
use sexton::error::Result;
use sexton::exit::ExitCode;
use sexton::prove::archiver::{Archiver, Control, Ended, Mistake, Own, Place, Program, Ran};
use sexton::prove::campaign::Sample;
use sexton::prove::fault::{Code, Mode};
use sexton::prove::oracle::Oracle;
use sexton::prove::report::Failure;
use sexton::prove::world::World;
use sexton::prove::writer::Action;
use sexton::prove::{Backend, Campaign, Points, Report, catalogue};

use crate::own::show;

type Seen<T> = Arc<Mutex<Vec<T>>>;

/// These modes on one world, one case after the other, nothing else.
fn campaign(backend: Backend, world: &str, modes: &[Mode]) -> Campaign {
    in_world(backend, catalogue::world(world).unwrap(), modes)
}

/// The same on a world of one's own.
pub(crate) fn in_world(backend: Backend, world: World, modes: &[Mode]) -> Campaign {
    let mut campaign = Campaign::new(backend, vec![world]);
    campaign.modes = Some(modes.iter().copied().collect());
    campaign.points = Points::Deciding;
    (campaign.writers, campaign.files, campaign.pairs) = (false, false, false);
    campaign.jobs = 1;
    campaign
}

pub(crate) fn run<A: Archiver + 'static>(
    campaign: &Campaign,
    engine: impl Fn() -> A + Sync,
) -> Report {
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(engine())) };
    campaign.run(&engines, &()).unwrap()
}

/// sexton as a program, whose runs are looked at.
struct Watched {
    program: Program,
    ends: Seen<Ended>,
}

impl Archiver for Watched {
    fn name(&self) -> String {
        "watched".into()
    }

    fn is_process(&self) -> bool {
        true
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let ran = self.program.run(place)?;
        self.ends.lock().unwrap().push(ran.ended.clone());
        Ok(ran)
    }
}

/// A wrapper that dies alone would leave the engine that it has started to go on.
#[test]
fn a_killed_process_is_dead_with_all_that_it_has_started() {
    let ends: Seen<Ended> = Arc::default();
    let command = format!(
        "sh -c '{} archive --format json --quiet --until-complete --max-rows {{max_rows}} \
         --profile {{profile}} {{url}}; exit $?'",
        env!("CARGO_BIN_EXE_sexton")
    );
    let campaign = campaign(
        Backend::Mariadb,
        "chain",
        &[Mode::KillBefore, Mode::KillAfter],
    );
    let report = run(&campaign, || Watched {
        program: Program::new(&command).unwrap(),
        ends: Arc::clone(&ends),
    });
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.fired, report.cases);
    let ends = ends.lock().unwrap();
    let killed = ends.iter().filter(|end| **end == Ended::Killed).count();
    assert_eq!(killed as u64, report.cases - 1, "{ends:?}");
    assert!(killed > 10);
}

/// The own engine, asked afterwards since when its server runs, and looked at.
struct Since(Seen<String>, Seen<Ended>);

impl Archiver for Since {
    fn name(&self) -> String {
        "since".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let ran = Own.run(place)?;
        self.1.lock().unwrap().push(ran.ended.clone());
        if let Ok(mut session) = place.main.open()
            && let Ok(Some(row)) = session.query_row("SELECT pg_postmaster_start_time()::text")
        {
            let mut seen = self.0.lock().unwrap();
            if seen.last() != Some(&row[0].to_string()) {
                seen.push(row[0].to_string());
            }
        }
        Ok(ran)
    }
}

#[test]
fn a_killed_server_is_another_one_afterwards_and_takes_the_engines_next_try() {
    for mode in Mode::of_server() {
        let (seen, ends): (Seen<String>, Seen<Ended>) = Default::default();
        let campaign = campaign(Backend::Postgres, "composite-key", &[mode]);
        let report = run(&campaign, || Since(Arc::clone(&seen), Arc::clone(&ends)));
        assert!(report.failures.is_empty(), "{}", show(&report));
        assert_eq!(report.fired, report.cases);
        assert!(report.cases > 3);
        // One server for the undisturbed runs, and one more for each case.
        assert_eq!(seen.lock().unwrap().len() as u64, report.cases, "{mode}");
        // It is killed once: who tries again finds the next one.
        let ends = ends.lock().unwrap();
        assert!(ends.iter().all(Ended::is_done), "{mode}: {ends:?}");
    }
}

/// Archives well, but after a run that failed table by table, which is whole again at the end.
#[derive(Default)]
struct SplitsOnResume {
    failed: bool,
}

impl Archiver for SplitsOnResume {
    fn name(&self) -> String {
        "splits-on-resume".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut engine = match self.failed {
            true => Control::of(Mistake::CommitPerTable),
            false => Control::textbook(),
        };
        let ran = engine.run(place)?;
        self.failed = matches!(ran.ended, Ended::Failed(_));
        Ok(ran)
    }
}

#[test]
fn what_a_rerun_splits_is_seen_though_it_is_whole_at_the_end() {
    let campaign = campaign(Backend::Sqlite, "chain", &[Mode::KillBefore]);
    let report = run(&campaign, SplitsOnResume::default);
    let oracles: BTreeSet<_> = report.failures.iter().map(|f| f.oracle).collect();
    assert_eq!(
        oracles,
        BTreeSet::from([Oracle::Whole]),
        "{}",
        show(&report)
    );
    assert!(report.failures.iter().all(|f| !f.undisturbed));
}

/// Panics where others say that they failed.
struct Panics;

impl Archiver for Panics {
    fn name(&self) -> String {
        "panics".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let ran = Own.run(place)?;
        assert!(!matches!(ran.ended, Ended::Failed(_)), "unwrapped");
        Ok(ran)
    }
}

#[test]
fn an_engine_that_panics_has_failed_and_the_campaign_goes_on() {
    let campaign = campaign(Backend::Sqlite, "chain", &[Mode::KillBefore]);
    let report = run(&campaign, || Panics);
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert!(report.cases > 10);
}

/// The own engine, which then writes what it likes into a record of the API database.
struct Scribbles;

impl Archiver for Scribbles {
    fn name(&self) -> String {
        "scribbles".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let ran = Own.run(place)?;
        if let Some(api) = &place.api {
            api.open()?.execute("UPDATE cell_mappings SET name = 'x'")?;
        }
        Ok(ran)
    }
}

#[test]
fn a_record_that_nobody_should_touch_is_watched_too() {
    let report = run(&campaign(Backend::Sqlite, "nova", &[]), || Scribbles);
    let found: Vec<_> = report.failures.iter().map(|f| &f.fingerprint).collect();
    assert_eq!(found, ["api-consistent@cell_mappings"], "{}", show(&report));
}

/// Each worker has its databases at other places, and API records name them.
#[test]
fn workers_agree_on_what_the_records_of_an_api_database_are() {
    let mut campaign = campaign(Backend::Mariadb, "nova", &[Mode::CutBefore]);
    campaign.jobs = 2;
    let report = run(&campaign, || Own);
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert!(report.verdict[&Oracle::ApiConsistent].held > 20);
}

/// What a parent owns stays with it, shadow table or not.
#[test]
fn a_child_without_shadow_is_not_left_behind() {
    let mut campaign = campaign(Backend::Sqlite, "no-shadow", &[]);
    campaign.oracles = [Oracle::Untouched].into();
    let report = run(&campaign, || Control::of(Mistake::ForeignKeysOff));
    assert_eq!(report.failures.len(), 1, "{}", show(&report));
}

/// A later world that cannot be judged takes nothing from what an earlier one has shown.
#[test]
fn failures_that_were_found_outlast_an_error() {
    let mut campaign = campaign(Backend::Sqlite, "chain", &[]);
    let mut idle = catalogue::world("cycle").unwrap();
    idle.main.rows.clear();
    campaign.worlds.push(idle.clone());
    let report = run(&campaign, || Control::of(Mistake::CommitPerTable));
    assert_eq!(report.exit_code(), ExitCode::Errors);
    let broken = report.broken.unwrap();
    assert!(broken.contains("moved nothing in world cycle"), "{broken}");
    campaign.worlds = vec![idle];
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Own)) };
    let error = campaign.run(&engines, &()).unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
}

#[test]
fn faults_that_hit_nothing_prove_nothing() {
    let deadlock = Code::of(sexton::db::Engine::Mysql)
        .find(|code| code.refusal().kind == DbErrorKind::Retryable)
        .unwrap();
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Own)) };
    // Not known there, also beside one that is.
    for mode in [
        Mode::SessionKilled,
        Mode::Terminate,
        Mode::ServerKillBefore,
        Mode::Error(deadlock),
    ] {
        let campaign = campaign(Backend::Sqlite, "chain", &[Mode::KillBefore, mode]);
        let error = campaign.run(&engines, &()).unwrap_err();
        assert_eq!(error.code, ExitCode::Usage, "{mode}");
        assert_eq!(error.message, format!("there is no {mode} on SQLite"));
        let known = error.hint.unwrap();
        assert!(
            known.contains("error:SQLITE_BUSY") && !known.contains("1213"),
            "{known}"
        );
    }
    // Known, but without operations on files there is nothing for it.
    let alone = campaign(Backend::Sqlite, "chain", &[Mode::Freeze]);
    let error = alone.run(&engines, &()).unwrap_err();
    assert_eq!(error.code, ExitCode::Data, "{error}");
    let report = run(
        &campaign(Backend::Sqlite, "chain", &[Mode::KillBefore, Mode::Freeze]),
        || Own,
    );
    assert!(report.cases > 10 && report.failures.is_empty());
    assert_eq!(report.never_hit, ["freeze"]);
    assert_eq!(report.exit_code(), ExitCode::Data);
}

/// sexton's own, by the clock.
struct Timed(Seen<std::time::Duration>);

impl Archiver for Timed {
    fn name(&self) -> String {
        "timed".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let started = std::time::Instant::now();
        let ran = Own.run(place)?;
        self.0.lock().unwrap().push(started.elapsed());
        Ok(ran)
    }
}

/// An answer that is late is none that is lost: unless somebody gives up waiting nothing comes of it.
#[test]
fn a_late_answer_is_waited_for() {
    let times: Seen<std::time::Duration> = Arc::default();
    let late = campaign(Backend::Sqlite, "chain", &[Mode::Delay(300)]);
    let report = run(&late, || Timed(Arc::clone(&times)));
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(
        (report.cases, report.fired),
        (report.points + 1, report.points + 1)
    );
    // One run of each case; of small worlds no other takes as long, on a machine that is not too busy.
    let late = std::time::Duration::from_millis(300);
    let times = times.lock().unwrap();
    let count = times.iter().filter(|time| **time >= late).count() as u64;
    assert!(report.points > 5 && count >= report.points, "{times:?}");
}

/// Right at first, and with a mistake when something is archived already.
struct Careless(Mistake);

impl Archiver for Careless {
    fn name(&self) -> String {
        "careless".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let archived = place
            .main
            .open()?
            .query_count("SELECT COUNT(*) FROM shadow_root")?;
        let mut engine = match archived {
            0 => Control::textbook(),
            _ => Control::of(self.0),
        };
        engine.run(place)
    }
}

/// A kill and then a COMMIT without an answer; and, as many engines outlive the one and the other, errors
/// that end the first run and that the second one swallows.
#[test]
fn what_only_a_second_fault_brings_out_is_found() {
    for (mistake, first, second) in [
        (Mistake::BlindRetry, "kill-before", "cut-after"),
        (
            Mistake::SwallowLockTimeout,
            "error:SQLITE_FULL",
            "error:SQLITE_BUSY",
        ),
    ] {
        let modes = [first, second].map(|mode| mode.parse().unwrap());
        let mut campaign = campaign(Backend::Sqlite, "chain", &modes);
        let single = run(&campaign, || Careless(mistake));
        assert!(single.failures.is_empty(), "{}", show(&single));
        campaign.pairs = true;
        let report = run(&campaign, || Careless(mistake));
        assert!(
            !report.failures.is_empty(),
            "{mistake}: {} cases",
            report.cases
        );
        for failure in &report.failures {
            let case = &failure.scenario.case;
            let mode = case.second.as_ref().map(|f| f.mode.to_string());
            assert_eq!(mode.as_deref(), Some(second), "{}", show(&report));
        }
        assert_eq!(report.worlds[0].planned, report.cases);
        // Second faults follow each state once, not each first fault.
        assert!(report.cases < single.cases * single.cases / 2, "{report:?}");
    }
}

/// Every second fault, at statements and in operations on files, after every state that a first one leaves.
#[test]
fn no_second_fault_does_harm_on_sqlite() {
    let mut campaign = campaign(Backend::Sqlite, "self-reference", &[]);
    (campaign.modes, campaign.files, campaign.jobs) = (None, true, 2);
    let single = run(&campaign, || Own);
    campaign.pairs = true;
    let report = run(&campaign, || Own);
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!((report.fired, report.never_hit.len()), (report.cases, 0));
    assert!(report.cases > single.cases + 100, "{report:?}");
}

/// A writer that is always locked out would show nothing: also where only what decides is hit, which on SQLite
/// comes when the locks are taken.
#[test]
fn every_writer_gets_through_somewhere() {
    for (backend, points) in [
        (Backend::Sqlite, Points::All),
        (Backend::Sqlite, Points::Deciding),
        (Backend::Mariadb, Points::All),
        (Backend::Postgres, Points::All),
    ] {
        let mut campaign = campaign(backend, "chain", &[]);
        campaign.points = points;
        (campaign.writers, campaign.jobs) = (true, 2);
        let report = run(&campaign, || Own);
        assert!(report.failures.is_empty(), "{}", show(&report));
        for action in Action::ALL {
            let turns = report.writers[action.name()];
            assert!(
                turns.changed > 0,
                "{} on {}: {turns:?}",
                action.name(),
                backend.name()
            );
        }
    }
}

#[test]
fn oracles_that_have_nothing_to_judge_prove_nothing() {
    let mut campaign = campaign(Backend::Sqlite, "chain", &[Mode::KillBefore]);
    campaign.oracles = [Oracle::ApiConsistent].into();
    let error = campaign
        .run(&|| -> Result<Box<dyn Archiver>> { Ok(Box::new(Own)) }, &())
        .unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
    assert_eq!(
        error.message,
        "no oracle had anything to judge: api-consistent"
    );
    // Beside one that had it is named.
    campaign.oracles.insert(Oracle::Whole);
    let report = run(&campaign, || Own);
    assert_eq!(report.never_judged, [Oracle::ApiConsistent]);
    assert_eq!(report.exit_code(), ExitCode::Data);
}

#[test]
fn worlds_at_random_that_were_not_begun_are_named() {
    let mut campaign = campaign(Backend::Sqlite, "chain", &[Mode::KillBefore]);
    campaign.max_cases = Some(1);
    campaign.random = Some(Sample {
        seed: 7,
        worlds: 2,
        cases: 1,
    });
    let report = run(&campaign, || Own);
    assert_eq!(report.unreached, ["random-7", "random-2707567578"]);
}

/// The own engine, which is not told of `--before`.
struct Ageless;

impl Archiver for Ageless {
    fn name(&self) -> String {
        "ageless".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut options = place.options.clone();
        options.before = None;
        Own.run(&place.with(options))
    }
}

/// Asks each row for its own age, as nova-manage does, and begins with the leaves.
struct RowByRow;

impl Archiver for RowByRow {
    fn name(&self) -> String {
        "row-by-row".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut session = place.main.open()?;
        let old = format!(
            "FROM leaf WHERE deleted = 1 AND deleted_at < '{}'",
            place.options.before.as_ref().unwrap()
        );
        for statement in [
            "BEGIN".to_owned(),
            format!("INSERT INTO shadow_leaf SELECT * {old}"),
            format!("DELETE {old}"),
            "COMMIT".to_owned(),
        ] {
            if let Err(error) = session.execute(&statement) {
                return Ok(Ran::failed(error.to_string()));
            }
        }
        Own.run(place)
    }
}

#[test]
fn what_is_too_young_and_moves_is_seen_and_so_is_what_leaves_a_young_family() {
    let mut campaign = campaign(Backend::Sqlite, "chain", &[Mode::KillBefore]);
    campaign.options.before = Before::try_from("2026-01-04 00:00:00".to_owned()).ok();
    let own = run(&campaign, || Own);
    assert!(own.failures.is_empty(), "{}", show(&own));
    let told = run(&campaign, || Ageless);
    let oracles: BTreeSet<_> = told.failures.iter().map(|f| f.oracle).collect();
    assert!(oracles.contains(&Oracle::Untouched), "{}", show(&told));
    assert!(told.failures.iter().any(|f| f.undisturbed));
    // The leaf of a family whose root is too young.
    campaign.options.before = Before::try_from("2026-01-10 00:00:00".to_owned()).ok();
    campaign.worlds[0].main.rows.iter_mut().for_each(|row| {
        if row.table == "root" && row.values["id"] == Value::Int(4) {
            let late = Value::Text("2026-01-20 00:00:00".into());
            row.values.insert("deleted_at".into(), late);
        }
    });
    let own = run(&campaign, || Own);
    assert!(own.failures.is_empty(), "{}", show(&own));
    let split = run(&campaign, || RowByRow);
    let whole = |f: &&Failure| f.oracle == Oracle::Whole && f.undisturbed;
    assert!(split.failures.iter().any(|f| whole(&f)), "{}", show(&split));
}

#[test]
fn an_engine_that_is_not_told_of_a_date_is_not_proved_with_one() {
    let mut campaign = campaign(Backend::Sqlite, "chain", &[Mode::KillBefore]);
    campaign.options.before = Before::try_from("2026-01-04 00:00:00".to_owned()).ok();
    let textbook = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Control::textbook())) };
    let error = campaign.run(&textbook, &()).unwrap_err();
    assert_eq!(error.code, ExitCode::Usage);
    assert!(error.message.contains("--before"), "{error}");
}

/// In a ring every row is owned: where all of it is too young none may go, whichever is taken for the root.
#[test]
fn a_ring_that_is_too_young_and_moves_is_seen() {
    let mut campaign = campaign(Backend::Sqlite, "cycle", &[Mode::KillBefore]);
    campaign.worlds[0].main.rows.iter_mut().for_each(|row| {
        if row.values["deleted"] == Value::Int(1) {
            let boot = row.table == "server" && row.values["id"] == Value::Int(3);
            let old = boot || row.values.get("server_id") == Some(&Value::Int(3));
            let at = if old {
                "2026-01-01 00:00:00"
            } else {
                "2026-01-20 00:00:00"
            };
            row.values
                .insert("deleted_at".into(), Value::Text(at.into()));
        }
    });
    campaign.options.before = Before::try_from("2026-01-10 00:00:00".to_owned()).ok();
    let own = run(&campaign, || Own);
    assert!(own.failures.is_empty(), "{}", show(&own));
    let told = run(&campaign, || Ageless);
    let untouched = |f: &Failure| f.oracle == Oracle::Untouched && f.undisturbed;
    assert!(told.failures.iter().any(untouched), "{}", show(&told));
}
