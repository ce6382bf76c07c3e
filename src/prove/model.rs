//! A reference model: which rows an archiver ought to move, told from the rows alone.
//!
//! Written for small worlds and for being obviously right, with no SQL and nothing of the archive
//! engine in it. It says what *blocked* means: a family is held back by a row that cannot move and
//! that it cannot leave, and by nothing else.

use std::collections::{HashMap, HashSet};

use crate::schema::FamilyGraph;

use super::state::{Shape, State, marked_families, names};

/// Rows that nothing holds back, as `table:key`, sorted. With [`Shape::before`] those of families of which
/// every marked row is old enough: whichever of them an engine takes for the root.
pub fn free_rows(graph: &FamilyGraph, shape: &Shape, state: &State) -> Vec<String> {
    free(graph, shape, state, young_rows)
}

/// Rows that may be moved: all but those that something holds back whichever row is taken for a root.
pub(super) fn free_rows_at_most(graph: &FamilyGraph, shape: &Shape, state: &State) -> Vec<String> {
    free(graph, shape, state, young_roots)
}

/// For each table, for each of its live rows.
type Flags = Vec<Vec<bool>>;

fn free(
    graph: &FamilyGraph,
    shape: &Shape,
    state: &State,
    young: fn(&Shape, &State, &Flags, &str) -> Flags,
) -> Vec<String> {
    let moving = marked_families(shape, state);
    // Where rows are purged a young one is as good as live: the marker says so.
    let mut held = match &shape.before {
        Some(before) if !shape.own_age => young(shape, state, &moving, &before.to_string()),
        _ => moving.iter().map(|rows| vec![false; rows.len()]).collect(),
    };
    for ((table, rows), held) in shape.tables.iter().zip(&moving).zip(&mut held) {
        for (moves, held) in rows.iter().zip(held) {
            *held |= *moves && table.shadow.is_none();
        }
    }
    let by_name: HashMap<String, _> = graph
        .references
        .iter()
        .map(|r| (r.to_string(), r))
        .collect();
    // What has no shadow table and is known by convention only can be left behind: it holds nothing.
    let left_behind: Vec<bool> = shape
        .tables
        .iter()
        .map(|table| {
            table.shadow.is_none()
                && graph
                    .references
                    .iter()
                    .filter(|r| r.child == table.name)
                    .all(|r| !r.declared)
        })
        .collect();
    loop {
        let before: usize = held.iter().flatten().filter(|h| **h).count();
        for reference in &shape.references {
            let Some(known) = by_name.get(&reference.name) else {
                continue;
            };
            if left_behind[reference.child] || (!reference.owned && !known.declared) {
                continue;
            }
            let (children, parents) = (
                &state.tables[reference.child].live,
                &state.tables[reference.parent].live,
            );
            let mut at: HashMap<Vec<&str>, Vec<usize>> = HashMap::new();
            for (i, parent) in parents.iter().enumerate() {
                if let Some(name) = reference.name_of(parent) {
                    at.entry(name).or_default().push(i);
                }
            }
            let pairs = children.iter().enumerate().flat_map(|(c, child)| {
                let of = reference.target(child).and_then(|t| at.get(&t));
                of.into_iter().flatten().map(move |p| (c, child, *p))
            });
            for (c, child, p) in pairs {
                let (child_moves, parent_moves) =
                    (moving[reference.child][c], moving[reference.parent][p]);
                let marked = shape.tables[reference.child].is_marked(child);
                // A child that stays, or moves with an owner that stays, keeps its parent here.
                let keeps = !child_moves
                    || held[reference.child][c]
                    || (known.guarded && !marked && reference.owned);
                if parent_moves && keeps && (reference.owned || known.declared) {
                    held[reference.parent][p] = true;
                }
                if reference.owned && child_moves {
                    // Families are whole: what holds one row holds all. A marked child of a living
                    // parent is a family of its own.
                    if (parent_moves && held[reference.parent][p]) || (!parent_moves && !marked) {
                        held[reference.child][c] = true;
                    }
                }
            }
        }
        if held.iter().flatten().filter(|h| **h).count() == before {
            break;
        }
    }
    let mut free = Vec::new();
    for (index, table) in shape.tables.iter().enumerate() {
        let rows = state.tables[index].live.iter().enumerate();
        free.extend(
            rows.filter(|(i, _)| moving[index][*i] && !held[index][*i] && !left_behind[index])
                .map(|(_, record)| table.row_name(record)),
        );
    }
    free.sort();
    free
}

/// Marked rows that were deleted too late.
fn young_rows(shape: &Shape, state: &State, moving: &Flags, before: &str) -> Flags {
    let tables = shape.tables.iter().zip(&state.tables).zip(moving);
    tables
        .map(|((table, sides), moving)| {
            let rows = sides.live.iter().zip(moving);
            rows.map(|(row, moves)| *moves && table.is_marked(row) && !table.is_older(row, before))
                .collect()
        })
        .collect()
}

/// Those of them that nothing owns that moves, or has moved, and those that own each other in a ring in which
/// no row is old enough and that nothing else owns.
fn young_roots(shape: &Shape, state: &State, moving: &Flags, before: &str) -> Flags {
    let all = young_rows(shape, state, moving, before);
    let mut young = all.clone();
    for reference in shape.references.iter().filter(|r| r.owned) {
        let parents = &state.tables[reference.parent];
        let mut owners = names(reference, &parents.shadow);
        let moving = parents.live.iter().zip(&moving[reference.parent]);
        let moving = moving.filter(|(_, moves)| **moves);
        owners.extend(moving.filter_map(|(parent, _)| reference.name_of(parent)));
        let children = &state.tables[reference.child].live;
        for (child, young) in children.iter().zip(&mut young[reference.child]) {
            *young &= !reference.target(child).is_some_and(|t| owners.contains(&t));
        }
    }
    // What a row leads to that has no owner, has one that is gone, or is old enough, is in no such ring.
    let mut led = seeds(shape, state, moving, &all);
    loop {
        let before: usize = led.iter().flatten().filter(|l| **l).count();
        for reference in shape.references.iter().filter(|r| r.owned) {
            let parents = state.tables[reference.parent].live.iter();
            let parents = parents.zip(&led[reference.parent]).filter(|(_, led)| **led);
            let leading: HashSet<_> = parents.filter_map(|(p, _)| reference.name_of(p)).collect();
            let children = &state.tables[reference.child].live;
            for (child, led) in children.iter().zip(&mut led[reference.child]) {
                *led |= reference
                    .target(child)
                    .is_some_and(|t| leading.contains(&t));
            }
        }
        if led.iter().flatten().filter(|l| **l).count() == before {
            break;
        }
    }
    for ((young, all), led) in young.iter_mut().zip(&all).zip(&led) {
        for ((young, all), led) in young.iter_mut().zip(all).zip(led) {
            *young |= *all && !*led;
        }
    }
    young
}

/// Moving rows that are old enough, and those that no row owns that moves.
fn seeds(shape: &Shape, state: &State, moving: &Flags, young: &Flags) -> Flags {
    let mut owned: Flags = moving.iter().map(|rows| vec![false; rows.len()]).collect();
    for reference in shape.references.iter().filter(|r| r.owned) {
        let parents = state.tables[reference.parent].live.iter();
        let parents = parents
            .zip(&moving[reference.parent])
            .filter(|(_, moves)| **moves);
        let owners: HashSet<_> = parents.filter_map(|(p, _)| reference.name_of(p)).collect();
        let children = &state.tables[reference.child].live;
        for (child, owned) in children.iter().zip(&mut owned[reference.child]) {
            *owned |= reference.target(child).is_some_and(|t| owners.contains(&t));
        }
    }
    let tables = moving.iter().zip(young).zip(owned).enumerate();
    tables
        .map(|(index, ((moving, young), owned))| {
            let rows = moving.iter().zip(young).zip(owned).enumerate();
            rows.map(|(row, ((moves, young), owned))| {
                let marked = shape.tables[index].is_marked(&state.tables[index].live[row]);
                *moves && (!owned || marked && !*young)
            })
            .collect()
        })
        .collect()
}
