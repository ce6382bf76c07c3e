//! Conflicts on a cluster: a row of a batch, written on another node and left as it was.
//!
//! Nodes tell conflicts by the keys of the rows that a transaction has written, not by what became of them. So a
//! transaction that changes a row and puts it back is in the way of every other that writes it, and takes nothing from
//! what the oracles have to find.

use std::collections::{BTreeMap, HashSet};

use super::injector::Passed;
use super::normal::Kind;
use super::state::{Shape, State};
use super::victim::Victim;
use crate::db::{Engine, Value};
use crate::schema::{ColumnType, FamilyGraph};

/// Two statements for one transaction: one that writes a row, and one that takes it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touch {
    pub(super) there: String,
    pub(super) back: String,
}

/// What is in the way of each statement that can lose a conflict, by its number: of the end of each transaction that
/// moved rows, and of what it said between its first write and its end.
pub(super) fn touches(
    graph: &FamilyGraph,
    shape: &Shape,
    (trace, victims): (&[Passed], &BTreeMap<u64, Victim>),
    (start, commits): (&State, &[(u64, State)]),
) -> BTreeMap<u64, Touch> {
    let mut before = start;
    let mut from = 0;
    let mut found = BTreeMap::new();
    for (end, after) in commits {
        let inside = trace.iter().filter(|p| {
            let point = p.point.filter(|p| (from + 1..=*end).contains(p));
            p.database == "main" && p.in_transaction && point.is_some()
        });
        let mut written = false;
        let mut copied = None;
        for (passed, point) in inside.filter_map(|p| Some((p, p.point?))) {
            let live = || live(graph, shape, before, after);
            // What was copied is locked for sure, what is to be deleted may be not yet.
            let touch = match passed.kind {
                _ if !written => None,
                Kind::Commit => live().or_else(|| shadow(shape, copied?)),
                Kind::Read | Kind::Write => copied
                    .and_then(|victim| shadow(shape, victim))
                    .or_else(live),
                _ => None,
            };
            found.extend(touch.map(|touch| (point, touch)));
            written |= passed.kind == Kind::Write && passed.affected > 0;
            copied = victims.get(&point).or(copied);
        }
        (before, from) = (after, *end);
    }
    found
}

/// Sets a text that no key and no reference uses, of a row that moved, and sets it back.
fn live(graph: &FamilyGraph, shape: &Shape, before: &State, after: &State) -> Option<Touch> {
    for (index, table) in shape.tables.iter().enumerate() {
        let left: HashSet<_> = after.tables[index].live.iter().collect();
        let gone = before.tables[index].live.iter();
        let Some(row) = gone.into_iter().find(|row| !left.contains(row)) else {
            continue;
        };
        let columns = &graph.table(&table.name)?.columns;
        let is_free = |name: &str| {
            let of_key = table.key.iter().any(|i| table.columns[*i] == name);
            let of_marker = table.marker.is_some_and(|(i, _)| table.columns[i] == name);
            let of_unique = graph.table(&table.name).is_some_and(|t| {
                let mut uniques = t.uniques.iter();
                uniques.any(|u| u.columns.iter().any(|c| c == name))
            });
            let mut references = graph.references.iter();
            let of_reference = references.any(|r| {
                r.child == table.name && r.child_columns.iter().any(|c| c == name)
                    || r.parent == table.name && r.parent_columns.iter().any(|c| c == name)
            });
            !of_key && !of_marker && !of_unique && !of_reference
        };
        let is_plain = |ty: &ColumnType| ty.is_text() && !matches!(ty, ColumnType::Enum(_));
        let free = columns.iter().find(|c| is_plain(&c.ty) && is_free(&c.name));
        let at = free.and_then(|c| table.columns.iter().position(|name| *name == c.name));
        let Some(at) = at else {
            continue;
        };
        let other = match row[at].as_deref() {
            Some("x") => "y",
            _ => "x",
        };
        let set = |value: &Option<String>| {
            format!(
                "UPDATE {} SET {} = {} WHERE {}",
                Engine::Mysql.quote(&table.name),
                Engine::Mysql.quote(&table.columns[at]),
                literal(value),
                key(table.key.iter().map(|i| (&table.columns[*i], &row[*i])))
            )
        };
        return Some(Touch {
            there: set(&Some(other.into())),
            back: set(&row[at]),
        });
    }
    None
}

/// Inserts a row that a copy has put into a shadow table, and deletes it.
fn shadow(shape: &Shape, victim: &Victim) -> Option<Touch> {
    let mut tables = shape.tables.iter();
    let table = tables.find(|t| t.shadow.as_ref() == Some(&victim.table))?;
    let is_key = |name: &String| table.key.iter().any(|i| table.columns[*i] == *name);
    let of_key = victim.values.iter().filter(|(name, _)| is_key(name));
    Some(Touch {
        there: victim.insert(Engine::Mysql),
        back: format!(
            "DELETE FROM {} WHERE {}",
            Engine::Mysql.quote(&victim.table),
            key(of_key.map(|(name, value)| (name, value)))
        ),
    })
}

fn key<'a>(columns: impl Iterator<Item = (&'a String, &'a Option<String>)>) -> String {
    let equal = |(name, value): (&String, &Option<String>)| {
        format!("{} <=> {}", Engine::Mysql.quote(name), literal(value))
    };
    columns.map(equal).collect::<Vec<_>>().join(" AND ")
}

fn literal(value: &Option<String>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(text) => Engine::Mysql.literal(&Value::Text(text.clone())),
    }
}
