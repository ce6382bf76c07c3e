//! What an engine must be able to do. Implemented once per engine; used only by `Session`.

use super::{DbError, Value};

/// A connection to one database of one engine, blocking.
pub trait Driver: Send {
    /// Runs a statement and returns the number of rows it affected. On MySQL the number of rows
    /// matched by an INSERT, DELETE or UPDATE.
    fn execute(&mut self, sql: &str) -> Result<u64, DbError>;

    /// Runs a query and hands over each row as it arrives, until `each` returns `false`.
    fn query(&mut self, sql: &str, each: &mut dyn FnMut(Vec<Value>) -> bool)
    -> Result<(), DbError>;

    /// Drops the connection, if there still is one, and makes a new one with the same settings.
    fn reconnect(&mut self) -> Result<(), DbError>;
}
