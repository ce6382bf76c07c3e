//! Parents without a child that each of them must have.

use crate::audit::{Check, Link, Probe, Repair, Severity, Subject};
use crate::schema::MarkerStyle;

/// The check `missing-required-child`.
pub(super) struct MissingRequiredChild;

impl Check for MissingRequiredChild {
    fn id(&self) -> &'static str {
        "missing-required-child"
    }

    fn summary(&self) -> &'static str {
        "parents that lack a child without which their service fails"
    }

    fn repair(&self) -> Repair {
        Repair::Leaves(
            "what was in the row is not known: restore it from a backup, or insert an empty one",
        )
    }

    fn probes(&self, subject: &Subject<'_>) -> Vec<Probe> {
        let links = subject.links().filter(|l| l.reference.required);
        links.flat_map(|link| probes(subject, link)).collect()
    }
}

fn probes(subject: &Subject<'_>, link: Link<'_>) -> Vec<Probe> {
    let reference = link.reference;
    let parent = link.parent_in(link.parent.live, "p");
    let mut missing = vec![
        subject.set(parent),
        subject.absent(parent, link.child_in(link.child.live, "c"), None),
    ];
    if let Some(shadow) = link.child.shadow {
        missing.push(subject.absent(parent, link.child_in(shadow, "s"), None));
    }
    let missing = missing.join(" AND ");
    let probe = |severity, state: &str, condition: String, remedy: String| {
        let question = subject.rows_of(link.parent.member, link.parent.live, "p", &condition);
        Probe::rows(severity, &reference.parent, question)
            .reference(reference)
            .kind(state)
            .message(format!(
                "{state} {} rows have no {} row anywhere",
                reference.parent, reference.child
            ))
            .remedy(remedy)
    };
    // Marked live, or the service would not see it.
    let (mark, value) = match &link.child.member.marker {
        Some(m) if m.style == MarkerStyle::NonZero => {
            (format!(", {}", subject.engine.quote(&m.column)), ", 0")
        }
        _ => (String::new(), ""),
    };
    let insert = |condition: &str| {
        format!(
            "restore the rows from a backup; or, so that the service can read the rest, give each \
             an empty one: INSERT INTO {} ({}{mark}) SELECT {}{value} FROM {} WHERE {condition}",
            subject.engine.quote(&reference.child),
            subject.engine.quote_all(&reference.child_columns),
            subject.list(parent),
            subject.aliased(link.parent.live, "p"),
        )
    };
    let Some(marker) = &link.parent.member.marker else {
        let insert = insert(&missing);
        return vec![probe(Severity::Error, "live", missing.clone(), insert)];
    };
    let live = format!("{} AND {missing}", subject.not_deleted(marker, "p"));
    let deleted = format!("{} AND {missing}", marker.is_deleted(subject.engine, "p"));
    let archive = "`sexton archive` moves them as they are".to_owned();
    vec![
        probe(Severity::Error, "live", live.clone(), insert(&live)),
        probe(Severity::Warning, "soft-deleted", deleted, archive),
    ]
}
