//! Roots that a live row holds back, or that do not know whether they are deleted.

use super::Way;
use crate::audit::family::ROOT;
use crate::audit::probe::KEYS;
use crate::audit::{Link, Probe, Severity, Side, Subject};
use crate::schema::Reference;

/// Roots with a live child over a shared reference, of the root itself or of a row it owns.
pub(super) fn by_live_child<'a>(subject: &Subject<'a>, link: Link<'a>) -> Vec<Probe> {
    let child = link.child.member;
    // The child is live, and no family that will be archived takes it along.
    let mut stays: Vec<_> = match &child.marker {
        Some(marker) => vec![subject.not_deleted(marker, "c")],
        None => Vec::new(),
    };
    stays.extend(subject.without_taker(&child.table, "c"));
    let stays = (!stays.is_empty()).then(|| stays.join(" AND "));
    let mut chains = subject.chains(&link.parent.member.table);
    if subject.can_be_root(link.parent.member) {
        chains.insert(0, Vec::new());
    }
    let with_child = chains.into_iter().map(|mut chain| {
        chain.push(link.reference);
        chain
    });
    let probe = |chain: Vec<_>| {
        let remedy = remedy(subject, link, &chain)?;
        let way = Way::along(subject, chain)?;
        let message = format!(
            "soft-deleted {} rows are held back by live {} rows over {}",
            way.root.member.table, child.table, link.reference
        );
        Some(
            way.probe(subject, stays.as_deref())?
                .kind("live-child")
                .message(message)
                .remedy(remedy),
        )
    };
    with_child.filter_map(probe).collect()
}

fn remedy<'a>(subject: &Subject<'a>, link: Link<'a>, chain: &[&'a Reference]) -> Option<String> {
    let (child, live) = (link.child.member, link.child.live);
    let of_root = subject.of_deleted_root(chain, "c")?;
    Some(match &child.marker {
        Some(marker) => {
            let key = child.key.first().map_or("id", String::as_str);
            let condition = format!("{} AND {of_root}", subject.not_deleted(marker, "c"));
            let set = marker.set_deleted(subject.engine, key);
            format!(
                "delete the {} rows as their service does, or mark them: {}",
                child.table,
                subject.update(live, "c", &set, &condition)
            )
        }
        None => format!(
            "delete the {} rows as their service does, or: {}",
            child.table,
            subject.delete(live, "c", &of_root)
        ),
    })
}

/// Rows that would be roots if their marker said anything.
pub(super) fn without_marker<'a>(subject: &Subject<'a>, side: Side<'a>) -> Option<Probe> {
    let (member, engine) = (side.member, subject.engine);
    let marker = member.marker.as_ref().filter(|_| !member.never_marked)?;
    let key = member.key.first()?;
    let mut conditions = vec![marker.is_unknown(engine, ROOT)?];
    // A row with an owner moves with it, whatever its own marker says.
    for (_, owner) in subject.graph.owners(&member.table) {
        let unset = owner.child_columns.iter().map(|c| {
            let column = engine.column(ROOT, c);
            format!("{column} IS NULL")
        });
        conditions.push(format!("({})", unset.collect::<Vec<_>>().join(" OR ")));
    }
    let condition = conditions.join(" AND ");
    let question = subject.rows_of(member, side.live, ROOT, &condition);
    let table = engine.quote(&member.table);
    let keys = engine.quote_all(&member.key);
    let keys = if member.key.len() == 1 {
        keys
    } else {
        format!("({keys})")
    };
    Some(
        Probe::rows(Severity::Error, &member.table, question)
            .path(vec![member.table.clone()])
            .kind("no-marker")
            .message(format!(
                "{} rows have a NULL {}: they can never be archived",
                member.table, marker.column
            ))
            .remedy(format!(
                "if they live: UPDATE {table} SET {} WHERE {keys} IN ({KEYS}); or if not: UPDATE {table} SET {} WHERE \
                 {keys} IN ({KEYS})",
                marker.set_live(engine),
                marker.set_deleted(engine, key)
            )),
    )
}
