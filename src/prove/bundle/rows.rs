//! Where the rows of the family concerned lie, before and after.

use std::collections::BTreeSet;

use super::super::evidence::{Evidence, When};
use super::super::oracle::{Breach, Oracle};
use super::super::scenario::Scenario;
use super::super::state::{Record, Shape, State};

/// Where a row is that is in neither table.
const NOWHERE: &str = "not there";

/// Most rows that are shown.
const SHOWN: usize = 40;

/// A Markdown table: a line for each row of the family, a column for each moment.
pub(super) fn table(scenario: &Scenario, evidence: &Evidence, breach: &Breach) -> String {
    let columns = columns(scenario, evidence, breach);
    let mut lines = Vec::new();
    let concerned = concerned(evidence, breach, &columns);
    for name in &concerned {
        let places = columns.iter().map(|(_, s)| place(&evidence.shape, s, name));
        lines.push(line(name, places));
    }
    if breach.oracle == Oracle::ApiConsistent {
        for (name, index, record) in records(evidence, &columns) {
            let places = columns.iter().map(|(_, s)| {
                let there = s.api.get(index).is_some_and(|rows| rows.contains(record));
                if there { "there" } else { "gone" }.to_owned()
            });
            lines.push(line(&name, places));
        }
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    let heads = columns.iter().map(|(head, _)| head.clone());
    let rule = columns.iter().map(|_| "---".to_owned());
    let mut text = line("row", heads) + &line("---", rule) + &lines.concat();
    if more > 0 {
        text.push_str(&format!("\nand {more} more\n"));
    }
    text
}

fn line(first: &str, rest: impl Iterator<Item = String>) -> String {
    let rest: Vec<_> = rest.collect();
    format!("| {first} | {} |\n", rest.join(" | "))
}

type Column<'a> = (String, &'a State);

/// Before the run; after the run that was hit; when the oracle said no; at the end; and what the end
/// should have been.
fn columns<'a>(scenario: &Scenario, evidence: &'a Evidence, breach: &Breach) -> Vec<Column<'a>> {
    let mut columns: Vec<Column<'a>> = vec![("before".into(), &evidence.start)];
    let mut add = |head: String, state: &'a State| {
        if !columns.iter().any(|(h, _)| *h == head) {
            columns.push((head, state));
        }
    };
    let seen = evidence.seen.get(&breach.fingerprint());
    let seen = seen.and_then(|index| evidence.moments.get(*index));
    let disturbed = scenario.case != super::super::case::Case::default();
    let after = evidence.after(0).filter(|_| disturbed);
    if let Some(moment) = seen.filter(|m| matches!(m.when, When::Commit { run: 0, .. })) {
        add(head(moment.when), &moment.state);
    }
    if let Some(state) = after {
        add(head(When::End { run: 0 }), state);
    }
    if let Some(moment) = seen {
        add(head(moment.when), &moment.state);
    }
    if let Some(moment) = evidence.moments.last() {
        add(head(moment.when), &moment.state);
    }
    if breach.oracle == Oracle::Convergent && disturbed {
        add("undisturbed".into(), &evidence.expected);
    }
    columns
}

fn head(when: When) -> String {
    match when {
        When::Commit { run: 0, point } => format!("after statement {point}"),
        When::Commit { run, point } => format!("after statement {point} of run {}", run + 1),
        When::End { run } => format!("after run {}", run + 1),
    }
}

fn sides(state: &State, table: usize) -> impl Iterator<Item = &Record> {
    let sides = state.tables.get(table);
    sides
        .into_iter()
        .flat_map(|s| s.live.iter().chain(&s.shadow))
}

/// The rows that the oracle names or that are not always there, and all that they own or are owned by; if
/// there are none, all rows.
fn concerned(evidence: &Evidence, breach: &Breach, columns: &[Column<'_>]) -> Vec<String> {
    let shape = &evidence.shape;
    let mut all: Vec<(usize, &Record, String)> = Vec::new();
    for (index, table) in shape.tables.iter().enumerate() {
        for record in columns.iter().flat_map(|(_, state)| sides(state, index)) {
            let name = table.row_name(record);
            if !all.iter().any(|(.., known)| *known == name) {
                all.push((index, record, name));
            }
        }
    }
    // What was lost, or came from nowhere, matters wherever it was.
    let missing = |name: &str| {
        let mut states = columns.iter().map(|(_, state)| state);
        states.any(|state| place(shape, state, name) == NOWHERE)
    };
    let mut rows: BTreeSet<usize> = (0..all.len())
        .filter(|row| names(&breach.what, &all[*row].2) || missing(&all[*row].2))
        .collect();
    if rows.is_empty() {
        rows = (0..all.len()).collect();
    }
    loop {
        let before = rows.len();
        for reference in shape.references.iter().filter(|r| r.owned) {
            let children = all.iter().enumerate();
            for (child, (_, record, _)) in children.filter(|(_, (t, ..))| *t == reference.child) {
                let target = reference.target(record);
                if target.is_none() {
                    continue;
                }
                for (parent, (table, record, _)) in all.iter().enumerate() {
                    let same = *table == reference.parent && reference.name_of(record) == target;
                    if same && (rows.contains(&parent) || rows.contains(&child)) {
                        rows.extend([parent, child]);
                    }
                }
            }
        }
        if rows.len() == before {
            break;
        }
    }
    rows.into_iter().map(|row| all[row].2.clone()).collect()
}

/// Whether the text speaks of this row; `root:1` is not spoken of in `root:10`.
fn names(text: &str, row: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    text.match_indices(row).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + row.len()..]);
        ends(before.chars().next_back()) && ends(after.chars().next())
    })
}

fn place(shape: &Shape, state: &State, name: &str) -> String {
    let mut found = (false, false);
    for (table, sides) in shape.tables.iter().zip(&state.tables) {
        let has = |rows: &[Record]| rows.iter().any(|r| table.row_name(r) == name);
        found.0 |= has(&sides.live);
        found.1 |= has(&sides.shadow);
    }
    match found {
        (true, false) => "live",
        (false, true) => shape.away(),
        (true, true) => return format!("live and {}", shape.away()),
        (false, false) => NOWHERE,
    }
    .to_owned()
}

/// The API records of all moments: name, table, row.
fn records<'a>(evidence: &'a Evidence, columns: &[Column<'a>]) -> Vec<(String, usize, &'a Record)> {
    let mut found: Vec<(String, usize, &Record)> = Vec::new();
    for (index, (table, names)) in evidence.shape.api.iter().enumerate() {
        let key = names.iter().position(|c| c == "id").unwrap_or(0);
        for (_, state) in columns {
            for record in state.api.get(index).into_iter().flatten() {
                let id = record.get(key).cloned().flatten().unwrap_or_default();
                let name = format!("{table}:{id}");
                if !found.iter().any(|(known, ..)| *known == name) {
                    found.push((name, index, record));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_named_by_its_whole_name() {
        assert!(names("root:1, root:2 lost", "root:1"));
        assert!(!names("root:10 lost", "root:1"));
        assert!(!names("taproot:1 lost", "root:1"));
    }
}
