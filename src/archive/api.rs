//! API-database records of archived roots: removed once no cell holds the root.
//!
//! The cell database and the API database have no transaction in common, so a run that is cut
//! between the two leaves records behind (nova-manage never comes back for them). Here the truth is
//! looked up instead of remembered: whatever lies in a shadow table, lies in no live table of any
//! given cell, and is not mapped to a cell that was not given, has its records removed; by this run
//! or by the next. While a given cell cannot be asked nothing is removed: it may hold any instance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cells::{listed_cells, record_tables};
use crate::db::{DbError, DbErrorKind, Session};
use crate::error::Result;
use crate::schema::{ApiRecords, FamilyGraph, Schema};

use super::keys::KEYS_PER_STATEMENT;

mod forecast;
mod questions;

use forecast::Counted;
use questions::{Pages, literals};

/// How often to try again after a deadlock or a lost connection: as a batch is.
const RETRIES: u32 = 10;

/// How long to wait before the first time; doubled with each, up to 256 times as long.
const BACKOFF: Duration = Duration::from_millis(20);

/// A cell that was given, with a session of its own for asking.
pub struct Cell<'a> {
    /// The cell's name: `cell1`.
    pub name: String,
    /// The cell's database.
    pub session: Session,
    /// Its tables.
    pub graph: &'a FamilyGraph,
}

/// How often something is tried again, and after which pause.
struct Patience<'a> {
    retries: u32,
    backoff: Duration,
    pause: Box<dyn Fn(Duration) + Send + 'a>,
}

/// The API database, and which of its cells the given cells are.
pub struct Api<'a> {
    session: Session,
    records: ApiRecords,
    tables: Vec<String>,
    has_mapping: bool,
    cells: Vec<Cell<'a>>,
    covered: BTreeSet<String>,
    patience: Patience<'a>,
    away: BTreeMap<String, String>,
    counted: Counted,
    /// Instances whose records were left because their mapping names a cell that was not given.
    pub elsewhere: u64,
    /// Instances whose records were left because a given cell could not be asked whether it holds them.
    pub unasked: u64,
}

impl<'a> Api<'a> {
    /// Opens the books on an API database; [`listed_cells`] says which of its cells are `cells`.
    ///
    /// # Errors
    ///
    /// Exit code 65 if the database holds none of the records' tables.
    pub fn new(
        mut session: Session,
        schema: &Schema,
        records: ApiRecords,
        cells: Vec<Cell<'a>>,
    ) -> Result<Self> {
        let tables = record_tables(session.label(), schema, &records)?;
        let mut covered = BTreeSet::new();
        if schema.table(&records.cells).is_some() {
            let given: Vec<_> = cells
                .iter()
                .map(|c| (c.name.clone(), c.session.label().to_owned()))
                .collect();
            let listed = listed_cells(&mut session, &records, &given)?;
            covered.extend(listed.into_iter().filter(|c| c.given).map(|c| c.id));
        }
        let has_mapping = tables.contains(&records.mapping);
        Ok(Self {
            session,
            records,
            tables,
            has_mapping,
            cells,
            covered,
            patience: Patience {
                retries: RETRIES,
                backoff: BACKOFF,
                pause: Box::new(std::thread::sleep),
            },
            away: BTreeMap::new(),
            counted: Counted::default(),
            elsewhere: 0,
            unasked: 0,
        })
    }

    /// The same, trying so often again after a deadlock or a lost connection, with that pause before the first time.
    #[must_use]
    pub fn retrying(mut self, retries: u32, backoff: Duration) -> Self {
        (self.patience.retries, self.patience.backoff) = (retries, backoff);
        self
    }

    /// The same, waiting like this before it tries again: no longer than until the run is to stop.
    #[must_use]
    pub fn pausing(mut self, pause: impl Fn(Duration) + Send + 'a) -> Self {
        self.patience.pause = Box::new(pause);
        self
    }

    /// The same where a cell that was given too could not be reached; `why` is what was said of it.
    #[must_use]
    pub fn without(mut self, cell: &str, why: &str) -> Self {
        self.away.insert(cell.to_owned(), why.to_owned());
        self
    }

    /// The given cells that cannot be asked, and what was said of each.
    pub fn away(&self) -> &BTreeMap<String, String> {
        &self.away
    }

    /// Removes the records of those roots that no given cell holds any more; counts by table.
    ///
    /// # Errors
    ///
    /// Exit code 69 if the API database refuses, or is lost and does not come back. A cell that is lost is no error:
    /// it is in [`Api::away`], and the records that it was asked about stay.
    pub fn remove(&mut self, roots: &[String]) -> Result<BTreeMap<String, u64>> {
        let mut removed = BTreeMap::new();
        for chunk in roots.chunks(KEYS_PER_STATEMENT) {
            let recorded = self.recorded(chunk)?;
            let gone = self.not_elsewhere(recorded)?;
            let gone = self.not_living(gone)?;
            if gone.is_empty() {
                continue;
            }
            add(&mut removed, self.delete(&gone)?);
        }
        Ok(removed)
    }

    /// Removes what earlier runs left: looks at every root in the given cells' shadow tables.
    ///
    /// # Errors
    ///
    /// As [`Api::remove`].
    pub fn sweep(&mut self) -> Result<BTreeMap<String, u64>> {
        let mut removed = BTreeMap::new();
        // The sweep sees everything that the batches before it saw.
        (self.elsewhere, self.unasked) = (0, 0);
        self.ask_again();
        let mut pages = Pages::default();
        while let Some(names) = self.archived(&mut pages)? {
            add(&mut removed, self.remove(&names)?);
        }
        Ok(removed)
    }

    /// Cells that were lost may be back.
    fn ask_again(&mut self) {
        for cell in &mut self.cells {
            if self.away.contains_key(&cell.name) && reconnect(&mut cell.session).is_ok() {
                self.away.remove(&cell.name);
            }
        }
    }

    /// The cells that were given, as they are called.
    pub fn cell_names(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(|cell| cell.name.as_str())
    }

    /// Statements sent to the API database so far.
    pub fn statements(&self) -> u64 {
        self.session.statements()
            + self
                .cells
                .iter()
                .map(|c| c.session.statements())
                .sum::<u64>()
    }

    /// Deletes the records of all those roots or of none; again after a deadlock or a lost connection.
    fn delete(&mut self, roots: &BTreeSet<String>) -> Result<Vec<(String, u64)>> {
        let engine = self.session.engine();
        let column = engine.quote(&self.records.column);
        let list = literals(engine, roots.iter());
        let deletes: Vec<_> = self
            .tables
            .iter()
            .map(|table| {
                let table = engine.quote(table);
                format!("DELETE FROM {table} WHERE {column} IN ({list})")
            })
            .collect();
        // What a COMMIT would have deleted whose answer was lost: it has, where the next try finds nothing.
        let mut unheard = Vec::new();
        let counts = again(&mut self.session, &self.patience, |session| {
            let counts = try_delete(session, &deletes, &mut unheard)?;
            let nothing = counts.iter().all(|count| *count == 0);
            Ok(match nothing && !unheard.is_empty() {
                true => unheard.clone(),
                false => counts,
            })
        })?;
        Ok(self.tables.iter().cloned().zip(counts).collect())
    }
}

fn add(counts: &mut BTreeMap<String, u64>, more: impl IntoIterator<Item = (String, u64)>) {
    for (table, count) in more {
        *counts.entry(table).or_default() += count;
    }
}

fn try_delete(
    session: &mut Session,
    deletes: &[String],
    unheard: &mut Vec<u64>,
) -> Result<Vec<u64>, DbError> {
    session.begin()?;
    let counts = deletes.iter().map(|delete| session.execute(delete));
    let counts = match counts.collect::<Result<Vec<u64>, DbError>>() {
        Ok(counts) => counts,
        Err(error) => {
            drop(session.rollback());
            return Err(error);
        }
    };
    session.commit().inspect_err(|error| {
        drop(session.rollback());
        if error.kind == DbErrorKind::Connection && counts.iter().any(|count| *count > 0) {
            unheard.clone_from(&counts);
        }
    })?;
    Ok(counts)
}

/// Does something with a session, again and again where it may pass the next time: after a pause that gets longer,
/// and over a new connection where the old one is lost.
fn again<T>(
    session: &mut Session,
    patience: &Patience<'_>,
    mut attempt: impl FnMut(&mut Session) -> Result<T, DbError>,
) -> Result<T, DbError> {
    let mut tries = 0;
    let mut lost = false;
    loop {
        let done = match lost {
            true => reconnect(session).and_then(|()| attempt(session)),
            false => attempt(session),
        };
        match done {
            Err(error) if error.kind.may_pass_again() && tries < patience.retries => {
                lost = error.kind == DbErrorKind::Connection;
                (patience.pause)(patience.backoff * (1 << tries.min(8)));
                tries += 1;
            }
            done => return done,
        }
    }
}

/// A new connection, to another node where there are several; which is asked only when it has caught up.
fn reconnect(session: &mut Session) -> Result<(), DbError> {
    session.reconnect()?;
    session.mind_cluster()
}
