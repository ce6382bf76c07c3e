//! A generated Nova, and what must hold of it whatever interrupts a run.

use std::collections::BTreeMap;

use sexton::audit;
use sexton::db::Engine;
use sexton::db::{Session, introspect};
use sexton::schema::FamilyGraph;

use crate::support::databases::Database;
use crate::support::filled;
pub(crate) use crate::support::filled::graph;

/// A database of so many families, the same each time.
pub(crate) fn filled(engine: Engine, families: u32) -> Database {
    let database = Database::fresh(engine);
    fill(&mut database.session(), families);
    database
}

/// The same in an empty database that is there.
pub(crate) fn fill(session: &mut Session, families: u32) {
    filled::fill(session, families, 50);
}

/// Rows of every table.
pub(crate) fn state(session: &mut Session) -> BTreeMap<String, i64> {
    let engine = session.engine();
    let tables: Vec<_> = introspect(session).unwrap().tables.into_keys().collect();
    let count = |table: String| {
        let sql = format!("SELECT COUNT(*) FROM {}", engine.quote(&table));
        (table, session.query_count(&sql).unwrap())
    };
    tables.into_iter().map(count).collect()
}

/// Live and shadow rows together.
pub(crate) fn both(state: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let mut both = BTreeMap::new();
    for (table, rows) in state {
        let live = table.strip_prefix("shadow_").unwrap_or(table);
        *both.entry(live.to_owned()).or_default() += rows;
    }
    both
}

pub(crate) fn instances(session: &mut Session) -> i64 {
    session
        .query_count("SELECT COUNT(*) FROM instances")
        .unwrap()
}

pub(crate) fn assert_whole(session: &mut Session, graph: &FamilyGraph, when: &str) {
    let options = audit::Options {
        checks: [
            "split-family",
            "orphaned-row",
            "missing-required-child",
            "duplicate-in-shadow",
        ]
        .map(String::from)
        .to_vec(),
        samples: 3,
    };
    let report = audit::audit(session, graph, &options).unwrap();
    assert_eq!(report.not_checked, [], "{when}");
    assert_eq!(report.findings, [], "{when}");
}

/// Every row of every table, in the order of the text.
pub(crate) fn contents(session: &mut Session) -> BTreeMap<String, Vec<String>> {
    let schema = introspect(session).unwrap();
    let engine = session.engine();
    let mut contents = BTreeMap::new();
    for table in schema.tables.values() {
        let columns = engine.quote_all(table.columns.iter().map(|c| &c.name));
        let sql = format!("SELECT {columns} FROM {}", engine.quote(&table.name));
        let rows = session
            .query(&sql)
            .unwrap()
            .into_iter()
            .map(|row| format!("{row:?}"));
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        contents.insert(table.name.clone(), rows);
    }
    contents
}
