//! Rows that are in the live table and in its shadow at once.

use crate::audit::probe::KEYS;
use crate::audit::{Check, Probe, Question, Severity, Side, Subject};
use crate::db::Engine;
use crate::schema::{Column, Table};

/// The check `duplicate-in-shadow`.
pub(super) struct DuplicateInShadow;

impl Check for DuplicateInShadow {
    fn id(&self) -> &'static str {
        "duplicate-in-shadow"
    }

    fn summary(&self) -> &'static str {
        "rows whose key is in the live and in the shadow table"
    }

    fn probes(&self, subject: &Subject<'_>) -> Vec<Probe> {
        let sides = subject.sides().filter(|s| !s.member.key.is_empty());
        let shadowed = sides.filter_map(|s| Some((s, s.shadow?)));
        shadowed
            .flat_map(|(side, shadow)| probes(subject, side, shadow))
            .collect()
    }
}

fn probes<'a>(subject: &Subject<'a>, side: Side<'a>, shadow: &'a Table) -> [Probe; 2] {
    let (live, key) = (side.live, &side.member.key);
    let from = subject.doubled(side, shadow);
    let common = live.columns.iter().filter(|c| !key.contains(&c.name));
    let mut same: Vec<_> = common
        .filter_map(|c| Some(same(subject, c, shadow.column(&c.name)?)))
        .collect();
    if same.is_empty() {
        same.push("1 = 1".into());
    }
    let same = same.join(" AND ");
    let probe = |severity, condition: String| {
        let from_where = format!("{from} WHERE {condition}");
        let question = Question {
            select: format!("SELECT l.*, s.* {from_where}"),
            key: subject.key(side.member, "l"),
            distinct: false,
            age: subject.age(side.member, live, "l"),
            from_where,
        };
        Probe::rows(severity, &live.name, question).only_if(from.clone())
    };
    let quoted = subject.engine.quote_all(key);
    let quoted = if key.len() == 1 {
        quoted
    } else {
        format!("({quoted})")
    };
    [
        probe(Severity::Warning, same.clone())
            .kind("same")
            .message(format!(
                "{0} rows are in {0} and, the same, in {1}; nova-manage meets a duplicate key",
                live.name, shadow.name
            ))
            .remedy(format!(
                "delete the copies in the shadow table: DELETE FROM {} WHERE {quoted} IN ({KEYS})",
                subject.engine.quote(&shadow.name)
            )),
        probe(Severity::Error, format!("NOT ({same})"))
            .kind("different")
            .message(format!(
                "keys of {} rows are taken by other rows in {}: ids were used again, or a run was \
                 left half done",
                live.name, shadow.name
            ))
            .remedy(format!(
                "compare the rows; if the ones in {0} may go: DELETE FROM {1} WHERE {quoted} IN \
                 ({KEYS}); or give them keys that are free",
                shadow.name,
                subject.engine.quote(&shadow.name)
            )),
    ]
}

/// True where the column has the same content in both tables, two NULLs included.
fn same(subject: &Subject<'_>, live: &Column, shadow: &Column) -> String {
    let engine = subject.engine;
    let (a, b) = (
        engine.column("l", &live.name),
        engine.column("s", &shadow.name),
    );
    let (a, b) = match engine {
        // PostgreSQL has no `=` for json, nor between two enum types.
        Engine::Postgres => {
            let cast = subject.cast(Some(live), Some(shadow));
            (format!("{a}{cast}"), format!("{b}{cast}"))
        }
        // By default 'a' = 'A' there.
        Engine::Mysql if live.ty.is_text() => (
            format!("CAST({a} AS BINARY)"),
            format!("CAST({b} AS BINARY)"),
        ),
        Engine::Mysql | Engine::Sqlite => (a, b),
    };
    engine.null_safe_equal(&a, &b)
}
