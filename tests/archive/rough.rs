//! A SQLite session that notes its statements, and on which things go wrong at chosen ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sexton::db::{DbError, DbErrorKind, Driver, Engine, Session, SqliteDriver, SqliteMode, Value};

use crate::support::cloud::Cloud;

/// What goes wrong at a statement that starts like this.
#[derive(Clone)]
pub(crate) struct Upset {
    pub(crate) starts: &'static str,
    /// How many of them are let pass before.
    pub(crate) after: usize,
    pub(crate) times: usize,
    pub(crate) how: How,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum How {
    /// Refused with an error of this kind.
    Refused(DbErrorKind),
    /// Done, but the answer is lost, and the connection with it.
    Unheard,
    /// Done, but one row less is reported.
    Miscounted,
    /// Somebody else has sent this just before.
    After(&'static str),
    /// Refused with an error of this kind, while somebody asks the run to stop.
    Stopped(DbErrorKind),
}

/// A SQLite driver that things go wrong with.
struct Rough {
    inner: SqliteDriver,
    upsets: Mutex<Vec<Upset>>,
    seen: Arc<Seen>,
}

/// What is known of a session from outside.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) statements: Mutex<Vec<String>>,
    pub(crate) reconnects: Mutex<u32>,
    /// Set by [`How::Stopped`].
    pub(crate) stop: AtomicBool,
}

impl Seen {
    /// How many statements started like this.
    pub(crate) fn count(&self, starts: &str) -> usize {
        let statements = self.statements.lock().unwrap();
        statements.iter().filter(|s| s.starts_with(starts)).count()
    }
}

/// A session of the database on which these things go wrong.
pub(crate) fn session(cloud: &Cloud, upsets: &[Upset]) -> (Session, Arc<Seen>) {
    let seen = Arc::<Seen>::default();
    let driver = Rough {
        inner: SqliteDriver::open(&cloud.database.url, SqliteMode::ReadWrite).unwrap(),
        upsets: Mutex::new(upsets.to_vec()),
        seen: Arc::clone(&seen),
    };
    let session = Session::new(Box::new(driver), Engine::Sqlite, "rough");
    (session, seen)
}

impl Rough {
    fn upset(&self, sql: &str) -> Option<How> {
        self.seen.statements.lock().unwrap().push(sql.to_owned());
        let mut upsets = self.upsets.lock().unwrap();
        let due = upsets
            .iter_mut()
            .find(|u| sql.starts_with(u.starts) && u.times > 0)?;
        if due.after > 0 {
            due.after -= 1;
            return None;
        }
        due.times -= 1;
        Some(due.how)
    }

    fn refuse(&mut self, kind: DbErrorKind) -> DbError {
        if kind == DbErrorKind::Connection {
            self.inner.reconnect().unwrap();
        }
        DbError::new(kind, "upset", "it went wrong")
    }
}

impl Driver for Rough {
    fn execute(&mut self, sql: &str) -> Result<u64, DbError> {
        match self.upset(sql) {
            None => self.inner.execute(sql),
            Some(How::Refused(kind)) => Err(self.refuse(kind)),
            Some(How::After(other)) => {
                self.inner.execute(other)?;
                self.inner.execute(sql)
            }
            Some(How::Unheard) => {
                self.inner.execute(sql)?;
                Err(self.refuse(DbErrorKind::Connection))
            }
            Some(How::Miscounted) => self.inner.execute(sql).map(|rows| rows - 1),
            Some(How::Stopped(kind)) => {
                self.seen.stop.store(true, Ordering::Relaxed);
                Err(self.refuse(kind))
            }
        }
    }

    fn query(
        &mut self,
        sql: &str,
        each: &mut dyn FnMut(Vec<Value>) -> bool,
    ) -> Result<(), DbError> {
        match self.upset(sql) {
            Some(How::Refused(kind)) => Err(self.refuse(kind)),
            Some(How::Stopped(kind)) => {
                self.seen.stop.store(true, Ordering::Relaxed);
                Err(self.refuse(kind))
            }
            _ => self.inner.query(sql, each),
        }
    }

    fn reconnect(&mut self) -> Result<(), DbError> {
        *self.seen.reconnects.lock().unwrap() += 1;
        self.inner.reconnect()
    }
}

pub(crate) fn upset(starts: &'static str, after: usize, times: usize, how: How) -> Upset {
    Upset {
        starts,
        after,
        times,
        how,
    }
}

pub(crate) const DEADLOCK: How = How::Refused(DbErrorKind::Retryable);
pub(crate) const LOST: How = How::Refused(DbErrorKind::Connection);
