//! *API-consistent*: records about roots in another database.

use std::collections::BTreeSet;

use crate::schema::ApiRecords;

use super::super::state::{Record, Shape, State};
use super::{Breach, Oracle, some};

/// No record of an archived root is left, none of a living root is gone.
pub fn api_consistent(
    shape: &Shape,
    records: &ApiRecords,
    before: &State,
    found: &State,
) -> Vec<Breach> {
    let Some(root) = shape.table(&records.root) else {
        return Vec::new();
    };
    let table = &shape.tables[root];
    let Some(key) = table.columns.iter().position(|c| *c == records.key) else {
        return Vec::new();
    };
    let roots = |rows: &[Record]| -> BTreeSet<String> {
        rows.iter().filter_map(|r| r[key].clone()).collect()
    };
    let live = roots(&found.tables[root].live);
    // Archived before the run is not this run's doing; the engine may sweep it or not.
    let old = roots(&before.tables[root].shadow);
    let archived = roots(&found.tables[root].shadow);
    let mut breaches = Vec::new();
    for (index, (name, columns)) in shape.api.iter().enumerate() {
        if !records.tables.contains(name) {
            continue;
        }
        let Some(column) = columns.iter().position(|c| *c == records.column) else {
            continue;
        };
        let named = |state: &State| -> BTreeSet<String> {
            let rows = state.api.get(index).map_or(&[][..], Vec::as_slice);
            rows.iter().filter_map(|r| r[column].clone()).collect()
        };
        let (was, is) = (named(before), named(found));
        let stranded: Vec<_> = is
            .iter()
            .filter(|r| archived.contains(*r) && !live.contains(*r) && !old.contains(*r))
            .cloned()
            .collect();
        let gone: Vec<_> = was
            .iter()
            .filter(|r| live.contains(*r) && !is.contains(*r))
            .cloned()
            .collect();
        if !stranded.is_empty() {
            let what = format!("stranded: {} of {}", name, some(&stranded));
            breaches.push(Breach::new(Oracle::ApiConsistent, name, what));
        }
        if !gone.is_empty() {
            let what = format!("gone while the root lives: {} of {}", name, some(&gone));
            breaches.push(Breach::new(Oracle::ApiConsistent, name, what));
        }
    }
    breaches
}
