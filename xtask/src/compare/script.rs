//! What an experienced operator would write by hand: a set-based script for one database of Nova, which repeats its
//! predicate in INSERT .. SELECT and DELETE, so many instances a transaction.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::process::Command;

use anyhow::{Context, Result};
use sexton::db::{Engine, Session, Target, Value};
use sexton::schema::{ColumnType, Schema};

use super::ground::Place;

/// Instances in a transaction of the script.
pub(super) const INSTANCES: usize = 1000;

/// A script as it is run: the database's own client, what it reads, and how many statements that has.
pub(super) struct Prepared {
    pub(super) command: Command,
    pub(super) input: File,
    pub(super) statements: i64,
}

/// The script for what is soft-deleted in a database now.
pub(super) fn prepared(place: &mut Place) -> Result<Prepared> {
    let text = script(&mut place.session, &place.schema, INSTANCES)?;
    let mut input = tempfile::tempfile()?;
    input.write_all(text.as_bytes())?;
    input.rewind()?;
    Ok(Prepared {
        command: client(&place.url.parse()?)?,
        input,
        statements: i64::try_from(text.matches(";\n").count())?,
    })
}

/// The script, as text for the database's own client.
fn script(session: &mut Session, schema: &Schema, instances: usize) -> Result<String> {
    let rows = session.query("SELECT id FROM instances WHERE deleted <> 0 ORDER BY id")?;
    let ids: Vec<i64> = rows
        .iter()
        .filter_map(|row| row.first().and_then(Value::as_int))
        .collect();
    let mut script = Script {
        engine: session.engine(),
        schema,
        text: String::new(),
    };
    if script.engine == Engine::Sqlite {
        // Off unless a client turns them on; and the memory that sexton takes.
        script
            .text
            .push_str("PRAGMA foreign_keys = ON;\nPRAGMA cache_size = -65536;\n");
    }
    for chunk in ids.chunks(instances) {
        script.transaction(chunk[0], chunk[chunk.len() - 1])?;
    }
    Ok(script.text)
}

struct Script<'a> {
    engine: Engine,
    schema: &'a Schema,
    text: String,
}

impl Script<'_> {
    fn transaction(&mut self, first: i64, last: i64) -> Result<()> {
        let dead = format!("i.deleted <> 0 AND i.id BETWEEN {first} AND {last}");
        self.text.push_str(match self.engine {
            Engine::Sqlite => "BEGIN IMMEDIATE;\n",
            Engine::Mysql | Engine::Postgres => "START TRANSACTION;\n",
        });
        let events = [
            ("instance_actions", "a", "a.instance_uuid = i.uuid"),
            ("instance_actions_events", "c", "c.action_id = a.id"),
        ];
        self.rows(&events, &dead)?;
        for table in self.schema.tables.values() {
            let shadow = self.schema.table(&format!("shadow_{}", table.name));
            for column in ["instance_uuid", "uuid"] {
                let own = column == "uuid" && table.name != "instance_id_mappings";
                if !own && shadow.is_some() && table.column(column).is_some() {
                    let joined = format!("c.{column} = i.uuid");
                    self.rows(&[(&table.name, "c", &joined)], &dead)?;
                }
            }
        }
        let (names, values) = self.columns("instances", "i")?;
        let _ = writeln!(
            self.text,
            "INSERT INTO shadow_instances ({names}) SELECT {values} FROM instances i WHERE {dead};",
        );
        let delete = match self.engine {
            Engine::Mysql => format!("DELETE i FROM instances i WHERE {dead}"),
            Engine::Sqlite | Engine::Postgres => format!("DELETE FROM instances AS i WHERE {dead}"),
        };
        let _ = write!(self.text, "{delete};\nCOMMIT;\n");
        Ok(())
    }

    /// Copies and deletes the rows of the last of the tables, each joined to the one before it.
    fn rows(&mut self, tables: &[(&str, &str, &str)], dead: &str) -> Result<()> {
        let Some((table, alias, last)) = tables.last() else {
            return Ok(());
        };
        let (names, values) = self.columns(table, alias)?;
        let join = |tables: &[(&str, &str, &str)]| {
            let joins = tables
                .iter()
                .map(|(t, a, on)| format!(" JOIN {t} {a} ON {on}"));
            joins.collect::<String>()
        };
        let all = join(tables);
        let before = join(&tables[..tables.len() - 1]);
        let _ = writeln!(
            self.text,
            "INSERT INTO shadow_{table} ({names}) SELECT {values} FROM instances i{all} WHERE {dead};"
        );
        let delete = match self.engine {
            Engine::Mysql => format!("DELETE {alias} FROM instances i{all} WHERE {dead}"),
            Engine::Postgres => {
                format!(
                    "DELETE FROM {table} {alias} USING instances i{before} WHERE {last} AND {dead}"
                )
            }
            Engine::Sqlite => {
                let (own, other) = last.split_once(" = ").context("a join of two columns")?;
                format!(
                    "DELETE FROM {table} AS {alias} WHERE {own} IN (SELECT {other} FROM instances i{before} WHERE {dead})"
                )
            }
        };
        let _ = writeln!(self.text, "{delete};");
        Ok(())
    }

    /// The names of a table's columns, and the expressions that copy them.
    fn columns(&self, table: &str, alias: &str) -> Result<(String, String)> {
        let no_table = || format!("no table {table}");
        let live = self.schema.table(table).with_context(no_table)?;
        let shadow = self
            .schema
            .table(&format!("shadow_{table}"))
            .with_context(no_table)?;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in &live.columns {
            let name = self.engine.quote(&column.name);
            let copy = shadow.column(&column.name).and_then(|c| c.native.as_ref());
            values.push(match copy {
                Some(native)
                    if self.engine == Engine::Postgres
                        && matches!(column.ty, ColumnType::Enum(_)) =>
                {
                    format!("{alias}.{name}::text::{native}")
                }
                _ => format!("{alias}.{name}"),
            });
            names.push(name);
        }
        Ok((names.join(", "), values.join(", ")))
    }
}

/// The database's own client, which reads a script.
pub(super) fn client(target: &Target) -> Result<Command> {
    Ok(match target {
        Target::Mysql(options) => {
            let mut command = Command::new("mariadb");
            command.args(["--no-defaults", "--user=root", "--host", &options.host]);
            command.args([
                "--port",
                &options.port.to_string(),
                "--database",
                &options.database,
            ]);
            command
        }
        Target::Postgres(options) => {
            let mut command = Command::new("psql");
            command.args([
                "--no-psqlrc",
                "--quiet",
                "--set",
                "ON_ERROR_STOP=1",
                "--username=postgres",
            ]);
            command.args(["--host", &options.host, "--port", &options.port.to_string()]);
            command.args(["--dbname", &options.database]);
            command
        }
        Target::Sqlite(path) => {
            let mut command = Command::new("/usr/bin/sqlite3");
            command.arg("-bail").arg(path);
            command
        }
    })
}
