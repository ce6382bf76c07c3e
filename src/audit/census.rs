//! How many rows there are, and how many of them only wait to be moved: a census, by table and by age.
//!
//! It is no check: it finds nothing wrong, and nobody's exit code depends on it but for tables that could not be
//! read. It reads each live table once from end to end, and each shadow table once, so it is taken only where
//! somebody wants it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::NotChecked;
use crate::archive::Before;
use crate::db::{DbError, Engine, Session, Value};
use crate::error::Result;
use crate::schema::{FamilyGraph, Member};

/// What stands in `not_checked` for a table that could not be counted.
const ID: &str = "census";

/// The upper ends of the age classes, in days; what is older than the last one is a class too.
pub const AGE_CLASSES: [u16; 4] = [7, 30, 90, 365];

/// The rows of all tables at one moment, or nearly: the statements are not one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// The moment that ages are counted back from, in UTC: `2026-01-31 12:00:00`.
    pub at: String,
    /// The live tables with a marker or a shadow table, by name.
    pub tables: Vec<TableCensus>,
}

/// The rows of one live table and its shadow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCensus {
    /// The live table; with several cells `cell.table`.
    pub table: String,
    /// Its rows, soft-deleted ones included.
    pub rows: u64,
    /// Its soft-deleted rows: those that are pending.
    pub pending: u64,
    /// Whether its service marks none of its rows, so that nobody can tell which are pending.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_marked: bool,
    /// Rows of its shadow table; `None` where it has none.
    pub archived: Option<u64>,
    /// When the oldest pending row was deleted, as the database spells it.
    pub oldest: Option<String>,
    /// How long before the moment of the census that was, in seconds; 0 for a date in the future.
    pub oldest_age_seconds: Option<u64>,
    /// When the oldest row of the shadow table was deleted.
    pub oldest_archived: Option<String>,
    /// The pending rows by age; together they are `pending`.
    pub ages: Ages,
}

/// Rows by how long ago they were soft-deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ages {
    /// Up to 7 days ago, or at a date that is yet to come.
    pub days_7: u64,
    /// Longer ago, up to 30 days.
    pub days_30: u64,
    /// Longer ago, up to 90 days.
    pub days_90: u64,
    /// Longer ago, up to 365 days.
    pub days_365: u64,
    /// Longer ago than 365 days.
    pub older: u64,
    /// No date says when.
    pub no_date: u64,
}

impl Ages {
    /// Each class by its name in words, from the youngest on.
    pub fn classes(&self) -> [(&'static str, u64); 6] {
        [
            ("up to 7 days", self.days_7),
            ("8 to 30 days", self.days_30),
            ("31 to 90 days", self.days_90),
            ("91 to 365 days", self.days_365),
            ("over 365 days", self.older),
            ("no date", self.no_date),
        ]
    }

    /// Adds those of another table.
    fn add(&mut self, other: &Self) {
        self.days_7 += other.days_7;
        self.days_30 += other.days_30;
        self.days_90 += other.days_90;
        self.days_365 += other.days_365;
        self.older += other.older;
        self.no_date += other.no_date;
    }
}

impl Census {
    /// A census of this moment, of no table yet.
    ///
    /// # Errors
    ///
    /// Exit code 64 for a moment that no database has a date for.
    pub fn new(at: Timestamp) -> Result<Self> {
        Ok(Self {
            at: moment(at, 0)?.to_string(),
            tables: Vec::new(),
        })
    }

    /// Counts the tables of one database, each under its name with `prefix` before it; what could not be counted.
    ///
    /// # Errors
    ///
    /// As [`Census::new`]. A statement that fails is no error: its table is among what could not be counted.
    pub fn take(
        &mut self,
        session: &mut Session,
        graph: &FamilyGraph,
        prefix: &str,
    ) -> Result<Vec<NotChecked>> {
        let at = self.moment()?;
        let since = AGE_CLASSES.map(|days| moment(at, days));
        let since: Vec<Before> = since.into_iter().collect::<Result<_>>()?;
        let mut gaps = Vec::new();
        for member in graph.members.values() {
            if member.marker.is_none() && member.shadow.is_none() {
                continue;
            }
            let table = format!("{prefix}{}", member.table);
            match count(session, graph, member, &since) {
                Ok(mut counted) => {
                    counted.oldest_age_seconds =
                        counted.oldest.as_deref().and_then(|d| age_at(at, d));
                    counted.table = table;
                    self.tables.push(counted);
                }
                Err(error) => gaps.push(NotChecked {
                    check: ID.into(),
                    table: Some(table),
                    why: error.to_string(),
                }),
            }
        }
        Ok(gaps)
    }

    /// All tables together: their rows, pending ones, those in shadow tables, and the ages of what is pending.
    pub fn total(&self) -> TableCensus {
        let mut total = TableCensus::default();
        for part in &self.tables {
            total.rows += part.rows;
            total.pending += part.pending;
            if let Some(archived) = part.archived {
                *total.archived.get_or_insert(0) += archived;
            }
            total.ages.add(&part.ages);
        }
        let oldest = self.tables.iter().max_by_key(|t| t.oldest_age_seconds);
        if let Some(part) = oldest.filter(|t| t.oldest_age_seconds.is_some()) {
            total.oldest.clone_from(&part.oldest);
            total.oldest_age_seconds = part.oldest_age_seconds;
        }
        total.oldest_archived = self
            .tables
            .iter()
            .filter_map(|t| t.oldest_archived.clone())
            .min();
        total
    }

    fn moment(&self) -> Result<Timestamp> {
        timestamp(&self.at).ok_or_else(|| {
            crate::error::Error::internal(format!("a census was taken at '{}'", self.at))
        })
    }
}

/// So many days before a moment.
fn moment(at: Timestamp, days: u16) -> Result<Before> {
    Before::parse(&format!("{days}d"), at)
}

/// A date and time of a database, taken for UTC. A fraction of a second, or a zone, is left out.
fn timestamp(text: &str) -> Option<Timestamp> {
    let seconds = text.get(..19)?.replace('T', " ");
    let moment: DateTime = seconds.parse().ok()?;
    Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The seconds from a date to that moment.
fn age_at(at: Timestamp, date: &str) -> Option<u64> {
    let then = timestamp(date)?;
    Some(u64::try_from(at.as_second() - then.as_second()).unwrap_or(0))
}

fn count(
    session: &mut Session,
    graph: &FamilyGraph,
    member: &Member,
    since: &[Before],
) -> Result<TableCensus, DbError> {
    let sql = live_sql(graph, member, session.engine(), since);
    let row = session.query_row(&sql)?.unwrap_or_default();
    let number = |index: usize| -> u64 {
        let value = row.get(index).and_then(Value::as_int);
        value.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    };
    let mut counted = TableCensus {
        rows: number(0),
        pending: number(1),
        oldest: row.get(2).filter(|v| !v.is_null()).map(Value::to_string),
        ages: Ages {
            days_7: number(3),
            days_30: number(4),
            days_90: number(5),
            days_365: number(6),
            older: number(7),
            no_date: 0,
        },
        ..TableCensus::default()
    };
    let dated = counted.ages.classes().iter().map(|(_, n)| n).sum();
    counted.ages.no_date = counted.pending.saturating_sub(dated);
    counted.never_marked = member.marker.is_none() || member.never_marked;
    if let Some(shadow) = &member.shadow {
        let (archived, oldest) = count_and_oldest(session, graph, member, shadow, "")?;
        counted.archived = Some(archived);
        counted.oldest_archived = oldest;
    }
    Ok(counted)
}

/// The statement about a live table: its rows, the soft-deleted ones, the oldest of these, and how many of them are
/// of each class of age. One pass, for there may be no index for any of it.
fn live_sql(graph: &FamilyGraph, member: &Member, engine: Engine, since: &[Before]) -> String {
    let from = format!("FROM {} t", engine.quote(&member.table));
    let marker = member.marker.as_ref().filter(|_| !member.never_marked);
    let Some(marker) = marker else {
        return format!("SELECT COUNT(*) {from}");
    };
    let deleted = marker.is_deleted(engine, "t");
    let count_if = |condition: &str| format!("COUNT(CASE WHEN {condition} THEN 1 END)");
    let mut columns = vec!["COUNT(*)".to_owned(), count_if(&deleted)];
    if let Some(age) = age_column(graph, member, &member.table) {
        let age = engine.column("t", age);
        columns.push(format!("MIN(CASE WHEN {deleted} THEN {age} END)"));
        let mut younger = String::new();
        for since in since {
            columns.push(count_if(&format!(
                "{deleted} AND {age} >= '{since}'{younger}"
            )));
            younger = format!(" AND {age} < '{since}'");
        }
        columns.push(count_if(&format!("{deleted}{younger}")));
    }
    format!("SELECT {} {from}", columns.join(", "))
}

/// The column that tells the age of a member's rows, if that table, live or shadow, has it.
fn age_column<'a>(graph: &FamilyGraph, member: &'a Member, table: &str) -> Option<&'a str> {
    let age = member.age.as_deref()?;
    graph.table(table)?.column(age).map(|_| age)
}

/// The rows of a table, live or shadow, for which a condition holds (` WHERE ...`, or nothing), and when the oldest of
/// them was deleted.
pub(super) fn count_and_oldest(
    session: &mut Session,
    graph: &FamilyGraph,
    member: &Member,
    table: &str,
    condition: &str,
) -> Result<(u64, Option<String>), DbError> {
    let engine = session.engine();
    let oldest = match age_column(graph, member, table) {
        Some(age) => format!("MIN({})", engine.column("t", age)),
        None => "NULL".into(),
    };
    let sql = format!(
        "SELECT COUNT(*), {oldest} FROM {} t{condition}",
        engine.quote(table)
    );
    let row = session.query_row(&sql)?.unwrap_or_default();
    let count = row.first().and_then(Value::as_int);
    let oldest = row.get(1).filter(|v| !v.is_null()).map(Value::to_string);
    Ok((
        count.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
        oldest,
    ))
}
