//! The statements that read keys and lock rows, as text. Pure.
//!
//! The child is always `c`, the parent `p`, a root `t`. Rows come back as the child's key, then the
//! parent's key, then a flag, in the order of [`crate::schema::Member::key`].

use crate::db::Engine;
use crate::schema::{FamilyGraph, Member, Reference};

use super::forest::Key;
use super::keys;
use super::options::Options;

/// Builds statements for one graph on one engine.
#[derive(Clone, Copy)]
pub(super) struct Sql<'a> {
    pub(super) graph: &'a FamilyGraph,
    pub(super) engine: Engine,
    pub(super) options: &'a Options,
}

impl<'a> Sql<'a> {
    /// Soft-deleted rows that are roots: old enough, and without a soft-deleted owner to move with.
    pub(super) fn root_predicate(&self, member: &Member, alias: &str) -> String {
        let mut terms = vec![self.marked(member, alias)];
        terms.extend(self.old_enough(member, alias));
        terms.extend(self.no_deleted_owner(member, alias));
        terms.join(" AND ")
    }

    /// That no soft-deleted row owns this one, however far up: it would move with that. Rows that may
    /// own each other are all roots, and find each other when they are captured.
    fn no_deleted_owner(&self, member: &Member, alias: &str) -> Vec<String> {
        let mut passed = vec![member.table.as_str()];
        let owners = self.deleted_owners(&member.table, alias, &mut passed);
        owners.into_iter().map(|o| format!("NOT {o}")).collect()
    }

    /// For each owner an EXISTS that is true if it, or an owner of its own, is soft-deleted. Tables
    /// passed on the way are not entered again. A living row over a guarded reference is no part of its
    /// owner's family, so above the row itself such owners are not asked for: a deleted one counts anyway.
    fn deleted_owners(&self, table: &str, alias: &str, passed: &mut Vec<&'a str>) -> Vec<String> {
        let mut terms = Vec::new();
        let graph = self.graph;
        let owners: Vec<_> = graph
            .references
            .iter()
            .filter(|r| r.child == table && r.is_owned() && !graph.closes_owned_cycle(r))
            .filter(|r| passed.len() == 1 || !r.guarded)
            .collect();
        for owner in owners {
            let Some(parent) = graph.member(&owner.parent) else {
                continue;
            };
            let p = format!("o{}", passed.len());
            let mut dead: Vec<String> = parent
                .marker
                .iter()
                .map(|m| self.with_age(parent, m.is_deleted(self.engine, &p), &p))
                .collect();
            if !passed.contains(&owner.parent.as_str()) {
                passed.push(&owner.parent);
                dead.extend(self.deleted_owners(&owner.parent, &p, passed));
                passed.pop();
            }
            if !dead.is_empty() {
                terms.push(format!(
                    "EXISTS (SELECT 1 FROM {} {p} WHERE {} AND ({}))",
                    self.engine.quote(&owner.parent),
                    owner.join(self.engine, alias, &p),
                    dead.join(" OR "),
                ));
            }
        }
        terms
    }

    /// Where rows are deleted in place each goes by its own age: an owner that is too young to go
    /// does not keep what it owns.
    fn with_age(&self, owner: &Member, deleted: String, alias: &str) -> String {
        match self.old_enough(owner, alias) {
            Some(old) if self.graph.deletes_in_place => format!("({deleted} AND {old})"),
            _ => deleted,
        }
    }

    /// Those of the keys whose rows are marked deleted and too young to go, or bear no date.
    pub(super) fn too_young(&self, member: &Member, keys: &[Key]) -> Option<String> {
        let marker = member.marker.as_ref()?;
        let old = self.old_enough(member, "t")?;
        Some(format!(
            "SELECT {} FROM {} t WHERE {} AND {} AND NOT COALESCE({old}, {})",
            self.columns("t", &member.key),
            self.engine.quote(&member.table),
            self.key_in("t", &member.key, keys),
            marker.is_deleted(self.engine, "t"),
            self.engine.boolean(false),
        ))
    }

    /// Whether a row is marked deleted, or needs no marker because it moves on request.
    pub(super) fn marked(&self, member: &Member, alias: &str) -> String {
        if member.on_request && self.options.task_log {
            return "1 = 1".into();
        }
        self.dead(member, alias)
    }

    /// Whether a row is marked deleted; in a shadow table every one is dead.
    fn dead(&self, member: &Member, alias: &str) -> String {
        match &member.marker {
            _ if self.graph.returns => "1 = 1".into(),
            Some(marker) => marker.is_deleted(self.engine, alias),
            None => "1 = 0".into(),
        }
    }

    /// Whether a root is old enough for `--before`; `None` if any age will do.
    pub(super) fn old_enough(&self, member: &Member, alias: &str) -> Option<String> {
        let before = self.options.before.as_ref()?;
        Some(match &member.age {
            Some(age) => format!("{} < '{before}'", self.engine.column(alias, age)),
            None => "1 = 0".into(),
        })
    }

    /// How many roots there are.
    pub(super) fn count(&self, member: &Member) -> String {
        format!(
            "SELECT COUNT(*) FROM {} t WHERE {}",
            self.engine.quote(&member.table),
            self.root_predicate(member, "t"),
        )
    }

    /// Keys of roots after `after`, in key order, without a lock.
    pub(super) fn candidates(&self, member: &Member, after: Option<&Key>, limit: usize) -> String {
        let key = self.columns("t", &member.key);
        // Once there were many of them they are read on from there; MariaDB would find all the rest and sort them.
        let index = match after {
            Some(_) => self.by_index(&member.table, &member.key),
            None => String::new(),
        };
        let after = after.map_or_else(String::new, |after| {
            let values: Vec<_> = after.iter().map(|v| self.engine.literal(v)).collect();
            match values.as_slice() {
                [one] => format!(" AND {key} > {one}"),
                many => format!(" AND ({key}) > ({})", many.join(", ")),
            }
        });
        format!(
            "SELECT {key} FROM {} t{index} WHERE {}{after} ORDER BY {key} LIMIT {limit}",
            self.engine.quote(&member.table),
            self.root_predicate(member, "t"),
        )
    }

    /// Soft-deleted roots that `--before` can never match because they bear no date.
    pub(super) fn ageless(&self, member: &Member) -> Option<String> {
        self.options.before.as_ref()?;
        let marker = member.marker.as_ref()?;
        let age = self.engine.column("t", member.age.as_ref()?);
        let mut terms = vec![
            marker.is_deleted(self.engine, "t"),
            format!("{age} IS NULL"),
        ];
        terms.extend(self.no_deleted_owner(member, "t"));
        Some(format!(
            "SELECT {} FROM {} t WHERE {}",
            self.columns("t", &member.key),
            self.engine.quote(&member.table),
            terms.join(" AND "),
        ))
    }

    /// Those of the keys that still are roots, locked, with one more column for `extra`.
    pub(super) fn lock_roots(&self, member: &Member, keys: &[Key], extra: Option<&str>) -> String {
        let extra = extra.map_or_else(String::new, |c| format!(", {}", self.engine.column("t", c)));
        format!(
            "SELECT {}{extra} FROM {} t{} WHERE {} AND {}{}",
            self.columns("t", &member.key),
            self.engine.quote(&member.table),
            self.by_index(&member.table, &member.key),
            self.key_in("t", &member.key, keys),
            self.root_predicate(member, "t"),
            self.lock(None),
        )
    }

    /// The rows of those keys whatever their marker says, locked: key, marked, old enough, extra.
    pub(super) fn lock_rows(&self, member: &Member, keys: &[Key], extra: Option<&str>) -> String {
        let extra = extra.map_or_else(String::new, |c| format!(", {}", self.engine.column("t", c)));
        let old = self
            .old_enough(member, "t")
            .unwrap_or_else(|| "1 = 1".into());
        format!(
            "SELECT {}, {}, {}{extra} FROM {} t{} WHERE {}{}",
            self.columns("t", &member.key),
            flag(&self.marked(member, "t")),
            flag(&old),
            self.engine.quote(&member.table),
            self.by_index(&member.table, &member.key),
            self.key_in("t", &member.key, keys),
            self.lock(None),
        )
    }

    /// Which of those rows are there, and whether they are marked deleted; locks nothing.
    pub(super) fn whether_marked(&self, member: &Member, keys: &[Key]) -> String {
        format!(
            "SELECT {}, {} FROM {} t WHERE {}",
            self.columns("t", &member.key),
            flag(&self.marked(member, "t")),
            self.engine.quote(&member.table),
            self.key_in("t", &member.key, keys),
        )
    }

    /// The children of those parents: child key, parent key, child marked. `locked` locks them; on MariaDB in
    /// REPEATABLE READ the gaps beside them in the reference's index too, so that none is added: there a
    /// foreign key asks for the referenced index record, which the lock on a parent's primary key
    /// does not cover. (In READ COMMITTED one that is added keeps its parent from being deleted.)
    pub(super) fn children(
        &self,
        reference: &Reference,
        parents: &[Key],
        locked: bool,
    ) -> Option<String> {
        let parent = self.graph.member(&reference.parent)?;
        let keys = self.key_in("p", &parent.key, parents);
        self.family_rows(reference, "p", &keys, locked)
    }

    /// The same rows by the children's keys.
    pub(super) fn children_by_key(
        &self,
        reference: &Reference,
        children: &[Key],
        locked: bool,
    ) -> Option<String> {
        let child = self.graph.member(&reference.child)?;
        let keys = self.key_in("c", &child.key, children);
        self.family_rows(reference, "c", &keys, locked)
    }

    fn family_rows(
        &self,
        reference: &Reference,
        from: &str,
        condition: &str,
        locked: bool,
    ) -> Option<String> {
        let child = self.graph.member(&reference.child)?;
        let parent = self.graph.member(&reference.parent)?;
        let marked = self.dead(child, "c");
        let lock = match locked {
            true => self.lock(Some("c")),
            false => String::new(),
        };
        Some(format!(
            "SELECT {}{}{} FROM {} WHERE {condition}{lock}",
            self.leading("c", &child.key),
            self.leading("p", &parent.key),
            flag(&marked),
            self.looked_up(reference, child, parent, from),
        ))
    }

    /// Child and parent joined: the one called `from` is read by its key, and for each of its rows the other one is
    /// looked up by the columns of the reference.
    fn looked_up(
        &self,
        reference: &Reference,
        child: &Member,
        parent: &Member,
        from: &str,
    ) -> String {
        let (member, found, found_alias, columns) = match from {
            "p" => (parent, child, "c", &reference.child_columns),
            _ => (child, parent, "p", &reference.parent_columns),
        };
        let first = format!(
            "{} {from}{}",
            self.engine.quote(&member.table),
            self.by_index(&member.table, &member.key)
        );
        let name = self.engine.quote(&found.table);
        let on = reference.join(self.engine, "c", "p");
        let indexed = self
            .graph
            .table(&found.table)
            .is_some_and(|t| t.has_index_on(columns));
        // It would read the whole of the other table for a few hundred rows, again in each batch; what has an OFFSET
        // is looked up row by row.
        if self.engine == Engine::Postgres && indexed {
            return format!(
                "{first} CROSS JOIN LATERAL (SELECT * FROM {name} {found_alias} WHERE {on} OFFSET 0) {found_alias}"
            );
        }
        let (join, index) = (self.ordered_join(), self.by_index(&found.table, columns));
        format!("{first} {join} {name} {found_alias}{index} ON {on}")
    }

    /// Other owners of those children: child key, parent key, parent marked.
    pub(super) fn owners_of(&self, reference: &Reference, children: &[Key]) -> Option<String> {
        let child = self.graph.member(&reference.child)?;
        let parent = self.graph.member(&reference.parent)?;
        let marked = self.dead(parent, "p");
        Some(format!(
            "SELECT {}{}{} FROM {} WHERE {}",
            self.leading("c", &child.key),
            self.leading("p", &parent.key),
            flag(&marked),
            self.looked_up(reference, child, parent, "c"),
            self.key_in("c", &child.key, children),
        ))
    }

    /// For a reference by convention whose child columns have no index: all children of a window of
    /// roots in one pass over the child table, as parent key and child key. One that is added after
    /// that is fetched as a straggler. (A declared one may not be missed, it would keep its parent
    /// from being deleted, or go with it by cascade: it is asked for in the transaction.)
    pub(super) fn children_of_window(
        &self,
        reference: &Reference,
        first: &Key,
        last: &Key,
    ) -> Option<String> {
        let child = self
            .graph
            .member(&reference.child)
            .filter(|c| !c.key.is_empty())?;
        let parent = self.graph.member(&reference.parent)?;
        let marker = parent.marker.as_ref()?;
        let key = self.columns("p", &parent.key);
        let tuple = |key: &Key| {
            let values: Vec<_> = key.iter().map(|v| self.engine.literal(v)).collect();
            if values.len() == 1 {
                values.concat()
            } else {
                format!("({})", values.join(", "))
            }
        };
        let column = if parent.key.len() == 1 {
            key.clone()
        } else {
            format!("({key})")
        };
        Some(format!(
            "SELECT {key}, {} FROM {} c {} {} p ON {} WHERE {} AND {} AND {column} >= {} AND \
             {column} <= {}",
            self.columns("c", &child.key),
            self.engine.quote(&reference.child),
            self.ordered_join(),
            self.engine.quote(&reference.parent),
            reference.join(self.engine, "c", "p"),
            reference.is_set(self.engine, "c"),
            marker.is_deleted(self.engine, "p"),
            tuple(first),
            tuple(last),
        ))
    }

    /// Children that stayed behind: their parent is in the shadow table and not in the live one.
    pub(super) fn stragglers(&self, reference: &Reference, limit: usize) -> Option<String> {
        let child = self.graph.member(&reference.child)?;
        let shadow = self.graph.member(&reference.parent)?.shadow.as_ref()?;
        let tuple = |columns: &[String], alias: &str| {
            let list: Vec<_> = columns
                .iter()
                .map(|c| self.engine.column(alias, c))
                .collect();
            if list.len() == 1 {
                list.concat()
            } else {
                format!("({})", list.join(", "))
            }
        };
        let refers = tuple(&reference.child_columns, "c");
        // A dry run has counted the marked ones as roots of their own.
        let counted = match &child.marker {
            Some(marker) if self.options.dry_run => {
                let (yes, no) = (
                    marker.is_deleted(self.engine, "c"),
                    self.engine.boolean(false),
                );
                format!(" AND NOT COALESCE({yes}, {no})")
            }
            _ => String::new(),
        };
        let set: Vec<_> = reference
            .parent_columns
            .iter()
            .map(|c| format!("{} IS NOT NULL", self.engine.column("s", c)))
            .collect();
        Some(format!(
            "SELECT {} FROM {} c WHERE {refers} IN (SELECT {} FROM {} s WHERE {}) AND NOT EXISTS \
             (SELECT 1 FROM {} p WHERE {}){counted} LIMIT {limit}",
            self.columns("c", &child.key),
            self.engine.quote(&reference.child),
            self.select_list("s", &reference.parent_columns),
            self.engine.quote(shadow),
            set.join(" AND "),
            self.engine.quote(&reference.parent),
            reference.join(self.engine, "c", "p"),
        ))
    }

    /// Which of those keys the shadow table already has.
    pub(super) fn taken_keys(&self, member: &Member, keys: &[Key]) -> Option<String> {
        let shadow = member.shadow.as_ref()?;
        Some(format!(
            "SELECT {} FROM {} t WHERE {}",
            self.columns("t", &member.key),
            self.engine.quote(shadow),
            self.key_in("t", &member.key, keys),
        ))
    }

    /// `alias.a, alias.b, `; nothing for a table without key.
    fn leading(&self, alias: &str, columns: &[String]) -> String {
        let list = self.columns(alias, columns);
        if list.is_empty() { list } else { list + ", " }
    }

    /// `alias.a, alias.b`.
    pub(super) fn columns(&self, alias: &str, columns: &[String]) -> String {
        self.select_list(alias, columns)
    }

    fn select_list(&self, alias: &str, columns: &[String]) -> String {
        let list: Vec<_> = columns
            .iter()
            .map(|c| self.engine.column(alias, c))
            .collect();
        list.join(", ")
    }

    /// `alias.id IN (1, 2)`, or the same with row values; no alias if it is empty.
    pub(super) fn key_in(&self, alias: &str, columns: &[String], keys: &[Key]) -> String {
        keys::key_in(self.engine, alias, columns, keys)
    }

    /// The keys in pieces for a statement each.
    pub(super) fn pieces(&self, keys: &[Key]) -> Vec<Vec<Key>> {
        keys::pieces(self.engine, keys)
    }

    /// Names the index that leads to rows by these columns, if there is one. MariaDB reads a whole table rather than
    /// look up a few hundred keys, and then joins the next one row by row.
    pub(super) fn by_index(&self, table: &str, columns: &[String]) -> String {
        let index = match self.engine {
            Engine::Mysql => self.graph.table(table).and_then(|t| t.index_on(columns)),
            Engine::Sqlite | Engine::Postgres => None,
        };
        index.map_or_else(String::new, |name| {
            format!(" FORCE INDEX ({})", self.engine.quote(name))
        })
    }

    /// A join that reads its first table first: keys are few and children are found by index.
    pub(super) fn ordered_join(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "CROSS JOIN",
            Engine::Mysql => "STRAIGHT_JOIN",
            Engine::Postgres => "JOIN",
        }
    }

    pub(super) fn lock(&self, alias: Option<&str>) -> String {
        if self.options.dry_run {
            return String::new();
        }
        let lock = self.engine.for_update();
        match (self.engine, alias) {
            (Engine::Postgres, Some(alias)) => format!("{lock} OF {alias}"),
            _ => lock.into(),
        }
    }
}

/// A condition as 1 or 0.
fn flag(condition: &str) -> String {
    format!("CASE WHEN {condition} THEN 1 ELSE 0 END")
}
