//! Whether a world fits together: what no table could take would only show as a database's complaint, much
//! later, or as a failure of the engine under test.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, DateTime};

use super::{Content, Row, World};
use crate::db::{Engine, Value};
use crate::error::{Error, Result};
use crate::schema::{Column, ColumnType, Profile, Schema, Table, split_columns};

/// What is wrong, in words.
type Check = std::result::Result<(), String>;

impl World {
    /// Whether the schema holds together, and the profile and the rows fit it.
    ///
    /// # Errors
    ///
    /// Exit code 65 with the table and what is wrong with it.
    pub fn check(&self, engine: Engine) -> Result<()> {
        for (database, content) in self.databases() {
            content.schema.check().map_err(|error| Error {
                message: format!("{database}: {}", error.message),
                ..error
            })?;
        }
        if engine == Engine::Mysql {
            self.check_key_lengths().map_err(|what| {
                Error::data(what)
                    .hint("give the column a length, varchar(40), or choose another --server")
            })?;
        }
        self.graph(engine)?;
        self.check_profile().map_err(|what| {
            Error::data(format!("profile: {what}"))
                .hint("the profile is of tables and columns of the schema beside it")
        })?;
        for (database, content) in self.databases() {
            content.check_rows().map_err(|what| {
                Error::data(format!("{database}: {what}"))
                    .hint("rows are of tables and columns of the schema beside them")
            })?;
        }
        Ok(())
    }

    /// MySQL puts no text without a length into a key.
    fn check_key_lengths(&self) -> Check {
        for (database, content) in self.databases() {
            let schema = content.schema.schema().map_err(|e| e.message)?;
            for table in schema.tables.values() {
                let indexes = table
                    .uniques
                    .iter()
                    .chain(&table.indexes)
                    .map(|i| &i.columns);
                let keyed = indexes.chain([&table.primary_key]).flatten();
                let without_length = |c: &&Column| {
                    let text =
                        c.ty.is_text() || matches!(c.ty, ColumnType::Blob | ColumnType::Json);
                    text && !matches!(c.ty, ColumnType::Varchar(_) | ColumnType::Enum(_))
                };
                let mut keyed = keyed.filter_map(|name| table.column(name));
                if let Some(Column { name, ty, .. }) = keyed.find(without_length) {
                    let table = &table.name;
                    return Err(format!(
                        "{database}: {table}.{name} is {ty}, and in a key, which MySQL does not take"
                    ));
                }
            }
        }
        Ok(())
    }

    /// A profile of a service names tables and columns of all its releases; one of a world's own only what
    /// the world has.
    fn check_profile(&self) -> Check {
        let schema = self.main.schema.schema().map_err(|e| e.message)?;
        self.check_api(&schema)?;
        let profile = &self.profile;
        if Profile::names().any(|name| name == profile.name) {
            return Ok(());
        }
        let known = |what: &str, table: &str| match schema.table(table) {
            Some(table) => Ok(table),
            None => Err(format!("{what} names {table}, which is no table")),
        };
        for (what, tables) in profile.table_lists() {
            tables.iter().try_for_each(|t| known(what, t).map(drop))?;
        }
        if let Some(table) = &profile.task_log {
            known("task_log", table)?;
        }
        for (table, column) in &profile.age {
            has("age", known("age", table)?, [column])?;
        }
        let mut seen = BTreeSet::new();
        for reference in &profile.reference {
            for end in [&reference.child, &reference.parent] {
                let (table, columns) = split_columns(end).map_err(|e| e.message)?;
                has("reference", known("reference", &table)?, &columns)?;
            }
            if !seen.insert((&reference.child, &reference.parent)) {
                let (child, parent) = (&reference.child, &reference.parent);
                return Err(format!("reference {child} to {parent} is there twice"));
            }
        }
        Ok(())
    }

    fn check_api(&self, main: &Schema) -> Check {
        let (Some(records), Some(content)) = (&self.profile.api, &self.api) else {
            return match self.api {
                Some(_) => {
                    Err("there are rows of an API database, and no [api] that says whose".into())
                }
                None => Ok(()),
            };
        };
        let api = content.schema.schema().map_err(|e| e.message)?;
        let known = |schema: &Schema, table: &str| match schema.table(table) {
            Some(table) => Ok(table.clone()),
            None => Err(format!("api names {table}, which is no table")),
        };
        has("api", &known(main, &records.root)?, [&records.key])?;
        // A release may lack some of the tables with records, a world most of them.
        for table in records.tables.iter().filter_map(|t| api.table(t)) {
            has("api", table, [&records.column])?;
        }
        let mapping = known(&api, &records.mapping)?;
        has("api", &mapping, [&records.column, &records.mapping_cell])?;
        let cell = ["id", "name", "database_connection"].map(str::to_owned);
        has("api", &known(&api, &records.cells)?, &cell)
    }
}

/// Whether the table has these columns.
fn has<'a>(what: &str, table: &Table, columns: impl IntoIterator<Item = &'a String>) -> Check {
    let mut columns = columns.into_iter();
    match columns.find(|c| table.column(c).is_none()) {
        Some(column) => {
            let table = &table.name;
            Err(format!("{what} names {table}.{column}, which is no column"))
        }
        None => Ok(()),
    }
}

impl Content {
    fn check_rows(&self) -> Check {
        let schema = self.schema.schema().map_err(|e| e.message)?;
        let mut seen = BTreeMap::new();
        for (index, row) in self.rows.iter().enumerate() {
            let name = &row.table;
            let Some(table) = schema.table(name) else {
                return Err(format!("a row of table {name}, which is no table of it"));
            };
            if let Some(column) = row.values.keys().find(|c| table.column(c).is_none()) {
                return Err(format!(
                    "a row of {name} with {column}, which is no column of it"
                ));
            }
            let number = 1 + self.rows[..index]
                .iter()
                .filter(|r| r.table == *name)
                .count();
            let of_row = |what: String| format!("row {number} of {name}: {what}");
            for column in &table.columns {
                takes(column, row.values.get(&column.name)).map_err(of_row)?;
            }
            let uniques = table.uniques.iter().map(|u| &u.columns);
            for key in std::iter::once(&table.primary_key).chain(uniques) {
                let Some(values) = key_of(row, key) else {
                    continue;
                };
                let first = seen.insert((name, key.clone(), values.clone()), number);
                // Nova has unique keys of which two are over the same column.
                if let Some(first) = first.filter(|first| *first != number) {
                    let key = key.join(", ");
                    return Err(of_row(format!("({key}) is ({values}), as in row {first}")));
                }
            }
        }
        Ok(())
    }
}

/// The values of a key; `None` where the table has none, or one of them is NULL or left to the database.
fn key_of(row: &Row, key: &[String]) -> Option<String> {
    let value = |c: &String| row.values.get(c).filter(|v| !v.is_null());
    let values = key.iter().map(|c| value(c).map(ToString::to_string));
    let values: Vec<_> = values.collect::<Option<_>>()?;
    (!values.is_empty()).then(|| values.join(", "))
}

/// Whether a column takes the value, or does without one.
fn takes(column: &Column, value: Option<&Value>) -> Check {
    let (name, ty) = (&column.name, &column.ty);
    match value {
        None if column.nullable || column.default.is_some() || column.auto_increment => Ok(()),
        None => Err(format!("{name} is missing, and has no default")),
        Some(Value::Null) if column.nullable => Ok(()),
        Some(Value::Null) => Err(format!("{name} is NULL, and not null")),
        Some(value) if holds(ty, value) => Ok(()),
        Some(value) => Err(format!(
            "{name} is {ty}, and does not take {}",
            shown(value)
        )),
    }
}

fn holds(ty: &ColumnType, value: &Value) -> bool {
    match (ty, value) {
        (ColumnType::Bool, Value::Bool(_)) => true,
        (ColumnType::SmallInt, Value::Int(i)) => i16::try_from(*i).is_ok(),
        (ColumnType::Int, Value::Int(i)) => i32::try_from(*i).is_ok(),
        (ColumnType::BigInt, Value::Int(_)) => true,
        (ColumnType::Float | ColumnType::Decimal(..), Value::Int(_) | Value::Real(_)) => true,
        (ColumnType::Decimal(..), Value::Text(text)) => text.parse::<f64>().is_ok(),
        (ColumnType::Blob, Value::Bytes(_)) => true,
        // PostgreSQL has no text with a zero byte in it.
        (_, Value::Text(text)) if text.contains('\0') => false,
        (ColumnType::Varchar(most), Value::Text(text)) => text.chars().count() <= *most as usize,
        (ColumnType::Text | ColumnType::MediumText | ColumnType::LongText, Value::Text(_)) => true,
        (ColumnType::Enum(labels), Value::Text(text)) => labels.contains(text),
        // As databases print them: ages are compared as texts.
        (ColumnType::DateTime, Value::Text(text)) => {
            text.as_bytes().get(10) == Some(&b' ') && text.parse::<DateTime>().is_ok()
        }
        (ColumnType::Date, Value::Text(text)) => text.parse::<Date>().is_ok(),
        (ColumnType::Json, Value::Text(text)) => {
            serde_json::from_str::<serde_json::Value>(text).is_ok()
        }
        _ => false,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("'{}'", text.escape_debug()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::db::Engine;
    use crate::prove::catalogue;

    #[test]
    fn every_world_of_the_catalogue_fits_together() {
        let names = catalogue::NAMES.iter().chain(&catalogue::REAL);
        for name in
            names.flat_map(|name| ["", "purge-", "empty-"].map(|task| format!("{task}{name}")))
        {
            let world = catalogue::world(&name).unwrap();
            for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
                world
                    .check(engine)
                    .unwrap_or_else(|e| panic!("{name} on {engine:?}: {e}"));
            }
        }
    }
}
