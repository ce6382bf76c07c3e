//! A driver that plays tricks of a cluster on who uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sexton::db::{Access, DbError, Driver, MysqlDriver, Session, Target, Value};

/// What to do at every second opportunity, so that the next try passes.
pub(crate) enum Trick {
    /// Has another node commit a change of the same row before a statement that begins so.
    Before {
        place: &'static str,
        elsewhere: Box<Session>,
        conflict: String,
    },
    /// Rolls back where COMMIT is asked for, and says OK.
    OkForNothing,
}

/// The driver of a node, and the trick.
pub(crate) struct Meddler {
    inner: MysqlDriver,
    trick: Trick,
    again: bool,
    wrote: bool,
    played: Arc<AtomicU64>,
}

impl Meddler {
    /// The driver, and how often the trick was played.
    pub(crate) fn new(target: &Target, trick: Trick) -> (Self, Arc<AtomicU64>) {
        let Target::Mysql(options) = target else {
            panic!("{target} is no MariaDB");
        };
        let played = Arc::new(AtomicU64::new(0));
        let meddler = Self {
            inner: MysqlDriver::connect(options, Access::ReadWrite).unwrap(),
            trick,
            again: false,
            wrote: false,
            played: Arc::clone(&played),
        };
        (meddler, played)
    }
}

impl Driver for Meddler {
    fn execute(&mut self, sql: &str) -> Result<u64, DbError> {
        let wrote = std::mem::replace(&mut self.wrote, sql.starts_with("DELETE"));
        match &mut self.trick {
            Trick::Before {
                place,
                elsewhere,
                conflict,
            } if sql.starts_with(*place) => {
                self.again = !self.again;
                if self.again && elsewhere.execute(conflict).unwrap() > 0 {
                    self.played.fetch_add(1, Ordering::SeqCst);
                }
            }
            Trick::OkForNothing if sql == "COMMIT" && wrote => {
                self.again = !self.again;
                if self.again {
                    self.played.fetch_add(1, Ordering::SeqCst);
                    return self.inner.execute("ROLLBACK");
                }
            }
            _ => {}
        }
        self.inner.execute(sql)
    }

    fn query(
        &mut self,
        sql: &str,
        each: &mut dyn FnMut(Vec<Value>) -> bool,
    ) -> Result<(), DbError> {
        self.inner.query(sql, each)
    }

    fn reconnect(&mut self) -> Result<(), DbError> {
        self.inner.reconnect()
    }
}
