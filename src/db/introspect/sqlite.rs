//! SQLite's schema, through its table-valued pragmas.

use super::{KeyColumn, Link, add_foreign_keys, add_keys, named, optional, text, unquote};
use crate::db::{DbError, Session};
use crate::schema::{Column, ColumnType, Schema};

/// The tables that hold rows: no views, no virtual tables nor their inner tables, none of
/// SQLite's own.
const TABLES: &str = "pragma_table_list t WHERE t.schema = 'main' AND t.type = 'table' \
                      AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

pub(super) fn introspect(session: &mut Session) -> Result<Schema, DbError> {
    let mut schema = Schema::default();
    let columns = format!(
        "SELECT t.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden, t.wr \
         FROM pragma_table_xinfo(t.name, t.schema) c, {TABLES} ORDER BY t.name, c.cid"
    );
    let mut without_rowid = Vec::new();
    session.query_each(&columns, |row| {
        let name = text(&row[0]);
        let table = schema
            .tables
            .entry(name.clone())
            .or_insert_with(|| named(name));
        let declared = text(&row[2]);
        let column = text(&row[1]);
        if let Some(position) = row[5].as_int().filter(|&p| p > 0) {
            // Sorted by position below: the key's order is not the table's.
            table.primary_key.push(format!("{position:05}{column}"));
        }
        if row[7].is_true() {
            without_rowid.push(table.name.clone());
        }
        table.columns.push(Column {
            name: column,
            nullable: !row[3].is_true(),
            default: optional(&row[4]).and_then(|d| plain_default(&d)),
            // Settled below, once the whole key is known.
            auto_increment: row[5].is_true() && declared.eq_ignore_ascii_case("integer"),
            generated: matches!(row[6].as_int(), Some(2 | 3)),
            ty: declared.parse().unwrap_or(ColumnType::Other(declared)),
            native: None,
            zoned: false,
        });
        true
    })?;
    for table in schema.tables.values_mut() {
        table.primary_key.sort();
        for column in &mut table.primary_key {
            column.drain(..5);
        }
        let rowid = table.primary_key.len() == 1 && !without_rowid.contains(&table.name);
        for column in &mut table.columns {
            column.auto_increment &= rowid;
            column.nullable &= !column.auto_increment;
        }
    }
    read_keys(session, &mut schema)?;
    read_foreign_keys(session, &mut schema)?;
    Ok(schema)
}

fn read_keys(session: &mut Session, schema: &mut Schema) -> Result<(), DbError> {
    let rows = session.query(&format!(
        "SELECT t.name, i.name, i.\"unique\", c.name \
         FROM pragma_index_list(t.name, t.schema) i, pragma_index_info(i.name, t.schema) c, \
         {TABLES} AND i.origin <> 'pk' AND NOT i.partial ORDER BY t.name, i.name, c.seqno"
    ))?;
    let columns: Vec<_> = rows
        .iter()
        .map(|row| KeyColumn {
            table: text(&row[0]),
            name: text(&row[1]),
            primary: false,
            unique: row[2].is_true(),
            column: optional(&row[3]),
        })
        .collect();
    add_keys(schema, &columns);
    Ok(())
}

fn read_foreign_keys(session: &mut Session, schema: &mut Schema) -> Result<(), DbError> {
    // SQLite numbers them backwards.
    let rows = session.query(&format!(
        "SELECT t.name, f.id, f.seq, f.\"from\", f.\"table\", f.\"to\", f.on_delete \
         FROM pragma_foreign_key_list(t.name, t.schema) f, {TABLES} \
         ORDER BY t.name, f.id DESC, f.seq"
    ))?;
    let mut links: Vec<Link> = Vec::new();
    let mut number = 0;
    for row in &rows {
        let table = text(&row[0]);
        let position = usize::try_from(row[2].as_int().unwrap_or(0)).unwrap_or(0);
        number = match links.last() {
            Some(last) if last.table == table => number + usize::from(position == 0),
            _ => 0,
        };
        // Names are matched without regard to case; use those of the tables themselves.
        let named = text(&row[4]);
        let parent = schema
            .tables
            .values()
            .find(|t| t.name.eq_ignore_ascii_case(&named));
        let to = match optional(&row[5]) {
            Some(to) => to,
            None => parent
                .and_then(|p| p.primary_key.get(position).cloned())
                .unwrap_or_default(),
        };
        let exact = |columns: &[Column], name: String| {
            let found = columns.iter().find(|c| c.name.eq_ignore_ascii_case(&name));
            found.map_or(name, |c| c.name.clone())
        };
        let child = schema.table(&table).map_or(&[][..], |t| &t.columns);
        links.push(Link {
            column: exact(child, text(&row[3])),
            name: format!("fk_{number}"),
            parent_column: exact(parent.map_or(&[][..], |p| &p.columns), to),
            parent: parent.map_or(named, |p| p.name.clone()),
            on_delete_cascade: text(&row[6]).eq_ignore_ascii_case("cascade"),
            table,
        });
    }
    add_foreign_keys(schema, &links);
    Ok(())
}

fn plain_default(sql: &str) -> Option<String> {
    if sql.eq_ignore_ascii_case("null") {
        return None;
    }
    let plain = unquote(sql, '\'').or_else(|| unquote(sql, '"'));
    Some(plain.unwrap_or_else(|| sql.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Engine, SqliteDriver, SqliteMode, introspect};

    fn schema_of(ddl: &str) -> Schema {
        let dir = tempfile::tempdir().unwrap();
        let driver = SqliteDriver::open(dir.path().join("a.db"), SqliteMode::Create).unwrap();
        let mut session = Session::new(Box::new(driver), Engine::Sqlite, "a.db");
        session.execute(ddl).unwrap();
        introspect(&mut session).unwrap()
    }

    #[test]
    fn columns() {
        let schema = schema_of(
            "CREATE TABLE t (
                id INTEGER PRIMARY KEY AUTOINCREMENT, created_at DATETIME, uuid VARCHAR(36) NOT NULL,
                on_off BOOLEAN DEFAULT 0, state VARCHAR(9) DEFAULT 'it''s' CHECK (state IN ('a')),
                gone TEXT DEFAULT NULL, twice INT AS (id * 2), now TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
                price NUMERIC(8, 2), bare);
             CREATE VIEW v AS SELECT * FROM t;",
        );
        assert_eq!(
            schema.tables.len(),
            1,
            "sqlite_sequence and the view are left out"
        );
        let table = schema.table("t").unwrap();
        let ty = |name: &str| table.column(name).unwrap().ty.to_string();
        assert_eq!(table.primary_key, ["id"]);
        let id = table.column("id").unwrap();
        assert!(id.auto_increment && !id.nullable && !id.generated);
        assert!(!table.column("uuid").unwrap().nullable);
        assert_eq!(ty("created_at"), "datetime");
        assert_eq!(ty("uuid"), "varchar(36)");
        assert_eq!(ty("on_off"), "bool");
        assert_eq!(ty("state"), "varchar(9)");
        assert_eq!(ty("price"), "decimal(8,2)");
        let default = |name: &str| table.column(name).unwrap().default.as_deref();
        assert_eq!(default("on_off"), Some("0"));
        assert_eq!(default("state"), Some("it's"));
        assert_eq!(default("gone"), None);
        assert_eq!(default("now"), Some("CURRENT_TIMESTAMP"));
        assert!(table.column("twice").unwrap().generated);
    }

    #[test]
    fn keys() {
        let schema = schema_of(
            "CREATE TABLE t (a INT NOT NULL, b INT NOT NULL, c INT UNIQUE, d INT, PRIMARY KEY (b, a));
             CREATE INDEX i ON t (d, a);
             CREATE UNIQUE INDEX u ON t (c, d);
             CREATE UNIQUE INDEX part ON t (d) WHERE c = 0;
             CREATE INDEX expr ON t (d, a + 1);
             CREATE TABLE w (id INTEGER PRIMARY KEY) WITHOUT ROWID;",
        );
        let table = schema.table("t").unwrap();
        assert_eq!(table.primary_key, ["b", "a"]);
        let names = |keys: &[crate::schema::Index]| {
            keys.iter()
                .map(|k| (k.name.clone(), k.columns.join(",")))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&table.indexes), [("i".into(), "d,a".into())]);
        let uniques = names(&table.uniques);
        assert_eq!(uniques[0].1, "c");
        assert_eq!(uniques[1], ("u".into(), "c,d".into()));
        assert_eq!(uniques.len(), 2);
        assert!(!table.columns[0].auto_increment);
        assert!(!schema.table("w").unwrap().columns[0].auto_increment);
    }

    #[test]
    fn foreign_keys() {
        let schema = schema_of(
            "CREATE TABLE P (x INT, y INT, z INT UNIQUE, PRIMARY KEY (x, y));
             CREATE TABLE c (id INTEGER PRIMARY KEY, pa INT, pb INT, up INT REFERENCES c (id),
                 z INT REFERENCES p (Z) ON DELETE CASCADE, gone INT REFERENCES nowhere (id),
                 FOREIGN KEY (pa, pb) REFERENCES p, FOREIGN KEY (pb, pa) REFERENCES p (y, x));",
        );
        let keys = &schema.table("c").unwrap().foreign_keys;
        let seen: Vec<_> = keys
            .iter()
            .map(|k| {
                let cascade = if k.on_delete_cascade { " cascade" } else { "" };
                format!(
                    "{} {} -> {}({}){cascade}",
                    k.name,
                    k.columns.join(","),
                    k.parent,
                    k.parent_columns.join(",")
                )
            })
            .collect();
        let expected = [
            "fk_0 up -> c(id)",
            "fk_1 z -> P(z) cascade",
            "fk_2 gone -> nowhere(id)",
            "fk_3 pa,pb -> P(x,y)",
            "fk_4 pb,pa -> P(y,x)",
        ];
        assert_eq!(seen, expected);
    }
}
