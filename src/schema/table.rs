//! What introspection reads and a model holds: tables, columns, keys, foreign keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ColumnType;

/// The tables of one database, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// The tables, by name.
    pub tables: BTreeMap<String, Table>,
}

impl Schema {
    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }
}

impl FromIterator<Table> for Schema {
    fn from_iter<I: IntoIterator<Item = Table>>(tables: I) -> Self {
        Self {
            tables: tables.into_iter().map(|t| (t.name.clone(), t)).collect(),
        }
    }
}

/// A table with all that sexton needs to know of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The table's name, without database or namespace.
    pub name: String,
    /// The columns, in the order of the table.
    pub columns: Vec<Column>,
    /// The primary key's columns, in key order; empty where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub primary_key: Vec<String>,
    /// Unique keys other than the primary key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uniques: Vec<Index>,
    /// Indexes that are not unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<Index>,
    /// Foreign keys of this table (the table is the child).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_keys: Vec<ForeignKey>,
    /// Storage engine (MariaDB/MySQL only): `InnoDB`, `MyISAM`, `Aria` ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
}

impl Table {
    /// A fingerprint of what decides what a statement does to the rows: columns, keys, foreign keys, storage engine. Plain
    /// indexes are left out, for they only make it faster. 16 hexadecimal digits, the same on every machine.
    pub fn fingerprint(&self) -> String {
        let parts = (
            (&self.name, &self.columns, &self.primary_key),
            (&self.uniques, &self.foreign_keys, &self.storage),
        );
        let text = serde_json::to_string(&parts).unwrap_or_default();
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().take(8).map(|b| format!("{b:02x}")).collect()
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Whether no two rows can have the same values of these columns, in any order.
    pub fn is_unique(&self, columns: &[String]) -> bool {
        let uniques = self.uniques.iter().map(|u| &u.columns);
        let same = |key: &Vec<String>| {
            key.len() == columns.len() && key.iter().all(|c| columns.contains(c))
        };
        uniques.chain([&self.primary_key]).any(same)
    }

    /// Whether at most one row has the same values of these columns: some of them are unique already.
    pub fn identifies(&self, columns: &[String]) -> bool {
        let keys = self.uniques.iter().map(|u| &u.columns);
        keys.chain([&self.primary_key])
            .any(|key| !key.is_empty() && key.iter().all(|c| columns.contains(c)))
    }

    /// The name of an index that begins with exactly these columns, in any order; `PRIMARY` for the primary key.
    pub fn index_on(&self, columns: &[String]) -> Option<&str> {
        let others = self.uniques.iter().chain(&self.indexes);
        let mut all = std::iter::once(("PRIMARY", &self.primary_key))
            .chain(others.map(|i| (i.name.as_str(), &i.columns)));
        let begins = |key: &Vec<String>| {
            !columns.is_empty()
                && key.len() >= columns.len()
                && key[..columns.len()].iter().all(|c| columns.contains(c))
        };
        all.find(|(_, key)| begins(key)).map(|(name, _)| name)
    }

    /// Whether an index (primary, unique or plain) begins with exactly these columns, in any order.
    pub fn has_index_on(&self, columns: &[String]) -> bool {
        self.index_on(columns).is_some()
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// The type, in terms that hold on all engines.
    #[serde(rename = "type")]
    pub ty: ColumnType,
    /// Whether NULL is allowed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    /// The default: the plain value (`0`, `available`), without quotes or casts; `None` for no
    /// default and for DEFAULT NULL. Expressions (`CURRENT_TIMESTAMP`) keep the engine's spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// AUTO_INCREMENT, serial, identity, or INTEGER PRIMARY KEY of SQLite.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_increment: bool,
    /// A generated (computed) column: it cannot be inserted into.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generated: bool,
    /// The name of a type of the database's own (PostgreSQL: an enum's), quoted where it must be,
    /// to cast to.
    #[serde(skip)]
    pub native: Option<String>,
    /// Whether its dates are moments, which the database shows in the zone of the session: TIMESTAMP on MariaDB and
    /// MySQL, timestamptz on PostgreSQL.
    #[serde(skip)]
    pub zoned: bool,
}

/// An index or unique key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The index's name.
    pub name: String,
    /// Its columns, in key order.
    pub columns: Vec<String>,
}

/// A declared reference, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// The constraint's name; made up (`fk_0`) where the engine keeps none.
    pub name: String,
    /// The child's columns.
    pub columns: Vec<String>,
    /// The parent table.
    pub parent: String,
    /// The parent's columns, one for each child column.
    pub parent_columns: Vec<String>,
    /// Whether the database deletes children itself (ON DELETE CASCADE).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_delete_cascade: bool,
}
