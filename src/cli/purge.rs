//! `sexton purge`: deletes old rows for good.

mod each;

use std::path::PathBuf;

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use sexton::archive::{Before, ExportFormat, Options};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::report::{self, Deed, compat};

use super::archive::{exit_code, say_unreachable};
use super::database::{API_DATABASE, DatabaseArgs};
use super::output::{OutputArgs, RunFormat};
use super::pace::{self, Limits, max_rows, pause};
use super::throttles::Throttles;
use each::purge_all;

/// Delete archived or soft-deleted rows for good, a family at a time.
///
/// Where there are shadow tables (Nova) they are emptied, by the age of each family's root. Where
/// there are none (all other services) soft-deleted rows are deleted where they are, once all of
/// their family is soft-deleted and old enough and nothing that stays refers to it. What may not go
/// is kept, counted and explained; it never holds up another.
///
/// Exit code 0: all that may go has gone. 1: done, but families were kept. 75: stopped early (a
/// signal, a limit), or the database was lost; run again to go on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    databases: DatabaseArgs,
    /// Only rows deleted before this: 2026-01-31, '2026-01-31 12:00:00' (UTC where no zone is
    /// given), RFC 3339, or an age: 90d, 12h.
    #[arg(long, value_name = "DATE|AGE", conflicts_with_all = ["all", "older_than"],
          allow_hyphen_values = true)]
    before: Option<String>,
    /// Only rows deleted that many days ago or longer; 0 is up to now.
    #[arg(
        long,
        alias = "age_in_days",
        value_name = "DAYS",
        conflicts_with = "all",
        allow_hyphen_values = true
    )]
    older_than: Option<String>,
    /// Rows of any age, also those that bear no date.
    #[arg(long)]
    all: bool,
    /// The rows of the task log too (Nova), by the time of their last update.
    #[arg(long, alias = "task_log")]
    task_log: bool,
    /// A table that is purged on request only (Glance: images). May be given several times.
    #[arg(long, value_name = "TABLE")]
    include: Vec<String>,
    /// Most rows in one transaction, all tables counted; a larger family goes alone.
    #[arg(
        long,
        alias = "max_rows",
        value_name = "N",
        default_value = "1000",
        allow_hyphen_values = true
    )]
    max_rows: String,
    /// How long to pause between batches: 200ms, 2s, or a number of seconds.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "0",
        allow_hyphen_values = true
    )]
    sleep: String,
    #[command(flatten)]
    limits: Limits,
    /// Print what would go; write nothing and lock nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before anything is deleted. Where there is no terminal nothing is asked.
    #[arg(long, short)]
    yes: bool,
    /// Write each row to TABLE.jsonl (or .sql) in this directory before it is deleted.
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// The form of those files.
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value = "jsonl",
        requires = "export"
    )]
    export_format: Form,
    /// Print and exit exactly as another tool does.
    #[arg(long, value_enum, value_name = "TOOL", conflicts_with = "report")]
    compat: Option<Compat>,
    /// With --compat nova-manage: say what was deleted from which table.
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

/// Forms of export files.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Jsonl,
    Sql,
}

/// Tools whose exit codes, and lines, can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compat {
    #[value(name = "nova-manage")]
    Nova,
    #[value(name = "manila-manage")]
    Manila,
    #[value(name = "cinder-manage")]
    Cinder,
    #[value(name = "glance-manage")]
    Glance,
}

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let Some(tool) = args.compat else {
        let (outcome, _, failed) = purge_all(args, options(args)?)?;
        // An error is worse than whatever else a run may end with.
        let code = match &failed {
            Some(error) => super::complain(error),
            None => exit_code(&outcome) as u8,
        };
        say_unreachable(&outcome);
        args.output
            .write(|format, paint| format.render(&outcome, Deed::Purge, paint))?;
        return Ok(code);
    };
    Ok(match tool {
        Compat::Nova => as_nova_manage(args),
        Compat::Manila => by_age(args, &Manner::MANILA)?,
        Compat::Cinder => by_age(args, &Manner::CINDER)?,
        Compat::Glance => by_age(args, &Manner::GLANCE)?,
    })
}

/// As `nova-manage db purge`: its words on stdout, its codes; the rest goes to stderr.
fn as_nova_manage(args: &Args) -> u8 {
    if args.before.is_none() && !args.all {
        println!("{}", compat::PURGE_NEEDS);
        return compat::PURGE_NO_ARGUMENTS;
    }
    if let Some(Err(error)) = args
        .before
        .as_deref()
        .map(|b| Before::parse(b, Timestamp::now()))
    {
        println!("{}", compat::bad_before(&error));
        return compat::PURGE_BAD_BEFORE;
    }
    let options = match options(args) {
        Ok(options) => options,
        Err(error) => {
            super::complain(&error);
            return compat::EXCEPTION;
        }
    };
    // It knows no task log of its own: all shadow tables are emptied.
    let options = Options {
        task_log: true,
        ..options
    };
    match purge_all(args, options) {
        Ok((outcome, names, _)) => {
            if args.verbose {
                let lines = compat::purged(&outcome.rows, &names.columns, &names.cells);
                lines.iter().for_each(|line| println!("{line}"));
            }
            if outcome.has_blocked() {
                crate::cli::tell!("{}", report::blocked_text(&outcome));
            }
            compat::purge_code(&outcome)
        }
        Err(error) => {
            super::complain(&error);
            if error.message.starts_with(API_DATABASE) {
                println!("{}", compat::NO_CELLS);
                return compat::PURGE_NO_CELLS;
            }
            compat::EXCEPTION
        }
    }
}

/// How the `db purge` of a service without shadow tables differs from the others'.
struct Manner {
    bad_age: &'static str,
    /// The age if none is given.
    usual: Option<i64>,
    /// The code where a row stays because another needs it: Cinder and Glance end in an error there, Manila
    /// says nothing.
    kept: ExitCode,
    /// The code for an age that is before all dates: none can be that old.
    ancient: u8,
}

impl Manner {
    const MANILA: Self = Self {
        bad_age: compat::AGE_OF_MANILA,
        usual: Some(0),
        kept: ExitCode::Done,
        ancient: 0,
    };
    const CINDER: Self = Self {
        bad_age: compat::AGE_OF_CINDER,
        usual: None,
        kept: ExitCode::Findings,
        ancient: compat::BAD_AGE,
    };
    const GLANCE: Self = Self {
        bad_age: compat::AGE_OF_GLANCE,
        usual: Some(30),
        kept: ExitCode::Findings,
        ancient: compat::BAD_AGE,
    };
}

/// As the `db purge` of the services without shadow tables: 0, or 1 and a line. They know an age in days
/// and nothing else.
fn by_age(args: &Args, manner: &Manner) -> Result<u8> {
    let (bad_age, usual) = (manner.bad_age, manner.usual);
    // Never a cut-off other than the one that was asked for.
    if args.before.is_some() || args.all || args.older_than.is_none() && usual.is_none() {
        return Err(
            Error::usage("--compat with this tool needs its age in days").hint(
                "give --older-than DAYS in place of --before and --all, or leave --compat out",
            ),
        );
    }
    let days = match &args.older_than {
        None => usual,
        Some(text) => text.parse::<i64>().ok().filter(|d| *d >= 0),
    };
    let Some(days) = days else {
        println!("{bad_age}");
        return Ok(compat::BAD_AGE);
    };
    let Ok(cut_off) = days_ago(days) else {
        if manner.ancient != 0 {
            println!("{bad_age}");
        }
        return Ok(manner.ancient);
    };
    let purged = options_at(args, Some(cut_off)).and_then(|o| purge_all(args, o));
    Ok(match purged {
        Ok((outcome, ..)) => {
            if outcome.has_blocked() {
                crate::cli::tell!("{}", report::blocked_text(&outcome));
            }
            match outcome.stopped_because {
                reason if reason.is_request() => ExitCode::Stopped as u8,
                _ if outcome.has_blocked() => manner.kept as u8,
                _ => ExitCode::Done as u8,
            }
        }
        Err(error) => {
            super::complain(&error);
            compat::BAD_AGE
        }
    })
}

fn options(args: &Args) -> Result<Options> {
    let before = match (&args.before, &args.older_than, args.all) {
        (Some(before), ..) => Some(pace::cut_off(before)?),
        (_, Some(days), _) => Some(older_than(days)?),
        (None, None, true) => None,
        (None, None, false) => {
            return Err(
                Error::usage("purge needs --before DATE, --older-than DAYS or --all")
                    .hint("--before 90d keeps the rows of the last 90 days"),
            );
        }
    };
    options_at(args, before)
}

fn options_at(args: &Args, before: Option<Before>) -> Result<Options> {
    Ok(Options {
        max_rows: max_rows(&args.max_rows, false)?,
        until_complete: true,
        before,
        task_log: args.task_log,
        sleep: pause(&args.sleep)?,
        dry_run: args.dry_run,
        export: args.export.as_ref().map(|_| match args.export_format {
            Form::Jsonl => ExportFormat::Jsonl,
            Form::Sql => ExportFormat::Sql,
        }),
        export_dir: args.export.clone().unwrap_or_default(),
        ..Options::default()
    })
}

fn older_than(text: &str) -> Result<Before> {
    let bad = |what: &str| {
        Error::usage(format!("--older-than {text} {what}"))
            .hint("use a number of days; 0 is up to now")
    };
    let days: i64 = text.parse().map_err(|_| bad("is not a number of days"))?;
    if days < 0 {
        return Err(bad("is a negative age"));
    }
    days_ago(days).map_err(|_| bad("is before all dates"))
}

/// The moment that many days ago, once for all tables (Cinder bug 2111461); the second after it, so
/// that what was deleted just then is covered.
fn days_ago(days: i64) -> Result<Before> {
    let hours = days.checked_mul(24);
    let then = hours.and_then(|h| {
        let age = SignedDuration::from_hours(h);
        Timestamp::now().checked_sub(age).ok()
    });
    let then = then.and_then(|t| t.checked_add(SignedDuration::from_secs(1)).ok());
    let epoch = then.filter(|t| t.as_second() > 0);
    let moment = epoch.ok_or_else(|| {
        Error::usage("the age is before 1970").hint("give a number of days that is not before 1970")
    })?;
    Before::parse(&moment.to_string(), Timestamp::now())
}
