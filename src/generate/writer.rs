//! Rows into a database: multi-row INSERTs, parents first, a transaction per ten thousand rows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;

use crate::db::{DbError, DbErrorKind, Engine, Session};
use crate::error::{Error, Result};
use crate::schema::Schema;

use super::row::{Place, Row};
use super::settings::without_foreign_keys;

/// Rows in one transaction.
const TRANSACTION: u64 = 10_000;
/// Rows in one INSERT.
const STATEMENT_ROWS: u64 = 500;
/// Bytes of values in one INSERT: well below MySQL's smallest usual `max_allowed_packet`.
const STATEMENT_BYTES: usize = 512 * 1024;

/// Collects rows and writes them.
pub(super) struct Writer<'a> {
    session: &'a mut Session,
    progress: &'a mut dyn FnMut(u64),
    kept: Batch,
    breaking: Batch,
    written: BTreeMap<String, u64>,
    total: u64,
}

impl<'a> Writer<'a> {
    /// A writer to the tables of `schema`; `order` has the live tables, parents first.
    pub(super) fn new(
        session: &'a mut Session,
        schema: &Schema,
        order: &[String],
        progress: &'a mut dyn FnMut(u64),
    ) -> Self {
        let engine = session.engine();
        Self {
            session,
            progress,
            kept: Batch::new(engine, schema, order),
            breaking: Batch::new(engine, schema, order),
            written: BTreeMap::new(),
            total: 0,
        }
    }

    /// Takes rows; writes when there are enough of them. Rows of live tables that the schema does
    /// not have are dropped.
    pub(super) fn push(&mut self, rows: impl IntoIterator<Item = Row>) -> Result<()> {
        for row in rows {
            let batch = if row.breaks_key {
                &mut self.breaking
            } else {
                &mut self.kept
            };
            batch.push(&row)?;
        }
        if self.kept.rows >= TRANSACTION {
            self.flush_kept()?;
        }
        if self.breaking.rows >= TRANSACTION {
            self.flush_breaking()?;
        }
        Ok(())
    }

    /// Writes what is left; the rows written, by table.
    pub(super) fn finish(mut self) -> Result<BTreeMap<String, u64>> {
        self.flush_kept()?;
        self.flush_breaking()?;
        Ok(self.written)
    }

    fn flush_kept(&mut self) -> Result<()> {
        if self.kept.rows == 0 {
            return Ok(());
        }
        let inserts = self.kept.take();
        write(self.session, &inserts)?;
        self.count(&inserts);
        Ok(())
    }

    fn flush_breaking(&mut self) -> Result<()> {
        if self.breaking.rows == 0 {
            return Ok(());
        }
        let inserts = self.breaking.take();
        without_foreign_keys(self.session, |session| write(session, &inserts))?;
        self.count(&inserts);
        Ok(())
    }

    fn count(&mut self, inserts: &[Insert]) {
        for insert in inserts {
            *self.written.entry(insert.table.clone()).or_default() += insert.rows;
            self.total += insert.rows;
        }
        (self.progress)(self.total);
    }
}

fn write(session: &mut Session, inserts: &[Insert]) -> Result<()> {
    session.begin()?;
    for insert in inserts {
        if let Err(error) = session.execute(&insert.sql) {
            // The refusal is what matters, not how the rollback went.
            drop(session.rollback());
            return Err(refused(&insert.table, error));
        }
    }
    Ok(session.commit()?)
}

/// A row that the schema does not take is the schema's fault, not the server's.
fn refused(table: &str, error: DbError) -> Error {
    match error.kind {
        DbErrorKind::DuplicateKey | DbErrorKind::ForeignKey | DbErrorKind::Constraint => {
            Error::data(format!("table {table} takes no generated row: {error}"))
                .hint("generate into an empty database, or compare its schema with a model")
        }
        _ => error.into(),
    }
}

/// One INSERT statement.
struct Insert {
    table: String,
    sql: String,
    rows: u64,
}

/// Rows that wait for the same transaction, table by table in the order of writing.
struct Batch {
    tables: Vec<Waiting>,
    live: HashMap<String, usize>,
    shadow: HashMap<String, usize>,
    rows: u64,
}

impl Batch {
    fn new(engine: Engine, schema: &Schema, order: &[String]) -> Self {
        let mut batch = Self {
            tables: Vec::new(),
            live: HashMap::new(),
            shadow: HashMap::new(),
            rows: 0,
        };
        for place in [Place::Live, Place::Shadow] {
            for live in order {
                let name = match place {
                    Place::Live => live.clone(),
                    Place::Shadow => super::shadow(live),
                };
                let Some(table) = schema.table(&name) else {
                    continue;
                };
                let columns = table.columns.iter().filter(|c| !c.generated);
                let known = columns.map(|c| c.name.clone()).collect();
                let next = batch.tables.len();
                batch.index(place).insert(live.clone(), next);
                batch.tables.push(Waiting::new(engine, name, known));
            }
        }
        batch
    }

    fn index(&mut self, place: Place) -> &mut HashMap<String, usize> {
        match place {
            Place::Live => &mut self.live,
            Place::Shadow => &mut self.shadow,
        }
    }

    fn push(&mut self, row: &Row) -> Result<()> {
        match self.index(row.place).get(row.table).copied() {
            Some(table) => self.tables[table].push(row),
            None if row.place == Place::Live => return Ok(()),
            None => {
                return Err(
                    Error::data(format!("table {} is missing", super::shadow(row.table)))
                        .hint("fill an empty database, which gets all tables"),
                );
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn take(&mut self) -> Vec<Insert> {
        self.rows = 0;
        self.tables.iter_mut().flat_map(Waiting::take).collect()
    }
}

/// The rows of one table that wait.
struct Waiting {
    engine: Engine,
    name: String,
    known: HashSet<String>,
    /// The columns of the rows that came last, as they came.
    columns: Vec<&'static str>,
    /// For each of them whether the table has it.
    kept: Vec<bool>,
    head: String,
    values: String,
    rows: u64,
    done: Vec<Insert>,
}

impl Waiting {
    fn new(engine: Engine, name: String, known: HashSet<String>) -> Self {
        Self {
            engine,
            name,
            known,
            columns: Vec::new(),
            kept: Vec::new(),
            head: String::new(),
            values: String::new(),
            rows: 0,
            done: Vec::new(),
        }
    }

    fn push(&mut self, row: &Row) {
        if !row.columns.iter().map(|(c, _)| c).eq(&self.columns) {
            self.close();
            self.columns = row.columns.iter().map(|(c, _)| *c).collect();
            self.kept = self
                .columns
                .iter()
                .map(|c| self.known.contains(*c))
                .collect();
            let names = self
                .columns
                .iter()
                .zip(&self.kept)
                .filter(|(_, kept)| **kept);
            let names: Vec<_> = names.map(|(c, _)| (*c).to_owned()).collect();
            self.head = format!(
                "INSERT INTO {} ({}) VALUES\n",
                self.engine.quote(&self.name),
                self.engine.quote_all(&names)
            );
        }
        self.values
            .push_str(if self.rows == 0 { "(" } else { ",\n(" });
        let mut first = true;
        for ((_, value), _) in row
            .columns
            .iter()
            .zip(&self.kept)
            .filter(|(_, kept)| **kept)
        {
            if !mem::take(&mut first) {
                self.values.push_str(", ");
            }
            self.values.push_str(&self.engine.literal(value));
        }
        self.values.push(')');
        self.rows += 1;
        if self.rows >= STATEMENT_ROWS || self.values.len() >= STATEMENT_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.rows > 0 {
            self.done.push(Insert {
                table: self.name.clone(),
                sql: format!("{}{}", self.head, mem::take(&mut self.values)),
                rows: mem::take(&mut self.rows),
            });
        }
    }

    fn take(&mut self) -> Vec<Insert> {
        self.close();
        mem::take(&mut self.done)
    }
}
