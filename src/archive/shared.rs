//! Sideways from the rows of a batch: children over references that block.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::db::DbError;

use super::capture::{Capture, Found};
use super::forest::{Key, RowIndex};
use super::keys::KEYS_PER_STATEMENT;
use super::name::row_name;
use super::owners::Level;

/// A child that was not read.
struct Unread {
    /// The row that it keeps from being deleted.
    parent: RowIndex,
    found: Found,
}

impl Capture<'_> {
    /// Children over blocking references: a live one blocks; a soft-deleted one, and a live one that a
    /// soft-deleted row owns, goes with the parent if it is in this batch, and otherwise must go first, or
    /// is taken in with its family (`pull`). Returns the rows taken in.
    pub(super) fn shared_children(&mut self, pull: bool) -> Result<Vec<RowIndex>, DbError> {
        let graph = self.sql.graph;
        let mut by_table: BTreeMap<String, Vec<Key>> = BTreeMap::new();
        for index in 0..self.captured.forest.len() {
            let row = self.captured.forest.row(index);
            let keys = by_table.entry(row.table.clone()).or_default();
            keys.push(row.key.clone());
        }
        let mut fresh = Vec::new();
        for (table, keys) in by_table {
            for (number, reference) in graph.children(&table).filter(|(_, r)| r.blocks()) {
                for chunk in &self.sql.pieces(&keys) {
                    let Some(sql) = self.sql.children(reference, chunk, false) else {
                        continue;
                    };
                    let mut unread = Vec::new();
                    for found in self.found(reference, &sql)? {
                        let Some(parent) = self.captured.forest.find(&table, &found.parent) else {
                            continue;
                        };
                        match self.captured.forest.find(&reference.child, &found.child) {
                            Some(child) => self.captured.forest.need(parent, child),
                            None if self.is_gone(&reference.child, &found.child) => {}
                            None => unread.push(Unread { parent, found }),
                        }
                    }
                    fresh.extend(self.unread(number, unread, pull)?);
                }
            }
        }
        Ok(fresh)
    }

    fn is_gone(&self, table: &str, key: &Key) -> bool {
        let gone = self.gone.get(table);
        gone.is_some_and(|keys| keys.contains(&self.captured.forest.key_text(key)))
    }

    /// Which of these rows, deleted in place, are too young for it; by key text.
    fn young_children(&mut self, table: &str, rows: &[Unread]) -> Result<HashSet<String>, DbError> {
        let mut young = HashSet::new();
        let in_place = self.sql.graph.deletes_in_place;
        let Some(member) = self.sql.graph.member(table).filter(|_| in_place) else {
            return Ok(young);
        };
        let keys: Vec<Key> = rows.iter().map(|r| r.found.child.clone()).collect();
        for chunk in &self.sql.pieces(&keys) {
            if let Some(sql) = self.sql.too_young(member, chunk) {
                for key in self.session.query(&sql)? {
                    young.insert(self.captured.forest.key_text(&key));
                }
            }
        }
        Ok(young)
    }

    fn unread(
        &mut self,
        number: usize,
        unread: Vec<Unread>,
        pull: bool,
    ) -> Result<Vec<RowIndex>, DbError> {
        let table = self.sql.graph.references[number].child.clone();
        let (marked, alive): (Vec<_>, Vec<_>) = unread.into_iter().partition(|c| c.found.marked);
        let mut fresh = Vec::new();
        let young = match pull {
            true => HashSet::new(),
            false => self.young_children(&table, &marked)?,
        };
        for child in marked {
            if pull {
                let (key, from) = (child.found.child, (child.parent, number));
                let taken = self.take_in(child.parent, number, &table, key, Some(from))?;
                fresh.extend(taken.and_then(|(row, new)| new.then_some(row)));
            } else {
                let name = row_name(&table, &child.found.child);
                let young = young.contains(&self.captured.forest.key_text(&child.found.child));
                self.judge_shared(number, child.parent, &child.found, Some(&name), young);
            }
        }
        // One that lives for itself is enough to block its parent, and there may be a million of them.
        for chunk in alive.chunks(KEYS_PER_STATEMENT) {
            let forest = &self.captured.forest;
            let open = chunk.iter().filter(|c| !forest.is_blocked(c.parent));
            let open: Vec<_> = open.collect();
            let mut level = Level::new();
            if self.may_be_owned(&table) {
                for (index, child) in open.iter().enumerate() {
                    self.ask(&mut level, &table, &child.found.child, [index]);
                }
            }
            let mut owners: HashMap<usize, String> = HashMap::new();
            for owner in self.dead_above(level)? {
                for index in &owner.below {
                    owners
                        .entry(*index)
                        .or_insert_with(|| owner.name(self.sql.graph));
                    if pull {
                        fresh.extend(self.take_in_owner(open[*index].parent, &owner)?);
                    }
                }
            }
            for (index, child) in open.iter().enumerate() {
                let owner = owners.get(&index);
                if owner.is_none() || !pull {
                    let owner = owner.map(String::as_str);
                    self.judge_shared(number, child.parent, &child.found, owner, false);
                }
            }
        }
        Ok(fresh)
    }
}
