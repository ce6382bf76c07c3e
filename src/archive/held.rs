//! A database that is held for as long as a repair takes: one lock around everything that is asked, moved and written,
//! so that no archive, purge or restore comes between the question and what is done about it.
//!
//! Rows that are named one by one move with all of their family, to where the rest of it is.

use std::collections::BTreeMap;

use crate::db::{AdvisoryLock, DbError, Engine, Session};
use crate::error::Result;
use crate::schema::FamilyGraph;

use super::around::{taken, under};
use super::capture::RootKind;
use super::forest::Key;
use super::name::row_name;
use super::options::{Observer, Options};
use super::outcome::{Blocked, Outcome};
use super::preflight::check_owners;
use super::restore::by_live_table;
use super::roots::Roots;
use super::run::Run;
use super::stop::Stop;
use super::vanished::Waited;

/// Which way rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Soft-deleted live rows to the shadow tables, with what owns them.
    Archive,
    /// Live rows, whatever their marker says, after their parent into the shadow tables.
    Follow,
    /// Rows of the shadow tables to the live ones, with what owns them.
    Return,
}

/// The database, the lock on it, and what a run is told. In a dry run there is no lock.
pub(crate) struct Held<'a> {
    session: &'a mut Session,
    lock: Option<AdvisoryLock>,
    graph: &'a FamilyGraph,
    /// The same with the shadow tables as the members, for what comes back.
    back: FamilyGraph,
    options: Options,
    stop: &'a Stop<'a>,
    observer: &'a mut dyn Observer,
}

/// What became of rows that were to move.
pub(crate) struct Reunited {
    /// By live table.
    pub(crate) outcome: Outcome,
    /// Every family that is in the way, however many: reason and root, in the table that it was to leave.
    pub(crate) blocked: Vec<(String, String)>,
    /// How it ended.
    pub(crate) ended: Result<()>,
}

impl<'a> Held<'a> {
    /// Takes the lock, with the settings that a run relies on.
    ///
    /// # Errors
    ///
    /// As [`super::archive`].
    pub(crate) fn take(
        session: &'a mut Session,
        graph: &'a FamilyGraph,
        options: &Options,
        stop: &'a Stop<'a>,
        observer: &'a mut dyn Observer,
    ) -> Result<Self> {
        check_owners(session.label(), graph)?;
        let options = Options {
            until_complete: true,
            ..options.clone()
        };
        let lock = taken(session, graph, &options)?;
        Ok(Self {
            session,
            lock,
            graph,
            back: graph.returning(),
            options,
            stop,
            observer,
        })
    }

    /// Gives the session back, and the lock, which [`super::let_go`] releases.
    pub(crate) fn detach(self) -> Option<AdvisoryLock> {
        self.lock
    }

    /// The engine of the database.
    pub(crate) fn engine(&self) -> Engine {
        self.session.engine()
    }

    /// Its families.
    pub(crate) fn graph(&self) -> &'a FamilyGraph {
        self.graph
    }

    /// Those who watch.
    pub(crate) fn observer(&mut self) -> &mut dyn Observer {
        &mut *self.observer
    }

    /// Reads, or writes a transaction of its own: again where the connection was lost, after a deadlock, and while others
    /// hold a lock. The inner error is the database's last word.
    ///
    /// # Errors
    ///
    /// Exit code 75 where it does not pass for too long, or somebody asks for the end meanwhile; 69 where another
    /// archiver has taken the lock over.
    pub(crate) fn patiently<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Session) -> std::result::Result<T, DbError>,
    ) -> Result<std::result::Result<T, DbError>> {
        let mut run = Run::new(
            &mut *self.session,
            self.graph,
            &self.options,
            self.stop,
            &mut *self.observer,
        );
        run.lock = self.lock.as_ref();
        run.reading(|session| match attempt(session) {
            Err(error) if error.kind.may_pass_again() => Err(error),
            last => Ok(last),
        })
    }

    /// Moves the families of these rows of one table (the shadow table for those that come back), batch by batch. What
    /// is in the way of one holds up no other. What has moved is told whether it ends well or not.
    pub(crate) fn reunite(
        &mut self,
        direction: Direction,
        table: &str,
        keys: Vec<Key>,
    ) -> Reunited {
        let (kind, graph) = match direction {
            Direction::Archive => (RootKind::Named, self.graph),
            Direction::Follow => (RootKind::Straggler, self.graph),
            Direction::Return => (RootKind::Named, &self.back),
        };
        let (mut outcome, ended) = under(
            &mut *self.session,
            self.lock.as_ref(),
            &mut [],
            graph,
            &self.options,
            self.stop,
            &mut *self.observer,
            |run| {
                run.outcome.all_blocked = Some(Vec::new());
                run.each(kind, table, keys)
            },
        );
        let blocked = outcome.all_blocked.take().unwrap_or_default();
        let outcome = match direction {
            Direction::Archive | Direction::Follow => outcome,
            Direction::Return => by_live_table(outcome, &self.back),
        };
        Reunited {
            outcome,
            blocked,
            ended,
        }
    }
}

impl Run<'_> {
    fn each(&mut self, kind: RootKind, table: &str, keys: Vec<Key>) -> Result<()> {
        let Some(member) = self.sql.graph.member(table) else {
            return Ok(());
        };
        let Some(obstacle) = &member.obstacle else {
            let given = || Roots::given(kind, keys.clone());
            let sql = self.sql;
            let roots = match kind {
                RootKind::Named => {
                    self.reading(|session| given().in_order(session, sql, member))?
                }
                _ => given(),
            };
            let waiting = self.table(member, roots)?;
            let waited = BTreeMap::from([(member.table.as_str(), waiting.clone())]);
            let told = self.again(waited)?;
            return self.vanished(kind, member, &keys, Waited { waiting, told });
        };
        for key in keys {
            let root = row_name(table, &key);
            self.outcome.block(Blocked {
                reason: obstacle.reason().into(),
                path: vec![root.clone(), obstacle.to_string()],
                root,
                remedy: super::explain::remedy_of(self.sql, member),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::let_go;
    use super::*;
    use crate::db::{SqliteDriver, SqliteMode, Value, introspect};
    use crate::schema::Profile;

    /// Where the lock is lost with the connection, a restore may come between the question and the move.
    #[test]
    fn a_child_does_not_follow_a_parent_that_came_back() {
        let directory = tempfile::tempdir().unwrap();
        let driver = SqliteDriver::open(directory.path().join("a.db"), SqliteMode::Create).unwrap();
        let mut session = Session::new(Box::new(driver), Engine::Sqlite, "a");
        for statement in [
            "CREATE TABLE a (id INTEGER PRIMARY KEY, deleted INTEGER)",
            "CREATE TABLE shadow_a (id INTEGER PRIMARY KEY, deleted INTEGER)",
            "CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER REFERENCES a (id), deleted INTEGER)",
            "CREATE TABLE shadow_b (id INTEGER PRIMARY KEY, a_id INTEGER, deleted INTEGER)",
            "INSERT INTO a VALUES (1, 0)",
            "INSERT INTO shadow_a VALUES (2, 2)",
            "PRAGMA foreign_keys = OFF",
            "INSERT INTO b VALUES (5, 1, 0), (6, 2, 0)",
        ] {
            session.execute(statement).unwrap();
        }
        let schema = introspect(&mut session).unwrap();
        let graph = Profile::convention().families(&schema).unwrap();
        let (options, stop, mut observer) = (Options::default(), Stop::default(), ());
        let mut held = Held::take(&mut session, &graph, &options, &stop, &mut observer).unwrap();
        let keys = vec![vec![Value::Int(5)], vec![Value::Int(6)]];
        let Reunited { outcome, ended, .. } = held.reunite(Direction::Follow, "b", keys);
        ended.unwrap();
        let lock = held.detach();
        let_go(&mut session, lock);
        assert_eq!(outcome.rows, BTreeMap::from([("b".to_owned(), 1)]));
        assert_eq!(outcome.blocked[0].root, "b:5");
        let left = session.query_count("SELECT id FROM b").unwrap();
        assert_eq!(left, 5);
    }
}
