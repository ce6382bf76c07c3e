//! Failing cases are written down, and run again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use sexton::error::Result;
use sexton::exit::ExitCode;
use sexton::prove::archiver::{Archiver, Place, Ran};
use sexton::prove::fault::{Fault, Mode};
use sexton::prove::oracle::Oracle;
use sexton::prove::shrink::{Budget, Shrunk};
use sexton::prove::writer::{Action, Writer};
use sexton::prove::{
    Backend, Campaign, Case, PowerLossPoint, Scenario, Watch, bundle, catalogue, replay, shrink,
};

use crate::broken::{
    Insists, NoApi, SPLIT, STUCK, fingerprints, halves, killed, none, own, rows, scenario, small,
    tables,
};

fn text(bundle: &Path, file: &str) -> String {
    std::fs::read_to_string(bundle.join(file)).unwrap()
}

fn written(directory: &Path, shrunk: &Shrunk) -> PathBuf {
    bundle::write(directory, &shrunk.scenario, &shrunk.judged, &shrunk.breach).unwrap()
}

/// A campaign that finds both failures of the engine.
fn kills(bundles: &Path) -> Campaign {
    let mut campaign = Campaign::new(Backend::Sqlite, vec![catalogue::world("chain").unwrap()]);
    campaign.modes = Some([Mode::KillAfter].into());
    campaign.writers = false;
    campaign.files = false;
    campaign.pairs = false;
    campaign.bundles = Some(bundles.to_owned());
    campaign
}

#[test]
fn a_campaign_writes_a_bundle_of_each_failure() {
    let directory = tempfile::tempdir().unwrap();
    let report = kills(directory.path()).run(&halves, &()).unwrap();
    assert!(report.failures.iter().all(|f| f.not_shrunk.is_none()));
    let found: Vec<_> = report.failures.iter().map(|f| &f.fingerprint).collect();
    assert_eq!(found, [SPLIT, STUCK]);
    for (failure, name) in report.failures.iter().zip(["split", "stuck"]) {
        let path = Path::new(failure.bundle.as_ref().unwrap());
        for file in std::fs::read_dir(path).unwrap() {
            let file = file.unwrap();
            let text = std::fs::read_to_string(file.path()).unwrap();
            // The databases lie in directories of this name, in memory where there is room.
            assert!(
                !text.contains("sexton-prove-"),
                "{:?}: {text}",
                file.file_name()
            );
        }
        insta::assert_snapshot!(format!("{name}_page"), text(path, "README.md"));
        insta::assert_snapshot!(format!("{name}_trace"), text(path, "trace.sql"));

        let scenario = bundle::read(path).unwrap();
        let judged = replay(&scenario, &halves).unwrap();
        assert!(judged.fired);
        assert!(fingerprints(&judged).contains(&failure.fingerprint));
        let judged = replay(&scenario, &own).unwrap();
        assert_eq!(judged.breaches, []);
    }
    let names = std::fs::read_dir(directory.path()).unwrap();
    let names: BTreeSet<_> = names
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "halves-chain-convergent-root".to_owned(),
            "halves-chain-whole-child-root-id-root-id".to_owned()
        ]
        .into()
    );
}

/// Hears the wish to stop when a first failure has been shrunk for a while.
#[derive(Default)]
struct Impatient {
    cases: AtomicUsize,
    done: AtomicUsize,
    asked: AtomicUsize,
}

impl Watch for Impatient {
    fn world(&self, _name: &str, cases: usize) {
        self.cases.store(cases, Ordering::SeqCst);
    }

    fn case(&self, _held: bool) {
        self.done.fetch_add(1, Ordering::SeqCst);
    }

    fn stop(&self) -> bool {
        let over = self.done.load(Ordering::SeqCst) == self.cases.load(Ordering::SeqCst);
        over && self.asked.fetch_add(1, Ordering::SeqCst) > 2
    }
}

#[test]
fn a_wish_to_stop_ends_shrinking_and_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let mut campaign = kills(directory.path());
    campaign.jobs = 1;
    let report = campaign.run(&halves, &Impatient::default()).unwrap();
    assert!(!report.stopped, "{report:?}");
    assert_eq!(report.failures.len(), 2);
    let whole = catalogue::world("chain").unwrap().main.rows.len();
    for failure in &report.failures {
        let why = failure.not_shrunk.as_deref();
        assert_eq!(why, Some("cut off by the wish to stop"));
        let bundle = failure.bundle.as_ref().unwrap();
        let scenario = bundle::read(Path::new(bundle)).unwrap();
        assert!(scenario.world.main.rows.len() > 2);
        assert!(scenario.world.main.rows.len() <= whole);
    }
}

#[test]
fn a_bundle_holds_its_database_and_overwrites_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let small = small(&killed(), STUCK);
    let write = || written(directory.path(), &small);
    let (first, second) = (write(), write());
    assert_eq!(first, directory.path().join("halves-chain-convergent-root"));
    assert_eq!(
        second,
        directory.path().join("halves-chain-convergent-root-2")
    );
    let kept = Scenario {
        fingerprint: Some(STUCK.into()),
        ..small.scenario.clone()
    };
    for place in [first.clone(), first.join("scenario.json")] {
        assert_eq!(bundle::read(&place).unwrap(), kept);
    }

    let database = rusqlite::Connection::open_in_memory().unwrap();
    for file in ["schema.sql", "data.sql"] {
        database.execute_batch(&text(&first, file)).unwrap();
    }
    let count = |sql| {
        database
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(count("SELECT COUNT(*) FROM root"), 1);
    assert_eq!(count("SELECT COUNT(*) FROM child"), 1);
    // The trace is SQL too: it leads to the state in which the kill left the database.
    let trace = text(&first, "trace.sql");
    let (hit, _) = trace.split_once("-- Run 2").unwrap();
    database.execute_batch(hit).unwrap();
    assert_eq!(count("SELECT COUNT(*) FROM root"), 1);
    assert_eq!(count("SELECT COUNT(*) FROM shadow_child"), 1);

    let script = text(&first, "repro.sh");
    assert!(script.contains("\nexec \"${SEXTON:-sexton}\" prove --replay \"$here\" \"$@\"\n"));
    // What the command cannot make from its name is no engine for it.
    let run = std::process::Command::new(first.join("repro.sh")).output();
    let run = run.unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(64), "{said}");
    assert!(said.contains("the engine Halves is no --engine"), "{said}");
    assert!(said.contains("sexton::prove::replay"), "{said}");
    let named = Scenario {
        engine: "control:child-first".into(),
        ..small.scenario.clone()
    };
    let third = bundle::write(directory.path(), &named, &small.judged, &small.breach).unwrap();
    let script = text(&third, "repro.sh");
    assert!(
        script.starts_with(
            "#!/bin/sh\nhere=$(cd \"$(dirname \"$0\")\" && pwd)\nexec \"${SEXTON:-sexton}\" prove"
        ),
        "{script}"
    );
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(first.join("repro.sh"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111);
}

/// A command line is relative to where it was given, and a bundle may be read anywhere.
#[test]
fn a_bundle_of_a_program_says_where_its_command_line_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let small = small(&killed(), STUCK);
    let there = Scenario {
        engine: "command:./archive {url}".into(),
        directory: Some("/srv/engine".into()),
        ..small.scenario.clone()
    };
    let path = bundle::write(directory.path(), &there, &small.judged, &small.breach).unwrap();
    assert!(text(&path, "README.md").contains("was given in `/srv/engine`"));
    let script = text(&path, "repro.sh");
    assert!(script.contains("\ncd /srv/engine || echo "), "{script}");
    let kept = Scenario {
        fingerprint: Some(STUCK.into()),
        ..there
    };
    assert_eq!(bundle::read(&path).unwrap(), kept);
}

/// Loses a leaf of one family and a child of another.
struct Forgets;

impl Archiver for Forgets {
    fn name(&self) -> String {
        "forgets".into()
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut session = place.main.open()?;
        for sql in [
            "DELETE FROM leaf WHERE id = (SELECT MIN(id) FROM leaf)",
            "DELETE FROM child WHERE id = (SELECT MAX(id) FROM child WHERE id NOT IN \
             (SELECT child_id FROM leaf))",
        ] {
            session.execute(sql)?;
        }
        Ok(Ran::failed("forgot"))
    }
}

#[test]
fn a_page_shows_what_was_lost_wherever_it_was() {
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Forgets)) };
    let scenario = scenario(Case::default());
    let judged = replay(&scenario, &engines).unwrap();
    let lost: Vec<_> = judged
        .breaches
        .iter()
        .filter(|b| b.oracle == Oracle::Conserved)
        .collect();
    let places: Vec<_> = lost.iter().map(|b| b.place.as_str()).collect();
    assert_eq!(places, ["leaf", "child"]);
    let directory = tempfile::tempdir().unwrap();
    for breach in &lost {
        let path = bundle::write(directory.path(), &scenario, &judged, breach).unwrap();
        let page = text(&path, "README.md");
        for other in &lost {
            let row = other.what.strip_prefix("lost: ").unwrap();
            let row = row.split(',').next().unwrap();
            assert!(
                page.contains(&format!("| {row} | live | ")),
                "{row}: {page}"
            );
        }
    }
}

#[test]
fn a_damaged_bundle_is_told_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let small = small(&killed(), STUCK);
    let path = written(directory.path(), &small);
    let file = path.join("scenario.json");
    let sound = text(&path, "scenario.json");
    let damaged = [
        sound[..sound.len() / 2].to_owned(),
        String::new(),
        sound.replace("\"version\": 1", "\"version\": 7"),
        sound.replace("kill-before", "kill-never"),
        sound.replace("\"table\": \"child\"", "\"table\": \"nobody\""),
        sound.replace("\"note\": \"root", "\"nota\": \"root"),
    ];
    for text in damaged {
        assert_ne!(text, sound);
        std::fs::write(&file, text).unwrap();
        let error = bundle::read(&path).unwrap_err();
        assert_eq!(error.code, ExitCode::Data);
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
        assert!(error.to_string().contains("scenario.json"), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(bundle::read(&path).unwrap_err().code, ExitCode::Data);
    let nowhere = directory.path().join("nowhere");
    assert_eq!(bundle::read(&nowhere).unwrap_err().code, ExitCode::Usage);
}

#[test]
fn a_loss_of_power_is_replayed_and_becomes_a_kill() {
    let lost = (1..200).find_map(|after_operation| {
        let scenario = scenario(Case {
            power_loss: Some(PowerLossPoint {
                after_operation,
                lost: Vec::new(),
            }),
            ..Case::default()
        });
        let judged = replay(&scenario, &halves).unwrap();
        fingerprints(&judged).contains(STUCK).then_some(scenario)
    });
    let lost = lost.unwrap();
    let whole = shrink(&lost, STUCK, &halves, none()).unwrap();
    assert_eq!(whole.scenario, lost);
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), &whole);
    let trace = text(&path, "trace.sql");
    assert!(trace.contains("-- >>> here power was lost"), "{trace}");

    let small = small(&lost, STUCK);
    assert!(small.scenario.case.power_loss.is_none());
    assert_eq!(small.scenario.case.fault.unwrap().mode, Mode::KillBefore);
}

#[test]
fn a_writer_stays_where_it_does_harm() {
    let writer = Writer {
        point: 8,
        action: Action::Revive,
        text: String::new(),
    };
    let small = small(
        &scenario(Case {
            writer: Some(writer),
            ..Case::default()
        }),
        "untouched@root",
    );
    assert_eq!(rows(&small.scenario), [("child", 1), ("root", 1)].into());
    // Before the COMMIT it would be locked out.
    let writer = small.scenario.case.writer.clone().unwrap();
    assert_eq!((writer.point, writer.action), (6, Action::Revive));
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), &small);
    let mark = "-- >>> here a concurrent writer said: UPDATE \"root\" SET \"deleted\" = 0 WHERE";
    assert!(text(&path, "trace.sql").contains(mark));
    assert!(text(&path, "README.md").contains("And before this one:"));
}

#[test]
fn api_records_shrink_with_their_roots() {
    let scenario = Scenario {
        engine: "no-api".into(),
        world: catalogue::world("nova").unwrap().into(),
        ..scenario(Case::default())
    };
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(NoApi)) };
    let fingerprint = "api-consistent@instance_mappings";
    let small = shrink(&scenario, fingerprint, &engines, Budget::default()).unwrap();
    assert!(small.finished);
    assert_eq!(rows(&small.scenario), [("instances", 1)].into());
    let api = small.scenario.world.api.as_ref().unwrap();
    let records: Vec<_> = api.rows.iter().map(|r| r.table.as_str()).collect();
    assert_eq!(records, ["cell_mappings", "instance_mappings"]);
    // The profile knows a reference of instances to the first of these.
    assert_eq!(
        tables(&small.scenario),
        [
            "compute_nodes",
            "instances",
            "shadow_compute_nodes",
            "shadow_instances"
        ]
    );

    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), &small);
    let page = text(&path, "README.md");
    assert!(page.contains("| instances:1 | live | archived |"), "{page}");
    assert!(
        page.contains("| instance_mappings:1 | there | there |"),
        "{page}"
    );
    assert!(text(&path, "api-data.sql").contains("{main-url}"));
    let kept = Scenario {
        fingerprint: Some(small.breach.fingerprint()),
        ..small.scenario
    };
    assert_eq!(bundle::read(&path).unwrap(), kept);
}

#[test]
fn both_faults_of_a_case_are_told() {
    let mut case = killed().case;
    case.second = Some(Fault {
        point: 2,
        mode: Mode::CutBefore,
        text: String::new(),
    });
    let whole = shrink(&scenario(case), STUCK, &halves, none()).unwrap();
    let second = whole.scenario.case.second.as_ref().unwrap();
    assert!(second.text.starts_with("main: SELECT DISTINCT root_id"));
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), &whole);
    let trace = text(&path, "trace.sql");
    let marks: Vec<_> = trace.lines().filter(|l| l.contains(">>>")).collect();
    assert_eq!(
        marks,
        [
            "-- >>> here the engine was killed <<<",
            "-- >>> here the connection was lost <<<"
        ]
    );
    assert!(trace.contains("-- Run 2: again, hit once more"));
}

/// A fault at random knows its statement by its number only.
#[test]
fn an_error_for_good_comes_again_without_a_text() {
    let insists = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Insists)) };
    let fault = Fault {
        point: 3,
        mode: "error-for-good:SQLITE_FULL".parse().unwrap(),
        text: String::new(),
    };
    let case = Case {
        fault: Some(fault),
        ..Case::default()
    };
    let judged = replay(&scenario(case), &insists).unwrap();
    let refused = judged
        .trace
        .iter()
        .filter(|p| p.outcome.starts_with("SQLITE_FULL"));
    let refused: Vec<_> = refused.map(|p| p.identity()).collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(
        refused.iter().all(|text| *text == refused[0]),
        "{refused:?}"
    );
}

/// Where no such statement comes any more, nothing fires, and that is said.
#[test]
fn another_engine_has_nothing_that_the_fault_is_for() {
    let mut scenario = killed();
    let fault = scenario.case.fault.as_mut().unwrap();
    fault.text = "main: COMMIT".into();
    fault.point = 2;
    let judged = replay(&scenario, &own).unwrap();
    assert!(!judged.fired);
    assert!(judged.other_text.is_some());
    assert_eq!(judged.breaches, []);
}
