//! What is done to a row to hurt it.

use std::collections::BTreeSet;

use crate::db::Value;
use crate::prove::world::Row;
use crate::prove::writer::is_marked;
use crate::schema::{FamilyGraph, Member};

/// How far apart the keys of two copies are.
const STRIDE: i64 = 10_000;

fn member<'g>(graph: &'g FamilyGraph, row: &Row) -> Option<&'g Member> {
    graph.member(&row.table)
}

pub(super) fn is_dead(graph: &FamilyGraph, row: &Row) -> bool {
    let member = member(graph, row).filter(|m| !m.never_marked);
    member.is_some_and(|m| {
        m.marker
            .as_ref()
            .is_some_and(|marker| is_marked(marker, row))
    })
}

/// The same row in the shadow table, as far as that has its columns.
pub(super) fn archived(graph: &FamilyGraph, row: &Row) -> Option<Row> {
    let shadow = graph.table(member(graph, row)?.shadow.as_deref()?)?;
    let values = row
        .values
        .iter()
        .filter(|(column, _)| shadow.column(column).is_some());
    Some(Row {
        table: shadow.name.clone(),
        values: values.map(|(c, v)| (c.clone(), v.clone())).collect(),
    })
}

/// A text of a shadow table's row by which nothing is known.
pub(super) fn free_text(graph: &FamilyGraph, row: &Row) -> Option<String> {
    let table = graph.table(&row.table)?;
    let live = graph
        .members
        .values()
        .find(|m| m.shadow.as_ref() == Some(&row.table))?;
    let of_references = graph.references.iter().flat_map(|r| {
        let child = r.child_columns.iter().filter(|_| r.child == live.table);
        child.chain(r.parent_columns.iter().filter(|_| r.parent == live.table))
    });
    let mut known: BTreeSet<_> = of_references.chain(&live.key).cloned().collect();
    known.extend(live.marker.iter().map(|m| m.column.clone()));
    let mut columns = table.columns.iter().filter(|c| c.ty.is_text());
    columns
        .find(|c| !known.contains(&c.name))
        .map(|c| c.name.clone())
}

pub(super) fn unmark(graph: &FamilyGraph, row: &mut Row) {
    use crate::schema::MarkerStyle::{NonZero, NotFalseText, NotNull, True};
    let Some(marker) = member(graph, row).and_then(|m| m.marker.as_ref()) else {
        return;
    };
    let live = match marker.style {
        NonZero => Value::Int(0),
        True => Value::Bool(false),
        NotFalseText => Value::Text(marker.live.clone()),
        NotNull => Value::Null,
    };
    if let Some(at) = &marker.at {
        row.values.insert(at.clone(), Value::Null);
    }
    row.values.insert(marker.column.clone(), live);
}

/// Takes the date from a row that is marked; where the marker should hold the key, every other row keeps the date and has
/// another number there.
pub(super) fn undate(graph: &FamilyGraph, row: &mut Row, number: usize) {
    if !is_dead(graph, row) {
        return;
    }
    let Some(marker) = member(graph, row).and_then(|m| m.marker.as_ref()) else {
        return;
    };
    if let (true, Some(Value::Int(own))) = (
        marker.holds_key && number % 2 == 1,
        row.values.get(&marker.column),
    ) {
        let other = Value::Int(own + 7);
        row.values.insert(marker.column.clone(), other);
    } else if let Some(at) = marker.at.as_ref().filter(|at| **at != marker.column) {
        row.values.insert(at.clone(), Value::Null);
    }
}

/// Gives a row the date of its owner, if both have one.
pub(super) fn date_with(graph: &FamilyGraph, owner: &Row, row: &mut Row) {
    let date = |row: &Row| member(graph, row)?.marker.as_ref()?.at.clone();
    if let (Some(of_owner), Some(own)) = (date(owner), date(row))
        && let Some(value) = owner.values.get(&of_owner).filter(|v| !v.is_null())
        && is_dead(graph, row)
    {
        row.values.insert(own, value.clone());
    }
}

/// Makes a value that tells rows apart another one.
pub(super) fn shift(row: &mut Row, column: &str, number: i64, texts: bool) {
    match row.values.get_mut(column) {
        Some(Value::Int(value)) => *value += number * STRIDE,
        // Of the same length, and a hexadecimal number still.
        Some(Value::Text(text)) if texts && text.is_ascii() && !text.is_empty() => {
            text.replace_range(..1, &number.to_string());
        }
        _ => {}
    }
}
