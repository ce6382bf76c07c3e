//! A failure on disk, and the same failure again.
//!
//! A bundle is a directory: `scenario.json`, from which the case runs again, and `README.txt`, which says
//! in words what it is.

use std::path::Path;
use std::sync::Arc;

use super::campaign::Engines;
use super::report::{Failure, Report, WorldCount};
use super::runner::{Case, Runner};
use super::scenario::Scenario;
use super::stage::Ground;
use crate::error::{Error, Result};

/// The file of a bundle that holds the case.
const SCENARIO: &str = "scenario.json";

/// Writes a bundle for each failure into `directory`, with `engine` as `--engine` takes it, and enters
/// them into the report.
///
/// # Errors
///
/// Exit code 64 if a file cannot be written.
pub fn write_bundles(report: &mut Report, directory: &Path, engine: &str) -> Result<()> {
    for failure in &mut report.failures {
        failure.scenario.engine = engine.into();
        let bundle = directory.join(bundle_name(failure));
        let unwritable = |e: std::io::Error| {
            Error::usage(format!("cannot write {}: {e}", bundle.display()))
                .hint("--bundles takes a directory that can be written to")
        };
        std::fs::create_dir_all(&bundle).map_err(unwritable)?;
        let shown = bundle.display().to_string();
        let text = failure.scenario.to_text()?;
        std::fs::write(bundle.join(SCENARIO), text).map_err(unwritable)?;
        std::fs::write(bundle.join("README.txt"), words(failure, &shown)).map_err(unwritable)?;
        failure.bundle = Some(shown);
    }
    Ok(())
}

/// `chain-whole-child-root_id-root-id`.
fn bundle_name(failure: &Failure) -> String {
    let text = format!("{}-{}", failure.world, failure.fingerprint);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

fn words(failure: &Failure, bundle: &str) -> String {
    format!(
        "oracle    {}: {}\nworld     {}: {}\nengine    {} on {}\nfault     {}\nfound     {}\n\
         cases     {} like this one in its campaign\nreplay    sexton prove --replay {bundle}\n",
        failure.oracle,
        failure.oracle.meaning(),
        failure.world,
        failure.scenario.world.title,
        failure.scenario.engine,
        failure.scenario.database.name(),
        failure.fault,
        failure.what,
        failure.count,
    )
}

/// The scenario of a bundle.
///
/// # Errors
///
/// Exit code 64 if there is no such file, 65 if it is not a scenario.
pub fn read_bundle(directory: &Path) -> Result<Scenario> {
    let path = directory.join(SCENARIO);
    let text = std::fs::read_to_string(&path).map_err(|e| {
        Error::usage(format!("{} cannot be read: {e}", path.display()))
            .hint("--replay takes a directory that --bundles wrote")
    })?;
    Scenario::parse(&text, &path.display().to_string())
}

/// Runs a scenario: the undisturbed run that it is measured by, then its case.
///
/// # Errors
///
/// As [`Campaign::run`](super::Campaign::run); exit code 65 if the loss of power of the scenario does not
/// exist any more.
pub fn replay(scenario: &Scenario, engines: &dyn Engines) -> Result<Report> {
    let started = std::time::Instant::now();
    let engine = engines.engine()?;
    let mut report = Report::new(&engine.name(), scenario.database, &scenario.oracles);
    if !engine.runs_on(scenario.database.engine()) {
        return Err(Error::usage(format!(
            "engine {} does not run on {}",
            engine.name(),
            scenario.database.name()
        ))
        .hint("give the engine of the bundle, or one that does, with --engine"));
    }
    let mut world = (*scenario.world).clone();
    world.layout = engine.layout();
    let mut ground = Ground::new(scenario.database)?;
    let mut runner = Runner::new(
        &mut ground,
        Arc::new(world),
        engine,
        scenario.options.clone(),
        scenario.oracles.clone(),
    )?;
    let undisturbed = runner.rehearse()?;
    let rehearsal = Scenario {
        case: Case::default(),
        ..scenario.clone()
    };
    report.judged(&rehearsal, &undisturbed);
    if scenario.case != Case::default() {
        let judged = match &scenario.case.power_loss {
            None => runner.run(&scenario.case, true)?,
            Some(point) => {
                let recording = runner.record()?;
                let loss = recording.power_loss_states().find(|loss| {
                    loss.after_operation == point.after_operation && loss.lost == point.lost
                });
                let gone = || {
                    Error::data("the engine's operations on files are not those of the scenario")
                        .hint("the engine has changed since; run the campaign again")
                };
                runner.run_power_loss(&loss.ok_or_else(gone)?, &scenario.case)?
            }
        };
        report.judged(scenario, &judged);
        let (statements, operations, power_losses) =
            match (&scenario.case.power_loss, &scenario.case.fault) {
                (Some(_), _) => (0, 0, 1),
                (None, Some(fault)) if fault.mode.is_of_files() => (0, 1, 0),
                (None, _) => (1, 0, 0),
            };
        let count = report.count(&scenario.world.name);
        *count = WorldCount {
            statements,
            operations,
            modes: 1,
            power_losses,
            planned: 2,
            ..count.clone()
        };
    }
    report.sum();
    report.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}
