//! Reading a database's schema: a handful of catalog queries for the whole database, whatever the
//! number of its tables.
//!
//! What cannot serve a lookup by columns or guarantee uniqueness of whole rows is left out:
//! partial indexes, indexes over expressions, full-text and spatial indexes.

mod mysql;
mod postgres;
mod sqlite;

pub(super) use postgres::{column_type as postgres_type, plain_default as postgres_default};

use super::{DbError, Engine, Session, Value};
use crate::schema::{ForeignKey, Index, Schema, Table};

/// The base tables of the session's database: SQLite's main database, MariaDB/MySQL's
/// `DATABASE()`, PostgreSQL's `current_schema()`.
///
/// A foreign key to a table of another database or namespace has `namespace.table` as its parent.
pub fn introspect(session: &mut Session) -> Result<Schema, DbError> {
    match session.engine() {
        Engine::Sqlite => sqlite::introspect(session),
        Engine::Mysql => mysql::introspect(session),
        Engine::Postgres => postgres::introspect(session),
    }
}

/// The plain value of a default as `SHOW CREATE TABLE` has it: as SQL, on MySQL too.
pub(super) fn mysql_default(sql: &str) -> Option<String> {
    mysql::plain_default(sql, true)
}

/// One column of one key, as catalogs list them.
struct KeyColumn {
    table: String,
    name: String,
    primary: bool,
    unique: bool,
    /// `None` for an expression.
    column: Option<String>,
}

/// Adds keys to their tables; the columns of one key follow each other, in key order.
fn add_keys(schema: &mut Schema, columns: &[KeyColumn]) {
    for key in columns.chunk_by(|a, b| a.table == b.table && a.name == b.name) {
        let first = &key[0];
        let names: Option<Vec<String>> = key.iter().map(|k| k.column.clone()).collect();
        let (Some(table), Some(columns)) = (schema.tables.get_mut(&first.table), names) else {
            continue;
        };
        if first.primary {
            table.primary_key = columns;
            continue;
        }
        let name = first.name.clone();
        let keys = if first.unique {
            &mut table.uniques
        } else {
            &mut table.indexes
        };
        keys.push(Index { name, columns });
    }
}

/// One pair of columns of one foreign key.
struct Link {
    table: String,
    name: String,
    column: String,
    parent: String,
    parent_column: String,
    on_delete_cascade: bool,
}

/// Adds foreign keys to their tables; the pairs of one key follow each other, in order.
fn add_foreign_keys(schema: &mut Schema, links: &[Link]) {
    for key in links.chunk_by(|a, b| a.table == b.table && a.name == b.name) {
        let first = &key[0];
        if let Some(table) = schema.tables.get_mut(&first.table) {
            table.foreign_keys.push(ForeignKey {
                name: first.name.clone(),
                columns: key.iter().map(|l| l.column.clone()).collect(),
                parent: first.parent.clone(),
                parent_columns: key.iter().map(|l| l.parent_column.clone()).collect(),
                on_delete_cascade: first.on_delete_cascade,
            });
        }
    }
}

fn named(name: String) -> Table {
    Table {
        name,
        ..Table::default()
    }
}

/// The text of a catalog's value; empty for NULL.
fn text(value: &Value) -> String {
    optional(value).unwrap_or_default()
}

/// The text of a catalog's value, which some servers send without a character set.
fn optional(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        value => Some(value.to_string()),
    }
}

/// A whole literal `'...'`, quotes doubled inside, without its quotes; and what follows it.
fn split_quoted(sql: &str, quote: char) -> Option<(String, &str)> {
    let inner = sql.strip_prefix(quote)?;
    let mut plain = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        if c == quote && chars.next_if(|&(_, next)| next == quote).is_none() {
            return Some((plain, &inner[i + c.len_utf8()..]));
        }
        plain.push(c);
    }
    None
}

/// The plain value of a literal that is the whole of an SQL text.
fn unquote(sql: &str, quote: char) -> Option<String> {
    split_quoted(sql, quote).and_then(|(plain, rest)| rest.is_empty().then_some(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_come_off() {
        assert_eq!(unquote("'it''s'", '\''), Some("it's".into()));
        assert_eq!(unquote("''", '\''), Some(String::new()));
        assert_eq!(unquote("'a' || 'b'", '\''), None);
        assert_eq!(unquote("0", '\''), None);
        assert_eq!(unquote("'", '\''), None);
        assert_eq!(
            split_quoted("'é'::text", '\''),
            Some(("é".into(), "::text"))
        );
    }
}
