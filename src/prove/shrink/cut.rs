//! Smaller worlds: without a family, without a row, without tables that nothing needs.
//!
//! What refers to a row that goes, goes with it: a smaller world has no dangling reference that the
//! larger one did not have.

use std::collections::BTreeSet;

use super::super::world::{Content, Row, World};
use crate::db::Engine;
use crate::error::Result;
use crate::schema::{Model, Schema};

/// The rows of a world, by number: those of the main database, then those of the API database.
pub(super) struct Rows {
    /// For each row, for each of its references, the rows that it may point at.
    parents: Vec<Vec<BTreeSet<usize>>>,
    /// Pairs of rows of which one owns the other.
    owned: Vec<(usize, usize)>,
    /// How many are in the main database.
    main: usize,
}

/// A reference between tables, of live and shadow rows alike.
struct Link {
    child: (bool, String, Vec<String>),
    parent: (bool, String, Vec<String>),
    owned: bool,
}

impl Rows {
    pub(super) fn of(world: &World) -> Result<Self> {
        let prefix = &world.profile.shadow_prefix;
        let base = |row: &Row| -> String {
            let shadows = row.table.strip_prefix(prefix.as_str());
            shadows.unwrap_or(&row.table).to_owned()
        };
        let api = world.api.iter().flat_map(|a| &a.rows);
        let rows: Vec<(bool, String, &Row)> = world
            .main
            .rows
            .iter()
            .map(|r| (false, base(r), r))
            .chain(api.map(|r| (true, r.table.clone(), r)))
            .collect();
        let mut parents = vec![Vec::new(); rows.len()];
        let mut owned = Vec::new();
        for link in links(world)? {
            let named =
                |(in_api, table, row): &(bool, String, &Row),
                 (link_in_api, name, columns): &(bool, String, Vec<String>)| {
                    let of = in_api == link_in_api && table == name;
                    let value = |c: &String| row.values.get(c).filter(|v| !v.is_null()).cloned();
                    of.then(|| columns.iter().map(value).collect::<Option<Vec<_>>>())
                        .flatten()
                };
            for (number, child) in rows.iter().enumerate() {
                let Some(target) = named(child, &link.child) else {
                    continue;
                };
                let is_target = |(_, row): &(usize, &(bool, String, &Row))| {
                    named(row, &link.parent).as_ref() == Some(&target)
                };
                let found: BTreeSet<usize> = rows
                    .iter()
                    .enumerate()
                    .filter(is_target)
                    .map(|(parent, _)| parent)
                    .collect();
                if link.owned {
                    owned.extend(found.iter().map(|parent| (*parent, number)));
                }
                if !found.is_empty() && !found.contains(&number) {
                    parents[number].push(found);
                }
            }
        }
        Ok(Self {
            parents,
            owned,
            main: world.main.rows.len(),
        })
    }

    /// What goes when these rows go.
    pub(super) fn falling(&self, rows: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut gone: BTreeSet<usize> = rows.into_iter().collect();
        loop {
            let before = gone.len();
            for (row, references) in self.parents.iter().enumerate() {
                if references.iter().any(|parents| parents.is_subset(&gone)) {
                    gone.insert(row);
                }
            }
            if gone.len() == before {
                return gone;
            }
        }
    }

    /// Families: rows that own each other, however far; API records with their root. Rows of the API
    /// database that belong to no root are in none.
    pub(super) fn families(&self) -> Vec<BTreeSet<usize>> {
        let mut family: Vec<usize> = (0..self.parents.len()).collect();
        for (parent, child) in &self.owned {
            let (a, b) = (family[*parent], family[*child]);
            for place in &mut family {
                if *place == a.max(b) {
                    *place = a.min(b);
                }
            }
        }
        let names: BTreeSet<usize> = family[..self.main].iter().copied().collect();
        let members = |name: &usize| {
            let all = family.iter().enumerate();
            all.filter(|(_, f)| *f == name)
                .map(|(row, _)| row)
                .collect()
        };
        names.iter().map(members).collect()
    }

    /// Every row with what falls with it, the most first.
    pub(super) fn falls(&self) -> Vec<BTreeSet<usize>> {
        let mut falls: Vec<_> = (0..self.parents.len())
            .map(|row| self.falling([row]))
            .collect();
        falls.sort_by_key(|fall| std::cmp::Reverse(fall.len()));
        falls.dedup();
        falls
    }

    /// The world without these rows.
    pub(super) fn without(&self, world: &World, gone: &BTreeSet<usize>) -> World {
        let mut smaller = world.clone();
        let mut number = 0..;
        let mut stays = |_: &Row| number.next().is_some_and(|n| !gone.contains(&n));
        smaller.main.rows.retain(&mut stays);
        if let Some(api) = &mut smaller.api {
            api.rows.retain(&mut stays);
        }
        smaller
    }
}

fn links(world: &World) -> Result<Vec<Link>> {
    let graph = world.graph(Engine::Sqlite)?;
    let mut links: Vec<Link> = graph
        .references
        .iter()
        .map(|r| Link {
            child: (false, r.child.clone(), r.child_columns.clone()),
            parent: (false, r.parent.clone(), r.parent_columns.clone()),
            owned: r.is_owned(),
        })
        .collect();
    let Some(api) = &world.api else {
        return Ok(links);
    };
    for table in api.schema.schema()?.tables.into_values() {
        links.extend(table.foreign_keys.into_iter().map(|key| Link {
            child: (true, table.name.clone(), key.columns),
            parent: (true, key.parent, key.parent_columns),
            owned: false,
        }));
    }
    if let Some(records) = &world.profile.api {
        let tables = records.tables.iter().chain([&records.mapping]);
        links.extend(tables.map(|table| Link {
            child: (true, table.clone(), vec![records.column.clone()]),
            parent: (false, records.root.clone(), vec![records.key.clone()]),
            owned: true,
        }));
    }
    Ok(links)
}

/// Tables that can go, each with its shadow: they hold no rows, and no table that stays refers to
/// them. The ones that become so when others have gone come after those. Those in `kept` stay.
pub(super) fn idle_tables(world: &World, kept: &BTreeSet<String>) -> Result<Vec<Vec<String>>> {
    let profile = &world.profile;
    let schema = world.main.schema.schema()?;
    let graph = world.graph(Engine::Sqlite)?;
    let mut idle: Vec<Vec<String>> = Vec::new();
    loop {
        let gone: BTreeSet<String> = idle.iter().flatten().cloned().collect();
        let next = graph.members.values().find_map(|member| {
            let mut names = vec![member.table.clone()];
            names.extend(member.shadow.clone());
            let empty = !world.main.rows.iter().any(|r| names.contains(&r.table));
            let root = profile.api.as_ref().map(|a| &a.root);
            let others = schema
                .tables
                .values()
                .filter(|t| !gone.contains(&t.name) && !names.contains(&t.name));
            let declared = others
                .flat_map(|t| &t.foreign_keys)
                .any(|key| names.contains(&key.parent));
            let stated = graph
                .children(&member.table)
                .any(|(_, r)| !gone.contains(&r.child) && r.child != member.table);
            let wanted = root == Some(&member.table) || kept.contains(&member.table);
            let free = empty && !declared && !stated && !wanted;
            (free && !gone.contains(&member.table)).then_some(names)
        });
        match next {
            Some(names) => idle.push(names),
            None => return Ok(idle),
        }
    }
}

/// The world without these tables of the main database, and what the profile says of them.
pub(super) fn without_tables(world: &World, tables: &[String]) -> Result<World> {
    let mut smaller = world.clone();
    let content = &mut smaller.main;
    let stays = |name: &str| !tables.iter().any(|t| t == name);
    let schema = content.schema.schema()?;
    let left: Schema = schema
        .tables
        .into_values()
        .filter(|t| stays(&t.name))
        .collect();
    *content = Content {
        schema: Model::new(
            &content.schema.service,
            &content.schema.release,
            &content.schema.database,
            &content.schema.version,
            &left,
        ),
        rows: std::mem::take(&mut content.rows),
    };
    tables.iter().for_each(|t| smaller.profile.forget(t));
    Ok(smaller)
}
