//! The real nova-manage, black box, through the proxy: what it is convicted of, and of what not.

use std::path::PathBuf;

use sexton::error::Result;
use sexton::prove::archiver::{Archiver, Warm};
use sexton::prove::oracle::Oracle;
use sexton::prove::shrink::Budget;
use sexton::prove::world::World;
use sexton::prove::{Backend, Campaign, Engines, Points, Report, bundle, catalogue, shrink};

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

/// Every statement that decides, killed there.
fn killed(engine: &Nova, world: World, modes: &[&str]) -> Report {
    let mut campaign = Campaign::new(Backend::Mariadb, vec![world]);
    campaign.points = Points::Deciding;
    campaign.modes = Some(modes.iter().map(|m| m.parse().unwrap()).collect());
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
    let world = small("nova-21.0.0");
    let table = |name: &str| world.main.rows.iter().filter(|r| r.table == name).count();
    assert_eq!((table("instances"), table("instance_extra")), (2, 2));
    let engine = Nova::new("SEXTON_TEST_NOVA_MANAGE_21");
    let report = killed(&engine, world, &["kill-before"]);
    let split = "whole@instance_extra.instance_uuid -> instances.uuid";
    let failure = report.failures.iter().find(|f| f.fingerprint == split);
    let failure = failure.unwrap_or_else(|| panic!("not convicted: {report:?}"));

    let small = shrink(&failure.scenario, split, &engine, Budget::default()).unwrap();
    let rows = &small.scenario.world.main.rows;
    let rows: Vec<_> = rows.iter().map(|r| r.table.as_str()).collect();
    assert_eq!(rows, ["instances", "instance_extra"]);
    let directory = tempfile::tempdir().unwrap();
    let bundle = bundle::write(
        directory.path(),
        &small.scenario,
        &small.judged,
        &small.breach,
    );
    // From the COMMIT of the child on; its parent is moved later, in another transaction.
    let trace = std::fs::read_to_string(bundle.unwrap().join("trace.sql")).unwrap();
    let (before, after) = trace.split_once("-- >>> from here on").unwrap();
    let before: Vec<_> = before.lines().filter(|l| !l.is_empty()).collect();
    let child = before.iter().rposition(|l| l.starts_with("DELETE FROM"));
    assert_eq!(
        before[child.unwrap()],
        "DELETE FROM instance_extra WHERE instance_extra.id IN (1);"
    );
    assert_eq!(before.last(), Some(&"COMMIT;"));
    let parent = "INSERT INTO shadow_instances ";
    assert!(!before.iter().any(|l| l.starts_with(parent)), "{before:#?}");
    assert!(after.contains(parent), "{after}");
}

#[test]
fn nova_34_keeps_families_whole_and_strands_api_records() {
    let report = killed(
        &Nova::new("SEXTON_TEST_NOVA_MANAGE"),
        small("nova-34.0.0"),
        &["kill-before", "kill-after"],
    );
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
