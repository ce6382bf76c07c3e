//! The layer below SQLite: a pass-through VFS that counts what reaches the files, fails or stops at
//! a chosen operation, and records a run so that losses of power can be made up afterwards.
//!
//! A [`Vfs`] is registered under a name of its own; a connection goes through it by naming it when
//! it is opened. All else SQLite does in the process stays with the default VFS, which this one also
//! hands its calls to. Locks are therefore the real ones: a connection through the default VFS, in
//! this process or in another, can stand beside one through a [`Vfs`] on the same file.
//!
//! What counts as an operation is what changes a file: a write, a truncation, a sync, a deletion and
//! the creation of a file by opening it. Shared memory (the index of a WAL) is volatile and neither
//! counted nor hit, memory-mapped I/O is off. A sync is counted, and goes no further: the death of a
//! process does not need it, a loss of power is made up by [`Recording::power_loss_states`]. What is
//! written through a [`Vfs`] is therefore no safer than the page cache.
//!
//! ```text
//! arm(fault, record) ──► open through name(), run, drop the connections ──► seen() ──► disarm()
//! ```

mod power_loss;
mod recording;
mod shim;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::shim::Registration;
use crate::error::Result;

pub use self::power_loss::{PowerLoss, PowerLossStates};
pub use self::recording::Recording;

/// What an operation does to its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpKind {
    /// Opening makes the file.
    Create,
    /// Bytes are written.
    Write,
    /// The file is cut, or grown, to a size.
    Truncate,
    /// What was written is to be durable.
    Sync,
    /// The file is removed.
    Delete,
}

/// An operation that an engine asked for, whether it was carried out or hit.
///
/// Equal in two runs where the engine does the same. Its display (`write nova.db-journal`) is for
/// reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub kind: OpKind,
    /// The name of the file without its directory. The random end of a super-journal's name is cut
    /// off; a temporary file, which has no name, is `(temporary)`.
    pub file: Arc<str>,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            OpKind::Create => "create",
            OpKind::Write => "write",
            OpKind::Truncate => "truncate",
            OpKind::Sync => "sync",
            OpKind::Delete => "delete",
        };
        write!(f, "{kind} {}", self.file)
    }
}

/// A fault, and where it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IoFault {
    /// The operation that is hit: the first one is 1.
    pub operation: u64,
    /// How.
    pub mode: IoMode,
}

/// What happens at an operation that is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IoMode {
    /// It has no effect and answers with an I/O error, once.
    Error,
    /// It and every later operation has no effect and answers with an I/O error. Reading goes on.
    ErrorForGood,
    /// A write answers that the disk is full, any other operation as for [`Error`](Self::Error);
    /// once.
    Full,
    /// As [`Full`](Self::Full), and from then on the disk stays full: nothing that makes a file
    /// longer or new succeeds. Overwriting, truncating and deleting do, as on a real disk.
    FullForGood,
    /// The process is dead just before the operation: nothing has an effect any more, be it reading
    /// or writing, and all answers are I/O errors. Connections can only be dropped, which frees their
    /// real locks. Those of this run stay dead after it too.
    Freeze,
}

/// What a run has asked of the files so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The operations in their order, the one that was hit among them. A dead process has no more.
    pub operations: Vec<Operation>,
    /// The number of the operation at which the fault fired, if it has.
    pub fired: Option<u64>,
}

impl Seen {
    /// How many operations there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.operations.len() as u64
    }

    /// The operation at which the fault fired, if it has.
    #[must_use]
    pub fn struck(&self) -> Option<&Operation> {
        let index = usize::try_from(self.fired?.checked_sub(1)?).ok()?;
        self.operations.get(index)
    }
}

/// A pass-through VFS, registered with SQLite for as long as this lives.
///
/// Counters, fault and recording are its own; all connections opened through it share them, from
/// whichever thread. Connections that outlive it go on as if it had been disarmed.
#[derive(Debug)]
pub struct Vfs {
    registration: Registration,
}

impl Vfs {
    /// Registers a new VFS above the default one.
    pub fn register() -> Result<Self> {
        let registration = Registration::new()?;
        Ok(Self { registration })
    }

    /// The name to open connections with.
    #[must_use]
    pub fn name(&self) -> &str {
        self.registration.name()
    }

    /// Starts a run: counts from 0, with this fault, if any. With `record` everything that is done
    /// to the files is kept, from their content before on.
    ///
    /// Arm before the connections of the run are opened. One that is open already is part of the run
    /// too, and its files are recorded from the first use of its database on.
    pub fn arm(&self, fault: Option<IoFault>, record: bool) {
        self.registration.shared().arm(fault, record);
    }

    /// What the run has asked for so far; after [`disarm`](Self::disarm) what it had asked for.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.registration.shared().seen()
    }

    /// Puts a marker behind the operations so far, if they are recorded: this is where a commit was
    /// acknowledged. What it is called is up to the caller.
    pub fn mark(&self, label: u64) {
        self.registration.shared().mark(label);
    }

    /// Ends the run and gives what was recorded, nothing if that was not asked for. From now on
    /// calls are only passed on, but for syncs and for connections that a freeze has killed.
    pub fn disarm(&self) -> Recording {
        self.registration.shared().disarm()
    }
}
