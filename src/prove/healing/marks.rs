//! Markers that lack a date or bear another key than their own, and what a repair may put there.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::state::{Record, Shape, State, TableShape};

/// Stands in states for a moment at which the engine has run.
const NOW: &str = "now";

/// Whether a row is marked, and does not say since when, or bears another key than its own.
pub(super) fn is_ill_marked(table: &TableShape, row: &Record) -> bool {
    lacks_date(table, row) || lacks_key(table, row)
}

fn lacks_date(table: &TableShape, row: &Record) -> bool {
    table.is_marked(row) && table.date().is_some_and(|at| row[at].is_none())
}

fn lacks_key(table: &TableShape, row: &Record) -> bool {
    let marker = table.key_in_marker();
    marker.is_some_and(|(marker, key)| table.is_marked(row) && row[marker] != row[key])
}

/// The row as it was at the start, if it differs from that only in what a repair may set, and how.
pub(in super::super) fn unhealed_row(
    shape: &Shape,
    start: &State,
    index: usize,
    row: &Record,
) -> Record {
    let table = &shape.tables[index];
    let name = table.row_name(row);
    let mut were = start.tables[index].live.iter();
    let was = were.find(|was| is_ill_marked(table, was) && table.row_name(was) == name);
    let Some(was) = was else {
        return row.clone();
    };
    let mut told = row.clone();
    if let Some(at) = table.date().filter(|_| lacks_date(table, was))
        && let Some(date) = &row[at]
        && dates(shape, start, (index, was), &mut HashSet::new()).contains(date)
    {
        told[at] = None;
    }
    if let Some((marker, key)) = table.key_in_marker().filter(|_| lacks_key(table, was))
        && row[marker] == row[key]
    {
        told[marker].clone_from(&was[marker]);
    }
    told
}

/// When a row may have been deleted that does not say so: with one that owns it, else now.
fn dates(
    shape: &Shape,
    start: &State,
    (table, row): (usize, &Record),
    seen: &mut HashSet<String>,
) -> BTreeSet<String> {
    let mut dates = BTreeSet::new();
    let mut known = false;
    let references = shape.references.iter();
    for reference in references.filter(|r| r.owned && r.child == table && r.parent != table) {
        let Some(target) = reference.target(row) else {
            continue;
        };
        let owner = &shape.tables[reference.parent];
        let owners = start.tables[reference.parent].live.iter();
        let owners = owners.filter(|o| reference.name_of(o).as_ref() == Some(&target));
        for row in owners.filter(|o| owner.is_marked(o)) {
            match owner.date().and_then(|at| row[at].clone()) {
                Some(date) => {
                    known = true;
                    dates.insert(date);
                }
                // It is dated before, or after; of those that own each other either is first.
                None if seen.insert(owner.row_name(row)) => {
                    dates.extend(self::dates(shape, start, (reference.parent, row), seen));
                }
                None => {}
            }
        }
    }
    if !known {
        dates.insert(NOW.into());
    }
    dates
}

/// Moments of this run become [`NOW`], so that what two runs do is the same.
pub(in super::super) fn forget_the_time(shape: &Shape, state: &mut State) {
    const MINUTES: i64 = 10;
    let now = Timestamp::now().as_second();
    let is_now = |text: &str| {
        let date = text
            .get(..19)
            .and_then(|text| text.parse::<DateTime>().ok());
        let moment = date.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
        moment.is_some_and(|m| (m.timestamp().as_second() - now).abs() < 60 * MINUTES)
    };
    for (table, sides) in shape.tables.iter().zip(&mut state.tables) {
        let Some(at) = table.date() else {
            continue;
        };
        for rows in [&mut sides.live, &mut sides.shadow] {
            for date in rows.iter_mut().filter_map(|row| row[at].as_mut()) {
                if is_now(date) {
                    *date = NOW.into();
                }
            }
            rows.sort_unstable();
        }
    }
}
