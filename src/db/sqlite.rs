//! SQLite through rusqlite: opening a file with care, values, errors, attaching a second file.

mod error;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::hooks::Action;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, OpenFlags, Statement, StatementStatus};
use rustix::fs::{Access, access};

use self::error::db_error;
use super::{DbError, DbErrorKind, Driver, Engine, Session, Value};
use crate::error::{Error, Result};

/// How long a statement waits for a lock another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqliteMode {
    /// Reading only; the file must exist.
    ReadOnly,
    /// Reading and writing; the file must exist.
    ReadWrite,
    /// Reading and writing; a missing file is made.
    Create,
}

/// Where a statement stops that is not to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Midway {
    /// After its first step: one that reads.
    FirstStep,
    /// After the first row that it changes: one that writes.
    FirstChange,
}

/// A SQLite database file, opened.
pub struct SqliteDriver {
    /// `None` only after a failed reconnect.
    connection: Option<Connection>,
    path: PathBuf,
    mode: SqliteMode,
    vfs: Option<String>,
    steps: Arc<AtomicU64>,
}

impl SqliteDriver {
    /// Opens a database file. What is not a SQLite database is refused, and an empty file is an
    /// empty database.
    pub fn open(path: impl Into<PathBuf>, mode: SqliteMode) -> Result<Self, DbError> {
        Self::open_with_vfs(path, mode, None)
    }

    /// Opens a database file through the SQLite VFS of this name, also when it reconnects; without
    /// a name through the default one.
    pub fn open_with_vfs(
        path: impl Into<PathBuf>,
        mode: SqliteMode,
        vfs: Option<String>,
    ) -> Result<Self, DbError> {
        let path = path.into();
        let connection = connect(&path, mode, vfs.as_deref())?;
        Ok(Self {
            connection: Some(connection),
            path,
            mode,
            vfs,
            steps: Arc::default(),
        })
    }

    /// Counts the steps of SQLite's virtual machine that this driver's statements take: the same for the same
    /// statements on the same rows, on any machine.
    pub fn steps(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.steps)
    }

    fn note_steps(&self, statement: &Statement<'_>) {
        let steps = statement.get_status(StatementStatus::VmStep);
        let steps = u64::try_from(steps).unwrap_or(0);
        self.steps.fetch_add(steps, Ordering::Relaxed);
    }

    /// Whether a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.connection.as_ref().is_some_and(|c| !c.is_autocommit())
    }

    /// Has statements stop in their middle, with `SQLITE_INTERRUPT`, until told `None`. For fault
    /// injection.
    pub(crate) fn stop_midway(&mut self, when: Option<Midway>) -> Result<(), DbError> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let due = Arc::new(AtomicBool::new(when == Some(Midway::FirstStep)));
        let noted = Arc::clone(&due);
        let change = move |_: Action, _: &str, _: &str, _: i64| noted.store(true, Ordering::SeqCst);
        let look = move || due.load(Ordering::SeqCst);
        connection
            .update_hook(when.map(|_| change))
            .and_then(|()| connection.progress_handler(1, when.map(|_| look)))
            .map_err(db_error)
    }

    fn connection(&self) -> Result<&Connection, DbError> {
        self.connection.as_ref().ok_or_else(|| {
            let message = format!("{} is not open", self.path.display());
            DbError::new(DbErrorKind::Connection, "", message)
        })
    }
}

impl Driver for SqliteDriver {
    fn execute(&mut self, sql: &str) -> Result<u64, DbError> {
        let connection = self.connection()?;
        let mut affected = 0;
        let mut batch = Batch::new(connection, sql);
        while let Some(mut statement) = batch.next().map_err(db_error)? {
            // changes() keeps its old value over statements that change no rows, such as COMMIT.
            let before = connection.total_changes();
            let mut rows = statement.raw_query();
            while rows.next().map_err(db_error)?.is_some() {}
            drop(rows);
            self.note_steps(&statement);
            if connection.total_changes() != before {
                affected += connection.changes();
            }
        }
        Ok(affected)
    }

    fn query(
        &mut self,
        sql: &str,
        each: &mut dyn FnMut(Vec<Value>) -> bool,
    ) -> Result<(), DbError> {
        let mut statement = self.connection()?.prepare(sql).map_err(db_error)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(db_error)? {
            let values: Result<Vec<_>, _> =
                (0..columns).map(|i| row.get_ref(i).map(value)).collect();
            if !each(values.map_err(db_error)?) {
                break;
            }
        }
        drop(rows);
        self.note_steps(&statement);
        Ok(())
    }

    fn reconnect(&mut self) -> Result<(), DbError> {
        self.connection = None;
        self.connection = Some(connect(&self.path, self.mode, self.vfs.as_deref())?);
        Ok(())
    }
}

fn connect(path: &Path, mode: SqliteMode, vfs: Option<&str>) -> Result<Connection, DbError> {
    if mode != SqliteMode::Create || path.exists() {
        check_file(path)?;
    }
    // No SQLITE_OPEN_URI: a path is a path, even one that begins with "file:".
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match mode {
            SqliteMode::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
            SqliteMode::ReadWrite => OpenFlags::SQLITE_OPEN_READ_WRITE,
            SqliteMode::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        };
    let open = || -> rusqlite::Result<Connection> {
        let connection = match vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
            None => Connection::open_with_flags(path, flags)?,
        };
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // 16 MiB instead of 2: indexes over random uuids touch pages all over the file, and more than that gains
        // nothing over the memory that the system keeps them in. This is also what makes SQLite read the schema,
        // and so find out whether the file is a database.
        connection.pragma_update(None, "cache_size", -16_384)?;
        // Without this a column that is not there, in double quotes, is read as a string.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        Ok(connection)
    };
    open().map_err(db_error).map_err(|e| named(path, e))
}

/// Refuses what cannot be a SQLite database, whatever is in it.
///
/// It looks at the file from outside only. Whoever opens a file beside SQLite drops, on closing it,
/// every POSIX lock that this process has on it, those of other connections too.
fn check_file(path: &Path) -> Result<(), DbError> {
    let refuse = |code: &str, what: &str| Err(refusal(path, code, what));
    match path.metadata() {
        Ok(meta) if meta.is_file() => {}
        Ok(meta) if meta.is_dir() => {
            return refuse(
                "SQLITE_NOTADB",
                "is a directory; name the database file in it",
            );
        }
        Ok(_) => {
            return refuse(
                "SQLITE_NOTADB",
                "is not a file; name a SQLite database file",
            );
        }
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(unreadable(path, &e));
        }
        Err(_) => return refuse("SQLITE_CANTOPEN", "does not exist"),
    }
    access(path, Access::READ_OK).map_err(|e| unreadable(path, &e.into()))
}

/// SQLite's word that a file is not a database, with the file named and what to do about it.
fn named(path: &Path, error: DbError) -> DbError {
    if error.kind != DbErrorKind::NotADatabase {
        return error;
    }
    refusal(
        path,
        &error.code,
        "is not a SQLite database (wrong header); name a SQLite file, or a URL such as \
         mysql://user@host/nova",
    )
}

fn refusal(path: &Path, code: &str, what: &str) -> DbError {
    let message = format!("{} {what}", path.display());
    DbError::new(DbErrorKind::NotADatabase, code, message)
}

fn unreadable(path: &Path, error: &std::io::Error) -> DbError {
    let (kind, code) = match error.kind() {
        std::io::ErrorKind::PermissionDenied => (DbErrorKind::Permission, "SQLITE_PERM"),
        _ => (DbErrorKind::Other, "SQLITE_IOERR"),
    };
    let message = format!(
        "{} cannot be read: {error}; check its rights",
        path.display()
    );
    DbError::new(kind, code, message)
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) => Value::Int(i),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(t) => match std::str::from_utf8(t) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::Bytes(t.into()),
        },
        ValueRef::Blob(b) => Value::Bytes(b.into()),
    }
}

/// Attaches another existing database file under `alias`, so that one transaction spans both.
///
/// Refused when either file is in WAL mode: see [`refuse_wal_attach`]. A reconnect of the session
/// drops the attachment.
pub fn attach(session: &mut Session, path: &Path, alias: &str) -> Result<()> {
    if session.engine() != Engine::Sqlite {
        return Err(Error::internal("only a SQLite session can attach a file"));
    }
    let refuse = |e: DbError| match e.code.as_str() {
        "SQLITE_NOTADB" => Error::data(e.message).hint("name a SQLite database"),
        _ => Error::unavailable(e.message).hint("check the name of the file, and its rights"),
    };
    check_file(path).map_err(refuse)?;
    let literal = Engine::Sqlite.literal(&Value::Text(path.to_string_lossy().into_owned()));
    let alias = Engine::Sqlite.quote(alias);
    refuse_wal_attach(session)?;
    session
        .execute(&format!("ATTACH DATABASE {literal} AS {alias}"))
        .map_err(|e| match e.kind {
            DbErrorKind::NotADatabase => refuse(named(path, e)),
            _ => e.into(),
        })?;
    if let Err(error) = refuse_wal_attach(session) {
        session.execute(&format!("DETACH DATABASE {alias}"))?;
        return Err(error);
    }
    Ok(())
}

/// Fails when a transaction of this session over several files would not be atomic: when any file
/// it has open is in WAL mode (or has no rollback journal on disk at all).
///
/// SQLite commits several files at once only through a super-journal, which it keeps only for
/// rollback journals; a crash between the files of a WAL commit loses the rows being moved.
pub fn refuse_wal_attach(session: &mut Session) -> Result<()> {
    let databases = session.query("SELECT name, file FROM pragma_database_list")?;
    for row in databases {
        let [Value::Text(name), file] = row.as_slice() else {
            continue;
        };
        if name == "temp" {
            continue;
        }
        let alias = Engine::Sqlite.quote(name);
        let mode = session.query_row(&format!("PRAGMA {alias}.journal_mode"))?;
        let mode = mode.and_then(|r| r.first().and_then(|v| v.as_text().map(str::to_owned)));
        let mode = mode.unwrap_or_default();
        if !matches!(mode.as_str(), "delete" | "truncate" | "persist") {
            return Err(Error::data(format!(
                "{file} is in journal mode {mode}; a transaction over two files would not be \
                 atomic"
            ))
            .hint("put the shadow tables into the same file, or run PRAGMA journal_mode=DELETE"));
        }
    }
    Ok(())
}
