//! A bundle: a directory with all that somebody needs who is to believe a failure, and to mend it.
//!
//! `scenario.json` is what a machine replays. The rest is for people: the failure in words, the
//! statements in order, and the database as SQL.

mod page;
mod rows;
mod spot;
mod timeline;
mod trace;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use self::timeline::{Event, Run, Timeline};

use self::spot::spots;
use super::campaign::{Engines, Watch};
use super::case::Judged;
use super::oracle::Breach;
use super::replay::Rig;
use super::report::{Failure, Report};
use super::scenario::Scenario;
use super::shrink::{Budget, shrink_on};
use super::spec::EngineSpec;
use super::stage::{Backend, Ground};
use super::world::{Content, MAIN_URL};
use crate::db::Engine;
use crate::error::{Error, Result};
use crate::exit::ExitCode;

/// Most bundles that a campaign writes.
const MOST: usize = 20;

/// How long a campaign shrinks in all; what is left then is written as it is.
const PATIENCE: Duration = Duration::from_secs(300);

const SCENARIO: &str = "scenario.json";

/// Writes a bundle into a new directory below `directory`, named after engine, world and failure,
/// with a number if there is one like it already; the path.
///
/// # Errors
///
/// Exit code 64 where it cannot be written. `judged` must come with [`Judged::evidence`].
pub fn write(
    directory: &Path,
    scenario: &Scenario,
    judged: &Judged,
    breach: &Breach,
) -> Result<PathBuf> {
    let Some(evidence) = &judged.evidence else {
        return Err(Error::internal("a bundle of a case that left no evidence"));
    };
    let (spots, main) = spots(scenario, evidence, breach);
    let main = main.and_then(|index| spots.get(index));
    let engine = scenario.database.engine();
    let kept = Scenario {
        fingerprint: Some(breach.fingerprint()),
        ..scenario.clone()
    };
    let mut files = vec![
        (SCENARIO, kept.to_text()?),
        (
            "README.md",
            page::text(scenario, judged, evidence, breach, main),
        ),
        ("trace.sql", trace::text(scenario, evidence, &spots)),
        ("schema.sql", schema(&scenario.world.main, engine)?),
        ("data.sql", data(&scenario.world.main, engine)),
        ("repro.sh", repro(scenario)),
    ];
    if let Some(api) = &scenario.world.api {
        files.push(("api-schema.sql", schema(api, engine)?));
        files.push(("api-data.sql", data(api, engine)));
    }
    // A command line is long, and world and fingerprint tell more.
    let engine: String = scenario.engine.chars().take(24).collect();
    let name = slug(&[&engine, &scenario.world.name, &breach.fingerprint()]);
    let bundle = new_directory(directory, &name)?;
    for (name, text) in files {
        let path = bundle.join(name);
        fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
        if name == "repro.sh" {
            make_executable(&path)?;
        }
    }
    Ok(bundle)
}

/// Reads the scenario of a bundle, or of such a file alone.
///
/// # Errors
///
/// Exit code 64 if there is no such directory, 65 if what is in it cannot be used.
pub fn read(directory: &Path) -> Result<Scenario> {
    if !directory.exists() {
        let message = format!("there is no bundle at {}", directory.display());
        return Err(Error::usage(message).hint("give a directory that --bundles wrote"));
    }
    let path = match directory.is_dir() {
        true => directory.join(SCENARIO),
        false => directory.to_owned(),
    };
    let origin = path.display().to_string();
    let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::data(format!("{} has no {SCENARIO}", directory.display()))
            .hint("give the directory that sexton prove wrote"),
        _ => Error::data(format!("cannot read {origin}: {e}")).hint("check the rights of the file"),
    })?;
    let scenario = Scenario::parse(&text, &origin)?;
    let checked = scenario.world.check(scenario.database.engine());
    checked.map_err(|error| Error {
        message: format!("{origin}: {}", error.message),
        ..error
    })?;
    Ok(scenario)
}

/// Makes sure, before hours of work, that bundles can be written there.
pub(super) fn prepare(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(|e| unwritable(directory, &e))?;
    // One that is there may be another's.
    let probe = tempfile::tempdir_in(directory).map_err(|e| unwritable(directory, &e))?;
    probe.close().map_err(|e| unwritable(directory, &e))
}

/// Shrinks the failures of a campaign, one after the other, and writes a bundle of each.
///
/// # Errors
///
/// Where a bundle cannot be written. A failure that cannot be had again has none.
pub(super) fn keep(
    directory: &Path,
    report: &mut Report,
    ground: &mut Ground,
    engines: &dyn Engines,
    watch: &dyn Watch,
) -> Result<()> {
    let started = Instant::now();
    for failure in report.failures.iter_mut().take(MOST) {
        let left = PATIENCE.saturating_sub(started.elapsed());
        let budget = Budget {
            time: if watch.stop() {
                Duration::ZERO
            } else {
                left.min(Budget::default().time)
            },
            ..Budget::default()
        };
        let begun = Instant::now();
        let small = shrink_on(
            ground,
            &failure.scenario,
            &failure.fingerprint,
            engines,
            budget,
            watch,
        );
        let path = match small {
            Ok(small) => {
                if !small.finished {
                    let why = if watch.stop() {
                        "cut off by the wish to stop"
                    } else if begun.elapsed() >= budget.time || small.tries >= budget.tries {
                        "cut off by the time for shrinking"
                    } else {
                        "what was smaller did not fail again"
                    };
                    failure.not_shrunk = Some(why.into());
                }
                let timeline = Timeline::of(&small.scenario, &small.judged, &small.breach);
                failure.timeline = timeline.map(Ok);
                write(directory, &small.scenario, &small.judged, &small.breach)?
            }
            Err(error) => {
                failure.not_shrunk = Some(error.message);
                match as_it_is(ground, failure, engines) {
                    Ok(judged) => {
                        let breach = breach(failure);
                        let timeline = Timeline::of(&failure.scenario, &judged, &breach);
                        failure.timeline = timeline.map(Ok);
                        write(directory, &failure.scenario, &judged, &breach)?
                    }
                    Err(error) => {
                        failure.not_shrunk = Some(error.message);
                        continue;
                    }
                }
            }
        };
        failure.bundle = Some(path.display().to_string());
    }
    Ok(())
}

/// A failure that did not come again: whoever reads the bundle should know what was run.
fn as_it_is(ground: &mut Ground, failure: &Failure, engines: &dyn Engines) -> Result<Judged> {
    let scenario = &failure.scenario;
    let mut rig = Rig::new(ground, engines);
    rig.set_up(scenario)?.judge(&scenario.case, true)
}

fn breach(failure: &Failure) -> Breach {
    let place = failure.fingerprint.split_once('@').map_or("", |(_, p)| p);
    Breach::new(failure.oracle, place, &failure.what)
}

fn schema(content: &Content, engine: Engine) -> Result<String> {
    let statements = content.create(engine)?;
    Ok(statements.iter().map(|s| format!("{s};\n")).collect())
}

fn data(content: &Content, engine: Engine) -> String {
    let statements = content.fill(engine, MAIN_URL);
    statements.iter().map(|s| format!("{s};\n")).collect()
}

fn repro(scenario: &Scenario) -> String {
    let by_hand = match scenario.database {
        Backend::Sqlite => "sqlite3 main.db < schema.sql && sqlite3 main.db < data.sql",
        Backend::Mariadb | Backend::Galera | Backend::GaleraOneNode => {
            "mariadb DATABASE < schema.sql && mariadb DATABASE < data.sql"
        }
        Backend::Postgres => "psql -d DATABASE -f schema.sql -f data.sql",
    };
    let mut script = String::from("#!/bin/sh\n");
    if scenario.engine.parse::<EngineSpec>().is_err() {
        // An Archiver of somebody's own: the command cannot make one from its name.
        let what = format!(
            "the engine {} is no --engine: give it to sexton::prove::replay, with what \
             sexton::prove::bundle::read reads here; or try another one: ./repro.sh --engine ENGINE",
            scenario.engine
        );
        script.push_str(&format!(
            "if [ $# -eq 0 ]; then\n    echo {} >&2\n    exit {}\nfi\n",
            shell_words::quote(&what),
            ExitCode::Usage as u8
        ));
    }
    script.push_str("here=$(cd \"$(dirname \"$0\")\" && pwd)\n");
    if let Some(directory) = &scenario.directory {
        // What is relative in its command line is relative to that.
        let directory = directory.display().to_string();
        script.push_str(&format!(
            "cd {} || echo 'the engine was given in another directory: see README.md' >&2\n",
            shell_words::quote(&directory)
        ));
    }
    script.push_str(&format!(
        "exec \"${{SEXTON:-sexton}}\" prove --replay \"$here\" \"$@\"\n# The database alone, by hand, in \
         an empty one: {by_hand}\n"
    ));
    script
}

/// Words of lower-case letters and digits with dashes between them.
fn slug(parts: &[&str]) -> String {
    const LONGEST: usize = 100;
    let mut slug = String::new();
    for c in parts.join("-").chars() {
        match c.is_ascii_alphanumeric() {
            true => slug.push(c.to_ascii_lowercase()),
            false if slug.ends_with('-') || slug.is_empty() => {}
            false => slug.push('-'),
        }
    }
    slug.truncate(LONGEST);
    slug.trim_matches('-').to_owned()
}

fn new_directory(parent: &Path, name: &str) -> Result<PathBuf> {
    fs::create_dir_all(parent).map_err(|e| unwritable(parent, &e))?;
    let mut path = parent.join(name);
    for number in 2.. {
        match fs::create_dir(&path) {
            Ok(()) => break,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                path = parent.join(format!("{name}-{number}"));
            }
            Err(e) => return Err(unwritable(&path, &e)),
        }
    }
    Ok(path)
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|e| unwritable(path, &e))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::usage(format!("cannot write {}: {error}", path.display()))
        .hint("--bundles takes a directory that can be written to")
}
