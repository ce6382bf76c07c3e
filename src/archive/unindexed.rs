//! References without an index, said before a run: each row that is deleted from the parent has the database read all
//! of the child, and PostgreSQL makes no index for a foreign key.

use crate::db::{DbError, Session};
use crate::schema::FamilyGraph;

/// A child of fewer rows is read in no time.
const MANY: i64 = 10_000;

/// What to say of the references of this database that are slow to delete over, with the index that each wants.
pub(super) fn slow_references(
    session: &mut Session,
    graph: &FamilyGraph,
) -> Result<Vec<String>, DbError> {
    let engine = session.engine();
    let mut slow = Vec::new();
    for reference in graph.references.iter().filter(|r| r.declared && !r.indexed) {
        let child = engine.quote(&reference.child);
        let rows = session.query_count(&format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM {child} LIMIT {MANY}) many"
        ))?;
        if rows >= MANY {
            slow.push(format!(
                "{reference} has no index: the database reads all of {} for each row that goes from {}; {}",
                reference.child,
                reference.parent,
                reference.create_index(engine),
            ));
        }
    }
    Ok(slow)
}
