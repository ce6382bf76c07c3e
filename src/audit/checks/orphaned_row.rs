//! Rows whose parent is in neither place.

use crate::audit::{Check, Columns, Link, Probe, Repair, Severity, Subject};
use crate::schema::Table;

/// The check `orphaned-row`.
pub(super) struct OrphanedRow;

impl Check for OrphanedRow {
    fn id(&self) -> &'static str {
        "orphaned-row"
    }

    fn summary(&self) -> &'static str {
        "rows whose parent is neither in the live nor in the shadow table"
    }

    fn repair(&self) -> Repair {
        Repair::Leaves("it may be all that is left of something: look at it, then delete it")
    }

    fn probes(&self, subject: &Subject<'_>) -> Vec<Probe> {
        let mut probes = Vec::new();
        for link in subject.links() {
            probes.push(live(subject, link));
            probes.extend(link.child.shadow.map(|table| shadow(subject, link, table)));
        }
        probes
    }
}

fn live<'a>(subject: &Subject<'a>, link: Link<'a>) -> Probe {
    let reference = link.reference;
    let table = link.child.live;
    let (severity, kind) = if reference.declared {
        (Severity::Error, "")
    } else {
        (Severity::Warning, " (a reference by convention)")
    };
    let condition = condition(subject, link, table);
    let remedy = if reference.is_owned() || !reference.nullable {
        format!(
            "nothing owns these rows; once you have looked at them: {}",
            subject.delete(table, "c", &condition)
        )
    } else {
        let columns = reference.child_columns.iter();
        let cut: Vec<_> = columns
            .map(|c| format!("{} = NULL", subject.engine.quote(c)))
            .collect();
        format!(
            "cut the reference: {}",
            subject.update(table, "c", &cut.join(", "), &condition)
        )
    };
    probe(subject, link, table, severity, &condition)
        .only_if(presumed(subject, link, table, link.parent.live))
        .message(format!(
            "{} rows point at {} rows that are {}{kind}",
            reference.child,
            reference.parent,
            nowhere(link)
        ))
        .remedy(remedy)
}

fn shadow<'a>(subject: &Subject<'a>, link: Link<'a>, table: &'a Table) -> Probe {
    let reference = link.reference;
    let condition = condition(subject, link, table);
    // An archived row may well outlive what it merely pointed at.
    let severity = if reference.is_owned() || reference.declared {
        Severity::Warning
    } else {
        Severity::Note
    };
    probe(subject, link, table, severity, &condition)
        .only_if(
            link.parent
                .shadow
                .and_then(|parent| presumed(subject, link, table, parent)),
        )
        .message(format!(
            "{} rows, in the shadow table, point at {} rows that are {}",
            table.name,
            reference.parent,
            nowhere(link)
        ))
        .remedy(format!(
            "they can be purged: {}",
            subject.delete(table, "c", &condition)
        ))
}

/// Rows whose parent is not where its like are: where there are none the other place need not be looked at.
fn presumed<'a>(
    subject: &Subject<'a>,
    link: Link<'a>,
    child: &'a Table,
    parent: &'a Table,
) -> Option<String> {
    link.parent
        .shadow
        .map(|_| subject.loose(link, child, parent))
}

fn nowhere(link: Link<'_>) -> String {
    match link.parent.shadow {
        Some(shadow) => format!("in neither {} nor {}", link.reference.parent, shadow.name),
        None => "not there".into(),
    }
}

fn condition(subject: &Subject<'_>, link: Link<'_>, table: &Table) -> String {
    let child = Columns {
        table,
        alias: "c",
        names: &link.reference.child_columns,
    };
    let mut all = vec![
        subject.set(child),
        subject.absent(child, link.parent_in(link.parent.live, "p"), None),
    ];
    if let Some(shadow) = link.parent.shadow {
        all.push(subject.absent(child, link.parent_in(shadow, "s"), None));
    }
    all.join(" AND ")
}

fn probe(
    subject: &Subject<'_>,
    link: Link<'_>,
    table: &Table,
    severity: Severity,
    condition: &str,
) -> Probe {
    let question = subject.rows_of(link.child.member, table, "c", condition);
    Probe::rows(severity, &table.name, question).reference(link.reference)
}
