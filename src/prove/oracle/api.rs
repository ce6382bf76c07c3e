//! *API-consistent*: records about roots in another database.

use std::collections::BTreeSet;

use crate::schema::ApiRecords;

use super::super::state::{Record, Shape, State};
use super::{Breach, Oracle, some};

/// No record of an archived root is left; everything else in the API database is what it was.
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
    // Archived before the run is not this run's doing; the engine may sweep it or not.
    let mut old = roots(&before.tables[root].shadow);
    let live = roots(&found.tables[root].live);
    // A copy of it in the shadow table takes nothing from a root that lives.
    old.retain(|r| !live.contains(r));
    let mut gone = roots(&found.tables[root].shadow);
    gone.retain(|r| !live.contains(r) && !old.contains(r));
    // The records of another cell's roots are none of this one's business.
    let elsewhere = mapped_elsewhere(shape, records, before);
    old.retain(|r| !elsewhere.contains(r));
    gone.retain(|r| !elsewhere.contains(r));
    if shape.repairs {
        // What is stranded from the start is damage to heal.
        gone.append(&mut old);
    }
    let mut breaches = Vec::new();
    for (index, (name, columns)) in shape.api.iter().enumerate() {
        let of_roots = records.tables.contains(name);
        let column = columns
            .iter()
            .position(|c| of_roots && *c == records.column);
        let about = |row: &Record| column.and_then(|c| row[c].clone());
        let rows =
            |state: &State| -> Vec<Record> { state.api.get(index).cloned().unwrap_or_default() };
        let is = rows(found);
        let stranded: BTreeSet<_> = is
            .iter()
            .filter_map(about)
            .filter(|r| gone.contains(r))
            .collect();
        if !stranded.is_empty() {
            let stranded: Vec<_> = stranded.into_iter().collect();
            let what = format!("stranded: {} of {}", name, some(&stranded));
            breaches.push(Breach::new(Oracle::ApiConsistent, name, what));
        }
        let may_go =
            |row: &Record| about(row).is_some_and(|r| gone.contains(&r) || old.contains(&r));
        let was = rows(before);
        let lost: Vec<_> = was
            .iter()
            .filter(|r| !may_go(r) && !is.contains(r))
            .collect();
        if let Some(first) = lost.first() {
            let row = about(first).unwrap_or_else(|| format!("{first:?}"));
            let what = format!("gone or changed: {} rows of {name}: {row} ...", lost.len());
            breaches.push(Breach::new(Oracle::ApiConsistent, name, what));
        }
        let new = is.iter().filter(|r| !was.contains(r) && !may_go(r));
        if let (true, Some(first)) = (lost.is_empty(), new.into_iter().next()) {
            let what = format!("from nowhere: {first:?} in {name}");
            breaches.push(Breach::new(Oracle::ApiConsistent, name, what));
        }
    }
    breaches
}

/// Roots that are mapped to another cell than the one that is archived.
fn mapped_elsewhere(shape: &Shape, records: &ApiRecords, state: &State) -> BTreeSet<String> {
    let mut tables = shape.api.iter().enumerate();
    let Some((index, (_, columns))) = tables.find(|(_, (name, _))| *name == records.mapping) else {
        return BTreeSet::new();
    };
    let place = |name: &String| columns.iter().position(|c| c == name);
    let (Some(root), Some(cell)) = (place(&records.column), place(&records.mapping_cell)) else {
        return BTreeSet::new();
    };
    let rows = state.api.get(index).into_iter().flatten();
    let elsewhere = rows.filter(|row| row[cell].is_some() && row[cell] != shape.cell);
    elsewhere.filter_map(|row| row[root].clone()).collect()
}
