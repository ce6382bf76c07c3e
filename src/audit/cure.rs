//! What heals a finding where there is nothing to choose: stated by its check, as data, and done by `sexton repair`.

use crate::db::{DbError, Session, Value};
use crate::schema::FamilyGraph;

use super::checks::Checks;
use super::probe::{settings, unset};
use super::run::plan;

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
    /// The SELECT of their keys.
    pub keys: String,
}

/// Rows that have a cure.
#[derive(Debug, Clone, PartialEq)]
pub struct Curable {
    /// The check that found them.
    pub check: &'static str,
    /// What is wrong with them.
    pub message: String,
    /// What heals them.
    pub cure: Cure,
    /// Their keys.
    pub keys: Vec<Vec<Value>>,
}

/// All rows that the chosen checks find and can have healed, in the order in which that is to be done.
pub(crate) fn curable(
    session: &mut Session,
    graph: &FamilyGraph,
    checks: &Checks,
) -> Result<Vec<Curable>, DbError> {
    let probes = plan(graph, session.engine(), checks);
    let cures = probes
        .iter()
        .flat_map(|probe| probe.cures.iter().map(move |c| (probe, c)));
    let mut cures: Vec<_> = cures.collect();
    cures.sort_by(|(_, a), (_, b)| a.way.cmp(&b.way));
    for setting in settings(session.engine()) {
        let _ = session.execute(setting);
    }
    let mut found = Vec::new();
    let mut failed = None;
    for (probe, cure) in cures {
        match session.query(&cure.keys) {
            Ok(keys) if keys.is_empty() => {}
            Ok(keys) => found.push(Curable {
                check: probe.check,
                message: probe.message.clone(),
                cure: cure.clone(),
                keys,
            }),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    for setting in unset(session.engine()) {
        let _ = session.execute(setting);
    }
    match failed {
        None => Ok(found),
        Some(error) => Err(error),
    }
}
