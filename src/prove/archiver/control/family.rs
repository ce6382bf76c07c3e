//! A family: a marked row and all that must move with it, read with locks.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::{DbError, Session, Value};
use crate::schema::{Member, Obstacle, Reference};

use super::sql::{Sql, Tuple};

/// A row that was read.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) table: String,
    pub(super) key: Tuple,
    pub(super) marked: bool,
    /// Values of the columns that references are made of.
    values: BTreeMap<String, Value>,
}

impl Row {
    /// The values of these columns; `None` if one of them is NULL.
    pub(super) fn tuple(&self, columns: &[String]) -> Option<Tuple> {
        let value = |c: &String| self.values.get(c).filter(|v| !v.is_null()).cloned();
        columns.iter().map(value).collect()
    }
}

/// Why a family moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Its first row is marked.
    Marked,
    /// The parent of its first row is archived already.
    Straggler,
}

/// Rows that move together, or not at all.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) rows: Vec<Row>,
    /// Those of them that something holds back.
    pub(super) held: BTreeSet<usize>,
}

impl Family {
    fn position(&self, row: &Row) -> Option<usize> {
        let same = |r: &Row| r.table == row.table && r.key == row.key;
        self.rows.iter().position(same)
    }

    /// Positions of the rows that `reference` joins to `row`, on its other side.
    fn partners(&self, reference: &Reference, row: &Row, row_is_child: bool) -> Vec<usize> {
        let (own, other) = match row_is_child {
            true => (&reference.child_columns, &reference.parent_columns),
            false => (&reference.parent_columns, &reference.child_columns),
        };
        let table = match row_is_child {
            true => &reference.parent,
            false => &reference.child,
        };
        let Some(wanted) = row.tuple(own) else {
            return Vec::new();
        };
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, r)| r.table == *table && r.tuple(other).as_ref() == Some(&wanted))
            .map(|(i, _)| i)
            .collect()
    }

    /// Keys by table.
    pub(super) fn keys(&self) -> BTreeMap<&str, Vec<Tuple>> {
        let mut keys: BTreeMap<&str, Vec<Tuple>> = BTreeMap::new();
        for row in &self.rows {
            keys.entry(row.table.as_str())
                .or_default()
                .push(row.key.clone());
        }
        keys
    }

    /// Whether it may not move as it is.
    pub(super) fn is_blocked(&self) -> bool {
        !self.held.is_empty()
    }
}

/// Reads one family.
pub(super) struct Reader<'a> {
    session: &'a mut Session,
    sql: Sql<'a>,
    family: Family,
}

impl<'a> Reader<'a> {
    pub(super) fn new(session: &'a mut Session, sql: Sql<'a>) -> Self {
        Self {
            session,
            sql,
            family: Family::default(),
        }
    }

    /// The family of the row with this key; `None` if it is not there or marked any more.
    pub(super) fn read(
        mut self,
        member: &Member,
        key: &Tuple,
        start: Start,
    ) -> Result<Option<Family>, DbError> {
        let keys = std::slice::from_ref(key);
        let root = self.rows(member, &member.key, keys)?.pop();
        let Some(root) = root.filter(|r| r.marked || start == Start::Straggler) else {
            return Ok(None);
        };
        self.family.rows.push(root);
        let (mut down, mut up, mut sideways) = (0, 0, 0);
        loop {
            let read = self.family.rows.len();
            if down < read {
                self.children(down)?;
                down = read;
            } else if up < read {
                self.owners(up)?;
                up = read;
            } else if sideways < read {
                self.blockers(sideways)?;
                sideways = read;
            } else {
                return Ok(Some(self.family));
            }
        }
    }

    /// What the rows from that one on own.
    fn children(&mut self, from: usize) -> Result<(), DbError> {
        let graph = self.sql.graph;
        for (reference, found) in self.partners(from, |r| r.is_owned(), false)? {
            let Some(child) = graph.member(&reference.child) else {
                continue;
            };
            for row in found {
                // What nobody has said is owned, and lives, holds its parent back.
                if reference.guarded && !row.marked {
                    continue;
                }
                match &child.obstacle {
                    None => self.add(row),
                    // What nothing but a convention binds can stay behind.
                    Some(Obstacle::NoShadowTable(_)) if !reference.declared => {}
                    Some(_) => self.hold(self.family.partners(reference, &row, true)),
                }
            }
        }
        Ok(())
    }

    /// Who owns the rows from that one on: who moves too, takes in all that it owns; who stays, keeps
    /// what is not marked.
    fn owners(&mut self, from: usize) -> Result<(), DbError> {
        let graph = self.sql.graph;
        for (reference, found) in self.partners(from, |r| r.is_owned(), true)? {
            let Some(parent) = graph.member(&reference.parent) else {
                continue;
            };
            for row in found {
                if self.family.position(&row).is_some() {
                    continue;
                }
                let children = self.family.partners(reference, &row, false);
                if self.moves(&row, &mut Vec::new())? {
                    match parent.obstacle {
                        None => self.add(row),
                        Some(_) => self.hold(children),
                    }
                } else {
                    let unmarked = |i: &usize| !self.family.rows[*i].marked;
                    self.hold(children.into_iter().filter(unmarked).collect());
                }
            }
        }
        Ok(())
    }

    /// Whether a row is marked, or owned by one that is.
    fn moves(&mut self, row: &Row, passed: &mut Vec<(String, Tuple)>) -> Result<bool, DbError> {
        if row.marked {
            return Ok(true);
        }
        passed.push((row.table.clone(), row.key.clone()));
        let graph = self.sql.graph;
        // Over a guarded reference a living row holds its owner back, and does not go with it.
        let owners = graph.owners(&row.table).filter(|(_, r)| !r.guarded);
        for (_, reference) in owners {
            let (Some(parent), Some(tuple)) = (
                graph.member(&reference.parent),
                row.tuple(&reference.child_columns),
            ) else {
                continue;
            };
            for owner in self.rows(parent, &reference.parent_columns, &[tuple])? {
                let name = (owner.table.clone(), owner.key.clone());
                if !passed.contains(&name) && self.moves(&owner, passed)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// What a foreign key keeps with the rows from that one on without being owned: a marked one
    /// comes along, a living one holds its parent back.
    fn blockers(&mut self, from: usize) -> Result<(), DbError> {
        let graph = self.sql.graph;
        for (reference, found) in self.partners(from, Reference::blocks, false)? {
            let Some(child) = graph.member(&reference.child) else {
                continue;
            };
            for row in found {
                if self.family.position(&row).is_some() {
                    continue;
                }
                if row.marked && child.obstacle.is_none() {
                    self.add(row);
                } else {
                    self.hold(self.family.partners(reference, &row, true));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, row: Row) {
        if self.family.position(&row).is_none() {
            self.family.rows.push(row);
        }
    }

    fn hold(&mut self, rows: Vec<usize>) {
        self.family.held.extend(rows);
    }

    /// The rows at the other end of all references of some kind that hang on the rows from that one
    /// on.
    fn partners(
        &mut self,
        from: usize,
        kind: fn(&Reference) -> bool,
        up: bool,
    ) -> Result<Vec<(&'a Reference, Vec<Row>)>, DbError> {
        let graph = self.sql.graph;
        let mut all = Vec::new();
        for reference in graph.references.iter().filter(|r| kind(r)) {
            let (near, near_columns, far, far_columns) = match up {
                true => (
                    &reference.child,
                    &reference.child_columns,
                    &reference.parent,
                    &reference.parent_columns,
                ),
                false => (
                    &reference.parent,
                    &reference.parent_columns,
                    &reference.child,
                    &reference.child_columns,
                ),
            };
            let rows = self.family.rows[from..].iter().filter(|r| r.table == *near);
            let tuples: Vec<_> = rows.filter_map(|r| r.tuple(near_columns)).collect();
            let Some(far) = graph.member(far).filter(|_| !tuples.is_empty()) else {
                continue;
            };
            all.push((reference, self.rows(far, far_columns, &tuples)?));
        }
        Ok(all)
    }

    fn rows(
        &mut self,
        member: &Member,
        columns: &[String],
        tuples: &[Tuple],
    ) -> Result<Vec<Row>, DbError> {
        let telling = self.sql.telling(member);
        let rows = self
            .session
            .query(&self.sql.rows(member, columns, tuples))?;
        let row = |mut values: Vec<Value>| {
            let marked = values.pop().is_some_and(|m| m.is_true());
            Row {
                table: member.table.clone(),
                key: values.iter().take(member.key.len()).cloned().collect(),
                marked,
                values: telling.iter().cloned().zip(values).collect(),
            }
        };
        Ok(rows.into_iter().map(row).collect())
    }
}
