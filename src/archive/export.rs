//! Rows of tables without shadow, written to a file before they are deleted.
//!
//! One JSONL file per table, appended to and fsynced before the transaction with their DELETE is
//! committed: after a kill a row may stand in the file and in the table, never in neither.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::db::{DbError, Engine, Session, Value};
use crate::error::Error;
use crate::schema::{ColumnType, Member};

use super::batch::Failure;
use super::forest::Key;
use super::sql::{KEYS_PER_STATEMENT, Sql};

/// Rows of one table, ready to be written to its file.
pub(super) struct Export {
    path: PathBuf,
    lines: String,
}

/// Reads these rows of the table, locked.
pub(super) fn read(
    session: &mut Session,
    sql: Sql<'_>,
    member: &Member,
    keys: &[Key],
) -> Result<Export, DbError> {
    let path = sql
        .options
        .export_dir
        .join(format!("{}.jsonl", member.table));
    let mut lines = String::new();
    for chunk in keys.chunks(KEYS_PER_STATEMENT) {
        for row in rows(session, sql, member, chunk)? {
            let fields = [
                ("database", Json::String(session.label().to_owned())),
                ("table", Json::String(member.table.clone())),
                ("row", Json::Object(row)),
            ];
            let record: Map<_, _> = fields.map(|(k, v)| (k.to_owned(), v)).into_iter().collect();
            lines.push_str(&Json::Object(record).to_string());
            lines.push('\n');
        }
    }
    Ok(Export { path, lines })
}

impl Export {
    /// Appends the rows to the file and syncs it, and its directory.
    pub(super) fn write(&self) -> Result<(), Failure> {
        let failed = |what: &str, e: &std::io::Error| {
            let path = self.path.display();
            let error = Error::unavailable(format!("cannot {what} {path}: {e}"));
            Failure::Fatal(
                error.hint("nothing was deleted; give a writable directory to --export-dir"),
            )
        };
        let open = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path);
        let mut file = open.map_err(|e| failed("open", &e))?;
        file.write_all(self.lines.as_bytes())
            .map_err(|e| failed("write", &e))?;
        file.sync_all().map_err(|e| failed("sync", &e))?;
        let directory = self.path.parent().filter(|d| !d.as_os_str().is_empty());
        let directory = File::open(directory.unwrap_or(Path::new(".")));
        directory
            .and_then(|d| d.sync_all())
            .map_err(|e| failed("sync", &e))
    }
}

fn rows(
    session: &mut Session,
    sql: Sql<'_>,
    member: &Member,
    keys: &[Key],
) -> Result<Vec<Map<String, Json>>, DbError> {
    let Some(table) = sql.graph.table(&member.table) else {
        return Ok(Vec::new());
    };
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|c| (c.name.clone(), &c.ty))
        .collect();
    let list: Vec<_> = columns
        .iter()
        .map(|(name, ty)| {
            let column = sql.engine.quote(name);
            // Binary data as hexadecimal digits, which every engine reads back.
            match (ty, sql.engine) {
                (ColumnType::Blob, Engine::Postgres) => format!("encode({column}, 'hex')"),
                (ColumnType::Blob, _) => format!("HEX({column})"),
                _ => column,
            }
        })
        .collect();
    let statement = format!(
        "SELECT {} FROM {} WHERE {}{}",
        list.join(", "),
        sql.engine.quote(&member.table),
        sql.key_in("", &member.key, keys),
        sql.lock(None)
    );
    let rows = session.query(&statement)?;
    let names = columns.iter().map(|(name, _)| name.clone());
    Ok(rows
        .into_iter()
        .map(|row| names.clone().zip(row.into_iter().map(json)).collect())
        .collect())
}

fn json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(i) => i.into(),
        Value::Real(r) => r.into(),
        Value::Bool(b) => b.into(),
        Value::Text(s) => s.into(),
        Value::Bytes(_) => value.to_string().into(),
    }
}
