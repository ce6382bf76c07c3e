//! *Conserved*, *durable*, *untouched*, and whether two states are the same.

use std::collections::{BTreeMap, BTreeSet};

use super::super::state::{Record, ReferenceShape, Shape, State, TableShape, names};
use super::{Breach, Oracle, some};

/// Live and shadow rows together are those of `expected`, by key and content.
pub fn conserved(shape: &Shape, expected: &State, found: &State) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, table) in shape.tables.iter().enumerate() {
        let both = |state: &State| {
            let sides = &state.tables[index];
            count(sides.live.iter().chain(&sides.shadow))
        };
        let (expected, found) = (both(expected), both(found));
        if expected == found {
            continue;
        }
        let names = |a: &BTreeMap<Record, usize>, b: &BTreeMap<Record, usize>| -> Vec<String> {
            a.iter()
                .filter(|(record, n)| b.get(*record).copied().unwrap_or(0) < **n)
                .map(|(record, _)| table.row_name(record))
                .collect()
        };
        let (lost, gained) = (names(&expected, &found), names(&found, &expected));
        breaches.push(Breach::new(
            Oracle::Conserved,
            &table.name,
            difference(&lost, &gained),
        ));
    }
    breaches
}

fn difference(lost: &[String], gained: &[String]) -> String {
    let lost_keys: BTreeSet<_> = lost.iter().collect();
    let changed = !lost.is_empty() && gained.iter().all(|row| lost_keys.contains(row));
    match (lost.is_empty(), gained.is_empty()) {
        (false, false) if changed => format!("changed: {}", some(lost)),
        (false, true) => format!("lost: {}", some(lost)),
        (true, false) => format!("there twice, or from nowhere: {}", some(gained)),
        _ => format!("lost: {}; from nowhere: {}", some(lost), some(gained)),
    }
}

fn count<'a>(rows: impl Iterator<Item = &'a Record>) -> BTreeMap<Record, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.clone()).or_default() += 1;
    }
    counts
}

/// Every row that was archived in an acknowledged state is still archived; whether it is what it was is for
/// *conserved*.
pub fn durable(shape: &Shape, acknowledged: &State, found: &State) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, table) in shape.tables.iter().enumerate() {
        let there = keys(table, &found.tables[index].shadow);
        let lost: Vec<_> = keys(table, &acknowledged.tables[index].shadow)
            .into_iter()
            .filter(|row| !there.contains(row))
            .collect();
        if !lost.is_empty() {
            let away = shape.away();
            let what = format!("acknowledged as {away} and no longer so: {}", some(&lost));
            breaches.push(Breach::new(Oracle::Durable, &table.name, what));
        }
    }
    breaches
}

/// Every row that came into a shadow table, or was purged, since `before` is one that may be, and no foreign
/// key of a live row leads to it.
pub fn untouched(
    shape: &Shape,
    before: &State,
    movable: &BTreeSet<String>,
    found: &State,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, table) in shape.tables.iter().enumerate() {
        let known: BTreeSet<_> = keys(table, &before.tables[index].shadow);
        let moved: Vec<_> = keys(table, &found.tables[index].shadow)
            .into_iter()
            .filter(|row| !known.contains(row) && !movable.contains(row))
            .collect();
        if !moved.is_empty() {
            let away = shape.away();
            let what = match shape.is_strict() {
                true => format!("{away}, though something holds them back: {}", some(&moved)),
                false => format!("{away}, though nothing marks them: {}", some(&moved)),
            };
            breaches.push(Breach::new(Oracle::Untouched, &table.name, what));
        }
    }
    for reference in &shape.references {
        // What moves with its parent is for *whole*; what no foreign key declares keeps no parent here.
        let moves = reference.owned && shape.tables[reference.child].shadow.is_some();
        if moves || !reference.declared {
            continue;
        }
        let known = left_behind(shape, reference, before);
        let left = left_behind(shape, reference, found);
        let left: Vec<_> = left.difference(&known).cloned().collect();
        if !left.is_empty() {
            let what = format!(
                "still live, and what they refer to is {}: {}",
                shape.away(),
                some(&left)
            );
            breaches.push(Breach::new(Oracle::Untouched, &reference.name, what));
        }
    }
    breaches
}

/// Live children of archived parents.
fn left_behind(shape: &Shape, reference: &ReferenceShape, state: &State) -> BTreeSet<String> {
    let parents = &state.tables[reference.parent];
    let (live, shadow) = (
        names(reference, &parents.live),
        names(reference, &parents.shadow),
    );
    let gone = |child: &&Record| {
        let target = reference.target(child);
        target.is_some_and(|t| shadow.contains(&t) && !live.contains(&t))
    };
    let children = state.tables[reference.child].live.iter().filter(gone);
    let table = &shape.tables[reference.child];
    children.map(|row| table.row_name(row)).collect()
}

fn keys(table: &TableShape, rows: &[Record]) -> BTreeSet<String> {
    rows.iter().map(|r| table.row_name(r)).collect()
}

/// A further run has changed nothing, in neither database.
pub fn idempotent(shape: &Shape, before: &State, after: &State) -> Vec<Breach> {
    let mut breaches = same(Oracle::Idempotent, shape, before, after);
    for (index, (name, _)) in shape.api.iter().enumerate() {
        if before.api.get(index) != after.api.get(index) {
            let what = "other API records than before";
            breaches.push(Breach::new(Oracle::Idempotent, name, what));
        }
    }
    breaches
}

/// The main database's rows lie exactly where they lie in `expected`; a breach of `oracle` if not.
pub fn same(oracle: Oracle, shape: &Shape, expected: &State, found: &State) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, table) in shape.tables.iter().enumerate() {
        let (a, b) = (&expected.tables[index], &found.tables[index]);
        if a == b {
            continue;
        }
        let differ = |a: &[Record], b: &[Record]| -> Vec<String> {
            let there: BTreeSet<_> = b.iter().collect();
            a.iter()
                .filter(|row| !there.contains(row))
                .map(|row| table.row_name(row))
                .collect()
        };
        let (live, shadow) = (differ(&b.live, &a.live), differ(&b.shadow, &a.shadow));
        let mut parts = Vec::new();
        let away = shape.away();
        let not_away = format!("not {away}");
        for (what, rows) in [
            ("live", live),
            (away, shadow),
            ("not live", differ(&a.live, &b.live)),
            (&not_away, differ(&a.shadow, &b.shadow)),
        ] {
            if !rows.is_empty() {
                parts.push(format!("{what}: {}", some(&rows)));
            }
        }
        breaches.push(Breach::new(oracle, &table.name, parts.join("; ")));
    }
    breaches
}
