//! References without an index, said before a run: each row that is deleted from the parent has the database read all
//! of the child, and PostgreSQL makes no index for a foreign key.

use crate::db::{DbError, Session};
use crate::schema::FamilyGraph;

use super::options::Observer;

/// A child of fewer rows is read in no time.
const MANY: i64 = 10_000;

/// Says which references of this database are slow to delete over, and the index that each wants.
pub(super) fn tell(
    session: &mut Session,
    graph: &FamilyGraph,
    observer: &mut dyn Observer,
) -> Result<(), DbError> {
    let asked = graph.references.iter().filter(|r| r.declared && !r.indexed);
    for reference in asked {
        let child = session.engine().quote(&reference.child);
        let rows = session.query_count(&format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM {child} LIMIT {MANY}) many"
        ))?;
        if rows < MANY {
            continue;
        }
        observer.notice(&format!(
            "{reference} has no index: the database reads all of {} for each row that goes from {}; {}",
            reference.child,
            reference.parent,
            reference.create_index(session.engine()),
        ));
    }
    Ok(())
}
