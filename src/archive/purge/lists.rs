//! The temporary tables of a purge: which rows of which shadow table belong to which root, and which
//! families stay.

use std::collections::BTreeSet;

use crate::db::Engine;
use crate::error::Result;
use crate::schema::Member;

use super::super::keys::KEYS_PER_STATEMENT;
use super::super::name::row_name;
use super::super::outcome::{Blocked, LISTED_PER_REASON};
use super::{Doomed, Purge, shadow_with_key};

/// Numbers of families that stay, and why.
pub(super) const KEPT: &str = "sexton_purge_kept";

/// Why a family stays because of its owner's family; not reported, for that one is.
const WITH_OWNER: &str = "with-owner";

/// Why a family stays of which a part is in the live tables.
const PARTLY_LIVE: &str = "partly-live";

/// Why a family stays whose root bears no date.
const NO_DATE: &str = "no-date";

/// Why a family stays of which a row is in its shadow table twice, which nothing tells apart.
const DUPLICATE: &str = "duplicate-in-shadow";

/// Why a family stays that is too young.
const YOUNG: &str = "young";

/// Families that stay for their age, by their numbers from 0, where the lists do not say it.
#[derive(Default)]
pub(super) struct Held {
    /// Too young; not reported, as nobody reports what nobody asked for.
    pub(super) young: BTreeSet<usize>,
    /// Without a date.
    pub(super) dateless: BTreeSet<usize>,
}

/// A temporary table: the rows of one shadow table that hang on numbered roots over one chain.
pub(super) struct Listed<'a> {
    pub(super) member: &'a Member,
    pub(super) name: String,
    /// Whether its rows may be roots: they were not found by their owners.
    pub(super) roots: bool,
}

impl<'a> Purge<'a, '_> {
    /// Lists the rows of a member, numbered by root, then those of its owned children: a tree of tables, or
    /// else they are [`super::tangle`]'s.
    pub(super) fn list(
        &mut self,
        member: &'a Member,
        parent: Option<(usize, &str)>,
        lists: &mut Vec<Listed<'a>>,
    ) -> Result<()> {
        let (engine, graph) = (self.sql.engine, self.sql.graph);
        let Some(shadow) = shadow_with_key(member) else {
            return Ok(());
        };
        let name = format!("sexton_purge_{}", lists.len());
        let owned: Vec<_> = graph
            .children(&member.table)
            .filter(|(_, r)| r.is_owned())
            .collect();
        let mut columns: BTreeSet<&String> = member.key.iter().collect();
        columns.extend(owned.iter().flat_map(|(_, r)| &r.parent_columns));
        let list: Vec<_> = columns.iter().map(|c| engine.column("s", c)).collect();
        let list = list.join(", ");
        let select = match parent {
            None => format!(
                "SELECT {list}, ROW_NUMBER() OVER (ORDER BY {}) AS sexton_root FROM {} s{}",
                self.sql.columns("s", &member.key),
                engine.quote(shadow),
                self.old_roots(member),
            ),
            Some((reference, parent)) => format!(
                "SELECT {list}, d.sexton_root FROM {} s {} {parent} d ON {}",
                engine.quote(shadow),
                self.shadow_first(),
                graph.references[reference].join(engine, "s", "d")
            ),
        };
        self.session
            .execute(&format!("CREATE TEMPORARY TABLE {name} AS {select}"))?;
        self.session
            .execute(&format!("CREATE INDEX {name}_root ON {name} (sexton_root)"))?;
        lists.push(Listed {
            member,
            name: name.clone(),
            roots: parent.is_none(),
        });
        let mut indexed: BTreeSet<&[String]> = BTreeSet::new();
        for (reference, child) in owned {
            if indexed.insert(&child.parent_columns) {
                self.session.execute(&format!(
                    "CREATE INDEX {name}_{} ON {name} ({})",
                    indexed.len(),
                    engine.quote_all(&child.parent_columns)
                ))?;
            }
            if let Some(member) = graph.member(&child.child) {
                self.list(member, Some((reference, &name)), lists)?;
            }
        }
        Ok(())
    }

    /// The shadow table of a list is read once, its rows are looked up in the list.
    fn shadow_first(&self) -> &'static str {
        match self.sql.engine {
            Engine::Mysql => "STRAIGHT_JOIN",
            Engine::Sqlite | Engine::Postgres => "JOIN",
        }
    }

    /// The age of a root in its shadow table, if it has such a column.
    pub(super) fn age<'m>(&self, member: &'m Member) -> Option<&'m String> {
        let shadow = self.sql.graph.table(member.shadow.as_ref()?)?;
        member.age.as_ref().filter(|c| shadow.column(c).is_some())
    }

    /// Roots that are old enough, and those of which nobody knows: they are kept, and that is said.
    fn old_roots(&self, member: &Member) -> String {
        let Some(before) = &self.sql.options.before else {
            return String::new();
        };
        match self.age(member) {
            Some(age) => {
                let age = self.sql.engine.column("s", age);
                format!(" WHERE {age} < '{before}' OR {age} IS NULL")
            }
            None => String::new(),
        }
    }

    /// Notes the families that stay: those whose owner stayed; those of which a part is in the live
    /// tables (a row under the same key, a child that was left there, or an owner from which a row was
    /// parted without being marked deleted); those without a date, and those in `held`.
    pub(super) fn keep(&mut self, lists: &[Listed<'a>], held: &Held) -> Result<()> {
        self.session.execute(&format!(
            "CREATE TEMPORARY TABLE {KEPT} (sexton_root BIGINT NOT NULL, reason VARCHAR(20) NOT NULL)"
        ))?;
        let within: BTreeSet<&str> = lists.iter().map(|l| l.member.table.as_str()).collect();
        let (mut with_owner, mut partly_live) = (Vec::new(), Vec::new());
        for list in lists.iter().filter(|l| l.roots) {
            let (kept, live) = self.by_owner(list, &within);
            with_owner.extend(kept);
            partly_live.extend(live);
        }
        partly_live.extend(self.by_rows(lists));
        self.keep_numbers(YOUNG, &held.young)?;
        self.keep_for(WITH_OWNER, &with_owner)?;
        let before = self.kept()?;
        self.keep_for(PARTLY_LIVE, &partly_live)?;
        self.report(lists, PARTLY_LIVE, before)?;
        let doubled = self.doubled(lists);
        if !doubled.is_empty() {
            let before = self.kept()?;
            self.keep_for(DUPLICATE, &doubled)?;
            self.report(lists, DUPLICATE, before)?;
        }
        let before = self.kept()?;
        if let Some(list) = lists.first() {
            self.keep_for(NO_DATE, &self.dateless(list))?;
        }
        self.keep_numbers(NO_DATE, &held.dateless)?;
        self.report(lists, NO_DATE, before)?;
        self.session
            .execute(&format!("CREATE INDEX {KEPT}_root ON {KEPT} (sexton_root)"))?;
        Ok(())
    }

    /// Families by what lives of their own rows, as FROM and WHERE.
    fn by_rows(&self, lists: &[Listed<'a>]) -> Vec<String> {
        let (engine, graph) = (self.sql.engine, self.sql.graph);
        let mut found = Vec::new();
        // A shadow table without its live table is its own, and nothing of it lives.
        for list in lists
            .iter()
            .filter(|l| l.member.shadow.as_ref() != Some(&l.member.table))
        {
            found.push(format!(
                "{} d JOIN {} l ON {}",
                list.name,
                engine.quote(&list.member.table),
                self.same_key(list.member, "l"),
            ));
            let owned = graph.children(&list.member.table);
            for (_, reference) in owned.filter(|(_, r)| r.is_owned()) {
                let child = graph.member(&reference.child);
                // What has no shadow table stays behind in any case.
                if child.is_some_and(|c| c.shadow.is_some()) {
                    found.push(format!(
                        "{} l {} {} d ON {}",
                        engine.quote(&reference.child),
                        self.shadow_first(),
                        list.name,
                        reference.join(engine, "l", "d")
                    ));
                }
            }
        }
        found
    }

    /// Families by rows that are in their shadow table more than once, where no key forbids it.
    fn doubled(&self, lists: &[Listed<'a>]) -> Vec<String> {
        let (engine, graph) = (self.sql.engine, self.sql.graph);
        let doubled = |list: &Listed<'a>| {
            let shadow = list.member.shadow.as_ref()?;
            let keyed = graph.table(shadow)?.identifies(&list.member.key);
            let key = engine.quote_all(&list.member.key);
            (!keyed).then(|| {
                format!(
                    "{} d JOIN (SELECT {key} FROM {} GROUP BY {key} HAVING COUNT(*) > 1) s ON {}",
                    list.name,
                    engine.quote(shadow),
                    self.same_key(list.member, "s"),
                )
            })
        };
        lists.iter().filter_map(doubled).collect()
    }

    /// Families by the owners of listed rows that are not listed: those that are in the shadow tables still,
    /// for owners were purged first, and those that live. Owners `within` the lists are there with all they
    /// own, unless they live.
    fn by_owner(&self, list: &Listed<'a>, within: &BTreeSet<&str>) -> (Vec<String>, Vec<String>) {
        let (engine, graph) = (self.sql.engine, self.sql.graph);
        let (mut kept, mut live) = (Vec::new(), Vec::new());
        let member = list.member;
        let Some(shadow) = &member.shadow else {
            return (kept, live);
        };
        let explained = match &member.marker {
            Some(marker) => {
                let deleted = marker.is_deleted(engine, "s");
                format!(" WHERE NOT COALESCE({deleted}, {})", engine.boolean(false))
            }
            None => String::new(),
        };
        for (_, reference) in graph.owners(&member.table) {
            let owner = |table: &str| {
                format!(
                    "{} d JOIN {} s ON {} JOIN {} l ON {}",
                    list.name,
                    engine.quote(shadow),
                    self.same_key(member, "s"),
                    engine.quote(table),
                    reference.join(engine, "s", "l"),
                )
            };
            let explained = if reference.required { "" } else { &explained };
            live.push(owner(&reference.parent) + explained);
            let parent = graph.member(&reference.parent);
            if !within.contains(reference.parent.as_str()) {
                kept.extend(parent.and_then(|m| m.shadow.as_ref()).map(|s| owner(s)));
            }
        }
        (kept, live)
    }

    /// Roots without a date, where one is asked for.
    fn dateless(&self, list: &Listed<'a>) -> Vec<String> {
        if self.sql.options.before.is_none() {
            return Vec::new();
        }
        let root = list.member;
        let (Some(shadow), engine) = (&root.shadow, self.sql.engine) else {
            return Vec::new();
        };
        match self.age(root) {
            Some(age) => vec![format!(
                "{} d JOIN {} s ON {} WHERE {} IS NULL",
                list.name,
                engine.quote(shadow),
                self.same_key(root, "s"),
                engine.column("s", age)
            )],
            None => vec![format!("{} d", list.name)],
        }
    }

    /// `alias.id = d.id` for the key of a listed row.
    fn same_key(&self, member: &Member, alias: &str) -> String {
        let equal = |c: &String| {
            let engine = self.sql.engine;
            format!("{} = {}", engine.column(alias, c), engine.column("d", c))
        };
        let pairs: Vec<_> = member.key.iter().map(equal).collect();
        pairs.join(" AND ")
    }

    fn keep_for(&mut self, reason: &str, found: &[String]) -> Result<()> {
        for rows in found {
            let select = format!("SELECT DISTINCT d.sexton_root, '{reason}' FROM {rows}");
            self.session
                .execute(&format!("INSERT INTO {KEPT} {select}"))?;
        }
        Ok(())
    }

    fn keep_numbers(&mut self, reason: &str, families: &BTreeSet<usize>) -> Result<()> {
        let families: Vec<_> = families.iter().collect();
        for chunk in families.chunks(KEYS_PER_STATEMENT) {
            let values: Vec<_> = chunk
                .iter()
                .map(|family| format!("({}, '{reason}')", *family + 1))
                .collect();
            self.session
                .execute(&format!("INSERT INTO {KEPT} VALUES {}", values.join(", ")))?;
        }
        Ok(())
    }

    /// How many families are kept by now.
    fn kept(&mut self) -> Result<i64> {
        let count = format!("SELECT COUNT(DISTINCT sexton_root) FROM {KEPT}");
        Ok(self.session.query_count(&count)?)
    }

    /// Books the families that are kept for this reason, and for none that came before; `before` were.
    fn report(&mut self, lists: &[Listed<'a>], reason: &str, before: i64) -> Result<()> {
        let Ok(kept @ 1..) = u64::try_from(self.kept()? - before) else {
            return Ok(());
        };
        let mut named = BTreeSet::new();
        let mut listed = Vec::new();
        for list in lists {
            let (member, name) = (list.member, &list.name);
            let keys = self.session.query(&format!(
                "SELECT DISTINCT {key}, d.sexton_root FROM {KEPT} k JOIN {name} d \
                 ON k.sexton_root = d.sexton_root WHERE k.reason = '{reason}' ORDER BY {key} \
                 LIMIT {LISTED_PER_REASON}",
                key = self.sql.columns("d", &member.key),
            ))?;
            for mut key in keys {
                let family = key.pop().map(|number| number.to_string());
                if !named.insert(family) || listed.len() >= LISTED_PER_REASON {
                    continue;
                }
                let name = row_name(member.shadow.as_deref().unwrap_or(&member.table), &key);
                listed.push(Blocked {
                    reason: reason.into(),
                    root: name.clone(),
                    path: vec![name],
                    remedy: match reason {
                        NO_DATE => format!(
                            "set {} of the row, or purge with --all",
                            member.age.as_deref().unwrap_or("a date")
                        ),
                        DUPLICATE => {
                            "compare the two: sexton audit --check duplicate-in-shadow; the \
                                      shadow table has no key that tells them apart"
                                .to_owned()
                        }
                        _ => "see `sexton audit`; what is parted has to be put together first"
                            .to_owned(),
                    },
                });
            }
            if listed.len() >= LISTED_PER_REASON {
                break;
            }
        }
        self.outcome.block_all(reason, kept, listed);
        Ok(())
    }

    pub(super) fn drop_list(&mut self, name: &str) -> Result<()> {
        let temporary = match self.sql.engine {
            Engine::Mysql => "TEMPORARY ",
            Engine::Sqlite | Engine::Postgres => "",
        };
        self.session
            .execute(&format!("DROP {temporary}TABLE {name}"))?;
        Ok(())
    }

    /// The keys of the families with those numbers.
    pub(super) fn doomed(
        &mut self,
        lists: &[Listed<'a>],
        from: i64,
        to: i64,
    ) -> Result<Doomed<'a>> {
        let mut doomed = Doomed::new();
        for list in lists {
            let statement = format!(
                "SELECT {} FROM {} t WHERE t.sexton_root > {from} AND t.sexton_root <= {to} AND \
                 NOT EXISTS (SELECT 1 FROM {KEPT} k WHERE k.sexton_root = t.sexton_root)",
                self.sql.columns("t", &list.member.key),
                list.name,
            );
            let (_, seen, keys) = doomed
                .entry(list.member.table.as_str())
                .or_insert_with(|| (list.member, BTreeSet::new(), Vec::new()));
            self.session.query_each(&statement, |key| {
                // An owner's columns need not be unique.
                if seen.insert(format!("{key:?}")) {
                    keys.push(key);
                }
                true
            })?;
        }
        Ok(doomed)
    }
}
