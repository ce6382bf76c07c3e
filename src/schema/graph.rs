//! The family graph: every live table with its marker, key and shadow, and every reference.

mod member;
mod references;
mod returning;

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

pub(crate) use member::non_transactional;
pub use member::{Member, Obstacle};

use self::member::{member, obstacle_in_place};
use self::references::references;
use super::{Ownership, Profile, Reference, Schema, Table};
use crate::error::Result;

/// Live tables and the references between them.
#[derive(Debug, Clone)]
pub struct FamilyGraph {
    /// The schema it was built from, shadow tables included.
    pub schema: Schema,
    /// The profile it was built with.
    pub profile: Profile,
    /// The live tables, by name.
    pub members: BTreeMap<String, Member>,
    /// All references between live tables.
    pub references: Vec<Reference>,
    /// Live tables, children before parents by declared references.
    pub delete_order: Vec<String>,
    /// Whether rows are to be deleted where they are, not moved: [`Self::in_place`].
    pub deletes_in_place: bool,
    /// Whether rows are to come back from the shadow tables, which are the members then: [`Self::returning`].
    pub returns: bool,
    /// Tables that may own rows of their own over owned references, by the cycle they are in.
    cycles: BTreeMap<String, usize>,
    /// Those tables and all below them.
    below_cycles: BTreeSet<String>,
}

impl FamilyGraph {
    pub(super) fn build(schema: &Schema, profile: &Profile) -> Result<Self> {
        let prefix = profile.shadow_prefix.as_str();
        let live = schema.tables.values().filter(|t| {
            let shadows = t.name.strip_prefix(prefix);
            !shadows.is_some_and(|name| schema.tables.contains_key(name))
                && !profile.ignored.contains(&t.name)
        });
        let members: BTreeMap<_, _> = live
            .map(|t| (t.name.clone(), member(t, schema, profile)))
            .collect();
        let references = references(schema, profile, &members)?;
        let delete_order = delete_order(&members, &references);
        let cycles = owned_cycles(&references);
        let below_cycles = below(&cycles, &references);
        Ok(Self {
            deletes_in_place: false,
            returns: false,
            cycles,
            below_cycles,
            schema: schema.clone(),
            profile: profile.clone(),
            members,
            references,
            delete_order,
        })
    }

    /// The same families for an engine that deletes them where they are: no shadow table is needed,
    /// none is in the way, and a live child holds its parent back whoever owns it. Rows of the profile's
    /// `purged_on_request` tables stay, unless the table is in `requested`; what they own goes by itself. Rows of
    /// tables that a profile does not know stay (an operator's copy of a table, say), and hold back what they
    /// refer to.
    pub fn in_place(&self, requested: &BTreeSet<String>) -> Self {
        let mut graph = self.clone();
        graph.deletes_in_place = true;
        for member in graph.members.values_mut() {
            member.shadow = None;
            let table = self.schema.table(&member.table);
            member.obstacle = table.and_then(|t| obstacle_in_place(t, &member.key));
            let on_request = self.profile.purged_on_request.contains(&member.table);
            let stays = on_request && !requested.contains(&member.table);
            if stays || !self.profile.covers(&member.table) {
                member.marker = None;
            }
        }
        for reference in &mut graph.references {
            if !self.profile.covers(&reference.child) {
                reference.ownership = Ownership::Shared;
            }
            let child = graph.members.get(&reference.child);
            let marked = child.is_some_and(|c| c.marker.is_some() && !c.never_marked);
            reference.guarded |= reference.is_owned() && marked;
        }
        graph
    }

    /// The families as they are cleaned up: in place where there are no shadow tables, rows that are purged on
    /// request among them.
    pub fn as_cleaned_up(self) -> Self {
        match self.archives() {
            true => self,
            false => self.in_place(&self.profile.purged_on_request.iter().cloned().collect()),
        }
    }

    /// The member of that name.
    pub fn member(&self, table: &str) -> Option<&Member> {
        self.members.get(table)
    }

    /// The live table's definition.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.schema.table(name)
    }

    /// References of which the table is the parent, with their index.
    pub fn children<'a>(
        &'a self,
        table: &'a str,
    ) -> impl Iterator<Item = (usize, &'a Reference)> + 'a {
        self.references
            .iter()
            .enumerate()
            .filter(move |(_, r)| r.parent == table)
    }

    /// Owned references of which the table is the child, with their index: who it moves with.
    pub fn owners<'a>(
        &'a self,
        table: &'a str,
    ) -> impl Iterator<Item = (usize, &'a Reference)> + 'a {
        self.references
            .iter()
            .enumerate()
            .filter(move |(_, r)| r.child == table && r.is_owned())
    }

    /// Whether a row of the table may belong, however far below, to one of a table that may own rows of its
    /// own; those tables among them. A query of fixed length does not see all that such a row belongs to.
    pub fn is_below_owned_cycle(&self, table: &str) -> bool {
        self.below_cycles.contains(table)
    }

    /// Whether the owned reference is part of a cycle: of two rows that own each other neither may
    /// wait for the other as its root.
    pub fn closes_owned_cycle(&self, reference: &Reference) -> bool {
        let cycle = |table: &String| self.cycles.get(table);
        reference.is_owned()
            && cycle(&reference.child).is_some()
            && cycle(&reference.child) == cycle(&reference.parent)
    }

    /// Whether a row may go by cascade that came after its parent was locked: the foreign key is to another key
    /// than the primary one, and a lock on the parent's row does not keep InnoDB from adding children to that.
    pub fn cascades_over_other_keys(&self) -> bool {
        let mut tables = self.members.keys().filter_map(|name| self.table(name));
        tables.any(|table| {
            table.foreign_keys.iter().any(|key| {
                let parent = self.table(&key.parent);
                key.on_delete_cascade
                    && parent.is_some_and(|parent| parent.primary_key != key.parent_columns)
            })
        })
    }

    /// Whether rows of the table may hold others back.
    pub fn may_block(&self, child: &str) -> bool {
        self.references
            .iter()
            .any(|r| r.child == child && r.blocks())
    }

    /// Whether rows are archived before they are purged: a service that has shadow tables archives, also where
    /// somebody has dropped them.
    pub fn archives(&self) -> bool {
        match self.profile.is_convention() {
            true => self.has_shadow_tables(),
            false => !self.profile.tables.is_empty(),
        }
    }

    /// Whether there is anything to archive into.
    pub fn has_shadow_tables(&self) -> bool {
        self.members.values().any(|m| m.shadow.is_some())
    }

    /// Tables whose soft-deleted rows can be roots, in the order in which to move them: over a
    /// blocking reference the child before its parent; and, where that allows it, owners before what they own, for
    /// then there is little left to be asked whether it has a deleted owner.
    pub fn root_order(&self) -> Vec<&str> {
        let mut before: DiGraphMap<&str, ()> = DiGraphMap::new();
        for table in self.members.keys() {
            before.add_node(table);
        }
        for reference in self.references.iter().filter(|r| !r.is_self()) {
            let (child, parent) = (reference.child.as_str(), reference.parent.as_str());
            // An edge leads to what goes first, as `tarjan_scc` begins with that to which edges lead.
            if reference.blocks() {
                before.add_edge(parent, child, ());
            }
            if reference.is_owned() {
                before.add_edge(child, parent, ());
            }
        }
        let mut order = Vec::new();
        for together in tarjan_scc(&before) {
            self.children_first(together, &mut order);
        }
        order.retain(|t| {
            self.members
                .get(*t)
                .is_some_and(|m| m.marker.is_some() || m.on_request)
        });
        order
    }

    /// Appends these tables, over a blocking reference between two of them the child before its parent; a cycle is
    /// cut somewhere.
    fn children_first<'a>(&'a self, mut tables: Vec<&'a str>, order: &mut Vec<&'a str>) {
        tables.sort_unstable();
        let mut open = BTreeSet::new();
        let mut stack: Vec<_> = tables.iter().rev().map(|table| (*table, false)).collect();
        while let Some((table, children_done)) = stack.pop() {
            if children_done {
                order.push(table);
            } else if open.insert(table) {
                stack.push((table, true));
                let children = self.children(table).filter(|(_, r)| r.blocks());
                let children = children.map(|(_, r)| r.child.as_str());
                stack.extend(children.filter(|c| tables.contains(c)).map(|c| (c, false)));
            }
        }
    }

    /// Chains of owned references that end at `table`, the root's first; the empty chain is not
    /// among them. Cycles are walked once.
    pub fn chains_to(&self, table: &str) -> Vec<Vec<usize>> {
        let mut chains = Vec::new();
        let mut pending: Vec<Vec<usize>> = self
            .owners(table)
            .filter(|(_, r)| !r.is_self())
            .map(|(i, _)| vec![i])
            .collect();
        while let Some(chain) = pending.pop() {
            let first = &self.references[chain[0]];
            let seen: BTreeSet<_> = chain.iter().map(|i| &self.references[*i].parent).collect();
            for (i, owner) in self.owners(&first.parent) {
                if !seen.contains(&owner.parent) && owner.parent != table {
                    let mut longer = vec![i];
                    longer.extend(&chain);
                    pending.push(longer);
                }
            }
            chains.push(chain);
        }
        chains.sort();
        chains
    }

    /// Declared references that `delete_order` cannot honour (cycles, self-references) and that
    /// can be cut by setting the child's columns to NULL before the delete.
    pub fn cuts(&self) -> Vec<usize> {
        let place = |table: &str| self.delete_order.iter().position(|t| t == table);
        let in_order = |r: &Reference| place(&r.child) < place(&r.parent);
        let all = self.references.iter().enumerate();
        all.filter(|(_, r)| r.declared && r.nullable && !in_order(r))
            .map(|(i, _)| i)
            .collect()
    }
}

fn owned_cycles(references: &[Reference]) -> BTreeMap<String, usize> {
    let owned = || references.iter().filter(|r| r.is_owned());
    let edges: DiGraphMap<&str, ()> = owned()
        .map(|r| (r.parent.as_str(), r.child.as_str()))
        .collect();
    let mut cycles = BTreeMap::new();
    for (number, tables) in tarjan_scc(&edges).into_iter().enumerate() {
        let is_cycle =
            tables.len() > 1 || owned().any(|r| r.is_self() && tables.contains(&r.child.as_str()));
        if is_cycle {
            cycles.extend(tables.into_iter().map(|t| (t.to_owned(), number)));
        }
    }
    cycles
}

/// The tables of the cycles and all that they own.
fn below(cycles: &BTreeMap<String, usize>, references: &[Reference]) -> BTreeSet<String> {
    let mut below = BTreeSet::new();
    let mut open: Vec<String> = cycles.keys().cloned().collect();
    while let Some(table) = open.pop() {
        let children = references
            .iter()
            .filter(|r| r.is_owned() && r.parent == table);
        open.extend(
            children
                .map(|r| r.child.clone())
                .filter(|c| !below.contains(c)),
        );
        below.insert(table);
    }
    below
}

/// Children before parents by declared references. Inside a cycle references that can be NULL are
/// ignored, so that `cuts` can break the cycle there.
fn delete_order(members: &BTreeMap<String, Member>, references: &[Reference]) -> Vec<String> {
    let edges = |skip_nullable: bool| {
        let mut graph: DiGraphMap<&str, ()> = DiGraphMap::new();
        members.keys().for_each(|t| {
            graph.add_node(t.as_str());
        });
        for r in references.iter().filter(|r| r.declared && !r.is_self()) {
            if !(skip_nullable && r.nullable) {
                graph.add_edge(r.parent.as_str(), r.child.as_str(), ());
            }
        }
        graph
    };
    let within_cycles = tarjan_scc(&edges(true));
    let place = |t: &str| within_cycles.iter().position(|scc| scc.contains(&t));
    // tarjan_scc yields components in reverse topological order, that is children first.
    let mut order = Vec::new();
    for mut component in tarjan_scc(&edges(false)) {
        component.sort_by_key(|t| place(t));
        order.extend(component.into_iter().map(str::to_owned));
    }
    order
}

#[cfg(test)]
mod tests;
