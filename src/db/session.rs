//! The one session type: a driver, what it is connected to, and a count of statements.

use std::time::{Duration, Instant};

use super::denied::with_privilege;
use super::{DbError, Driver, Engine, Spent, Value};

/// The journal mode that keeps the file.
/// After so long a node of a cluster that does not answer is taken for lost: one without power sends no word of it.
/// Longer than what a statement may wait for locks, or for the cluster.
const SILENT_NODE: Duration = Duration::from_secs(600);

const KEEP_JOURNAL: &str = "PRAGMA main.journal_mode = PERSIST";

/// A blocking session with one database.
pub struct Session {
    driver: Box<dyn Driver>,
    engine: Engine,
    label: String,
    /// Where the schema came from, if not from the engine at the other end.
    origin: Engine,
    has_data: bool,
    statements: u64,
    spent: Spent,
    /// What was set beyond the usual, to be set again on a new connection.
    settings: Vec<String>,
    /// Whether the server is a node of a Galera cluster; known after [`Session::mind_cluster`].
    in_cluster: bool,
    /// The nodes that did not answer when the session was opened.
    passed_over: Vec<String>,
}

impl Session {
    /// Wraps a driver. `label` names the database in output: a URL without password, or a path.
    pub fn new(driver: Box<dyn Driver>, engine: Engine, label: impl Into<String>) -> Self {
        Self {
            driver,
            engine,
            label: label.into(),
            origin: engine,
            has_data: true,
            statements: 0,
            spent: Spent::default(),
            settings: Vec::new(),
            in_cluster: false,
            passed_over: Vec::new(),
        }
    }

    /// Of the nodes that were given those that did not answer before the one in use did, each with why; without
    /// passwords.
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    pub(super) fn having_passed_over(mut self, nodes: Vec<String>) -> Self {
        self.passed_over = nodes;
        self
    }

    /// The engine at the other end.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The same session with the rows of a dump that another engine's tools wrote.
    #[must_use]
    pub(super) fn of_origin(mut self, origin: Engine, has_data: bool) -> Self {
        (self.origin, self.has_data) = (origin, has_data);
        self
    }

    /// Whether there are rows to be read: not in a dump of the schema alone.
    pub fn has_data(&self) -> bool {
        self.has_data
    }

    /// The engine in whose words the schema is: that of the dump where one was read.
    pub fn origin(&self) -> Engine {
        self.origin
    }

    /// The database as output names it; holds no password.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Statements sent so far, transaction control included; one statement is one round trip.
    pub fn statements(&self) -> u64 {
        self.statements
    }

    /// Time that statements took so far.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Runs a statement; the number of rows it affected.
    pub fn execute(&mut self, sql: &str) -> Result<u64, DbError> {
        self.statements += 1;
        let begun = Instant::now();
        let result = self.driver.execute(sql);
        self.spent.note(sql, begun.elapsed());
        result.map_err(|e| with_privilege(e, self.engine, sql))
    }

    /// Runs a query; each row is handed over as it arrives, until `each` returns `false`.
    pub fn query_each(
        &mut self,
        sql: &str,
        mut each: impl FnMut(Vec<Value>) -> bool,
    ) -> Result<(), DbError> {
        self.statements += 1;
        let begun = Instant::now();
        let result = self.driver.query(sql, &mut each);
        self.spent.note(sql, begun.elapsed());
        result.map_err(|e| with_privilege(e, self.engine, sql))
    }

    /// Runs a query; all its rows. For results whose size the caller has bounded.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Vec<Value>>, DbError> {
        let mut rows = Vec::new();
        self.query_each(sql, |row| {
            rows.push(row);
            true
        })?;
        Ok(rows)
    }

    /// The first row of a query, if it has one.
    pub fn query_row(&mut self, sql: &str) -> Result<Option<Vec<Value>>, DbError> {
        Ok(self.query(sql)?.into_iter().next())
    }

    /// The first row of a query, each value with its column's name; MariaDB and MySQL alone.
    pub fn named_row(&mut self, sql: &str) -> Result<Option<Vec<(String, Value)>>, DbError> {
        self.statements += 1;
        let begun = Instant::now();
        let result = self.driver.named_row(sql);
        self.spent.note(sql, begun.elapsed());
        result
    }

    /// Has a server that is silent for so long count as lost, for every statement from here on, and for connecting
    /// where that is less than what it may take anyway.
    pub fn expect_answers_within(&mut self, patience: Duration) {
        self.driver.expect_answers_within(patience);
    }

    /// The single number a query yields; NULL and no row count as 0.
    pub fn query_count(&mut self, sql: &str) -> Result<i64, DbError> {
        let row = self.query_row(sql)?;
        Ok(row
            .and_then(|r| r.first().and_then(Value::as_int))
            .unwrap_or(0))
    }

    /// Begins a transaction that will write. On SQLite it takes the write lock at once, so that a
    /// later statement cannot fail for want of it.
    pub fn begin(&mut self) -> Result<(), DbError> {
        let sql = match self.engine {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Mysql => "START TRANSACTION",
            Engine::Postgres => "BEGIN",
        };
        self.execute(sql).map(drop)
    }

    /// Commits. After an error of any earlier statement call [`Session::rollback`] instead: Galera
    /// answers OK to a COMMIT that commits nothing.
    pub fn commit(&mut self) -> Result<(), DbError> {
        self.execute("COMMIT").map(drop)
    }

    /// Rolls back.
    pub fn rollback(&mut self) -> Result<(), DbError> {
        self.execute("ROLLBACK").map(drop)
    }

    /// Has writing transactions on MariaDB and MySQL lock the rows that they read and no others, neither gaps nor
    /// neighbours: READ COMMITTED. Where a binlog is written as statements the server would refuse such a
    /// transaction, and nothing changes.
    pub fn lock_rows_only(&mut self) -> Result<(), DbError> {
        const SETTING: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
        if self.engine != Engine::Mysql || self.settings.iter().any(|s| s == SETTING) {
            return Ok(());
        }
        let by_statement = "SELECT @@log_bin = 1 AND @@binlog_format = 'STATEMENT'";
        let by_statement = match self.query_count(by_statement) {
            Ok(yes) => yes != 0,
            // A server that knows no such variable writes rows.
            Err(error) if error.code == "1193" => false,
            Err(error) => return Err(error),
        };
        if !by_statement {
            self.execute(SETTING)?;
            self.settings.push(SETTING.into());
        }
        Ok(())
    }

    /// Has no statement wait longer than that for a lock that another session holds, on a row or on a table; MariaDB
    /// would wait a day for the latter, PostgreSQL for ever, and a request to stop would not be heard.
    pub fn wait_for_locks(&mut self, patience: Duration) -> Result<(), DbError> {
        let seconds = patience.as_secs().max(1);
        let setting = match self.engine {
            Engine::Sqlite => return Ok(()),
            Engine::Mysql => format!(
                "SET SESSION lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}"
            ),
            Engine::Postgres => format!("SET lock_timeout = '{seconds}s'"),
        };
        if !self.settings.contains(&setting) {
            self.execute(&setting)?;
            self.settings.push(setting);
        }
        Ok(())
    }

    /// On a node of a Galera cluster, has every SELECT wait until what the cluster has committed is there to be read:
    /// another node than the one that was lost is asked what became of a transaction.
    pub fn mind_cluster(&mut self) -> Result<(), DbError> {
        const SETTING: &str = "SET SESSION wsrep_sync_wait = 1";
        if self.engine != Engine::Mysql || self.in_cluster {
            return Ok(());
        }
        self.in_cluster = match self.query_count("SELECT @@wsrep_on") {
            Ok(on) => on == 1,
            // A server that knows no such variable is in no cluster.
            Err(error) if error.code == "1193" => false,
            Err(error) => return Err(error),
        };
        if self.in_cluster {
            self.execute(SETTING)?;
            self.settings.push(SETTING.into());
            self.expect_answers_within(SILENT_NODE);
        }
        Ok(())
    }

    /// Whether the server is a node of a Galera cluster, whose OK to a COMMIT is not believed.
    pub fn in_cluster(&self) -> bool {
        self.in_cluster
    }

    /// On SQLite, has transactions write over one rollback journal rather than make and remove a file each, until
    /// [`Session::remove_journal`]. Any other journal mode stays as it is: that of WAL belongs to the file.
    pub fn keep_journal(&mut self) -> Result<(), DbError> {
        if self.engine != Engine::Sqlite || !self.settings.is_empty() {
            return Ok(());
        }
        let mode = self.query_row("PRAGMA main.journal_mode")?;
        let mode = mode.and_then(|row| row.into_iter().next());
        if mode.is_some_and(|mode| mode.as_text() == Some("delete")) {
            self.query(KEEP_JOURNAL)?;
            self.settings.push(KEEP_JOURNAL.into());
        }
        Ok(())
    }

    /// Ends what [`Session::keep_journal`] began, and removes the journal.
    pub fn remove_journal(&mut self) -> Result<(), DbError> {
        if self.settings.iter().any(|setting| setting == KEEP_JOURNAL) {
            self.settings.clear();
            self.query("PRAGMA main.journal_mode = DELETE")?;
        }
        Ok(())
    }

    /// Drops the connection and makes a new one with the same settings.
    pub fn reconnect(&mut self) -> Result<(), DbError> {
        self.driver.reconnect()?;
        for setting in self.settings.clone() {
            self.execute(&setting)?;
        }
        Ok(())
    }
}
