//! Families of which a part lies in the live tables and a part in the shadow tables.

use crate::audit::{
    Check, Columns, Cure, Link, Probe, Question, Repair, Rest, Severity, Subject, Way,
};
use crate::schema::{Member, Table};

/// The check `split-family`.
pub(super) struct SplitFamily;

impl Check for SplitFamily {
    fn id(&self) -> &'static str {
        "split-family"
    }

    fn summary(&self) -> &'static str {
        "families of which a part is live and a part in the shadow tables"
    }

    fn repair(&self) -> Repair {
        Repair::Heals(
            "brings children of a living parent back, archives what is left of a deleted family, and has rows follow their \
             archived parent",
        )
    }

    fn probes(&self, subject: &Subject<'_>) -> Vec<Probe> {
        let mut probes = Vec::new();
        for link in subject.links().filter(|l| l.reference.is_owned()) {
            let Some(child_shadow) = link.child.shadow else {
                continue;
            };
            if let Some(parent_shadow) = link.parent.shadow {
                probes.push(left_behind(subject, link, child_shadow, parent_shadow));
            }
            probes.extend(gone_before(subject, link, child_shadow, true));
            probes.extend(gone_before(subject, link, child_shadow, false));
        }
        probes
    }
}

/// A reference that only the profile knows splits a family too, but no service fails over it, and
/// nova-manage leaves such rows behind with every instance it archives.
fn severity(link: Link<'_>) -> Severity {
    if link.reference.declared || link.reference.required {
        Severity::Error
    } else {
        Severity::Warning
    }
}

/// The child is live, the parent in the shadow table.
fn left_behind<'a>(
    subject: &Subject<'a>,
    link: Link<'a>,
    child_shadow: &Table,
    parent_shadow: &'a Table,
) -> Probe {
    let (child, parent) = (link.child.live, link.parent.live);
    let archived = link.parent_in(parent_shadow, "p");
    let condition = format!(
        "{} AND {}",
        subject.present(archived, link.child_in(child, "c"), None),
        subject.absent(archived, link.parent_in(parent, "l"), None)
    );
    let rows = |when: Option<&str>| {
        format!(
            "{} AND {} AND {}",
            subject.set(link.child_in(child, "c")),
            subject.present(
                link.child_in(child, "c"),
                link.parent_in(parent_shadow, "s"),
                when
            ),
            subject.absent(link.child_in(child, "c"), link.parent_in(parent, "p"), None)
        )
    };
    // What is marked live may have been archived by mistake: then its children are what is right.
    let dead = is_root(subject, link.parent.member)
        .then(|| subject.deleted(link.parent.member, "s"))
        .flatten();
    let follows = rows(dead.as_deref());
    let rows = rows(None);
    let parents = |condition: &str| Question {
        select: format!(
            "SELECT c.* FROM {} WHERE {rows}",
            subject.aliased(child, "c")
        ),
        ..subject.rows_of(link.parent.member, parent_shadow, "p", condition)
    };
    let question = parents(&condition);
    let living = dead.and_then(|_| subject.deleted(link.parent.member, "p"));
    let living = living.map(|dead| Rest {
        question: parents(&format!("{condition} AND {}", subject.unless(&dead))),
        why: "the parent is archived and marked live: whether it is to come back (sexton restore) or its children are to \
              follow is for you to say",
    });
    let follow = Cure {
        way: Way::Follow,
        table: child.name.clone(),
        key: link.child.member.key.clone(),
        alias: "c",
        from_where: format!("FROM {} WHERE {follows}", subject.aliased(child, "c")),
        age: None,
    };
    Probe::rows(severity(link), &child.name, question)
        .cures(Some(follow).filter(|_| !link.child.member.key.is_empty()))
        .rest(living)
        .reference(link.reference)
        .kind("parent-archived")
        .only_if(subject.loose(link, child, parent))
        .message(format!(
            "{} rows are still live while their {} row is in {}",
            child.name, parent.name, parent_shadow.name
        ))
        .remedy(format!(
            "move them after their parent: {}",
            subject.transfer(child, child_shadow, "c", &rows, &rows)
        ))
}

/// Whether a service marks such rows, and nothing owns them.
fn is_root(subject: &Subject<'_>, member: &Member) -> bool {
    let owned = |link: Link<'_>| link.reference.child == member.table && link.reference.is_owned();
    !member.never_marked && !subject.links().any(owned)
}

/// The child is in the shadow table, the parent live (or soft-deleted, and not archived yet).
fn gone_before<'a>(
    subject: &Subject<'a>,
    link: Link<'a>,
    child_shadow: &'a Table,
    parent_deleted: bool,
) -> Option<Probe> {
    let (child, parent) = (link.child.live, link.parent.live);
    let marker = link.parent.member.marker.as_ref();
    let state = match (marker, parent_deleted) {
        (Some(m), true) => m.is_deleted(subject.engine, "p"),
        (Some(m), false) => subject.not_deleted(m, "p"),
        (None, true) => return None,
        (None, false) => "1 = 1".into(),
    };
    let archived = link.child_in(child_shadow, "c");
    let mut from = format!(
        "FROM {} {}",
        subject.aliased(child_shadow, "c"),
        subject.lookup(archived, link.parent_in(parent, "p"))
    );
    let mut conditions = vec![state];
    let key = &link.child.member.key;
    if let Some(first) = key.first() {
        // A row that is live too leaves no gap: it is for duplicate-in-shadow to tell of it.
        let names = identity(link);
        let pair = |table, alias| Columns {
            table,
            alias,
            names: &names,
        };
        from.push_str(&format!(
            " LEFT JOIN {} ON {}",
            subject.aliased(child, "t"),
            subject.equal(pair(child, "t"), pair(child_shadow, "c"))
        ));
        conditions.push(format!("{} IS NULL", subject.engine.column("t", first)));
    }
    if let Some(parent_shadow) = link.parent.shadow {
        let parent = link.parent_in(parent, "p");
        conditions.push(subject.absent(parent, link.parent_in(parent_shadow, "s"), None));
    }
    if let Some(mut explained) = explained(subject, link, child_shadow, parent_deleted) {
        if link.reference.required {
            // One such child may have been replaced by another; it must not be the only one.
            let others = link.child_in(child, "x");
            let other = link.child_in(child, "o");
            from.push_str(&format!(
                " LEFT JOIN (SELECT DISTINCT {} FROM {} WHERE {}) AS o ON {}",
                subject.list(others),
                subject.aliased(child, "x"),
                subject.set(others),
                subject.equal(other, link.parent_in(parent, "p")),
            ));
            explained = format!("{explained} AND {}", subject.set(other));
        }
        conditions.push(subject.unless(&explained));
    }
    let from_where = format!("{from} WHERE {}", conditions.join(" AND "));
    let parents = |from_where: String| Question {
        select: format!("SELECT c.* {from_where}"),
        key: subject.key(link.parent.member, "p"),
        distinct: true,
        age: subject.age(link.parent.member, parent, "p"),
        from_where,
    };
    let question = parents(from_where.clone());
    // One that was deleted itself is none to its service, in whatever table it is.
    let dead = Some(link.child.member).filter(|m| link.reference.required && !m.never_marked);
    let dead = dead.and_then(|member| subject.deleted(member, "c"));
    let dead = dead.filter(|_| !parent_deleted);
    let cured = match &dead {
        Some(dead) => format!("{from_where} AND {}", subject.unless(dead)),
        None => from_where.clone(),
    };
    let rest = dead.map(|dead| Rest {
        question: parents(format!("{from_where} AND {dead}")),
        why: "the only such row was deleted itself, and archived: whether it is to come back and be marked live is for you \
              to say",
    });
    let (way, table, member, alias) = match parent_deleted {
        true => (Way::Archive, parent, link.parent.member, "p"),
        false => (Way::Return, child_shadow, link.child.member, "c"),
    };
    let cure = Cure {
        way,
        table: table.name.clone(),
        key: member.key.clone(),
        alias,
        from_where: cured,
        age: member.age.clone(),
    };
    let parent_state = if parent_deleted {
        "soft-deleted, not archived"
    } else {
        "still live"
    };
    let remedy = if parent_deleted {
        "`sexton archive` moves the rest of the family after them".into()
    } else {
        let back = move_back(subject, link, child_shadow, &conditions[0]);
        format!("move them back to their parent: {back}")
    };
    Some(
        Probe::rows(severity(link), &child.name, question)
            .cures(Some(cure).filter(|_| !member.key.is_empty()))
            .rest(rest)
            .reference(link.reference)
            .kind(match parent_deleted {
                true => "parent-deleted",
                false => "parent-live",
            })
            .only_if(
                link.parent
                    .shadow
                    .map(|shadow| subject.loose(link, child_shadow, shadow)),
            )
            .message(format!(
                "{} rows are in {} while their {} row is {parent_state}",
                child.name, child_shadow.name, parent.name
            ))
            .remedy(remedy),
    )
}

/// The columns that make a child the same child of the same parent.
fn identity(link: Link<'_>) -> Vec<String> {
    let (key, reference) = (&link.child.member.key, &link.reference.child_columns);
    let more = reference.iter().filter(|c| !key.contains(c));
    key.iter().chain(more).cloned().collect()
}

/// The statements that bring children back to their live parents.
fn move_back(
    subject: &Subject<'_>,
    link: Link<'_>,
    child_shadow: &Table,
    parent_lives: &str,
) -> String {
    let (child, parent) = (link.child.live, link.parent.live);
    let archived = link.child_in(child_shadow, "c");
    let of_live = subject.present(archived, link.parent_in(parent, "p"), Some(parent_lives));
    let marker = link.child.member.marker.as_ref();
    let Some(marker) = marker.filter(|_| !link.child.member.never_marked) else {
        return subject.transfer(child_shadow, child, "c", &of_live, &of_live);
    };
    let unmarked = subject.not_deleted(marker, "c");
    if !link.reference.required {
        let these = format!("{of_live} AND {unmarked}");
        return subject.transfer(child_shadow, child, "c", &these, &these);
    }
    // Once they are copied their parents no longer lack them: what is copied is deleted.
    let lacking = subject.absent(archived, link.child_in(child, "x"), None);
    let names = identity(link);
    let pair = |table, alias| Columns {
        table,
        alias,
        names: &names,
    };
    let copied = subject.present(pair(child_shadow, "c"), pair(child, "x"), None);
    subject.transfer(
        child_shadow,
        child,
        "c",
        &format!("{of_live} AND ({unmarked} OR {lacking})"),
        &format!("{of_live} AND {copied}"),
    )
}

/// True for an archived child that was soft-deleted on its own while its parent lived; `None`
/// where that cannot be.
fn explained(
    subject: &Subject<'_>,
    link: Link<'_>,
    child_shadow: &Table,
    parent_deleted: bool,
) -> Option<String> {
    let member = link.child.member;
    if member.never_marked {
        return None;
    }
    let deleted = subject.deleted(member, "c")?;
    if !parent_deleted {
        return Some(deleted);
    }
    let since = member.marker.as_ref()?.at.as_ref()?;
    let parent_since = link.parent.member.marker.as_ref()?.at.as_ref()?;
    child_shadow.column(since)?;
    Some(format!(
        "{deleted} AND {} < {}",
        subject.engine.column("c", since),
        subject.engine.column("p", parent_since)
    ))
}
