//! The temporary database that the rows of a dump go to.

use std::collections::BTreeSet;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::ddl::tidy;
use crate::db::{DbError, Engine, Session, SqliteDriver, SqliteMode};
use crate::error::{Error, Result};
use crate::schema::{Column, Schema, Table, ddl};

/// Bytes of the database that are kept in memory, in KiB: enough for its indexes to be made at a fair pace.
const CACHE: i64 = 32 << 10;

/// Takes tables and their rows.
pub(super) struct Loader {
    connection: Connection,
    directory: tempfile::TempDir,
    pub(super) schema: Schema,
    /// Tables of which the dump has the rows, were there any.
    filled: BTreeSet<String>,
    /// Where the rows go that come.
    statement: String,
}

impl Loader {
    pub(super) fn new() -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("sexton-dump-")
            .tempdir()
            .map_err(|e| {
                Error::unavailable(format!("cannot make a temporary directory: {e}"))
                    .hint("make room there, or name another directory in TMPDIR")
            })?;
        let connection = Connection::open(directory.path().join("dump.db")).map_err(failed)?;
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; \
                 PRAGMA foreign_keys = OFF; PRAGMA cache_size = -{CACHE}; BEGIN"
            ))
            .map_err(failed)?;
        Ok(Self {
            connection,
            directory,
            schema: Schema::default(),
            filled: BTreeSet::new(),
            statement: String::new(),
        })
    }

    /// Makes a table. Its keys are made when all rows are there.
    pub(super) fn table(&mut self, table: Table) -> std::result::Result<(), String> {
        if self.schema.table(&table.name).is_some() {
            return Err(format!(
                "table {} is there twice: dump one database only",
                table.name
            ));
        }
        if let Some(column) = table.columns.iter().find(|c| c.generated) {
            let (table, column) = (&table.name, &column.name);
            return Err(format!(
                "{table}.{column} is a generated column, whose values a dump does not hold: audit the server"
            ));
        }
        let plain = |column: &Column| Column {
            nullable: true,
            default: None,
            auto_increment: false,
            generated: false,
            native: None,
            zoned: false,
            ..column.clone()
        };
        let bare = Table {
            name: table.name.clone(),
            columns: table.columns.iter().map(plain).collect(),
            ..Table::default()
        };
        for statement in ddl::create_statements(&std::iter::once(bare).collect(), Engine::Sqlite) {
            let done = self.connection.execute_batch(&statement);
            done.map_err(|e| format!("table {}: {e}", table.name))?;
        }
        self.schema.tables.insert(table.name.clone(), table);
        Ok(())
    }

    /// The dump has the rows of this table, if there are any.
    pub(super) fn rows_of(&mut self, table: &str) {
        if !self.filled.contains(table) {
            self.filled.insert(table.to_owned());
        }
    }

    /// The rows that follow are of this table, and have these columns; all if none are given.
    pub(super) fn into(
        &mut self,
        table: &str,
        columns: &[String],
    ) -> std::result::Result<usize, String> {
        self.rows_of(table);
        let Some(known) = self.schema.table(table) else {
            return Err(format!(
                "rows of table {table}, which the dump does not create before"
            ));
        };
        let names: Vec<&String> = match columns {
            [] => known.columns.iter().map(|c| &c.name).collect(),
            columns => columns.iter().collect(),
        };
        if let Some(name) = names.iter().find(|name| known.column(name).is_none()) {
            return Err(format!("a column {name} that table {table} does not have"));
        }
        let engine = Engine::Sqlite;
        self.statement = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            engine.quote(table),
            engine.quote_all(names.iter().copied()),
            vec!["?"; names.len()].join(", ")
        );
        Ok(names.len())
    }

    /// A row of the table that was named last.
    pub(super) fn row(&mut self, values: Vec<Value>) -> std::result::Result<(), String> {
        let done = self
            .connection
            .prepare_cached(&self.statement)
            .and_then(|mut statement| statement.execute(params_from_iter(values)));
        done.map(drop).map_err(|e| e.to_string())
    }

    /// Makes the keys, and opens what has been loaded for reading.
    ///
    /// # Errors
    ///
    /// Exit code 65 if a part is missing: the rows of some tables, or a table that others refer to.
    pub(super) fn finish(mut self, label: &str, origin: Engine) -> Result<(Session, Schema)> {
        self.check_whole(label)?;
        let mut number = 0;
        let engine = Engine::Sqlite;
        for table in self.schema.tables.values_mut() {
            tidy(table);
            let others = table
                .uniques
                .iter()
                .chain(&table.indexes)
                .map(|i| &i.columns);
            let mut made: BTreeSet<&[String]> = BTreeSet::new();
            for columns in std::iter::once(&table.primary_key).chain(others) {
                let known = columns.iter().all(|c| table.column(c).is_some());
                if columns.is_empty() || !known || !made.insert(columns) {
                    continue;
                }
                number += 1;
                let sql = format!(
                    "CREATE INDEX sexton_{number} ON {} ({})",
                    engine.quote(&table.name),
                    engine.quote_all(columns)
                );
                self.connection.execute_batch(&sql).map_err(failed)?;
            }
        }
        self.connection.execute_batch("COMMIT").map_err(failed)?;
        drop(self.connection);
        // It stays as long as it is open, and nothing of it is left whatever becomes of this process.
        let path = self.directory.path().join("dump.db");
        let mut driver = SqliteDriver::open(path, SqliteMode::ReadOnly).map_err(unreadable)?;
        crate::db::Driver::query(&mut driver, "PRAGMA schema_version", &mut |_| true)
            .map_err(unreadable)?;
        drop(self.directory);
        let session = Session::new(Box::new(driver), Engine::Sqlite, label)
            .of_origin(origin, !self.filled.is_empty());
        Ok((session, self.schema))
    }

    fn check_whole(&self, label: &str) -> Result<()> {
        let part = |what: String| {
            Err(
                Error::data(format!("{label}: {what}: it is a part of a database"))
                    .hint("dump the whole database: what is left out would be missed by nobody"),
            )
        };
        let tables = &self.schema.tables;
        let mut unfilled = tables.keys().filter(|t| !self.filled.contains(*t));
        if let Some(table) = unfilled.next().filter(|_| !self.filled.is_empty()) {
            return part(format!("the rows of table {table} were left out"));
        }
        for table in tables.values() {
            let mut keys = table.foreign_keys.iter();
            if let Some(key) = keys.find(|k| !tables.contains_key(&k.parent)) {
                let (table, parent) = (&table.name, &key.parent);
                return part(format!(
                    "table {table} refers to {parent}, which is not there"
                ));
            }
        }
        Ok(())
    }
}

fn failed(error: rusqlite::Error) -> Error {
    Error::unavailable(format!("the temporary database of the dump: {error}"))
        .hint("it needs as much room as the dump, in the directory that TMPDIR names")
}

fn unreadable(error: DbError) -> Error {
    Error::internal(format!("the temporary database of the dump: {error}"))
        .hint("make room there, or name another directory in TMPDIR")
}
