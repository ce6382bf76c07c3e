//! The errors that databases are made to answer with, as they say them.

use std::fmt;

use crate::db::{DbErrorKind, Engine};
use crate::prove::gate::Refusal;

/// An error code of a database, by its place in [`CODES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u8);

/// Engine, code, SQLSTATE, message, kind, whether the transaction is rolled back with it.
type CodeRow = (
    Engine,
    &'static str,
    &'static str,
    &'static str,
    DbErrorKind,
    bool,
);

/// The errors that archive engines meet in the field.
const CODES: [CodeRow; 15] = [
    (
        Engine::Mysql,
        "1205",
        "HY000",
        "Lock wait timeout exceeded; try restarting transaction",
        DbErrorKind::Retryable,
        false,
    ),
    (
        Engine::Mysql,
        "1213",
        "40001",
        "Deadlock found when trying to get lock; try restarting transaction",
        DbErrorKind::Retryable,
        true,
    ),
    (
        Engine::Mysql,
        "1180",
        "HY000",
        "Got error 90 \"Message too long\" during COMMIT",
        DbErrorKind::TooLarge,
        true,
    ),
    (
        Engine::Mysql,
        "1105",
        "HY000",
        "Maximum writeset size exceeded",
        DbErrorKind::TooLarge,
        true,
    ),
    (
        Engine::Mysql,
        "1047",
        "08S01",
        "WSREP has not yet prepared node for application use",
        DbErrorKind::Retryable,
        false,
    ),
    (
        Engine::Mysql,
        "1317",
        "70100",
        "Query execution was interrupted",
        DbErrorKind::Other,
        false,
    ),
    (
        Engine::Mysql,
        "1114",
        "HY000",
        "The table is full",
        DbErrorKind::Other,
        false,
    ),
    (
        Engine::Postgres,
        "40001",
        "40001",
        "could not serialize access due to concurrent update",
        DbErrorKind::Retryable,
        true,
    ),
    (
        Engine::Postgres,
        "40P01",
        "40P01",
        "deadlock detected",
        DbErrorKind::Retryable,
        true,
    ),
    (
        Engine::Postgres,
        "53100",
        "53100",
        "could not extend file: No space left on device",
        DbErrorKind::Other,
        true,
    ),
    (
        Engine::Postgres,
        "57014",
        "57014",
        "canceling statement due to user request",
        DbErrorKind::Other,
        true,
    ),
    (
        Engine::Postgres,
        "55P03",
        "55P03",
        "canceling statement due to lock timeout",
        DbErrorKind::Retryable,
        true,
    ),
    (
        Engine::Sqlite,
        "SQLITE_BUSY",
        "",
        "database is locked",
        DbErrorKind::Retryable,
        false,
    ),
    (
        Engine::Sqlite,
        "SQLITE_FULL",
        "",
        "database or disk is full",
        DbErrorKind::Other,
        false,
    ),
    (
        Engine::Sqlite,
        "SQLITE_INTERRUPT",
        "",
        "interrupted",
        DbErrorKind::Other,
        false,
    ),
];

impl Code {
    /// Every error of this engine.
    pub fn of(engine: Engine) -> impl Iterator<Item = Self> {
        (0_u8..)
            .zip(CODES)
            .filter(move |(_, row)| row.0 == engine)
            .map(|(index, _)| Self(index))
    }

    /// The error that is called this.
    pub(super) fn named(code: &str) -> Option<Self> {
        let rows = (0_u8..).zip(CODES);
        let mut named = rows.filter(|(_, row)| row.1 == code);
        named.next().map(|(index, _)| Self(index))
    }

    fn row(self) -> CodeRow {
        CODES[usize::from(self.0)]
    }

    /// The error as an answer.
    pub fn refusal(self) -> Refusal {
        let (_, code, sqlstate, message, kind, rolls_back) = self.row();
        Refusal {
            code: code.into(),
            sqlstate: sqlstate.into(),
            message: message.into(),
            kind,
            rolls_back,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

impl Refusal {
    /// How a COMMIT is refused that cannot be: a certification that failed on Galera, which says it as a
    /// deadlock; a serialization failure; a lock that SQLite does not get.
    pub(in crate::prove) fn of_commit(engine: Engine) -> Self {
        let (code, message) = match engine {
            Engine::Mysql => (
                "1213",
                "Deadlock found when trying to get lock; try restarting transaction",
            ),
            Engine::Postgres => (
                "40001",
                "could not serialize access due to read/write dependencies among transactions",
            ),
            Engine::Sqlite => ("SQLITE_BUSY", "database is locked"),
        };
        Self {
            code: code.into(),
            sqlstate: "40001".into(),
            message: message.into(),
            kind: DbErrorKind::Retryable,
            rolls_back: true,
        }
    }
}
