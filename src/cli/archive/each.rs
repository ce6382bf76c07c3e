//! One archive run over all cells: several at a time if that is asked for, one report, one API database.
//!
//! Whatever can be known beforehand is: every cell is opened and checked, and every throttle read, before the first one
//! moves anything. Then all are archived, then the API database is looked after once, and then the shadow tables are
//! emptied if that is asked for, as by their rows alone is it known whose records are to go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sexton::archive::{
    self, Api, Forecast, Observer, Options, Outcome, Shape, Stop, StopReason, Throttle,
};
use sexton::db::{Access, Session, Target, open};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::schema::FamilyGraph;

use super::planned;
use super::watch::{Purging, Shared, Watch, into_inner, locked};
use super::{Args, Compat};
use crate::cli::cells::{
    Unreachable, api_notices, in_directory_of, of_cells, open_api, shown, with_rows,
};
use crate::cli::confirm::confirm_on_terminal;
use crate::cli::database::{Databases, of_api};
use crate::cli::output::OutputFile;
use crate::cli::progress::Progress;
use crate::cli::signals::stop_flag;

/// What is asked of a run over all cells, beside what the arguments say.
pub(super) struct Wanted<'w> {
    pub(super) options: Options,
    /// What the schemas have to agree with.
    pub(super) forecast: Option<&'w Forecast>,
    /// A file that is written afterwards.
    pub(super) writes: Option<&'w OutputFile>,
    /// Whether a dry run shows its statements.
    pub(super) shows_statements: bool,
}

impl Wanted<'_> {
    pub(super) fn of(options: Options) -> Self {
        Self {
            options,
            forecast: None,
            writes: None,
            shows_statements: true,
        }
    }
}

/// What a run over all cells has come to.
pub(super) struct Archived {
    pub(super) outcome: Outcome,
    /// What ended it, where there is something to report all the same.
    pub(super) failed: Option<Error>,
    /// Whether there was an API database.
    pub(super) api: bool,
    /// How nova-manage names the cells, by sexton's names.
    pub(super) cells: BTreeMap<String, String>,
    /// The schema of each cell that was reached.
    pub(super) schemas: BTreeMap<String, Shape>,
}

/// A cell that was reached.
struct Opened {
    name: String,
    target: Target,
    session: Session,
    helpers: Vec<Session>,
    graph: FamilyGraph,
    /// With the directory for its files.
    options: Options,
    throttle: Option<Throttle>,
    /// What its archiving has come to; nothing where it was not begun, or failed.
    outcome: Option<Outcome>,
    /// What it had come to when it failed, if it had begun.
    so_far: Option<Outcome>,
    failed: Option<Error>,
}

/// Archives every cell, and looks after the API database.
pub(super) fn archive_all(args: &Args, wanted: &Wanted<'_>) -> Result<Archived> {
    let options = &wanted.options;
    let databases = args.databases.resolve()?;
    args.output.check(databases.files())?;
    if let Some(file) = wanted.writes {
        file.check(databases.files())?;
    }
    if let (Some(_), Some(path), None) = (args.compat, &args.databases.config_file, &databases.api)
    {
        // nova-manage does not archive where it could not clean up the records.
        let message = format!("{} has no section [api_database]", path.display());
        return Err(of_api(Error::data(message).hint("add it, or give --api")));
    }
    for (_, target) in &databases.cells {
        args.throttles.gauges(target)?;
    }
    let flag = stop_flag("the batch in hand")?;
    let stop = args.limits.stop(&flag)?;
    let mut unreachable = Unreachable::new(databases.by_name && args.compat.is_none());
    let mut cells = open_all(args, options, &databases, &mut unreachable)?;
    let schemas = cells
        .iter()
        .map(|cell| (cell.name.clone(), Shape::of(&cell.session, &cell.graph)));
    let schemas = schemas.collect();
    if let Some(forecast) = wanted.forecast {
        planned::fits(forecast, &schemas, databases.api.is_some())?;
    }
    let labels: Vec<_> = cells.iter().map(|cell| cell.session.label()).collect();
    let labels = labels.join(", ");
    if args.purge && args.compat.is_none() {
        let what = format!("The shadow tables of {labels} are to be emptied for good afterwards.");
        confirm_on_terminal(args.yes, &what)?;
    }
    let reached = cells.iter().map(|c| (c.name.clone(), c.target.clone()));
    let reached: Vec<_> = reached.collect();
    let graphs: Vec<FamilyGraph> = cells.iter().map(|cell| cell.graph.clone()).collect();
    let api = match &databases.api {
        Some(target) => Some(open_api(
            (target, access(options)),
            &reached,
            &graphs,
            &unreachable,
            stop.clone(),
        )?),
        None => None,
    };
    let progress = Progress::new(args.quiet || args.compat.is_some());
    let run = Run {
        args,
        several: databases.by_name,
        // A run over so many rows goes from cell to cell, for what is left for the next one is known only then.
        at_once: match options.until_complete && args.compat.is_none() {
            true => usize::from(args.cells_at_once).min(cells.len()).max(1),
            false => 1,
        },
        unreachable: &unreachable,
        flag: &flag,
        ended: Mutex::default(),
        failed: AtomicBool::new(false),
        shared: Mutex::new(Shared::new(progress, api, wanted.shows_statements)),
    };
    let begun = Instant::now();
    run.each(&stop, &mut cells, |cell, stop| run.archive(cell, stop));
    let swept = run.sweep(options.dry_run);
    if args.purge {
        run.purge_all(&stop, &mut cells, swept.is_ok());
    }
    let elapsed = begun.elapsed().as_millis();
    let ended = into_inner(run.ended);
    let mut shared = into_inner(run.shared);

    let mut total = Outcome {
        version: 1,
        dry_run: options.dry_run,
        before: options.before.as_ref().map(ToString::to_string),
        ..Outcome::default()
    };
    let mut failures = Vec::new();
    let mut tells = false;
    for cell in cells {
        tells |= cell.outcome.is_some() || is_worth_telling(&cell);
        let so_far = cell.so_far.unwrap_or_default();
        let error = cell.failed.map(|error| with_rows(error, &so_far));
        failures.extend(error.and_then(|error| unreachable.lost(&cell.name, error)));
        match cell.outcome {
            outcome if !databases.by_name => total = outcome.unwrap_or(so_far),
            Some(outcome) => total.merge(shown(&cell.name), outcome),
            // Why the run ended is said of all cells together.
            None => total.merge(
                shown(&cell.name),
                Outcome {
                    stopped_because: StopReason::Complete,
                    ..so_far
                },
            ),
        }
    }
    match swept {
        Ok(records) => total.add_api_records(&records),
        Err(error) => failures.push(error),
    }
    total.database = labels;
    total.elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
    total.unreachable = unreachable.cells;
    if let Some(api) = &shared.api {
        looked_after(api, &mut total, &mut shared.progress);
    }
    let mut failures = failures.into_iter();
    let failed = failures.next();
    for error in failures {
        shared.progress.notice(&error.to_string());
    }
    shared.progress.finish();
    match failed {
        Some(error) if args.compat.is_some() || !tells => return Err(error),
        Some(_) => total.stopped_because = StopReason::Failed,
        None => total.stopped_because = ended.unwrap_or(total.stopped_because),
    }
    total.not_all_cells();
    Ok(Archived {
        outcome: total,
        failed,
        api: shared.api.is_some(),
        cells: databases.identities,
        schemas,
    })
}

/// Whether a cell that has failed has something to report: rows that moved, or that it was lost in the middle.
fn is_worth_telling(cell: &Opened) -> bool {
    let lost = |error: &Error| error.code == ExitCode::Stopped;
    let so_far = cell.so_far.as_ref();
    so_far.is_some_and(|so_far| so_far.total_rows > 0 || cell.failed.as_ref().is_some_and(lost))
}

/// What there is to say of the API database.
fn looked_after(api: &Api<'_>, total: &mut Outcome, progress: &mut Progress) {
    total.statements += api.statements();
    for notice in api_notices(api) {
        progress.notice(&notice);
    }
    for (cell, why) in api.away() {
        let why = format!("it could not be asked which instances it holds: {why}");
        let cell = shown(cell).to_owned();
        total.unreachable.entry(cell).or_insert(why);
    }
}

fn access(options: &Options) -> Access {
    match options.dry_run {
        true => Access::ReadOnly,
        false => Access::ReadWrite,
    }
}

/// Opens and checks every cell that can be reached, one after the other.
fn open_all(
    args: &Args,
    options: &Options,
    databases: &Databases,
    unreachable: &mut Unreachable,
) -> Result<Vec<Opened>> {
    let access = access(options);
    let mut opened = Vec::new();
    for (name, target) in &databases.cells {
        let jobs = match target {
            Target::Sqlite(_) => 1,
            Target::Mysql(_) | Target::Postgres(_) if options.dry_run => 1,
            Target::Mysql(_) | Target::Postgres(_) => args.jobs,
        };
        let cell = databases
            .open_cell(target, access)
            .and_then(|(session, graph)| {
                archive::preflight(session.label(), &graph, options)?;
                let helpers = (1..jobs).map(|_| open(target, access));
                Ok((session, helpers.collect::<Result<Vec<Session>>>()?, graph))
            });
        if let Some((session, helpers, graph)) = unreachable.pass(name, cell)? {
            opened.push(Opened {
                name: name.clone(),
                target: target.clone(),
                session,
                helpers,
                graph,
                options: in_directory_of(options, databases.by_name, name)?,
                throttle: None,
                outcome: None,
                so_far: None,
                failed: None,
            });
        }
    }
    unreachable.check(opened.is_empty())?;
    if !options.dry_run {
        for cell in &mut opened {
            cell.throttle = args.throttles.open(&cell.target)?;
        }
    }
    Ok(opened)
}

/// A run over all cells.
struct Run<'r, 'a> {
    args: &'r Args,
    /// Whether a report names the cell of each table.
    several: bool,
    at_once: usize,
    unreachable: &'r Unreachable,
    /// Ends every cell after the batch in hand.
    flag: &'r AtomicBool,
    /// Why the run ends before all cells are done.
    ended: Mutex<Option<StopReason>>,
    /// Whether it fails, other than by losing a cell.
    failed: AtomicBool,
    shared: Mutex<Shared<'a>>,
}

impl Run<'_, '_> {
    /// Does something with each cell, in their order, several at a time. After the first one nothing more is begun
    /// where the run is to end.
    fn each(
        &self,
        stop: &Stop<'_>,
        cells: &mut [Opened],
        work: impl Fn(&mut Opened, &Stop<'_>) + Sync,
    ) {
        let all = cells.len();
        let queue = Mutex::new(cells.iter_mut().collect::<VecDeque<_>>());
        let next = |stop: &Stop<'_>| {
            let mut queue = locked(&queue);
            if queue.is_empty() || self.failed.load(Ordering::Relaxed) {
                return None;
            }
            // Cells that are left in the queue were not looked at: that is no complete run.
            match stop.reason().filter(|_| queue.len() < all) {
                Some(reason) => {
                    self.end(reason);
                    None
                }
                None => queue.pop_front(),
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.at_once {
                let stop = stop.clone();
                let (next, work) = (&next, &work);
                scope.spawn(move || {
                    while let Some(cell) = next(&stop) {
                        work(cell, &stop);
                    }
                });
            }
        });
    }

    /// Ends all cells, each after the batch in hand: a limit is one of the run, whichever cell has met it.
    fn end(&self, why: StopReason) {
        locked(&self.ended).get_or_insert(why);
        self.flag.store(true, Ordering::Relaxed);
    }

    fn ends(&self) -> bool {
        locked(&self.ended).is_some() || self.failed.load(Ordering::Relaxed)
    }

    fn fail(&self, cell: &mut Opened, error: Error) {
        if !self.unreachable.tolerates(&error) {
            self.failed.store(true, Ordering::Relaxed);
        }
        cell.failed = Some(error);
    }

    fn archive(&self, cell: &mut Opened, stop: &Stop<'_>) {
        let mut options = cell.options.clone();
        if !options.until_complete {
            let rows = locked(&self.shared).rows();
            options.max_rows = options.max_rows.saturating_sub(rows);
            if options.max_rows == 0 {
                cell.outcome = Some(Outcome {
                    version: 1,
                    dry_run: options.dry_run,
                    stopped_because: StopReason::MaxRows,
                    ..Outcome::default()
                });
                return;
            }
        }
        let stop = stop.clone().throttled_by(cell.throttle.as_ref());
        let estimates = !(self.args.quiet || self.args.compat.is_some())
            && options.until_complete
            && !options.dry_run;
        let mut watch = Watch::new(&cell.name, &self.shared, estimates);
        let ended = archive::archive_abreast(
            &mut cell.session,
            &mut cell.helpers,
            &cell.graph,
            &options,
            &stop,
            &mut watch,
        );
        match ended {
            Ok(outcome) => {
                if outcome.stopped_because.is_request() {
                    self.end(outcome.stopped_because);
                }
                cell.outcome = Some(outcome);
            }
            Err(error) => {
                cell.so_far = watch.so_far();
                self.fail(cell, error);
            }
        }
    }

    /// Removes the API records that are left, once for all cells; in a dry run it counts them.
    fn sweep(&self, dry_run: bool) -> Result<BTreeMap<String, u64>> {
        match &mut locked(&self.shared).api {
            Some(api) if !self.ends() && dry_run => api.would_sweep().map_err(of_api),
            Some(api) if !self.ends() => api.sweep().map_err(of_api),
            _ => Ok(BTreeMap::new()),
        }
    }

    /// Empties the shadow tables of every cell that is done.
    fn purge_all(&self, stop: &Stop<'_>, cells: &mut [Opened], swept: bool) {
        let kept = match &locked(&self.shared).api {
            _ if !swept => Some("the API database failed".to_owned()),
            // By the archived rows alone is it known that these records are to go.
            Some(api) if api.unasked > 0 || cells.iter().any(|c| is_away(api, c)) => Some(format!(
                "{} could not be asked whose API records may go",
                of_cells(api)
            )),
            _ => None,
        };
        if kept.is_none() && !self.ends() {
            self.each(stop, cells, |cell, stop| self.purge(cell, stop));
        }
        let why = match kept {
            Some(why) => why,
            None if self.ends() || cells.iter().any(stopped_early) => {
                "the run stopped early: run again, with --until-complete".to_owned()
            }
            None => return,
        };
        let notice = match self.several {
            true => format!("not every cell was purged, because {why}"),
            false => format!("nothing was purged, because {why}"),
        };
        locked(&self.shared).progress.notice(&notice);
    }

    /// Whether its shadow tables are to be emptied.
    fn is_purged(&self, cell: &Opened) -> bool {
        let done = cell.outcome.as_ref().filter(|_| cell.failed.is_none());
        done.is_some_and(|outcome| match self.args.compat {
            // nova-manage purges whenever it has archived anything.
            Some(Compat::NovaManage) => {
                outcome.total_rows > 0 && !outcome.stopped_because.is_request()
            }
            None => outcome.stopped_because == StopReason::Complete,
        })
    }

    /// Empties the shadow tables: whatever their age, task log and all, as `nova-manage` does.
    fn purge(&self, cell: &mut Opened, stop: &Stop<'_>) {
        if !self.is_purged(cell) {
            return;
        }
        let options = Options {
            before: None,
            task_log: true,
            ..cell.options.clone()
        };
        let stop = stop.clone().throttled_by(cell.throttle.as_ref());
        let mut watch = Purging(&self.shared);
        let purged = archive::purge(&mut cell.session, &cell.graph, &options, &stop, &mut watch);
        match (purged, &mut cell.outcome) {
            (Ok(purged), Some(outcome)) => {
                outcome.purged = purged.rows;
                outcome.purge_kept = purged.blocked_families.values().sum();
                outcome.statements += purged.statements;
                outcome.retries += purged.retries;
                outcome.add_spent(purged.spent_ms);
                if purged.stopped_because.is_request() {
                    outcome.stopped_because = purged.stopped_because;
                    self.end(purged.stopped_because);
                }
            }
            (Ok(_), None) => {}
            (Err(error), _) => self.fail(cell, error),
        }
    }
}

fn is_away(api: &Api<'_>, cell: &Opened) -> bool {
    cell.failed.is_none() && api.away().contains_key(&cell.name)
}

fn stopped_early(cell: &Opened) -> bool {
    let done = |outcome: &Outcome| outcome.stopped_because == StopReason::Complete;
    !cell.outcome.as_ref().is_some_and(done)
}
