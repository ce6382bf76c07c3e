//! References without an index: each row that is deleted from the parent reads all of the child.

use super::backlog::count;
use super::{Answers, finding};
use crate::audit::Severity;
use crate::db::Session;
use crate::schema::{FamilyGraph, Reference};

pub(super) const ID: &str = "unindexed-reference";

/// From so many rows on it is slow enough to be seen.
const MANY: u64 = 10_000;

/// The longest name that all engines take.
const NAME: usize = 63;

pub(super) fn look(
    session: &mut Session,
    prefix: &str,
    graph: &FamilyGraph,
    answers: &mut Answers,
) {
    let asked = |r: &&Reference| !r.indexed && (r.declared || r.is_owned());
    for reference in graph.references.iter().filter(asked) {
        let table = format!("{prefix}{}", reference.child);
        let rows = match count(session, &reference.child, "1 = 1") {
            Ok(0) => continue,
            Ok(rows) => rows,
            Err(error) => {
                answers.gap(ID, &table, &error);
                continue;
            }
        };
        let severity = match rows >= MANY {
            true => Severity::Warning,
            false => Severity::Note,
        };
        let mut found = finding(ID, severity, table, rows);
        found.reference = Some(reference.to_string());
        found.message = format!(
            "{}.{} has no index: whoever deletes a row of {} reads all of {}",
            reference.child,
            reference.child_columns.join(", "),
            reference.parent,
            reference.child
        );
        let engine = session.origin();
        let mut name = format!(
            "ix_{}_{}",
            reference.child,
            reference.child_columns.join("_")
        );
        name.truncate(name.floor_char_boundary(NAME));
        found.remedy = format!(
            "CREATE INDEX {} ON {} ({})",
            engine.quote(&name),
            engine.quote(&reference.child),
            engine.quote_all(&reference.child_columns)
        );
        answers.findings.push(found);
    }
}
