//! Rows that were there once: where an engine purges, nothing else tells what is gone.

use std::collections::BTreeMap;

use crate::prove::state::{Record, Shape, State};

/// Every row that was seen, as it was seen last, by table and name.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Vec<BTreeMap<String, Record>>);

impl Ledger {
    /// Notes the rows that are there, and puts those that were there before, and are gone, on the other side.
    pub(super) fn take(&mut self, shape: &Shape, state: &mut State) {
        self.0.resize_with(shape.tables.len(), BTreeMap::new);
        let tables = shape.tables.iter().zip(&mut state.tables);
        for ((table, sides), known) in tables.zip(&mut self.0) {
            let there: BTreeMap<String, Record> = sides
                .live
                .iter()
                .map(|row| (table.row_name(row), row.clone()))
                .collect();
            let gone = known.iter().filter(|(name, _)| !there.contains_key(*name));
            sides.shadow = gone.map(|(_, row)| row.clone()).collect();
            sides.shadow.sort_unstable();
            known.extend(there);
        }
    }
}
