//! SQLite's result codes as [`DbError`]s.

use rusqlite::ffi;

use super::super::wire::one_line;
use super::super::{DbError, DbErrorKind};

pub(super) fn db_error(error: rusqlite::Error) -> DbError {
    let (sqlite, message) = match &error {
        rusqlite::Error::SqliteFailure(sqlite, Some(message)) => (sqlite, message.clone()),
        rusqlite::Error::SqliteFailure(sqlite, None) => (sqlite, error.to_string()),
        // Its Display repeats the whole statement.
        rusqlite::Error::SqlInputError { error, msg, .. } => (error, msg.clone()),
        _ => return DbError::new(DbErrorKind::Other, "", one_line(&error.to_string())),
    };
    let (kind, code) = classify(sqlite.extended_code, &message);
    DbError::new(kind, code, one_line(&message))
}

fn classify(extended: i32, message: &str) -> (DbErrorKind, String) {
    let kind = match extended {
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => DbErrorKind::ForeignKey,
        // ON DELETE RESTRICT is a trigger inside, and reports itself as one.
        ffi::SQLITE_CONSTRAINT_TRIGGER if message.contains("FOREIGN KEY constraint failed") => {
            DbErrorKind::ForeignKey
        }
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_ROWID => DbErrorKind::DuplicateKey,
        _ => match extended & 0xff {
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => DbErrorKind::Retryable,
            ffi::SQLITE_CONSTRAINT | ffi::SQLITE_MISMATCH | ffi::SQLITE_TOOBIG => {
                DbErrorKind::Constraint
            }
            ffi::SQLITE_NOTADB => DbErrorKind::NotADatabase,
            ffi::SQLITE_READONLY | ffi::SQLITE_PERM | ffi::SQLITE_AUTH => DbErrorKind::Permission,
            _ => DbErrorKind::Other,
        },
    };
    (kind, code_name(extended))
}

/// The name of a result code: the extended one where it tells more that matters here.
fn code_name(extended: i32) -> String {
    let name = match extended {
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => "CONSTRAINT_FOREIGNKEY",
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY => "CONSTRAINT_PRIMARYKEY",
        ffi::SQLITE_CONSTRAINT_UNIQUE => "CONSTRAINT_UNIQUE",
        ffi::SQLITE_CONSTRAINT_ROWID => "CONSTRAINT_ROWID",
        ffi::SQLITE_CONSTRAINT_NOTNULL => "CONSTRAINT_NOTNULL",
        ffi::SQLITE_CONSTRAINT_CHECK => "CONSTRAINT_CHECK",
        ffi::SQLITE_CONSTRAINT_TRIGGER => "CONSTRAINT_TRIGGER",
        ffi::SQLITE_BUSY_SNAPSHOT => "BUSY_SNAPSHOT",
        _ => match extended & 0xff {
            ffi::SQLITE_ERROR => "ERROR",
            ffi::SQLITE_PERM => "PERM",
            ffi::SQLITE_ABORT => "ABORT",
            ffi::SQLITE_BUSY => "BUSY",
            ffi::SQLITE_LOCKED => "LOCKED",
            ffi::SQLITE_NOMEM => "NOMEM",
            ffi::SQLITE_READONLY => "READONLY",
            ffi::SQLITE_INTERRUPT => "INTERRUPT",
            ffi::SQLITE_IOERR => "IOERR",
            ffi::SQLITE_CORRUPT => "CORRUPT",
            ffi::SQLITE_FULL => "FULL",
            ffi::SQLITE_CANTOPEN => "CANTOPEN",
            ffi::SQLITE_SCHEMA => "SCHEMA",
            ffi::SQLITE_TOOBIG => "TOOBIG",
            ffi::SQLITE_CONSTRAINT => "CONSTRAINT",
            ffi::SQLITE_MISMATCH => "MISMATCH",
            ffi::SQLITE_AUTH => "AUTH",
            ffi::SQLITE_NOTADB => "NOTADB",
            _ => return format!("SQLITE_{extended}"),
        },
    };
    format!("SQLITE_{name}")
}
