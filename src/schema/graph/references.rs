//! The references between live tables: those that the database declares and those that the profile states.

use std::collections::BTreeMap;

use super::super::profile::split_columns;
use super::super::{ForeignKey, Ownership, Profile, Reference, Schema, Table};
use super::Member;
use crate::error::{Error, Result};

pub(super) fn references(
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
        return Err(
            Error::data(format!("reference {bad} has unequal numbers of columns"))
                .hint("mend the reference in the profile"),
        );
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
    key: &ForeignKey,
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
