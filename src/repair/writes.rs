//! What a repair writes itself: copies that it deletes, columns that it sets. Everything else is moved by the archive
//! engine.
//!
//! Each statement asks again for what made its rows curable, so a row that was changed meanwhile is left; and one that
//! was cut is simply sent again, for what it has done no longer asks for it.

use crate::archive::key_in;
use crate::audit::{Cure, Way, linear};
use crate::db::{DbError, Engine, Session, Value};
use crate::schema::{FamilyGraph, Member};

/// What is written for one cure.
pub(super) struct Rewrite<'a> {
    engine: Engine,
    member: &'a Member,
    way: &'a Way,
}

impl<'a> Rewrite<'a> {
    /// Nothing for rows that move.
    pub(super) fn new(graph: &'a FamilyGraph, engine: Engine, cure: &'a Cure) -> Option<Self> {
        let member = graph.member(&cure.table)?;
        let way = &cure.way;
        let moves = matches!(way, Way::Return | Way::Follow | Way::Archive);
        (!moves).then_some(Self {
            engine,
            member,
            way,
        })
    }

    /// What does it to these rows, as far as they ask for it still.
    pub(super) fn statement(&self, keys: &[Vec<Value>]) -> String {
        let (live, shadow) = self.tables();
        let these = key_in(self.engine, "", &self.member.key, keys);
        match self.way {
            Way::DropShadowCopy { same } => {
                format!(
                    "DELETE FROM {shadow} WHERE {these} AND {}",
                    self.still(same, keys)
                )
            }
            Way::DropLiveCopy { same } => {
                format!(
                    "DELETE FROM {live} WHERE {these} AND {}",
                    self.still(same, keys)
                )
            }
            Way::Set { to, condition } => {
                format!("UPDATE {live} SET {to} WHERE {these} AND {condition}")
            }
            Way::Return | Way::Follow | Way::Archive => String::new(),
        }
    }

    /// What locks the two copies first: PostgreSQL looks again at the row that it deletes, where another transaction has
    /// changed that meanwhile, and not at the one that it was compared with.
    pub(super) fn locks(&self, keys: &[Vec<Value>]) -> Vec<String> {
        if matches!(self.way, Way::Set { .. }) {
            return Vec::new();
        }
        let (live, shadow) = self.tables();
        let lock = |table: &String| {
            format!(
                "SELECT {} FROM {table} WHERE {}{}",
                self.engine.quote_all(&self.member.key),
                key_in(self.engine, "", &self.member.key, keys),
                self.engine.for_update()
            )
        };
        [live, shadow].iter().map(lock).collect()
    }

    fn tables(&self) -> (String, String) {
        let shadow = self.member.shadow.as_deref().unwrap_or_default();
        (
            self.engine.quote(&self.member.table),
            self.engine.quote(shadow),
        )
    }

    /// That a row is among those that are the same in both tables.
    fn still(&self, same: &str, keys: &[Vec<Value>]) -> String {
        let (engine, key) = (self.engine, &self.member.key);
        let list: Vec<_> = key.iter().map(|c| engine.column("l", c)).collect();
        let row = match key.as_slice() {
            [one] => engine.quote(one),
            many => format!("({})", engine.quote_all(many)),
        };
        // In a table of its own: MariaDB and MySQL delete from none that they read.
        format!(
            "{row} IN (SELECT * FROM (SELECT DISTINCT {} {same} AND {}) still)",
            list.join(", "),
            key_in(engine, "l", key, keys)
        )
    }
}

/// One transaction: the rows are locked, then written.
pub(super) fn write(
    session: &mut Session,
    locks: &[String],
    statement: &str,
) -> Result<u64, DbError> {
    linear(session, |session| transaction(session, locks, statement))
}

fn transaction(session: &mut Session, locks: &[String], statement: &str) -> Result<u64, DbError> {
    session.begin()?;
    match locked(session, locks, statement) {
        Ok(rows) => session.commit().map(|()| rows),
        Err(error) => Err(error),
    }
    // After a failed statement never COMMIT: Galera would say OK and commit nothing.
    .inspect_err(|_| drop(session.rollback()))
}

fn locked(session: &mut Session, locks: &[String], statement: &str) -> Result<u64, DbError> {
    for lock in locks {
        session.query(lock)?;
    }
    session.execute(statement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Checks, ask, plan};
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
        let checks = Checks::choose(&checks).unwrap();
        let probes = plan(&graph, Engine::Sqlite, &checks);
        let cures = probes.iter().flat_map(|probe| &probe.cures);
        let mut found = Vec::new();
        for cure in cures {
            let window = cure.window(Engine::Sqlite, None, None, 10);
            let keys = ask(&mut session, &window).unwrap();
            found.extend(Some((cure, keys)).filter(|(_, keys)| !keys.is_empty()));
        }
        let count: Vec<_> = found.iter().map(|(_, keys)| keys.len()).collect();
        assert_eq!(count, [2, 2]);
        for statement in [
            "UPDATE a SET note = 'changed' WHERE id = 1",
            "UPDATE a SET deleted = 0 WHERE id = 3",
        ] {
            session.execute(statement).unwrap();
        }
        for (cure, keys) in &found {
            let rewrite = Rewrite::new(&graph, Engine::Sqlite, cure).unwrap();
            let statement = rewrite.statement(keys);
            write(&mut session, &rewrite.locks(keys), &statement).unwrap();
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
