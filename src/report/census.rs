//! A census for people: a line for each table with anything pending or archived, and how old what is pending is.

use std::fmt::Write as _;

use super::{grouped, right_aligned};
use crate::audit::Census;

/// The section that follows the findings.
pub(super) fn census_text(census: &Census) -> String {
    let or_none = |date: &Option<String>| date.clone().unwrap_or_else(|| "-".into());
    let total = census.total();
    let head = ["table", "rows", "pending", "in shadow", "oldest pending"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let some = census.tables.iter();
    let some = some.filter(|t| t.pending > 0 || t.archived.is_some_and(|n| n > 0));
    let total = crate::audit::TableCensus {
        table: "all".into(),
        ..total
    };
    for part in some.chain([&total]) {
        rows.push(vec![
            part.table.clone(),
            grouped(part.rows),
            match part.never_marked {
                true => "never marked".to_owned(),
                false => grouped(part.pending),
            },
            part.archived.map_or("no shadow".into(), grouped),
            or_none(&part.oldest),
        ]);
    }
    let mut out = format!("\ncensus at {} UTC\n", census.at);
    for line in right_aligned(rows, 1..4).lines() {
        let _ = writeln!(out, "    {line}");
    }
    let ages = total.ages.classes();
    let ages = ages.iter().filter(|(_, n)| *n > 0);
    let ages: Vec<_> = ages
        .map(|(class, n)| format!("{class} {}", grouped(*n)))
        .collect();
    if !ages.is_empty() {
        let _ = writeln!(out, "    pending by age: {}", ages.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Ages, TableCensus};

    #[test]
    fn tables_with_nothing_to_move_are_left_out_but_counted() {
        let mut census = Census::new("2026-01-31T12:00:00Z".parse().unwrap()).unwrap();
        census.tables.push(TableCensus {
            table: "instances".into(),
            rows: 12_000,
            pending: 2_000,
            archived: Some(7),
            oldest: Some("2025-01-01 00:00:00".into()),
            oldest_age_seconds: Some(395 * 86_400),
            ages: Ages {
                days_30: 1_900,
                older: 100,
                ..Ages::default()
            },
            ..TableCensus::default()
        });
        census.tables.push(TableCensus {
            table: "services".into(),
            rows: 3,
            ..TableCensus::default()
        });
        // Nobody can tell what of it is pending.
        census.tables.push(TableCensus {
            table: "task_log".into(),
            rows: 4,
            archived: Some(2),
            never_marked: true,
            ..TableCensus::default()
        });
        insta::assert_snapshot!(census_text(&census));
    }
}
