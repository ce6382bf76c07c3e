//! Why a family stays: reason, path from its root, and what would mend it.

use std::collections::BTreeMap;

use crate::db::DbError;
use crate::schema::{Member, Obstacle, Reference, ddl};

use super::capture::{Capture, Found};
use super::forest::{Hold, Key, RowIndex};
use super::name::row_name;
use super::outcome::Blocked;
use super::sql::Sql;

impl Capture<'_> {
    /// Rows whose key the shadow table already has (id reuse, half-done older runs).
    pub(super) fn taken_keys(&mut self) -> Result<(), DbError> {
        for (table, keys) in self.keys_read() {
            let Some(member) = self.sql.graph.member(&table) else {
                continue;
            };
            for chunk in &self.sql.pieces(&keys) {
                let Some(sql) = self.sql.taken_keys(member, chunk) else {
                    continue;
                };
                for key in self.session.query(&sql)? {
                    let Some(row) = self.captured.forest.find(&table, &key) else {
                        continue;
                    };
                    let shadow = member.shadow.clone().unwrap_or_default();
                    let name = row_name(&shadow, &key);
                    let blocked = self.blocked(
                        row,
                        "shadow-key-taken",
                        vec![name],
                        format!(
                            "compare the two with `sexton audit --check duplicate-in-shadow`; if \
                             they are the same: DELETE FROM {shadow} WHERE {}",
                            self.sql.key_in("", &member.key, std::slice::from_ref(&key))
                        ),
                    );
                    self.captured.forest.hold(row, Hold::Blocked(blocked));
                }
            }
        }
        Ok(())
    }

    /// Rows that are too young to be deleted in place; their family waits for them.
    pub(super) fn young_rows(&mut self) -> Result<(), DbError> {
        for (table, keys) in self.keys_read() {
            let Some(member) = self.sql.graph.member(&table) else {
                continue;
            };
            for chunk in &self.sql.pieces(&keys) {
                let Some(sql) = self.sql.too_young(member, chunk) else {
                    continue;
                };
                for key in self.session.query(&sql)? {
                    let Some(row) = self.captured.forest.find(&table, &key) else {
                        continue;
                    };
                    let remedy = "it goes when the cut-off covers this row too".into();
                    let blocked = self.blocked(row, "younger-relative", Vec::new(), remedy);
                    self.captured.forest.hold(row, Hold::Blocked(blocked));
                }
            }
        }
        Ok(())
    }

    /// The keys of all rows that were read, by table.
    pub(super) fn keys_read(&self) -> BTreeMap<String, Vec<Key>> {
        let mut by_table: BTreeMap<String, Vec<Key>> = BTreeMap::new();
        for index in 0..self.captured.forest.len() {
            let row = self.captured.forest.row(index);
            let keys = by_table.entry(row.table.clone()).or_default();
            keys.push(row.key.clone());
        }
        by_table
    }

    /// A child over a blocking reference that was not read. `moves` names what takes it along sooner or later,
    /// if anything does: itself, or the soft-deleted row that owns it; `young`: it is deleted in place, and too
    /// young for that.
    pub(super) fn judge_shared(
        &mut self,
        number: usize,
        parent: RowIndex,
        found: &Found,
        moves: Option<&str>,
        young: bool,
    ) {
        let reference = &self.sql.graph.references[number];
        let Some(child) = self.sql.graph.member(&reference.child) else {
            return;
        };
        let movable = moves.is_some() && child.obstacle.is_none() && !young;
        let mut path = vec![
            self.sql.graph.references[number].to_string(),
            row_name(&child.table, &found.child),
        ];
        // It lives, and what owns it is deleted.
        path.extend(
            moves
                .filter(|_| !found.marked)
                .map(|owner| format!("owned by {owner}")),
        );
        let keyed = !child.key.is_empty();
        let key = match keyed {
            true => self
                .sql
                .key_in("", &child.key, std::slice::from_ref(&found.child)),
            false => "...".into(),
        };
        let (reason, remedy) = match (&child.marker, moves) {
            (_, Some(name)) if young => (
                "younger-relative",
                format!("it goes when the cut-off covers {name} too"),
            ),
            (_, Some(name)) => ("soft-deleted-child-stays", format!("see why {name} stays")),
            (Some(marker), None) if keyed => (
                "live-child",
                format!(
                    "delete the child in its service, or: UPDATE {} SET {} WHERE {key}",
                    child.table,
                    marker.set_deleted(self.sql.engine, &child.key[0])
                ),
            ),
            (_, None) => (
                "live-child",
                format!("DELETE FROM {} WHERE {key}", child.table),
            ),
        };
        let blocked = self.blocked(parent, reason, path, remedy);
        let hold = if movable {
            Hold::Deferred(blocked)
        } else {
            Hold::Blocked(blocked)
        };
        self.captured.forest.hold(parent, hold);
    }

    pub(super) fn obstructed(
        &self,
        parent: RowIndex,
        number: usize,
        child: &Member,
        key: &Key,
    ) -> Blocked {
        let path = vec![
            self.sql.graph.references[number].to_string(),
            row_name(&child.table, key),
        ];
        let reason = child.obstacle.as_ref().map_or("", Obstacle::reason);
        self.blocked(parent, reason, path, remedy_of(self.sql, child))
    }

    pub(super) fn owned_by_living(
        &self,
        child: RowIndex,
        reference: &Reference,
        parent: &Key,
    ) -> Blocked {
        let path = vec![reference.to_string(), row_name(&reference.parent, parent)];
        let remedy =
            "the row is not deleted and has a living owner; it can move when that owner is \
                      deleted too"
                .into();
        self.blocked(child, "living-owner", path, remedy)
    }

    /// A block at `row`, its path lengthened by `further`.
    pub(super) fn blocked(
        &self,
        row: RowIndex,
        reason: &str,
        further: Vec<String>,
        remedy: String,
    ) -> Blocked {
        let references = |i: usize| self.sql.graph.references[i].to_string();
        let mut path = self.captured.forest.path(row, references);
        path.extend(further);
        Blocked {
            reason: reason.into(),
            root: path[0].clone(),
            path,
            remedy,
        }
    }
}

/// What takes rows of a table without shadow along: where they go, and that they go.
pub(crate) fn drop_unshadowed(table: &str) -> String {
    format!(
        "`sexton archive --drop-unshadowed {table}` writes such rows to a file and deletes them"
    )
}

/// What would clear a table's obstacle.
pub(super) fn remedy_of(sql: Sql<'_>, member: &Member) -> String {
    let table = |name: &str| sql.engine.quote(name);
    match &member.obstacle {
        Some(Obstacle::NoShadowTable(name)) => {
            format!("{}; or create the shadow table", drop_unshadowed(name))
        }
        Some(Obstacle::MissingColumns(shadow, columns)) => {
            let sides = [Some(&member.table), member.shadow.as_ref()];
            let sides = sides
                .into_iter()
                .flatten()
                .filter_map(|t| sql.graph.table(t));
            let add = |column: &String| {
                let ty = sides.clone().find_map(|t| t.column(column)).map(|c| &c.ty);
                ty.map(|ty| ddl::add_column(shadow, column, ty, sql.engine))
            };
            columns
                .iter()
                .filter_map(add)
                .collect::<Vec<_>>()
                .join("; ")
        }
        Some(Obstacle::RequiredColumn(shadow, column)) => {
            format!("give {shadow}.{column} a default, or allow NULL")
        }
        Some(Obstacle::OtherType(shadow, columns)) => {
            format!(
                "give {shadow} the live table's type for {}",
                columns.join(", ")
            )
        }
        Some(Obstacle::NonTransactional(name, _)) => {
            format!("ALTER TABLE {} ENGINE=InnoDB", table(name))
        }
        Some(Obstacle::NoKey) => format!("give {} a primary key", table(&member.table)),
        None => String::new(),
    }
}
