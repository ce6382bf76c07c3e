//! `sexton archive`: moves soft-deleted families to the shadow tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use sexton::archive::{Before, Options, Outcome, StopReason};
use sexton::error::Result;
use sexton::exit::ExitCode;
use sexton::report::{self, Deed};

use super::database::{API_DATABASE, DatabaseArgs};
use super::output::{OutputArgs, RunFormat};
use super::pace::{self, pause};
use super::throttles::Throttles;

mod each;
mod planned;
mod watch;

use self::each::{Archived, Wanted, archive_all};

/// Move soft-deleted families to the shadow tables, whole or not at all.
///
/// A family is a soft-deleted root (an instance) with all that has no life without it. Families
/// that may not move are left out and explained; they never hold up another. A run that is cut at
/// any point leaves whole families; run it again to go on.
///
/// Exit code 0: all that may move has moved. 1: done, but blocked families remain. 75: stopped
/// early (--max-rows without --until-complete, a signal, a limit), or the database was lost; run
/// again to go on.
#[derive(Debug, clap::Args)]
// What is for runs that go to the end is of no effect in others.
#[command(group = clap::ArgGroup::new("whole").args(["until_complete", "plan", "apply"]).multiple(true))]
pub(crate) struct Args {
    #[command(flatten)]
    databases: DatabaseArgs,
    /// Most rows in one transaction, all tables counted; a larger family moves alone. Without
    /// --until-complete also the most rows of the run. Default is 1000, and 50000 with --until-complete.
    #[arg(long, alias = "max_rows", value_name = "N", allow_hyphen_values = true)]
    max_rows: Option<String>,
    /// With --until-complete: how long a transaction is to take, as in 250ms or 2s. Its rows are chosen for that, up
    /// to --max-rows; 0 always takes as many as that.
    #[arg(long, value_name = "TIME", default_value = "250ms", requires = "whole")]
    target_batch_time: String,
    /// With --until-complete: so many sessions archive different families at the same time. SQLite has one writer.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32),
        requires = "whole")]
    jobs: u8,
    /// With --until-complete: so many cells are archived at the same time. Cells that share a server gain little.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64),
        requires = "whole")]
    cells_at_once: u8,
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
    /// How long to pause between batches: 200ms, 2s, or a number of seconds.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "0",
        allow_hyphen_values = true
    )]
    sleep: String,
    #[command(flatten)]
    limits: pace::Limits,
    /// Empty the shadow tables afterwards, family by family.
    #[arg(long)]
    purge: bool,
    /// Print what would move, and the statements; write nothing and lock nothing.
    #[arg(long, conflicts_with = "purge")]
    dry_run: bool,
    /// Write down what a whole run would move, as a dry run counts it, for --apply.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["purge", "dry_run", "compat", "apply"])]
    plan: Option<PathBuf>,
    /// With --plan: by how much each count may differ when it is applied, in percent.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "0",
        requires = "plan",
        value_parser = planned::percent
    )]
    max_drift: f64,
    /// Do what was planned in this file, to the end, if schema and counts are still what they were. On a terminal it asks
    /// first. With --dry-run it only looks whether they are.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["purge", "compat", "before", "task_log", "drop_unshadowed"]
    )]
    apply: Option<PathBuf>,
    /// Do not ask: with --apply, and with --purge, which asks only on a terminal.
    #[arg(long, short)]
    yes: bool,
    /// Leftover rows in this table, which has no shadow table, may be written to TABLE.jsonl and
    /// deleted. May be given several times.
    #[arg(long, value_name = "TABLE")]
    drop_unshadowed: Vec<String>,
    /// The directory for the files of --drop-unshadowed.
    #[arg(long, value_name = "DIR", default_value = ".")]
    export_dir: PathBuf,
    /// Print and exit exactly as another tool does.
    #[arg(long, value_enum, value_name = "TOOL", conflicts_with = "report")]
    compat: Option<Compat>,
    /// With --compat: print the table of archived rows, as nova-manage --verbose does.
    #[arg(long, short)]
    verbose: bool,
    /// No progress on stderr.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs<RunFormat>,
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
    match (args.compat, &args.plan, &args.apply) {
        (Some(Compat::NovaManage), _, _) => Ok(run_compat(args)),
        (None, Some(file), _) => planned::plan(args, file),
        (None, None, Some(file)) => planned::apply(args, file),
        (None, None, None) => told(args, &archive_all(args, &Wanted::of(options(args)?))?),
    }
}

/// Writes the report of a run; the exit code.
fn told(args: &Args, archived: &Archived) -> Result<u8> {
    let outcome = &archived.outcome;
    // An error is worse than whatever else a run may end with.
    let code = match &archived.failed {
        Some(error) => super::complain(error),
        None => exit_code(outcome) as u8,
    };
    say_unreachable(outcome);
    args.output
        .write(|format, paint| format.render(outcome, Deed::Archive, paint))?;
    Ok(code)
}

/// On stderr too: a report of many cells may be read by nobody, and that of a cell that is missing has no rows.
pub(super) fn say_unreachable(outcome: &Outcome) {
    for (cell, why) in &outcome.unreachable {
        crate::cli::say!("sexton: cell {cell} was not reached: {why}; run again with it");
    }
}

pub(super) fn exit_code(outcome: &Outcome) -> ExitCode {
    match outcome.stopped_because {
        _ if !outcome.unreachable.is_empty() => ExitCode::Unavailable,
        StopReason::Unreachable => ExitCode::Unavailable,
        StopReason::Complete if outcome.has_blocked() => ExitCode::Findings,
        StopReason::Complete => ExitCode::Done,
        StopReason::MaxRows
        | StopReason::Signal
        | StopReason::Time
        | StopReason::StopFile
        | StopReason::Load
        | StopReason::MaxWait
        | StopReason::Failed => ExitCode::Stopped,
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
    match options(args).and_then(|options| archive_all(args, &Wanted::of(options))) {
        Ok(archived) => {
            let outcome = archived.outcome;
            let interrupted = outcome.stopped_because.is_request();
            if args.until_complete && args.verbose {
                println!("{}", compat::closing_dots(outcome.batches, interrupted));
            }
            if args.verbose {
                println!("{}", compat::table(&outcome, archived.api));
            }
            if args.purge && args.verbose && outcome.total_rows > 0 && !interrupted {
                println!("{}", compat::PURGING);
                compat::purged(&outcome.purged, &BTreeMap::new(), &archived.cells)
                    .iter()
                    .for_each(|line| println!("{line}"));
            }
            if outcome.has_blocked() {
                crate::cli::tell!("{}", report::blocked_text(&outcome));
            }
            say_unreachable(&outcome);
            match outcome.unreachable.is_empty() {
                true => compat::exit_code(&outcome),
                false => compat::EXCEPTION,
            }
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
    let until_complete = args.until_complete || args.plan.is_some() || args.apply.is_some();
    let usual = match until_complete && args.compat.is_none() {
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
        before: args.before.as_deref().map(pace::cut_off).transpose()?,
        task_log: args.task_log,
        sleep: pause(&args.sleep)?,
        dry_run: args.dry_run,
        drop_unshadowed: args.drop_unshadowed.iter().cloned().collect(),
        export_dir: args.export_dir.clone(),
        ..Options::default()
    })
}
