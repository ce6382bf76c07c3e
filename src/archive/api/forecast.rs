//! What of the API database would go, for a dry run: the questions of [`Api::remove`] and [`Api::sweep`] without their
//! DELETE.
//!
//! A root that is to move is in a live table still. So the cell that it leaves is not asked for it, and of the others
//! those do not count that it leaves as well.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::questions::{Pages, literals, living};
use super::{Api, add, again};
use crate::archive::keys::KEYS_PER_STATEMENT;
use crate::db::Value;
use crate::error::Result;

/// What a dry run remembers of roots. Both are empty where there is one cell.
#[derive(Default)]
pub(super) struct Counted {
    /// Roots that another cell has alive: the cells that they leave, by number.
    leaves: BTreeMap<String, BTreeSet<usize>>,
    /// Archived roots whose records were counted: they may lie in the shadow tables of another cell too.
    swept: HashSet<String>,
}

impl Api<'_> {
    /// The records that [`Api::remove`] will remove once these roots have left the live table of that cell; counts by
    /// table. Reads only.
    ///
    /// # Errors
    ///
    /// As [`Api::remove`].
    pub fn would_remove(&mut self, cell: &str, roots: &[String]) -> Result<BTreeMap<String, u64>> {
        let mut counts = BTreeMap::new();
        for chunk in roots.chunks(KEYS_PER_STATEMENT) {
            let recorded = self.recorded(chunk)?;
            let gone = self.not_elsewhere(recorded)?;
            let gone = self.leaving(cell, gone)?;
            add(&mut counts, self.count(&gone)?);
        }
        Ok(counts)
    }

    /// The records that [`Api::sweep`] will remove because an earlier run left them; counts by table. Reads only.
    ///
    /// # Errors
    ///
    /// As [`Api::remove`].
    pub fn would_sweep(&mut self) -> Result<BTreeMap<String, u64>> {
        let mut counts = BTreeMap::new();
        self.ask_again();
        let mut pages = Pages::default();
        while let Some(names) = self.archived(&mut pages)? {
            let recorded = self.recorded(&names)?;
            let gone = self.not_elsewhere(recorded)?;
            let mut gone = self.not_living(gone)?;
            if self.cells.len() > 1 {
                gone.retain(|root| self.counted.swept.insert(root.clone()));
            }
            add(&mut counts, self.count(&gone)?);
        }
        Ok(counts)
    }

    /// Leaves out roots that stay alive in another cell, and all of them where one cannot be asked.
    fn leaving(&mut self, cell: &str, mut roots: BTreeSet<String>) -> Result<BTreeSet<String>> {
        let from = self.cells.iter().position(|c| c.name == cell);
        let mut alive: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for number in (0..self.cells.len()).filter(|number| Some(*number) != from) {
            if roots.is_empty() || !self.away.is_empty() {
                break;
            }
            let question = living(&self.cells[number], &self.records, &roots);
            for row in self.ask(number, &question)?.unwrap_or_default() {
                if let Some(name) = row.first().and_then(Value::as_text) {
                    let cells = alive.entry(name.to_ascii_lowercase()).or_default();
                    cells.insert(number);
                }
            }
        }
        if !self.away.is_empty() {
            self.unasked += roots.len() as u64;
            roots.clear();
        }
        roots.retain(|root| {
            let name = root.to_ascii_lowercase();
            let Some(alive) = alive.get(&name) else {
                return true;
            };
            let leaves = self.counted.leaves.entry(name).or_default();
            leaves.extend(from);
            alive.is_subset(leaves)
        });
        Ok(roots)
    }

    fn count(&mut self, roots: &BTreeSet<String>) -> Result<Vec<(String, u64)>> {
        let mut counts = Vec::new();
        if roots.is_empty() {
            return Ok(counts);
        }
        let engine = self.session.engine();
        let column = engine.quote(&self.records.column);
        let list = literals(engine, roots.iter());
        for table in &self.tables {
            let sql = format!(
                "SELECT COUNT(*) FROM {} WHERE {column} IN ({list})",
                engine.quote(table)
            );
            let count = again(&mut self.session, &self.patience, |session| {
                session.query_count(&sql)
            })?;
            counts.push((table.clone(), u64::try_from(count).unwrap_or(0)));
        }
        Ok(counts)
    }
}
