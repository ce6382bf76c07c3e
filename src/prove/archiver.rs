//! Engines under test, behind one trait.

mod command;
mod control;
mod own;
mod said;
mod warm;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use serde::{Deserialize, Serialize};

use crate::archive::Before;
use crate::db::{Engine, Session};
use crate::error::{Error, Result};
use crate::schema::FamilyGraph;

use super::world::{Layout, Task};

pub use command::Program;
pub(super) use command::alchemy;
pub use control::{Control, Mistake};
pub use own::Own;
pub(super) use own::repair_once;
pub use warm::Warm;

/// An archive engine under test.
///
/// It is run on a small database, often; each run must do all that the engine would do on its own:
/// connect, archive whatever may be archived, end. In one process an engine opens its connections
/// through [`Place::main`] and [`Place::api`]; a program gets their URLs. Either way what it says to
/// the databases passes the harness, which hits it.
pub trait Archiver: Send {
    /// Its name in reports.
    fn name(&self) -> String;

    /// Whether it is a process of its own, which signals reach.
    fn is_process(&self) -> bool {
        false
    }

    /// Whether it can be run on this database engine.
    fn runs_on(&self, _engine: Engine) -> bool {
        true
    }

    /// Whether it can purge: delete families where they are ([`Task::Purge`]), or in the shadow tables
    /// ([`Task::EmptyShadows`]).
    fn purges(&self) -> bool {
        true
    }

    /// Whether it brings families back from the shadow tables ([`Task::Restore`]).
    fn restores(&self) -> bool {
        false
    }

    /// Whether it heals damage, and leaves what is not damaged ([`Task::Repair`]).
    fn repairs(&self) -> bool {
        false
    }

    /// Whether it is told of [`EngineOptions::before`] and keeps to it.
    fn takes_before(&self) -> bool {
        true
    }

    /// Where it wants the shadow tables.
    fn layout(&self) -> Layout {
        Layout::OneDatabase
    }

    /// Runs to its end.
    ///
    /// # Errors
    ///
    /// Only where the harness is at fault, not the engine: a program that cannot be started. What the
    /// engine itself says of failure goes into [`Ran::ended`].
    fn run(&mut self, place: &Place) -> Result<Ran>;
}

/// Whether the engine does this at all; the hint is for those who asked for it.
///
/// # Errors
///
/// Exit code 64 if not.
pub(super) fn check_task(engine: &dyn Archiver, task: Task, hint: &str) -> Result<()> {
    let (does, what) = match task {
        Task::Archive => return Ok(()),
        Task::Purge | Task::EmptyShadows => (engine.purges(), "purge"),
        Task::Restore => (engine.restores(), "restore"),
        Task::Repair => (engine.repairs(), "repair"),
    };
    match does {
        true => Ok(()),
        false => Err(Error::usage(format!("engine {} does not {what}", engine.name())).hint(hint)),
    }
}

/// Options that every engine understands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineOptions {
    /// Most rows in one batch.
    pub max_rows: u64,
    /// Only families whose root was soft-deleted before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
}

impl Default for EngineOptions {
    /// Small worlds need small batches, or everything happens in one.
    fn default() -> Self {
        Self {
            max_rows: 8,
            before: None,
        }
    }
}

/// Where an engine is run.
pub struct Place {
    /// The database engine.
    pub engine: Engine,
    /// The database with the families.
    pub main: Door,
    /// The database with API records, if the world has one.
    pub api: Option<Door>,
    /// The family graph of the main database. An engine of its own kind may ignore it.
    pub graph: Arc<FamilyGraph>,
    /// What it is to do.
    pub task: Task,
    /// Options.
    pub options: EngineOptions,
    /// Set when the engine is asked to stop, if it is no process.
    pub stop: Arc<AtomicBool>,
    /// Where an engine that is a process says which.
    pub process: Arc<ProcessSlot>,
    /// A directory for configuration files; emptied when the campaign ends.
    pub directory: PathBuf,
}

impl Place {
    /// The same place for an engine that is told something else: to build one engine from another.
    pub fn with(&self, options: EngineOptions) -> Self {
        Self {
            engine: self.engine,
            main: self.main.clone(),
            api: self.api.clone(),
            graph: Arc::clone(&self.graph),
            task: self.task,
            options,
            stop: Arc::clone(&self.stop),
            process: Arc::clone(&self.process),
            directory: self.directory.clone(),
        }
    }
}

type Opener = Arc<dyn Fn() -> Result<Session> + Send + Sync>;

/// The way to a database through the harness.
#[derive(Clone)]
pub struct Door {
    /// The URL, for programs; of SQLite the path of the file, which no gate watches.
    pub url: String,
    /// The same database at the other nodes of a cluster, as far as the engine is given them. A session knows them.
    pub others: Vec<String>,
    opener: Opener,
}

impl Door {
    /// A door whose sessions this makes.
    pub(super) fn new(url: String, opener: Opener) -> Self {
        Self {
            url,
            others: Vec::new(),
            opener,
        }
    }

    /// The same door, with the other nodes that its sessions turn to.
    #[must_use]
    pub(super) fn beside(mut self, others: Vec<String>) -> Self {
        self.others = others;
        self
    }

    /// A new session.
    pub fn open(&self) -> Result<Session> {
        (self.opener)()
    }
}

/// The process id of an engine that is a process, while it runs.
#[derive(Debug, Default)]
pub struct ProcessSlot(AtomicI32);

impl ProcessSlot {
    /// The engine runs as this process.
    pub fn set(&self, pid: i32) {
        self.0.store(pid, Ordering::SeqCst);
    }

    /// The engine has ended.
    pub fn clear(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    /// The process, if one runs.
    pub fn get(&self) -> Option<i32> {
        Some(self.0.load(Ordering::SeqCst)).filter(|pid| *pid > 0)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// It says that it is done.
    Done,
    /// It says that it is done but for families that are blocked.
    Blocked,
    /// It says that it is done for now: there may be more.
    Stopped,
    /// It says that it failed.
    Failed(String),
    /// It was killed.
    Killed,
}

impl Ended {
    /// Whether it says that there is nothing left that it could do.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::Blocked)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Blocked => "done, but for families that are blocked",
            Self::Stopped => "stopped, there may be more",
            Self::Failed(message) => return write!(f, "failed: {message}"),
            Self::Killed => "was killed",
        })
    }
}

/// What a run says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub ended: Ended,
    /// Rows that it says it moved, by live table, if it says so.
    pub rows: Option<BTreeMap<String, u64>>,
    /// What it printed, for people.
    pub output: String,
}

impl Ran {
    /// A run that failed with this message.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            ended: Ended::Failed(message.into()),
            rows: None,
            output: String::new(),
        }
    }

    /// A run that says it is done and moved these rows.
    pub fn done(rows: BTreeMap<String, u64>) -> Self {
        Self {
            ended: Ended::Done,
            rows: Some(rows),
            output: String::new(),
        }
    }
}
