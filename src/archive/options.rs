//! What a run is asked to do, and how it tells what it does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::Before;
use super::outcome::Outcome;
use crate::error::Result;

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most rows in one transaction, all tables counted; a larger family moves alone. Without
    /// `until_complete` also the most rows of the whole run.
    pub max_rows: u64,
    /// With `until_complete`: how long a transaction is to take; its rows are chosen for that, up to `max_rows`.
    /// `None`: always as many as `max_rows`.
    pub target_batch_time: Option<Duration>,
    /// Whether to go on, batch by batch, until all that may move has moved.
    pub until_complete: bool,
    /// Only families whose root was soft-deleted before this moment.
    pub before: Option<Before>,
    /// Whether to move the rows of the task log too.
    pub task_log: bool,
    /// Pause between batches.
    pub sleep: Duration,
    /// Whether to plan and count only, without a write or a lock.
    pub dry_run: bool,
    /// Tables without shadow whose leftover rows may be written to a file and deleted.
    pub drop_unshadowed: BTreeSet<String>,
    /// How the rows of a purge are written to files before they are deleted, if they are.
    pub export: Option<ExportFormat>,
    /// The directory for the files of `drop_unshadowed` and `export`.
    pub export_dir: PathBuf,
    /// How often to try a batch again after a deadlock or lock timeout.
    pub retries: u32,
    /// How long to wait for a lock that another session holds, in pieces of a few seconds between which a request to stop
    /// is heard. Zero leaves the session's own limit as it is, and counts what exceeds it like a deadlock.
    pub lock_patience: Duration,
    /// The first pause before another try; doubled with each, up to 256 times as long.
    pub backoff: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_rows: 1000,
            target_batch_time: None,
            until_complete: false,
            before: None,
            task_log: false,
            sleep: Duration::ZERO,
            dry_run: false,
            drop_unshadowed: BTreeSet::new(),
            export: None,
            export_dir: PathBuf::from("."),
            retries: 10,
            // No table is altered or backed up in the middle of one.
            lock_patience: Duration::from_secs(600),
            backoff: Duration::from_millis(20),
        }
    }
}

/// A form of file for rows that are deleted for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// A JSON object a line: database, table, row.
    Jsonl,
    /// An INSERT a line, in the SQL of the database.
    Sql,
}

impl ExportFormat {
    /// How its files end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Sql => "sql",
        }
    }
}

/// Hears what a run does, as it does it.
pub trait Observer {
    /// A batch was committed (or, in a dry run, counted): rows in it, rows so far, families so far.
    fn batch(&mut self, _rows: u64, _total_rows: u64, _families: u64) {}
    /// Roots went, their transaction is committed: what API-database records call them. Returns
    /// how many records were removed, by table.
    fn archived(&mut self, _api_keys: &[String]) -> Result<BTreeMap<String, u64>> {
        Ok(BTreeMap::new())
    }
    /// The same in a dry run: roots would go. Returns how many records would be removed, by table.
    fn would_archive(&mut self, _api_keys: &[String]) -> Result<BTreeMap<String, u64>> {
        Ok(BTreeMap::new())
    }
    /// The run ends with an error: what it had done until then, with [`Outcome::stopped_because`]. (The last transaction
    /// may have been committed all the same, where the answer to its COMMIT was lost.)
    fn failed(&mut self, _so_far: &Outcome) {}
    /// Whether [`Observer::expects`] is wanted: the roots are counted for it.
    fn wants_estimate(&self) -> bool {
        false
    }
    /// About so many families may move.
    fn expects(&mut self, _families: u64) {}
    /// The run waits before its next batch, and why.
    fn waits(&mut self, why: &str) {
        self.notice(&format!("waiting: {why}"));
    }
    /// Something people want to know of.
    fn notice(&mut self, _text: &str) {}
    /// A dry run's statements for the first batch of a table.
    fn plan(&mut self, _table: &str, _statements: &[String]) {}
}

impl Observer for () {}
