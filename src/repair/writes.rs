//! What a repair writes itself: copies that it deletes, columns that it sets. Everything else is moved by the archive
//! engine.
//!
//! Each statement asks again for what made its rows curable, so a row that was changed meanwhile is left; and one that
//! was cut is simply sent again, for what it has done no longer asks for it.

use crate::archive::{self, Observer, Stop, key_in, key_pieces};
use crate::audit::{Curable, Way};
use crate::db::{AdvisoryLock, DbError, DbErrorKind, Engine, Session};
use crate::error::{Error, Result};
use crate::exit::ExitCode;
use crate::schema::{FamilyGraph, Member};

/// Does it, or shows what it would do.
pub(super) fn write(
    session: &mut Session,
    graph: &FamilyGraph,
    rows: &Curable,
    options: &archive::Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<()> {
    let Some(member) = graph.member(&rows.cure.table) else {
        return Ok(());
    };
    let engine = session.engine();
    let pieces = key_pieces(engine, &rows.keys);
    let statements = pieces
        .iter()
        .map(|keys| statement(engine, member, &rows.cure.way, keys));
    let statements: Vec<_> = statements.collect();
    if options.dry_run {
        observer.plan(&member.table, &statements[..statements.len().min(1)]);
        return Ok(());
    }
    session.mind_cluster()?;
    let lock = AdvisoryLock::acquire(session)?;
    for statement in &statements {
        if stop.requested() {
            break;
        }
        again_and_again(session, &lock, statement, options, stop, observer)?;
    }
    // Where that fails the connection is gone, and the lock with it; what was written is written all the same.
    drop(lock.release(session));
    Ok(())
}

fn statement(engine: Engine, member: &Member, way: &Way, keys: &[Vec<crate::db::Value>]) -> String {
    let live = engine.quote(&member.table);
    let shadow = member
        .shadow
        .as_deref()
        .map(|s| engine.quote(s))
        .unwrap_or_default();
    let these = key_in(engine, "", &member.key, keys);
    let still = |same: &str| {
        let key = |alias: &str| -> Vec<String> {
            member.key.iter().map(|c| engine.column(alias, c)).collect()
        };
        let list = key("l").join(", ");
        let row = match member.key.as_slice() {
            [one] => engine.quote(one),
            many => format!("({})", engine.quote_all(many)),
        };
        // In a table of its own: MariaDB and MySQL delete from none that they read.
        format!(
            "{row} IN (SELECT * FROM (SELECT DISTINCT {list} {same} AND {}) still)",
            key_in(engine, "l", &member.key, keys)
        )
    };
    match way {
        Way::DropShadowCopy { same } => {
            format!("DELETE FROM {shadow} WHERE {these} AND {}", still(same))
        }
        Way::DropLiveCopy { same } => {
            format!("DELETE FROM {live} WHERE {these} AND {}", still(same))
        }
        Way::Set { to, condition } => {
            format!("UPDATE {live} SET {to} WHERE {these} AND {condition}")
        }
        Way::Return | Way::Follow | Way::Archive => String::new(),
    }
}

/// One statement, a transaction of its own, until it was answered.
fn again_and_again(
    session: &mut Session,
    lock: &AdvisoryLock,
    statement: &str,
    options: &archive::Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<()> {
    let mut attempt = 0;
    loop {
        let error = match session.execute(statement) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind.refuses_rows() => {
                observer.notice(&format!("{}: {error}: left as it is", session.label()));
                return Ok(());
            }
            Err(error) if error.kind.may_pass_again() => error,
            Err(error) => return Err(error.into()),
        };
        if attempt >= options.retries || stop.requested() {
            let message = format!("gave up after {} attempts: {error}", attempt + 1);
            return Err(Error::new(ExitCode::Stopped, message)
                .hint("what was done is done whole; run again to go on"));
        }
        stop.sleep(options.backoff * (1 << attempt.min(8)));
        attempt += 1;
        if error.kind == DbErrorKind::Connection {
            let regained: std::result::Result<(), DbError> = session.reconnect();
            if regained.is_ok() {
                lock.ensure(session)?.map_err(Error::from)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Checks, curable};
    use crate::db::{SqliteDriver, SqliteMode, introspect};
    use crate::schema::Profile;

    /// Between the question and the statement others may have written.
    #[test]
    fn rows_that_were_changed_meanwhile_are_left() {
        let directory = tempfile::tempdir().unwrap();
        let driver = SqliteDriver::open(directory.path().join("a.db"), SqliteMode::Create).unwrap();
        let mut session = Session::new(Box::new(driver), Engine::Sqlite, "a");
        for statement in [
            "CREATE TABLE a (id INTEGER PRIMARY KEY, note TEXT, deleted INTEGER, deleted_at DATETIME)",
            "CREATE TABLE shadow_a (id INTEGER PRIMARY KEY, note TEXT, deleted INTEGER, deleted_at DATETIME)",
            "INSERT INTO a VALUES (1, 'x', 1, '2025-01-01'), (2, 'x', 1, '2025-01-01'), (3, 'x', 3, NULL), (4, 'x', 4, NULL)",
            "INSERT INTO shadow_a SELECT * FROM a WHERE id < 3",
        ] {
            session.execute(statement).unwrap();
        }
        let schema = introspect(&mut session).unwrap();
        let graph = Profile::convention().families(&schema).unwrap();
        let checks = ["duplicate-in-shadow", "inconsistent-marker"].map(str::to_owned);
        let found = curable(&mut session, &graph, &Checks::choose(&checks).unwrap()).unwrap();
        let count: Vec<_> = found.iter().map(|rows| rows.keys.len()).collect();
        assert_eq!(count, [2, 2]);
        for statement in [
            "UPDATE a SET note = 'changed' WHERE id = 1",
            "UPDATE a SET deleted = 0 WHERE id = 3",
        ] {
            session.execute(statement).unwrap();
        }
        for rows in &found {
            let (options, stop) = (archive::Options::default(), Stop::default());
            write(&mut session, &graph, rows, &options, &stop, &mut ()).unwrap();
        }
        let left = |session: &mut Session, sql: &str| session.query_count(sql).unwrap();
        assert_eq!(left(&mut session, "SELECT id FROM shadow_a"), 1);
        assert_eq!(left(&mut session, "SELECT COUNT(*) FROM shadow_a"), 1);
        let dated = "SELECT COUNT(*) FROM a WHERE id = 4 AND deleted_at IS NOT NULL";
        assert_eq!(left(&mut session, dated), 1);
        let undated = "SELECT COUNT(*) FROM a WHERE id = 3 AND deleted_at IS NULL";
        assert_eq!(left(&mut session, undated), 1);
    }
}
