//! One purge of all cells, one after the other: what must hold before the first, and what it came to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use sexton::archive::{self, Observer, Options, Outcome, StopReason};
use sexton::db::{Access, Target};
use sexton::error::{Error, Result};
use sexton::schema::FamilyGraph;

use super::{Args, Compat};
use crate::cli::cells::{
    Unreachable, api_notices, in_directory_of, of_cells, open_api, shown, with_rows,
};
use crate::cli::confirm::confirm_on_terminal;
use crate::cli::database::of_api;
use crate::cli::progress::Progress;
use crate::cli::signals::stop_flag;

/// How nova-manage speaks of what was purged.
pub(super) struct Names {
    /// By which column of a shadow table its rows are dated, if dates were asked for.
    pub(super) columns: BTreeMap<String, String>,
    /// The cells, by sexton's names.
    pub(super) cells: BTreeMap<String, String>,
}

/// Purges every cell, one after the other. An error beside the outcome has ended it, after other cells were purged.
pub(super) fn purge_all(args: &Args, options: Options) -> Result<(Outcome, Names, Option<Error>)> {
    let databases = args.databases.resolve()?;
    args.output.check(databases.files())?;
    for (_, target) in &databases.cells {
        args.throttles.gauges(target)?;
    }
    let stop = stop_flag("the batch in hand")?;
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
    if !options.dry_run && args.compat.is_none() {
        let what = format!("Rows of {} are to be deleted for good.", total.database);
        confirm_on_terminal(args.yes, &what)?;
    }
    if let Some(target) = &databases.api {
        // By the archived roots alone is it known whose records are to go.
        let access = match options.dry_run {
            true => Access::ReadOnly,
            false => Access::ReadWrite,
        };
        let target = (target, access);
        let mut api = open_api(target, &reached, &graphs, &unreachable, stop.clone())?;
        let records = match options.dry_run {
            true => api.would_sweep(),
            false => api.sweep(),
        };
        total.api_records = records.map_err(of_api)?;
        total.statements += api.statements();
        for notice in api_notices(&api) {
            progress.notice(&notice);
        }
        if !options.dry_run {
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
    total.not_all_cells();
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
