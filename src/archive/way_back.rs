//! What stands in the way of rows that are to come back from the shadow tables: a key that is taken in the live table,
//! a parent that is not there, a column that has no place there.

use crate::db::DbError;
use crate::schema::{ForeignKey, Member, Reference};

use super::capture::Capture;
use super::forest::{Hold, Key, RowIndex};
use super::name::row_name;
use super::sql::Sql;

/// What to do about a parent that is in neither place.
const MISSING: &str = "its foreign key would refuse it: bring the parent back from a backup first, or set the columns \
                       to NULL";

impl Capture<'_> {
    /// Locks all rows that were read, so that they are deleted as they were copied. A row that has gone meanwhile is
    /// missed when it is to be copied.
    pub(super) fn lock_all(&mut self) -> Result<(), DbError> {
        if self.sql.options.dry_run {
            return Ok(());
        }
        for (table, keys) in self.keys_read() {
            let Some(member) = self.sql.graph.member(&table) else {
                continue;
            };
            for chunk in &self.sql.pieces(&keys) {
                self.session
                    .query(&self.sql.lock_rows(member, chunk, None))?;
            }
        }
        Ok(())
    }

    /// Holds back the rows that cannot be in their live table as it is.
    pub(super) fn way_back(&mut self) -> Result<(), DbError> {
        for (table, keys) in self.keys_read() {
            let Some(member) = self.sql.graph.member(&table) else {
                continue;
            };
            self.taken_by_live(member, &keys)?;
            self.without_place(member, &keys)?;
            self.without_living_parent(member, &keys)?;
        }
        for (number, reference) in self.sql.graph.references.iter().enumerate() {
            if reference.declared {
                self.without_parent(number, reference)?;
            }
        }
        Ok(())
    }

    /// Rows of which the live table has a key already, the primary one or another.
    fn taken_by_live(&mut self, member: &Member, keys: &[Key]) -> Result<(), DbError> {
        let graph = self.sql.graph;
        let Some(live) = member.shadow.as_ref().and_then(|name| graph.table(name)) else {
            return Ok(());
        };
        let others = live.uniques.iter().map(|unique| &unique.columns);
        let mut uniques: Vec<_> = others.filter(|columns| **columns != member.key).collect();
        uniques.insert(0, &member.key);
        for columns in uniques {
            for chunk in &self.sql.pieces(keys) {
                let sql = self.sql.taken_by_live(member, &live.name, columns, chunk);
                for mut key in self.session.query(&sql)? {
                    let taker = key.split_off(member.key.len());
                    let what = format!(
                        "{}.{} is that of {}",
                        live.name,
                        columns.join(", "),
                        row_name(&live.name, &taker)
                    );
                    let remedy = match key == taker {
                        true => format!(
                            "the row is in both tables: compare the two (`sexton audit --check \
                             duplicate-in-shadow`) and delete the one in {} if they are the same",
                            member.table
                        ),
                        false => {
                            "delete the live row in its service, or give it another key".into()
                        }
                    };
                    self.stays(&member.table, &key, "live-key-taken", vec![what], remedy);
                }
            }
        }
        Ok(())
    }

    /// Rows with something in a column that only the shadow table has.
    fn without_place(&mut self, member: &Member, keys: &[Key]) -> Result<(), DbError> {
        let graph = self.sql.graph;
        let live = member.shadow.as_ref().and_then(|name| graph.table(name));
        let (Some(live), Some(shadow)) = (live, graph.table(&member.table)) else {
            return Ok(());
        };
        let extra = shadow
            .columns
            .iter()
            .filter(|c| !c.generated && live.column(&c.name).is_none());
        for column in extra {
            for chunk in &self.sql.pieces(keys) {
                let sql = self.sql.filled(member, &column.name, chunk);
                for key in self.session.query(&sql)? {
                    let what = format!("{} has no column {}", live.name, column.name);
                    let remedy = format!(
                        "what is in {}.{} would be lost: add the column to {}, or set it to NULL",
                        shadow.name, column.name, live.name
                    );
                    self.stays(
                        &shadow.name,
                        &key,
                        "live-column-missing",
                        vec![what],
                        remedy,
                    );
                }
            }
        }
        Ok(())
    }

    /// Rows whose foreign key asks for a parent that is neither live nor comes back with them.
    fn without_parent(&mut self, number: usize, reference: &Reference) -> Result<(), DbError> {
        let forest = &self.captured.forest;
        let unread = (0..forest.len()).filter(|index| {
            let row = forest.row(*index);
            row.table == reference.child && row.from.is_none_or(|(_, over)| over != number)
        });
        let keys: Vec<Key> = unread.map(|index| forest.row(index).key.clone()).collect();
        let Some(member) = self.sql.graph.member(&reference.child) else {
            return Ok(());
        };
        for chunk in &self.sql.pieces(&keys) {
            let Some(sql) = self.sql.without_live_parent(reference, chunk) else {
                continue;
            };
            let mut lonely: Vec<Key> = self.session.query(&sql)?;
            if lonely.is_empty() {
                continue;
            }
            let Some(sql) = self.sql.owners_of(reference, &lonely) else {
                continue;
            };
            for found in self.found(reference, &sql)? {
                lonely.retain(|key| *key != found.child);
                let parent = &reference.parent;
                if self.captured.forest.find(parent, &found.parent).is_none() {
                    let live = self
                        .sql
                        .graph
                        .member(parent)
                        .and_then(|m| m.shadow.as_deref());
                    let root = row_name(live.unwrap_or(parent), &found.parent);
                    let remedy = format!("bring its parent back with it: --root {root}");
                    let further = vec![reference.to_string(), row_name(parent, &found.parent)];
                    self.stays(
                        &member.table,
                        &found.child,
                        "parent-archived",
                        further,
                        remedy,
                    );
                }
            }
            for key in lonely {
                let remedy = MISSING.into();
                let further = vec![reference.to_string(), "nothing".into()];
                self.stays(&member.table, &key, "parent-missing", further, remedy);
            }
        }
        Ok(())
    }

    /// The same of a parent whose table has no shadow: it is live, or nowhere.
    fn without_living_parent(&mut self, member: &Member, keys: &[Key]) -> Result<(), DbError> {
        let graph = self.sql.graph;
        let live = member.shadow.as_ref().and_then(|name| graph.table(name));
        let archived = |table: &str| {
            let mut members = graph.members.values();
            members.any(|m| m.shadow.as_deref() == Some(table))
        };
        let foreign_keys = live.into_iter().flat_map(|table| &table.foreign_keys);
        for foreign_key in foreign_keys.filter(|key| !archived(&key.parent)) {
            for chunk in &self.sql.pieces(keys) {
                let sql = self.sql.without_row(member, foreign_key, chunk);
                for key in self.session.query(&sql)? {
                    let parent = &foreign_key.parent;
                    let what = format!(
                        "{}.{} names a row of {parent} that is not there",
                        member.table,
                        foreign_key.columns.join(", ")
                    );
                    self.stays(
                        &member.table,
                        &key,
                        "parent-missing",
                        vec![what],
                        MISSING.into(),
                    );
                }
            }
        }
        Ok(())
    }

    fn stays(
        &mut self,
        table: &str,
        key: &Key,
        reason: &str,
        further: Vec<String>,
        remedy: String,
    ) {
        let Some(row): Option<RowIndex> = self.captured.forest.find(table, key) else {
            return;
        };
        let blocked = self.blocked(row, reason, further, remedy);
        self.captured.forest.hold(row, Hold::Blocked(blocked));
    }
}

impl Sql<'_> {
    /// Which of those shadow rows have the same values of these columns as a live row: key, the live row's key.
    fn taken_by_live(
        &self,
        member: &Member,
        live: &str,
        columns: &[String],
        keys: &[Key],
    ) -> String {
        let same: Vec<_> = columns
            .iter()
            .map(|c| {
                format!(
                    "{} = {}",
                    self.engine.column("l", c),
                    self.engine.column("t", c)
                )
            })
            .collect();
        format!(
            "SELECT {}, {} FROM {} t{} {} {} l{} ON {} WHERE {}",
            self.columns("t", &member.key),
            self.columns("l", &member.key),
            self.engine.quote(&member.table),
            self.by_index(&member.table, &member.key),
            self.ordered_join(),
            self.engine.quote(live),
            self.by_index(live, columns),
            same.join(" AND "),
            self.key_in("t", &member.key, keys),
        )
    }

    /// Which of those rows have something in this column.
    fn filled(&self, member: &Member, column: &str, keys: &[Key]) -> String {
        format!(
            "SELECT {} FROM {} t WHERE {} AND {} IS NOT NULL",
            self.columns("t", &member.key),
            self.engine.quote(&member.table),
            self.key_in("t", &member.key, keys),
            self.engine.column("t", column),
        )
    }

    /// Which of those shadow rows refer to a parent that is not live.
    fn without_live_parent(&self, reference: &Reference, keys: &[Key]) -> Option<String> {
        let child = self.graph.member(&reference.child)?;
        let parent = self.graph.member(&reference.parent)?.shadow.as_ref()?;
        let foreign_key = ForeignKey {
            name: String::new(),
            columns: reference.child_columns.clone(),
            parent: parent.clone(),
            parent_columns: reference.parent_columns.clone(),
            on_delete_cascade: false,
        };
        Some(self.without_row(child, &foreign_key, keys))
    }

    /// Which of those rows name a row by this foreign key that is not there.
    fn without_row(&self, member: &Member, foreign_key: &ForeignKey, keys: &[Key]) -> String {
        let set = |c: &String| format!("{} IS NOT NULL", self.engine.column("c", c));
        let set: Vec<_> = foreign_key.columns.iter().map(set).collect();
        let pairs = foreign_key.columns.iter().zip(&foreign_key.parent_columns);
        let same = pairs.map(|(c, p)| {
            let (c, p) = (self.engine.column("c", c), self.engine.column("p", p));
            format!("{c} = {p}")
        });
        format!(
            "SELECT {} FROM {} c{} WHERE {} AND {} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})",
            self.columns("c", &member.key),
            self.engine.quote(&member.table),
            self.by_index(&member.table, &member.key),
            self.key_in("c", &member.key, keys),
            set.join(" AND "),
            self.engine.quote(&foreign_key.parent),
            same.collect::<Vec<_>>().join(" AND "),
        )
    }
}
