//! What is in a database at one moment, read whole into memory: worlds are small.
//!
//! Oracles are pure functions over states. They share no SQL and no code with the archive engine or
//! the audit, so that a mistake in those cannot hide itself.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::archive::Before;
use crate::db::{DbError, Session, Value};
use crate::schema::{FamilyGraph, MarkerStyle, Ownership};

use super::archiver::EngineOptions;
use super::world::{MAIN_URL, Row, Task, World};

/// A row: its values as text, in the order of the live table's columns; `None` is NULL.
pub type Record = Vec<Option<String>>;

/// What the oracles know of a world's tables: positions instead of names.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The live tables, by name.
    pub tables: Vec<TableShape>,
    /// The references between them.
    pub references: Vec<ReferenceShape>,
    /// The tables of the API database with their columns.
    pub api: Vec<(String, Vec<String>)>,
    /// The number of the cell that the main database is, in the API database.
    pub cell: Option<String>,
    /// Whether rows are purged where they are: then the other side of a table is where rows are that have
    /// gone from it.
    pub purges: bool,
    /// Whether each row goes by its own age, not by that of its root.
    pub(super) own_age: bool,
    /// Only families whose root was soft-deleted before this moment are to move.
    pub before: Option<Before>,
    /// Whether damage is to be healed: rows may go both ways, and one of two that are the same for good.
    pub(super) repairs: bool,
}

/// A live table and its shadow.
#[derive(Debug, Clone)]
pub struct TableShape {
    /// The live table's name.
    pub name: String,
    /// The name of the shadow table, or of where purged rows are, if there is either.
    pub shadow: Option<String>,
    /// The live table's columns.
    pub columns: Vec<String>,
    /// Those of them that the shadow table has too.
    in_shadow: Vec<bool>,
    /// Positions of the key's columns.
    pub key: Vec<usize>,
    /// Position and style of the marker.
    pub marker: Option<(usize, MarkerStyle)>,
    /// Whether all rows count as marked, as they do in a shadow table.
    all_marked: bool,
    /// Position of the column that tells a row's age.
    pub age: Option<usize>,
    /// Position of the column beside the marker that says since when a row is marked.
    dated: Option<usize>,
    /// Whether the marker of a row that is marked holds its key.
    holds_key: bool,
    /// Where rows are purged each goes by its own age: one that was not deleted before this moment is as
    /// good as live.
    purged_before: Option<String>,
}

/// A reference.
#[derive(Debug, Clone)]
pub struct ReferenceShape {
    /// `instance_extra.instance_uuid -> instances.uuid`.
    pub name: String,
    /// Position of the child table.
    pub child: usize,
    /// Position of the parent table.
    pub parent: usize,
    /// Positions of the child's columns.
    pub child_columns: Vec<usize>,
    /// Positions of the parent's columns.
    pub parent_columns: Vec<usize>,
    /// Whether the child moves with the parent.
    pub owned: bool,
    /// Whether there is a foreign key.
    pub declared: bool,
    /// Whether a child that is not marked holds its parent back instead of moving with it.
    pub guarded: bool,
}

impl TableShape {
    /// Whether the row is marked deleted.
    pub fn is_marked(&self, record: &Record) -> bool {
        if self.all_marked {
            return true;
        }
        let Some((column, style)) = self.marker else {
            return false;
        };
        if self
            .purged_before
            .as_ref()
            .is_some_and(|b| !self.is_older(record, b))
        {
            return false;
        }
        match (style, record[column].as_deref()) {
            (_, None) => false,
            (MarkerStyle::NonZero, Some(text)) => text != "0",
            (MarkerStyle::True, Some(text)) => matches!(text, "1" | "true" | "t"),
            (MarkerStyle::NotFalseText, Some(text)) => {
                !matches!(text, "" | "0" | "False" | "false")
            }
            (MarkerStyle::NotNull, Some(_)) => true,
        }
    }

    /// Whether the row was deleted before that moment.
    pub(super) fn is_older(&self, record: &Record, before: &str) -> bool {
        let age = self.age.and_then(|column| record[column].as_deref());
        age.is_some_and(|age| age < before)
    }

    /// Position of the column beside the marker that says since when a row is marked.
    pub(super) fn date(&self) -> Option<usize> {
        self.dated.filter(|_| self.marker.is_some())
    }

    /// Positions of the marker and of the key that it holds.
    pub(super) fn key_in_marker(&self) -> Option<(usize, usize)> {
        match (self.holds_key, self.marker, self.key.as_slice()) {
            (true, Some((marker, _)), [key]) => Some((marker, *key)),
            _ => None,
        }
    }

    /// Positions of the columns that the shadow table has too.
    pub(super) fn shadow_columns(&self) -> impl Iterator<Item = usize> {
        let there = self.in_shadow.iter().enumerate();
        there.filter_map(|(i, there)| there.then_some(i))
    }

    /// `instances:3`.
    pub fn row_name(&self, record: &Record) -> String {
        let key: Vec<_> = self
            .key
            .iter()
            .map(|i| record[*i].clone().unwrap_or_else(|| "NULL".into()))
            .collect();
        format!("{}:{}", self.name, key.join(","))
    }
}

impl ReferenceShape {
    /// What the child points at; `None` where it points at nothing.
    pub fn target<'a>(&self, child: &'a Record) -> Option<Vec<&'a str>> {
        self.child_columns
            .iter()
            .map(|i| child[*i].as_deref())
            .collect()
    }

    /// What children of this row point at.
    pub fn name_of<'a>(&self, parent: &'a Record) -> Option<Vec<&'a str>> {
        self.parent_columns
            .iter()
            .map(|i| parent[*i].as_deref())
            .collect()
    }
}

impl Shape {
    /// The shape of a world whose graph this is, for an engine with these options.
    pub fn new(graph: &FamilyGraph, world: &World, options: &EngineOptions) -> Self {
        let before = options.before.clone();
        let own_age = world.task == Task::Purge;
        let names: Vec<_> = graph.members.keys().cloned().collect();
        let place = |name: &str| names.binary_search_by(|n| n.as_str().cmp(name)).ok();
        let columns = |table: &str| -> Vec<String> {
            graph.table(table).map_or_else(Vec::new, |t| {
                t.columns.iter().map(|c| c.name.clone()).collect()
            })
        };
        let tables: Vec<_> = graph
            .members
            .values()
            .map(|member| {
                let own = columns(&member.table);
                let at = |name: &String| own.iter().position(|c| c == name);
                let shadow = member.shadow.as_deref().and_then(|s| graph.table(s));
                let purges = graph.deletes_in_place;
                let keyed: Vec<_> = member.key.iter().filter_map(at).collect();
                TableShape {
                    name: member.table.clone(),
                    shadow: match purges {
                        true => Some(format!("{} (purged)", member.table)),
                        false => member.shadow.clone(),
                    },
                    in_shadow: own
                        .iter()
                        .map(|c| purges || shadow.is_some_and(|s| s.column(c).is_some()))
                        .collect(),
                    // A table without key is told apart by whole rows.
                    key: if keyed.is_empty() {
                        (0..own.len()).collect()
                    } else {
                        keyed
                    },
                    marker: member
                        .marker
                        .as_ref()
                        .filter(|_| !member.never_marked)
                        .and_then(|m| Some((at(&m.column)?, m.style))),
                    age: member.age.as_ref().and_then(at),
                    dated: member.marker.as_ref().and_then(|m| {
                        let at_column = m.at.as_ref().filter(|at| **at != m.column)?;
                        at(at_column)
                    }),
                    holds_key: member.marker.as_ref().is_some_and(|m| m.holds_key),
                    all_marked: world.task.is_of_shadows(),
                    purged_before: before.as_ref().filter(|_| own_age).map(ToString::to_string),
                    columns: own,
                }
            })
            .collect();
        let references = graph.references.iter().filter_map(|r| {
            let (child, parent) = (place(&r.child)?, place(&r.parent)?);
            let at = |table: usize, list: &[String]| -> Option<Vec<usize>> {
                let own: &[String] = &tables[table].columns;
                list.iter()
                    .map(|c| own.iter().position(|o| o == c))
                    .collect()
            };
            Some(ReferenceShape {
                name: r.to_string(),
                child,
                parent,
                child_columns: at(child, &r.child_columns)?,
                parent_columns: at(parent, &r.parent_columns)?,
                owned: r.ownership == Ownership::Owned,
                declared: r.declared,
                guarded: r.guarded,
            })
        });
        let references = references.collect();
        let api = world
            .api
            .iter()
            .filter_map(|content| content.schema.schema().ok())
            .flat_map(|schema| schema.tables.into_values())
            .map(|t| (t.name, t.columns.into_iter().map(|c| c.name).collect()))
            .collect();
        Self {
            tables,
            references,
            api,
            cell: cell(world),
            purges: graph.deletes_in_place,
            own_age,
            before,
            repairs: world.task == Task::Repair,
        }
    }

    /// What a row is that has gone to the other side.
    pub fn away(&self) -> &'static str {
        if self.purges { "purged" } else { "archived" }
    }

    /// Whether no row may go but those that the model lets go.
    pub(super) fn is_strict(&self) -> bool {
        self.purges || self.before.is_some()
    }

    /// Position of a live table.
    pub fn table(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|t| t.name == name)
    }
}

/// The number of the cell that has the main database.
fn cell(world: &World) -> Option<String> {
    let (api, records) = (world.api.as_ref()?, world.profile.api.as_ref()?);
    let is_main = |row: &&Row| {
        let connection = row.values.get("database_connection");
        row.table == records.cells && connection.and_then(Value::as_text) == Some(MAIN_URL)
    };
    let id = api.rows.iter().find(is_main)?.values.get("id")?;
    Some(id.to_string())
}

/// The rows of one live table and of its shadow, each sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Sides {
    /// In the live table.
    pub live: Vec<Record>,
    /// In the shadow table.
    pub shadow: Vec<Record>,
}

/// All rows at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// By the positions of [`Shape::tables`].
    pub tables: Vec<Sides>,
    /// The API database's rows, by the positions of [`Shape::api`].
    pub api: Vec<Vec<Record>>,
}

impl State {
    /// Reads everything; of purged rows nothing can be read. Tables that are empty cost nothing but their place in one statement.
    pub fn read(
        shape: &Shape,
        main: &mut Session,
        api: Option<&mut Session>,
    ) -> Result<Self, DbError> {
        let live = shape.tables.iter().map(|t| (t.name.as_str(), &t.columns));
        let all = vec![
            true;
            shape
                .tables
                .iter()
                .map(|t| t.columns.len())
                .max()
                .unwrap_or(0)
        ];
        let mut parts: Vec<_> = live
            .map(|(name, columns)| (name, columns, &all[..columns.len()]))
            .collect();
        let with_shadow = shape
            .tables
            .iter()
            .filter_map(|t| Some((t.shadow.as_deref()?, &t.columns, t.in_shadow.as_slice())))
            .filter(|_| !shape.purges);
        parts.extend(with_shadow);
        let mut rows = read_tables(main, &parts)?.into_iter();
        let mut tables: Vec<_> = rows
            .by_ref()
            .take(shape.tables.len())
            .map(|live| Sides {
                live,
                shadow: Vec::new(),
            })
            .collect();
        let shadowed = tables
            .iter_mut()
            .zip(&shape.tables)
            .filter(|(_, t)| t.shadow.is_some() && !shape.purges);
        for ((sides, _), shadow) in shadowed.zip(rows) {
            sides.shadow = shadow;
        }
        let api = match api {
            None => Vec::new(),
            Some(session) => {
                let all = vec![true; shape.api.iter().map(|(_, c)| c.len()).max().unwrap_or(0)];
                let parts: Vec<_> = shape
                    .api
                    .iter()
                    .map(|(name, columns)| (name.as_str(), columns, &all[..columns.len()]))
                    .collect();
                read_tables(session, &parts)?
            }
        };
        Ok(Self { tables, api })
    }

    /// A number that differs where states differ.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Rows in the shadow tables, by live table.
    pub fn archived(&self, shape: &Shape) -> BTreeMap<String, u64> {
        let count = |(t, s): (&TableShape, &Sides)| (t.name.clone(), s.shadow.len() as u64);
        shape.tables.iter().zip(&self.tables).map(count).collect()
    }
}

type Part<'a> = (&'a str, &'a Vec<String>, &'a [bool]);

fn read_tables(session: &mut Session, parts: &[Part<'_>]) -> Result<Vec<Vec<Record>>, DbError> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let engine = session.engine();
    let counts: Vec<_> = parts
        .iter()
        .map(|(name, ..)| format!("EXISTS (SELECT 1 FROM {})", engine.quote(name)))
        .collect();
    let filled = session.query_row(&format!("SELECT {}", counts.join(", ")))?;
    let filled = filled.unwrap_or_default();
    let mut all = Vec::with_capacity(parts.len());
    for ((name, columns, present), filled) in parts.iter().zip(filled) {
        let mut rows = Vec::new();
        if filled.is_true() {
            let list: Vec<_> = columns
                .iter()
                .zip(*present)
                .map(|(c, there)| match there {
                    true => engine.quote(c),
                    false => "NULL".into(),
                })
                .collect();
            let sql = format!("SELECT {} FROM {}", list.join(", "), engine.quote(name));
            session.query_each(&sql, |row| {
                rows.push(row.into_iter().map(text).collect::<Record>());
                true
            })?;
            rows.sort_unstable();
        }
        all.push(rows);
    }
    Ok(all)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Text(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// What the rows of one side of a table are called by the children of a reference.
pub(super) fn names<'a>(
    reference: &ReferenceShape,
    parents: &'a [Record],
) -> HashSet<Vec<&'a str>> {
    parents
        .iter()
        .filter_map(|p| reference.name_of(p))
        .collect()
}

/// Rows that may leave the live tables: marked rows, and all that they own, however deep, less what is alive
/// over a guarded reference. As `table:key`.
pub fn movable(shape: &Shape, state: &State) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    let tables = shape.tables.iter().zip(&state.tables);
    for ((table, sides), moves) in tables.zip(marked_families(shape, state)) {
        let marked = sides.live.iter().zip(moves).filter(|(_, moves)| *moves);
        rows.extend(marked.map(|(record, _)| table.row_name(record)));
    }
    rows
}

/// The same by position: for each table, for each of its live rows.
pub(super) fn marked_families(shape: &Shape, state: &State) -> Vec<Vec<bool>> {
    let mut found: Vec<Vec<bool>> = shape
        .tables
        .iter()
        .zip(&state.tables)
        .map(|(t, s)| s.live.iter().map(|r| t.is_marked(r)).collect())
        .collect();
    loop {
        let mut grew = false;
        for reference in shape.references.iter().filter(|r| r.owned) {
            let parents = &state.tables[reference.parent].live;
            // A parent that is in the shadow table already takes its residue along.
            let mut dead = names(reference, &state.tables[reference.parent].shadow);
            let moving = parents
                .iter()
                .zip(&found[reference.parent])
                .filter(|(_, moves)| **moves);
            dead.extend(moving.filter_map(|(p, _)| reference.name_of(p)));
            let table = &shape.tables[reference.child];
            if reference.guarded && table.marker.is_some() {
                continue;
            }
            let children = &state.tables[reference.child].live;
            for (child, moves) in children.iter().zip(&mut found[reference.child]) {
                if !*moves && reference.target(child).is_some_and(|t| dead.contains(&t)) {
                    *moves = true;
                    grew = true;
                }
            }
        }
        if !grew {
            return found;
        }
    }
}
