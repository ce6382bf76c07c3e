//! `sexton prove`: hits an archive engine at every point of a run, and judges what is left.

mod list;

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use jiff::Timestamp;
use sexton::db::Engine;
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::prove::bundle::Timeline;
use sexton::prove::campaign::Sample;
use sexton::prove::oracle::Oracle;
use sexton::prove::replay;
use sexton::prove::report::Failure;
use sexton::prove::spec::{Budget, EngineSpec, Faults};
use sexton::prove::world::{Task, World};
use sexton::prove::{Backend, Campaign, Engines, Report, bundle, catalogue};
use sexton::report::{self, Paint};

use super::database::profile;
use super::output::OutputArgs;
use super::pace;
use super::progress::Cases;
use super::signals::stop_flag;

/// Interrupt an archive engine at every statement, in every way, and judge what is left.
///
/// Runs the engine again and again on small databases of its own making, each time with another
/// fault: a lost connection, a kill, an error, a full disk, a writer beside it. After each fault,
/// and again after a rerun, oracles judge: is every family whole, is nothing lost, does a rerun
/// get to the same end? Touches no database of yours.
///
/// Without arguments: sexton's own engine on SQLite, every world, every fault.
///
/// Exit code 0: all oracles held. 2: an oracle failed. 65: nothing can be proved: the engine moves
/// nothing, does not do the same twice, or has nothing that a fault or an oracle asked for could hit or
/// judge. 70: a fault did not fire. 75: stopped early, all held so far.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database: sqlite, or a private server that is thrown away: mariadb, postgres, or a Galera
    /// cluster of three nodes, galera, of which with galera-one-node the engine is given one alone.
    /// Default is sqlite.
    #[arg(long, value_name = "DATABASE")]
    server: Option<String>,
    /// The archive engine: sexton, textbook, control:NAME, command:'LINE', warm:'LINE' or process.
    /// In LINE {url}, {api_url}, {host} and {port} stand for the database of the case, {config} and
    /// {profile} for files with its configuration and with the profile of its world, {max_rows} and
    /// {before} for what these options say. Default is sexton.
    #[arg(long, value_name = "ENGINE")]
    engine: Option<String>,
    /// Only on this world, or on one of your own in a file; may be given several times. Default is
    /// the whole catalogue.
    #[arg(long = "world", value_name = "NAME|FILE.json")]
    worlds: Vec<String>,
    /// Prove a purge, not an archive run: the worlds lose their shadow tables, and the engine deletes
    /// soft-deleted families where they are.
    #[arg(long)]
    purge: bool,
    /// Prove a purge of the shadow tables: all rows of the worlds lie in them, and the engine deletes them.
    #[arg(long, conflicts_with = "purge")]
    empty_shadows: bool,
    /// Prove a restore: all rows of the worlds lie in the shadow tables, and the engine brings every family back.
    #[arg(long, conflicts_with_all = ["purge", "empty_shadows", "before"])]
    restore: bool,
    /// Prove a repair: beside the families of the worlds there are damaged ones, and the engine heals these, and
    /// leaves the others.
    #[arg(long, conflicts_with_all = ["purge", "empty_shadows", "restore", "before"])]
    repair: bool,
    /// The profile of the worlds instead of the one that each holds: a name or a file.
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// Faults at every statement (all), at those that write or end a transaction (deciding), or only
    /// faults of these modes, and then no writers, no pairs and no loss of power. Default is all, and
    /// deciding for engines that are processes.
    #[arg(long, value_name = "all|deciding|[deciding,]MODE,...")]
    faults: Option<String>,
    /// No concurrent writers.
    #[arg(long)]
    no_writers: bool,
    /// No second faults in the rerun (they are tried on the first world).
    #[arg(long)]
    no_pairs: bool,
    /// No faults in operations on files, and no loss of power (SQLite).
    #[arg(long)]
    no_files: bool,
    /// Only this judgement; may be given several times. Default is all.
    #[arg(long = "oracle", value_name = "NAME")]
    oracles: Vec<String>,
    /// Most rows that the engine may take in one batch. Default is 8: the worlds are small, and should
    /// take several batches.
    #[arg(long, value_name = "N")]
    max_rows: Option<NonZeroU64>,
    /// Tell the engine to move only what was deleted before this: a date as in sexton archive --before. Rows
    /// of the catalogue's worlds were deleted from 2026-01-01 to 2026-01-28 (Nova's: on 2025-06-01).
    #[arg(long, value_name = "DATE|AGE")]
    before: Option<String>,
    /// So many worlds at random after the others, each with up to 100 cases: half of them with a fault and a
    /// writer, or with a second fault in the rerun.
    #[arg(long, value_name = "N")]
    random: Option<NonZeroU64>,
    /// Where random worlds and cases come from: the same seed makes the same ones.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "random")]
    seed: u64,
    /// Stop after this time (60s, 5m, 2h) or so many cases ('200 cases').
    #[arg(long, value_name = "TIME|CASES")]
    budget: Option<String>,
    /// Workers, each with a database, or a server, of its own; 64 at most. Default is one for each
    /// processor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
    /// Write each failure into a directory below this one, from which --replay runs it again.
    #[arg(long, value_name = "DIR")]
    bundles: Option<PathBuf>,
    /// Run the one case of this directory again, with its engine or with that of --engine.
    #[arg(long, value_name = "DIR", conflicts_with_all = CAMPAIGN)]
    replay: Option<PathBuf>,
    /// Show the worlds, modes, writers, oracles, engines and controls there are.
    #[arg(long, conflicts_with_all = CAMPAIGN, conflicts_with_all = RUN)]
    list: bool,
    /// Print a world of --list as a file, to begin one of your own.
    #[arg(long, value_name = "WORLD", conflicts_with = "list", conflicts_with_all = CAMPAIGN,
        conflicts_with_all = RUN)]
    print_world: Option<String>,
    /// No progress on stderr.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs<Format>,
}

/// What only a campaign can be told.
const CAMPAIGN: [&str; 19] = [
    "server",
    "worlds",
    "purge",
    "empty_shadows",
    "restore",
    "repair",
    "profile",
    "faults",
    "no_writers",
    "no_pairs",
    "no_files",
    "oracles",
    "max_rows",
    "before",
    "random",
    "seed",
    "budget",
    "jobs",
    "bundles",
];

/// What else only makes sense where something is run.
const RUN: [&str; 5] = ["engine", "replay", "quiet", "format", "report"];

/// Report formats of this command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For scripts; carries a `version`.
    Json,
    /// For scripts, a line for each world, oracle, mode and failure.
    Jsonl,
    /// For CI systems: a suite for each world, a test for each oracle.
    Junit,
    /// For code scanning and viewers of results: SARIF 2.1.0.
    Sarif,
    /// For the summary of a CI job, or a comment.
    Markdown,
    /// For GitHub Actions: annotations.
    Github,
    /// For people, as a page that needs no network, with what happened in the first failures, statement by
    /// statement.
    Html,
}

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    if args.list {
        args.output.write_as_it_is(&list::text()?)?;
        return Ok(0);
    }
    if let Some(name) = &args.print_world {
        let world = report::json(&catalogue::world(name)?)?;
        args.output.write_as_it_is(&world)?;
        return Ok(0);
    }
    let files = args.worlds.iter().chain(&args.profile).map(Path::new);
    args.output.check(files)?;
    let mut report = match &args.replay {
        Some(directory) => again(args, directory)?,
        None => prove(args)?,
    };
    if args.output.wants(|format| format == Format::Html) {
        look_closer(args, &mut report)?;
    }
    if args.bundles.is_some() {
        write_pages(&report)?;
    }
    args.output
        .write(|format, paint| render(&report, format, paint))?;
    Ok(report.exit_code() as u8)
}

fn render(report: &Report, format: Format, paint: Paint) -> Result<String> {
    Ok(match format {
        Format::Text => report::prove_text(report, paint),
        Format::Json => report::json(report)?,
        Format::Jsonl => report::prove_jsonl(report)?,
        Format::Junit => report::prove_junit(report)?,
        Format::Sarif => report::prove_sarif(report)?,
        Format::Markdown => report::prove_markdown(report),
        Format::Github => report::prove_github(report),
        Format::Html => report::prove_html(report, Timestamp::now()),
    })
}

/// How many failures of a page have their statements with them: each is run once more for that.
const TIMELINES: usize = 10;

/// Finds out what happened in each of the first failures, where that is not known from its bundle.
fn look_closer(args: &Args, report: &mut Report) -> Result<()> {
    for (number, failure) in report.failures.iter_mut().enumerate() {
        if failure.timeline.is_some() {
            continue;
        }
        let timeline = match number < TIMELINES {
            true => timeline(args, failure)?,
            false => Err("only the first failures have one; those of --bundles all do".into()),
        };
        failure.timeline = Some(timeline);
    }
    Ok(())
}

/// What happens in the case of a failure, or in that of its bundle.
fn timeline(args: &Args, failure: &Failure) -> Result<std::result::Result<Timeline, String>> {
    let scenario = match &failure.bundle {
        Some(bundle) => bundle::read(Path::new(bundle))?,
        None => failure.scenario.clone(),
    };
    let engine = match engine(args)? {
        Some(engine) => engine,
        None => scenario.engine.parse()?,
    };
    let timeline = Timeline::again(&scenario, &failure.fingerprint, &engine);
    Ok(timeline.map_err(|error| error.message))
}

/// Puts a page beside the other files of each bundle.
fn write_pages(report: &Report) -> Result<()> {
    for failure in &report.failures {
        let page = report::failure_html(report, failure, Timestamp::now());
        if let (Some(page), Some(bundle)) = (page, &failure.bundle) {
            let path = Path::new(bundle).join("report.html");
            std::fs::write(&path, page).map_err(|e| {
                Error::usage(format!("cannot write {}: {e}", path.display()))
                    .hint("--bundles takes a directory that can be written to")
            })?;
        }
    }
    Ok(())
}

/// The campaign that the arguments ask for.
fn prove(args: &Args) -> Result<Report> {
    let engine = engine(args)?.unwrap_or_default();
    let campaign = campaign(args, &engine)?;
    // What cannot be run is said before anything is started or written.
    drop(engine.engine()?);
    let stop = stop_flag("the cases in hand")?;
    let random = args.random.map_or(0, NonZeroU64::get);
    let worlds = campaign.worlds.len() as u64 + random;
    let watch = Cases::new(args.quiet, worlds, stop);
    let done = campaign.run(&engine, &watch);
    watch.finish();
    done
}

/// The case of a bundle.
fn again(args: &Args, directory: &Path) -> Result<Report> {
    let scenario = bundle::read(directory)?;
    let engine = match engine(args)? {
        Some(engine) => engine,
        None => scenario.engine.parse()?,
    };
    let mut report =
        replay::report(&scenario, &engine).map_err(|error| match &scenario.directory {
            Some(given) if error.code == ExitCode::Usage => {
                let hint = error.hint.clone().unwrap_or_default();
                let given = given.display();
                error.hint(format!("{hint}; its command line was given in {given}"))
            }
            _ => error,
        })?;
    if let Some(fingerprint) = &scenario.fingerprint
        && !report.failures.is_empty()
        && !report
            .failures
            .iter()
            .any(|f| f.fingerprint == *fingerprint)
    {
        crate::cli::say!(
            "sexton: the failure of the bundle, {fingerprint}, did not come again; others did"
        );
    }
    for failure in &mut report.failures {
        failure.bundle = Some(directory.display().to_string());
    }
    Ok(report)
}

fn engine(args: &Args) -> Result<Option<EngineSpec>> {
    args.engine.as_deref().map(str::parse).transpose()
}

fn campaign(args: &Args, engine: &EngineSpec) -> Result<Campaign> {
    let backend: Option<Backend> = args.server.as_deref().map(str::parse).transpose()?;
    let backend = backend.unwrap_or(Backend::Sqlite);
    let worlds = worlds(args, backend.engine())?;
    let mut campaign = Campaign::new(backend, worlds);
    campaign.task = task(args);
    let faults = match &args.faults {
        Some(text) => text.parse()?,
        None => Faults::default_for(engine),
    };
    faults.apply(&mut campaign);
    campaign.writers &= !args.no_writers;
    campaign.pairs &= !args.no_pairs;
    campaign.files &= !args.no_files;
    if !args.oracles.is_empty() {
        let oracles: Result<BTreeSet<Oracle>> = args.oracles.iter().map(|o| o.parse()).collect();
        campaign.oracles = oracles?;
    }
    if let Some(rows) = args.max_rows {
        campaign.options.max_rows = rows.get();
    }
    if let Some(before) = &args.before {
        campaign.options.before = Some(pace::before(before)?);
    }
    if let Some(worlds) = args.random {
        campaign.random = Some(Sample {
            seed: args.seed,
            worlds: worlds.get(),
            cases: 100,
        });
    }
    if let Some(budget) = &args.budget {
        budget.parse::<Budget>()?.apply(&mut campaign);
    }
    campaign.bundles.clone_from(&args.bundles);
    campaign.directory = std::env::current_dir().ok();
    if let Some(jobs) = args.jobs {
        campaign.jobs = usize::from(jobs);
    }
    Ok(campaign)
}

fn task(args: &Args) -> Task {
    let asked = [
        (args.purge, Task::Purge),
        (args.empty_shadows, Task::EmptyShadows),
        (args.restore, Task::Restore),
        (args.repair, Task::Repair),
    ];
    let task = asked.into_iter().find(|(asked, _)| *asked);
    task.map_or(Task::Archive, |(_, task)| task)
}

fn worlds(args: &Args, engine: Engine) -> Result<Vec<World>> {
    let profile = args.profile.as_deref().map(profile).transpose()?;
    let given = |mut world: World| {
        if let Some(profile) = &profile {
            world.profile.clone_from(profile);
        }
        world
    };
    if args.worlds.is_empty() {
        return Ok(catalogue::all()?.into_iter().map(given).collect());
    }
    let mut names_seen = BTreeSet::new();
    let mut wanted = Vec::new();
    for name in &args.worlds {
        let world = match name.ends_with(".json") {
            true => {
                let world = given(read_world(name)?);
                // What does not fit its schema is the file's fault, not the engine's.
                let fits = |w: World| w.check(engine);
                world
                    .to_task(task(args))
                    .and_then(fits)
                    .map_err(|error| Error {
                        message: format!("{name}: {}", error.message),
                        ..error
                    })?;
                world
            }
            false => given(catalogue::world(name)?),
        };
        if !names_seen.insert(world.name.clone()) {
            let message = format!("world '{}' is given twice", world.name);
            return Err(Error::usage(message).hint("the report tells worlds apart by their names"));
        }
        wanted.push(world);
    }
    Ok(wanted)
}

fn read_world(path: &str) -> Result<World> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::usage(format!("{path} cannot be read: {e}"))
            .hint("--world takes a name of --list, or a file that ends in .json")
    })?;
    World::parse(&text, path)
}
