//! New ids, above every id that a table or its shadow has.

use std::collections::{BTreeMap, HashMap};

use crate::db::{Engine, Session, Value};
use crate::error::Result;
use crate::schema::{Schema, Table};

/// The next id of each table.
#[derive(Debug, Default)]
pub(super) struct Ids {
    last: HashMap<String, i64>,
}

impl Ids {
    /// Reads the highest ids of `tables` and of their shadow tables: an id that an archived row
    /// has is as taken as one of a live row.
    pub(super) fn read(session: &mut Session, schema: &Schema, tables: &[String]) -> Result<Self> {
        let engine = session.engine();
        let mut last = HashMap::new();
        for live in tables {
            let mut highest = 0;
            for name in [live.clone(), super::shadow(live)] {
                let numbered =
                    |t: &Table| t.column("id").is_some_and(|column| column.ty.is_integer());
                if schema.table(&name).is_some_and(numbered) {
                    let sql = format!("SELECT max(id) FROM {}", engine.quote(&name));
                    highest = highest.max(session.query_count(&sql)?);
                }
            }
            last.insert(live.clone(), highest);
        }
        Ok(Self { last })
    }

    /// A number that differs once more rows have been written: names made with it are new too.
    pub(super) fn salt(&self) -> u64 {
        self.last
            .values()
            .fold(0, |sum, id| sum.wrapping_add(id.unsigned_abs()))
    }

    /// A new id.
    pub(super) fn next(&mut self, table: &'static str) -> i64 {
        let last = match self.last.get_mut(table) {
            Some(last) => last,
            None => self.last.entry(table.to_owned()).or_default(),
        };
        *last += 1;
        *last
    }
}

/// On PostgreSQL an id that was given does not move its sequence: the next insert of the service
/// would meet it. Elsewhere there is nothing to do.
pub(super) fn advance_sequences(
    session: &mut Session,
    schema: &Schema,
    written: &BTreeMap<String, u64>,
) -> Result<()> {
    let engine = session.engine();
    if engine != Engine::Postgres {
        return Ok(());
    }
    for name in written.keys() {
        let numbered = schema.table(name).and_then(|t| t.column("id"));
        if numbered.is_some_and(|c| c.ty.is_integer()) {
            let table = engine.quote(name);
            let literal = engine.literal(&Value::Text(table.clone()));
            // Of a column without a sequence this is NULL, and nothing happens.
            let sequence = format!("pg_get_serial_sequence({literal}, 'id')");
            let next = format!("(SELECT coalesce(max(id), 0) + 1 FROM {table})");
            session.query(&format!("SELECT setval({sequence}, {next}, false)"))?;
        }
    }
    Ok(())
}
