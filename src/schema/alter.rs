//! What mends a difference: DDL, or a line that says why there is none. Pure.

use crate::db::Engine;

use super::compare::{Difference, DifferenceKind};
use super::{Column, Index, Schema, Table, ddl};

/// The statements that mend one difference between a database and its release, in order. What the engine has
/// no statement for is a comment (`-- ...`), which runs as nothing.
pub fn statements(difference: &Difference, expected: &Schema, engine: Engine) -> Vec<String> {
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
            ddl::create_statements(&one, engine)
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
            enums.into_iter().chain([add]).collect()
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
            Engine::Postgres => vec![on_postgres(&difference.kind, &table, target, column)],
        },
        DifferenceKind::PrimaryKey(key, _) => match engine {
            Engine::Sqlite => sqlite_rebuild("another primary key"),
            Engine::Mysql => vec![format!(
                "ALTER TABLE {table} DROP PRIMARY KEY, ADD PRIMARY KEY ({})",
                engine.quote_all(key)
            )],
            Engine::Postgres => vec![
                format!(
                    "ALTER TABLE {table} DROP CONSTRAINT {}",
                    engine.quote(&format!("{name}_pkey"))
                ),
                format!(
                    "ALTER TABLE {table} ADD PRIMARY KEY ({})",
                    engine.quote_all(key)
                ),
            ],
        },
        DifferenceKind::MissingUnique(columns) => {
            create_index(target, &target.uniques, columns, true, engine)
        }
        DifferenceKind::MissingIndex(columns) => {
            create_index(target, &target.indexes, columns, false, engine)
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

fn on_postgres(kind: &DifferenceKind, table: &str, target: &Table, column: &Column) -> String {
    let engine = Engine::Postgres;
    let name = engine.quote(&column.name);
    let change = match kind {
        DifferenceKind::NotNull(_) => "DROP NOT NULL".to_owned(),
        DifferenceKind::Nullable(_) => "SET NOT NULL".to_owned(),
        _ => {
            let ty = ddl::type_name(&column.ty, engine, &target.name, &column.name);
            format!("TYPE {ty} USING {name}::{ty}")
        }
    };
    format!("ALTER TABLE {table} ALTER COLUMN {name} {change}")
}

fn create_index(
    table: &Table,
    known: &[Index],
    columns: &[String],
    unique: bool,
    engine: Engine,
) -> Vec<String> {
    let index = known.iter().find(|i| i.columns == columns);
    let create =
        index.map(|i| ddl::create_index(table, i, unique, engine, &mut Default::default()));
    create.into_iter().collect()
}
