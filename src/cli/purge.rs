//! `sexton purge`: deletes old rows for good.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use sexton::archive::{self, Before, ExportFormat, Observer, Options, Outcome, StopReason};
use sexton::db::{Access, Target};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::report::{self, compat};
use sexton::schema::FamilyGraph;

use super::archive::exit_code;
use super::cells::{
    Unreachable, api_notices, in_directory_of, of_cells, open_api, shown, with_rows,
};
use super::database::{API_DATABASE, DatabaseArgs, of_api};
use super::output::{Format, OutputArgs};
use super::pace::{Limits, max_rows, pause};
use super::progress::Progress;
use super::signals::stop_flag;
use super::throttles::Throttles;

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
    /// Seconds to pause between batches.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "0",
        allow_negative_numbers = true
    )]
    sleep: f64,
    #[command(flatten)]
    limits: Limits,
    /// Print what would go; write nothing and lock nothing.
    #[arg(long)]
    dry_run: bool,
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
    #[arg(long, value_enum, value_name = "TOOL")]
    compat: Option<Compat>,
    /// With --compat nova-manage: say what was deleted from which table.
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
        let report = match args.output.format {
            Format::Text => report::purge_text(&outcome),
            Format::Json => report::json(&outcome)?,
        };
        args.output.write(&report)?;
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
        (Some(before), ..) => Some(Before::parse(before, Timestamp::now())?),
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
        sleep: pause(args.sleep)?,
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
    let moment = epoch.ok_or_else(|| Error::usage("the age is before 1970"))?;
    Before::parse(&moment.to_string(), Timestamp::now())
}

/// How nova-manage speaks of what was purged.
struct Names {
    /// By which column of a shadow table its rows are dated, if dates were asked for.
    columns: BTreeMap<String, String>,
    /// The cells, by sexton's names.
    cells: BTreeMap<String, String>,
}

/// Purges every cell, one after the other. An error beside the outcome has ended it, after other cells were purged.
fn purge_all(args: &Args, options: Options) -> Result<(Outcome, Names, Option<Error>)> {
    let databases = args.databases.resolve()?;
    args.output.check(databases.files())?;
    for (_, target) in &databases.cells {
        args.throttles.gauges(target)?;
    }
    let stop = stop_flag()?;
    let stop = args.limits.stop(&stop)?;
    let mut opened = Vec::new();
    let mut reached = Vec::new();
    let mut unreachable = Unreachable::new(databases.by_name && args.compat.is_none());
    for (name, target) in &databases.cells {
        // Also in a dry run: the lists of a purge are temporary tables.
        let cell = databases.open_cell(target, Access::ReadWrite);
        if let Some((session, graph)) = unreachable.pass(name, cell)? {
            check(args, &graph, session.label())?;
            opened.push((name.clone(), session, graph));
            reached.push((name.clone(), target.clone()));
        }
    }
    unreachable.check(opened.is_empty())?;
    if let Some(directory) = args.export.as_ref().filter(|d| !d.is_dir()) {
        return Err(Error::usage(format!(
            "--export {}: no such directory",
            directory.display()
        ))
        .hint("make it first"));
    }
    let mut throttles = Vec::new();
    let mut directories = Vec::new();
    for (name, target) in &reached {
        directories.push(in_directory_of(&options, databases.by_name, name)?);
        throttles.push(match options.dry_run {
            true => None,
            false => args.throttles.open(target)?,
        });
    }
    let graphs: Vec<FamilyGraph> = opened.iter().map(|(_, _, graph)| graph.clone()).collect();
    let mut progress = Progress::new(args.quiet || args.compat.is_some());
    let mut total = Outcome {
        version: 1,
        dry_run: options.dry_run,
        before: options.before.as_ref().map(ToString::to_string),
        ..Outcome::default()
    };
    let labels: Vec<_> = opened
        .iter()
        .map(|(_, s, _)| s.label().to_owned())
        .collect();
    total.database = labels.join(", ");
    if let Some(target) = &databases.api {
        // By the archived roots alone is it known whose records are to go.
        let mut api = open_api(target, &reached, &graphs, &unreachable, stop.clone())?;
        if !options.dry_run {
            total.api_records = api.sweep().map_err(of_api)?;
            total.statements += api.statements();
            for notice in api_notices(&api) {
                progress.notice(&notice);
            }
            let away = |(name, _): &(String, Target)| api.away().contains_key(name);
            if api.unasked > 0 || reached.iter().any(away) {
                let cells = of_cells(&api);
                return Err(Error::unavailable(format!(
                    "{cells} could not be asked whose API records may go, and what is purged names them no more"
                ))
                .hint("run again with it, or name the other cells with --cell NAME=DB"));
            }
        }
    }
    let several = databases.by_name;
    let included: BTreeSet<String> = args.include.iter().cloned().collect();
    let mut columns = BTreeMap::new();
    let mut failed = None;
    let begun = Instant::now();
    let prepared = directories.iter().zip(&throttles);
    for ((name, mut session, graph), (options, throttle)) in opened.into_iter().zip(prepared) {
        let mut watch = Watch {
            progress: &mut progress,
            so_far: Outcome::default(),
        };
        let dated = graph.members.values().filter(|_| options.before.is_some());
        columns.extend(dated.filter_map(|m| Some((m.shadow.clone()?, m.age.clone()?))));
        let stop = stop.clone().throttled_by(throttle.as_ref());
        let run = match graph.archives() {
            true => archive::purge(&mut session, &graph, options, &stop, &mut watch),
            false => {
                let graph = graph.in_place(&included);
                archive::purge_in_place(&mut session, &graph, options, &stop, &mut watch)
            }
        };
        let outcome = match run {
            Ok(outcome) => outcome,
            Err(error) => {
                let so_far = watch.so_far;
                failed = unreachable.lost(&name, with_rows(error, &so_far));
                total.merge(shown(&name), so_far);
                match failed {
                    // Nothing was purged of which there is more to say.
                    Some(error) if args.compat.is_some() || total.total_rows == 0 || !several => {
                        return Err(error);
                    }
                    Some(_) => break,
                    None => continue,
                }
            }
        };
        let stopped = outcome.stopped_because.is_request();
        if several {
            total.merge(shown(&name), outcome);
        } else {
            total = Outcome {
                api_records: total.api_records,
                statements: total.statements + outcome.statements,
                ..outcome
            };
        }
        if stopped {
            break;
        }
    }
    progress.finish();
    total.elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    total.unreachable = unreachable.cells;
    if failed.is_some() {
        total.stopped_because = StopReason::Failed;
    }
    let cells = databases.identities;
    Ok((total, Names { columns, cells }, failed))
}

/// What must hold before the first statement.
fn check(args: &Args, graph: &FamilyGraph, database: &str) -> Result<()> {
    let nova = args.compat.map(|tool| tool == Compat::Nova);
    if nova.is_some_and(|nova| nova != graph.archives()) {
        let what = match graph.archives() {
            true => "has shadow tables, which that tool does not know",
            false => "has no shadow tables, and nova-manage purges nothing else",
        };
        return Err(Error::data(format!("--compat: {database} {what}"))
            .hint("name the tool of the service that the database is of"));
    }
    // Of such a service nobody expects that rows go which were never archived.
    if graph.archives() && !graph.has_shadow_tables() {
        let service = &graph.profile.name;
        return Err(Error::data(format!(
            "{database} has no shadow tables, and {service} archives into such before it purges"
        ))
        .hint(
            "make them (sexton schema diff), or purge rows where they are with --profile convention",
        ));
    }
    for table in &args.include {
        if !graph.profile.purged_on_request.contains(table) {
            let known = graph.profile.purged_on_request.join(", ");
            let hint = match known.is_empty() {
                true => "leave it out: the profile keeps no table back".to_owned(),
                false => format!("tables that are kept back: {known}"),
            };
            return Err(Error::usage(format!(
                "--include {table}: it is not purged on request only"
            ))
            .hint(hint));
        }
    }
    archive::check_owners(database, graph)?;
    if graph.members.values().all(|m| m.marker.is_none()) {
        return Err(
            Error::data(format!("{database} has no table with a soft-delete marker"))
                .hint("check that this is the right database"),
        );
    }
    Ok(())
}

struct Watch<'a> {
    progress: &'a mut Progress,
    /// What has gone, for a purge that does not live to tell it.
    so_far: Outcome,
}

impl Observer for Watch<'_> {
    fn batch(&mut self, rows: u64, total_rows: u64, families: u64) {
        self.so_far.batches += 1;
        (self.so_far.total_rows, self.so_far.families) = (total_rows, families);
        self.progress.batch(rows, total_rows, families);
    }

    fn waits(&mut self, why: &str) {
        self.progress.waits(why);
    }

    fn notice(&mut self, text: &str) {
        self.progress.notice(text);
    }
}
