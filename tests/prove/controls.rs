//! Engines with one known mistake each: whoever catches none of them proves nothing.

use std::collections::BTreeSet;

use sexton::db::DbErrorKind;
use sexton::error::Result;
use sexton::prove::archiver::{Archiver, Control, Mistake};
use sexton::prove::campaign::Sample;
use sexton::prove::fault::{Code, Mode};
use sexton::prove::oracle::Oracle;
use sexton::prove::{Backend, Campaign, Points, Report, catalogue};

use crate::own::show;

/// The least that brings the mistake to light: one world, and one kind of fault, if any.
fn campaign(backend: Backend, mistake: Mistake) -> Campaign {
    let mut campaign = undisturbed(backend, mistake);
    let modes = match mistake {
        Mistake::SwallowLockTimeout => Code::of(backend.engine())
            .filter(|code| code.refusal().kind == DbErrorKind::Retryable)
            .map(Mode::Error)
            .collect(),
        Mistake::SwallowKill => vec![Mode::StatementKilled],
        Mistake::BlindRetry => vec![Mode::CutAfter],
        Mistake::AttachWal => vec![Mode::Freeze],
        Mistake::GivesUp => vec![Mode::KillBefore],
        Mistake::Miscounts => vec![Mode::CutBefore],
        _ => Vec::new(),
    };
    campaign.modes = Some(modes.into_iter().collect());
    campaign.files = mistake == Mistake::AttachWal;
    campaign.writers = [Mistake::RequeryPredicate, Mistake::StaleFamily].contains(&mistake);
    campaign
}

/// Case 0 alone.
fn undisturbed(backend: Backend, mistake: Mistake) -> Campaign {
    let world = catalogue::world(mistake.world()).unwrap();
    let mut campaign = Campaign::new(backend, vec![world]);
    campaign.modes = Some(BTreeSet::new());
    campaign.writers = false;
    campaign.files = false;
    campaign.server_kills = false;
    campaign.pairs = false;
    campaign.jobs = 1;
    campaign
}

fn run(campaign: &Campaign, mistake: Mistake) -> Report {
    let engine = || -> Result<Box<dyn Archiver>> { Ok(Box::new(Control::of(mistake))) };
    campaign.run(&engine, &()).unwrap()
}

fn catches(report: &Report, oracle: Oracle) -> bool {
    report.failures.iter().any(|f| f.oracle == oracle)
}

/// Every mistake is caught by the oracle that is there for it.
fn all_are_caught(backend: Backend) {
    let mistakes = Mistake::ALL.into_iter();
    for mistake in mistakes.filter(|m| m.runs_on(backend.engine())) {
        let report = run(&campaign(backend, mistake), mistake);
        let oracle = mistake.caught_by();
        assert!(catches(&report, oracle), "{mistake}: {}", show(&report));
        assert_eq!(report.fired, report.cases, "{mistake}: {}", show(&report));
    }
}

#[test]
fn every_mistake_is_caught_on_sqlite() {
    all_are_caught(Backend::Sqlite);
}

#[test]
fn every_mistake_is_caught_on_mariadb() {
    all_are_caught(Backend::Mariadb);
}

#[test]
fn every_mistake_is_caught_on_postgres() {
    all_are_caught(Backend::Postgres);
}

/// A child that only refers to a row is no part of its family: what it needs must stay all the same.
#[test]
fn a_parent_that_a_living_row_refers_to_must_stay() {
    let mistake = Mistake::ForeignKeysOff;
    let mut campaign = undisturbed(Backend::Sqlite, mistake);
    campaign.worlds = vec![catalogue::world("two-references").unwrap()];
    let report = run(&campaign, mistake);
    assert_eq!(report.failures.len(), 1, "{}", show(&report));
    assert_eq!(
        report.failures[0].fingerprint,
        "untouched@rule.grp_id -> grp.id"
    );
}

#[test]
fn without_its_oracle_a_mistake_goes_unseen_by_it() {
    for mistake in Mistake::ALL {
        let mut campaign = campaign(Backend::Sqlite, mistake);
        campaign.oracles.remove(&mistake.caught_by());
        let report = run(&campaign, mistake);
        let oracle = mistake.caught_by();
        assert!(!catches(&report, oracle), "{mistake}: {}", show(&report));
        assert!(!report.verdict.contains_key(&oracle), "{mistake}");
    }
}

#[test]
fn some_mistakes_need_a_fault_to_show() {
    for mistake in Mistake::ALL {
        let report = run(&undisturbed(Backend::Sqlite, mistake), mistake);
        assert_eq!(report.cases, 1);
        match mistake.needs_disturbance() {
            true => assert!(report.failures.is_empty(), "{mistake}: {}", show(&report)),
            false => assert!(catches(&report, mistake.caught_by()), "{mistake}"),
        }
    }
}

fn textbook() -> Result<Box<dyn Archiver>> {
    Ok(Box::new(Control::textbook()))
}

/// Not a word against it.
fn survives(campaign: &Campaign) -> Report {
    let report = campaign.run(&textbook, &()).unwrap();
    assert!(report.failures.is_empty(), "{}", show(&report));
    assert_eq!(report.undetermined, None);
    assert_eq!(report.fired, report.cases, "{}", show(&report));
    report
}

#[test]
fn the_textbook_survives_the_small_worlds_on_sqlite() {
    let mut worlds = catalogue::all().unwrap();
    worlds.retain(|w| w.name != "nova");
    let mut campaign = Campaign::new(Backend::Sqlite, worlds);
    campaign.points = Points::Deciding;
    campaign.pairs = false;
    assert!(survives(&campaign).cases > 10_000);
}

#[test]
fn the_textbook_survives_second_faults_on_sqlite() {
    let mut campaign = Campaign::new(Backend::Sqlite, vec![catalogue::world("cycle").unwrap()]);
    campaign.modes = Some([Mode::KillBefore].into());
    (campaign.writers, campaign.files) = (false, false);
    let firsts = survives(&Campaign {
        pairs: false,
        ..campaign.clone()
    });
    assert!(survives(&campaign).cases > 2 * firsts.cases, "{firsts:?}");
}

/// Its files are large: what a loss of power makes of them is the small worlds' matter.
#[test]
fn the_textbook_survives_nova_on_sqlite() {
    let mut campaign = Campaign::new(Backend::Sqlite, vec![catalogue::world("nova").unwrap()]);
    campaign.points = Points::Deciding;
    (campaign.files, campaign.pairs) = (false, false);
    survives(&campaign);
}

/// Two engines that share no code agree on worlds that nobody has thought of.
#[test]
fn the_textbook_survives_worlds_at_random() {
    let mut campaign = Campaign::new(Backend::Sqlite, Vec::new());
    campaign.random = Some(Sample {
        seed: 1,
        worlds: 60,
        cases: 8,
    });
    assert!(survives(&campaign).cases > 300);
}

fn survives_the_chain(backend: Backend) {
    let mut campaign = Campaign::new(backend, vec![catalogue::world("chain").unwrap()]);
    campaign.points = Points::Deciding;
    (campaign.pairs, campaign.server_kills) = (false, false);
    survives(&campaign);
}

#[test]
fn the_textbook_survives_the_chain_on_mariadb() {
    survives_the_chain(Backend::Mariadb);
}

#[test]
fn the_textbook_survives_the_chain_on_postgres() {
    survives_the_chain(Backend::Postgres);
}

#[test]
fn a_mistake_reads_back_from_its_name() {
    for mistake in Mistake::ALL {
        assert_eq!(mistake.to_string().parse::<Mistake>().unwrap(), mistake);
        assert!(!mistake.describe().is_empty());
        assert!(catalogue::world(mistake.world()).is_ok(), "{mistake}");
    }
    let error = "no-such".parse::<Mistake>().unwrap_err().to_string();
    assert!(
        error.contains("'no-such'") && error.contains("child-first"),
        "{error}"
    );
}
