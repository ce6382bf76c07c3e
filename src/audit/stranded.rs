//! Records in the API database about instances that are archived, or nowhere at all.
//!
//! The one check that looks at several databases: keys are read from the API database in pages and
//! looked up in every cell's live table by its index; only keys found in none are remembered, and
//! each shadow table, which has no such index, is read through once for every [`BATCH`] of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::cells::{ListedCell, listed_cells};
use crate::db::{DbError, Engine, Session, Value};
use crate::schema::{ApiRecords, FamilyGraph};

use super::run::repair_command;
use super::{Finding, NotChecked, Severity};

/// The check's id.
pub const ID: &str = "stranded-api-record";

/// What it finds, one line.
pub(super) const SUMMARY: &str =
    "API-database records about rows that are archived, or in no cell (needs --api)";

/// Keys read from the API database at a time.
const PAGE: usize = 5_000;

/// Keys in no live table that are held before the shadow tables are read.
const BATCH: usize = 50_000;

/// A cell database.
pub struct Cell<'a> {
    /// The cell's name as the user knows it.
    pub name: String,
    /// A session with it.
    pub session: &'a mut Session,
    /// Its families.
    pub graph: &'a FamilyGraph,
}

/// What was found, to be added to a report.
#[derive(Debug, Default)]
pub struct Stranded {
    /// One finding for each table of records, and cell whose shadow table has the rows.
    pub findings: Vec<Finding>,
    /// What could not be checked.
    pub not_checked: Vec<NotChecked>,
    /// The same of records that are mapped to cells which were not given.
    pub elsewhere: Vec<NotChecked>,
}

/// Looks for records whose row is in a shadow table and in no live one, or in no given cell.
pub fn stranded(
    api: &mut Session,
    cells: &mut [Cell<'_>],
    records: &ApiRecords,
    samples: usize,
) -> Stranded {
    let mut result = Stranded::default();
    let gap = |table: &str, why: String| NotChecked {
        check: ID.into(),
        table: Some(table.into()),
        why,
    };
    let mapped = match mapped_cells(api, cells, records) {
        Ok(mapped) => mapped,
        Err(error) => {
            let why = format!("{}: {error}", api.label());
            result.not_checked.push(gap(&records.cells, why));
            return result;
        }
    };
    for table in &records.tables {
        let search = Search {
            records,
            table,
            mapped: &mapped,
        };
        let mut tally = Tally::new(cells.len(), samples);
        // With one table read in part nothing certain can be said of any record.
        match search.run(api, cells, &mut tally) {
            Ok(()) => result.findings.extend(search.findings(api, cells, &tally)),
            Err(why) => result.not_checked.push(gap(table, why)),
        }
        for (cell, count) in tally.elsewhere {
            let why = match count {
                1 => format!("1 record belongs to {cell}"),
                _ => format!("{count} records belong to {cell}"),
            };
            result.elsewhere.push(gap(table, why));
        }
    }
    result
}

/// The API database's cells, by id.
type MappedCells = BTreeMap<String, ListedCell>;

fn mapped_cells(
    api: &mut Session,
    cells: &[Cell<'_>],
    records: &ApiRecords,
) -> Result<MappedCells, DbError> {
    let given: Vec<_> = cells
        .iter()
        .map(|c| (c.name.clone(), c.session.label().to_owned()))
        .collect();
    let listed = listed_cells(api, records, &given)?;
    Ok(listed.into_iter().map(|c| (c.id.clone(), c)).collect())
}

/// The search for one table of records.
struct Search<'a> {
    records: &'a ApiRecords,
    table: &'a str,
    mapped: &'a MappedCells,
}

/// What the search has found so far; its size does not depend on the number of records.
struct Tally {
    samples: usize,
    archived: Vec<Count>,
    nowhere: Count,
    elsewhere: BTreeMap<String, u64>,
}

#[derive(Clone, Default)]
struct Count {
    count: u64,
    samples: Vec<String>,
}

impl Count {
    fn add(&mut self, key: &str, samples: usize) {
        self.count += 1;
        if self.samples.len() < samples {
            self.samples.push(key.into());
        }
    }
}

impl Tally {
    fn new(cells: usize, samples: usize) -> Self {
        Self {
            samples,
            archived: vec![Count::default(); cells],
            nowhere: Count::default(),
            elsewhere: BTreeMap::new(),
        }
    }
}

impl Search<'_> {
    fn run(
        &self,
        api: &mut Session,
        cells: &mut [Cell<'_>],
        tally: &mut Tally,
    ) -> Result<(), String> {
        let mut last: Option<Value> = None;
        let mut unknown = BTreeSet::new();
        loop {
            let label = api.label().to_owned();
            let rows = api
                .query(&self.page_sql(api.engine(), last.as_ref()))
                .map_err(|e| format!("{label}: {e}"))?;
            let full = rows.len() == PAGE;
            last = rows.last().and_then(|row| row.first().cloned());
            unknown.extend(self.in_no_live_table(self.ours(rows, tally), cells)?);
            if unknown.len() >= BATCH || !full {
                self.place(std::mem::take(&mut unknown), cells, tally)?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// The next page: key, and the cell the record's mapping names. One row for each key.
    fn page_sql(&self, engine: Engine, last: Option<&Value>) -> String {
        let key = engine.column("t", &self.records.column);
        let after = match last {
            Some(key_before) => format!("{key} > {}", engine.literal(key_before)),
            None => format!("{key} IS NOT NULL"),
        };
        format!(
            "SELECT DISTINCT {key}, {} FROM {} AS t LEFT JOIN {} AS m ON {} = {key} WHERE {after} \
             ORDER BY {key} LIMIT {PAGE}",
            engine.column("m", &self.records.mapping_cell),
            engine.quote(self.table),
            engine.quote(&self.records.mapping),
            engine.column("m", &self.records.column),
        )
    }

    /// The keys of records that lie in a given cell, or in none yet.
    fn ours(&self, rows: Vec<Vec<Value>>, tally: &mut Tally) -> Vec<String> {
        let mut keys = Vec::new();
        for row in rows {
            let [key, cell] = row.as_slice() else {
                continue;
            };
            match self.mapped.get(&cell.to_string()) {
                Some(mapped) if !mapped.given => {
                    let cell = format!("cell '{}', which was not given", mapped.name);
                    *tally.elsewhere.entry(cell).or_default() += 1;
                }
                Some(_) => keys.push(key.to_string()),
                None if cell.is_null() => keys.push(key.to_string()),
                None => {
                    let cell = format!("cell {cell}, which {} does not list", self.records.cells);
                    *tally.elsewhere.entry(cell).or_default() += 1;
                }
            }
        }
        keys
    }

    fn in_no_live_table(
        &self,
        mut keys: Vec<String>,
        cells: &mut [Cell<'_>],
    ) -> Result<Vec<String>, String> {
        for cell in cells {
            if keys.is_empty() {
                break;
            }
            let engine = cell.session.engine();
            let key = engine.quote(&self.records.key);
            let list: Vec<_> = keys
                .iter()
                .map(|k| engine.literal(&Value::Text(k.clone())))
                .collect();
            let sql = format!(
                "SELECT {key} FROM {} WHERE {key} IN ({})",
                engine.quote(&self.records.root),
                list.join(", ")
            );
            let found = cell.session.query(&sql).map_err(|e| refusal(cell, &e))?;
            let found: BTreeSet<_> = found.iter().filter_map(|r| r.first().map(folded)).collect();
            keys.retain(|k| !found.contains(&k.to_ascii_lowercase()));
        }
        Ok(keys)
    }

    /// Finds keys that are in no live table in the shadow tables; counts them.
    fn place(
        &self,
        unknown: BTreeSet<String>,
        cells: &mut [Cell<'_>],
        tally: &mut Tally,
    ) -> Result<(), String> {
        let mut left: BTreeMap<_, _> = unknown
            .into_iter()
            .map(|key| (key.to_ascii_lowercase(), key))
            .collect();
        let samples = tally.samples;
        for (cell, count) in cells.iter_mut().zip(&mut tally.archived) {
            let member = cell.graph.member(&self.records.root);
            let Some(shadow) = member.and_then(|m| m.shadow.as_ref()) else {
                continue;
            };
            if left.is_empty() {
                break;
            }
            let engine = cell.session.engine();
            let key = engine.quote(&self.records.key);
            let sql = format!("SELECT {key} FROM {}", engine.quote(shadow));
            let each = |row: Vec<Value>| {
                if let Some(key) = row.first().and_then(|k| left.remove(&folded(k))) {
                    count.add(&key, samples);
                }
                !left.is_empty()
            };
            let read = cell.session.query_each(&sql, each);
            read.map_err(|e| refusal(cell, &e))?;
        }
        left.values()
            .for_each(|key| tally.nowhere.add(key, samples));
        Ok(())
    }

    fn findings(&self, api: &Session, cells: &[Cell<'_>], tally: &Tally) -> Vec<Finding> {
        let (engine, table) = (api.origin(), self.table);
        let finding = |severity, found: &Count, kind: String, message: String, remedy: String| {
            let mut samples = found.samples.clone();
            samples.sort();
            let list: Vec<_> = samples
                .iter()
                .map(|k| engine.literal(&Value::Text(k.clone())))
                .collect();
            let select = (!list.is_empty()).then(|| {
                format!(
                    "SELECT * FROM {} WHERE {} IN ({})",
                    engine.quote(table),
                    engine.quote(&self.records.column),
                    list.join(", ")
                )
            });
            Finding {
                reference: Some(format!(
                    "{table}.{} -> {}.{}",
                    self.records.column, self.records.root, self.records.key
                )),
                kind: Some(kind),
                samples,
                message,
                remedy,
                select,
                ..Finding::new(ID, severity, table, found.count)
            }
        };
        let mut findings = Vec::new();
        for (cell, found) in cells
            .iter()
            .zip(&tally.archived)
            .filter(|(_, f)| f.count > 0)
        {
            let (repair, archive) = commands(api, cell);
            findings.push(finding(
                Severity::Error,
                found,
                // The name of a cell that has none is that of its database, which may lie elsewhere tomorrow.
                match cell.name == cell.session.label() {
                    true => "archived".to_owned(),
                    false => format!("archived in {}", cell.name),
                },
                format!(
                    "{table} records in the API database are about {} that are archived in cell \
                     {}: a run was cut off before it cleaned up",
                    self.records.root, cell.name
                ),
                archive,
            ));
            if let Some(finding) = findings.last_mut() {
                finding.repair = Some(repair);
            }
        }
        if tally.nowhere.count > 0 {
            findings.push(finding(
                Severity::Warning,
                &tally.nowhere,
                "nowhere".to_owned(),
                format!(
                    "{table} records in the API database are about {} that are in no given cell",
                    self.records.root
                ),
                format!(
                    "look at them; unless they are being created now, delete them from {table}"
                ),
            ));
        }
        findings
    }
}

/// The command that removes the records and nothing else, and the one that archives, too.
fn commands(api: &Session, cell: &Cell<'_>) -> (String, String) {
    let (database, api_database) = match is_dump(api) || is_dump(cell.session) {
        true => ("DB", "DB"),
        false => (cell.session.label(), api.label()),
    };
    let quoted = shell_words::quote;
    let given = match cell.name == cell.session.label() {
        true => quoted(database),
        // By the name it may be known to the API database, which need not be so by its place.
        false => format!("--cell {}={}", quoted(&cell.name), quoted(database)).into(),
    };
    let given = format!("{given} --api {}", quoted(api_database));
    (
        repair_command(&given, ID),
        format!(
            "any run of `sexton archive {given}`, which moves soft-deleted families as well and removes theirs"
        ),
    )
}

fn is_dump(session: &Session) -> bool {
    session.origin() != session.engine()
}

fn folded(value: &Value) -> String {
    value.to_string().to_ascii_lowercase()
}

fn refusal(cell: &Cell<'_>, error: &DbError) -> String {
    format!("cell {}: {error}", cell.name)
}
