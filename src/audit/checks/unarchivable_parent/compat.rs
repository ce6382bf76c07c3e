//! What stops nova-manage and does not stop sexton.

use super::Way;
use crate::audit::{Probe, Severity, Subject};
use crate::schema::Reference;

/// Roots that the service's own archiver cannot move.
pub(super) fn probes(subject: &Subject<'_>) -> Vec<Probe> {
    if subject.graph.profile.is_convention() {
        return Vec::new();
    }
    let mut probes = Vec::new();
    for (index, reference) in subject.graph.references.iter().enumerate() {
        if reference.declared && reference.is_owned() {
            probes.extend(removed_child(subject, reference));
        }
        let twins = subject.graph.references[index + 1..].iter();
        let twins = twins.filter(|other| {
            other.declared
                && reference.declared
                && (&other.child, &other.parent) == (&reference.child, &reference.parent)
                && other.parent_columns == reference.parent_columns
        });
        probes.extend(twins.filter_map(|other| same_parent_twice(subject, reference, other)));
    }
    probes
}

/// A foreign key that only the database has, of a table the service's models know no longer.
fn removed_child<'a>(subject: &Subject<'a>, reference: &'a Reference) -> Option<Probe> {
    let child = subject.graph.member(&reference.child)?;
    // Without a shadow table it is an obstacle for everyone.
    if !child.removed || child.shadow.is_none() {
        return None;
    }
    let root = subject.graph.member(&reference.parent)?;
    // A table that the service has removed altogether is no table that nova-manage archives.
    if root.removed || !subject.can_be_root(root) {
        return None;
    }
    let way = Way::along(subject, vec![reference])?;
    let mut probe = way.probe(subject, None)?;
    probe.severity = Severity::Warning;
    Some(
        probe
            .kind("removed-child")
            .message(format!(
                "soft-deleted {} rows have rows in {}, a table that Nova's models know no longer: \
                 its foreign key stops nova-manage",
                reference.parent, reference.child
            ))
            .remedy("`sexton archive` moves them together"),
    )
}

/// A child table with two foreign keys to one parent table. nova-manage walks it once for each and
/// so copies every row twice, even one that uses only one of the keys.
fn same_parent_twice<'a>(
    subject: &Subject<'a>,
    reference: &'a Reference,
    other: &'a Reference,
) -> Option<Probe> {
    let owned = if reference.is_owned() {
        reference
    } else {
        other
    };
    let way = Way::along(subject, vec![owned])?;
    if !subject.can_be_root(way.root.member) {
        return None;
    }
    let mut probe = way.probe(subject, None)?;
    probe.severity = Severity::Warning;
    Some(
        probe
            .kind(format!("two foreign keys: {reference}, {other}"))
            .message(format!(
                "soft-deleted {} rows have {} rows, whose table has two foreign keys to theirs: \
                 nova-manage copies such a row twice and meets a duplicate key in every run",
                owned.parent, owned.child
            ))
            .remedy("`sexton archive` copies it once"),
    )
}
