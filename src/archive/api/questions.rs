//! What is asked before a record may go: which roots were archived, which of them have records, and whether any cell
//! may hold one still. Reads only.

use std::collections::BTreeSet;

use super::{Api, Cell, again};
use crate::db::{Engine, Value};
use crate::error::{Error, Result};
use crate::schema::ApiRecords;

/// Roots looked up at a time while sweeping.
const PAGE: usize = 900;

/// How far the cells' shadow tables were looked through.
#[derive(Default)]
pub(super) struct Pages {
    cell: usize,
    /// The key that the next page is behind.
    after: Option<Value>,
}

impl Api<'_> {
    /// The next page of the roots in the cells' shadow tables, one cell after the other; nothing after the last.
    pub(super) fn archived(&mut self, pages: &mut Pages) -> Result<Option<Vec<String>>> {
        while let Some(cell) = self.cells.get(pages.cell) {
            let page = match archived_roots(cell, &self.records, pages.after.as_ref()) {
                Some(page) => self.ask(pages.cell, &page)?,
                None => None,
            };
            let page = page.unwrap_or_default();
            let names = page
                .iter()
                .filter_map(|row| row[1].as_text().map(str::to_owned));
            let names: Vec<_> = names.collect();
            match page.last().filter(|_| page.len() == PAGE) {
                Some(last) => pages.after = Some(last[0].clone()),
                None => {
                    *pages = Pages {
                        cell: pages.cell + 1,
                        after: None,
                    }
                }
            }
            if !page.is_empty() {
                return Ok(Some(names));
            }
        }
        Ok(None)
    }

    /// Those of the roots that have any record.
    pub(super) fn recorded(&mut self, roots: &[String]) -> Result<BTreeSet<String>> {
        let engine = self.session.engine();
        let list = literals(engine, roots.iter());
        let column = engine.quote(&self.records.column);
        let mut found = BTreeSet::new();
        for table in &self.tables {
            let sql = format!(
                "SELECT {column} FROM {} WHERE {column} IN ({list})",
                engine.quote(table)
            );
            again(&mut self.session, &self.patience, |session| {
                session.query_each(&sql, |row| {
                    found.extend(row.first().and_then(Value::as_text).map(str::to_owned));
                    true
                })
            })?;
        }
        Ok(found)
    }

    /// Leaves out roots that are in the live table of a given cell, and all of them where one cannot be asked.
    pub(super) fn not_living(&mut self, mut roots: BTreeSet<String>) -> Result<BTreeSet<String>> {
        for number in 0..self.cells.len() {
            if roots.is_empty() || !self.away.is_empty() {
                break;
            }
            let question = living(&self.cells[number], &self.records, &roots);
            for row in self.ask(number, &question)?.unwrap_or_default() {
                // As the database compares, or more loosely: a root that may be living keeps its records.
                if let Some(name) = row.first().and_then(Value::as_text) {
                    roots.retain(|root| !root.eq_ignore_ascii_case(name));
                }
            }
        }
        if !self.away.is_empty() {
            self.unasked += roots.len() as u64;
            roots.clear();
        }
        Ok(roots)
    }

    /// Asks a cell; nothing if it is lost.
    pub(super) fn ask(&mut self, number: usize, question: &str) -> Result<Option<Vec<Vec<Value>>>> {
        let cell = &mut self.cells[number];
        if self.away.contains_key(&cell.name) {
            return Ok(None);
        }
        match again(&mut cell.session, &self.patience, |session| {
            session.query(question)
        }) {
            Ok(rows) => Ok(Some(rows)),
            Err(error) if error.kind.may_pass_again() => {
                self.away.insert(cell.name.clone(), error.message);
                Ok(None)
            }
            Err(error) => {
                let message = format!(
                    "{} cannot be asked which instances it holds: {error}",
                    cell.session.label()
                );
                Err(Error::unavailable(message)
                    .hint("give the user the right to read that cell, then run again"))
            }
        }
    }

    /// Leaves out roots that are mapped to a cell which was not given.
    pub(super) fn not_elsewhere(
        &mut self,
        mut roots: BTreeSet<String>,
    ) -> Result<BTreeSet<String>> {
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
        let rows = again(&mut self.session, &self.patience, |session| {
            session.query(&sql)
        })?;
        for row in rows {
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
}

/// Which of the roots are in the cell's live table.
pub(super) fn living(cell: &Cell<'_>, records: &ApiRecords, roots: &BTreeSet<String>) -> String {
    let engine = cell.session.engine();
    let key = engine.quote(&records.key);
    format!(
        "SELECT {key} FROM {} WHERE {key} IN ({})",
        engine.quote(&records.root),
        literals(engine, roots.iter())
    )
}

/// A page of the cell's shadow table: key and API name of each root. Nothing where it has none.
fn archived_roots(cell: &Cell<'_>, records: &ApiRecords, after: Option<&Value>) -> Option<String> {
    let engine = cell.session.engine();
    let member = cell.graph.member(&records.root)?;
    let (Some(shadow), [id]) = (member.shadow.as_ref(), member.key.as_slice()) else {
        return None;
    };
    let id = engine.quote(id);
    let after = after.map_or_else(String::new, |v| {
        format!("WHERE {id} > {}", engine.literal(v))
    });
    Some(format!(
        "SELECT {id}, {} FROM {} {after} ORDER BY {id} LIMIT {PAGE}",
        engine.quote(&records.key),
        engine.quote(shadow)
    ))
}

pub(super) fn literals<'v>(engine: Engine, values: impl Iterator<Item = &'v String>) -> String {
    let list: Vec<_> = values
        .map(|v| engine.literal(&Value::Text(v.clone())))
        .collect();
    list.join(", ")
}
