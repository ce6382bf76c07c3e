//! What mends a difference: DDL, or a line that says why there is none. Pure.

use std::collections::BTreeSet;

use crate::db::{Engine, Value};

use super::compare::{Difference, DifferenceKind, Phase};
use super::{Column, ColumnType, Index, Schema, Table, ddl};

/// The names of indexes that are taken.
pub fn index_names(schema: &Schema) -> BTreeSet<String> {
    let tables = schema.tables.values();
    let indexes = tables.flat_map(|t| t.indexes.iter().chain(&t.uniques));
    indexes.map(|i| i.name.clone()).collect()
}

/// The statements that mend one difference between a database and its release, in order. What the engine has
/// no statement for is a comment (`-- ...`), which runs as nothing. `names` are those of indexes, of the database
/// and of the statements before.
pub fn statements(
    difference: &Difference,
    expected: &Schema,
    engine: Engine,
    names: &mut BTreeSet<String>,
) -> Vec<String> {
    let name = &difference.table;
    let table = engine.quote(name);
    let sqlite_rebuild = |what: &str| vec![format!("-- SQLite: {what} takes a new table {name}")];
    let Some(target) = expected.table(name) else {
        // The one thing that can be wrong with a table that the release does not have.
        return vec![format!("DROP TABLE {table}")];
    };
    match &difference.kind {
        DifferenceKind::MissingTable => {
            let one: Schema = [target.clone()].into_iter().collect();
            let all = ddl::create_statements_beside(&one, engine, names);
            all.into_iter()
                .map(unless_there)
                .map(of_its_charset)
                .collect()
        }
        DifferenceKind::ExtraTable => vec![format!("DROP TABLE {table}")],
        DifferenceKind::MissingColumn(column) => {
            // SQLite adds none that must be filled.
            if engine == Engine::Sqlite && !column.nullable && column.default.is_none() {
                return sqlite_rebuild("a column without default");
            }
            let enums = ddl::enum_type(target, column, engine);
            let add = format!(
                "ALTER TABLE {table} ADD COLUMN {}",
                ddl::column_definition(target, column, engine)
            );
            enums.map(unless_there).into_iter().chain([add]).collect()
        }
        DifferenceKind::ExtraColumn(column) => {
            vec![format!(
                "ALTER TABLE {table} DROP COLUMN {}",
                engine.quote(column)
            )]
        }
        DifferenceKind::Type(column, _)
        | DifferenceKind::NotNull(column)
        | DifferenceKind::Nullable(column) => match engine {
            Engine::Sqlite => sqlite_rebuild("another type of a column"),
            Engine::Mysql => vec![format!(
                "ALTER TABLE {table} MODIFY COLUMN {}",
                ddl::column_definition(target, column, engine)
            )],
            Engine::Postgres => on_postgres(&difference.kind, &table, target, column),
        },
        DifferenceKind::PrimaryKey(key, found) => {
            let drop = match engine {
                Engine::Sqlite => return sqlite_rebuild("another primary key"),
                Engine::Mysql => "DROP PRIMARY KEY".to_owned(),
                Engine::Postgres => {
                    format!("DROP CONSTRAINT {}", engine.quote(&format!("{name}_pkey")))
                }
            };
            let add = format!("ADD PRIMARY KEY ({})", engine.quote_all(key));
            let changes = [(drop, !found.is_empty()), (add, !key.is_empty())];
            let changes = changes.into_iter().filter(|(_, wanted)| *wanted);
            let changes: Vec<_> = changes.map(|(change, _)| change).collect();
            vec![format!("ALTER TABLE {table} {}", changes.join(", "))]
        }
        DifferenceKind::MissingUnique(columns) => {
            create_index(target, &target.uniques, columns, true, engine, names)
        }
        // Over a column that is still to come, SQLite would take its name for a text.
        DifferenceKind::MissingIndex(_)
            if engine == Engine::Sqlite && difference.phase == Phase::Contract =>
        {
            sqlite_rebuild("an index over a column without default")
        }
        DifferenceKind::MissingIndex(columns) => {
            create_index(target, &target.indexes, columns, false, engine, names)
        }
        DifferenceKind::ExtraIndex(index, _) | DifferenceKind::ExtraUnique(index, _) => {
            let index = engine.quote(index);
            vec![match (engine, &difference.kind) {
                (Engine::Mysql, _) => format!("DROP INDEX {index} ON {table}"),
                // There a unique key is a constraint as a rule, and its index goes with it.
                (Engine::Postgres, DifferenceKind::ExtraUnique(..)) => {
                    format!("ALTER TABLE {table} DROP CONSTRAINT {index}")
                }
                _ => format!("DROP INDEX {index}"),
            }]
        }
        DifferenceKind::MissingForeignKey(key) => match engine {
            Engine::Sqlite => sqlite_rebuild("a foreign key"),
            Engine::Mysql | Engine::Postgres => {
                vec![format!(
                    "ALTER TABLE {table} ADD {}",
                    ddl::foreign_key(key, engine)
                )]
            }
        },
        DifferenceKind::ExtraForeignKey(key) => {
            let key = engine.quote(&key.name);
            match engine {
                Engine::Sqlite => sqlite_rebuild("the loss of a foreign key"),
                Engine::Mysql => vec![format!("ALTER TABLE {table} DROP FOREIGN KEY {key}")],
                Engine::Postgres => vec![format!("ALTER TABLE {table} DROP CONSTRAINT {key}")],
            }
        }
    }
}

/// A table that joins others has the database's character set, as they do, not that of a new database.
fn of_its_charset(statement: String) -> String {
    let end = statement
        .strip_suffix(ddl::MYSQL_CHARSET)
        .map(str::to_owned);
    end.unwrap_or(statement)
}

/// A type outlives the tables that it was made for.
fn unless_there(statement: String) -> String {
    match statement.starts_with("CREATE TYPE ") {
        true => {
            format!("DO $$ BEGIN {statement}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        }
        false => statement,
    }
}

fn on_postgres(kind: &DifferenceKind, table: &str, target: &Table, column: &Column) -> Vec<String> {
    let engine = Engine::Postgres;
    let name = engine.quote(&column.name);
    let alter = |change: String| format!("ALTER TABLE {table} ALTER COLUMN {name} {change}");
    let found = match kind {
        DifferenceKind::NotNull(_) => return vec![alter("DROP NOT NULL".into())],
        DifferenceKind::Nullable(_) => return vec![alter("SET NOT NULL".into())],
        DifferenceKind::Type(_, found) => found,
        _ => return Vec::new(),
    };
    let ty = ddl::type_name(&column.ty, engine, &target.name, &column.name);
    let change = |ty: &str| alter(format!("TYPE {ty} USING {name}::text::{ty}"));
    match (&found.ty, &found.native, &column.ty) {
        (ColumnType::Enum(old), Some(native), ColumnType::Enum(new)) if new.starts_with(old) => {
            let add = |label: &String| {
                let label = engine.literal(&Value::Text(label.clone()));
                format!("ALTER TYPE {native} ADD VALUE IF NOT EXISTS {label}")
            };
            new[old.len()..].iter().map(add).collect()
        }
        // Labels cannot be taken away: a new type in the place of the old one.
        (ColumnType::Enum(_), Some(native), ColumnType::Enum(_)) => {
            let bare = native.trim_matches('"');
            let old = engine.quote(&format!("{bare}_old"));
            let renamed = format!("ALTER TYPE {native} RENAME TO {old}");
            let create = ddl::enum_type(target, column, engine);
            std::iter::once(renamed)
                .chain(create)
                .chain([change(&ty), format!("DROP TYPE {old}")])
                .collect()
        }
        (_, _, ColumnType::Enum(_)) => {
            let create = ddl::enum_type(target, column, engine).map(unless_there);
            create.into_iter().chain([change(&ty)]).collect()
        }
        _ => vec![alter(format!("TYPE {ty} USING {name}::{ty}"))],
    }
}

fn create_index(
    table: &Table,
    known: &[Index],
    columns: &[String],
    unique: bool,
    engine: Engine,
    names: &mut BTreeSet<String>,
) -> Vec<String> {
    let index = known.iter().find(|i| i.columns == columns);
    // MySQL names them per table.
    let mut own = BTreeSet::new();
    let names = match engine {
        Engine::Mysql => &mut own,
        Engine::Sqlite | Engine::Postgres => names,
    };
    let create = index.map(|i| ddl::create_index(table, i, unique, engine, names));
    create.into_iter().collect()
}
