//! Rows that are deleted for good, written to a file before.
//!
//! One file per table, JSON lines or SQL, appended to and fsynced before the transaction with their DELETE is
//! committed: after a kill a row may stand in the file and in the table, never in neither.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::db::{DbError, Engine, Session, Value};
use crate::error::Error;
use crate::schema::{Column, ColumnType, Member};

use super::batch::Failure;
use super::forest::Key;
use super::options::ExportFormat;
use super::sql::Sql;

/// Rows of one table, ready to be written to its file.
pub(super) struct Export {
    path: PathBuf,
    lines: String,
}

/// Reads these rows of `table`, the member's live or shadow table, locked.
pub(super) fn read(
    session: &mut Session,
    sql: Sql<'_>,
    member: &Member,
    table: &str,
    keys: &[Key],
) -> Result<Export, DbError> {
    let format = sql.options.export.unwrap_or(ExportFormat::Jsonl);
    let path = sql
        .options
        .export_dir
        .join(format!("{table}.{}", format.extension()));
    let mut lines = String::new();
    let Some(definition) = sql.graph.table(table) else {
        return Ok(Export { path, lines });
    };
    let columns: Vec<_> = definition.columns.iter().filter(|c| !c.generated).collect();
    for chunk in &sql.pieces(keys) {
        let list: Vec<_> = columns.iter().map(|c| selected(sql, format, c)).collect();
        let statement = format!(
            "SELECT {} FROM {} WHERE {}{}",
            list.join(", "),
            sql.engine.quote(table),
            sql.key_in("", &member.key, chunk),
            sql.lock(None)
        );
        for row in session.query(&statement)? {
            lines.push_str(&match format {
                ExportFormat::Jsonl => json_line(session.label(), table, &columns, row),
                ExportFormat::Sql => insert(sql.engine, table, &columns, &row),
            });
            lines.push('\n');
        }
    }
    Ok(Export { path, lines })
}

/// JSON has no binary data: hexadecimal digits, which every engine reads back.
fn selected(sql: Sql<'_>, format: ExportFormat, column: &Column) -> String {
    let name = sql.engine.quote(&column.name);
    match (format, &column.ty, sql.engine) {
        (ExportFormat::Jsonl, ColumnType::Blob, Engine::Postgres) => {
            format!("encode({name}, 'hex')")
        }
        (ExportFormat::Jsonl, ColumnType::Blob, _) => format!("HEX({name})"),
        _ => name,
    }
}

fn json_line(database: &str, table: &str, columns: &[&Column], row: Vec<Value>) -> String {
    let names = columns.iter().map(|c| c.name.clone());
    let row: Map<_, _> = names.zip(row.into_iter().map(json)).collect();
    let fields = [
        ("database", Json::String(database.to_owned())),
        ("table", Json::String(table.to_owned())),
        ("row", Json::Object(row)),
    ];
    let record: Map<_, _> = fields.map(|(k, v)| (k.to_owned(), v)).into_iter().collect();
    Json::Object(record).to_string()
}

fn insert(engine: Engine, table: &str, columns: &[&Column], row: &[Value]) -> String {
    let values: Vec<_> = row.iter().map(|v| engine.portable_literal(v)).collect();
    format!(
        "INSERT INTO {} ({}) VALUES ({});",
        engine.quote(table),
        engine.quote_all(columns.iter().map(|c| &c.name)),
        values.join(", ")
    )
}

impl Export {
    /// Appends the rows to the file and syncs it, and its directory.
    pub(super) fn write(&self) -> Result<(), Failure> {
        let failed = |what: &str, e: &std::io::Error| {
            let path = self.path.display();
            Failure::Fatal(
                Error::unavailable(format!("cannot {what} {path}: {e}"))
                    .hint("nothing was deleted with it; give a directory that can be written to"),
            )
        };
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        // Whole rows are in it, that no other user of the machine could read in the database.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let open = options.open(&self.path);
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
