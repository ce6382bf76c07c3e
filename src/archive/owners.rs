//! Upwards from the rows of a batch: owners that were not read yet, and families that a row belongs to over
//! owners that are alive.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::db::DbError;
use crate::schema::FamilyGraph;

use super::capture::{Capture, RootKind};
use super::forest::{Hold, Key, RowIndex};
use super::name::row_name;

/// Rows that are asked for what owns them, by table and key, with numbers by which the caller knows what led
/// to each.
pub(super) type Level = BTreeMap<String, BTreeMap<String, (Key, BTreeSet<usize>)>>;

/// A soft-deleted row that owns living ones, directly or over others.
pub(super) struct DeadOwner {
    /// What led to it, by the caller's numbers.
    pub(super) below: BTreeSet<usize>,
    /// The reference of which it is the parent.
    number: usize,
    key: Key,
}

impl DeadOwner {
    /// `instances:3`.
    pub(super) fn name(&self, graph: &FamilyGraph) -> String {
        row_name(&graph.references[self.number].parent, &self.key)
    }
}

/// A row of the batch, and an owner of it that is alive.
pub(super) struct Living {
    row: RowIndex,
    /// Which reference leads to the owner.
    number: usize,
    owner: Key,
}

impl Capture<'_> {
    /// Owners, other than those already read, of rows that may have several: a soft-deleted one
    /// joins the family with all it owns, a live one holds back a child that is not deleted, unless it
    /// is itself what a soft-deleted one owns.
    pub(super) fn other_owners(&mut self, since: usize) -> Result<Vec<RowIndex>, DbError> {
        let graph = self.sql.graph;
        let mut by_table: BTreeMap<String, Vec<RowIndex>> = BTreeMap::new();
        for index in since..self.captured.forest.len() {
            if self.has_owners_to_ask_for(index) {
                let table = self.captured.forest.row(index).table.clone();
                by_table.entry(table).or_default().push(index);
            }
        }
        let mut climbed: Vec<(RowIndex, usize, Key)> = Vec::new();
        let mut living = Vec::new();
        for (table, rows) in by_table {
            let keys: Vec<Key> = rows
                .iter()
                .map(|i| self.captured.forest.row(*i).key.clone())
                .collect();
            for (number, reference) in graph.owners(&table) {
                for chunk in &self.sql.pieces(&keys) {
                    let Some(sql) = self.sql.owners_of(reference, chunk) else {
                        continue;
                    };
                    for found in self.found(reference, &sql)? {
                        let Some(child) = self.captured.forest.find(&table, &found.child) else {
                            continue;
                        };
                        match self.captured.forest.find(&reference.parent, &found.parent) {
                            Some(parent) => {
                                self.owned.insert(child);
                                self.captured.forest.join(child, parent);
                            }
                            None if found.marked => climbed.push((child, number, found.parent)),
                            None => living.push(Living {
                                row: child,
                                number,
                                owner: found.parent,
                            }),
                        }
                    }
                }
            }
        }
        let mut fresh = Vec::new();
        for (child, number, key) in climbed {
            fresh.extend(self.climb(child, number, key)?);
        }
        fresh.extend(self.past_living(living)?);
        Ok(fresh)
    }

    /// Whether a row may have an owner that was not read: it has several, it was not reached from one, or
    /// there is a cycle above it.
    fn has_owners_to_ask_for(&self, index: RowIndex) -> bool {
        let graph = self.sql.graph;
        let row = self.captured.forest.row(index);
        let owners = graph.owners(&row.table).count();
        let climbed = self.climbed.contains_key(&index);
        let straggler = self.kind == RootKind::Straggler;
        let root = row.from.is_none() && !climbed && !straggler;
        // That no owner of a root is soft-deleted was asked for where no cycle is in the way.
        let cyclic = graph.is_below_owned_cycle(&row.table) && !straggler;
        // Of one that was named nothing was asked for; and the parent of a straggler may have come back since it was
        // found, where the lock was lost with the connection.
        let given = self.kind == RootKind::Named || straggler;
        let given = given && row.from.is_none();
        owners > 1 && !root || (climbed || cyclic || given) && owners > 0
    }

    /// Whether a living row of this table may belong to a family.
    pub(super) fn may_be_owned(&self, table: &str) -> bool {
        let graph = self.sql.graph;
        let moves = graph
            .member(table)
            .is_some_and(|m| m.obstacle.is_none() || self.drops(m));
        // Alive, a child over a guarded reference is not part of its owner's family.
        moves && graph.owners(table).any(|(_, r)| !r.guarded)
    }

    /// Takes in a soft-deleted owner of a row that was read.
    fn climb(
        &mut self,
        child: RowIndex,
        number: usize,
        key: Key,
    ) -> Result<Option<RowIndex>, DbError> {
        let parent = self.sql.graph.references[number].parent.clone();
        let taken = self.take_in(child, number, &parent, key, None)?;
        if let Some((owner, _)) = taken {
            self.owned.insert(child);
            self.captured.forest.join(child, owner);
        }
        Ok(taken.and_then(|(row, new)| new.then_some(row)))
    }

    /// Goes on upwards where the owner is alive. What owns that one, and is soft-deleted, is taken in: it
    /// moves with all that it owns, the living owner and the row below it among them.
    fn past_living(&mut self, living: Vec<Living>) -> Result<Vec<RowIndex>, DbError> {
        let mut level = Level::new();
        for one in &living {
            let table = &self.sql.graph.references[one.number].parent;
            if self.may_be_owned(table) {
                self.ask(&mut level, table, &one.owner, [one.row]);
            }
        }
        self.living.extend(living);
        let mut fresh = Vec::new();
        for owner in self.dead_above(level)? {
            // One that may not be taken in holds back each of them.
            for row in &owner.below {
                fresh.extend(self.take_in_owner(*row, &owner)?);
            }
        }
        Ok(fresh)
    }

    /// Takes in a soft-deleted owner that was found further up from a row, unless it was read: then it is
    /// asked for all that it owns anyway, and so comes down to that row. The owner, if it is new.
    pub(super) fn take_in_owner(
        &mut self,
        via: RowIndex,
        owner: &DeadOwner,
    ) -> Result<Option<RowIndex>, DbError> {
        let table = &self.sql.graph.references[owner.number].parent;
        if self.captured.forest.find(table, &owner.key).is_some() {
            return Ok(None);
        }
        let taken = self.take_in(via, owner.number, table, owner.key.clone(), None)?;
        Ok(taken.and_then(|(row, new)| new.then_some(row)))
    }

    /// The next owner upwards that is soft-deleted, or was read, of each of these living rows; nothing of
    /// those that have none.
    pub(super) fn dead_above(&mut self, mut level: Level) -> Result<Vec<DeadOwner>, DbError> {
        let graph = self.sql.graph;
        let mut dead = Vec::new();
        let mut asked: HashSet<(usize, String, String)> = HashSet::new();
        while let Some((table, mut keys)) = level.pop_first() {
            for (text, (_, below)) in &mut keys {
                below.retain(|one| asked.insert((*one, table.clone(), text.clone())));
            }
            keys.retain(|_, (_, below)| !below.is_empty());
            let all: Vec<Key> = keys.values().map(|(key, _)| key.clone()).collect();
            for (number, reference) in graph.owners(&table).filter(|(_, r)| !r.guarded) {
                for chunk in &self.sql.pieces(&all) {
                    let Some(sql) = self.sql.owners_of(reference, chunk) else {
                        continue;
                    };
                    for found in self.found(reference, &sql)? {
                        let text = self.captured.forest.key_text(&found.child);
                        let below = keys.get(&text).map(|(_, below)| below.clone());
                        let below = below.unwrap_or_default();
                        let (parent, key) = (&reference.parent, found.parent);
                        let read = self.captured.forest.find(parent, &key).is_some();
                        if read || found.marked {
                            dead.push(DeadOwner { below, number, key });
                        } else if self.may_be_owned(parent) {
                            self.ask(&mut level, parent, &key, below);
                        }
                    }
                }
            }
        }
        Ok(dead)
    }

    /// Once all is read: a living owner that is part of the family owns the row as any other does. One that
    /// is not holds back a row that is not deleted itself.
    pub(super) fn judge_living(&mut self) {
        for one in std::mem::take(&mut self.living) {
            let reference = &self.sql.graph.references[one.number];
            if self
                .captured
                .forest
                .find(&reference.parent, &one.owner)
                .is_some()
            {
                self.owned.insert(one.row);
            } else if !self.captured.forest.row(one.row).deleted {
                let blocked = self.owned_by_living(one.row, reference, &one.owner);
                self.captured.forest.hold(one.row, Hold::Blocked(blocked));
            }
        }
    }

    /// Adds a row that is to be asked for its owners.
    pub(super) fn ask(
        &self,
        level: &mut Level,
        table: &str,
        key: &Key,
        below: impl IntoIterator<Item = usize>,
    ) {
        let text = self.captured.forest.key_text(key);
        let of_table = level.entry(table.to_owned()).or_default();
        let entry = of_table.entry(text);
        let (_, all) = entry.or_insert_with(|| (key.clone(), BTreeSet::new()));
        all.extend(below);
    }
}
