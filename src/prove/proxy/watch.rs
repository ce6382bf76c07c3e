//! The gate, as a connection asks it: blocking calls out of async code.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::spawn_blocking;

use crate::prove::gate::{Gate, Reply, Statement, Verdict};

/// A gate, and how many connections were made since it was set.
#[derive(Clone)]
pub(super) struct Case {
    gate: Arc<dyn Gate>,
    made: Arc<AtomicU64>,
}

impl Case {
    pub(super) fn new(gate: Arc<dyn Gate>) -> Self {
        Self {
            gate,
            made: Arc::default(),
        }
    }

    /// Whether a connection may be made.
    pub(super) async fn admits(&self) -> bool {
        let gate = Arc::clone(&self.gate);
        spawn_blocking(move || gate.connect())
            .await
            .unwrap_or(false)
    }

    /// The gate for the next connection.
    pub(super) fn watch(self) -> Watch {
        Watch {
            connection: self.made.fetch_add(1, Ordering::Relaxed),
            gate: self.gate,
            alive: Arc::default(),
        }
    }
}

/// The gate of one connection.
pub(super) struct Watch {
    connection: u64,
    gate: Arc<dyn Gate>,
    /// Ends with the connection: a call that has not begun by then is not made.
    alive: Arc<()>,
}

impl Watch {
    /// The next statement of this connection.
    pub(super) fn statement(&self, sql: &[u8], in_transaction: bool) -> Arc<Statement> {
        Arc::new(Statement {
            connection: self.connection,
            sql: String::from_utf8_lossy(sql).into_owned(),
            in_transaction,
        })
    }

    pub(super) async fn before(&self, statement: &Arc<Statement>) -> io::Result<Verdict> {
        let statement = Arc::clone(statement);
        self.ask(move |gate| gate.before(&statement)).await
    }

    /// An error unless the reply may be passed on.
    pub(super) async fn after(&self, statement: &Arc<Statement>, reply: Reply) -> io::Result<()> {
        let statement = Arc::clone(statement);
        match self.ask(move |gate| gate.after(&statement, &reply)).await? {
            true => Ok(()),
            false => Err(cut()),
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Gate) -> T + Send + 'static,
    ) -> io::Result<T> {
        let (gate, alive) = (Arc::clone(&self.gate), Arc::downgrade(&self.alive));
        let asking =
            spawn_blocking(move || (alive.strong_count() > 0).then(|| question(gate.as_ref())));
        // A gate that panics has no verdict.
        asking.await.ok().flatten().ok_or_else(cut)
    }
}

/// The error that closes a connection on purpose.
pub(super) fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut")
}

/// The error for bytes that cannot be followed.
pub(super) fn malformed(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
