//! What a session is told while rows are generated, and told back afterwards.

use crate::db::{DbError, DbErrorKind, Engine, Session};
use crate::error::Result;

/// Runs `fill` with settings that trade durability for speed: made-up rows can be made again.
pub(super) fn with_speed<T>(
    session: &mut Session,
    fill: impl FnOnce(&mut Session) -> Result<T>,
) -> Result<T> {
    let (before, after) = match session.engine() {
        Engine::Sqlite => {
            let level = session.query_count("PRAGMA synchronous")?;
            let size = session.query_count("PRAGMA cache_size")?;
            (
                "PRAGMA synchronous = OFF; PRAGMA cache_size = -65536".to_owned(),
                format!("PRAGMA synchronous = {level}; PRAGMA cache_size = {size}"),
            )
        }
        Engine::Postgres => (
            "SET synchronous_commit = off".to_owned(),
            "RESET synchronous_commit".to_owned(),
        ),
        // What would help, innodb_flush_log_at_trx_commit, is global: not ours to change.
        Engine::Mysql => return fill(session),
    };
    around(session, &before, &after, fill)
}

/// Runs `write` with foreign key checks off. Not inside a transaction: SQLite ignores the switch
/// there.
pub(super) fn without_foreign_keys<T>(
    session: &mut Session,
    write: impl FnOnce(&mut Session) -> Result<T>,
) -> Result<T> {
    let (off, on) = match session.engine() {
        Engine::Sqlite => {
            let on = session.query_count("PRAGMA foreign_keys")?;
            (
                "PRAGMA foreign_keys = OFF",
                format!("PRAGMA foreign_keys = {on}"),
            )
        }
        Engine::Mysql => (
            "SET SESSION foreign_key_checks = 0",
            "SET SESSION foreign_key_checks = 1".into(),
        ),
        Engine::Postgres => (
            "SET session_replication_role = replica",
            "RESET session_replication_role".into(),
        ),
    };
    around(session, off, &on, write)
}

/// Whether this login may switch foreign key checks off. Only PostgreSQL asks for a right.
pub(super) fn may_break_foreign_keys(session: &mut Session) -> Result<bool, DbError> {
    if session.engine() != Engine::Postgres {
        return Ok(true);
    }
    match session.execute("SET session_replication_role = replica") {
        Ok(_) => session
            .execute("RESET session_replication_role")
            .map(|_| true),
        Err(error) if error.kind == DbErrorKind::Permission => Ok(false),
        Err(error) => Err(error),
    }
}

fn around<T>(
    session: &mut Session,
    before: &str,
    after: &str,
    work: impl FnOnce(&mut Session) -> Result<T>,
) -> Result<T> {
    session.execute(before)?;
    let result = work(session);
    let restored = session.execute(after);
    let value = result?;
    restored?;
    Ok(value)
}
