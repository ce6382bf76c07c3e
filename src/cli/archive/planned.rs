//! `--plan` and `--apply`: what a run would move is written down, and done only if that is still so.

use std::collections::BTreeMap;
use std::path::Path;

use sexton::archive::{Forecast, Options, Shape, StopReason};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::plural::several;
use sexton::report;

use super::each::{Archived, Wanted, archive_all};
use super::{Args, now, options, told};
use crate::cli::confirm::confirm;
use crate::cli::output::OutputFile;

/// How many differences are named; the rest is counted.
const NAMED: usize = 5;

/// What to do where a plan is of something else.
const OWN_PLAN: &str =
    "apply it to the database that it is of, or write a plan of this one with --plan";

/// What to do where a database has changed.
const DRIFTED: &str = "write a new plan with --plan and look at it; --max-drift, when it is written, allows counts to \
                       differ, and --before makes them last";

/// What to do where a part of what was planned is there.
const BEGUN: &str =
    "where a run of the plan was cut that is the rest: write a new plan for it with --plan";

/// Reads `--max-drift`.
pub(super) fn percent(text: &str) -> std::result::Result<f64, String> {
    let number = text.trim_end_matches('%').parse::<f64>().ok();
    number
        .filter(|n| (0.0..=100.0).contains(n))
        .ok_or_else(|| "expected a number from 0 to 100, in percent".into())
}

/// Writes the plan; the exit code is that of a dry run.
pub(super) fn plan(args: &Args, file: &Path) -> Result<u8> {
    let output = OutputFile::at(file);
    let options = Options {
        until_complete: true,
        dry_run: true,
        ..options(args)?
    };
    let archived = archive_all(
        args,
        &Wanted {
            writes: Some(&output),
            shows_statements: !args.quiet,
            ..Wanted::of(options.clone())
        },
    )?;
    let archived = whole(archived, "no plan was written")?;
    let forecast = Forecast::of(
        &archived.outcome,
        &options,
        (archived.schemas.clone(), archived.api),
        args.max_drift,
        now(),
    );
    output.write(&report::json(&forecast)?)?;
    told(args, &archived)
}

/// Does what was planned; the exit code.
pub(super) fn apply(args: &Args, file: &Path) -> Result<u8> {
    let forecast = read(file)?;
    let options = forecast.decide(options(args)?);
    let dry = Options {
        dry_run: true,
        ..options.clone()
    };
    let look = |shows_statements| {
        let wanted = Wanted {
            forecast: Some(&forecast),
            shows_statements,
            ..Wanted::of(dry.clone())
        };
        let looked = whole(archive_all(args, &wanted)?, "nothing was moved")?;
        agrees(&forecast, &looked)?;
        Ok::<_, Error>(looked)
    };
    let looked = look(args.dry_run && !args.quiet)?;
    if let Some((planned, here)) = forecast.other_database(&looked.schemas) {
        crate::cli::say!(
            "sexton: the plan was written for {}; {} has the same schema and counts, and is taken for it",
            planned.database,
            here.database
        );
    }
    let records: u64 = looked.outcome.api_records.values().sum();
    if args.dry_run || looked.outcome.total_rows + records == 0 {
        return told(args, &looked);
    }
    let records = match records {
        0 => String::new(),
        records => format!(
            " {} of the API database are to be removed for good.",
            several(records, "record")
        ),
    };
    confirm(
        args.yes,
        "--apply",
        &format!(
            "{} of {} are to move to the shadow tables of {}, as planned at {:.0} on {}.{records}",
            several(looked.outcome.total_rows, "row"),
            several(looked.outcome.families, "family"),
            looked.outcome.database,
            forecast.written_at,
            forecast.database,
        ),
    )?;
    if !args.yes {
        // An answer may take hours.
        look(false)?;
    }
    let archived = archive_all(
        args,
        &Wanted {
            forecast: Some(&forecast),
            ..Wanted::of(options)
        },
    )?;
    told(args, &archived)
}

/// Fails where the databases are not what was planned for.
pub(super) fn fits(
    forecast: &Forecast,
    schemas: &BTreeMap<String, Shape>,
    api: bool,
) -> Result<()> {
    if let Some((planned, here)) = forecast.other_engine(schemas) {
        let message = format!(
            "the plan was written for {}, which is {}; {} is {}; nothing was moved",
            planned.database, planned.engine, here.database, here.engine
        );
        return Err(Error::data(message).hint(OWN_PLAN));
    }
    let changes = forecast.schema_changes(schemas);
    if !changes.is_empty() {
        return Err(differs(
            forecast,
            schemas,
            &changes,
            "the schema has changed",
            DRIFTED,
        ));
    }
    if forecast.api != api {
        let (with, do_so) = match forecast.api {
            true => ("with", "give the same --api again"),
            false => ("without", "leave --api out"),
        };
        let message = format!(
            "the plan was written {with} --api: what is to go from the API database would be something else than what \
             it says; nothing was moved"
        );
        return Err(Error::data(message).hint(format!("{do_so}, or write a new plan with --plan")));
    }
    Ok(())
}

/// Fails where there is something else to move than what was planned, and says what.
fn agrees(forecast: &Forecast, looked: &Archived) -> Result<()> {
    let drift = forecast.drift(&looked.outcome);
    if drift.is_empty() {
        return Ok(());
    }
    let elsewhere = forecast.other_database(&looked.schemas).is_some();
    if !elsewhere && forecast.is_done(&looked.outcome) {
        let message = format!(
            "nothing is left to move of the {} planned at {:.0}: the plan was applied already, or another run has moved \
             them; nothing was moved",
            several(forecast.total_rows, "row"),
            forecast.written_at
        );
        return Err(Error::data(message).hint("a plan is for one run: write a new one with --plan"));
    }
    let hint = match !elsewhere && forecast.is_begun(&looked.outcome) {
        true => BEGUN,
        false => DRIFTED,
    };
    Err(differs(
        forecast,
        &looked.schemas,
        &drift,
        "the counts have changed",
        hint,
    ))
}

/// The first differences; those of another database are no changes.
fn differs(
    forecast: &Forecast,
    schemas: &BTreeMap<String, Shape>,
    differences: &[String],
    changed: &str,
    hint: &str,
) -> Error {
    let mut named = differences[..differences.len().min(NAMED)].join(", ");
    if differences.len() > NAMED {
        named += &format!(", and {} more", differences.len() - NAMED);
    }
    match forecast.other_database(schemas) {
        Some((planned, here)) => Error::data(format!(
            "the plan was written for another database, {}, and does not fit {}: {named}; nothing was moved",
            planned.database, here.database
        ))
        .hint(OWN_PLAN),
        None => Error::data(format!(
            "{changed} since the plan was written: {named}; nothing was moved"
        ))
        .hint(hint),
    }
}

/// A dry run over all there is; anything less is no ground to plan on.
fn whole(archived: Archived, but: &str) -> Result<Archived> {
    if let Some(error) = archived.failed {
        return Err(error);
    }
    let outcome = &archived.outcome;
    if let Some((cell, why)) = outcome.unreachable.first_key_value() {
        return Err(Error::unavailable(format!("cell {cell}: {why}; {but}"))
            .hint("a plan is for all cells: name those that it is for with --cell"));
    }
    match outcome.stopped_because {
        StopReason::Complete => Ok(archived),
        _ => {
            let message = format!("stopped before all was counted; {but}");
            Err(Error::new(ExitCode::Stopped, message).hint("run it again"))
        }
    }
}

fn read(file: &Path) -> Result<Forecast> {
    let path = file.display();
    let text = std::fs::read_to_string(file).map_err(|e| {
        Error::usage(format!("cannot read {path}: {e}"))
            .hint("--apply takes the file that --plan wrote")
    })?;
    Forecast::read(&text).map_err(|e| {
        Error::data(format!("{path} is no plan of an archive run: {e}"))
            .hint("--apply takes the file that --plan wrote")
    })
}
