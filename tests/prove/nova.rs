//! The real nova-manage, black box, through the proxy: what it is convicted of, and of what not.

use std::path::PathBuf;

use sexton::error::Result;
use sexton::prove::archiver::{Archiver, Warm};
use sexton::prove::oracle::Oracle;
use sexton::prove::world::World;
use sexton::prove::{Backend, Campaign, Engines, Points, Report, catalogue};

/// The real nova-manage, kept warm: `variable` holds the path of its script.
struct Nova {
    python: PathBuf,
}

impl Nova {
    fn new(variable: &str) -> Self {
        let script = std::env::var_os(variable).filter(|p| !p.is_empty());
        let script = PathBuf::from(script.unwrap_or_else(|| {
            panic!("{variable} is not set; `cargo xtask test` installs nova and sets it")
        }));
        Self {
            python: script.with_file_name("python"),
        }
    }
}

impl Engines for Nova {
    fn engine(&self) -> Result<Box<dyn Archiver>> {
        let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/engines/nova_warm.py");
        let command = format!(
            "'{}' '{adapter}' -- --config-file {{config}} db archive_deleted_rows --verbose \
             --until-complete --max_rows {{max_rows}}",
            self.python.display()
        );
        Ok(Box::new(Warm::new(&command)?))
    }
}

/// One instance with one child, and its API records: the fewest statements.
fn small(name: &str) -> World {
    let mut world = catalogue::world(name).unwrap();
    let kept = ["instances", "instance_extra", "share_mapping"];
    world.main.rows.retain(|r| kept.contains(&r.table.as_str()));
    world
}

/// Every statement that decides, killed before and after.
fn killed(engine: &Nova, world: World) -> Report {
    let mut campaign = Campaign::new(Backend::Mariadb, vec![world]);
    campaign.points = Points::Deciding;
    campaign.modes = Some(
        ["kill-before", "kill-after"]
            .map(|m| m.parse().unwrap())
            .into(),
    );
    campaign.writers = false;
    campaign.pairs = false;
    let report = campaign.run(engine, &()).unwrap();
    assert_eq!(report.fired, report.cases, "{report:?}");
    assert_eq!(report.undetermined, None);
    report
}

fn failed(report: &Report, oracle: Oracle) -> u64 {
    report.verdict.get(&oracle).map_or(0, |v| v.failed)
}

#[test]
fn nova_21_splits_families() {
    let report = killed(
        &Nova::new("SEXTON_TEST_NOVA_MANAGE_21"),
        small("nova-21.0.0"),
    );
    let split = "whole@instance_extra.instance_uuid -> instances.uuid";
    let failure = report.failures.iter().find(|f| f.fingerprint == split);
    let failure = failure.unwrap_or_else(|| panic!("not convicted: {report:?}"));
    // Between the COMMIT of the child and that of its parent.
    let fault = failure.scenario.case.fault.as_ref().unwrap();
    assert!(fault.text.starts_with("main: "), "{fault:?}");
}

#[test]
fn nova_34_keeps_families_whole_and_strands_api_records() {
    let report = killed(&Nova::new("SEXTON_TEST_NOVA_MANAGE"), small("nova-34.0.0"));
    for held in [
        Oracle::Whole,
        Oracle::Conserved,
        Oracle::Untouched,
        Oracle::Durable,
    ] {
        assert_eq!(failed(&report, held), 0, "{held}: {report:?}");
    }
    assert!(failed(&report, Oracle::ApiConsistent) > 0, "{report:?}");
    let stranded = report
        .failures
        .iter()
        .find(|f| f.fingerprint == "api-consistent@instance_mappings")
        .unwrap();
    assert!(!stranded.undisturbed && stranded.what.starts_with("stranded"));
}

#[test]
fn nova_34_is_stopped_by_one_leftover_row() {
    let mut campaign = Campaign::new(Backend::Mariadb, vec![small("nova-share-mapping")]);
    campaign.modes = Some([].into());
    campaign.writers = false;
    campaign.pairs = false;
    campaign.jobs = 1;
    let engine = Nova::new("SEXTON_TEST_NOVA_MANAGE");
    let report = campaign.run(&engine, &()).unwrap();
    let stuck = "convergent@instances";
    let failure = report.failures.iter().find(|f| f.fingerprint == stuck);
    let failure = failure.unwrap_or_else(|| panic!("not convicted: {report:?}"));
    assert!(failure.undisturbed);
    assert!(
        failure.what.contains("nothing holds back"),
        "{}",
        failure.what
    );
}
