//! The concurrent writer: what a service does to rows while they are archived.

use serde::{Deserialize, Serialize};

use crate::db::Value;
use crate::schema::{FamilyGraph, Marker, MarkerStyle, Member};

use super::world::{Row, World};

/// A writer that acts once, while the engine is held before a statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writer {
    /// Which statement, counted like a fault's.
    pub point: u64,
    /// What it does.
    pub action: Action,
    /// The statement's normalised text.
    pub text: String,
}

/// What a concurrent writer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Adds a child to a family that is being archived.
    AddChild,
    /// Marks a live root deleted.
    SoftDelete,
    /// Marks a soft-deleted root live again.
    Revive,
    /// Changes a child of a family that is being archived.
    UpdateChild,
    /// Runs another archiver (sexton's own) to its end.
    SecondArchiver,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::AddChild,
        Self::SoftDelete,
        Self::Revive,
        Self::UpdateChild,
        Self::SecondArchiver,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddChild => "add-child",
            Self::SoftDelete => "soft-delete",
            Self::Revive => "revive",
            Self::UpdateChild => "update-child",
            Self::SecondArchiver => "second-archiver",
        }
    }
}

/// One row that a writer changes, in terms that hold for database and world alike.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new row.
    Insert(Row),
    /// Values of the row with this key.
    Update {
        /// The live table.
        table: String,
        /// The key's columns and values.
        key: Vec<(String, Value)>,
        /// What is set.
        set: Vec<(String, Value)>,
    },
}

impl Change {
    /// What the action comes to in this world; `None` where the world has no such row, and for
    /// [`Action::SecondArchiver`], which is no change of a row.
    pub fn of(action: Action, world: &World, graph: &FamilyGraph) -> Option<Self> {
        match action {
            Action::AddChild => add_child(world, graph),
            Action::SoftDelete => mark(world, graph, false),
            Action::Revive => mark(world, graph, true),
            Action::UpdateChild => update_child(world, graph),
            Action::SecondArchiver => None,
        }
    }

    /// The statement.
    pub fn sql(&self, engine: crate::db::Engine) -> String {
        let equal = |(column, value): &(String, Value)| {
            format!("{} = {}", engine.quote(column), engine.literal(value))
        };
        match self {
            Self::Insert(row) => {
                let values: Vec<_> = row.values.values().map(|v| engine.literal(v)).collect();
                format!(
                    "INSERT INTO {} ({}) VALUES ({})",
                    engine.quote(&row.table),
                    engine.quote_all(row.values.keys()),
                    values.join(", ")
                )
            }
            Self::Update { table, key, set } => format!(
                "UPDATE {} SET {} WHERE {}",
                engine.quote(table),
                set.iter().map(equal).collect::<Vec<_>>().join(", "),
                key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
            ),
        }
    }

    /// The world as if the change had been made before the run.
    pub fn applied_to(&self, world: &World) -> World {
        let mut world = world.clone();
        match self {
            Self::Insert(row) => world.main.rows.push(row.clone()),
            Self::Update { table, key, set } => {
                let hit = |row: &&mut Row| {
                    row.table == *table && key.iter().all(|(c, v)| row.values.get(c) == Some(v))
                };
                if let Some(row) = world.main.rows.iter_mut().find(hit) {
                    row.values.extend(set.iter().cloned());
                }
            }
        }
        world
    }
}

/// Rows of live tables.
fn rows<'a>(world: &'a World, table: &'a str) -> impl Iterator<Item = &'a Row> {
    world.main.rows.iter().filter(move |r| r.table == table)
}

/// Whether a row of a world is marked deleted.
pub(super) fn is_marked(marker: &Marker, row: &Row) -> bool {
    match (marker.style, row.values.get(&marker.column)) {
        (_, None | Some(Value::Null)) => false,
        (MarkerStyle::NonZero | MarkerStyle::True, Some(value)) => value.is_true(),
        (MarkerStyle::NotFalseText, Some(value)) => {
            !matches!(value.as_text(), None | Some("" | "0" | "False" | "false"))
        }
        (MarkerStyle::NotNull, Some(_)) => true,
    }
}

/// Tables that own others and have a marker, the root's table first.
fn owners(graph: &FamilyGraph) -> impl Iterator<Item = (&Member, &Marker)> {
    let owns = |m: &&Member| {
        graph
            .children(&m.table)
            .any(|(_, r)| r.is_owned() && !r.is_self())
    };
    let owned = |m: &Member| graph.owners(&m.table).any(|(_, r)| !r.is_self());
    let mut members: Vec<_> = graph.members.values().filter(owns).collect();
    members.sort_by_key(|m| owned(m));
    members
        .into_iter()
        .filter_map(|m| m.marker.as_ref().map(|marker| (m, marker)))
}

/// A copy of a child of the last soft-deleted root that has one, under a new key.
fn add_child(world: &World, graph: &FamilyGraph) -> Option<Change> {
    for (member, marker) in owners(graph) {
        let roots: Vec<_> = rows(world, &member.table)
            .filter(|r| is_marked(marker, r))
            .collect();
        for root in roots.into_iter().rev() {
            for (_, reference) in graph.children(&member.table).filter(|(_, r)| r.is_owned()) {
                let points = |child: &&Row| {
                    let mut pairs = reference
                        .child_columns
                        .iter()
                        .zip(&reference.parent_columns);
                    pairs.all(|(c, p)| child.values.get(c) == root.values.get(p))
                };
                let child = graph.member(&reference.child)?;
                let table = graph.table(&reference.child)?;
                let ([key], true) = (child.key.as_slice(), table.uniques.is_empty()) else {
                    continue;
                };
                let Some(model) = rows(world, &reference.child).find(points) else {
                    continue;
                };
                let Some(Value::Int(old)) = model.values.get(key) else {
                    continue;
                };
                let mut row = model.clone();
                row.values.insert(key.clone(), Value::Int(old + 100_000));
                return Some(Change::Insert(row));
            }
        }
    }
    None
}

fn mark(world: &World, graph: &FamilyGraph, deleted: bool) -> Option<Change> {
    for (member, marker) in owners(graph) {
        let found = rows(world, &member.table)
            .filter(|r| is_marked(marker, r) == deleted)
            .last();
        let Some(row) = found else {
            continue;
        };
        let key = key_of(member, row)?;
        let value = match (marker.style, deleted) {
            (MarkerStyle::NonZero, true) => Value::Int(0),
            (MarkerStyle::NonZero, false) => match (&key[0].1, marker.holds_key) {
                (Value::Int(id), true) => Value::Int(*id),
                _ => Value::Int(1),
            },
            (MarkerStyle::True, deleted) => Value::Bool(!deleted),
            (MarkerStyle::NotFalseText, true) => Value::Text("False".into()),
            (MarkerStyle::NotFalseText, false) => Value::Text("True".into()),
            (MarkerStyle::NotNull, true) => Value::Null,
            (MarkerStyle::NotNull, false) => Value::Text("2025-06-01 00:00:00".into()),
        };
        return Some(Change::Update {
            table: member.table.clone(),
            key,
            set: vec![(marker.column.clone(), value)],
        });
    }
    None
}

/// Sets a text column, that no reference and no key uses, of a child of a soft-deleted root.
fn update_child(world: &World, graph: &FamilyGraph) -> Option<Change> {
    for reference in graph.references.iter().filter(|r| r.is_owned()) {
        let child = graph.member(&reference.child)?;
        let table = graph.table(&reference.child)?;
        let used = |column: &String| {
            child.key.contains(column)
                || child.marker.as_ref().is_some_and(|m| m.column == *column)
                || graph
                    .references
                    .iter()
                    .any(|r| r.child == child.table && r.child_columns.contains(column))
                || table.uniques.iter().any(|u| u.columns.contains(column))
        };
        let free = table
            .columns
            .iter()
            .find(|c| c.ty.is_text() && !used(&c.name));
        let parent = graph.member(&reference.parent)?;
        let (Some(free), Some(marker)) = (free, &parent.marker) else {
            continue;
        };
        let dead: Vec<_> = rows(world, &reference.parent)
            .filter(|r| is_marked(marker, r))
            .collect();
        let owned = rows(world, &reference.child).find(|child| {
            dead.iter().any(|root| {
                let mut pairs = reference
                    .child_columns
                    .iter()
                    .zip(&reference.parent_columns);
                pairs.all(|(c, p)| {
                    child.values.contains_key(c) && child.values.get(c) == root.values.get(p)
                })
            })
        });
        if let Some(row) = owned {
            return Some(Change::Update {
                table: child.table.clone(),
                key: key_of(child, row)?,
                set: vec![(free.name.clone(), Value::Text("changed".into()))],
            });
        }
    }
    None
}

fn key_of(member: &Member, row: &Row) -> Option<Vec<(String, Value)>> {
    let part = |c: &String| Some((c.clone(), row.values.get(c)?.clone()));
    let key: Option<Vec<_>> = member.key.iter().map(part).collect();
    key.filter(|k| !k.is_empty())
}
