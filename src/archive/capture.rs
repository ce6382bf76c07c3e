//! Reads the keys of a batch: roots first, then all that hangs on them, locked as it is read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::db::{DbError, Session, Value};
use crate::schema::{Member, Obstacle, Reference};

use super::explain::remedy_of;
use super::forest::{Forest, Hold, Key, Row, RowIndex};
use super::name::row_name;
use super::owners::Living;
use super::sql::Sql;

/// Which rows a batch starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RootKind {
    /// Soft-deleted rows without a soft-deleted owner.
    Marked,
    /// Marked rows that were found to wait for soft-deleted children over shared references: those
    /// children, and whatever they move with, are taken into the family.
    Waiting,
    /// Rows whose owner lies in the shadow table already, whatever their marker says.
    Straggler,
    /// Rows that were named one by one: they come with all that owns them too. Of live rows those alone that are marked.
    Named,
}

/// Children of a window of roots over references without an index, read in one pass.
#[derive(Debug, Default)]
pub(super) struct Unindexed {
    /// Which roots it covers, by key text. Others of the table (owners that are climbed to, rows
    /// below a reference to the table itself) must be asked for.
    pub(super) roots: HashSet<String>,
    /// reference -> parent key text -> child keys.
    pub(super) children: HashMap<usize, HashMap<String, Vec<Key>>>,
}

/// Rows that a dry run counts as gone, by table and key text. They are still there to be read.
pub(super) type Gone = HashMap<String, HashSet<String>>;

/// What was read.
pub(super) struct Captured {
    pub(super) forest: Forest,
    /// What API-database records call a root, by the root's row.
    pub(super) api_keys: HashMap<RowIndex, String>,
    /// Rows that stay in tables without shadow, by the row they hang on.
    pub(super) left_behind: Vec<(RowIndex, String)>,
    /// Rows that were named, and are not there.
    pub(super) vanished: Vec<(String, Key)>,
}

/// Reads one batch.
pub(super) struct Capture<'a> {
    pub(super) session: &'a mut Session,
    pub(super) sql: Sql<'a>,
    pub(super) unindexed: &'a Unindexed,
    pub(super) gone: &'a Gone,
    /// Whether to look up the shadow tables for keys that are taken.
    pub(super) probe_shadow: bool,
    pub(super) kind: RootKind,
    pub(super) captured: Captured,
    /// Rows that came in sideways or from below: their own owners must be asked for, and where they
    /// have none they are roots, with an age of their own.
    pub(super) climbed: BTreeMap<RowIndex, Climbed>,
    /// Rows of which an owner was read.
    pub(super) owned: BTreeSet<RowIndex>,
    /// Rows with an owner that is alive.
    pub(super) living: Vec<Living>,
}

/// How a row came in other than from its owner.
pub(super) struct Climbed {
    /// The row that led to it, over which reference.
    via: (RowIndex, usize),
    /// Whether `--before` covers it.
    old: bool,
}

/// A row of an answer: child key, parent key, flag.
pub(super) struct Found {
    pub(super) child: Key,
    pub(super) parent: Key,
    pub(super) marked: bool,
}

impl<'a> Capture<'a> {
    pub(super) fn new(
        session: &'a mut Session,
        sql: Sql<'a>,
        unindexed: &'a Unindexed,
        gone: &'a Gone,
        probe_shadow: bool,
    ) -> Self {
        let captured = Captured {
            forest: Forest::new(sql.engine),
            api_keys: HashMap::new(),
            left_behind: Vec::new(),
            vanished: Vec::new(),
        };
        Self {
            session,
            sql,
            unindexed,
            gone,
            probe_shadow,
            kind: RootKind::Marked,
            captured,
            climbed: BTreeMap::new(),
            owned: BTreeSet::new(),
            living: Vec::new(),
        }
    }

    /// Reads the roots of those keys and all their families.
    pub(super) fn read(
        mut self,
        roots: &[(&Member, &[Key])],
        kind: RootKind,
    ) -> Result<Captured, DbError> {
        self.kind = kind;
        let mut fresh = Vec::new();
        for (member, keys) in roots {
            fresh.extend(self.roots(member, keys, kind)?);
        }
        let mut seen = 0;
        while !fresh.is_empty() {
            while let Some(first) = fresh.first() {
                let table = self.captured.forest.row(*first).table.clone();
                let same = |i: &RowIndex| self.captured.forest.row(*i).table == table;
                let (rows, rest) = fresh.iter().partition::<Vec<_>, _>(|i| same(i));
                fresh = rest;
                fresh.extend(self.children(&table, &rows)?);
            }
            let read = self.captured.forest.len();
            fresh = self.other_owners(seen)?;
            seen = read;
            // What comes back needs its parents, and is needed by no row that stays.
            if fresh.is_empty() && !self.sql.graph.returns {
                fresh = self.shared_children(kind == RootKind::Waiting)?;
            }
        }
        self.judge_living();
        self.young_roots();
        if self.sql.graph.deletes_in_place {
            self.young_rows()?;
        }
        if self.sql.graph.returns {
            self.lock_all()?;
            self.way_back()?;
        } else if self.probe_shadow {
            self.taken_keys()?;
        }
        Ok(self.captured)
    }

    fn roots(
        &mut self,
        member: &Member,
        keys: &[Key],
        kind: RootKind,
    ) -> Result<Vec<RowIndex>, DbError> {
        let mut added = Vec::new();
        let api = self.api_column(member);
        let mut found: HashMap<String, (Key, Option<Value>, bool)> = HashMap::new();
        for chunk in &self.sql.pieces(keys) {
            let sql = match kind {
                RootKind::Marked | RootKind::Waiting => {
                    self.sql.lock_roots(member, chunk, api.as_deref())
                }
                RootKind::Straggler | RootKind::Named => {
                    self.sql.lock_rows(member, chunk, api.as_deref())
                }
            };
            for mut row in self.session.query(&sql)? {
                let rest = row.split_off(member.key.len());
                let (extra, deleted) = match kind {
                    RootKind::Marked | RootKind::Waiting => (rest.into_iter().next(), true),
                    RootKind::Straggler | RootKind::Named => {
                        let deleted = rest.first().is_some_and(Value::is_true);
                        (rest.into_iter().nth(2), deleted)
                    }
                };
                if deleted || kind == RootKind::Straggler {
                    found.insert(self.captured.forest.key_text(&row), (row, extra, deleted));
                }
            }
        }
        // In the order asked for, so that a batch is cut where the last one ended.
        for key in keys {
            let text = self.captured.forest.key_text(key);
            let Some((key, extra, deleted)) = found.remove(&text) else {
                if kind == RootKind::Named {
                    let vanished = (member.table.clone(), key.clone());
                    self.captured.vanished.push(vanished);
                }
                continue;
            };
            let drop = self.drops(member);
            let row = Row {
                table: member.table.clone(),
                key,
                deleted,
                from: None,
                drop,
            };
            let (index, _) = self.captured.forest.add(row);
            if let Some(Value::Text(name)) = extra {
                self.captured.api_keys.insert(index, name);
            }
            added.push(index);
        }
        Ok(added)
    }

    /// The column by which API-database records name rows of this table.
    fn api_column(&self, member: &Member) -> Option<String> {
        let api = self.sql.graph.profile.api.as_ref()?;
        (api.root == member.table).then(|| api.key.clone())
    }

    pub(super) fn drops(&self, member: &Member) -> bool {
        matches!(member.obstacle, Some(Obstacle::NoShadowTable(_)))
            && self.sql.options.drop_unshadowed.contains(&member.table)
    }

    /// Owned children of those rows of one table; returns the new ones.
    fn children(&mut self, table: &str, rows: &[RowIndex]) -> Result<Vec<RowIndex>, DbError> {
        let mut fresh = Vec::new();
        let graph = self.sql.graph;
        for (number, reference) in graph.children(table).filter(|(_, r)| r.is_owned()) {
            let Some(child) = graph.member(&reference.child) else {
                continue;
            };
            let drop = self.drops(child);
            let stays = child.obstacle.is_some() && !drop;
            for found in self.owned_children(number, reference, rows, !stays)? {
                // A live one blocks instead, like a child over a shared reference.
                if reference.guarded && !found.marked {
                    continue;
                }
                let Some(parent) = self.captured.forest.find(table, &found.parent) else {
                    continue;
                };
                if !stays {
                    let row = Row {
                        table: child.table.clone(),
                        key: found.child,
                        deleted: found.marked,
                        from: Some((parent, number)),
                        drop,
                    };
                    let (index, new) = self.captured.forest.add(row);
                    if new {
                        fresh.push(index);
                    }
                } else if matches!(child.obstacle, Some(Obstacle::NoShadowTable(_)))
                    && !reference.declared
                {
                    self.captured
                        .left_behind
                        .push((parent, child.table.clone()));
                } else {
                    let blocked = self.obstructed(parent, number, child, &found.child);
                    self.captured.forest.hold(parent, Hold::Blocked(blocked));
                }
            }
        }
        Ok(fresh)
    }

    fn owned_children(
        &mut self,
        number: usize,
        reference: &Reference,
        rows: &[RowIndex],
        locked: bool,
    ) -> Result<Vec<Found>, DbError> {
        let mut parents: Vec<Key> = rows
            .iter()
            .map(|i| self.captured.forest.row(*i).key.clone())
            .collect();
        // Shadow tables have no index to find them by: a locking read would lock all of them.
        let locked = locked && !self.sql.graph.returns;
        let mut found = Vec::new();
        if let Some(known) = self.unindexed.children.get(&number) {
            let mut children: Vec<Key> = Vec::new();
            parents.retain(|key| {
                let text = self.captured.forest.key_text(key);
                let covered = self.unindexed.roots.contains(&text);
                if covered {
                    children.extend(known.get(&text).into_iter().flatten().cloned());
                }
                !covered
            });
            for chunk in &self.sql.pieces(&children) {
                if let Some(sql) = self.sql.children_by_key(reference, chunk, locked) {
                    found.extend(self.found(reference, &sql)?);
                }
            }
        }
        for chunk in &self.sql.pieces(&parents) {
            if let Some(sql) = self.sql.children(reference, chunk, locked) {
                found.extend(self.found(reference, &sql)?);
            }
        }
        Ok(found)
    }

    /// Runs a statement that yields child key, parent key, flag.
    pub(super) fn found(
        &mut self,
        reference: &Reference,
        sql: &str,
    ) -> Result<Vec<Found>, DbError> {
        let length = |table: &str| self.sql.graph.member(table).map_or(0, |m| m.key.len());
        let (child, parent) = (length(&reference.child), length(&reference.parent));
        let mut rows = Vec::new();
        self.session.query_each(sql, |mut row| {
            let marked = row.last().is_some_and(Value::is_true);
            let mut rest = row.split_off(child);
            rest.truncate(parent);
            rows.push(Found {
                child: row,
                parent: rest,
                marked,
            });
            true
        })?;
        Ok(rows)
    }

    /// Reads and locks a row that belongs to the family of `via`; the row, and whether it is new.
    pub(super) fn take_in(
        &mut self,
        via: RowIndex,
        number: usize,
        table: &str,
        key: Key,
        from: Option<(RowIndex, usize)>,
    ) -> Result<Option<(RowIndex, bool)>, DbError> {
        let reference = &self.sql.graph.references[number];
        let Some(member) = self.sql.graph.member(table) else {
            return Ok(None);
        };
        if let Some(obstacle) = &member.obstacle {
            let further = vec![reference.to_string(), row_name(table, &key)];
            let remedy = remedy_of(self.sql, member);
            let blocked = self.blocked(via, obstacle.reason(), further, remedy);
            self.captured.forest.hold(via, Hold::Blocked(blocked));
            return Ok(None);
        }
        let api = self.api_column(member);
        let keys = std::slice::from_ref(&key);
        let sql = self.sql.lock_rows(member, keys, api.as_deref());
        let Some(row) = self.session.query_row(&sql)? else {
            return Ok(None);
        };
        let flags = &row[member.key.len()..];
        if !flags[0].is_true() {
            // It was marked when it was found and has been revived since.
            let further = vec![reference.to_string(), row_name(table, &key)];
            let remedy = "run again: the row was changed meanwhile".into();
            let blocked = self.blocked(via, "changed-meanwhile", further, remedy);
            self.captured.forest.hold(via, Hold::Blocked(blocked));
            return Ok(None);
        }
        let (index, new) = self.captured.forest.add(Row {
            table: member.table.clone(),
            key,
            deleted: flags[0].is_true(),
            from,
            drop: false,
        });
        if let Some(Value::Text(api_key)) = flags.get(2) {
            self.captured.api_keys.insert(index, api_key.clone());
        }
        let old = flags[1].is_true();
        let via = (via, number);
        self.climbed.entry(index).or_insert(Climbed { via, old });
        Ok(Some((index, new)))
    }

    /// Rows that were taken in and turned out to be roots too young for `--before`.
    fn young_roots(&mut self) {
        let young: Vec<_> = self
            .climbed
            .iter()
            .filter(|(row, climbed)| !climbed.old && !self.owned.contains(row))
            .map(|(row, climbed)| (*row, climbed.via))
            .collect();
        for (row, (via, number)) in young {
            let further = vec![
                self.sql.graph.references[number].to_string(),
                self.captured.forest.name(row),
            ];
            let remedy = "it moves when --before covers this root too".into();
            let blocked = self.blocked(via, "younger-relative", further, remedy);
            // What came in sideways is a family of its own, and as young whoever needs it.
            self.captured
                .forest
                .hold(row, Hold::Blocked(blocked.clone()));
            self.captured.forest.hold(via, Hold::Blocked(blocked));
        }
    }
}
