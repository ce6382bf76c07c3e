//! Markers that contradict themselves.

use crate::audit::probe::KEYS;
use crate::audit::{Check, Cure, Probe, Repair, Severity, Side, Subject, Way};
use crate::schema::Marker;

/// The check `inconsistent-marker`.
pub(super) struct InconsistentMarker;

impl Check for InconsistentMarker {
    fn id(&self) -> &'static str {
        "inconsistent-marker"
    }

    fn summary(&self) -> &'static str {
        "rows whose marker says nothing or contradicts its date"
    }

    fn repair(&self) -> Repair {
        Repair::Heals(
            "gives rows that are marked deleted a date (their owner's, or now) and their own key as marker; whether a row \
             lives is left",
        )
    }

    fn probes(&self, subject: &Subject<'_>) -> Vec<Probe> {
        let sides = subject.sides().filter(|s| !s.member.never_marked);
        let marked = sides.filter_map(|s| Some((s, s.member.marker.as_ref()?)));
        marked
            .flat_map(|(side, marker)| probes(subject, side, marker))
            .collect()
    }
}

fn probes(subject: &Subject<'_>, side: Side<'_>, marker: &Marker) -> Vec<Probe> {
    let table = &side.live.name;
    let engine = subject.engine;
    let quoted = engine.quote(table);
    let probe = |severity, condition: &str| {
        let question = subject.rows_of(side.member, side.live, "c", condition);
        Probe::rows(severity, table, question)
    };
    let mut probes = Vec::new();
    let deleted = marker.is_deleted(engine, "c");
    if let Some(at) = marker.at.as_ref().filter(|at| **at != marker.column) {
        let date = engine.column("c", at);
        let (set, column) = (engine.quote(at), &marker.column);
        let condition = format!("{} AND {set} IS NULL", marker.is_deleted(engine, ""));
        let dated = setting(
            subject,
            side,
            format!("{set} = {}", since(subject, side, at)),
            condition,
        );
        probes.push(
            probe(Severity::Warning, &format!("{deleted} AND {date} IS NULL"))
                .kind("no-date")
                .cures(dated)
                .message(format!(
                    "{table} rows are marked deleted and have no {at}: `--before` never finds them"
                ))
                .remedy(format!(
                    "give them a date: UPDATE {quoted} SET {set} = {} WHERE {} AND {set} IS NULL",
                    engine.utc_now(marker.zoned),
                    marker.is_deleted(engine, "")
                )),
        );
        let live = marker.is_live(engine, "c");
        probes.push(
            probe(Severity::Warning, &format!("{live} AND {date} IS NOT NULL"))
                .kind("date-of-live")
                .choice("a service that deletes later by itself dates live rows")
                .message(format!(
                    "{table} rows have a {at} and a {column} that says live"
                ))
                .remedy(format!(
                    "unless their service deletes them later by itself (Nova's deferred delete): \
                     UPDATE {quoted} SET {set} = NULL WHERE {} AND {set} IS NOT NULL",
                    marker.is_live(engine, "")
                )),
        );
    }
    if let Some(unknown) = marker.is_unknown(engine, "c") {
        probes.push(
            probe(Severity::Warning, &unknown)
                .kind("no-marker")
                .choice("whether they live is not in the database")
                .message(format!(
                    "{table} rows have a NULL {}: neither live nor deleted",
                    marker.column
                ))
                .remedy(format!(
                    "say which they are: UPDATE {quoted} SET {} WHERE {}",
                    marker.set_live(engine),
                    marker.is_unknown(engine, "").unwrap_or_default()
                )),
        );
    }
    probes.extend(foreign_key_in_marker(subject, side, marker));
    probes
}

/// What sets columns of all rows of the live table for which the condition holds, which names no alias.
fn setting(subject: &Subject<'_>, side: Side<'_>, to: String, condition: String) -> Option<Cure> {
    let (engine, key) = (subject.engine, &side.member.key);
    (!key.is_empty()).then(|| Cure {
        table: side.live.name.clone(),
        key: key.clone(),
        alias: "",
        from_where: format!("FROM {} WHERE {condition}", engine.quote(&side.live.name)),
        age: None,
        way: Way::Set { to, condition },
    })
}

/// When a row was deleted that does not say so: with its owner, if that says it, for it cannot have been deleted later;
/// else now, which is late enough for no `--before` to take it too early.
fn since(subject: &Subject<'_>, side: Side<'_>, at: &str) -> String {
    let engine = subject.engine;
    let owners = subject.links().filter(|l| {
        let r = l.reference;
        r.child == side.live.name && r.is_owned() && !r.is_self()
    });
    let mut dates: Vec<_> = owners
        .filter_map(|link| {
            let marker = link.parent.member.marker.as_ref()?;
            let since = marker.at.as_ref().filter(|at| **at != marker.column)?;
            let (child, owner) = (engine.quote(&side.live.name), link.parent.live);
            // Of the same type, or it is none of the same dates.
            let (mine, theirs) = (side.live.column(at)?, owner.column(since)?);
            let same = mine.ty == theirs.ty && mine.zoned == theirs.zoned;
            same.then(|| {
                format!(
                    "(SELECT MAX({}) FROM {} WHERE {} AND {})",
                    engine.column("p", since),
                    subject.aliased(owner, "p"),
                    link.reference.join(engine, &child, "p"),
                    marker.is_deleted(engine, "p")
                )
            })
        })
        .collect();
    let zoned = side.live.column(at).is_some_and(|column| column.zoned);
    dates.push(engine.utc_now(zoned).into());
    match dates.as_slice() {
        [now] => now.clone(),
        dates => format!("COALESCE({})", dates.join(", ")),
    }
}

/// Rows whose marker should hold their own key and holds another number.
fn foreign_key_in_marker(subject: &Subject<'_>, side: Side<'_>, marker: &Marker) -> Option<Probe> {
    let [key] = side.member.key.as_slice() else {
        return None;
    };
    if !marker.holds_key || !side.live.column(key)?.ty.is_integer() {
        return None;
    }
    let engine = subject.engine;
    let condition = format!(
        "{} AND {} <> {}",
        marker.is_deleted(engine, "c"),
        engine.column("c", &marker.column),
        engine.column("c", key)
    );
    let question = subject.rows_of(side.member, side.live, "c", &condition);
    let (table, column) = (&side.live.name, &marker.column);
    let (set, to) = (engine.quote(column), engine.quote(key));
    let wrong = format!("{} AND {set} <> {to}", marker.is_deleted(engine, ""));
    Some(
        Probe::rows(Severity::Note, table, question)
            .kind("other-key")
            .cures(setting(subject, side, format!("{set} = {to}"), wrong))
            .message(format!(
                "{table} rows are marked deleted with a {column} that is not their {key}"
            ))
            .remedy(format!(
                "it does no harm; set it all the same: UPDATE {} SET {} = {} WHERE {} IN ({KEYS})",
                engine.quote(table),
                engine.quote(column),
                engine.quote(key),
                engine.quote(key)
            )),
    )
}
