//! What the injector is told to do to a run, and what it has seen of it.

use serde::{Deserialize, Serialize};

use crate::prove::fault::Fault;
use crate::prove::normal::Kind;
use crate::prove::state::State;
use crate::prove::touch::Touch;
use crate::prove::victim::Victim;
use crate::prove::writer::Writer;

/// What to do to a run.
#[derive(Debug, Clone, Default)]
pub(in crate::prove) struct Orders {
    pub(in crate::prove) fault: Option<Fault>,
    pub(in crate::prove) writer: Option<Writer>,
    /// The row with which the statement of a fault in the middle is held, on servers.
    pub(in crate::prove) victim: Option<Victim>,
    /// How another node gets in the way of the statement of a conflict.
    pub(in crate::prove) touch: Option<Touch>,
    /// Read every committed state, also before the fault.
    pub(in crate::prove) observe_all: bool,
    /// Read committed states after the fault.
    pub(in crate::prove) observe: bool,
    /// Keep the text of every statement.
    pub(in crate::prove) trace: bool,
    /// Whether an OK to a COMMIT is an acknowledgement, come what may: not on a cluster.
    pub(in crate::prove) believes: bool,
    /// Whether the engine is a process of its own.
    pub(in crate::prove) process: bool,
}

/// A statement as it passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Its number, from 1; `None` for set-up statements.
    pub point: Option<u64>,
    /// The database: `main`, `api`.
    pub database: String,
    /// The connection, from 0.
    pub connection: u64,
    /// The text as it was sent.
    pub sql: String,
    /// What it does.
    pub kind: Kind,
    /// What became of it: `ok`, `1213 Deadlock found`, `never sent`.
    pub outcome: String,
    /// Rows that it changed.
    #[serde(default)]
    pub affected: u64,
    /// Whether its connection was in a transaction when it came.
    #[serde(default)]
    pub in_transaction: bool,
    /// Whether it ended a transaction, or was one of its own.
    pub committed: bool,
    /// See [`Passed::identity`].
    pub(in crate::prove) identity: String,
}

impl Passed {
    /// The text by which the statement is known from run to run.
    pub fn identity(&self) -> String {
        self.identity.clone()
    }
}

/// What was seen of a run.
#[derive(Debug, Clone, Default)]
pub(in crate::prove) struct Sight {
    /// Statements that count.
    pub(in crate::prove) points: u64,
    /// Whether the fault happened.
    pub(in crate::prove) fired: bool,
    /// Whether the writer had its turn, and whether it changed a row.
    pub(in crate::prove) wrote: Option<bool>,
    /// Another statement stood where the fault, or the writer, was to act: expected, found.
    pub(in crate::prove) other_text: Option<(String, String)>,
    /// Statements, if a trace was asked for.
    pub(in crate::prove) trace: Vec<Passed>,
    /// Committed states in order, with the point of the statement that committed each.
    pub(in crate::prove) commits: Vec<(u64, State)>,
    /// What the other nodes of a cluster hold after the run, by node.
    pub(in crate::prove) nodes: Vec<(usize, State)>,
    /// Commits in all.
    pub(in crate::prove) committed: u64,
    /// Commits that were acknowledged before the fault, or by it.
    pub(in crate::prove) acknowledged: u64,
    /// Something failed that is not the engine's doing.
    pub(in crate::prove) broken: Option<String>,
}
