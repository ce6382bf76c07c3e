//! The same families on their way back, from the shadow tables to the live ones.

use std::collections::BTreeMap;

use super::member::obstacle_to_return;
use super::{FamilyGraph, Member, below, owned_cycles};

impl FamilyGraph {
    /// The same families in the shadow tables, for an engine that brings them back: each shadow table is a member, and
    /// its live table is where its rows go. Tables without shadow, whose rows never left, are no members.
    ///
    /// References keep their columns and the names of shadow tables stand in them; one that is declared has its foreign
    /// key in the live tables, and asks there for the parent before the child. Every row counts as deleted: it has been
    /// archived, whatever its marker says.
    pub fn returning(&self) -> Self {
        let shadow = |table: &str| self.member(table)?.shadow.clone();
        let members: BTreeMap<_, _> = self
            .members
            .values()
            .filter_map(|live| {
                let name = live.shadow.clone()?;
                let tables = self.table(&live.table).zip(self.table(&name));
                let member = Member {
                    table: name.clone(),
                    shadow: Some(live.table.clone()),
                    obstacle: tables.and_then(|(l, s)| obstacle_to_return(l, s, &live.key)),
                    ..live.clone()
                };
                Some((name, member))
            })
            .collect();
        let references: Vec<_> = self
            .references
            .iter()
            .filter_map(|reference| {
                let child = shadow(&reference.child)?;
                let mut moved = reference.clone();
                moved.indexed = self
                    .table(&child)
                    .is_some_and(|t| t.has_index_on(&reference.child_columns));
                moved.parent = shadow(&reference.parent)?;
                moved.child = child;
                moved.guarded = false;
                Some(moved)
            })
            .collect();
        let cycles = owned_cycles(&references);
        let below_cycles = below(&cycles, &references);
        Self {
            returns: true,
            deletes_in_place: false,
            schema: self.schema.clone(),
            profile: self.profile.clone(),
            delete_order: self.delete_order.iter().filter_map(|t| shadow(t)).collect(),
            members,
            references,
            cycles,
            below_cycles,
        }
    }
}
