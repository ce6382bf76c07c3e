//! The schema of MariaDB and MySQL, from information_schema.
//!
//! Every view is read once for the whole database and put together here: joins between
//! information_schema views are slow on MariaDB.

use std::collections::HashSet;

use super::{KeyColumn, Link, add_foreign_keys, add_keys, named, optional, text, unquote};
use crate::db::{DbError, DbErrorKind, Session};
use crate::schema::{Column, ColumnType, Schema};

pub(super) fn introspect(session: &mut Session) -> Result<Schema, DbError> {
    let version = session.query_row("SELECT VERSION()")?;
    let mariadb = version.is_some_and(|row| text(&row[0]).contains("MariaDB"));
    let mut schema = Schema::default();
    // MariaDB calls a table with history SYSTEM VERSIONED.
    session.query_each(
        "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')",
        |row| {
            let mut table = named(text(&row[0]));
            table.storage = optional(&row[1]);
            schema.tables.insert(table.name.clone(), table);
            true
        },
    )?;
    session.query_each(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() \
         ORDER BY TABLE_NAME, ORDINAL_POSITION",
        |row| {
            if let Some(table) = schema.tables.get_mut(&text(&row[0])) {
                let (ty, extra) = (text(&row[2]), text(&row[5]).to_ascii_lowercase());
                let generated = ["virtual generated", "stored generated", "persistent"]
                    .iter()
                    .any(|g| extra.contains(g));
                let default = optional(&row[4]).filter(|_| !generated);
                table.columns.push(Column {
                    name: text(&row[1]),
                    nullable: text(&row[3]) == "YES",
                    default: default.and_then(|d| plain_default(&d, mariadb)),
                    auto_increment: extra.contains("auto_increment"),
                    generated,
                    zoned: ty.starts_with("timestamp"),
                    ty: ty.parse().unwrap_or(ColumnType::Other(ty)),
                    native: None,
                });
            }
            true
        },
    )?;
    // Whoever may only delete from a table, say, is shown its name and nothing of what is in it.
    if let Some(table) = schema.tables.values().find(|t| t.columns.is_empty()) {
        let name = &table.name;
        let message =
            format!("table {name} is shown without its columns: the user needs SELECT on {name}");
        return Err(DbError::new(DbErrorKind::Permission, "", message));
    }
    read_keys(session, &mut schema)?;
    read_foreign_keys(session, &mut schema)?;
    Ok(schema)
}

fn read_keys(session: &mut Session, schema: &mut Schema) -> Result<(), DbError> {
    let rows = session.query(
        "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME \
         FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = DATABASE() AND INDEX_TYPE NOT IN ('FULLTEXT', 'SPATIAL') \
         ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
    )?;
    let columns: Vec<_> = rows
        .iter()
        .map(|row| {
            let name = text(&row[1]);
            KeyColumn {
                table: text(&row[0]),
                primary: name == "PRIMARY",
                name,
                unique: !row[2].is_true(),
                column: optional(&row[3]),
            }
        })
        .collect();
    add_keys(schema, &columns);
    Ok(())
}

fn read_foreign_keys(session: &mut Session, schema: &mut Schema) -> Result<(), DbError> {
    let rules = session.query(
        "SELECT TABLE_NAME, CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE CONSTRAINT_SCHEMA = DATABASE() AND DELETE_RULE = 'CASCADE'",
    )?;
    let cascades: HashSet<_> = rules.iter().map(|r| (text(&r[0]), text(&r[1]))).collect();
    let rows = session.query(
        "SELECT TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME, \
         REFERENCED_COLUMN_NAME, \
         CASE WHEN REFERENCED_TABLE_SCHEMA <> DATABASE() THEN REFERENCED_TABLE_SCHEMA END \
         FROM information_schema.KEY_COLUMN_USAGE \
         WHERE TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME IS NOT NULL \
         ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION",
    )?;
    let links: Vec<_> = rows
        .iter()
        .map(|row| {
            let (table, name, parent) = (text(&row[0]), text(&row[1]), text(&row[3]));
            Link {
                on_delete_cascade: cascades.contains(&(table.clone(), name.clone())),
                table,
                name,
                column: text(&row[2]),
                parent: match optional(&row[5]) {
                    Some(other) => format!("{other}.{parent}"),
                    None => parent,
                },
                parent_column: text(&row[4]),
            }
        })
        .collect();
    add_foreign_keys(schema, &links);
    Ok(())
}

/// MariaDB shows a default as SQL, MySQL as the plain value.
pub(super) fn plain_default(default: &str, mariadb: bool) -> Option<String> {
    if mariadb && default == "NULL" {
        return None;
    }
    let bits = default
        .strip_prefix('b')
        .and_then(|bits| unquote(bits, '\''));
    if let Some(bits) = bits.and_then(|bits| u64::from_str_radix(&bits, 2).ok()) {
        return Some(bits.to_string());
    }
    let plain = unquote(default, '\'').filter(|_| mariadb);
    Some(plain.map_or_else(|| default.to_owned(), |plain| unescape(&plain)))
}

/// MariaDB writes these escapes into a default whatever the SQL mode is.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next().map(|escaped| match escaped {
                'n' => '\n',
                'r' => '\r',
                '0' => '\0',
                other => other,
            })),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_become_plain() {
        let mariadb = |d: &str| plain_default(d, true);
        assert_eq!(mariadb("NULL"), None);
        assert_eq!(mariadb("'NULL'"), Some("NULL".into()));
        assert_eq!(mariadb("'it''s'"), Some("it's".into()));
        assert_eq!(mariadb(r"'a\\b\n'"), Some("a\\b\n".into()));
        assert_eq!(mariadb("0"), Some("0".into()));
        assert_eq!(
            mariadb("current_timestamp()"),
            Some("current_timestamp()".into())
        );
        assert_eq!(mariadb("b'101'"), Some("5".into()));
        let mysql = |d: &str| plain_default(d, false);
        assert_eq!(mysql("NULL"), Some("NULL".into()));
        assert_eq!(mysql("'quoted'"), Some("'quoted'".into()));
        assert_eq!(mysql(""), Some(String::new()));
    }
}
