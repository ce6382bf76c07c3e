//! Failing cases are made smaller.

use sexton::error::Result;
use sexton::exit::ExitCode;
use sexton::prove::archiver::{Archiver, Control, EngineOptions, Mistake};
use sexton::prove::fault::{Fault, Mode};
use sexton::prove::oracle::{Breach, Oracle};
use sexton::prove::shrink::Budget;
use sexton::prove::writer::{Action, Writer};
use sexton::prove::{Backend, Campaign, Case, Scenario, catalogue, replay, shrink};

use crate::broken::{
    Brittle, Loses, SPLIT, STUCK, fingerprints, halves, killed, none, rows, scenario, small, tables,
};

#[test]
fn a_failure_that_needs_no_fault_shrinks_to_one_family() {
    let small = small(&killed(), SPLIT);
    assert_eq!(small.scenario.case, Case::default());
    assert_eq!(rows(&small.scenario), [("child", 1), ("root", 1)].into());
    assert_eq!(
        tables(&small.scenario),
        ["child", "root", "shadow_child", "shadow_root"]
    );
    assert_eq!(small.scenario.world.profile.reference.len(), 1);
    assert_eq!(small.scenario.options, EngineOptions::default());
}

#[test]
fn a_failure_that_needs_a_kill_keeps_it_and_all_that_makes_it_fail() {
    let small = small(&killed(), STUCK);
    // Without the child the engine would leave the root alone with no kill at all.
    assert_eq!(rows(&small.scenario), [("child", 1), ("root", 1)].into());
    assert_eq!(
        tables(&small.scenario),
        ["child", "root", "shadow_child", "shadow_root"]
    );
    let fault = small.scenario.case.fault.clone().unwrap();
    assert_eq!(
        (fault.point, fault.mode, fault.text.as_str()),
        (6, Mode::KillBefore, "main: BEGIN IMMEDIATE")
    );
    let again = shrink(&killed(), STUCK, &halves, Budget::default()).unwrap();
    assert_eq!(again.scenario, small.scenario);
    assert_eq!(again.tries, small.tries);
}

#[test]
fn what_a_case_does_not_need_is_left_out() {
    let mut case = killed().case;
    case.second = Some(Fault {
        point: 1,
        mode: Mode::KillBefore,
        text: String::new(),
    });
    case.writer = Some(Writer {
        point: 1,
        action: Action::UpdateChild,
        text: "main: BEGIN IMMEDIATE".into(),
    });
    let small = small(&scenario(case), STUCK);
    assert!(small.scenario.case.second.is_none());
    assert!(small.scenario.case.writer.is_none());
    assert!(small.scenario.case.fault.is_some());
}

/// Where a statement has a middle is known only to whoever runs it.
#[test]
fn a_statement_that_was_killed_in_its_middle_shrinks_too() {
    let engine =
        || -> Result<Box<dyn Archiver>> { Ok(Box::new(Control::of(Mistake::SwallowKill))) };
    let mut campaign = Campaign::new(Backend::Sqlite, vec![catalogue::world("chain").unwrap()]);
    campaign.modes = Some([Mode::StatementKilled].into());
    (campaign.writers, campaign.files, campaign.pairs) = (false, false, false);
    campaign.oracles = [Oracle::Conserved].into();
    let report = campaign.run(&engine, &()).unwrap();
    let failure = &report.failures[0];
    let small = shrink(
        &failure.scenario,
        &failure.fingerprint,
        &engine,
        Budget::default(),
    );
    let small = small.unwrap().scenario;
    assert_eq!(small.case.fault.unwrap().mode, Mode::StatementKilled);
    assert!(
        small.world.main.rows.len() < 5,
        "{:?}",
        small.world.main.rows
    );
}

/// The engine has changed: its run ends before the point is reached.
#[test]
fn a_point_that_is_not_reached_any_more_proves_nothing() {
    let mut gone = killed();
    gone.case.fault.as_mut().unwrap().point = 1000;
    let error = sexton::prove::replay::report(&gone, &halves).unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
    assert!(error.message.contains("before the point"), "{error}");
    // Or it says something else there: that is no lack of determinism, and a new campaign finds the point.
    let mut other = killed();
    other.case.fault.as_mut().unwrap().text = "main: SELECT ?".into();
    let error = sexton::prove::replay::report(&other, &halves).unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
    assert!(error.message.ends_with("not 'main: SELECT ?'"), "{error}");
    assert!(error.hint.unwrap().contains("run the campaign again"));
}

#[test]
fn no_budget_leaves_the_case_as_it_is() {
    let small = shrink(&killed(), STUCK, &halves, none()).unwrap();
    assert!(!small.finished);
    assert_eq!(small.scenario, killed());
    let error = shrink(&killed(), "durable@root", &halves, none()).unwrap_err();
    assert_eq!(error.code, ExitCode::Data);
}

#[test]
fn every_world_of_the_catalogue_shrinks_to_one_family() {
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Loses)) };
    for name in catalogue::NAMES {
        let scenario = Scenario {
            engine: "loses".into(),
            world: catalogue::world(name).unwrap().into(),
            ..scenario(Case::default())
        };
        let judged = replay(&scenario, &engines).unwrap();
        let mut lost = judged.breaches.iter().map(Breach::fingerprint);
        let fingerprint = lost.rfind(|f| f.starts_with("conserved@")).unwrap();
        let small = shrink(&scenario, &fingerprint, &engines, Budget::default()).unwrap();
        assert!(small.finished, "{name}");
        assert_eq!(small.breach.fingerprint(), fingerprint);
        let rows = rows(&small.scenario);
        assert!(
            rows.values().all(|n| *n == 1) && rows.len() <= 4,
            "{name}: {rows:?}"
        );
    }
}

#[test]
fn a_smaller_world_does_not_fail_for_another_reason() {
    let engines = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Brittle)) };
    let fingerprint = "conserved@root";
    let found = (1..100).find_map(|point| {
        let fault = Fault {
            point,
            mode: Mode::KillBefore,
            text: String::new(),
        };
        let case = Case {
            fault: Some(fault),
            ..Case::default()
        };
        let judged = replay(&scenario(case.clone()), &engines).unwrap();
        fingerprints(&judged).contains(fingerprint).then_some(case)
    });
    let scenario = scenario(found.unwrap());
    let small = shrink(&scenario, fingerprint, &engines, Budget::default()).unwrap();
    assert!(small.scenario.case.fault.is_some());
    // One that is archived, and one that is left to do.
    assert_eq!(rows(&small.scenario), [("root", 2)].into());
}
