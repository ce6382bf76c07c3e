//! One archive run over all cells: several at a time if that is asked for, one report, one API database.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sexton::archive::{self, Api, Observer, Options, Outcome, Stop, StopReason};
use sexton::db::{Access, Session, Target, open};
use sexton::error::{Error, Result};
use sexton::schema::FamilyGraph;

use super::{Args, Compat, options};
use crate::cli::cells::{Unreachable, in_directory_of, open_api};
use crate::cli::database::{Databases, of_api};
use crate::cli::progress::Progress;
use crate::cli::signals::stop_flag;

/// What nova-manage's lines depend on.
pub(super) struct Had {
    /// Whether there was an API database.
    pub(super) api: bool,
    /// How it names the cells, by sexton's names.
    pub(super) cells: BTreeMap<String, String>,
}

/// A cell that was reached.
struct Opened {
    name: String,
    target: Target,
    session: Session,
    helpers: Vec<Session>,
    graph: FamilyGraph,
}

/// What the cells have in common while they are archived.
struct Shared<'a> {
    progress: Progress,
    api: Option<Api<'a>>,
    /// Rows and families so far, by cell.
    moved: BTreeMap<String, (u64, u64)>,
    /// Families that there are about, by cell.
    expected: BTreeMap<String, u64>,
}

impl Shared<'_> {
    fn rows(&self) -> u64 {
        self.moved.values().map(|(rows, _)| rows).sum()
    }
}

/// Archives every cell, and looks after the API database.
pub(super) fn archive_all(args: &Args) -> Result<(Outcome, Had)> {
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
    let mut unreachable = Unreachable::new(databases.by_name && args.compat.is_none());
    let opened = open_all(args, &options, &databases, &mut unreachable)?;
    let labels: Vec<_> = opened
        .iter()
        .map(|cell| cell.session.label().to_owned())
        .collect();
    let reached: Vec<_> = opened
        .iter()
        .map(|c| (c.name.clone(), c.target.clone()))
        .collect();
    let graphs: Vec<FamilyGraph> = opened.iter().map(|cell| cell.graph.clone()).collect();
    let api = match &databases.api {
        Some(target) if !options.dry_run => Some(open_api(target, &reached, &graphs)?),
        _ => None,
    };
    let shared = Mutex::new(Shared {
        progress: Progress::new(args.quiet || args.compat.is_some()),
        api,
        moved: BTreeMap::new(),
        expected: BTreeMap::new(),
    });
    let mut total = Outcome {
        version: 1,
        dry_run: options.dry_run,
        database: labels.join(", "),
        ..Outcome::default()
    };
    let several = databases.by_name;
    // A run over so many rows goes from cell to cell, for what is left for the next one is known only then.
    let at_once = match options.until_complete && args.compat.is_none() {
        true => usize::from(args.cells_at_once).min(opened.len()).max(1),
        false => 1,
    };
    let queue = Mutex::new(opened.into_iter().enumerate().collect::<VecDeque<_>>());
    let results = Mutex::new(BTreeMap::new());
    let work = |stop: Stop<'_>| {
        loop {
            // On a line of its own: the queue is not to be locked while the cell is archived.
            let next = locked(&queue).pop_front();
            let Some((number, cell)) = next else {
                break;
            };
            let mut options = options.clone();
            if !options.until_complete {
                options.max_rows = options.max_rows.saturating_sub(locked(&shared).rows());
            }
            let name = cell.name.clone();
            let spent = !options.until_complete && options.max_rows == 0;
            let ended = match spent {
                true => Ok(Outcome {
                    version: 1,
                    database: cell.session.label().to_owned(),
                    dry_run: options.dry_run,
                    stopped_because: StopReason::MaxRows,
                    ..Outcome::default()
                }),
                false => archive_one(args, &options, several, cell, stop.clone(), &shared),
            };
            // Nothing more is begun where the run is to stop, or failed other than by losing this cell.
            if stop.requested() || ended.as_ref().is_err_and(|e| !unreachable.tolerates(e)) {
                locked(&queue).clear();
            }
            locked(&results).insert(number, (name, ended));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            let stop = stop.clone();
            scope.spawn(|| work(stop));
        }
    });
    for (name, ended) in results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_values()
    {
        let Some(outcome) = unreachable.pass(&name, ended)? else {
            continue;
        };
        match several {
            true => total.merge(if name.is_empty() { "main" } else { &name }, outcome),
            false => total = outcome,
        }
    }
    total.unreachable = unreachable.cells;
    let mut shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(api) = &shared.api {
        total.statements += api.statements();
        if api.elsewhere > 0 {
            let elsewhere = api.elsewhere;
            shared.progress.notice(&format!(
                "{elsewhere} instances are mapped to a cell that was not given; their API records stay (give it with \
                 --cell NAME=DB)"
            ));
        }
    }
    shared.progress.finish();
    let had = Had {
        api: shared.api.is_some(),
        cells: databases.identities.clone(),
    };
    Ok((total, had))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens every cell that can be reached, one after the other.
fn open_all(
    args: &Args,
    options: &Options,
    databases: &Databases,
    unreachable: &mut Unreachable,
) -> Result<Vec<Opened>> {
    let access = match options.dry_run {
        true => Access::ReadOnly,
        false => Access::ReadWrite,
    };
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
            });
        }
    }
    unreachable.check(opened.is_empty())?;
    Ok(opened)
}

/// Archives one cell, sweeps the API database and empties the shadow tables if that is asked for.
fn archive_one(
    args: &Args,
    options: &Options,
    several: bool,
    mut cell: Opened,
    stop: Stop<'_>,
    shared: &Mutex<Shared<'_>>,
) -> Result<Outcome> {
    let options = in_directory_of(options, several, &cell.name)?;
    let throttle = args
        .throttles
        .on(&cell.target)?
        .filter(|_| !options.dry_run);
    let stop = stop.throttled_by(throttle.as_ref());
    let mut watch = Watch {
        cell: cell.name.clone(),
        shared,
        estimates: !(args.quiet || args.compat.is_some())
            && options.until_complete
            && !options.dry_run,
    };
    let mut outcome = archive::archive_abreast(
        &mut cell.session,
        &mut cell.helpers,
        &cell.graph,
        &options,
        &stop,
        &mut watch,
    )?;
    if !outcome.stopped_because.is_request()
        && let Some(api) = &mut locked(shared).api
    {
        for (table, count) in api.sweep()? {
            *outcome.api_records.entry(table).or_default() += count;
        }
    }
    // nova-manage purges whenever it has archived anything.
    let purges = match args.compat {
        Some(Compat::NovaManage) => outcome.total_rows > 0,
        None => outcome.stopped_because == StopReason::Complete,
    };
    if args.purge && purges && !outcome.stopped_because.is_request() {
        purge(&mut cell, &options, &stop, &mut outcome)?;
    } else if args.purge {
        locked(shared).progress.notice(
            "nothing was purged, because the run stopped early: run again, with --until-complete",
        );
    }
    Ok(outcome)
}

/// Empties the shadow tables: whatever their age, task log and all, as `nova-manage` does.
fn purge(
    cell: &mut Opened,
    options: &Options,
    stop: &Stop<'_>,
    outcome: &mut Outcome,
) -> Result<()> {
    let options = Options {
        before: None,
        task_log: true,
        ..options.clone()
    };
    let purged = archive::purge(&mut cell.session, &cell.graph, &options, stop, &mut ())?;
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

/// Shows progress over all cells, and cleans the API database after each batch of this one.
struct Watch<'a, 'c> {
    cell: String,
    shared: &'a Mutex<Shared<'c>>,
    estimates: bool,
}

impl Observer for Watch<'_, '_> {
    fn wants_estimate(&self) -> bool {
        self.estimates
    }

    fn expects(&mut self, families: u64) {
        let shared = &mut *locked(self.shared);
        shared.expected.insert(self.cell.clone(), families);
        shared.progress.expects(shared.expected.values().sum());
    }

    fn batch(&mut self, rows: u64, total_rows: u64, families: u64) {
        let shared = &mut *locked(self.shared);
        shared
            .moved
            .insert(self.cell.clone(), (total_rows, families));
        let families = shared.moved.values().map(|(_, families)| families).sum();
        shared.progress.batch(rows, shared.rows(), families);
    }

    fn archived(&mut self, api_keys: &[String]) -> Result<BTreeMap<String, u64>> {
        match &mut locked(self.shared).api {
            Some(api) => api.remove(api_keys),
            None => Ok(BTreeMap::new()),
        }
    }

    fn waits(&mut self, why: &str) {
        locked(self.shared).progress.waits(why);
    }

    fn notice(&mut self, text: &str) {
        locked(self.shared).progress.notice(text);
    }

    fn plan(&mut self, table: &str, statements: &[String]) {
        locked(self.shared).progress.plan(table, statements);
    }
}
