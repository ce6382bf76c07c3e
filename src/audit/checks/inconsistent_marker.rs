//! Markers that contradict themselves.

use crate::audit::probe::KEYS;
use crate::audit::{Check, Probe, Severity, Side, Subject};
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
        probes.push(
            probe(Severity::Warning, &format!("{deleted} AND {date} IS NULL"))
                .kind("no-date")
                .message(format!(
                    "{table} rows are marked deleted and have no {at}: `--before` never finds them"
                ))
                .remedy(format!(
                    "give them a date: UPDATE {quoted} SET {set} = CURRENT_TIMESTAMP WHERE {} \
                     AND {set} IS NULL",
                    marker.is_deleted(engine, "")
                )),
        );
        let live = marker.is_live(engine, "c");
        probes.push(
            probe(Severity::Warning, &format!("{live} AND {date} IS NOT NULL"))
                .kind("date-of-live")
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
    Some(
        Probe::rows(Severity::Note, table, question)
            .kind("other-key")
            .message(format!(
                "{table} rows are marked deleted with a {column} that is not their {key}"
            ))
            .remedy(format!(
                "harmless; to mend it: UPDATE {} SET {} = {} WHERE {} IN ({KEYS})",
                engine.quote(table),
                engine.quote(column),
                engine.quote(key),
                engine.quote(key)
            )),
    )
}
