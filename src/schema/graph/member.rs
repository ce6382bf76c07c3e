//! A live table as part of families, and why no row of it can be archived.

use std::fmt;

use super::super::{DriftKind, Marker, Profile, Schema, Table, shadow_drift};

/// A live table as part of families.
#[derive(Debug, Clone)]
pub struct Member {
    /// The live table's name.
    pub table: String,
    /// The shadow table's name, if there is such a table.
    pub shadow: Option<String>,
    /// The marker, if the table has one.
    pub marker: Option<Marker>,
    /// Whether the service never sets the marker, so that a live one says nothing.
    pub never_marked: bool,
    /// The columns that tell rows apart: the primary key, or a unique key without NULLs.
    pub key: Vec<String>,
    /// The column that tells a row's age.
    pub age: Option<String>,
    /// Why no row of the table can be copied to its shadow table, if so.
    pub obstacle: Option<Obstacle>,
    /// Whether the service's models know the table no longer.
    pub removed: bool,
    /// Whether its rows are roots without any marker, and move only on request (Nova's
    /// `task_log`).
    pub on_request: bool,
}

/// Why no row of a table can be archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// There is no shadow table.
    NoShadowTable(String),
    /// Neither a primary key nor a unique key without NULLs.
    NoKey,
    /// The shadow table lacks columns; copying would lose what is in them.
    MissingColumns(String, Vec<String>),
    /// The shadow table wants a column that the live table does not have.
    RequiredColumn(String, String),
    /// Columns of the shadow table are of another kind: copying would change what is in them.
    OtherType(String, Vec<String>),
    /// A table (the shadow, or the live one) on a storage engine that cannot roll back.
    NonTransactional(String, String),
}

impl Obstacle {
    /// The reason as scripts see it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoShadowTable(_) => "no-shadow-table",
            Self::NoKey => "no-key",
            Self::MissingColumns(..) => "shadow-column-missing",
            Self::RequiredColumn(..) => "shadow-column-required",
            Self::OtherType(..) => "shadow-column-type",
            Self::NonTransactional(..) => "non-transactional-table",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoShadowTable(table) => write!(f, "table {table} has no shadow table"),
            Self::NoKey => f.write_str("the table has no primary key to tell rows apart"),
            Self::MissingColumns(shadow, columns) => {
                write!(f, "{shadow} lacks column {}", columns.join(", "))
            }
            Self::RequiredColumn(shadow, column) => {
                write!(
                    f,
                    "{shadow}.{column} must be given and no live column has it"
                )
            }
            Self::OtherType(shadow, columns) => {
                write!(f, "{shadow} has another type for {}", columns.join(", "))
            }
            Self::NonTransactional(table, storage) => {
                write!(f, "{table} uses {storage}, which cannot roll back")
            }
        }
    }
}

pub(super) fn member(table: &Table, schema: &Schema, profile: &Profile) -> Member {
    let shadow_name = format!("{}{}", profile.shadow_prefix, table.name);
    let shadow = schema.table(&shadow_name);
    let key = key_of(table);
    Member {
        table: table.name.clone(),
        shadow: shadow.map(|s| s.name.clone()),
        marker: profile.marker(table),
        age: profile.age_column(table),
        obstacle: obstacle(table, shadow, &key),
        key,
        never_marked: profile.never_marked.contains(&table.name),
        removed: profile.removed.contains(&table.name),
        on_request: profile.task_log.as_ref() == Some(&table.name),
    }
}

fn key_of(table: &Table) -> Vec<String> {
    let not_null = |key: &[String]| {
        key.iter()
            .all(|c| table.column(c).is_some_and(|c| !c.nullable))
            && !key.is_empty()
    };
    if !table.primary_key.is_empty() {
        return table.primary_key.clone();
    }
    let unique = table
        .uniques
        .iter()
        .map(|u| &u.columns)
        .find(|key| not_null(key));
    unique.cloned().unwrap_or_default()
}

fn obstacle(table: &Table, shadow: Option<&Table>, key: &[String]) -> Option<Obstacle> {
    let Some(shadow) = shadow else {
        return Some(Obstacle::NoShadowTable(table.name.clone()));
    };
    let in_the_way = [table, shadow]
        .into_iter()
        .find_map(|t| obstacle_in_place(t, key));
    if in_the_way.is_some() {
        return in_the_way;
    }
    let drift = shadow_drift(table, shadow);
    let missing: Vec<_> = drift
        .iter()
        .filter(|d| matches!(d.kind, DriftKind::MissingInShadow(_)))
        .map(|d| d.column.clone())
        .collect();
    if !missing.is_empty() {
        return Some(Obstacle::MissingColumns(shadow.name.clone(), missing));
    }
    let other: Vec<_> = drift
        .iter()
        .filter(|d| matches!(&d.kind, DriftKind::Type(live, shadow) if !live.keeps_in(shadow)))
        .map(|d| d.column.clone())
        .collect();
    if !other.is_empty() {
        return Some(Obstacle::OtherType(shadow.name.clone(), other));
    }
    let required = drift
        .into_iter()
        .find(|d| d.kind == DriftKind::RequiredInShadowOnly)?;
    Some(Obstacle::RequiredColumn(
        shadow.name.clone(),
        required.column,
    ))
}

/// Why no row of a shadow table can be copied back into its live table: what keeps rows from going there, the other
/// way round. A column that only the shadow table has is harmless as long as it is empty, which its rows tell.
pub(super) fn obstacle_to_return(live: &Table, shadow: &Table, key: &[String]) -> Option<Obstacle> {
    let in_the_way = [shadow, live]
        .into_iter()
        .find_map(|t| obstacle_in_place(t, key));
    if in_the_way.is_some() {
        return in_the_way;
    }
    let drift = shadow_drift(live, shadow);
    let columns = |is_bad: &dyn Fn(&DriftKind) -> bool| -> Vec<String> {
        let bad = drift.iter().filter(|d| is_bad(&d.kind));
        bad.map(|d| d.column.clone()).collect()
    };
    let missing = columns(&|kind| matches!(kind, DriftKind::MissingInShadow(_)));
    if !missing.is_empty() {
        return Some(Obstacle::MissingColumns(shadow.name.clone(), missing));
    }
    let other =
        columns(&|kind| matches!(kind, DriftKind::Type(live, shadow) if !shadow.keeps_in(live)));
    (!other.is_empty()).then(|| Obstacle::OtherType(shadow.name.clone(), other))
}

/// Why no row of a table can be deleted where it is: `key` cannot tell rows apart, or the table cannot
/// roll back.
pub(super) fn obstacle_in_place(table: &Table, key: &[String]) -> Option<Obstacle> {
    if key.is_empty() {
        return Some(Obstacle::NoKey);
    }
    let storage = non_transactional(table)?;
    Some(Obstacle::NonTransactional(
        table.name.clone(),
        storage.into(),
    ))
}

/// The table's storage engine, if that cannot roll back.
pub(crate) fn non_transactional(table: &Table) -> Option<&str> {
    let storage = table.storage.as_deref()?;
    (!["innodb", "rocksdb", "tokudb", "ndbcluster", "ndb"]
        .contains(&storage.to_ascii_lowercase().as_str()))
    .then_some(storage)
}
