//! `sexton repair`: heals what an audit finds, where there is nothing to choose.

use sexton::archive::{self, Options as RunOptions, Stop, StopReason};
use sexton::audit::{self, Cell, NotChecked, Stranded, upgrade};
use sexton::cells::record_tables;
use sexton::db::{Access, Session, Target};
use sexton::error::{Error, Result};
use sexton::repair::{Options, RepairOutcome, repair};
use sexton::report::{self, Paint};
use sexton::schema::{ApiRecords, FamilyGraph};

use super::cells::{Unreachable, api_notices, open_api};
use super::confirm::{confirm_on_terminal, is_asked};
use super::database::{DatabaseArgs, of_api, open_with_schema};
use super::output::{Format, OutputArgs};
use super::pace::{self, Limits, max_rows};
use super::progress::Progress;
use super::signals::stop_flag;

/// Heal what an audit finds, where there is nothing to choose.
///
/// Prints what it would do: which rows, why, how, and the statements. With --apply it does it. Parts of split families
/// are brought together, copies of rows deleted, what a deleted parent left behind is archived with it, rows that are
/// marked deleted get a date, and with --api stranded records are removed. What needs a choice is left, with the
/// choices.
///
/// Exit code 0: nothing is left to do. 1: something is: with --apply, or by you. 69: not everything could be looked at.
/// 75: stopped early, or the database was lost; run again to go on.
#[derive(Debug, clap::Args)]
#[command(after_help = checks())]
pub(crate) struct Args {
    #[command(flatten)]
    databases: DatabaseArgs,
    /// Heal only what this check finds; may be given several times.
    #[arg(long = "check", value_name = "CHECK")]
    checks: Vec<String>,
    /// Do it.
    #[arg(long)]
    apply: bool,
    /// Only say what would be done, as without --apply.
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
    /// Do not ask before anything is changed. Where there is no terminal nothing is asked.
    #[arg(long, short, requires = "apply")]
    yes: bool,
    /// Archive only families whose root was soft-deleted before this: 2026-01-31, '2026-01-31 12:00:00'
    /// (UTC where no zone is given), RFC 3339, or an age: 90d, 12h.
    #[arg(long, value_name = "DATE|AGE", allow_hyphen_values = true)]
    before: Option<String>,
    /// Most rows in one transaction; a larger family moves alone.
    #[arg(
        long,
        value_name = "N",
        default_value = "1000",
        allow_hyphen_values = true
    )]
    max_rows: String,
    #[command(flatten)]
    limits: Limits,
    /// No progress on stderr.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let outcome = repaired(args)?;
    args.output.write(|format, paint| {
        Ok(match format {
            Format::Text => report::repair_text(&outcome, paint),
            Format::Json => report::json(&outcome)?,
        })
    })?;
    Ok(outcome.exit_code() as u8)
}

fn repaired(args: &Args) -> Result<RepairOutcome> {
    let of_upgrades = upgrade::CHECKS.iter().map(|(id, _)| *id);
    if let Some(id) = of_upgrades
        .into_iter()
        .find(|id| args.checks.iter().any(|c| c == id))
    {
        return Err(Error::usage(format!(
            "--check {id} is one of upgrades: there is nothing to heal"
        ))
        .hint("`sexton audit --upgrade-to RELEASE` makes it, and says what to run"));
    }
    let options = Options {
        checks: args.checks.clone(),
        apply: args.apply,
        run: RunOptions {
            max_rows: max_rows(&args.max_rows, false)?,
            before: args.before.as_deref().map(pace::cut_off).transpose()?,
            ..RunOptions::default()
        },
    };
    let databases = args.databases.resolve()?;
    args.output.check(databases.files())?;
    let [(name, target)] = databases.cells.as_slice() else {
        return Err(
            Error::usage("repair works on one database, and several cells were given")
                .hint("repair them one after the other"),
        );
    };
    let access = match args.apply {
        true => Access::ReadWrite,
        false => Access::ReadOnly,
    };
    let (mut session, graph) = databases.open_cell(target, access)?;
    if graph.deletes_in_place || !graph.has_shadow_tables() {
        let message = format!(
            "{target} has no shadow tables: there are no halves of families to bring together"
        );
        return Err(Error::data(message)
            .hint("`sexton audit` says what is wrong with it, and what mends it"));
    }
    let flag = stop_flag("the batch in hand")?;
    let stop: Stop<'_> = args.limits.stop(&flag)?;
    let graphs = [graph];
    let reached = [(name.clone(), target.clone())];
    let mut api = match &databases.api {
        Some(api) => Some(open_api(
            (api, access),
            &reached,
            &graphs,
            &Unreachable::new(false),
            stop.clone(),
        )?),
        None => None,
    };
    if args.apply && !args.yes && is_asked() {
        let mut look = |session: &mut Session| {
            let plan = Options {
                apply: false,
                ..options.clone()
            };
            let api = api.as_mut();
            let mut planned = repair(session, &graphs[0], api, &plan, &stop, &mut ())?;
            add_stranded(&mut planned, &databases.api, session, &graphs[0], &plan);
            Ok(planned)
        };
        confirm(&mut session, &mut look)?;
    }
    let mut progress = Progress::new(args.quiet);
    let outcome = repair(
        &mut session,
        &graphs[0],
        api.as_mut(),
        &options,
        &stop,
        &mut progress,
    );
    for notice in api.iter().flat_map(api_notices) {
        archive::Observer::notice(&mut progress, &notice);
    }
    progress.finish();
    let mut outcome = outcome?;
    add_stranded(
        &mut outcome,
        &databases.api,
        &mut session,
        &graphs[0],
        &options,
    );
    Ok(outcome)
}

/// Adds what an audit finds of the API database; where the repair was cut nothing was swept.
fn add_stranded(
    outcome: &mut RepairOutcome,
    api: &Option<Target>,
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
) {
    if !options.wants(audit::STRANDED) || outcome.stopped_because != StopReason::Complete {
        return;
    }
    match api {
        // What was healed is told all the same.
        Some(target) => match stranded(target, graph.profile.api.as_ref(), (session, graph)) {
            Ok(found) => outcome.add_stranded(found),
            Err(error) => outcome.not_swept(Some(error.to_string())),
        },
        None if !options.checks.is_empty() => outcome.not_checked.push(NotChecked {
            check: audit::STRANDED.into(),
            table: None,
            why: "it needs the API database; give it with --api".into(),
        }),
        None => {}
    }
}

/// Asks, with the plan; and looks once more after the answer, which may take hours.
fn confirm(
    session: &mut Session,
    look: &mut dyn FnMut(&mut Session) -> Result<RepairOutcome>,
) -> Result<()> {
    let planned = look(session)?;
    if planned.healed.is_empty() {
        return Ok(());
    }
    let what = format!(
        "{}This is to be done in {}.",
        report::repair_rows(&planned, Paint::Plain),
        session.label()
    );
    confirm_on_terminal(false, &what)?;
    let told = |outcome: RepairOutcome| {
        let moved = (outcome.archived, outcome.returned, outcome.api_records);
        (outcome.healed, moved)
    };
    match told(look(session)?) == told(planned) {
        true => Ok(()),
        false => Err(Error::data(format!(
            "what there is to heal in {} has changed since it was shown, and nothing was done",
            session.label()
        ))
        .hint("run again, and look at the plan")),
    }
}

/// What an audit finds of the API database.
fn stranded(
    target: &Target,
    records: Option<&ApiRecords>,
    (session, graph): (&mut Session, &FamilyGraph),
) -> Result<Stranded> {
    let records = records.ok_or_else(|| {
        Error::usage("--api: the profile of this database knows no API-database records")
            .hint("leave --api out, or choose the profile with --profile")
    })?;
    let opened = open_with_schema(target, Access::ReadOnly);
    let (mut api, schema) = opened.map_err(of_api)?;
    record_tables(api.label(), &schema, records)?;
    let name = session.label().to_owned();
    let mut cells = [Cell {
        name,
        session,
        graph,
    }];
    let samples = audit::Options::default().samples;
    Ok(audit::stranded(&mut api, &mut cells, records, samples))
}

/// What becomes of the findings of each check.
fn checks() -> String {
    let line = |check: &&dyn audit::Check| match check.repair() {
        audit::Repair::Heals(how) => format!("  {:24} {how}", check.id()),
        audit::Repair::Leaves(why) => format!("  {:24} left: {why}", check.id()),
    };
    let lines: Vec<_> = audit::all().iter().map(line).collect();
    format!(
        "Checks:\n{}\n  {:24} with --api, removes the records\n\ndocs/repair.md says more.",
        lines.join("\n"),
        audit::STRANDED
    )
}
