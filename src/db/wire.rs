//! What the drivers of MariaDB/MySQL and PostgreSQL share: blocking calls over an async
//! connection, text protocol only, streaming of rows, and the errors that are not the server's.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Column as _, Database, Either, Executor, Row};
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
    /// After how long without an answer the connection is lost.
    patience: Option<Duration>,
    /// The nodes that did not answer before the one in use did, and what was said of each.
    passed_over: Vec<(usize, DbError)>,
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
            patience: None,
            passed_over: Vec::new(),
        };
        wire.reconnect()?;
        Ok(wire)
    }

    /// Connects anew: to the node after the one that was in use, if there are several, and on to the next ones until
    /// one answers.
    pub(super) fn reconnect(&mut self) -> Result<(), DbError> {
        let mut result = Ok(());
        self.passed_over.clear();
        for _ in 0..self.server.nodes().max(1) {
            let node = self.node;
            result = self.connect_to(node);
            self.node = (node + 1) % self.server.nodes().max(1);
            match &result {
                Ok(()) => break,
                Err(error) => self.passed_over.push((node, error.clone())),
            }
        }
        result
    }

    pub(super) fn passed_over(&self) -> &[(usize, DbError)] {
        &self.passed_over
    }

    pub(super) fn expect_answers_within(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }

    fn connect_to(&mut self, node: usize) -> Result<(), DbError> {
        self.connection = None;
        let most = self
            .patience
            .map_or(CONNECT_TIMEOUT, |patience| patience.min(CONNECT_TIMEOUT));
        let connecting = async { tokio::time::timeout(most, self.server.connect(node)).await };
        match self.runtime.block_on(connecting) {
            Ok(Ok(connection)) => {
                self.connection = Some(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(db_error::<S>(&error)),
            Err(_) => Err(silent(most)),
        }
    }

    pub(super) fn execute(&mut self, sql: &str) -> Result<u64, DbError> {
        let mut affected = 0;
        self.results(sql, |item| {
            if let Either::Left(result) = item {
                affected += S::affected(&result);
            }
            Ok(true)
        })?;
        Ok(affected)
    }

    pub(super) fn query(
        &mut self,
        sql: &str,
        each: &mut dyn FnMut(Vec<Value>) -> bool,
    ) -> Result<(), DbError> {
        self.results(sql, |item| match item {
            Either::Left(_) => Ok(true),
            Either::Right(row) => {
                let values: Result<Vec<_>, _> = (0..row.len()).map(|i| S::value(&row, i)).collect();
                Ok(each(values.map_err(|e| db_error::<S>(&e))?))
            }
        })
    }

    /// The first row of a query, each value with its column's name.
    pub(super) fn named_row(&mut self, sql: &str) -> Result<Option<Vec<(String, Value)>>, DbError> {
        let mut first = None;
        self.results(sql, |item| {
            let Either::Right(row) = item else {
                return Ok(true);
            };
            let named = |(i, column): (usize, &<S::Database as Database>::Column)| {
                Ok((column.name().to_owned(), S::value(&row, i)?))
            };
            let values: Result<Vec<_>, _> = row.columns().iter().enumerate().map(named).collect();
            first = Some(values.map_err(|e| db_error::<S>(&e))?);
            Ok(false)
        })?;
        Ok(first)
    }

    /// Hands over what comes of a statement, one by one, until `each` returns false; what is left then is read and
    /// dropped before the next statement.
    fn results(
        &mut self,
        sql: &str,
        mut each: impl FnMut(Item<S>) -> Result<bool, DbError>,
    ) -> Result<(), DbError> {
        let connection = self.connection.as_mut().ok_or_else(not_connected)?;
        let mut results = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(connection);
        // `each` runs outside the runtime: it may itself use another session, and runtimes do not nest.
        let lost = loop {
            let item = match self.patience {
                None => self.runtime.block_on(results.try_next()),
                Some(patience) => {
                    let next = async { tokio::time::timeout(patience, results.try_next()).await };
                    match self.runtime.block_on(next) {
                        Ok(item) => item,
                        Err(_) => break silent(patience),
                    }
                }
            };
            let Some(item) = item.map_err(|e| db_error::<S>(&e))? else {
                return Ok(());
            };
            if !each(item)? {
                return Ok(());
            }
        };
        drop(results);
        // Whatever it may still say is not what the next statement asks for.
        self.connection = None;
        Err(lost)
    }
}

/// Something that comes of a statement: that it is done, or a row.
type Item<S> = Either<
    <<S as Server>::Database as Database>::QueryResult,
    <<S as Server>::Database as Database>::Row,
>;

fn silent(patience: Duration) -> DbError {
    let message = format!("no answer within {} s", patience.as_secs());
    DbError::new(DbErrorKind::Connection, "", message)
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
