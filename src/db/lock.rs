//! One archiver at a time: an advisory lock on a database that other programs do not notice.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::{DbError, Engine, Session, Value};
use crate::error::{Error, Result};

/// How long [`AdvisoryLock::ensure`] waits for a lost connection of its own to let go, in seconds.
const PATIENCE: u32 = 10;

/// A held lock on one database.
///
/// On a server it belongs to the connection of the session it was acquired with and ends with it,
/// at the latest: after a reconnect call [`AdvisoryLock::ensure`]. It holds on one server only:
/// the nodes of a Galera cluster do not see each other's locks. For SQLite it is a lock on a file
/// beside the database, which the operating system releases when the process ends.
#[derive(Debug)]
#[must_use = "the lock of a SQLite database is released when this is dropped"]
pub struct AdvisoryLock(Held);

#[derive(Debug)]
enum Held {
    Mysql { name: String },
    Postgres { key: i64 },
    Sqlite { file: Option<File>, path: PathBuf },
}

impl AdvisoryLock {
    /// Takes the lock on the session's database, or fails at once when it is taken.
    pub fn acquire(session: &mut Session) -> Result<Self> {
        let held = match session.engine() {
            Engine::Sqlite => {
                let path = lock_path(session)?;
                let file = lock_file(&path, session.label())?;
                Held::Sqlite {
                    file: Some(file),
                    path,
                }
            }
            Engine::Mysql => {
                let database = single(session, "SELECT DATABASE()")?;
                Held::Mysql {
                    name: mysql_name(&database),
                }
            }
            Engine::Postgres => {
                let database = single(session, "SELECT current_database()")?;
                let key = fnv1a(&format!("sexton/{database}"));
                Held::Postgres {
                    key: i64::from_ne_bytes(key.to_ne_bytes()),
                }
            }
        };
        let lock = Self(held);
        match lock.try_take(session, 0)? {
            true => Ok(lock),
            false => Err(taken(session.label())),
        }
    }

    /// Makes sure the lock is held after the session may have reconnected: takes it again if it
    /// was lost, waiting a while for the server to notice that the old connection is gone. The inner error is the
    /// database's.
    ///
    /// # Errors
    ///
    /// Exit code 69 if another archiver has taken the lock meanwhile.
    pub fn ensure(&self, session: &mut Session) -> Result<Result<(), DbError>> {
        let held = self.is_held(session);
        match held.and_then(|held| Ok(held || self.try_take(session, PATIENCE)?)) {
            Ok(true) => Ok(Ok(())),
            Ok(false) => Err(taken(session.label())),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Releases the lock.
    pub fn release(mut self, session: &mut Session) -> Result<()> {
        match &mut self.0 {
            Held::Mysql { name } => session.query(&format!("SELECT RELEASE_LOCK('{name}')"))?,
            Held::Postgres { key } => {
                session.query(&format!("SELECT pg_advisory_unlock({key})"))?
            }
            Held::Sqlite { .. } => return Ok(()),
        };
        Ok(())
    }

    fn is_held(&self, session: &mut Session) -> Result<bool, DbError> {
        let count = match &self.0 {
            Held::Mysql { name } => format!("SELECT IS_USED_LOCK('{name}') = CONNECTION_ID()"),
            // A lock on a 64 bit key is listed in two halves, with objsubid 1.
            Held::Postgres { key } => format!(
                "SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' \
                 AND pid = pg_backend_pid() AND objsubid = 1 AND granted \
                 AND ((classid::bigint << 32) | objid::bigint) = {key}"
            ),
            Held::Sqlite { file, .. } => return Ok(file.is_some()),
        };
        Ok(session.query_count(&count)? > 0)
    }

    /// Takes a server's lock, waiting up to so many seconds for it.
    fn try_take(&self, session: &mut Session, seconds: u32) -> Result<bool, DbError> {
        match &self.0 {
            Held::Mysql { name } => {
                Ok(session.query_count(&format!("SELECT GET_LOCK('{name}', {seconds})"))? == 1)
            }
            Held::Postgres { key } => {
                let sql = format!("SELECT pg_try_advisory_lock({key})");
                let mut tries = 1 + 5 * seconds;
                loop {
                    if session.query_count(&sql)? == 1 {
                        return Ok(true);
                    }
                    tries -= 1;
                    if tries == 0 {
                        return Ok(false);
                    }
                    std::thread::sleep(std::time::Duration::from_millis(200));
                }
            }
            Held::Sqlite { file, .. } => Ok(file.is_some()),
        }
    }
}

impl Drop for AdvisoryLock {
    fn drop(&mut self) {
        if let Held::Sqlite { file, path } = &mut self.0
            && let Some(file) = file.take()
        {
            // Before the lock goes, so that nobody can have locked what is removed here. A file
            // that cannot be removed does no harm: what counts is the lock on it.
            let _ = std::fs::remove_file(path);
            drop(file);
        }
    }
}

fn taken(label: &str) -> Error {
    Error::unavailable(format!("another archiver is at work in {label}"))
        .hint("wait until it is done; its lock ends with its process")
}

/// The text a query yields.
fn single(session: &mut Session, sql: &str) -> Result<String> {
    match session.query_row(sql)?.as_deref() {
        Some([value, ..]) if !value.is_null() => Ok(value.to_string()),
        _ => Err(Error::usage("the session has no database selected")
            .hint("name the database in its URL")),
    }
}

/// MariaDB and MySQL allow 64 characters, and compare without regard to case.
fn mysql_name(database: &str) -> String {
    let name = format!("sexton/{database}");
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-/.".contains(c);
    match name.len() <= 64 && name.chars().all(plain) {
        true => name,
        false => format!("sexton#{:016x}", fnv1a(database)),
    }
}

/// A hash that is the same in every version of this program.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn lock_path(session: &mut Session) -> Result<PathBuf> {
    let sql = "SELECT file FROM pragma_database_list WHERE name = 'main'";
    let row = session.query_row(sql)?;
    let Some(Value::Text(file)) = row.and_then(|row| row.into_iter().next()) else {
        return Err(
            Error::unavailable(format!("{} has no file name to lock", session.label()))
                .hint("give the file itself, not a database in memory"),
        );
    };
    // Two names of one file must give one lock.
    let file = Path::new(&file);
    let mut path = OsString::from(file.canonicalize().as_deref().unwrap_or(file));
    path.push("-sexton.lock");
    Ok(path.into())
}

fn lock_file(path: &Path, label: &str) -> Result<File> {
    let failed = |error: std::io::Error| {
        Error::unavailable(format!("{} cannot be locked: {error}", path.display()))
            .hint("the directory of the database must be writable")
    };
    loop {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(file),
            // Its last holder removed it between our opening and locking it.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(label)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

/// Whether the open file still is the one at this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    match (file.metadata(), path.metadata()) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{SqliteDriver, SqliteMode};
    use crate::exit::ExitCode;

    #[test]
    fn one_holder_per_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nova.db");
        let session = |path: &Path| {
            let driver = SqliteDriver::open(path, SqliteMode::Create).unwrap();
            Session::new(Box::new(driver), Engine::Sqlite, "nova.db")
        };
        let mut first = session(&path);
        let lock = AdvisoryLock::acquire(&mut first).unwrap();
        let sidecar = dir.path().join("nova.db-sexton.lock");
        assert!(sidecar.exists());
        let mut second = session(&path);
        let error = AdvisoryLock::acquire(&mut second).unwrap_err();
        assert_eq!(error.code, ExitCode::Unavailable);
        assert!(
            error
                .to_string()
                .starts_with("another archiver is at work in nova.db; ")
        );
        #[cfg(unix)]
        {
            let link = dir.path().join("link.db");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert!(AdvisoryLock::acquire(&mut session(&link)).is_err());
        }
        first.reconnect().unwrap();
        lock.ensure(&mut first).unwrap().unwrap();
        lock.release(&mut first).unwrap();
        assert!(!sidecar.exists());
        drop(AdvisoryLock::acquire(&mut second).unwrap());
        assert!(!sidecar.exists());
    }

    #[test]
    fn names_fit() {
        assert_eq!(mysql_name("nova_cell0"), "sexton/nova_cell0");
        for name in ["x".repeat(64), "it's".into(), "növa".into()] {
            let name = mysql_name(&name);
            assert!(name.len() <= 64 && name.starts_with("sexton#"), "{name}");
        }
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
    }
}
