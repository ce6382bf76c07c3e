//! `--plan` and `--apply`: what a run would move is written down, and done only if that is still so.

use std::path::Path;

use sexton::archive::{Forecast, Options, StopReason};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::report;

use super::each::{Archived, Wanted, archive_all};
use super::{Args, now, options, told};
use crate::cli::confirm::confirm;
use crate::cli::output::OutputFile;

/// How many differences are named; the rest is counted.
const NAMED: usize = 5;

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
        archived.schemas.clone(),
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
        same(&forecast.drift(&looked.outcome), "the counts have changed")?;
        Ok::<_, Error>(looked)
    };
    let looked = look(args.dry_run && !args.quiet)?;
    if args.dry_run || looked.outcome.total_rows == 0 {
        return told(args, &looked);
    }
    confirm(
        args.yes,
        "--apply",
        &format!(
            "{} rows of {} families are to move to the shadow tables of {}, as planned at {:.0} on {}.",
            looked.outcome.total_rows,
            looked.outcome.families,
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

/// Fails if there are differences, and names the first.
pub(super) fn same(differences: &[String], what: &str) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let mut named = differences[..differences.len().min(NAMED)].join(", ");
    if differences.len() > NAMED {
        named += &format!(", and {} more", differences.len() - NAMED);
    }
    let message = format!("{what} since the plan was written: {named}; nothing was moved");
    Err(Error::data(message).hint(
        "write a new plan with --plan and look at it; --max-drift, when it is written, allows counts to differ, and \
         --before makes them last",
    ))
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
