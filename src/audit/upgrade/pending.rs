//! Rows that online data migrations have yet to change.

use serde::{Deserialize, Serialize};

use super::backlog::count;
use super::{Answers, Database};
use crate::audit::{Finding, Severity};
use crate::db::{Engine, Value};
use crate::schema::{DataMigration, Marker, Profile, Table};

pub(super) const ID: &str = "pending-data-migration";

/// An online data migration with rows to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What the service calls it.
    pub migration: String,
    /// The table, with its cell before it if there are several.
    pub table: String,
    /// Rows to change.
    pub rows: u64,
    /// Those of them that are soft-deleted: archiving takes them away.
    pub deleted: u64,
    /// Whether the release that the database is at brings it already.
    pub due: bool,
}

/// What is pending in these databases, and what could not be seen.
pub(super) fn look(
    databases: &mut [Database<'_>],
    profile: &Profile,
    newest: u32,
    present: Option<u32>,
    answers: &mut Answers,
) -> (Vec<Pending>, Vec<String>) {
    let (mut all, mut unseen) = (Vec::new(), Vec::new());
    let api_given = databases.iter().any(|d| d.graph.is_none());
    for migration in profile.data_migration.iter().filter(|m| m.since <= newest) {
        if migration.api && !api_given {
            let table = &migration.table;
            unseen.push(format!(
                "{} ({table}): it needs the API database",
                migration.name
            ));
            continue;
        }
        for database in databases.iter_mut() {
            if migration.api != database.graph.is_none() {
                continue;
            }
            let Some(table) = database.schema.table(&migration.table) else {
                continue;
            };
            let marker = profile.marker(table);
            let engine = database.session.engine();
            let Some(condition) = condition(migration, table, marker.as_ref(), engine) else {
                continue;
            };
            let name = format!("{}{}", database.prefix, migration.table);
            let rows = count(database.session, &table.name, &condition);
            let dead = marker
                .filter(|_| !migration.live)
                .map(|m| m.is_deleted(engine, "t"));
            let deleted = match (&rows, dead) {
                (Ok(1..), Some(dead)) => count(
                    database.session,
                    &table.name,
                    &format!("{condition} AND {dead}"),
                ),
                _ => Ok(0),
            };
            match (rows, deleted) {
                (Ok(0), _) => {}
                (Ok(rows), Ok(deleted)) => all.push(Pending {
                    migration: migration.name.clone(),
                    table: name,
                    rows,
                    deleted,
                    due: present.map_or(migration.since == 0, |present| migration.since <= present),
                }),
                (Err(error), _) | (_, Err(error)) => answers.gap(ID, &name, &error),
            }
        }
    }
    for pending in &all {
        let severity = match pending.due {
            true => Severity::Warning,
            // It comes with the upgrade, and is run after it.
            false => Severity::Note,
        };
        let mut found = Finding::new(ID, severity, pending.table.clone(), pending.rows);
        found.kind = Some(pending.migration.clone());
        found.message = format!(
            "{} has yet to change rows of {}{}",
            pending.migration,
            pending.table,
            match pending.deleted {
                0 => String::new(),
                n => format!("; {n} of them are soft-deleted, and archiving takes them away"),
            }
        );
        found.remedy = match (&profile.upgrade.online, pending.due) {
            (Some(command), true) => {
                format!("`{command}`, before the upgrade, until nothing is left")
            }
            (Some(command), false) => format!("`{command}`, after the upgrade"),
            (None, _) => "see the service's release notes".into(),
        };
        answers.findings.push(found);
    }
    (all, unseen)
}

/// The rows that it has to change; `None` where the table does not have the columns.
fn condition(
    migration: &DataMigration,
    table: &Table,
    marker: Option<&Marker>,
    engine: Engine,
) -> Option<String> {
    let column = |name: &String| {
        table.column(name)?;
        Some(engine.column("t", name))
    };
    let text = |value: &String| engine.literal(&Value::Text(value.clone()));
    let mut terms = Vec::new();
    if let Some(marker) = marker.filter(|_| migration.live) {
        terms.push(marker.is_live(engine, "t"));
    }
    for name in &migration.null {
        // A column that is not there yet comes with the release, and is NULL.
        terms.extend(column(name).map(|c| format!("{c} IS NULL")));
    }
    for name in &migration.set {
        terms.push(format!("{} IS NOT NULL", column(name)?));
    }
    let empty: Option<Vec<_>> = migration
        .any_null_or_zero
        .iter()
        .map(|name| column(name).map(|c| format!("{c} IS NULL OR {c} = 0")))
        .collect();
    let empty = empty?;
    if !empty.is_empty() {
        terms.push(format!("({})", empty.join(" OR ")));
    }
    for (name, value) in &migration.equal {
        terms.push(format!("{} = {}", column(name)?, text(value)));
    }
    for (name, value) in &migration.other_than {
        terms.push(format!("{} <> {}", column(name)?, text(value)));
    }
    match terms.is_empty() {
        true => Some("1 = 1".into()),
        false => Some(terms.join(" AND ")),
    }
}
