//! Whether a model holds together: what refers to a table or a column must find it.

use std::collections::BTreeSet;

use super::{Model, ModelTable};
use crate::error::{Error, Result};
use crate::schema::{ColumnType, ForeignKey, Schema, Table};

/// What PostgreSQL keeps of a name, in bytes; the shortest of the three.
const LONGEST_NAME: usize = 63;

impl Model {
    /// Whether a database can be made of it: every name once, and every key, index and foreign key over
    /// columns that are there.
    ///
    /// # Errors
    ///
    /// Exit code 65 with the table and what is wrong with it.
    pub fn check(&self) -> Result<()> {
        let mut tables = BTreeSet::new();
        let mut keys = BTreeSet::new();
        let schema = self.schema()?;
        let all: BTreeSet<String> = self.table_names().map(str::to_ascii_lowercase).collect();
        for stated in &self.tables {
            let name = stated.name.as_str();
            well_named("a table", name).map_err(wrong)?;
            // SQLite, and MariaDB on some file systems, take upper and lower case for the same.
            if !tables.insert(name.to_ascii_lowercase()) {
                return Err(wrong(format!("table {name} is there twice")));
            }
            let table = stated.table()?;
            let of_table = |what: String| wrong(format!("table {name}: {what}"));
            own_columns(&table).map_err(of_table)?;
            named_columns(stated, &table).map_err(of_table)?;
            // SQLite and PostgreSQL have one space of names for both.
            let mut indexes = stated.unique.keys().chain(stated.index.keys());
            if let Some(index) = indexes.find(|i| all.contains(&i.to_ascii_lowercase())) {
                return Err(of_table(format!("index {index} has the name of a table")));
            }
            for key in &table.foreign_keys {
                if !keys.insert(key.name.clone()) {
                    let message = format!("foreign key {} is there twice", key.name);
                    return Err(of_table(message));
                }
                foreign_key(&schema, &table, key).map_err(of_table)?;
            }
        }
        Ok(())
    }
}

fn wrong(what: String) -> Error {
    Error::data(what).hint("mend the schema: tables, columns and keys are told by name")
}

fn well_named(what: &str, name: &str) -> std::result::Result<(), String> {
    match name.len() {
        0 => Err(format!("{what} has no name")),
        1..=LONGEST_NAME => Ok(()),
        _ => Err(format!(
            "{what} has a name of {} bytes, and {LONGEST_NAME} are the most: {name}",
            name.len()
        )),
    }
}

fn own_columns(table: &Table) -> std::result::Result<(), String> {
    let mut seen = BTreeSet::new();
    if table.columns.is_empty() {
        return Err("it has no columns".into());
    }
    for column in &table.columns {
        well_named("a column", &column.name)?;
        if !seen.insert(column.name.to_ascii_lowercase()) {
            return Err(format!("column {} is there twice", column.name));
        }
        // SQLite takes any word for a type, and means a number by it.
        if let ColumnType::Other(ty) = &column.ty {
            return Err(format!(
                "column {} is of type '{ty}', which is none; types are int, bigint, bool, varchar(40), text, datetime ...",
                column.name
            ));
        }
        if let ColumnType::Enum(labels) = &column.ty
            && labels.is_empty()
        {
            return Err(format!("column {} has no labels", column.name));
        }
    }
    Ok(())
}

fn named_columns(stated: &ModelTable, table: &Table) -> std::result::Result<(), String> {
    let primary = ("the primary key".to_owned(), &stated.primary);
    let unique = stated.unique.iter();
    let unique = unique.map(|(name, columns)| (format!("unique key {name}"), columns));
    let index = stated.index.iter();
    let index = index.map(|(name, columns)| (format!("index {name}"), columns));
    for (what, columns) in std::iter::once(primary).chain(unique).chain(index) {
        if columns.is_empty() && what != "the primary key" {
            return Err(format!("{what} has no columns"));
        }
        over(&what, columns, table)?;
    }
    if let Some(both) = stated.unique.keys().find(|n| stated.index.contains_key(*n)) {
        return Err(format!("{both} is a unique key and an index"));
    }
    for name in stated.unique.keys().chain(stated.index.keys()) {
        well_named("an index", name)?;
    }
    for key in &table.foreign_keys {
        well_named("a foreign key", &key.name)?;
        over(&format!("foreign key {}", key.name), &key.columns, table)?;
    }
    Ok(())
}

/// Whether these are columns of the table, each once.
fn over(what: &str, columns: &[String], table: &Table) -> std::result::Result<(), String> {
    let mut seen = BTreeSet::new();
    for column in columns {
        if table.column(column).is_none() {
            return Err(format!("{what} names {column}, which is no column of it"));
        }
        if !seen.insert(column) {
            return Err(format!("{what} names {column} twice"));
        }
    }
    Ok(())
}

fn foreign_key(
    schema: &Schema,
    table: &Table,
    key: &ForeignKey,
) -> std::result::Result<(), String> {
    let name = &key.name;
    let Some(parent) = schema.table(&key.parent) else {
        let parent = &key.parent;
        return Err(format!(
            "foreign key {name} is to {parent}, which is no table of it"
        ));
    };
    over(
        &format!("foreign key {name} to {}", parent.name),
        &key.parent_columns,
        parent,
    )?;
    if key.columns.len() != key.parent_columns.len() {
        return Err(format!(
            "foreign key {name} has {} columns to {} of {}",
            key.columns.len(),
            key.parent_columns.len(),
            parent.name
        ));
    }
    if !parent.is_unique(&key.parent_columns) {
        return Err(format!(
            "foreign key {name} is to {}.({}), which is neither the primary key nor a unique one",
            parent.name,
            key.parent_columns.join(", ")
        ));
    }
    for (own, other) in key.columns.iter().zip(&key.parent_columns) {
        let (Some(own), Some(other)) = (table.column(own), parent.column(other)) else {
            continue;
        };
        if !own.ty.refers_to(&other.ty) {
            return Err(format!(
                "foreign key {name} puts {} ({}) against {}.{} ({})",
                own.name, own.ty, parent.name, other.name, other.ty
            ));
        }
    }
    Ok(())
}
