//! Rows that are in the live table and in its shadow at once.

use crate::audit::probe::KEYS;
use crate::audit::{Check, Cure, Probe, Question, Repair, Severity, Side, Subject, Way};
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

    fn repair(&self) -> Repair {
        Repair::Heals(
            "of two rows that are the same the one goes that is not where its family is; two that differ are left",
        )
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
    let cures = cures(subject, side, shadow, &format!("{from} WHERE {same}"));
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
            .cures(cures)
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
            .choice("which of the two is right is not in the database")
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

/// One of two rows that are the same goes: the one in the live table if all its owners are archived, else the one in the
/// shadow table. Neither where it is the only one to have something in a column that the other table lacks.
fn cures(subject: &Subject<'_>, side: Side<'_>, shadow: &Table, same: &str) -> Vec<Cure> {
    let engine = subject.engine;
    let key = side.member.key.iter();
    let to_the_byte =
        key.filter_map(|c| Some(self::same(subject, side.live.column(c)?, shadow.column(c)?)));
    let to_the_byte: Vec<_> = to_the_byte.collect();
    let same = format!("{same} AND {}", to_the_byte.join(" AND "));
    let (mut gone, mut here) = (Vec::new(), Vec::new());
    let owners = subject
        .links()
        .filter(|l| l.reference.child == side.live.name);
    for link in owners.filter(|l| l.reference.is_owned()) {
        let child = link.child_in(side.live, "l");
        here.push(subject.present(child, link.parent_in(link.parent.live, "p"), None));
        let archived = link.parent.shadow;
        gone.extend(archived.map(|t| subject.present(child, link.parent_in(t, "q"), None)));
    }
    let away = match gone.as_slice() {
        [] => "1 = 0".to_owned(),
        gone => {
            let here: Vec<_> = here.iter().map(|h| format!(" AND NOT {h}")).collect();
            format!("({}){}", gone.join(" OR "), here.concat())
        }
    };
    // Nothing live may hang on the one that goes: it would be refused, or go with it by cascade.
    let children = subject
        .links()
        .filter(|l| l.reference.parent == side.live.name);
    let childless: String = children
        .map(|link| {
            let (own, child) = (
                link.parent_in(side.live, "l"),
                link.child_in(link.child.live, "h"),
            );
            format!(" AND {}", subject.absent_or_null(own, child, None))
        })
        .collect();
    let only = |a: &Table, b: &Table, alias: &str| -> Vec<String> {
        let columns = a.columns.iter().filter(|c| b.column(&c.name).is_none());
        columns
            .map(|c| format!(" AND {} IS NULL", engine.column(alias, &c.name)))
            .collect()
    };
    let cure = |way: &dyn Fn(String) -> Way, condition: String| Cure {
        way: way(format!("{same}{condition}")),
        table: side.live.name.clone(),
        key: side.member.key.clone(),
        alias: "l",
        from_where: format!("{same}{condition}"),
        age: None,
    };
    let only_in_shadow = only(shadow, side.live, "s").concat();
    let only_in_live = only(side.live, shadow, "l").concat();
    vec![
        cure(
            &|same| Way::DropShadowCopy { same },
            format!("{only_in_shadow} AND CASE WHEN {away} THEN 1 ELSE 0 END = 0"),
        ),
        cure(
            &|same| Way::DropLiveCopy { same },
            format!("{only_in_live} AND {away}{childless}"),
        ),
    ]
}

/// True where the column has the same content in both tables, byte for byte, two NULLs included. What a database calls
/// equal may differ in letters, or in how a number is written.
fn same(subject: &Subject<'_>, live: &Column, shadow: &Column) -> String {
    let engine = subject.engine;
    let (a, b) = (
        engine.column("l", &live.name),
        engine.column("s", &shadow.name),
    );
    let equal = |form: &dyn Fn(&str) -> String| engine.null_safe_equal(&form(&a), &form(&b));
    match engine {
        // Which it writes out in full. It has no `=` for json, nor between two enum types.
        Engine::Postgres => equal(&|column| format!("({column}::text COLLATE \"C\")")),
        Engine::Mysql if live.ty.is_text() => equal(&|column| format!("CAST({column} AS BINARY)")),
        Engine::Mysql => equal(&|column: &str| column.to_owned()),
        Engine::Sqlite => {
            let equal = equal(&|column| format!("({column} COLLATE BINARY)"));
            format!("typeof({a}) = typeof({b}) AND {equal}")
        }
    }
}
