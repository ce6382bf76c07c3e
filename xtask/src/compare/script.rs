//! What an experienced operator would write by hand: a set-based script for one database of Nova, which repeats its
//! predicate in INSERT .. SELECT and DELETE, so many instances a transaction.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use sexton::db::Session;
use sexton::schema::Schema;

/// The script, as text for the server's client.
pub(super) fn script(session: &mut Session, schema: &Schema, instances: usize) -> Result<String> {
    let rows = session.query("SELECT id FROM instances WHERE deleted <> 0 ORDER BY id")?;
    let ids: Vec<i64> = rows
        .iter()
        .filter_map(|row| row.first().and_then(sexton::db::Value::as_int))
        .collect();
    let mut text = String::new();
    for chunk in ids.chunks(instances) {
        let (first, last) = (chunk[0], chunk[chunk.len() - 1]);
        transaction(&mut text, schema, first, last)?;
    }
    Ok(text)
}

fn transaction(text: &mut String, schema: &Schema, first: i64, last: i64) -> Result<()> {
    let dead = format!("i.deleted <> 0 AND i.id BETWEEN {first} AND {last}");
    text.push_str("START TRANSACTION;\n");
    let actions = "JOIN instance_actions a ON a.instance_uuid = i.uuid \
                   JOIN instance_actions_events c ON c.action_id = a.id";
    children(text, schema, "instance_actions_events", actions, &dead)?;
    for table in schema
        .tables
        .values()
        .filter(|t| has_shadow(schema, &t.name))
    {
        for column in ["instance_uuid", "uuid"] {
            let own = column == "uuid" && table.name != "instance_id_mappings";
            if !own && table.column(column).is_some() {
                let join = format!("JOIN {} c ON c.{column} = i.uuid", table.name);
                children(text, schema, &table.name, &join, &dead)?;
            }
        }
    }
    let columns = columns(schema, "instances", "")?;
    let _ = write!(
        text,
        "INSERT INTO shadow_instances ({columns}) SELECT {columns} FROM instances i WHERE {dead};\n\
         DELETE i FROM instances i WHERE {dead};\nCOMMIT;\n"
    );
    Ok(())
}

fn children(text: &mut String, schema: &Schema, table: &str, join: &str, dead: &str) -> Result<()> {
    let (names, values) = (columns(schema, table, "")?, columns(schema, table, "c.")?);
    let _ = write!(
        text,
        "INSERT INTO shadow_{table} ({names}) SELECT {values} FROM instances i {join} WHERE {dead};\n\
         DELETE c FROM instances i {join} WHERE {dead};\n"
    );
    Ok(())
}

fn has_shadow(schema: &Schema, table: &str) -> bool {
    schema.table(&format!("shadow_{table}")).is_some()
}

fn columns(schema: &Schema, table: &str, alias: &str) -> Result<String> {
    let table = schema
        .table(table)
        .with_context(|| format!("no table {table}"))?;
    let names = table.columns.iter().map(|c| format!("{alias}`{}`", c.name));
    Ok(names.collect::<Vec<_>>().join(", "))
}
