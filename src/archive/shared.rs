//! Sideways from the rows of a batch: children over references that block.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::DbError;

use super::capture::{Capture, Found};
use super::forest::{Key, RowIndex};
use super::owners::Level;
use super::sql::KEYS_PER_STATEMENT;

/// A child that was not read.
struct Unread {
    /// The row that it keeps from being deleted, and over which reference.
    parent: RowIndex,
    number: usize,
    found: Found,
}

impl Capture<'_> {
    /// Children over blocking references: a live one blocks; a soft-deleted one, and a live one that a
    /// soft-deleted row owns, goes with the parent if it is in this batch, and otherwise must go first, or
    /// is taken in with its family (`pull`). Returns the rows taken in.
    pub(super) fn shared_children(&mut self, pull: bool) -> Result<Vec<RowIndex>, DbError> {
        let unread = self.unread_children()?;
        let mut level = Level::default();
        for (index, child) in unread.iter().enumerate().filter(|(_, c)| !c.found.marked) {
            let reference = &self.sql.graph.references[child.number];
            if self.may_be_owned(&reference.child) {
                self.ask(&mut level, &reference.child, &child.found.child, [index]);
            }
        }
        let dead = self.dead_above(level)?;
        let mut fresh = Vec::new();
        if pull {
            for child in unread.iter().filter(|c| c.found.marked) {
                let table = &self.sql.graph.references[child.number].child;
                let (key, from) = (child.found.child.clone(), (child.parent, child.number));
                let taken = self.take_in(child.parent, child.number, table, key, Some(from))?;
                fresh.extend(taken.and_then(|(row, new)| new.then_some(row)));
            }
            for owner in &dead {
                if let Some(first) = owner.below.first() {
                    let via = unread[*first].parent;
                    fresh.extend(self.take_in_owner(via, owner)?);
                }
            }
            if !fresh.is_empty() {
                // What comes with them may hold the others.
                return Ok(fresh);
            }
        }
        let owned: BTreeSet<usize> = dead.iter().flat_map(|d| &d.below).copied().collect();
        for (index, child) in unread.iter().enumerate() {
            let moves = child.found.marked || owned.contains(&index);
            self.judge_shared(child.number, child.parent, &child.found, moves);
        }
        Ok(fresh)
    }

    /// Those that were read are noted as needed.
    fn unread_children(&mut self) -> Result<Vec<Unread>, DbError> {
        let graph = self.sql.graph;
        let mut by_table: BTreeMap<String, Vec<Key>> = BTreeMap::new();
        for index in 0..self.captured.forest.len() {
            let row = self.captured.forest.row(index);
            let keys = by_table.entry(row.table.clone()).or_default();
            keys.push(row.key.clone());
        }
        let mut unread = Vec::new();
        for (table, keys) in by_table {
            for (number, reference) in graph.children(&table).filter(|(_, r)| r.blocks()) {
                for chunk in keys.chunks(KEYS_PER_STATEMENT) {
                    let Some(sql) = self.sql.children(reference, chunk, false) else {
                        continue;
                    };
                    for found in self.found(reference, &sql)? {
                        let Some(parent) = self.captured.forest.find(&table, &found.parent) else {
                            continue;
                        };
                        match self.captured.forest.find(&reference.child, &found.child) {
                            Some(child) => self.captured.forest.need(parent, child),
                            None => unread.push(Unread {
                                parent,
                                number,
                                found,
                            }),
                        }
                    }
                }
            }
        }
        Ok(unread)
    }
}
