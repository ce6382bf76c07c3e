//! Whether a world fits together: what no table could take would only show as a database's complaint, much
//! later, or as a failure of the engine under test.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, DateTime};

use super::{Content, Row, Task, World};
use crate::db::{Engine, Value};
use crate::error::{Error, Result};
use crate::schema::ddl::{LONGEST_KEY, key_bytes};
use crate::schema::{Column, ColumnType, Obstacle, Profile, Schema, Table, split_columns};

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
            content.check_rows(engine).map_err(|what| {
                Error::data(format!("{database}: {what}"))
                    .hint("mend the row, or the schema beside it")
            })?;
        }
        if matches!(self.task, Task::Archive | Task::Repair) {
            self.check_shadows(engine)?;
        }
        Ok(())
    }

    /// No oracle knows what an engine ought to do with rows that their shadow table does not take.
    fn check_shadows(&self, engine: Engine) -> Result<()> {
        let graph = self.graph(engine)?;
        if !graph.has_shadow_tables() {
            let prefix = &self.profile.shadow_prefix;
            return Err(
                Error::data(format!("main: there is no shadow table ({prefix}...)"))
                    .hint("add some, or prove a purge with --purge"),
            );
        }
        let wrong = |what: String| {
            Err(Error::data(format!("main: {what}"))
                .hint("mend the shadow table: it has to take every row of its live one"))
        };
        let mut keys = BTreeSet::new();
        for member in graph.members.values() {
            let mut rows = self.main.rows.iter().filter(|r| r.table == member.table);
            let first = rows.clone().next();
            let obstacle = member.obstacle.as_ref().filter(|_| first.is_some());
            if let Some(obstacle) = obstacle.filter(|o| !matches!(o, Obstacle::NoShadowTable(_))) {
                return wrong(format!("table {}: {obstacle}", member.table));
            }
            let Some(shadow) = member.shadow.as_ref().and_then(|s| graph.table(s)) else {
                continue;
            };
            keys.clear();
            // Where there is something to repair, a key that is taken may be the damage.
            let archived = self.main.rows.iter();
            let archived =
                archived.filter(|r| r.table == shadow.name && self.task == Task::Archive);
            keys.extend(archived.filter_map(|r| key_of(r, &member.key, engine)));
            let unfit = rows.find_map(|row| {
                let columns = row
                    .values
                    .iter()
                    .filter_map(|(c, v)| Some((shadow.column(c)?, v)));
                let refused = columns.filter_map(|(c, v)| takes(c, Some(v)).err()).next();
                let taken = key_of(row, &member.key, engine).filter(|key| keys.contains(key));
                let taken = taken.map(|key| format!("key ({}) is taken", key.join(", ")));
                refused.or(taken)
            });
            if let Some(what) = unfit {
                return wrong(format!(
                    "{} does not take a row of {}: {what}",
                    shadow.name, member.table
                ));
            }
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
                // A longer index that is not unique is made of prefixes.
                let uniques = table.uniques.iter().map(|u| &u.columns);
                for key in uniques.chain([&table.primary_key]) {
                    let bytes = key_bytes(table, key);
                    if bytes > LONGEST_KEY {
                        return Err(format!(
                            "{database}: the key ({}) of {} has {bytes} bytes, and MySQL takes {LONGEST_KEY}",
                            key.join(", "),
                            table.name
                        ));
                    }
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
        let service = match Profile::names().any(|name| name == profile.name) {
            true => Profile::built_in(&profile.name).map_err(|e| e.message)?,
            false => Profile::default(),
        };
        let known = |what: &str, table: &str| match schema.table(table) {
            Some(table) => Ok(table),
            None => Err(format!("{what} names {table}, which is no table")),
        };
        for ((what, tables), (_, of_service)) in
            profile.table_lists().into_iter().zip(service.table_lists())
        {
            let own = tables.iter().filter(|t| !of_service.contains(t));
            own.into_iter().try_for_each(|t| known(what, t).map(drop))?;
        }
        if let Some(table) = profile
            .task_log
            .as_ref()
            .filter(|_| service.task_log.is_none())
        {
            known("task_log", table)?;
        }
        for (table, column) in profile
            .age
            .iter()
            .filter(|(t, _)| !service.age.contains_key(*t))
        {
            has("age", known("age", table)?, [column])?;
        }
        let mut seen = BTreeSet::new();
        for reference in profile
            .reference
            .iter()
            .filter(|r| !service.reference.contains(r))
        {
            let end = |end: &String| {
                let (table, columns) = split_columns(end).map_err(|e| e.message)?;
                let table = known("reference", &table)?;
                has("reference", table, &columns)?;
                Ok::<_, String>((table, columns))
            };
            let ((child, own), (parent, columns)) =
                (end(&reference.child)?, end(&reference.parent)?);
            for (own, other) in own.iter().zip(&columns) {
                let (Some(own), Some(other)) = (child.column(own), parent.column(other)) else {
                    continue;
                };
                if !own.ty.refers_to(&other.ty) {
                    return Err(format!(
                        "reference puts {}.{} ({}) against {}.{} ({})",
                        child.name, own.name, own.ty, parent.name, other.name, other.ty
                    ));
                }
            }
            // Two parents of one name would each own the child.
            if !parent.is_unique(&columns) {
                let (table, columns) = (&parent.name, columns.join(", "));
                return Err(format!(
                    "reference names {table}.({columns}), which is neither the primary key nor a unique one"
                ));
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
    fn check_rows(&self, engine: Engine) -> Check {
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
                let value = row.values.get(&column.name);
                takes(column, value).map_err(of_row)?;
                // Tables are made there as the services make them: three bytes a character.
                let wide = |text: &str| text.chars().any(|c| c > '\u{ffff}');
                if engine == Engine::Mysql && value.and_then(Value::as_text).is_some_and(wide) {
                    let what = format!("{} has a character of four bytes", column.name);
                    return Err(of_row(what));
                }
            }
            let uniques = table.uniques.iter().map(|u| &u.columns);
            for key in std::iter::once(&table.primary_key).chain(uniques) {
                let Some(values) = key_of(row, key, engine) else {
                    continue;
                };
                let first = seen.insert((name, key.clone(), values.clone()), number);
                // Nova has unique keys of which two are over the same column.
                if let Some(first) = first.filter(|first| *first != number) {
                    let (key, values) = (key.join(", "), values.join(", "));
                    return Err(of_row(format!("({key}) is ({values}), as in row {first}")));
                }
            }
        }
        Ok(())
    }
}

/// The values of a key, as the database compares them; `None` where the table has none, or one of them is
/// NULL or left to the database.
fn key_of(row: &Row, key: &[String], engine: Engine) -> Option<Vec<String>> {
    let value = |c: &String| {
        let value = row.values.get(c).filter(|v| !v.is_null())?.to_string();
        // There capitals are the same as small letters, and blanks at the end are nothing.
        Some(match engine {
            Engine::Mysql => value.trim_end_matches(' ').to_lowercase(),
            Engine::Sqlite | Engine::Postgres => value,
        })
    };
    let values: Vec<_> = key.iter().map(value).collect::<Option<_>>()?;
    (!values.is_empty()).then_some(values)
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
            shaped(text, "0000-00-00 00:00:00") && text.parse::<DateTime>().is_ok()
        }
        (ColumnType::Date, Value::Text(text)) => {
            shaped(text, "0000-00-00") && text.parse::<Date>().is_ok()
        }
        (ColumnType::Json, Value::Text(text)) => {
            serde_json::from_str::<serde_json::Value>(text).is_ok()
        }
        _ => false,
    }
}

/// Whether the text is of this form, a digit for each 0.
fn shaped(text: &str, form: &str) -> bool {
    let fits = |(c, f): (char, char)| if f == '0' { c.is_ascii_digit() } else { c == f };
    text.chars().count() == form.len() && text.chars().zip(form.chars()).all(fits)
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
        for name in names.flat_map(|name| {
            ["", "purge-", "empty-", "repair-"].map(|task| format!("{task}{name}"))
        }) {
            let world = catalogue::world(&name).unwrap();
            for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
                world
                    .check(engine)
                    .unwrap_or_else(|e| panic!("{name} on {engine:?}: {e}"));
            }
        }
    }
}
