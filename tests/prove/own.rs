//! sexton's own engine, under every fault.

use sexton::archive::Before;
use sexton::error::Result;
use sexton::prove::archiver::{Archiver, Own};
use sexton::prove::fault::Mode;
use sexton::prove::oracle::Oracle;
use sexton::prove::world::Task;
use sexton::prove::{Backend, Campaign, Points, Report, catalogue};

fn own() -> Result<Box<dyn Archiver>> {
    Ok(Box::new(Own))
}

/// What a failing test has to show.
pub(crate) fn show(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).unwrap();
    for failure in report.failures.iter().take(5) {
        text.push_str(&format!("\n{:?}", failure.scenario.case));
    }
    text
}

#[test]
fn no_fault_in_the_chain_does_harm_on_sqlite() {
    let mut campaign = Campaign::new(Backend::Sqlite, vec![catalogue::world("chain").unwrap()]);
    campaign.pairs = false;
    let report = campaign.run(&own, &()).unwrap();
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.fired, report.cases);
    assert!(report.cases > 1000, "{}", show(&report));
}

/// Two databases: the API records go after the commit that moves their instance, or with the next run.
#[test]
fn no_fault_at_a_decision_in_nova_does_harm_on_sqlite() {
    let mut campaign = Campaign::new(Backend::Sqlite, vec![catalogue::world("nova").unwrap()]);
    campaign.points = Points::Deciding;
    (campaign.files, campaign.pairs) = (false, false);
    let report = campaign.run(&own, &()).unwrap();
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.fired, report.cases);
    assert!(
        report.verdict[&Oracle::ApiConsistent].held > 300,
        "{}",
        show(&report)
    );
}

#[test]
fn a_commit_that_the_database_loses_is_seen_and_is_not_the_engines_fault() {
    let mut campaign = Campaign::new(Backend::Sqlite, vec![catalogue::world("chain").unwrap()]);
    campaign.modes = Some([Mode::CommitLost].into());
    (campaign.writers, campaign.pairs) = (false, false);
    let report = campaign.run(&own, &()).unwrap();
    assert_eq!(report.fired, report.cases);
    let durable = report.verdict[&Oracle::Durable];
    assert_eq!(
        (durable.held, durable.failed),
        (0, report.points),
        "{}",
        show(&report)
    );
    let others = report
        .failures
        .iter()
        .filter(|f| f.oracle != Oracle::Durable);
    assert_eq!(others.count(), 0, "{}", show(&report));
}

/// The second faults of one first fault are many cases, and none of them is more than was asked for.
#[test]
fn a_budget_of_cases_holds_among_second_faults_too() {
    let mut campaign = Campaign::new(Backend::Sqlite, vec![catalogue::world("chain").unwrap()]);
    campaign.modes = Some([Mode::KillBefore].into());
    (campaign.writers, campaign.files, campaign.jobs) = (false, false, 1);
    campaign.pairs = false;
    let single = campaign.run(&own, &()).unwrap();
    assert!(!single.stopped);
    campaign.pairs = true;
    campaign.max_cases = Some(single.cases + 3);
    let report = campaign.run(&own, &()).unwrap();
    assert_eq!((report.cases, report.stopped), (single.cases + 3, true));
    assert!(report.failures.is_empty(), "{}", show(&report));
}

/// Every fault at the statements that decide, server kills and writers among them.
fn no_fault_does_harm_on(backend: Backend) {
    let world = catalogue::world("two-references").unwrap();
    let mut campaign = Campaign::new(backend, vec![world]);
    campaign.points = Points::Deciding;
    campaign.pairs = false;
    let report = campaign.run(&own, &()).unwrap();
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.undetermined, None);
    assert_eq!(report.fired, report.cases, "{}", show(&report));
    assert!(report.cases > 100, "{}", show(&report));
}

#[test]
fn no_fault_does_harm_on_mariadb() {
    no_fault_does_harm_on(Backend::Mariadb);
}

#[test]
fn no_fault_does_harm_on_postgresql() {
    no_fault_does_harm_on(Backend::Postgres);
}

/// Rows of a family were deleted on different days: it goes by that of its root, or stays whole.
#[test]
fn no_fault_does_harm_where_some_families_are_too_young() {
    for task in [Task::Archive, Task::Purge] {
        let mut campaign = Campaign::new(Backend::Sqlite, catalogue::all().unwrap());
        campaign.worlds.retain(|world| world.name != "nova");
        campaign.task = task;
        campaign.options.before = Before::try_from("2026-01-13 00:00:00".to_owned()).ok();
        campaign.points = Points::Deciding;
        (campaign.pairs, campaign.files) = (false, false);
        let report = campaign.run(&own, &()).unwrap();
        assert!(report.failures.is_empty(), "{}", show(&report));
        assert_eq!(report.fired, report.cases, "{}", show(&report));
        assert!(report.cases > 500, "{}", show(&report));
    }
}

/// The whole schema that the real nova-manage is run on, 300 tables of it: what most of them do not have is
/// most of what can go wrong.
#[test]
fn a_kill_or_a_lost_answer_in_the_whole_of_nova_does_no_harm() {
    let world = catalogue::world("nova-34.0.0").unwrap();
    let mut campaign = Campaign::new(Backend::Sqlite, vec![world]);
    campaign.modes = Some([Mode::KillAfter, Mode::CutAfter].into());
    campaign.points = Points::Deciding;
    (campaign.writers, campaign.files, campaign.pairs) = (false, false, false);
    let report = campaign.run(&own, &()).unwrap();
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.fired, report.cases);
    assert!(
        report.verdict[&Oracle::ApiConsistent].held > 30,
        "{}",
        show(&report)
    );
}

/// A root is marked while a transaction is open that moves a child of its own account: the engine locks no
/// living row, so either may be the first.
#[test]
fn a_root_that_is_marked_beside_an_open_transaction_is_no_split() {
    for backend in [Backend::Mariadb, Backend::Postgres] {
        let mut campaign = Campaign::new(backend, vec![catalogue::world("guarded").unwrap()]);
        campaign.modes = Some([].into());
        campaign.pairs = false;
        let report = campaign.run(&own, &()).unwrap();
        assert!(report.failures.is_empty(), "{}", show(&report));
        assert!(
            report.writers["soft-delete"].changed > 20,
            "{}",
            show(&report)
        );
    }
}
