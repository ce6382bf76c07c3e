//! Damage to the schema: shadow tables that lack a column or cannot roll back.
//!
//! It is done to shadow tables whose models Nova has removed, that are empty and that no foreign
//! key touches, so that no family is held back by it.

use crate::db::{Engine, Session};
use crate::error::{Error, Result};
use crate::schema::{FamilyGraph, Schema, Table};

use super::damage::Damage;

/// Columns that other checks look at.
const LEFT_ALONE: [&str; 4] = ["created_at", "updated_at", "deleted_at", "deleted"];

/// A change to a table, not made yet.
pub(super) struct Alteration {
    pub(super) damage: Damage,
    /// What is changed: `shadow_cells.name`, `shadow_cells`.
    pub(super) name: String,
    pub(super) sql: String,
}

/// The changes that `count` cases of a damage ask for; an error if there is not enough to change.
pub(super) fn plan(
    session: &mut Session,
    graph: &FamilyGraph,
    damage: Damage,
    count: u32,
) -> Result<Vec<Alteration>> {
    let engine = session.engine();
    if damage == Damage::NonTransactionalTable && engine != Engine::Mysql {
        return Err(Error::usage(format!(
            "{damage} can be planted in MariaDB/MySQL only; this is {engine}"
        ))
        .hint("leave it out, or fill a database there"));
    }
    let count = count as usize;
    if count == 0 {
        return Ok(Vec::new());
    }
    let tables = unused(session, graph)?;
    let found: Vec<_> = match damage {
        Damage::ShadowDrift => {
            let of = |(live, shadow)| droppable(live, shadow, engine);
            tables.into_iter().flat_map(of).take(count).collect()
        }
        // From the other end, so that the two seldom meet in one table.
        _ => {
            let able = |(_, shadow): &(&Table, &Table)| {
                shadow
                    .storage
                    .as_deref()
                    .is_none_or(|s| s.eq_ignore_ascii_case("InnoDB"))
            };
            let tables = tables.into_iter().rev().filter(able);
            tables
                .map(|(_, shadow)| on_myisam(shadow, engine))
                .take(count)
                .collect()
        }
    };
    if found.len() < count {
        return Err(Error::usage(format!(
            "{damage}={count} asks for more than this schema has to change: {}",
            found.len()
        ))
        .hint("ask for fewer"));
    }
    Ok(found)
}

fn unused<'a>(
    session: &mut Session,
    graph: &'a FamilyGraph,
) -> Result<Vec<(&'a Table, &'a Table)>> {
    let engine = session.engine();
    let schema = &graph.schema;
    let mut unused = Vec::new();
    for member in graph.members.values().filter(|m| m.removed) {
        let pair = schema
            .table(&member.table)
            .zip(member.shadow.as_ref().and_then(|name| schema.table(name)));
        let Some((live, shadow)) = pair.filter(|(live, _)| !is_referenced(live, schema)) else {
            continue;
        };
        let mut rows = 0;
        for table in [live, shadow] {
            let sql = format!("SELECT 1 FROM {} LIMIT 1", engine.quote(&table.name));
            rows += session.query_count(&sql)?;
        }
        if rows == 0 {
            unused.push((live, shadow));
        }
    }
    Ok(unused)
}

fn is_referenced(table: &Table, schema: &Schema) -> bool {
    let is_parent = |t: &Table| t.foreign_keys.iter().any(|k| k.parent == table.name);
    !table.foreign_keys.is_empty() || schema.tables.values().any(is_parent)
}

fn droppable(live: &Table, shadow: &Table, engine: Engine) -> Vec<Alteration> {
    let free = |column: &String| {
        let indexes = shadow.uniques.iter().chain(&shadow.indexes);
        let mut keys = indexes.map(|i| &i.columns).chain([&shadow.primary_key]);
        live.column(column).is_some()
            && !LEFT_ALONE.contains(&column.as_str())
            && !keys.any(|key| key.contains(column))
    };
    let columns = shadow
        .columns
        .iter()
        .filter(|c| c.nullable && free(&c.name));
    let drop = |name: &String| Alteration {
        damage: Damage::ShadowDrift,
        name: format!("{}.{name}", shadow.name),
        sql: format!(
            "ALTER TABLE {} DROP COLUMN {}",
            engine.quote(&shadow.name),
            engine.quote(name)
        ),
    };
    columns.map(|c| drop(&c.name)).collect()
}

fn on_myisam(shadow: &Table, engine: Engine) -> Alteration {
    Alteration {
        damage: Damage::NonTransactionalTable,
        name: shadow.name.clone(),
        sql: format!("ALTER TABLE {} ENGINE=MyISAM", engine.quote(&shadow.name)),
    }
}
