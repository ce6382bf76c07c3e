//! API-database records of archived roots: removed once no cell holds the root.
//!
//! The cell database and the API database have no transaction in common, so a run that is cut
//! between the two leaves records behind (nova-manage never comes back for them). Here the truth is
//! looked up instead of remembered: whatever lies in a shadow table, lies in no live table of any
//! given cell, and is not mapped to a cell that was not given, has its records removed; by this run
//! or by the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cells::{listed_cells, record_tables};
use crate::db::{DbError, DbErrorKind, Engine, Session, Value};
use crate::error::Result;
use crate::schema::{ApiRecords, FamilyGraph, Schema};

use super::keys::KEYS_PER_STATEMENT;

/// How often to try again after a deadlock in the API database, and how long to wait before the
/// first time; doubled with each.
const RETRIES: (u32, Duration) = (8, Duration::from_millis(20));

/// Roots looked up at a time while sweeping.
const PAGE: usize = 900;

/// A cell that was given, with a session of its own for asking.
pub struct Cell<'a> {
    /// The cell's name: `cell1`.
    pub name: String,
    /// The cell's database.
    pub session: Session,
    /// Its tables.
    pub graph: &'a FamilyGraph,
}

/// The API database, and which of its cells the given cells are.
pub struct Api<'a> {
    session: Session,
    records: ApiRecords,
    tables: Vec<String>,
    has_mapping: bool,
    cells: Vec<Cell<'a>>,
    covered: BTreeSet<String>,
    retries: (u32, Duration),
    /// Records that were left because their mapping names a cell that was not given.
    pub elsewhere: u64,
}

impl<'a> Api<'a> {
    /// Opens the books on an API database; [`listed_cells`] says which of its cells are `cells`.
    ///
    /// # Errors
    ///
    /// Exit code 65 if the database holds none of the records' tables.
    pub fn new(
        mut session: Session,
        schema: &Schema,
        records: ApiRecords,
        cells: Vec<Cell<'a>>,
    ) -> Result<Self> {
        let tables = record_tables(session.label(), schema, &records)?;
        let mut covered = BTreeSet::new();
        if schema.table(&records.cells).is_some() {
            let given: Vec<_> = cells
                .iter()
                .map(|c| (c.name.clone(), c.session.label().to_owned()))
                .collect();
            let listed = listed_cells(&mut session, &records, &given)?;
            covered.extend(listed.into_iter().filter(|c| c.given).map(|c| c.id));
        }
        let has_mapping = tables.contains(&records.mapping);
        Ok(Self {
            session,
            records,
            tables,
            has_mapping,
            cells,
            covered,
            retries: RETRIES,
            elsewhere: 0,
        })
    }

    /// The same, trying so often again after a deadlock, with that pause before the first time.
    #[must_use]
    pub fn retrying(mut self, retries: u32, backoff: Duration) -> Self {
        self.retries = (retries, backoff);
        self
    }

    /// Removes the records of those roots that no given cell holds any more; counts by table.
    pub fn remove(&mut self, roots: &[String]) -> Result<BTreeMap<String, u64>> {
        let mut removed = BTreeMap::new();
        for chunk in roots.chunks(KEYS_PER_STATEMENT) {
            let recorded = self.recorded(chunk)?;
            let mut gone = self.not_elsewhere(recorded)?;
            for cell in &mut self.cells {
                if !gone.is_empty() {
                    living(cell, &self.records, &mut gone)?;
                }
            }
            if gone.is_empty() {
                continue;
            }
            for (table, count) in self.delete(&gone)? {
                *removed.entry(table).or_default() += count;
            }
        }
        Ok(removed)
    }

    /// Removes what earlier runs left: looks at every root in the given cells' shadow tables.
    pub fn sweep(&mut self) -> Result<BTreeMap<String, u64>> {
        let mut removed: BTreeMap<String, u64> = BTreeMap::new();
        // The sweep sees everything that the batches before it saw.
        self.elsewhere = 0;
        for number in 0..self.cells.len() {
            let mut after: Option<Value> = None;
            loop {
                let page = archived_roots(&mut self.cells[number], &self.records, after.as_ref())?;
                let full = page.len() == PAGE;
                after = page.last().map(|(key, _)| key.clone());
                let names: Vec<_> = page.into_iter().filter_map(|(_, name)| name).collect();
                for (table, count) in self.remove(&names)? {
                    *removed.entry(table).or_default() += count;
                }
                if !full {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Statements sent to the API database so far.
    pub fn statements(&self) -> u64 {
        self.session.statements()
            + self
                .cells
                .iter()
                .map(|c| c.session.statements())
                .sum::<u64>()
    }

    /// Those of the roots that have any record.
    fn recorded(&mut self, roots: &[String]) -> Result<BTreeSet<String>> {
        let engine = self.session.engine();
        let list = literals(engine, roots.iter());
        let column = engine.quote(&self.records.column);
        let mut found = BTreeSet::new();
        for table in &self.tables {
            let sql = format!(
                "SELECT {column} FROM {} WHERE {column} IN ({list})",
                engine.quote(table)
            );
            self.session.query_each(&sql, |row| {
                found.extend(row.first().and_then(Value::as_text).map(str::to_owned));
                true
            })?;
        }
        Ok(found)
    }

    /// Leaves out roots that are mapped to a cell which was not given.
    fn not_elsewhere(&mut self, mut roots: BTreeSet<String>) -> Result<BTreeSet<String>> {
        if roots.is_empty() || !self.has_mapping {
            return Ok(roots);
        }
        let engine = self.session.engine();
        let column = engine.quote(&self.records.column);
        let sql = format!(
            "SELECT {column}, {} FROM {} WHERE {column} IN ({})",
            engine.quote(&self.records.mapping_cell),
            engine.quote(&self.records.mapping),
            literals(engine, roots.iter())
        );
        for row in self.session.query(&sql)? {
            let (Some(name), cell) = (row[0].as_text(), &row[1]) else {
                continue;
            };
            let elsewhere = !cell.is_null() && !self.covered.contains(&cell.to_string());
            if elsewhere && roots.remove(name) {
                self.elsewhere += 1;
            }
        }
        Ok(roots)
    }

    /// Deletes the records of all those roots or of none; again after a deadlock or the like.
    fn delete(&mut self, roots: &BTreeSet<String>) -> Result<Vec<(String, u64)>> {
        let list = literals(self.session.engine(), roots.iter());
        let mut tries = 0;
        loop {
            let done = self.try_delete(&list);
            match done {
                Err(error) if error.kind == DbErrorKind::Retryable && tries < self.retries.0 => {
                    std::thread::sleep(self.retries.1 * (1 << tries));
                    tries += 1;
                }
                other => return Ok(other?),
            }
        }
    }

    fn try_delete(&mut self, list: &str) -> Result<Vec<(String, u64)>, DbError> {
        let engine = self.session.engine();
        let column = engine.quote(&self.records.column);
        let session = &mut self.session;
        session.begin()?;
        let mut delete = || {
            let mut counts = Vec::new();
            for table in &self.tables {
                let sql = format!(
                    "DELETE FROM {} WHERE {column} IN ({list})",
                    engine.quote(table)
                );
                counts.push((table.clone(), session.execute(&sql)?));
            }
            session.commit()?;
            Ok(counts)
        };
        delete().inspect_err(|_| drop(session.rollback()))
    }
}

/// Takes out of `roots` those that are in the cell's live table.
fn living(cell: &mut Cell<'_>, records: &ApiRecords, roots: &mut BTreeSet<String>) -> Result<()> {
    let engine = cell.session.engine();
    let key = engine.quote(&records.key);
    let sql = format!(
        "SELECT {key} FROM {} WHERE {key} IN ({})",
        engine.quote(&records.root),
        literals(engine, roots.iter())
    );
    for row in cell.session.query(&sql)? {
        // As the database compares, or more loosely: a root that may be living keeps its records.
        if let Some(name) = row.first().and_then(Value::as_text) {
            roots.retain(|root| !root.eq_ignore_ascii_case(name));
        }
    }
    Ok(())
}

/// A page of the cell's shadow table: key and API name of each root.
fn archived_roots(
    cell: &mut Cell<'_>,
    records: &ApiRecords,
    after: Option<&Value>,
) -> Result<Vec<(Value, Option<String>)>> {
    let engine = cell.session.engine();
    let Some((shadow, [id])) = cell
        .graph
        .member(&records.root)
        .and_then(|m| Some((m.shadow.as_ref()?, m.key.as_slice())))
    else {
        return Ok(Vec::new());
    };
    let id = engine.quote(id);
    let after = after.map_or_else(String::new, |v| {
        format!("WHERE {id} > {}", engine.literal(v))
    });
    let sql = format!(
        "SELECT {id}, {} FROM {} {after} ORDER BY {id} LIMIT {PAGE}",
        engine.quote(&records.key),
        engine.quote(shadow)
    );
    let rows = cell.session.query(&sql)?;
    let name = |value: &Value| value.as_text().map(str::to_owned);
    Ok(rows
        .into_iter()
        .map(|r| (r[0].clone(), name(&r[1])))
        .collect())
}

fn literals<'v>(engine: Engine, values: impl Iterator<Item = &'v String>) -> String {
    let list: Vec<_> = values
        .map(|v| engine.literal(&Value::Text(v.clone())))
        .collect();
    list.join(", ")
}
