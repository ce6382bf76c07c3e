//! What heals a finding where there is nothing to choose: stated by its check, as data, and done by `sexton repair`.

use crate::archive::Before;
use crate::db::{DbError, Engine, Session, Value};

use super::probe::{settings, unset};

/// How rows are healed; in the order in which it is done, for what comes back may take along what else would follow its
/// parent, and only what has its place is dated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Of a row that is the same in both tables, the one in the shadow table goes.
    DropShadowCopy {
        /// `FROM live l .. JOIN shadow s .. WHERE` they are the same.
        same: String,
    },
    /// The one in the live table goes: its family is archived.
    DropLiveCopy {
        /// As above.
        same: String,
    },
    /// Rows of a shadow table come back to the live one, to the family that they belong to.
    Return,
    /// Live rows follow their parent into the shadow tables.
    Follow,
    /// The families of soft-deleted live rows are archived.
    Archive,
    /// Columns are set, for as long as the condition holds.
    Set {
        /// `column = value, ...`
        to: String,
        /// Of the table's rows, without an alias.
        condition: String,
    },
}

impl Way {
    /// As scripts see it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DropShadowCopy { .. } => "drop-shadow-copy",
            Self::DropLiveCopy { .. } => "drop-live-copy",
            Self::Return => "return",
            Self::Follow => "follow",
            Self::Archive => "archive",
            Self::Set { .. } => "set",
        }
    }

    /// For people: what is done to the rows.
    pub fn said(&self) -> String {
        match self {
            Self::DropShadowCopy { .. } => "delete the copy in the shadow table".into(),
            Self::DropLiveCopy { .. } => "delete the copy in the live table".into(),
            Self::Return => "bring them back to the live table, with what belongs to them".into(),
            Self::Follow => "move them to the shadow table, after their parent".into(),
            Self::Archive => "archive them, with all of their family".into(),
            Self::Set { to, .. } => format!("set {to}"),
        }
    }
}

/// What heals the rows of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cure {
    /// What is done.
    pub way: Way,
    /// The table of the rows to which it is done: a shadow table for those that come back.
    pub table: String,
    /// Its key.
    pub key: Vec<String>,
    /// Its alias in `from_where`; empty if it has none.
    pub alias: &'static str,
    /// `FROM ... WHERE ...` of the rows, which may name one several times.
    pub from_where: String,
    /// Of families that are archived: the column that tells since when they are deleted.
    pub age: Option<String>,
}

impl Cure {
    /// The SELECT of the next keys after this one, in their order; all of rows deleted before that moment, if the way is to
    /// archive them.
    pub(crate) fn window(
        &self,
        engine: Engine,
        after: Option<&[Value]>,
        before: Option<&Before>,
        limit: usize,
    ) -> String {
        let key = self.columns(engine);
        let old = before.filter(|_| self.way == Way::Archive);
        let old = old.map_or_else(String::new, |before| {
            format!(" AND {}", self.old_enough(engine, before))
        });
        let after = self.beside(engine, ">", after);
        format!(
            "SELECT DISTINCT {key} {}{old}{after} ORDER BY {key} LIMIT {limit}",
            self.from_where
        )
    }

    /// The SELECT of the keys of a window, after that one and up to the last, whose rows ask for it still.
    pub(crate) fn still(&self, engine: Engine, after: Option<&[Value]>, last: &[Value]) -> String {
        format!(
            "SELECT DISTINCT {} {}{}{}",
            self.columns(engine),
            self.from_where,
            self.beside(engine, ">", after),
            self.beside(engine, "<=", Some(last))
        )
    }

    /// Of families that are archived: how many are too young for it.
    pub(crate) fn young(&self, engine: Engine, before: &Before) -> Option<String> {
        if self.way != Way::Archive {
            return None;
        }
        let old = self.old_enough(engine, before);
        Some(format!(
            "SELECT COUNT(*) FROM (SELECT DISTINCT {} {} AND CASE WHEN {old} THEN 1 ELSE 0 END = 0) AS young",
            self.columns(engine),
            self.from_where
        ))
    }

    /// What bears no date is never old enough.
    fn old_enough(&self, engine: Engine, before: &Before) -> String {
        match &self.age {
            Some(age) => format!("{} < '{before}'", self.column(engine, age)),
            None => "1 = 0".into(),
        }
    }

    /// That a row's key is on that side of this one.
    fn beside(&self, engine: Engine, side: &str, key: Option<&[Value]>) -> String {
        let columns = self.columns(engine);
        let Some(key) = key else {
            return String::new();
        };
        let values: Vec<_> = key.iter().map(|value| engine.literal(value)).collect();
        match values.as_slice() {
            [one] => format!(" AND {columns} {side} {one}"),
            many => format!(" AND ({columns}) {side} ({})", many.join(", ")),
        }
    }

    fn columns(&self, engine: Engine) -> String {
        let columns = self.key.iter().map(|column| self.column(engine, column));
        columns.collect::<Vec<_>>().join(", ")
    }

    fn column(&self, engine: Engine, column: &str) -> String {
        match self.alias {
            "" => engine.quote(column),
            alias => engine.column(alias, column),
        }
    }
}

/// Asks a question of a check, with the settings that keep it linear in the rows it reads.
pub(crate) fn ask(session: &mut Session, sql: &str) -> Result<Vec<Vec<Value>>, DbError> {
    linear(session, |session| session.query(sql))
}

/// Does something with those settings.
pub(crate) fn linear<T>(
    session: &mut Session,
    work: impl FnOnce(&mut Session) -> Result<T, DbError>,
) -> Result<T, DbError> {
    let engine = session.engine();
    for setting in settings(engine) {
        let _ = session.execute(setting);
    }
    let done = work(session);
    for setting in unset(engine) {
        let _ = session.execute(setting);
    }
    done
}
