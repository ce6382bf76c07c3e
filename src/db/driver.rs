//! What an engine must be able to do. Implemented once per engine; used only by `Session`.

use std::time::Duration;

use super::{DbError, DbErrorKind, Value};

/// A connection to one database of one engine, blocking.
pub trait Driver: Send {
    /// Runs a statement and returns the number of rows it affected. On MySQL the number of rows
    /// matched by an INSERT, DELETE or UPDATE.
    fn execute(&mut self, sql: &str) -> Result<u64, DbError>;

    /// Runs a query and hands over each row as it arrives, until `each` returns `false`.
    fn query(&mut self, sql: &str, each: &mut dyn FnMut(Vec<Value>) -> bool)
    -> Result<(), DbError>;

    /// The first row of a query, each value with its column's name.
    ///
    /// # Errors
    ///
    /// As of a query; of an engine that needs it nowhere [`DbErrorKind::Other`].
    fn named_row(&mut self, _sql: &str) -> Result<Option<Vec<(String, Value)>>, DbError> {
        let message = "names of columns cannot be told";
        Err(DbError::new(DbErrorKind::Other, "", message))
    }

    /// Has a connection that is silent for so long count as lost. Nothing over which a network can go silent ignores
    /// it.
    fn expect_answers_within(&mut self, _patience: Duration) {}

    /// Drops the connection, if there still is one, and makes a new one with the same settings.
    fn reconnect(&mut self) -> Result<(), DbError>;

    /// Of the nodes of a cluster those that did not answer before the one in use did, by number, and what was said of
    /// each.
    fn passed_over(&self) -> &[(usize, DbError)] {
        &[]
    }
}
