//! Rows in the way of a statement: what has to be locked for a copy to wait in its middle.
//!
//! A statement that takes microseconds cannot be killed in its middle by the clock. One that copies
//! rows into a shadow table can be held there: another session has inserted the last of those keys
//! and not committed, so the server waits with all rows before it already written.

use std::collections::{BTreeMap, HashSet};

use super::injector::Passed;
use super::normal::Kind;
use super::state::{Record, Shape, State};
use crate::db::{Engine, Value};

/// A row that a statement is about to copy into a shadow table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Victim {
    /// The shadow table.
    pub(super) table: String,
    /// Its columns, as far as the live table has them too, and their values as text.
    pub(super) values: Vec<(String, Option<String>)>,
}

impl Victim {
    /// The statement that inserts it.
    pub(super) fn insert(&self, engine: Engine) -> String {
        let literal = |value: &Option<String>| match value {
            None => "NULL".to_owned(),
            Some(text) => engine.literal(&Value::Text(text.clone())),
        };
        let values: Vec<_> = self.values.iter().map(|(_, v)| literal(v)).collect();
        format!(
            "INSERT INTO {} ({}) VALUES ({})",
            engine.quote(&self.table),
            engine.quote_all(self.values.iter().map(|(column, _)| column)),
            values.join(", ")
        )
    }
}

/// The last row that each statement of an undisturbed run copies, by the statement's number. Where two
/// statements of one transaction copy into the same table, nothing says whose row is whose: they have
/// none.
pub(super) fn victims(
    shape: &Shape,
    trace: &[Passed],
    start: &State,
    commits: &[(u64, State)],
) -> BTreeMap<u64, Victim> {
    let copies: Vec<_> = trace
        .iter()
        .filter(|p| p.database == "main" && p.kind == Kind::Write && p.affected > 0)
        .filter_map(|p| Some((p.point?, into_shadow(shape, &p.sql)?)))
        .collect();
    let mut before = start;
    let mut from = 0;
    let mut found = BTreeMap::new();
    for (end, after) in commits {
        let here: Vec<_> = copies
            .iter()
            .filter(|(point, _)| (from + 1..=*end).contains(point))
            .collect();
        for (point, table) in &here {
            let alone = here.iter().filter(|(_, other)| other == table).count() == 1;
            if let Some(row) = last_new(shape, *table, before, after).filter(|_| alone) {
                found.insert(*point, row);
            }
        }
        (before, from) = (after, *end);
    }
    found
}

/// The live table into whose shadow the statement inserts.
fn into_shadow(shape: &Shape, sql: &str) -> Option<usize> {
    // A DELETE may hand its rows on: WITH gone AS (DELETE .. RETURNING ..) INSERT INTO ..
    let insert = match sql
        .get(..5)
        .is_some_and(|w| w.eq_ignore_ascii_case("WITH "))
    {
        true => &sql[sql.rfind(") INSERT INTO ")? + 2..],
        false => sql,
    };
    let mut words = insert.split_whitespace();
    let starts =
        |word: Option<&str>, with: &str| word.is_some_and(|w| w.eq_ignore_ascii_case(with));
    if !starts(words.next(), "INSERT") || !starts(words.next(), "INTO") {
        return None;
    }
    let named = words.next()?.split('(').next()?;
    let name = named.rsplit('.').next()?.trim_matches(['`', '"']);
    let mut tables = shape.tables.iter();
    tables.position(|t| t.shadow.as_deref() == Some(name))
}

/// Of the rows that came into a shadow table the one with the highest key.
fn last_new(shape: &Shape, table: usize, before: &State, after: &State) -> Option<Victim> {
    let known: HashSet<_> = before.tables[table].shadow.iter().collect();
    let new = after.tables[table].shadow.iter();
    let shaped = &shape.tables[table];
    // Numbers are in the order of their digits' count first; other keys have no order that matters.
    let place = |row: &&Record| -> Vec<(usize, String)> {
        let part = |i: &usize| row[*i].clone().unwrap_or_default();
        let key = shaped.key.iter().map(part);
        key.map(|text| (text.len(), text)).collect()
    };
    let row = new.filter(|row| !known.contains(row)).max_by_key(place)?;
    let columns = shaped.shadow_columns();
    Some(Victim {
        table: shaped.shadow.clone()?,
        values: columns
            .map(|i| (shaped.columns[i].clone(), row[i].clone()))
            .collect(),
    })
}
