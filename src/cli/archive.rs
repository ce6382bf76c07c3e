//! `sexton archive`: moves soft-deleted families to the shadow tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use sexton::archive::{self, Api, Before, Observer, Options, Outcome, Stop, StopReason};
use sexton::db::{Access, Session, Target, open};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::report;
use sexton::schema::FamilyGraph;

use super::cells::{Unreachable, in_directory_of, open_api};
use super::database::{API_DATABASE, DatabaseArgs, of_api};
use super::output::{Format, OutputArgs};
use super::pace::{self, pause};
use super::progress::Progress;
use super::signals::stop_flag;
use super::throttles::Throttles;

/// Move soft-deleted families to the shadow tables, whole or not at all.
///
/// A family is a soft-deleted root (an instance) with all that has no life without it. Families
/// that may not move are left out and explained; they never hold up another. A run that is cut at
/// any point leaves whole families; run it again to go on.
///
/// Exit code 0: all that may move has moved. 1: done, but blocked families remain. 75: stopped
/// early (--max-rows without --until-complete, or a signal); run again to go on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    databases: DatabaseArgs,
    /// Most rows in one transaction, all tables counted; a larger family moves alone. Without
    /// --until-complete also the most rows of the run. Default is 1000, and 50000 with --until-complete.
    #[arg(long, alias = "max_rows", value_name = "N", allow_hyphen_values = true)]
    max_rows: Option<String>,
    /// With --until-complete: how long a transaction is to take, as in 250ms or 2s. Its rows are chosen for that, up
    /// to --max-rows; 0 always takes as many as that.
    #[arg(long, value_name = "TIME", default_value = "250ms")]
    target_batch_time: String,
    /// With --until-complete: so many sessions archive different families at the same time. SQLite has one writer.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    jobs: u8,
    /// Go on, batch by batch, until all that may move has moved.
    #[arg(long, alias = "until_complete")]
    until_complete: bool,
    /// Only families whose root was soft-deleted before this: 2026-01-31, '2026-01-31 12:00:00'
    /// (UTC where no zone is given), RFC 3339, or an age: 90d, 12h.
    #[arg(long, value_name = "DATE|AGE", allow_hyphen_values = true)]
    before: Option<String>,
    /// Move the rows of the task log too; with --before those last updated before it.
    #[arg(long, alias = "task_log")]
    task_log: bool,
    /// Seconds to pause between batches.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "0",
        allow_negative_numbers = true
    )]
    sleep: f64,
    #[command(flatten)]
    limits: pace::Limits,
    /// Empty the shadow tables afterwards, family by family.
    #[arg(long)]
    purge: bool,
    /// Print what would move, and the statements; write nothing and lock nothing.
    #[arg(long, conflicts_with = "purge")]
    dry_run: bool,
    /// Leftover rows in this table, which has no shadow table, may be written to TABLE.jsonl and
    /// deleted. May be given several times.
    #[arg(long, value_name = "TABLE")]
    drop_unshadowed: Vec<String>,
    /// The directory for the files of --drop-unshadowed.
    #[arg(long, value_name = "DIR", default_value = ".")]
    export_dir: PathBuf,
    /// Print and exit exactly as another tool does.
    #[arg(long, value_enum, value_name = "TOOL")]
    compat: Option<Compat>,
    /// With --compat: print the table of archived rows, as nova-manage --verbose does.
    #[arg(long, short)]
    verbose: bool,
    /// No progress on stderr.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
    // Last, for its heading holds for all that follow.
    #[command(flatten)]
    throttles: Throttles,
}

/// Tools whose output and exit codes can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compat {
    NovaManage,
}

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    match args.compat {
        None => {
            let (outcome, _) = archive_all(args)?;
            let report = match args.output.format {
                Format::Text => report::archive_text(&outcome),
                Format::Json => report::json(&outcome)?,
            };
            args.output.write(&report)?;
            Ok(exit_code(&outcome) as u8)
        }
        Some(Compat::NovaManage) => Ok(run_compat(args)),
    }
}

pub(super) fn exit_code(outcome: &Outcome) -> ExitCode {
    match outcome.stopped_because {
        _ if !outcome.unreachable.is_empty() => ExitCode::Unavailable,
        StopReason::Complete if outcome.has_blocked() => ExitCode::Findings,
        StopReason::Complete => ExitCode::Done,
        StopReason::MaxRows
        | StopReason::Signal
        | StopReason::Time
        | StopReason::StopFile
        | StopReason::Load
        | StopReason::MaxWait => ExitCode::Stopped,
    }
}

/// As `nova-manage db archive_deleted_rows`: its words on stdout, its codes; what it would not say
/// goes to stderr.
fn run_compat(args: &Args) -> u8 {
    use report::compat;
    if let Err(text) = compat::check_max_rows(max_rows_text(args)) {
        println!("{text}");
        return compat::BAD_MAX_ROWS;
    }
    if let Err(error) = max_rows(args) {
        // As argparse has it: on stderr, with the same code.
        super::complain(&error);
        return compat::BAD_MAX_ROWS;
    }
    if let Some(before) = &args.before
        && let Err(error) = Before::parse(before, now())
    {
        println!("{}", compat::bad_before(&error));
        return compat::BAD_BEFORE;
    }
    match archive_all(args) {
        Ok((outcome, had)) => {
            let interrupted = outcome.stopped_because.is_request();
            if args.until_complete && args.verbose {
                println!("{}", compat::closing_dots(outcome.batches, interrupted));
            }
            if args.verbose {
                println!("{}", compat::table(&outcome, had.api));
            }
            if args.purge && args.verbose && outcome.total_rows > 0 && !interrupted {
                println!("{}", compat::PURGING);
                compat::purged(&outcome.purged, &BTreeMap::new(), &had.cells)
                    .iter()
                    .for_each(|line| println!("{line}"));
            }
            if outcome.has_blocked() {
                crate::cli::tell!("{}", report::blocked_text(&outcome));
            }
            compat::exit_code(&outcome)
        }
        Err(error) => {
            super::complain(&error);
            if error.message.starts_with(API_DATABASE) {
                println!("{}", compat::NO_API);
                return compat::NO_API_CODE;
            }
            compat::EXCEPTION
        }
    }
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// As nova-manage has it where it is to be that; else what a transaction may hold in a quarter of a second at most.
fn max_rows_text(args: &Args) -> &str {
    let usual = match args.until_complete && args.compat.is_none() {
        true => "50000",
        false => "1000",
    };
    args.max_rows.as_deref().unwrap_or(usual)
}

fn max_rows(args: &Args) -> Result<u64> {
    pace::max_rows(max_rows_text(args), args.compat.is_some())
}

fn options(args: &Args) -> Result<Options> {
    let max_rows = max_rows(args)?;
    Ok(Options {
        max_rows,
        // nova-manage ends a run with the first batch that moved nothing, and no row is no batch.
        until_complete: args.until_complete && max_rows > 0,
        // Its batches are counted.
        target_batch_time: match args.compat {
            None => pace::target(&args.target_batch_time)?,
            Some(Compat::NovaManage) => None,
        },
        before: args
            .before
            .as_deref()
            .map(|b| Before::parse(b, now()))
            .transpose()?,
        task_log: args.task_log,
        sleep: pause(args.sleep)?,
        dry_run: args.dry_run,
        drop_unshadowed: args.drop_unshadowed.iter().cloned().collect(),
        export_dir: args.export_dir.clone(),
        ..Options::default()
    })
}

/// What nova-manage's lines depend on.
struct Had {
    /// Whether there was an API database.
    api: bool,
    /// How it names the cells, by sexton's names.
    cells: BTreeMap<String, String>,
}

/// Archives every cell, and looks after the API database.
fn archive_all(args: &Args) -> Result<(Outcome, Had)> {
    let options = options(args)?;
    let databases = args.databases.resolve()?;
    args.output.check(databases.files())?;
    if let (Some(_), Some(path), None) = (args.compat, &args.databases.config_file, &databases.api)
    {
        // nova-manage does not archive where it could not clean up the records.
        let message = format!("{} has no section [api_database]", path.display());
        return Err(of_api(Error::data(message).hint("add it, or give --api")));
    }
    let stop = stop_flag()?;
    let stop = args.limits.stop(&stop)?;
    let access = if options.dry_run {
        Access::ReadOnly
    } else {
        Access::ReadWrite
    };
    let mut opened = Vec::new();
    let mut reached = Vec::new();
    let mut unreachable = Unreachable::new(databases.by_name && args.compat.is_none());
    for (name, target) in &databases.cells {
        let jobs = match target {
            Target::Sqlite(_) => 1,
            Target::Mysql(_) | Target::Postgres(_) if options.dry_run => 1,
            Target::Mysql(_) | Target::Postgres(_) => args.jobs,
        };
        let cell = databases
            .open_cell(target, access)
            .and_then(|(session, graph)| {
                let helpers = (1..jobs).map(|_| open(target, access));
                Ok((session, helpers.collect::<Result<Vec<Session>>>()?, graph))
            });
        if let Some((session, helpers, graph)) = unreachable.pass(name, cell)? {
            opened.push((name.clone(), session, helpers, graph));
            reached.push((name.clone(), target.clone()));
        }
    }
    unreachable.check(opened.is_empty())?;
    let graphs: Vec<FamilyGraph> = opened.iter().map(|(.., graph)| graph.clone()).collect();
    let mut api = match &databases.api {
        Some(target) if !options.dry_run => Some(open_api(target, &reached, &graphs)?),
        _ => None,
    };
    let mut progress = Progress::new(args.quiet || args.compat.is_some());
    let mut total = Outcome {
        version: 1,
        dry_run: options.dry_run,
        ..Outcome::default()
    };
    let several = databases.by_name;
    total.database = opened
        .iter()
        .map(|(_, s, ..)| s.label().to_owned())
        .collect::<Vec<_>>()
        .join(", ");
    for ((name, mut session, mut helpers, graph), (_, target)) in opened.into_iter().zip(&reached) {
        let mut options = in_directory_of(&options, several, &name)?;
        if !options.until_complete {
            options.max_rows = options.max_rows.saturating_sub(total.total_rows);
            if options.max_rows == 0 {
                total.stopped_because = StopReason::MaxRows;
                break;
            }
        }
        let mut watch = Watch {
            progress: &mut progress,
            api: api.as_mut(),
        };
        let throttle = args.throttles.on(target)?.filter(|_| !options.dry_run);
        let stop = match &throttle {
            Some(throttle) => stop.clone().throttled_by(throttle),
            None => stop.clone(),
        };
        let run = archive::archive_abreast(
            &mut session,
            &mut helpers,
            &graph,
            &options,
            &stop,
            &mut watch,
        );
        let Some(mut outcome) = unreachable.pass(&name, run)? else {
            continue;
        };
        if let Some(api) = &mut api
            && !outcome.stopped_because.is_request()
        {
            add(&mut outcome.api_records, api.sweep()?);
        }
        // nova-manage purges whenever it has archived anything.
        let purges = match args.compat {
            Some(Compat::NovaManage) => outcome.total_rows > 0,
            None => outcome.stopped_because == StopReason::Complete,
        };
        if args.purge && purges && !outcome.stopped_because.is_request() {
            purge(&mut session, &graph, &options, &stop, &mut outcome)?;
        } else if args.purge {
            progress.notice(
                "nothing was purged, because the run stopped early: run again, with \
                             --until-complete",
            );
        }
        let stopped = outcome.stopped_because.is_request();
        if several {
            let name = if name.is_empty() {
                "main".to_owned()
            } else {
                name
            };
            total.merge(&name, outcome);
        } else {
            total = outcome;
        }
        if stopped {
            break;
        }
    }
    total.unreachable = unreachable.cells;
    if let Some(api) = &api {
        total.statements += api.statements();
        if api.elsewhere > 0 {
            progress.notice(&format!(
                "{} instances are mapped to a cell that was not given; their API records stay \
                 (give it with --cell NAME=DB)",
                api.elsewhere
            ));
        }
    }
    progress.finish();
    let had = Had {
        api: api.is_some(),
        cells: databases.identities.clone(),
    };
    Ok((total, had))
}

/// Empties the shadow tables: whatever their age, task log and all, as `nova-manage` does.
fn purge(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    outcome: &mut Outcome,
) -> Result<()> {
    let options = Options {
        before: None,
        task_log: true,
        ..options.clone()
    };
    let purged = archive::purge(session, graph, &options, stop, &mut ())?;
    outcome.purged = purged.rows;
    outcome.purge_kept = purged.blocked_families.values().sum();
    outcome.statements += purged.statements;
    outcome.retries += purged.retries;
    outcome.elapsed_ms += purged.elapsed_ms;
    outcome.add_spent(purged.spent_ms);
    if purged.stopped_because.is_request() {
        outcome.stopped_because = purged.stopped_because;
    }
    Ok(())
}

/// Shows progress, and cleans the API database after each batch.
struct Watch<'a, 'c> {
    progress: &'a mut Progress,
    api: Option<&'a mut Api<'c>>,
}

impl Observer for Watch<'_, '_> {
    fn batch(&mut self, rows: u64, total_rows: u64, families: u64) {
        self.progress.batch(rows, total_rows, families);
    }

    fn archived(&mut self, api_keys: &[String]) -> Result<BTreeMap<String, u64>> {
        match &mut self.api {
            Some(api) => api.remove(api_keys),
            None => Ok(BTreeMap::new()),
        }
    }

    fn notice(&mut self, text: &str) {
        self.progress.notice(text);
    }

    fn plan(&mut self, table: &str, statements: &[String]) {
        self.progress.plan(table, statements);
    }
}

fn add(total: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (table, count) in more {
        *total.entry(table).or_default() += count;
    }
}
