//! What nobody needs any more: soft-deleted rows, and rows in shadow tables.

use serde::{Deserialize, Serialize};

use super::{Answers, Options};
use crate::audit::census::count_and_oldest;
use crate::audit::{Census, Finding, Severity};
use crate::db::{DbError, Session};
use crate::plural::several;
use crate::schema::FamilyGraph;

pub(super) const ID: &str = "backlog";

/// The soft-deleted and archived rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// The live table.
    pub table: String,
    /// Its soft-deleted rows.
    pub deleted: u64,
    /// When the oldest of them was deleted.
    pub oldest: Option<String>,
    /// Rows in its shadow table.
    pub archived: u64,
    /// When the oldest of them was deleted.
    pub oldest_archived: Option<String>,
}

/// The backlog of each table that has any. What a census has counted already is not counted again.
pub(super) fn look(
    session: &mut Session,
    prefix: &str,
    graph: &FamilyGraph,
    census: Option<&Census>,
    answers: &mut Answers,
) -> Vec<Backlog> {
    let engine = session.engine();
    let mut all = Vec::new();
    for member in graph.members.values() {
        let table = format!("{prefix}{}", member.table);
        let known = census.and_then(|c| c.tables.iter().find(|t| t.table == table));
        if let Some(known) = known {
            all.push(Backlog {
                table,
                deleted: known.pending,
                oldest: known.oldest.clone(),
                archived: known.archived.unwrap_or(0),
                oldest_archived: known.oldest_archived.clone(),
            });
            continue;
        }
        let mut ask = |name: &str, condition: &str| {
            let counted = count_and_oldest(session, graph, member, name, condition);
            counted.unwrap_or_else(|error| {
                answers.gap(ID, &table, &error);
                (0, None)
            })
        };
        let (deleted, oldest) = match member.marker.as_ref().filter(|_| !member.never_marked) {
            Some(marker) => {
                let condition = marker.is_deleted(engine, "t");
                ask(&member.table, &format!(" WHERE {condition}"))
            }
            None => (0, None),
        };
        let (archived, oldest_archived) = match &member.shadow {
            Some(shadow) => ask(shadow, ""),
            None => (0, None),
        };
        all.push(Backlog {
            table,
            deleted,
            oldest,
            archived,
            oldest_archived,
        });
    }
    all.retain(|part| part.deleted > 0 || part.archived > 0);
    all
}

/// More, or older, than there should be: one finding, with the tables that are to blame.
pub(super) fn judge(backlog: &[Backlog], options: &Options) -> Option<Finding> {
    let since = options.deleted_since.to_string();
    let most = options.max_deleted_rows;
    let is_old = |part: &Backlog| part.oldest.as_ref().is_some_and(|oldest| *oldest < since);
    let all = Backlog::deleted(backlog);
    let (many, old) = (all > most, backlog.iter().any(is_old));
    let why = match (many, old) {
        (false, false) => return None,
        (true, false) => format!("more than {most}"),
        (false, true) => format!("some were deleted before {since}"),
        (true, true) => format!("more than {most}, and some were deleted before {since}"),
    };
    let mut blamed: Vec<_> = backlog
        .iter()
        .filter(|part| part.deleted > 0 && (many || is_old(part)))
        .collect();
    blamed.sort_by_key(|part| std::cmp::Reverse(part.deleted));
    let mut found = Finding::new(ID, Severity::Warning, "*", all);
    found.samples = blamed
        .iter()
        .take(options.samples)
        .map(|part| part.table.clone())
        .collect();
    found.oldest = blamed.iter().filter_map(|part| part.oldest.clone()).min();
    found.message = format!("{}: {why}", several(all, "soft-deleted row"));
    found.remedy = "archive, or purge where there are no shadow tables, before the upgrade: the \
                    commands of the verdict"
        .into();
    Some(found)
}

impl Backlog {
    /// Soft-deleted rows of all tables.
    pub(super) fn deleted(backlog: &[Self]) -> u64 {
        backlog.iter().map(|part| part.deleted).sum()
    }
}

/// Rows of a table for which a condition holds.
pub(super) fn count(session: &mut Session, table: &str, condition: &str) -> Result<u64, DbError> {
    let table = session.engine().quote(table);
    let count =
        session.query_count(&format!("SELECT COUNT(*) FROM {table} t WHERE {condition}"))?;
    Ok(u64::try_from(count).unwrap_or(0))
}
