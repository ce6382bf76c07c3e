//! PostgreSQL's schema, from pg_catalog: information_schema there shows only what the user owns
//! and cannot pair the columns of a composite foreign key.

use std::collections::HashMap;

use super::{KeyColumn, Link, add_foreign_keys, add_keys, named, optional, split_quoted, text};
use crate::db::{DbError, Session};
use crate::schema::{Column, ColumnType, Schema};

/// The tables of the current schema, `c`; a partitioned table stands for its partitions.
const TABLES: &str = "c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace \
                      WHERE nspname = current_schema()) \
                      AND c.relkind IN ('r', 'p') AND NOT c.relispartition";

pub(super) fn introspect(session: &mut Session) -> Result<Schema, DbError> {
    let mut labels: HashMap<i64, Vec<String>> = HashMap::new();
    session.query_each(
        "SELECT enumtypid, enumlabel FROM pg_catalog.pg_enum ORDER BY enumtypid, enumsortorder",
        |row| {
            let oid = row[0].as_int().unwrap_or_default();
            labels.entry(oid).or_default().push(text(&row[1]));
            true
        },
    )?;
    let mut schema = Schema::default();
    let columns = format!(
        "SELECT c.relname, a.attname, \
         pg_catalog.format_type(COALESCE(NULLIF(t.typbasetype, 0), t.oid), \
         CASE WHEN t.typbasetype = 0 THEN a.atttypmod ELSE t.typtypmod END), \
         COALESCE(NULLIF(t.typbasetype, 0), t.oid), \
         a.attnotnull, pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated \
         FROM pg_catalog.pg_class c \
         LEFT JOIN pg_catalog.pg_attribute a \
         ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE {TABLES} ORDER BY c.relname, a.attnum"
    );
    session.query_each(&columns, |row| {
        let name = text(&row[0]);
        let table = schema
            .tables
            .entry(name.clone())
            .or_insert_with(|| named(name));
        // A table may have no column at all.
        if let Some(name) = optional(&row[1]) {
            let oid = row[3].as_int().unwrap_or_default();
            let generated = !text(&row[7]).is_empty();
            let default = optional(&row[5]).filter(|_| !generated);
            let serial = default
                .as_deref()
                .is_some_and(|d| d.starts_with("nextval("));
            table.columns.push(Column {
                name,
                ty: match labels.get(&oid) {
                    Some(labels) => ColumnType::Enum(labels.clone()),
                    None => column_type(&text(&row[2])),
                },
                nullable: !row[4].is_true(),
                default: default.filter(|_| !serial).and_then(|d| plain_default(&d)),
                auto_increment: serial || !text(&row[6]).is_empty(),
                generated,
                native: labels.contains_key(&oid).then(|| text(&row[2])),
                zoned: text(&row[2]).ends_with(" with time zone"),
            });
        }
        true
    })?;
    read_keys(session, &mut schema)?;
    read_foreign_keys(session, &mut schema)?;
    Ok(schema)
}

fn read_keys(session: &mut Session, schema: &mut Schema) -> Result<(), DbError> {
    let rows = session.query(&format!(
        "SELECT c.relname, i.relname, x.indisprimary, x.indisunique, a.attname \
         FROM pg_catalog.pg_index x \
         JOIN pg_catalog.pg_class c ON c.oid = x.indrelid \
         JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
         JOIN pg_catalog.pg_am m ON m.oid = i.relam AND m.amname IN ('btree', 'hash') \
         CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k (attnum, n) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
         WHERE {TABLES} AND x.indpred IS NULL AND x.indexprs IS NULL AND x.indisvalid \
         AND k.n <= x.indnkeyatts ORDER BY c.relname, i.relname, k.n"
    ))?;
    let columns: Vec<_> = rows
        .iter()
        .map(|row| KeyColumn {
            table: text(&row[0]),
            name: text(&row[1]),
            primary: row[2].is_true(),
            unique: row[3].is_true(),
            column: optional(&row[4]),
        })
        .collect();
    add_keys(schema, &columns);
    Ok(())
}

fn read_foreign_keys(session: &mut Session, schema: &mut Schema) -> Result<(), DbError> {
    let rows = session.query(&format!(
        "SELECT c.relname, k.conname, a.attname, p.relname, b.attname, k.confdeltype, \
         CASE WHEN p.relnamespace <> c.relnamespace THEN s.nspname END \
         FROM pg_catalog.pg_constraint k \
         JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_class p ON p.oid = k.confrelid \
         JOIN pg_catalog.pg_namespace s ON s.oid = p.relnamespace \
         CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS u (child, parent, n) \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.child \
         JOIN pg_catalog.pg_attribute b ON b.attrelid = p.oid AND b.attnum = u.parent \
         WHERE {TABLES} AND k.contype = 'f' AND NOT p.relispartition \
         ORDER BY c.relname, k.conname, u.n"
    ))?;
    let links: Vec<_> = rows
        .iter()
        .map(|row| {
            let parent = text(&row[3]);
            Link {
                table: text(&row[0]),
                name: text(&row[1]),
                column: text(&row[2]),
                parent: match optional(&row[6]) {
                    Some(other) => format!("{other}.{parent}"),
                    None => parent,
                },
                parent_column: text(&row[4]),
                on_delete_cascade: text(&row[5]) == "c",
            }
        })
        .collect();
    add_foreign_keys(schema, &links);
    Ok(())
}

/// The neutral type for a spelling of `format_type`.
pub(in crate::db) fn column_type(spelling: &str) -> ColumnType {
    // The neutral types have no arrays, no zones and no decimals of any size.
    let other =
        spelling.ends_with("[]") || spelling.contains("with time zone") || spelling == "numeric";
    match spelling.parse() {
        Ok(ty) if !other => ty,
        _ => ColumnType::Other(spelling.to_ascii_lowercase()),
    }
}

/// `'x'::character varying` as `x`, `(-1)` and `'-1'::integer` as `-1`, `NULL::text` as none;
/// other expressions as they are.
pub(in crate::db) fn plain_default(sql: &str) -> Option<String> {
    if sql == "NULL" || sql.starts_with("NULL::") {
        return None;
    }
    let literal = match sql.strip_prefix('E') {
        // pg_get_expr doubles backslashes, and writes nothing else with them.
        Some(escaped) => {
            split_quoted(escaped, '\'').map(|(s, rest)| (s.replace("\\\\", "\\"), rest))
        }
        None => split_quoted(sql, '\''),
    };
    let (plain, rest) = match literal {
        Some(found) => found,
        None => {
            let (value, rest) = sql.split_at(sql.find("::").unwrap_or(sql.len()));
            let value = value
                .strip_prefix('(')
                .and_then(|v| v.strip_suffix(')'))
                .unwrap_or(value);
            if value.parse::<f64>().is_err() {
                return Some(sql.to_owned());
            }
            (value.to_owned(), rest)
        }
    };
    // Only casts may follow a plain value.
    let casts = |c: char| c.is_alphanumeric() || "_:\" ()[].,".contains(c);
    let plain_cast = rest.is_empty() || (rest.starts_with("::") && rest.chars().all(casts));
    Some(if plain_cast { plain } else { sql.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_become_plain() {
        for (sql, plain) in [
            ("'x'::character varying", "x"),
            ("'it''s'::text", "it's"),
            ("'a'::my.\"Kind\"", "a"),
            ("E'a\\\\b'::text", "a\\b"),
            ("0", "0"),
            ("(-1)", "-1"),
            ("'-1'::integer", "-1"),
            ("(0)::bigint", "0"),
            ("0.5", "0.5"),
            ("false", "false"),
            ("now()", "now()"),
            ("'a'::text || 'b'::text", "'a'::text || 'b'::text"),
            ("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP"),
        ] {
            assert_eq!(plain_default(sql).as_deref(), Some(plain), "{sql}");
        }
        assert_eq!(plain_default("NULL::character varying"), None);
    }

    #[test]
    fn types_become_neutral() {
        for (spelling, ty) in [
            ("character varying(36)", "varchar(36)"),
            ("character varying", "text"),
            ("timestamp without time zone", "datetime"),
            ("timestamp(6) without time zone", "datetime"),
            ("timestamp with time zone", "timestamp with time zone"),
            ("double precision", "float"),
            ("numeric(8,2)", "decimal(8,2)"),
            ("numeric", "numeric"),
            ("integer[]", "integer[]"),
            ("inet", "inet"),
            ("boolean", "bool"),
            ("jsonb", "json"),
        ] {
            assert_eq!(column_type(spelling).to_string(), ty);
        }
    }
}
