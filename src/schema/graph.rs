//! The family graph: every live table with its marker, key and shadow, and every reference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use super::profile::split_columns;
use super::{DriftKind, Marker, Ownership, Profile, Reference, Schema, Table, shadow_drift};
use crate::error::{Error, Result};

/// A live table as part of families.
#[derive(Debug, Clone)]
pub struct Member {
    /// The live table's name.
    pub table: String,
    /// The shadow table's name, if there is such a table.
    pub shadow: Option<String>,
    /// The marker, if the table has one.
    pub marker: Option<Marker>,
    /// Whether the service never sets the marker, so that a live one says nothing.
    pub never_marked: bool,
    /// The columns that tell rows apart: the primary key, or a unique key without NULLs.
    pub key: Vec<String>,
    /// The column that tells a row's age.
    pub age: Option<String>,
    /// Why no row of the table can be copied to its shadow table, if so.
    pub obstacle: Option<Obstacle>,
    /// Whether the service's models know the table no longer.
    pub removed: bool,
    /// Whether its rows are roots without any marker, and move only on request (Nova's
    /// `task_log`).
    pub on_request: bool,
}

/// Why no row of a table can be archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// There is no shadow table.
    NoShadowTable(String),
    /// Neither a primary key nor a unique key without NULLs.
    NoKey,
    /// The shadow table lacks columns; copying would lose what is in them.
    MissingColumns(String, Vec<String>),
    /// The shadow table wants a column that the live table does not have.
    RequiredColumn(String, String),
    /// Columns of the shadow table are of another kind: copying would change what is in them.
    OtherType(String, Vec<String>),
    /// A table (the shadow, or the live one) on a storage engine that cannot roll back.
    NonTransactional(String, String),
}

impl Obstacle {
    /// The reason as scripts see it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoShadowTable(_) => "no-shadow-table",
            Self::NoKey => "no-key",
            Self::MissingColumns(..) => "shadow-column-missing",
            Self::RequiredColumn(..) => "shadow-column-required",
            Self::OtherType(..) => "shadow-column-type",
            Self::NonTransactional(..) => "non-transactional-table",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoShadowTable(table) => write!(f, "table {table} has no shadow table"),
            Self::NoKey => f.write_str("the table has no primary key to tell rows apart"),
            Self::MissingColumns(shadow, columns) => {
                write!(f, "{shadow} lacks column {}", columns.join(", "))
            }
            Self::RequiredColumn(shadow, column) => {
                write!(
                    f,
                    "{shadow}.{column} must be given and no live column has it"
                )
            }
            Self::OtherType(shadow, columns) => {
                write!(f, "{shadow} has another type for {}", columns.join(", "))
            }
            Self::NonTransactional(table, storage) => {
                write!(f, "{table} uses {storage}, which cannot roll back")
            }
        }
    }
}

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
    /// Tables that may own rows of their own over owned references, by the cycle they are in.
    cycles: BTreeMap<String, usize>,
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
        Ok(Self {
            deletes_in_place: false,
            cycles,
            schema: schema.clone(),
            profile: profile.clone(),
            members,
            references,
            delete_order,
        })
    }

    /// The same families for an engine that deletes them where they are: no shadow table is needed,
    /// none is in the way, and a live child holds its parent back whoever owns it. Rows of the profile's `purged_on_request` tables stay, unless the table is
    /// in `requested`; what they own goes by itself.
    pub fn in_place(&self, requested: &BTreeSet<String>) -> Self {
        let mut graph = self.clone();
        graph.deletes_in_place = true;
        for member in graph.members.values_mut() {
            member.shadow = None;
            let table = self.schema.table(&member.table);
            member.obstacle = match table.and_then(non_transactional) {
                _ if member.key.is_empty() => Some(Obstacle::NoKey),
                Some(storage) => Some(Obstacle::NonTransactional(
                    member.table.clone(),
                    storage.into(),
                )),
                None => None,
            };
            let on_request = self.profile.purged_on_request.contains(&member.table);
            if on_request && !requested.contains(&member.table) {
                member.marker = None;
            }
        }
        for reference in &mut graph.references {
            let child = graph.members.get(&reference.child);
            let marked = child.is_some_and(|c| c.marker.is_some() && !c.never_marked);
            reference.guarded |= reference.is_owned() && marked;
        }
        graph
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

    /// Whether the table may own rows of its own, through others or not.
    pub fn is_in_owned_cycle(&self, table: &str) -> bool {
        self.cycles.contains_key(table)
    }

    /// Whether the owned reference is part of a cycle: of two rows that own each other neither may
    /// wait for the other as its root.
    pub fn closes_owned_cycle(&self, reference: &Reference) -> bool {
        let cycle = |table: &String| self.cycles.get(table);
        reference.is_owned()
            && cycle(&reference.child).is_some()
            && cycle(&reference.child) == cycle(&reference.parent)
    }

    /// Whether there is anything to archive into.
    pub fn has_shadow_tables(&self) -> bool {
        self.members.values().any(|m| m.shadow.is_some())
    }

    /// Tables whose soft-deleted rows can be roots, in the order in which to move them: over a
    /// blocking reference the child before its parent.
    pub fn root_order(&self) -> Vec<&str> {
        fn visit<'a>(graph: &'a FamilyGraph, table: &'a str, done: &mut Vec<&'a str>) {
            let mut stack = vec![(table, false)];
            let mut open = BTreeSet::new();
            while let Some((table, children_done)) = stack.pop() {
                if done.contains(&table) {
                    continue;
                }
                if children_done {
                    done.push(table);
                } else if open.insert(table) {
                    stack.push((table, true));
                    let children = graph.children(table).filter(|(_, r)| r.blocks());
                    stack.extend(children.map(|(_, r)| (r.child.as_str(), false)));
                }
            }
        }
        let mut order = Vec::new();
        for table in self.members.keys() {
            visit(self, table, &mut order);
        }
        order.retain(|t| {
            self.members
                .get(*t)
                .is_some_and(|m| m.marker.is_some() || m.on_request)
        });
        order
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

fn member(table: &Table, schema: &Schema, profile: &Profile) -> Member {
    let shadow_name = format!("{}{}", profile.shadow_prefix, table.name);
    let shadow = schema.table(&shadow_name);
    let key = key_of(table);
    Member {
        table: table.name.clone(),
        shadow: shadow.map(|s| s.name.clone()),
        marker: profile.marker(table),
        age: profile.age_column(table),
        obstacle: obstacle(table, shadow, &key),
        key,
        never_marked: profile.never_marked.contains(&table.name),
        removed: profile.removed.contains(&table.name),
        on_request: profile.task_log.as_ref() == Some(&table.name),
    }
}

fn key_of(table: &Table) -> Vec<String> {
    let not_null = |key: &[String]| {
        key.iter()
            .all(|c| table.column(c).is_some_and(|c| !c.nullable))
            && !key.is_empty()
    };
    if !table.primary_key.is_empty() {
        return table.primary_key.clone();
    }
    let unique = table
        .uniques
        .iter()
        .map(|u| &u.columns)
        .find(|key| not_null(key));
    unique.cloned().unwrap_or_default()
}

fn obstacle(table: &Table, shadow: Option<&Table>, key: &[String]) -> Option<Obstacle> {
    let Some(shadow) = shadow else {
        return Some(Obstacle::NoShadowTable(table.name.clone()));
    };
    if key.is_empty() {
        return Some(Obstacle::NoKey);
    }
    for t in [table, shadow] {
        if let Some(storage) = non_transactional(t) {
            return Some(Obstacle::NonTransactional(t.name.clone(), storage.into()));
        }
    }
    let drift = shadow_drift(table, shadow);
    let missing: Vec<_> = drift
        .iter()
        .filter(|d| matches!(d.kind, DriftKind::MissingInShadow(_)))
        .map(|d| d.column.clone())
        .collect();
    if !missing.is_empty() {
        return Some(Obstacle::MissingColumns(shadow.name.clone(), missing));
    }
    let other: Vec<_> = drift
        .iter()
        .filter(|d| matches!(&d.kind, DriftKind::Type(live, shadow) if !live.keeps_in(shadow)))
        .map(|d| d.column.clone())
        .collect();
    if !other.is_empty() {
        return Some(Obstacle::OtherType(shadow.name.clone(), other));
    }
    let required = drift
        .into_iter()
        .find(|d| d.kind == DriftKind::RequiredInShadowOnly)?;
    Some(Obstacle::RequiredColumn(
        shadow.name.clone(),
        required.column,
    ))
}

/// The table's storage engine, if that cannot roll back.
pub(crate) fn non_transactional(table: &Table) -> Option<&str> {
    let storage = table.storage.as_deref()?;
    (!["innodb", "rocksdb", "tokudb", "ndbcluster", "ndb"]
        .contains(&storage.to_ascii_lowercase().as_str()))
    .then_some(storage)
}

fn references(
    schema: &Schema,
    profile: &Profile,
    members: &BTreeMap<String, Member>,
) -> Result<Vec<Reference>> {
    let mut found: Vec<Reference> = Vec::new();
    let mut stated = Vec::new();
    for r in &profile.reference {
        stated.push((split_columns(&r.child)?, split_columns(&r.parent)?, r));
    }
    for table in members.keys().filter_map(|name| schema.table(name)) {
        for key in table
            .foreign_keys
            .iter()
            .filter(|k| members.contains_key(&k.parent))
        {
            let child = (table.name.clone(), key.columns.clone());
            let parent = (key.parent.clone(), key.parent_columns.clone());
            let known = stated.iter().find(|(c, p, _)| *c == child && *p == parent);
            let (ownership, guarded, required) = match known {
                Some((_, _, r)) => (r.kind, false, r.required),
                None => {
                    let (ownership, guarded) = usual_ownership(table, key, members);
                    (ownership, guarded, false)
                }
            };
            let declared = reference(table, child, parent, ownership, true, required);
            push(
                &mut found,
                Reference {
                    guarded,
                    ..declared
                },
            );
        }
    }
    for (child, parent, r) in stated {
        let (Some(table), Some(parent_table)) = (schema.table(&child.0), schema.table(&parent.0))
        else {
            continue;
        };
        let present = child.1.iter().all(|c| table.column(c).is_some())
            && parent.1.iter().all(|c| parent_table.column(c).is_some());
        if present && members.contains_key(&child.0) && members.contains_key(&parent.0) {
            push(
                &mut found,
                reference(table, child, parent, r.kind, false, r.required),
            );
        }
    }
    if let Some(bad) = found
        .iter()
        .find(|r| r.child_columns.len() != r.parent_columns.len())
    {
        return Err(Error::data(format!(
            "reference {bad} has unequal numbers of columns"
        )));
    }
    Ok(found)
}

fn reference(
    table: &Table,
    child: (String, Vec<String>),
    parent: (String, Vec<String>),
    ownership: Ownership,
    declared: bool,
    required: bool,
) -> Reference {
    Reference {
        nullable: child
            .1
            .iter()
            .all(|c| table.column(c).is_some_and(|c| c.nullable)),
        indexed: table.has_index_on(&child.1),
        child: child.0,
        child_columns: child.1,
        parent: parent.0,
        parent_columns: parent.1,
        ownership,
        declared,
        required,
        guarded: false,
    }
}

/// Keeps one reference of each kind; a declared one hides the same one by convention.
fn push(found: &mut Vec<Reference>, new: Reference) {
    let same = |r: &Reference| {
        (&r.child, &r.child_columns, &r.parent, &r.parent_columns)
            == (
                &new.child,
                &new.child_columns,
                &new.parent,
                &new.parent_columns,
            )
    };
    if !found.iter().any(same) {
        found.push(new);
    }
}

/// Who owns the child of a foreign key that no profile knows, and whether a live one is guarded.
/// Owned where the database itself deletes the child with its parent, or where the child cannot be
/// deleted on its own (no marker) and cannot do without a parent (NOT NULL). A child with a marker
/// is owned and guarded: deleted like its parent it moves with it, live it holds it back. The rest,
/// a child without a marker that may lose its parent, is shared.
fn usual_ownership(
    table: &Table,
    key: &super::ForeignKey,
    members: &BTreeMap<String, Member>,
) -> (Ownership, bool) {
    let marked = members.get(&table.name).is_some_and(|m| m.marker.is_some());
    let not_null = key
        .columns
        .iter()
        .all(|c| table.column(c).is_some_and(|c| !c.nullable));
    match (key.on_delete_cascade, marked) {
        (true, _) => (Ownership::Owned, false),
        (false, true) => (Ownership::Owned, true),
        (false, false) if not_null => (Ownership::Owned, false),
        (false, false) => (Ownership::Shared, false),
    }
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
