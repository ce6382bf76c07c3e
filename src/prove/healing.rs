//! What a repair ought to heal, and may touch, told from the rows alone.
//!
//! Like the model of an archive run ([`super::model`]) it has no SQL and nothing of the audit or the archive engine in it,
//! and is written for being obviously right on small worlds.

mod marks;

use std::collections::{BTreeSet, HashMap, HashSet};

use super::model::free_rows;
use super::oracle::{Breach, Oracle, some};
use super::state::{Record, ReferenceShape, Shape, State, TableShape, marked_families, names};
use crate::schema::FamilyGraph;

pub(super) use marks::{forget_the_time, unhealed_row};

use marks::is_ill_marked;

/// Rows that a repair may move, as `table:key`.
#[derive(Debug, Clone, Default)]
pub(super) struct Moves {
    /// Into the shadow tables.
    pub(super) archived: BTreeSet<String>,
    /// Out of them.
    pub(super) returned: BTreeSet<String>,
}

impl Moves {
    /// Of a database in this state: families of which something is damaged, and no others.
    pub(super) fn of(graph: &FamilyGraph, shape: &Shape, state: &State) -> Self {
        let state = without_copies(shape, state);
        let (families, damaged) = damaged_families(shape, &state);
        let damaged = with_those_in_the_way(shape, &state, &families, damaged);
        Self {
            archived: live_names(shape, &state, families.with_any(&damaged)),
            returned: returned(graph, shape, &state),
        }
    }
}

/// Soft-deleted families, and what is left of archived ones: all of them, and rows of those that lie apart or have
/// residue.
fn damaged_families(shape: &Shape, state: &State) -> (Families, BTreeSet<At>) {
    let moving = marked_families(shape, state);
    let mut families = Families::default();
    let mut damaged = BTreeSet::new();
    for (table, rows) in moving.iter().enumerate() {
        for (row, moves) in rows.iter().enumerate() {
            if *moves {
                families.add((table, row));
            }
        }
    }
    for reference in shape.references.iter().filter(|r| r.owned) {
        let (parents, children) = (
            &state.tables[reference.parent],
            &state.tables[reference.child],
        );
        let archived_parents = names(reference, &parents.shadow);
        let living_parents = names(reference, &parents.live);
        let child_table = &shape.tables[reference.child];
        let here = keys(child_table, &children.live);
        let gone: Vec<_> = children
            .shadow
            .iter()
            .filter(|c| !here.contains(&child_table.row_name(c)))
            .collect();
        for (c, child) in children.live.iter().enumerate() {
            if !moving[reference.child][c] {
                continue;
            }
            let Some(target) = reference.target(child) else {
                continue;
            };
            if archived_parents.contains(&target) && !living_parents.contains(&target) {
                damaged.insert((reference.child, c));
            }
            for (p, parent) in parents.live.iter().enumerate() {
                if moving[reference.parent][p]
                    && reference.name_of(parent).as_ref() == Some(&target)
                {
                    families.join((reference.parent, p), (reference.child, c));
                    if is_residue(reference, child_table, child) {
                        damaged.insert((reference.child, c));
                    }
                }
            }
        }
        let parent_table = &shape.tables[reference.parent];
        for (p, parent) in parents.live.iter().enumerate() {
            let name = reference.name_of(parent);
            let its_own = gone.iter().filter(|c| reference.target(c) == name);
            let apart = its_own.filter(|c| !went_first((child_table, c), (parent_table, parent)));
            if moving[reference.parent][p] && name.is_some() && apart.count() > 0 {
                damaged.insert((reference.parent, p));
            }
        }
    }
    (families, damaged)
}

/// With rows whose foreign keys hold a damaged family here: they go too, or it cannot.
fn with_those_in_the_way(
    shape: &Shape,
    state: &State,
    families: &Families,
    mut damaged: BTreeSet<At>,
) -> BTreeSet<At> {
    loop {
        let go: HashSet<_> = families.with_any(&damaged).into_iter().collect();
        let known = damaged.len();
        for reference in shape.references.iter().filter(|r| !r.owned && r.declared) {
            let parents = state.tables[reference.parent].live.iter().enumerate();
            let parents = parents.filter(|(p, _)| go.contains(&(reference.parent, *p)));
            let leading: HashSet<_> = parents.filter_map(|(_, p)| reference.name_of(p)).collect();
            let children = state.tables[reference.child].live.iter().enumerate();
            let held =
                children.filter(|(_, c)| reference.target(c).is_some_and(|t| leading.contains(&t)));
            let held = held.map(|(c, _)| (reference.child, c));
            damaged.extend(held.filter(|row| families.has(*row) && !go.contains(row)));
        }
        if damaged.len() == known {
            return damaged;
        }
    }
}

/// Whether a child was soft-deleted before its parent: then it may have been archived while that lived.
fn went_first(
    (child_table, child): (&TableShape, &Record),
    (parent_table, parent): (&TableShape, &Record),
) -> bool {
    let since = |table: &TableShape, row: &Record| table.date().and_then(|at| row[at].clone());
    let dates = since(child_table, child).zip(since(parent_table, parent));
    child_table.is_marked(child) && dates.is_some_and(|(child, parent)| child < parent)
}

/// Rows of one table, by their keys.
pub(super) fn keys(table: &TableShape, rows: &[Record]) -> HashSet<String> {
    rows.iter().map(|row| table.row_name(row)).collect()
}

fn live_names(shape: &Shape, state: &State, rows: Vec<At>) -> BTreeSet<String> {
    let name = |(table, row): At| shape.tables[table].row_name(&state.tables[table].live[row]);
    rows.into_iter().map(name).collect()
}

/// Rows of shadow tables that belong to a living parent, with all of their family there.
fn returned(graph: &FamilyGraph, shape: &Shape, state: &State) -> BTreeSet<String> {
    let mut families = Families::default();
    let mut damaged = BTreeSet::new();
    for (table, sides) in state.tables.iter().enumerate() {
        (0..sides.shadow.len()).for_each(|row| families.add((table, row)));
    }
    for reference in shape.references.iter().filter(|r| r.owned) {
        let (parents, children) = (
            &state.tables[reference.parent],
            &state.tables[reference.child],
        );
        let required = graph
            .references
            .iter()
            .any(|r| r.required && r.to_string() == reference.name);
        let parent_table = &shape.tables[reference.parent];
        let living = parents.live.iter().filter(|p| !parent_table.is_marked(p));
        let living: HashSet<_> = living.filter_map(|p| reference.name_of(p)).collect();
        let child_table = &shape.tables[reference.child];
        let taken = keys(child_table, &children.live);
        for (c, child) in children.shadow.iter().enumerate() {
            let Some(target) = reference.target(child) else {
                continue;
            };
            // One that was deleted by itself is in its place, unless its parent cannot be without.
            let alone = child_table.is_marked(child) && !required;
            // Of one over whose key another row lives nobody can say whose it is.
            let its_own = !taken.contains(&child_table.row_name(child));
            if living.contains(&target) && !alone && its_own {
                damaged.insert((reference.child, c));
            }
            for (p, parent) in parents.shadow.iter().enumerate() {
                if reference.name_of(parent).as_ref() == Some(&target) {
                    families.join((reference.parent, p), (reference.child, c));
                }
            }
        }
    }
    let name = |(table, row): (usize, usize)| {
        shape.tables[table].row_name(&state.tables[table].shadow[row])
    };
    families.with_any(&damaged).into_iter().map(name).collect()
}

/// Whether a child of a soft-deleted parent is what nobody marked with it.
fn is_residue(reference: &ReferenceShape, table: &TableShape, child: &Record) -> bool {
    !reference.guarded && table.marker.is_some() && !table.is_marked(child)
}

type At = (usize, usize);

/// Rows that belong together, by table and row.
#[derive(Debug, Default)]
struct Families {
    head: HashMap<At, At>,
}

impl Families {
    fn add(&mut self, row: At) {
        self.head.entry(row).or_insert(row);
    }

    fn has(&self, row: At) -> bool {
        self.head.contains_key(&row)
    }

    fn head(&self, mut row: At) -> At {
        while let Some(head) = self.head.get(&row).filter(|head| **head != row) {
            row = *head;
        }
        row
    }

    fn join(&mut self, a: At, b: At) {
        let (a, b) = (self.head(a), self.head(b));
        self.head.insert(a, b);
    }

    /// All rows of the families in which one of these is.
    fn with_any(&self, some: &BTreeSet<At>) -> Vec<At> {
        let heads: HashSet<_> = some.iter().map(|row| self.head(*row)).collect();
        let rows = self.head.keys().copied();
        rows.filter(|row| heads.contains(&self.head(*row)))
            .collect()
    }
}

/// The state without the one of two rows, the same in both tables, that is not where its family is: the live one of a
/// row whose owners are archived, else the one in the shadow table.
pub(super) fn without_copies(shape: &Shape, state: &State) -> State {
    let mut without = state.clone();
    for (index, table) in shape.tables.iter().enumerate() {
        let sides = &state.tables[index];
        let copies: HashSet<&Record> = sides.shadow.iter().collect();
        for row in sides.live.iter().filter(|row| copies.contains(row)) {
            let sides = &mut without.tables[index];
            match is_gone(shape, state, index, row) {
                true => sides.live.retain(|other| other != row),
                false => sides.shadow.retain(|other| other != row),
            }
        }
        debug_assert!(table.shadow.is_some() || sides.shadow.is_empty());
    }
    without
}

/// Whether something that owns the row is archived, and nothing that does is live.
fn is_gone(shape: &Shape, state: &State, table: usize, row: &Record) -> bool {
    let mut gone = false;
    let references = shape.references.iter();
    for reference in references.filter(|r| r.owned && r.child == table) {
        let Some(target) = reference.target(row) else {
            continue;
        };
        let parents = &state.tables[reference.parent];
        if names(reference, &parents.live).contains(&target) {
            return false;
        }
        gone |= names(reference, &parents.shadow).contains(&target);
    }
    gone
}

/// Damage that a repair heals and that is there still, though nothing holds it back.
pub(super) fn unhealed(
    graph: &FamilyGraph,
    shape: &Shape,
    state: &State,
    when: &str,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut say = |place: &str, rows: Vec<String>, what: &str| {
        if !rows.is_empty() {
            let what = format!("{what} {when}: {}", some(&rows));
            breaches.push(Breach::new(Oracle::Convergent, place, what));
        }
    };
    for (table, sides) in shape.tables.iter().zip(&state.tables) {
        let live: HashSet<&Record> = sides.live.iter().collect();
        let copies = sides.shadow.iter().filter(|row| live.contains(row));
        let copies = copies.map(|row| table.row_name(row)).collect();
        say(&table.name, copies, "the same in both tables");
        let sick = sides.live.iter().filter(|row| is_ill_marked(table, row));
        let sick = sick.map(|row| table.row_name(row)).collect();
        say(
            &table.name,
            sick,
            "marked without a date, or with another key",
        );
    }
    let free: BTreeSet<_> = free_rows(graph, shape, state).into_iter().collect();
    let settled = without_copies(shape, state);
    let returned = returned(graph, shape, &settled);
    let (families, damaged) = damaged_families(shape, &settled);
    let held = held(shape, &settled, &families, &damaged);
    let held = live_names(shape, &settled, families.with_any(&held));
    let mut apart = live_names(shape, &settled, families.with_any(&damaged));
    apart.retain(|row| free.contains(row) && !held.contains(row));
    let stuck = |rows: &BTreeSet<String>, table: &TableShape| -> Vec<String> {
        let prefix = format!("{}:", table.name);
        rows.iter()
            .filter(|row| row.starts_with(&prefix))
            .cloned()
            .collect()
    };
    for table in &shape.tables {
        say(
            &table.name,
            stuck(&apart, table),
            "of a damaged family, and still live",
        );
        say(
            &table.name,
            stuck(&returned, table),
            "of a living family, and still archived",
        );
    }
    breaches
}

/// Live rows that cannot go: another row is archived over their key, or one refers to them of whose family nothing is wrong.
fn held(shape: &Shape, state: &State, families: &Families, damaged: &BTreeSet<At>) -> BTreeSet<At> {
    let mut held = BTreeSet::new();
    for (index, (table, sides)) in shape.tables.iter().zip(&state.tables).enumerate() {
        let archived = keys(table, &sides.shadow);
        let live = sides.live.iter().enumerate();
        let those = live.filter(|(_, row)| archived.contains(&table.row_name(row)));
        held.extend(those.map(|(row, _)| (index, row)));
    }
    let go: HashSet<_> = families.with_any(damaged).into_iter().collect();
    for reference in shape.references.iter().filter(|r| !r.owned && r.declared) {
        let children = state.tables[reference.child].live.iter().enumerate();
        let stay = children.filter(|(c, _)| !go.contains(&(reference.child, *c)));
        let led: HashSet<_> = stay
            .filter_map(|(_, child)| reference.target(child))
            .collect();
        let parents = state.tables[reference.parent].live.iter().enumerate();
        let those = parents.filter(|(_, p)| reference.name_of(p).is_some_and(|n| led.contains(&n)));
        held.extend(those.map(|(row, _)| (reference.parent, row)));
    }
    held
}
