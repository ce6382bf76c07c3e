//! The one seam through which every statement of an engine under test passes.
//!
//! A layer (the wrapped SQLite driver, a wire proxy) calls [`Gate::before`] with a statement and does
//! what the [`Verdict`] says; when the answer is complete, and before the engine gets it, it calls
//! [`Gate::after`]. Both may block for as long as they like: that is how a process is held at a
//! statement while it, or its server, is killed.

use crate::db::DbErrorKind;

/// A statement on its way to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Which connection of the layer it came over, from 0.
    pub connection: u64,
    /// The text. Of a prepared statement the text that was prepared.
    pub sql: String,
    /// Whether the connection was in a transaction when the statement arrived.
    pub in_transaction: bool,
}

/// What the database answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The engine's code (`1213`, `40P01`, `SQLITE_BUSY`) and message, if it refused.
    pub error: Option<(String, String)>,
    /// Rows it says it affected; 0 for a query.
    pub affected: u64,
    /// Whether the connection is in a transaction now.
    pub in_transaction: bool,
}

/// What is to become of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes through.
    Pass,
    /// The connection is closed, on both sides; the database never sees the statement.
    CutBefore,
    /// The database runs the statement to its end; then the connection is closed and the engine never
    /// hears the answer. [`Gate::after`] is called in between.
    CutAfter,
    /// The statement never runs and the engine gets this error, from the database itself where it can
    /// be made to say it.
    Refuse(Refusal),
    /// It begins, and is stopped in the middle: by the layer where the layer runs it (SQLite), else by
    /// whoever gave the verdict, over a session of its own; then the layer passes it.
    Interrupt,
    /// Another statement runs in its place; the engine gets its answer.
    Replace(String),
}

/// An error that a database is made to answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The engine's own code: `1205`, `40001`, `SQLITE_BUSY`.
    pub code: String,
    /// The five characters of SQLSTATE that go with it on MySQL (`HY000`, `40001`).
    pub sqlstate: String,
    /// The message.
    pub message: String,
    /// How a driver sorts it. Wire layers do not need it.
    pub kind: DbErrorKind,
    /// Whether the whole transaction is rolled back first, as the database would do (1213, a failed
    /// certification). PostgreSQL needs no telling: any error ends its transaction.
    pub rolls_back: bool,
}

/// Decides about every statement of an engine. Called from the threads of the layers.
pub trait Gate: Send + Sync {
    /// Whether a new connection may be made. A process that is dead makes none.
    fn connect(&self) -> bool {
        true
    }

    /// A statement is about to go to the database.
    fn before(&self, statement: &Statement) -> Verdict;

    /// The database has answered, the engine has not heard it yet. `false` closes the connection
    /// instead of passing the answer on.
    fn after(&self, statement: &Statement, reply: &Reply) -> bool;
}
