//! What migrations say of a database: the version that they left it at.

use super::{DbError, Session};
use crate::schema::{Model, Schema};

/// Where migrations keep the version: Alembic, and what came before it.
const KEPT: [(&str, &str); 2] = [
    ("alembic_version", "version_num"),
    ("migrate_version", "version"),
];

/// How a version table ends that stands beside that of a library (Masakari's beside TaskFlow's): it is the
/// service's own.
const OWN: &str = "_alembic_version";

/// The version of the database with this schema; `None` where no migrations have left one. Where both tables
/// are, Alembic's is the later one.
pub fn migration_version(
    session: &mut Session,
    schema: &Schema,
) -> Result<Option<String>, DbError> {
    let engine = session.engine();
    let is_own = |name: &&String| {
        let service = name.strip_suffix(OWN);
        service.is_some_and(|s| Model::names().any(|m| m.split('-').next() == Some(s)))
    };
    let own = schema.tables.keys().find(is_own);
    let own = own.map(|name| (name.as_str(), "version_num"));
    for (table, column) in own.into_iter().chain(KEPT) {
        let there = schema
            .table(table)
            .is_some_and(|t| t.column(column).is_some());
        if !there {
            continue;
        }
        let (column, table) = (engine.quote(column), engine.quote(table));
        let row = session.query_row(&format!("SELECT {column} FROM {table}"))?;
        if let Some(version) = row.and_then(|row| row.first().map(ToString::to_string)) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}
