//! References without an index: each row that is deleted from the parent reads all of the child.

use super::Answers;
use super::backlog::count;
use crate::audit::{Finding, Severity};
use crate::db::Session;
use crate::schema::{FamilyGraph, Reference};

pub(super) const ID: &str = "unindexed-reference";

/// From so many rows on it is slow enough to be seen.
const MANY: u64 = 10_000;

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
        let mut found = Finding::new(ID, severity, table, rows);
        found.reference = Some(reference.to_string());
        found.message = format!(
            "{}.{} has no index: whoever deletes a row of {} reads all of {}",
            reference.child,
            reference.child_columns.join(", "),
            reference.parent,
            reference.child
        );
        found.remedy = reference.create_index(session.origin());
        answers.findings.push(found);
    }
}
