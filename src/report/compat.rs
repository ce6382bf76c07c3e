//! Exactly what `nova-manage db archive_deleted_rows` and the `db purge` of several services print
//! and return, so that scripts written for them keep working. Sources: cmd/manage.py of nova 34.0.0,
//! manila 23.0.1, cinder 29.0.0 and glance 33.0.0.

use std::collections::BTreeMap;

use crate::archive::Outcome;

/// Exit code for a bad `max_rows`.
pub const BAD_MAX_ROWS: u8 = 2;
/// Exit code where the API database cannot be reached.
pub const NO_API_CODE: u8 = 3;
/// Exit code for a bad `--before`.
pub const BAD_BEFORE: u8 = 4;
/// Exit code of an exception.
pub const EXCEPTION: u8 = 255;
/// What is said before `--purge` does its work.
pub const PURGING: &str = "Rows were archived, running purge...";
/// What is said where the API database cannot be reached.
pub const NO_API: &str = "Failed to connect to API DB so aborting this archival attempt. Please \
                          check your config file to make sure that [api_database]/connection is \
                          set and run this command again.";
/// The largest `max_rows`.
const MAX_INT: i64 = 0x7FFF_FFFF;

/// Says what is wrong with the number of `max_rows`, if anything. What is no number is for stderr.
///
/// # Errors
///
/// The line to print.
pub fn check_max_rows(text: &str) -> Result<(), String> {
    match text.parse::<i64>() {
        Ok(n) if n > MAX_INT => Err(format!("max rows must be <= {MAX_INT}")),
        Ok(n) if n < 0 => Err("Must supply a positive value for max_rows".into()),
        _ => Ok(()),
    }
}

/// The line for a bad `--before`.
pub fn bad_before(error: &crate::error::Error) -> String {
    format!("Invalid value for --before: {}", error.message)
}

/// `Archiving..` with a dot for each batch and how it ended.
pub fn closing_dots(batches: u64, interrupted: bool) -> String {
    let dots = ".".repeat(usize::try_from(batches).unwrap_or(0));
    let end = if interrupted { "stopped" } else { "complete" };
    format!("Archiving..{dots}.{end}")
}

/// The table of archived rows, or `Nothing was archived.`
pub fn table(outcome: &Outcome, had_api: bool) -> String {
    let mut rows: BTreeMap<String, u64> = outcome.rows.clone();
    if rows.values().all(|n| *n == 0) {
        return "Nothing was archived.".into();
    }
    let instances = rows
        .keys()
        .any(|t| t == "instances" || t.ends_with(".instances"));
    if had_api && instances {
        for table in [
            "instance_mappings",
            "request_specs",
            "instance_group_member",
        ] {
            let count = outcome.api_records.get(table).copied().unwrap_or(0);
            rows.insert(format!("API_DB.{table}"), count);
        }
    }
    let head = ("Table".to_owned(), "Number of Rows Archived".to_owned());
    let mut lines = vec![head];
    lines.extend(rows.into_iter().map(|(table, n)| (table, n.to_string())));
    let width = |pick: fn(&(String, String)) -> usize| lines.iter().map(pick).max().unwrap_or(0);
    let (left, right) = (width(|l| l.0.len()), width(|l| l.1.len()));
    let rule = format!("+{}+{}+", "-".repeat(left + 2), "-".repeat(right + 2));
    let mut text = vec![rule.clone()];
    for (number, (name, count)) in lines.iter().enumerate() {
        text.push(format!("| {name:<left$} | {count:<right$} |"));
        if number == 0 {
            text.push(rule.clone());
        }
    }
    text.push(rule);
    text.join("\n")
}

/// What is said of each shadow table that was emptied, in the database or, with several cells, in the
/// cell whose name stands before the table's; `columns` has the date column by shadow table, if dates
/// were asked for, `cells` its own name for a cell (source: objects/cell_mapping.py, `identity`).
pub fn purged(
    rows: &BTreeMap<String, u64>,
    columns: &BTreeMap<String, String>,
    cells: &BTreeMap<String, String>,
) -> Vec<String> {
    let emptied = rows.iter().filter(|(_, rows)| **rows > 0);
    let line = |(table, rows): (&String, &u64)| {
        let (place, table) = match table.split_once('.') {
            Some((cell, table)) => {
                let identity = cells.get(cell).map_or(cell, String::as_str);
                (format!("Cell {identity}"), table)
            }
            None => ("DB".to_owned(), table.as_str()),
        };
        let column = columns.get(table).map_or("(n/a)", String::as_str);
        format!("{place}: Deleted {rows} rows from {table} based on timestamp column {column}")
    };
    emptied.map(line).collect()
}

/// Exit code of `db purge` of nova without `--before` and `--all`.
pub const PURGE_NO_ARGUMENTS: u8 = 1;
/// What it says then.
pub const PURGE_NEEDS: &str = "Either --before or --all is required";
/// Exit code of `db purge` of nova for a bad `--before`.
pub const PURGE_BAD_BEFORE: u8 = 2;
/// Exit code of `db purge` of nova where nothing was deleted.
pub const PURGE_NOTHING: u8 = 3;
/// Exit code of `db purge` of nova where the API database does not list the cells.
pub const PURGE_NO_CELLS: u8 = 4;
/// What it says then.
pub const NO_CELLS: &str = "Unable to get cell list from API DB. Is it configured?";

/// Exit code of the other services' `db purge` for a bad age, and for any failure.
pub const BAD_AGE: u8 = 1;
/// What manila-manage says of a bad age.
pub const AGE_OF_MANILA: &str = "Must supply a non-negative value for age.";
/// What cinder-manage says of a bad age.
pub const AGE_OF_CINDER: &str = "Must supply a positive value for age";
/// What glance-manage says of a bad age.
pub const AGE_OF_GLANCE: &str = "Must supply a non-negative value for age.";

/// 0 if anything was purged, 3 if nothing was.
pub fn purge_code(outcome: &Outcome) -> u8 {
    if outcome.total_rows > 0 {
        0
    } else {
        PURGE_NOTHING
    }
}

/// 1 if anything was archived, 0 if nothing was.
pub fn exit_code(outcome: &Outcome) -> u8 {
    u8::from(outcome.rows.values().any(|n| *n > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_prettytable_left_aligned_and_sorted() {
        let mut outcome = Outcome::default();
        assert_eq!(table(&outcome, true), "Nothing was archived.");
        assert_eq!(exit_code(&outcome), 0);
        outcome.rows.insert("instances".into(), 5);
        outcome.rows.insert("instance_extra".into(), 5);
        outcome.api_records.insert("request_specs".into(), 4);
        insta::assert_snapshot!(table(&outcome, true), @r"
        +------------------------------+-------------------------+
        | Table                        | Number of Rows Archived |
        +------------------------------+-------------------------+
        | API_DB.instance_group_member | 0                       |
        | API_DB.instance_mappings     | 0                       |
        | API_DB.request_specs         | 4                       |
        | instance_extra               | 5                       |
        | instances                    | 5                       |
        +------------------------------+-------------------------+
        ");
        assert_eq!(exit_code(&outcome), 1);
        assert_eq!(closing_dots(2, false), "Archiving.....complete");
    }

    #[test]
    fn bad_max_rows_is_said_in_its_words() {
        assert!(check_max_rows("0").is_ok());
        assert!(check_max_rows("abc").is_ok());
        assert_eq!(
            check_max_rows("-1").unwrap_err(),
            "Must supply a positive value for max_rows"
        );
        assert!(
            check_max_rows("99999999999")
                .unwrap_err()
                .starts_with("max rows must be <=")
        );
    }
}
