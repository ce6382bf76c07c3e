//! Rows that a delete or an archiver left behind (bug 1622545).

use crate::archive::drop_unshadowed;
use crate::audit::{Check, Cure, Link, Probe, Repair, Severity, Subject, Way};

/// Why rows are left that no shadow table is for.
const NOWHERE: &str =
    "there is no shadow table to move them to, and whether they may be deleted is for you to say";

/// The check `residue`.
pub(super) struct Residue;

impl Check for Residue {
    fn id(&self) -> &'static str {
        "residue"
    }

    fn summary(&self) -> &'static str {
        "live rows that a deleted or archived parent left behind"
    }

    fn repair(&self) -> Repair {
        Repair::Heals(
            "archives the family of the deleted parent; rows without a shadow table are left",
        )
    }

    fn probes(&self, subject: &Subject<'_>) -> Vec<Probe> {
        let mut probes = Vec::new();
        for link in subject
            .links()
            .filter(|l| l.reference.is_owned() && !l.reference.guarded)
        {
            probes.extend(of_deleted_parent(subject, link));
            probes.extend(of_archived_parent(subject, link));
            probes.extend(live_in_shadow(subject, link));
        }
        probes
    }
}

/// Rows not marked with their soft-deleted parent.
fn of_deleted_parent(subject: &Subject<'_>, link: Link<'_>) -> Option<Probe> {
    let (reference, member) = (link.reference, link.child.member);
    let parent_deleted = subject.deleted(link.parent.member, "p")?;
    if link.parent.member.never_marked {
        return None;
    }
    let child = link.child_in(link.child.live, "c");
    let of_deleted = subject.present(
        child,
        link.parent_in(link.parent.live, "p"),
        Some(&parent_deleted),
    );
    let (severity, condition) = match &member.marker {
        Some(marker) if !member.never_marked => {
            let live = marker.is_live(subject.engine, "c");
            (Severity::Warning, format!("{live} AND {of_deleted}"))
        }
        // Their service cannot mark them: what tells is that no foreign key ties them either.
        _ if !reference.declared => (Severity::Note, of_deleted),
        _ => return None,
    };
    let remedy = match (link.child.shadow, subject.graph.deletes_in_place) {
        (Some(_), _) => "`sexton archive` moves them with their parent".into(),
        (None, true) => "`sexton purge` deletes them with their parent".into(),
        (None, false) => drop_unshadowed(&reference.child),
    };
    let cure = member.marker.as_ref().map(|marker| {
        let live = marker.is_live(subject.engine, "c");
        let parent = link.parent_in(link.parent.live, "p");
        let has_some = subject.present(parent, child, Some(&live));
        Cure {
            way: Way::Archive,
            table: link.parent.live.name.clone(),
            key: link.parent.member.key.clone(),
            alias: "p",
            from_where: format!(
                "FROM {} WHERE {parent_deleted} AND {has_some}",
                subject.aliased(link.parent.live, "p"),
            ),
            age: link.parent.member.age.clone(),
        }
    });
    let archives = severity == Severity::Warning
        && link.child.shadow.is_some()
        && !link.parent.member.key.is_empty()
        && !subject.graph.deletes_in_place;
    let question = subject.rows_of(member, link.child.live, "c", &condition);
    let word = if severity == Severity::Warning {
        "live "
    } else {
        ""
    };
    let probe = Probe::rows(severity, &reference.child, question);
    let probe = match link.child.shadow {
        Some(_) => probe,
        None => probe.choice(NOWHERE),
    };
    Some(
        probe
            .cures(cure.filter(|_| archives))
            .reference(reference)
            .kind("parent-deleted")
            .message(format!(
                "{word}{} rows belong to soft-deleted {} rows",
                reference.child, reference.parent
            ))
            .remedy(remedy),
    )
}

/// Rows that have no shadow table to follow their parent to.
fn of_archived_parent<'a>(subject: &Subject<'a>, link: Link<'a>) -> Option<Probe> {
    let reference = link.reference;
    let parent_shadow = link.parent.shadow?;
    if link.child.shadow.is_some() {
        return None;
    }
    let child = link.child_in(link.child.live, "c");
    let condition = [
        subject.set(child),
        subject.present(child, link.parent_in(parent_shadow, "s"), None),
        subject.absent(child, link.parent_in(link.parent.live, "p"), None),
    ];
    let question = subject.rows_of(
        link.child.member,
        link.child.live,
        "c",
        &condition.join(" AND "),
    );
    Some(
        Probe::rows(Severity::Warning, &reference.child, question)
            .reference(reference)
            .kind("parent-archived")
            .choice(NOWHERE)
            .message(format!(
                "{} rows were left behind, their {} row is in {} and they have no shadow table",
                reference.child, reference.parent, parent_shadow.name
            ))
            .remedy(drop_unshadowed(&reference.child))
            .only_if(subject.loose(link, link.child.live, link.parent.live)),
    )
}

/// Rows archived while they were marked live: a purge by date removes their parent only.
fn live_in_shadow(subject: &Subject<'_>, link: Link<'_>) -> Option<Probe> {
    let (reference, member) = (link.reference, link.child.member);
    let (table, parent) = (link.child.shadow?, link.parent.shadow?);
    let marker = member.marker.as_ref().filter(|_| !member.never_marked)?;
    let child = link.child_in(table, "c");
    let condition = format!(
        "{} AND {}",
        marker.is_live(subject.engine, "c"),
        subject.present(child, link.parent_in(parent, "p"), None)
    );
    let question = subject.rows_of(member, table, "c", &condition);
    Some(
        Probe::rows(Severity::Note, &table.name, question)
            .reference(reference)
            .kind("live-in-shadow")
            .message(format!(
                "{} rows, in the shadow table, are marked live beside their archived {} row; a \
                 purge by date that goes table by table never removes them",
                table.name, reference.parent
            ))
            .remedy("`sexton archive --purge` removes them with their parent".to_owned()),
    )
}
