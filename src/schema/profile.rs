//! Profiles: what a service's schema does not say of itself.
//!
//! A profile is a TOML file under `schemas/`. It names every table of the service, so that a test
//! can hold it against the real schema; what it says nothing of is read by convention.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{FamilyGraph, Marker, Schema, Table};
use crate::error::{Error, Result};

/// The profiles that come with sexton, by name.
const BUILT_IN: [(&str, &str); 9] = [
    ("nova", include_str!("../../schemas/nova.toml")),
    ("manila", include_str!("../../schemas/manila.toml")),
    ("cinder", include_str!("../../schemas/cinder.toml")),
    ("glance", include_str!("../../schemas/glance.toml")),
    ("heat", include_str!("../../schemas/heat.toml")),
    ("masakari", include_str!("../../schemas/masakari.toml")),
    ("barbican", include_str!("../../schemas/barbican.toml")),
    ("designate", include_str!("../../schemas/designate.toml")),
    ("trove", include_str!("../../schemas/trove.toml")),
];

/// What is known of a service's schema beyond the schema itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The profile's name: `nova`.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub title: String,
    /// Tables whose presence, all of them, makes this profile fit a database.
    #[serde(default)]
    pub detect: Vec<String>,
    /// What a shadow table's name begins with.
    #[serde(default = "default_shadow_prefix")]
    pub shadow_prefix: String,
    /// Columns that mark rows deleted, the more telling first, beside those by convention.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marker_columns: Vec<String>,
    /// Whether a deleted row's marker holds the row's own key.
    #[serde(default)]
    pub marker_holds_key: bool,
    /// Every table of the service with a shadow table, live names.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Tables that have no shadow table.
    #[serde(default)]
    pub without_shadow: Vec<String>,
    /// Tables whose models the service has removed while the tables may still be there.
    #[serde(default)]
    pub removed: Vec<String>,
    /// Tables that have a marker column which the service never sets: live-marked rows of theirs
    /// are not residue.
    #[serde(default)]
    pub never_marked: Vec<String>,
    /// Tables with a column that looks like a marker and is none: their rows go with their owner only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmarked: Vec<String>,
    /// Tables that hold no data of the service (schema versions); left alone altogether.
    #[serde(default)]
    pub ignored: Vec<String>,
    /// Columns that still are in the database and no longer in the service's models, as
    /// `table.column`: an archiver that copies by model loses them.
    #[serde(default)]
    pub removed_columns: Vec<String>,
    /// Differences between a table and its shadow that the service means to have, as
    /// `table.column`.
    #[serde(default)]
    pub intended_drift: Vec<String>,
    /// The column that tells a row's age, where it is not the one beside the marker.
    #[serde(default)]
    pub age: BTreeMap<String, String>,
    /// The log table whose rows are never marked and move only on request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_log: Option<String>,
    /// Tables whose soft-deleted rows a purge leaves alone unless it is told the table's name: their
    /// keys must not be given out again.
    #[serde(default)]
    pub purged_on_request: Vec<String>,
    /// References, declared or by convention.
    #[serde(default)]
    pub reference: Vec<ProfileReference>,
    /// Records about roots in another database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiRecords>,
    /// What brings its databases to another release.
    #[serde(default, skip_serializing_if = "UpgradeCommands::is_none")]
    pub upgrade: UpgradeCommands,
    /// Rows that the service still has to bring into another form while it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_migration: Vec<DataMigration>,
}

/// What an operator runs to bring a service's databases to another release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeCommands {
    /// The commands that change the schemas, in their order.
    #[serde(default)]
    pub sync: Vec<String>,
    /// The command that changes rows, batch by batch, while the service runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online: Option<String>,
}

impl UpgradeCommands {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// An online data migration, by the rows that it still has to change: those for which all that is said here
/// holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataMigration {
    /// What the service calls it.
    pub name: String,
    /// The table.
    pub table: String,
    /// Whether the table is in the API database.
    #[serde(default)]
    pub api: bool,
    /// The first major release that brings it; before all that are known if it is not said.
    #[serde(default)]
    pub since: u32,
    /// Whether it leaves soft-deleted rows alone.
    #[serde(default)]
    pub live: bool,
    /// Columns that are NULL.
    #[serde(default)]
    pub null: Vec<String>,
    /// Columns that are not.
    #[serde(default)]
    pub set: Vec<String>,
    /// Columns of which at least one is NULL or 0.
    #[serde(default)]
    pub any_null_or_zero: Vec<String>,
    /// Columns that have this value.
    #[serde(default)]
    pub equal: BTreeMap<String, String>,
    /// Columns that have another value than this.
    #[serde(default)]
    pub other_than: BTreeMap<String, String>,
}

/// A reference as the profile states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileReference {
    /// `table.column`, or `table.(a, b)` for a composite one.
    pub child: String,
    /// `table.column` of the parent.
    pub parent: String,
    /// Whether the child moves with its parent.
    pub kind: Ownership,
    /// Whether only the profile knows it; the database has no foreign key.
    #[serde(default)]
    pub by_convention: bool,
    /// Whether every parent must have at least one such child.
    #[serde(default)]
    pub required: bool,
}

/// Who owns the child of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ownership {
    /// The child has no life without its parent and moves with it.
    Owned,
    /// A live child blocks its parent (a declared reference), or merely points at it (one by
    /// convention).
    Shared,
}

/// API-database records: rows about a root in another database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiRecords {
    /// The root's table.
    pub root: String,
    /// The root's column that the records name.
    pub key: String,
    /// The records' column that names it.
    pub column: String,
    /// The tables, in the order in which they are cleaned.
    pub tables: Vec<String>,
    /// The table that says in which cell a root lies; it has the same `column`.
    pub mapping: String,
    /// The mapping's column with the cell.
    pub mapping_cell: String,
    /// The table of cells: `id`, `name`, `database_connection`.
    pub cells: String,
}

impl Profile {
    /// Reads a profile; `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| {
            let line = e.to_string().lines().next().unwrap_or_default().to_owned();
            Error::data(format!("profile {origin}: {line}: {}", e.message()))
                .hint("see docs/profiles.md for its form")
        })
    }

    /// The built-in profile of that name.
    pub fn built_in(name: &str) -> Result<Self> {
        let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) else {
            let names: Vec<_> = Self::names().collect();
            return Err(
                Error::data(format!("unknown profile '{name}'")).hint(format!(
                    "use {} or 'convention', or give the path of a profile file",
                    names.join(", ")
                )),
            );
        };
        Self::parse(text, name)
    }

    /// The names of the profiles that come with sexton.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The profile that fits a schema, or the one by convention if none does.
    pub fn detect(schema: &Schema) -> Self {
        BUILT_IN
            .iter()
            .filter_map(|(name, _)| Self::built_in(name).ok())
            .find(|profile| profile.missing_in(schema).is_none())
            .unwrap_or_else(Self::convention)
    }

    /// The profile of a service whose tables most of these are, and one that is missing: a part of its database.
    /// Read by convention it would be something else.
    pub fn of_part(schema: &Schema) -> Option<(Self, String)> {
        let profiles = BUILT_IN
            .iter()
            .filter_map(|(name, _)| Self::built_in(name).ok());
        for profile in profiles {
            let plain = |table: &String| match table.strip_prefix(&profile.shadow_prefix) {
                Some(live) => live.to_owned(),
                None => table.clone(),
            };
            let tables: BTreeSet<_> = schema.tables.keys().map(plain).collect();
            let its = |t: &&String| profile.knows(t) && !profile.ignored.contains(t);
            let known = tables.iter().filter(its).count();
            if known > 1
                && 2 * known > tables.len()
                && let Some(missing) = profile.missing_in(schema)
            {
                let missing = missing.to_owned();
                return Some((profile, missing));
            }
        }
        None
    }

    /// A table that every database of the service has, if it is not in the schema.
    pub fn missing_in(&self, schema: &Schema) -> Option<&str> {
        let missing = self.detect.iter().find(|t| !schema.tables.contains_key(*t));
        missing.map(String::as_str)
    }

    /// No knowledge at all: columns `deleted`, `deleted_at`, `is_deleted`; tables `shadow_*`.
    pub fn convention() -> Self {
        Self {
            name: "convention".into(),
            title: "no profile; markers and shadow tables by their usual names".into(),
            shadow_prefix: default_shadow_prefix(),
            ignored: vec!["alembic_version".into(), "migrate_version".into()],
            ..Self::default()
        }
    }

    /// Whether this is the profile by convention, which knows no table by name.
    pub fn is_convention(&self) -> bool {
        self.tables.is_empty() && self.without_shadow.is_empty()
    }

    /// Whether a purge may take rows of this live table: all tables are covered by convention.
    pub fn covers(&self, table: &str) -> bool {
        self.is_convention() || self.knows(table)
    }

    /// Whether the profile names this live table.
    pub fn knows(&self, table: &str) -> bool {
        [&self.tables, &self.without_shadow, &self.ignored]
            .iter()
            .any(|list| list.iter().any(|t| t == table))
    }

    /// The lists of tables that must be there for what they say to mean something, with their keys.
    pub(crate) fn table_lists(&self) -> [(&'static str, &Vec<String>); 5] {
        [
            ("tables", &self.tables),
            ("without_shadow", &self.without_shadow),
            ("never_marked", &self.never_marked),
            ("unmarked", &self.unmarked),
            ("purged_on_request", &self.purged_on_request),
        ]
    }

    /// The profile without what it says of a table.
    pub(crate) fn forget(&mut self, table: &str) {
        for list in [
            &mut self.tables,
            &mut self.without_shadow,
            &mut self.never_marked,
            &mut self.unmarked,
            &mut self.purged_on_request,
        ] {
            list.retain(|t| t != table);
        }
        self.age.remove(table);
        self.task_log.take_if(|t| t == table);
        let of = |end: &str| end.split('.').next() == Some(table);
        self.reference.retain(|r| !of(&r.child) && !of(&r.parent));
    }

    /// The marker of a table, if it has one.
    pub fn marker(&self, table: &Table) -> Option<Marker> {
        if self.unmarked.contains(&table.name) {
            return None;
        }
        let mut marker = Marker::of(table, &self.marker_columns)?;
        marker.holds_key = self.marker_holds_key && marker.style == super::MarkerStyle::NonZero;
        Some(marker)
    }

    /// The column that tells how old a soft-deleted row of the table is.
    pub fn age_column(&self, table: &Table) -> Option<String> {
        let stated = self.age.get(&table.name).cloned();
        stated
            .or_else(|| self.marker(table).and_then(|m| m.at))
            .filter(|column| table.column(column).is_some())
    }

    /// The family graph of a schema under this profile.
    pub fn families(&self, schema: &Schema) -> Result<FamilyGraph> {
        FamilyGraph::build(schema, self)
    }
}

fn default_shadow_prefix() -> String {
    "shadow_".into()
}

/// Splits `table.column` or `table.(a, b)`.
pub(crate) fn split_columns(text: &str) -> Result<(String, Vec<String>)> {
    let (table, columns) = text.split_once('.').ok_or_else(|| {
        Error::data(format!("'{text}' in a profile is not table.column"))
            .hint("write table.column, or table.(a, b)")
    })?;
    let columns = columns.trim_start_matches('(').trim_end_matches(')');
    Ok((
        table.into(),
        columns.split(',').map(|c| c.trim().to_owned()).collect(),
    ))
}
