//! Random worlds: schema and rows from a plan, the plan from a seed or from proptest.

use std::collections::BTreeMap;

use super::catalogue::builder::{Builder, Form};
use super::world::World;
use crate::db::Value;
use crate::generate::Random;
use crate::schema::Ownership::{Owned, Shared};

/// Names the stream of numbers that forms of tables are drawn from.
const FORMS: u64 = 0x666f_726d;

/// A schema and rows, as numbers that mean something whatever they are: any plan makes a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How many tables, at least one.
    pub tables: usize,
    /// The references between them.
    pub edges: Vec<Edge>,
    /// The rows.
    pub rows: Vec<Seed>,
    /// A table that has no shadow table, if there are that many.
    pub unshadowed: Option<usize>,
    /// A table whose rows cannot be marked deleted.
    pub unmarked: Option<usize>,
    /// A table whose key has two columns.
    pub composite: Option<usize>,
}

/// A reference from a table to a table, itself included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The child, modulo the number of tables.
    pub child: usize,
    /// The parent, modulo the number of tables.
    pub parent: usize,
    /// Whether the child moves with the parent.
    pub owned: bool,
    /// Whether there is a foreign key.
    pub declared: bool,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Its table, modulo the number of tables.
    pub table: usize,
    /// Whether it is marked deleted.
    pub dead: bool,
    /// What each of its references points at, by position among the parent's rows.
    pub picks: Vec<Option<usize>>,
}

impl Plan {
    /// The plan of a seed: the same for ever.
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::of(&[seed]);
        let mut below = |bound: usize| random.index(bound);
        let tables = 2 + below(4);
        let edges = (0..1 + below(6))
            .map(|_| Edge {
                child: below(tables),
                parent: below(tables),
                owned: below(3) > 0,
                declared: below(5) > 0,
            })
            .collect();
        let rows = (0..3 + below(22))
            .map(|_| Seed {
                table: below(tables),
                dead: below(5) > 1,
                picks: (0..6)
                    .map(|_| (below(10) > 2).then(|| below(100)))
                    .collect(),
            })
            .collect();
        let unshadowed = (below(5) == 0).then(|| below(tables));
        // Drawn apart, so that what came first stays what it was.
        let mut random = Random::of(&[seed, FORMS]);
        let mut one_in_four = || (random.index(4) == 0).then(|| random.index(tables));
        Self {
            tables,
            edges,
            rows,
            unshadowed,
            unmarked: one_in_four(),
            composite: one_in_four(),
        }
    }

    /// The world that it makes.
    pub fn world(&self, name: &str) -> World {
        let tables = self.tables.max(1);
        let mut builder = Builder::new(name, "tables, references and rows at random");
        let of = |table: usize| {
            let edges = self.edges.iter().enumerate();
            edges.filter(move |(_, e)| e.child % tables == table)
        };
        let is = |chosen: Option<usize>, table: usize| chosen.is_some_and(|c| c == table);
        let composite = |table: usize| is(self.composite, table % tables);
        for table in 0..tables {
            let columns: Vec<_> = of(table)
                .map(|(i, edge)| (format!("r{i}"), composite(edge.parent)))
                .collect();
            let form = Form {
                composite: composite(table),
                marked: !is(self.unmarked, table),
                shadowed: !is(self.unshadowed, table),
            };
            builder.formed(&format!("t{table}"), form, &columns);
        }
        for (i, edge) in self.edges.iter().enumerate() {
            let (child, parent) = (edge.child % tables, edge.parent % tables);
            let (child, parent) = match composite(parent) {
                true => (
                    format!("t{child}.(r{i}_zone, r{i})"),
                    format!("t{parent}.(zone, id)"),
                ),
                false => (format!("t{child}.r{i}"), format!("t{parent}.id")),
            };
            let kind = if edge.owned { Owned } else { Shared };
            match edge.declared {
                true => builder.reference(&child, &parent, kind),
                false => builder.by_convention(&child, &parent, kind),
            }
        }
        let mut ids: Vec<Vec<i64>> = vec![Vec::new(); tables];
        for (id, row) in (1..).zip(&self.rows) {
            ids[row.table % tables].push(id);
        }
        for (id, row) in (1..).zip(&self.rows) {
            let table = row.table % tables;
            let mut values = BTreeMap::new();
            if composite(table) {
                values.insert("zone".to_owned(), zone(id));
            }
            for ((i, edge), pick) in of(table).zip(row.picks.iter().cycle()) {
                let parents = &ids[edge.parent % tables];
                if let Some(pick) = pick.filter(|_| !parents.is_empty()) {
                    let parent = parents[pick % parents.len()];
                    values.insert(format!("r{i}"), Value::Int(parent));
                    if composite(edge.parent) {
                        values.insert(format!("r{i}_zone"), zone(parent));
                    }
                }
            }
            builder.row_of(&format!("t{table}"), id, row.dead, values);
        }
        builder.world()
    }
}

/// The first part of a key of two.
fn zone(id: i64) -> Value {
    Value::Text(if id % 2 == 0 { "a" } else { "b" }.into())
}
