//! Probes: what a check wants to know, as plain data.

use crate::db::Engine;
use crate::schema::Reference;

use super::{Cure, Severity};

/// Stands in a remedy for the keys of the samples, as a list of SQL literals.
pub(super) const KEYS: &str = "{keys}";

/// A finding in waiting: everything but the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The check, filled in by [`super::plan`].
    pub check: &'static str,
    /// How bad it is if there are such rows.
    pub severity: Severity,
    /// The table with the rows.
    pub table: String,
    /// The reference concerned.
    pub reference: Option<String>,
    /// How the root is reached.
    pub path: Vec<String>,
    /// Which of the check's questions about this table it is, where there are several: a few words that stay the
    /// same for ever, as the finding is known by them.
    pub kind: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What mends it; may hold `{keys}` for the keys of the samples.
    pub remedy: String,
    /// Whether it has to be asked.
    pub ask: Ask,
    /// `FROM ... WHERE ...` of rows without which there are none of these either. Several probes share one, so that
    /// a database that is well is asked little.
    pub only_if: Option<String>,
    /// What heals the rows, where there is nothing to choose.
    pub cures: Vec<Cure>,
    /// Why there is something to choose, where the check's other rows are healed.
    pub choice: Option<&'static str>,
    /// Those of the rows that no cure is for, where there are cures.
    pub rest: Option<Rest>,
}

/// Rows that are found with others which have a cure, and have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// How many there are, and which.
    pub question: Question,
    /// Why they are left to somebody.
    pub why: &'static str,
}

/// Whether a probe has to ask the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The schema says so already; the names of what is at fault.
    Known(Vec<String>),
    /// The database has to be asked.
    Rows(Question),
}

/// A question to the database: how many rows, how old, which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// `FROM ... WHERE ...`.
    pub from_where: String,
    /// SQL of the columns that tell what is counted apart; empty where nothing does.
    pub key: Vec<String>,
    /// Whether different keys are counted instead of rows.
    pub distinct: bool,
    /// SQL of the column that tells the age.
    pub age: Option<String>,
    /// The SELECT that shows the rows.
    pub select: String,
}

impl Probe {
    /// A probe that asks about rows of a table.
    pub fn rows(severity: Severity, table: &str, question: Question) -> Self {
        Self::new(severity, table, Ask::Rows(question))
    }

    /// A probe whose answer the schema has.
    pub fn known(severity: Severity, table: &str, names: Vec<String>) -> Self {
        Self::new(severity, table, Ask::Known(names))
    }

    fn new(severity: Severity, table: &str, ask: Ask) -> Self {
        Self {
            check: "",
            severity,
            table: table.into(),
            reference: None,
            path: Vec::new(),
            kind: None,
            message: String::new(),
            remedy: String::new(),
            ask,
            only_if: None,
            cures: Vec::new(),
            choice: None,
            rest: None,
        }
    }

    /// The same probe, asked only if there are rows there.
    #[must_use]
    pub fn only_if(mut self, from_where: impl Into<Option<String>>) -> Self {
        self.only_if = from_where.into();
        self
    }

    /// The same probe with what heals its rows.
    #[must_use]
    pub fn cures(mut self, cures: impl IntoIterator<Item = Cure>) -> Self {
        self.cures.extend(cures);
        self
    }

    /// The same probe with the reason why its rows are left to somebody.
    #[must_use]
    pub fn choice(mut self, why: &'static str) -> Self {
        self.choice = Some(why);
        self
    }

    /// The same probe with those of its rows that no cure is for.
    #[must_use]
    pub fn rest(mut self, rest: impl Into<Option<Rest>>) -> Self {
        self.rest = rest.into();
        self
    }

    /// The same probe about this reference.
    #[must_use]
    pub fn reference(mut self, reference: &Reference) -> Self {
        self.reference = Some(reference.to_string());
        self
    }

    /// The same probe with the way from the root.
    #[must_use]
    pub fn path(mut self, path: Vec<String>) -> Self {
        self.path = path;
        self
    }

    /// The same probe as this one of the check's questions.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// The same probe with what is wrong.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same probe with what mends it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

impl Question {
    /// The statement that counts: count, oldest, newest.
    pub fn count_sql(&self) -> String {
        let ages = |age: &str| format!("MIN({age}), MAX({age})");
        if !self.distinct || self.key.is_empty() {
            let ages = self.age.as_deref().map_or("NULL, NULL".into(), ages);
            return format!("SELECT COUNT(*), {ages} {}", self.from_where);
        }
        let (inner, outer) = match &self.age {
            Some(age) => (
                format!("MIN({age}) AS lo, MAX({age}) AS hi"),
                "MIN(g.lo), MAX(g.hi)",
            ),
            None => ("1 AS one".into(), "NULL, NULL"),
        };
        format!(
            "SELECT COUNT(*), {outer} FROM (SELECT {inner} {} GROUP BY {}) AS g",
            self.from_where,
            self.key.join(", ")
        )
    }

    /// The statement that fetches the first keys, if rows can be told apart.
    pub fn sample_sql(&self, samples: usize) -> Option<String> {
        if self.key.is_empty() || samples == 0 {
            return None;
        }
        let keys = self.key.join(", ");
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        Some(format!(
            "SELECT {distinct}{keys} {} ORDER BY {keys} LIMIT {samples}",
            self.from_where
        ))
    }
}

/// What a session is told before it is asked, where its optimizer would otherwise be free to look
/// every row up in a table without an index. Servers that do not know a setting refuse it, which
/// is as good.
pub(super) fn settings(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Mysql => &[
            "SET SESSION optimizer_switch = 'materialization=on,semijoin=off'",
            // MariaDB
            "SET SESSION optimizer_switch = 'in_to_exists=off,exists_to_in=off,derived_with_keys=on'",
            // MySQL
            "SET SESSION optimizer_switch = 'subquery_materialization_cost_based=off'",
            // Over 16 MiB a materialized list of keys goes to disk, and each look into it is one at the disk.
            "SET SESSION max_heap_table_size = GREATEST(@@max_heap_table_size, 268435456), \
             tmp_table_size = GREATEST(@@tmp_table_size, 268435456)",
        ],
        Engine::Sqlite | Engine::Postgres => &[],
    }
}

/// What undoes [`settings`].
pub(super) fn unset(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Mysql => &[
            "SET SESSION optimizer_switch = DEFAULT",
            "SET SESSION max_heap_table_size = DEFAULT, tmp_table_size = DEFAULT",
        ],
        Engine::Sqlite | Engine::Postgres => &[],
    }
}
