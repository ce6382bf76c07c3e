//! What the drivers of MariaDB/MySQL and PostgreSQL share: blocking calls over an async
//! connection, text protocol only, streaming of rows, and the errors that are not the server's.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Database, Either, Executor, Row};
use tokio::runtime::{Builder, Runtime};

use super::{DbError, DbErrorKind, Value};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One server engine, as far as [`Wire`] has to know it.
pub(super) trait Server: Send + Sync + 'static {
    type Database: Database;

    /// How many nodes the database can be reached through.
    fn nodes(&self) -> usize;

    /// Connects to a node and puts the session into the mode that sexton's SQL relies on.
    fn connect(
        &self,
        node: usize,
    ) -> impl Future<Output = Result<<Self::Database as Database>::Connection, sqlx::Error>>;

    /// The value of one column of a row that came through the text protocol.
    fn value(row: &<Self::Database as Database>::Row, column: usize) -> Result<Value, sqlx::Error>;

    fn affected(result: &<Self::Database as Database>::QueryResult) -> u64;

    /// The kind and code of an error the server sent.
    fn classify(error: &dyn DatabaseError) -> (DbErrorKind, String);
}

/// A blocking connection to a server, with a small runtime of its own.
pub(super) struct Wire<S: Server> {
    // Before the runtime: fields are dropped in this order, and a socket needs its runtime.
    connection: Option<<S::Database as Database>::Connection>,
    runtime: Runtime,
    server: S,
    /// The node to try first.
    node: usize,
}

impl<S: Server> Wire<S>
where
    for<'c> &'c mut <S::Database as Database>::Connection: Executor<'c, Database = S::Database>,
{
    pub(super) fn connect(server: S) -> Result<Self, DbError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| DbError::new(DbErrorKind::Other, "", format!("no runtime: {e}")))?;
        let mut wire = Self {
            connection: None,
            runtime,
            server,
            node: 0,
        };
        wire.reconnect()?;
        Ok(wire)
    }

    /// Connects anew: to the node after the one that was in use, if there are several, and on to the next ones until
    /// one answers.
    pub(super) fn reconnect(&mut self) -> Result<(), DbError> {
        let mut result = Ok(());
        for _ in 0..self.server.nodes().max(1) {
            result = self.connect_to(self.node);
            self.node = (self.node + 1) % self.server.nodes().max(1);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn connect_to(&mut self, node: usize) -> Result<(), DbError> {
        self.connection = None;
        let connecting =
            async { tokio::time::timeout(CONNECT_TIMEOUT, self.server.connect(node)).await };
        match self.runtime.block_on(connecting) {
            Ok(Ok(connection)) => {
                self.connection = Some(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(db_error::<S>(&error)),
            Err(_) => {
                let message = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
                Err(DbError::new(DbErrorKind::Connection, "", message))
            }
        }
    }

    pub(super) fn execute(&mut self, sql: &str) -> Result<u64, DbError> {
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        let mut results = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(connection);
        let affected = self.runtime.block_on(async {
            let mut affected = 0;
            while let Some(item) = results.try_next().await? {
                if let Either::Left(result) = item {
                    affected += S::affected(&result);
                }
            }
            Ok(affected)
        });
        affected.map_err(|e| db_error::<S>(&e))
    }

    pub(super) fn query(
        &mut self,
        sql: &str,
        each: &mut dyn FnMut(Vec<Value>) -> bool,
    ) -> Result<(), DbError> {
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        let mut results = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(connection);
        // `each` runs outside the runtime: it may itself use another session, and runtimes do not
        // nest.
        loop {
            let item = self.runtime.block_on(results.try_next());
            match item.map_err(|e| db_error::<S>(&e))? {
                None => return Ok(()),
                Some(Either::Left(_)) => {}
                Some(Either::Right(row)) => {
                    let values: Result<Vec<_>, _> =
                        (0..row.len()).map(|i| S::value(&row, i)).collect();
                    // What is left of the result is read and dropped before the next statement.
                    if !each(values.map_err(|e| db_error::<S>(&e))?) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

fn not_connected() -> DbError {
    DbError::new(DbErrorKind::Connection, "", "not connected")
}

fn db_error<S: Server>(error: &sqlx::Error) -> DbError {
    let (kind, code, message) = match error {
        sqlx::Error::Database(error) => {
            let (kind, code) = S::classify(error.as_ref());
            (kind, code, error.message().to_owned())
        }
        sqlx::Error::Io(error) => (DbErrorKind::Connection, String::new(), error.to_string()),
        sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            (DbErrorKind::Connection, String::new(), error.to_string())
        }
        _ => (DbErrorKind::Other, String::new(), error.to_string()),
    };
    DbError::new(kind, code, one_line(&message))
}

/// The text with every run of white space made one space.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
