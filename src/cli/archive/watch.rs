//! What is heard of the cells while they are archived: progress over all of them, and whose API records may go.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sexton::archive::{Api, Observer, Outcome};
use sexton::error::Result;

use crate::cli::database::of_api;
use crate::cli::progress::Progress;

/// What the cells have in common while they are archived.
pub(super) struct Shared<'a> {
    pub(super) progress: Progress,
    pub(super) api: Option<Api<'a>>,
    /// Rows and families so far, by cell.
    moved: BTreeMap<String, (u64, u64)>,
    /// Families that there are about, by cell.
    expected: BTreeMap<String, u64>,
    /// Whether a dry run shows its statements.
    shows_statements: bool,
}

impl<'a> Shared<'a> {
    pub(super) fn new(progress: Progress, api: Option<Api<'a>>, shows_statements: bool) -> Self {
        Self {
            progress,
            api,
            moved: BTreeMap::new(),
            expected: BTreeMap::new(),
            shows_statements,
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.moved.values().map(|(rows, _)| rows).sum()
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Shows progress over all cells, and cleans the API database after each batch of this one.
pub(super) struct Watch<'a, 'c> {
    cell: String,
    shared: &'a Mutex<Shared<'c>>,
    estimates: bool,
    so_far: Option<Outcome>,
}

impl<'a, 'c> Watch<'a, 'c> {
    pub(super) fn new(cell: &str, shared: &'a Mutex<Shared<'c>>, estimates: bool) -> Self {
        Self {
            cell: cell.to_owned(),
            shared,
            estimates,
            so_far: None,
        }
    }

    /// What a run had done that has ended with an error; nothing where it had not begun.
    pub(super) fn so_far(self) -> Option<Outcome> {
        self.so_far
    }
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
            Some(api) => api.remove(api_keys).map_err(of_api),
            None => Ok(BTreeMap::new()),
        }
    }

    fn failed(&mut self, so_far: &Outcome) {
        self.so_far = Some(so_far.clone());
    }

    fn would_archive(&mut self, api_keys: &[String]) -> Result<BTreeMap<String, u64>> {
        match &mut locked(self.shared).api {
            Some(api) => api.would_remove(&self.cell, api_keys).map_err(of_api),
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
        let shared = &mut *locked(self.shared);
        if shared.shows_statements {
            shared.progress.plan(table, statements);
        }
    }
}

/// What is said while the shadow tables are emptied, whose rows are not among those that move.
pub(super) struct Purging<'a, 'c>(pub(super) &'a Mutex<Shared<'c>>);

impl Observer for Purging<'_, '_> {
    fn waits(&mut self, why: &str) {
        locked(self.0).progress.waits(why);
    }

    fn notice(&mut self, text: &str) {
        locked(self.0).progress.notice(text);
    }
}
