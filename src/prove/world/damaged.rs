//! Worlds in which an engine is to repair: families of a world, copied under other keys and hurt, each in another way,
//! beside those that are as they were.

mod row;

use std::collections::BTreeSet;

use super::{REPAIR, Row, Task, World};
use crate::db::{Engine, Value};
use crate::error::Result;
use crate::schema::{FamilyGraph, Reference};
use row::{archived, date_with, free_text, is_dead, shift, undate, unmark};

/// What is wrong with a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wound {
    /// All of it is in the shadow tables too, the same: an archiver died between copy and delete.
    CopiedToShadow,
    /// One row of a living family is in the shadow table.
    GoneAlone,
    /// A row of a living family has another one over its key in the shadow table: whose is for people to say.
    KeyTaken,
    /// What owns the others is archived, and they are not.
    LeftBehind,
    /// All of it is archived, and one row is in the live table too. Its records in another database are there still.
    CopiedToLive,
    /// Marked deleted without a date, or with another key than the own one.
    Undated,
    /// One row of a soft-deleted family is archived.
    GoneBefore,
    /// One row is not marked with its owner.
    Residue,
}

impl Wound {
    /// The first is where a writer changes a child, the last ones are where it adds one and turns roots.
    const ALL: [Self; 8] = [
        Self::CopiedToShadow,
        Self::KeyTaken,
        Self::GoneAlone,
        Self::LeftBehind,
        Self::CopiedToLive,
        Self::Undated,
        Self::GoneBefore,
        Self::Residue,
    ];

    /// Whether it is one of a family that lives.
    fn is_of_living(self) -> bool {
        matches!(self, Self::GoneAlone | Self::KeyTaken)
    }
}

impl World {
    /// The same world with damaged families beside its own: of each kind of damage one, where there is a family for it.
    ///
    /// # Errors
    ///
    /// As [`World::graph`].
    pub(super) fn to_repair(&self) -> Result<Self> {
        if self.task == Task::Repair {
            return Ok(self.clone());
        }
        let graph = self.graph(Engine::Sqlite)?;
        let mut world = self.clone();
        world.name = format!("{REPAIR}{}", self.name);
        world.task = Task::Repair;
        let healthy = std::mem::take(&mut world.main.rows);
        for (wound, number) in Wound::ALL.into_iter().zip(1..) {
            if number == 2 {
                world.main.rows.extend(healthy.iter().cloned());
            }
            let Some(family) = Family::find(&healthy, &graph, wound.is_of_living()) else {
                continue;
            };
            let mut copy = family.copy(number, &graph);
            world.copy_records(&family, number, &graph);
            copy.suffer(wound, &graph);
            world.main.rows.append(&mut copy.rows);
        }
        Ok(world)
    }

    /// Records in another database about the root of a family, for its copy.
    fn copy_records(&mut self, family: &Family, number: i64, graph: &FamilyGraph) {
        let (Some(api), Some(records)) = (&mut self.api, &graph.profile.api) else {
            return;
        };
        let roots = family.rows.iter().filter(|r| r.table == records.root);
        let roots: Vec<_> = roots.filter_map(|r| r.values.get(&records.key)).collect();
        let keys = api.schema.schema().unwrap_or_default();
        let mut copies = Vec::new();
        for row in &api.rows {
            let about = row.values.get(&records.column);
            if !records.tables.contains(&row.table) || !about.is_some_and(|a| roots.contains(&a)) {
                continue;
            }
            let mut row = row.clone();
            let key = keys.table(&row.table).map(|t| t.primary_key.clone());
            for column in key.iter().flatten().chain([&records.column]) {
                shift(&mut row, column, number, true);
            }
            copies.push(row);
        }
        api.rows.append(&mut copies);
    }
}

/// Rows that are connected over owned references.
struct Family {
    rows: Vec<Row>,
}

impl Family {
    /// The first family that lives, and has a child that does, or that is marked deleted from its roots on; each row with
    /// a shadow table.
    fn find(rows: &[Row], graph: &FamilyGraph, living: bool) -> Option<Self> {
        let live: Vec<_> = rows
            .iter()
            .filter(|r| graph.member(&r.table).is_some())
            .collect();
        let mut seen = BTreeSet::new();
        for first in 0..live.len() {
            if !seen.insert(first) {
                continue;
            }
            let mut family = vec![first];
            let mut next = 0;
            while let Some(at) = family.get(next).copied() {
                for (other, row) in live.iter().enumerate() {
                    let joined =
                        owned(graph).any(|r| owns(r, live[at], row) || owns(r, row, live[at]));
                    if joined && seen.insert(other) {
                        family.push(other);
                    }
                }
                next += 1;
            }
            family.sort_unstable();
            let family = Self {
                rows: family.into_iter().map(|i| live[i].clone()).collect(),
            };
            if family.will_do(graph, living) {
                return Some(family);
            }
        }
        None
    }

    fn will_do(&self, graph: &FamilyGraph, living: bool) -> bool {
        let marked = |row: &Row| is_dead(graph, row);
        let shadowed = |row: &Row| {
            graph
                .member(&row.table)
                .is_some_and(|m| m.obstacle.is_none())
        };
        let mut pairs = self.pairs(graph).into_iter();
        let mut heads = self.heads(graph);
        let fits = match living {
            true => {
                let mut living =
                    pairs.filter(|(_, p, c)| !marked(&self.rows[*p]) && !marked(&self.rows[*c]));
                living.next().is_some() && heads.all(|i| !marked(&self.rows[i]))
            }
            false => pairs.next().is_some() && heads.all(|i| marked(&self.rows[i])),
        };
        fits && self.rows.iter().all(shadowed)
    }

    /// Owned references with the positions of parent and child.
    fn pairs<'g>(&self, graph: &'g FamilyGraph) -> Vec<(&'g Reference, usize, usize)> {
        let mut pairs = Vec::new();
        for reference in owned(graph) {
            for (p, parent) in self.rows.iter().enumerate() {
                let children = self.rows.iter().enumerate();
                let children =
                    children.filter(|(c, child)| *c != p && owns(reference, parent, child));
                pairs.extend(children.map(|(c, _)| (reference, p, c)));
            }
        }
        pairs
    }

    /// Positions of the rows that none of the others owns; of those that own each other the first.
    fn heads(&self, graph: &FamilyGraph) -> impl Iterator<Item = usize> + use<> {
        let owned: BTreeSet<_> = self.pairs(graph).into_iter().map(|(_, _, c)| c).collect();
        let heads: Vec<_> = (0..self.rows.len())
            .filter(|i| !owned.contains(i))
            .collect();
        let heads = if heads.is_empty() { vec![0] } else { heads };
        heads.into_iter()
    }

    /// The same family under other keys.
    fn copy(&self, number: i64, graph: &FamilyGraph) -> Self {
        let rows = self.rows.iter().map(|row| {
            let Some(member) = graph.member(&row.table) else {
                return row.clone();
            };
            let mut copy = row.clone();
            let mut lists = vec![member.key.clone()];
            for reference in &graph.references {
                if reference.parent == row.table {
                    lists.push(reference.parent_columns.clone());
                }
                if self.rows.iter().any(|parent| owns(reference, parent, row)) {
                    lists.push(reference.child_columns.clone());
                }
            }
            let mut done = BTreeSet::new();
            for list in lists {
                // One part of a key is enough to tell it from others.
                let numbers = list
                    .iter()
                    .any(|c| matches!(row.values.get(c), Some(Value::Int(_))));
                for column in &list {
                    if done.insert(column.clone()) {
                        shift(&mut copy, column, number, !numbers);
                    }
                }
            }
            if let (Some(marker), [key]) = (&member.marker, member.key.as_slice())
                && row.values.get(&marker.column) == row.values.get(key)
                && let Some(key) = copy.values.get(key).cloned()
            {
                copy.values.insert(marker.column.clone(), key);
            }
            copy
        });
        Self {
            rows: rows.collect(),
        }
    }

    fn suffer(&mut self, wound: Wound, graph: &FamilyGraph) {
        let pairs = self.pairs(graph);
        let is_live = |rows: &[Row], at: usize| !is_dead(graph, &rows[at]);
        let parents: BTreeSet<_> = pairs.iter().map(|(_, p, _)| *p).collect();
        let childless = pairs
            .iter()
            .map(|(_, _, c)| *c)
            .find(|c| !parents.contains(c));
        match wound {
            Wound::CopiedToShadow => {
                let copies: Vec<_> = self
                    .rows
                    .iter()
                    .filter_map(|r| archived(graph, r))
                    .collect();
                self.rows.extend(copies);
            }
            Wound::GoneAlone => {
                let mut pairs = pairs.iter();
                let gone =
                    pairs.find(|(_, p, c)| is_live(&self.rows, *p) && is_live(&self.rows, *c));
                if let Some((_, _, gone)) = gone {
                    self.archive(*gone, graph);
                }
            }
            Wound::KeyTaken => {
                if let Some(mut other) = childless.and_then(|c| archived(graph, &self.rows[c]))
                    && let Some(column) = free_text(graph, &other)
                {
                    other.values.insert(column, Value::Text("another".into()));
                    self.rows.push(other);
                }
            }
            Wound::LeftBehind => {
                for head in self.heads(graph) {
                    self.archive(head, graph);
                }
            }
            Wound::CopiedToLive => {
                let copy = childless.map(|c| self.rows[c].clone());
                for at in 0..self.rows.len() {
                    self.archive(at, graph);
                }
                self.rows.extend(copy);
            }
            Wound::Undated => {
                for (number, row) in self.rows.iter_mut().enumerate() {
                    undate(graph, row, number);
                }
            }
            Wound::GoneBefore => {
                if let Some((_, parent, child)) = pairs.first() {
                    // One that was deleted before its parent may have been archived while that lived.
                    let parent = self.rows[*parent].clone();
                    date_with(graph, &parent, &mut self.rows[*child]);
                    self.archive(*child, graph);
                }
            }
            Wound::Residue => {
                let child = pairs
                    .iter()
                    .find(|(reference, _, c)| !reference.guarded && is_dead(graph, &self.rows[*c]));
                if let Some((_, _, child)) = child {
                    unmark(graph, &mut self.rows[*child]);
                }
            }
        }
    }

    fn archive(&mut self, at: usize, graph: &FamilyGraph) {
        if let Some(row) = archived(graph, &self.rows[at]) {
            self.rows[at] = row;
        }
    }
}

fn owned(graph: &FamilyGraph) -> impl Iterator<Item = &Reference> {
    graph.references.iter().filter(|r| r.is_owned())
}

fn owns(reference: &Reference, parent: &Row, child: &Row) -> bool {
    let value =
        |row: &Row, column: &String| row.values.get(column).filter(|v| !v.is_null()).cloned();
    let mut columns = reference
        .child_columns
        .iter()
        .zip(&reference.parent_columns);
    reference.child == child.table
        && reference.parent == parent.table
        && columns.all(|(c, p)| value(child, c).is_some_and(|v| Some(v) == value(parent, p)))
}
