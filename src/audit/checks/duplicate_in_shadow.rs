//! Rows that are in the live table and in its shadow at once.

use crate::audit::probe::KEYS;
use crate::audit::{
    Check, Columns, Cure, Link, Probe, Question, Repair, Rest, Severity, Side, Subject, Way,
};
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
    let copies = Copies {
        subject: *subject,
        side,
        shadow,
    };
    let cures = copies.cures(&format!("{from} WHERE {same}"));
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
            .cures(cures.0)
            .rest(cures.1)
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

/// Why neither of two copies goes.
const NEITHER: &str = "neither copy may go: each has something in a column that the other table lacks, or rows hang on the \
                       one that would go";

/// A row that is in the live table (`l`) and, the same, in its shadow (`s`).
struct Copies<'a> {
    subject: Subject<'a>,
    side: Side<'a>,
    shadow: &'a Table,
}

impl Copies<'_> {
    /// One of the two goes: the one that is not where its family is. Neither where it is the only one to have something
    /// in a column that the other table lacks, or where rows hang on it, which would be refused or parted from it.
    fn cures(&self, same: &str) -> (Vec<Cure>, Rest) {
        let same = format!("{same} AND {}", self.same_key());
        let archived = any(&self.children(true));
        let here = any(&self.owners(false));
        let away = format!(
            "{} AND {}",
            any(&self.owners(true)),
            self.subject.unless(&here)
        );
        let buried = match self.subject.deleted(self.side.member, "l") {
            Some(deleted) => format!(
                "{deleted} AND {archived} AND {}",
                self.subject.unless(&here)
            ),
            None => "1 = 0".into(),
        };
        let elsewhere = format!("({away} OR {buried})");
        let live_goes = [
            self.subject.holds(&elsewhere),
            self.subject.unless(&any(&self.children(false))),
            self.only_in(self.side.live, self.shadow, "l"),
        ];
        let shadow_goes = [
            self.subject.unless(&elsewhere),
            self.subject.unless(&archived),
            self.only_in(self.shadow, self.side.live, "s"),
        ];
        let (live_goes, shadow_goes) = (live_goes.join(" AND "), shadow_goes.join(" AND "));
        let cure = |way: &dyn Fn(String) -> Way, condition: &str| {
            let from_where = format!("{same} AND {condition}");
            Cure {
                way: way(from_where.clone()),
                table: self.side.live.name.clone(),
                key: self.side.member.key.clone(),
                alias: "l",
                from_where,
                age: None,
            }
        };
        let mut cures = vec![cure(&|same| Way::DropLiveCopy { same }, &live_goes)];
        let mut cured = format!("({live_goes})");
        if !self.is_referenced() {
            cures.insert(0, cure(&|same| Way::DropShadowCopy { same }, &shadow_goes));
            cured = format!("({live_goes} OR {shadow_goes})");
        }
        let from_where = format!("{same} AND {}", self.subject.unless(&cured));
        let question = Question {
            select: format!("SELECT l.*, s.* {from_where}"),
            key: self.subject.key(self.side.member, "l"),
            distinct: false,
            age: self.subject.age(self.side.member, self.side.live, "l"),
            from_where,
        };
        (
            cures,
            Rest {
                question,
                why: NEITHER,
            },
        )
    }

    /// The keys were found equal by the database; this is to the byte.
    fn same_key(&self) -> String {
        let key = self.side.member.key.iter();
        let same = key.filter_map(|c| {
            let (live, shadow) = (self.side.live.column(c)?, self.shadow.column(c)?);
            Some(same(&self.subject, live, shadow))
        });
        same.collect::<Vec<_>>().join(" AND ")
    }

    /// For each owned reference whether the row's owner is in the live table, or in the shadow table.
    fn owners(&self, archived: bool) -> Vec<String> {
        let subject = &self.subject;
        let links = subject
            .links()
            .filter(|l| l.reference.child == self.side.live.name && l.reference.is_owned());
        let owner = |link: Link<'_>| {
            let table = if archived {
                link.parent.shadow?
            } else {
                link.parent.live
            };
            let child = link.child_in(self.side.live, "l");
            let owned = subject.present(child, link.parent_in(table, "p"), None);
            // By itself it is owned in either table.
            Some(match link.reference.is_self() {
                true => format!("({owned} AND {})", self.refers_to_another(link, "l")),
                false => owned,
            })
        };
        links.filter_map(owner).collect()
    }

    /// For each reference to the row whether there are children of it in the live table; or in the shadow table alone.
    fn children(&self, archived: bool) -> Vec<String> {
        let subject = &self.subject;
        let links = subject
            .links()
            .filter(|l| l.reference.parent == self.side.live.name);
        let child = |link: Link<'_>| {
            let table = if archived {
                link.child.shadow?
            } else {
                link.child.live
            };
            let own = link.parent_in(self.side.live, "l");
            let mut these = Vec::new();
            if link.reference.is_self() {
                these.push(self.refers_to_another(link, "h"));
            }
            if archived && !link.child.member.key.is_empty() {
                let key = |table, alias| Columns {
                    table,
                    alias,
                    names: &link.child.member.key,
                };
                these.push(subject.absent(key(table, "h"), key(link.child.live, "i"), None));
            }
            let these = these.join(" AND ");
            let these = Some(these.as_str()).filter(|these| !these.is_empty());
            Some(subject.present(own, link.child_in(table, "h"), these))
        };
        links.filter_map(child).collect()
    }

    /// Of a row of a table that refers to itself: that it does not refer to itself too.
    fn refers_to_another(&self, link: Link<'_>, alias: &str) -> String {
        let live = self.side.live;
        let itself = self
            .subject
            .equal(link.child_in(live, alias), link.parent_in(live, alias));
        self.subject.unless(&itself)
    }

    /// That the row has nothing in the columns that the other table lacks.
    fn only_in(&self, table: &Table, other: &Table, alias: &str) -> String {
        let columns = table.columns.iter();
        let columns = columns.filter(|c| other.column(&c.name).is_none());
        let null = |c: &Column| format!("{} IS NULL", self.subject.engine.column(alias, &c.name));
        let null: Vec<_> = columns.map(null).collect();
        match null.as_slice() {
            [] => "1 = 1".into(),
            null => null.join(" AND "),
        }
    }

    /// Whether a foreign key leads to the shadow table: what it does when a row goes is not known from the live tables.
    fn is_referenced(&self) -> bool {
        let tables = self.subject.graph.schema.tables.values();
        let mut keys = tables.flat_map(|table| &table.foreign_keys);
        keys.any(|key| key.parent == self.shadow.name)
    }
}

/// True where one of the conditions is.
fn any(conditions: &[String]) -> String {
    match conditions {
        [] => "1 = 0".into(),
        conditions => format!("({})", conditions.join(" OR ")),
    }
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
        // Of two types it would compare the numbers that they begin with.
        Engine::Mysql if live.ty.is_text() || live.ty != shadow.ty => {
            equal(&|column| format!("CAST({column} AS BINARY)"))
        }
        Engine::Mysql => equal(&|column: &str| column.to_owned()),
        Engine::Sqlite => {
            let equal = equal(&|column| format!("({column} COLLATE BINARY)"));
            format!("typeof({a}) = typeof({b}) AND {equal}")
        }
    }
}
