//! SQLite's statement layer: a driver that lets every statement pass a gate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::db::{DbError, DbErrorKind, Driver, Midway, SqliteDriver, SqliteMode, Value};

use super::gate::{Gate, Refusal, Reply, Statement, Verdict};
use super::normal::Kind;

/// A SQLite driver behind a gate.
pub(super) struct TapDriver {
    inner: Option<SqliteDriver>,
    way: Way,
    connection: u64,
    connections: u64,
}

/// How to open the database.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) path: PathBuf,
    /// The VFS to open it through; the default one if `None`.
    pub(super) vfs: Option<String>,
    /// A file to attach, with the shadow tables.
    pub(super) attached: Option<PathBuf>,
    pub(super) gate: Arc<dyn Gate>,
}

impl Way {
    pub(super) fn open(&self) -> Result<SqliteDriver, DbError> {
        let mut driver =
            SqliteDriver::open_with_vfs(&self.path, SqliteMode::ReadWrite, self.vfs.clone())?;
        if let Some(path) = &self.attached {
            driver.execute(&attach_shadows(path))?;
        }
        Ok(driver)
    }
}

impl TapDriver {
    pub(super) fn open(way: Way) -> Result<Self, DbError> {
        let mut tap = Self {
            inner: None,
            way,
            connection: 0,
            connections: 0,
        };
        tap.reconnect()?;
        Ok(tap)
    }

    fn pass<T>(
        &mut self,
        sql: &str,
        run: impl FnOnce(&mut SqliteDriver, &str) -> Result<(T, u64), DbError>,
    ) -> Result<Option<T>, DbError> {
        let Some(driver) = &mut self.inner else {
            return Err(lost());
        };
        let statement = Statement {
            connection: self.connection,
            sql: sql.to_owned(),
            in_transaction: driver.in_transaction(),
        };
        let verdict = self.way.gate.before(&statement);
        let done = match &verdict {
            Verdict::CutBefore => {
                self.inner = None;
                return Err(lost());
            }
            Verdict::Refuse(refusal) => {
                if refusal.rolls_back && driver.in_transaction() {
                    drop(driver.execute("ROLLBACK"));
                }
                Err(refused(refusal))
            }
            Verdict::Replace(other) => run(driver, other),
            Verdict::Interrupt => {
                let when = match Kind::of(sql) {
                    Kind::Read => Midway::FirstStep,
                    _ => Midway::FirstChange,
                };
                driver.stop_midway(Some(when))?;
                let done = run(driver, sql);
                driver.stop_midway(None)?;
                done
            }
            Verdict::Pass | Verdict::CutAfter => run(driver, sql),
        };
        let reply = Reply {
            error: done
                .as_ref()
                .err()
                .map(|e| (e.code.clone(), e.message.clone())),
            affected: done.as_ref().map_or(0, |(_, affected)| *affected),
            in_transaction: driver.in_transaction(),
        };
        let heard = self.way.gate.after(&statement, &reply);
        if !heard || verdict == Verdict::CutAfter {
            self.inner = None;
            return Err(lost());
        }
        done.map(|(value, _)| Some(value))
    }
}

impl Driver for TapDriver {
    fn execute(&mut self, sql: &str) -> Result<u64, DbError> {
        let affected = self.pass(sql, |driver, sql| {
            let affected = driver.execute(sql)?;
            Ok((affected, affected))
        })?;
        Ok(affected.unwrap_or(0))
    }

    fn query(
        &mut self,
        sql: &str,
        each: &mut dyn FnMut(Vec<Value>) -> bool,
    ) -> Result<(), DbError> {
        // Kept until it is known whether the engine may hear them; worlds are small.
        let rows = self.pass(sql, |driver, sql| {
            let mut rows = Vec::new();
            driver.query(sql, &mut |row| {
                rows.push(row);
                true
            })?;
            Ok((rows, 0))
        })?;
        for row in rows.unwrap_or_default() {
            if !each(row) {
                break;
            }
        }
        Ok(())
    }

    fn reconnect(&mut self) -> Result<(), DbError> {
        self.inner = None;
        if !self.way.gate.connect() {
            return Err(lost());
        }
        self.inner = Some(self.way.open()?);
        self.connection = self.connections;
        self.connections += 1;
        Ok(())
    }
}

/// The statement that attaches a file with shadow tables: what `db::attach` refuses for files in WAL
/// mode, on purpose. It is the mistake of a control engine.
pub(super) fn attach_shadows(path: &Path) -> String {
    let path = path.to_string_lossy().replace('\'', "''");
    format!("ATTACH DATABASE '{path}' AS shadows")
}

fn lost() -> DbError {
    DbError::new(DbErrorKind::Connection, "", "the connection was lost")
}

fn refused(refusal: &Refusal) -> DbError {
    DbError::new(refusal.kind, &refusal.code, &refusal.message)
}
