//! A run as lines of JSON: the head, a line for each table, each blocked family, the summary. Every line has a
//! `type`, the first one the version.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::archive::{Blocked, Outcome, StopReason};
use crate::error::Result;
use crate::report::lines;

/// A line.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line<'a> {
    Head {
        version: u32,
        database: &'a str,
        dry_run: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<&'a str>,
    },
    /// Rows of a table; `what` is the name of the field that JSON has for them.
    Rows {
        what: &'static str,
        table: &'a str,
        rows: u64,
    },
    Blocked(&'a Blocked),
    BlockedFamilies {
        reason: &'a str,
        families: u64,
    },
    Unreachable {
        cell: &'a str,
        why: &'a str,
    },
    Summary {
        total_rows: u64,
        families: u64,
        purge_kept: u64,
        batches: u64,
        statements: u64,
        retries: u64,
        elapsed_ms: u64,
        spent_ms: &'a BTreeMap<String, u64>,
        stopped_because: StopReason,
    },
}

/// The outcome as lines of JSON.
///
/// # Errors
///
/// Exit code 70 if it cannot be written as JSON.
pub fn archive_jsonl(outcome: &Outcome) -> Result<String> {
    let mut all = vec![Line::Head {
        version: outcome.version,
        database: &outcome.database,
        dry_run: outcome.dry_run,
        before: outcome.before.as_deref(),
    }];
    for (what, tables) in [
        ("rows", &outcome.rows),
        ("dropped", &outcome.dropped),
        ("api_records", &outcome.api_records),
        ("purged", &outcome.purged),
        ("left_behind", &outcome.left_behind),
    ] {
        all.extend(tables.iter().map(|(table, rows)| Line::Rows {
            what,
            table,
            rows: *rows,
        }));
    }
    all.extend(outcome.blocked.iter().map(Line::Blocked));
    let blocked = outcome.blocked_families.iter();
    all.extend(blocked.map(|(reason, families)| Line::BlockedFamilies {
        reason,
        families: *families,
    }));
    let unreachable = outcome.unreachable.iter();
    all.extend(unreachable.map(|(cell, why)| Line::Unreachable { cell, why }));
    all.push(Line::Summary {
        total_rows: outcome.total_rows,
        families: outcome.families,
        purge_kept: outcome.purge_kept,
        batches: outcome.batches,
        statements: outcome.statements,
        retries: outcome.retries,
        elapsed_ms: outcome.elapsed_ms,
        spent_ms: &outcome.spent_ms,
        stopped_because: outcome.stopped_because,
    });
    lines(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_table_and_blocked_family() {
        insta::assert_snapshot!(archive_jsonl(&super::super::example()).unwrap());
    }
}
