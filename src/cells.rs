//! Which of the cells that an API database lists are the ones that were given.

use std::collections::BTreeSet;

use crate::db::{DbError, Session, Target, Value};
use crate::error::{Error, Result};
use crate::schema::{ApiRecords, Schema};

/// The tables with records that an API database has.
///
/// # Errors
///
/// Exit code 65 if it has none of them, and so is no API database.
pub fn record_tables(label: &str, schema: &Schema, records: &ApiRecords) -> Result<Vec<String>> {
    let present = |t: &&String| {
        let table = schema.table(t);
        table.is_some_and(|t| t.column(&records.column).is_some())
    };
    let tables: Vec<_> = records.tables.iter().filter(present).cloned().collect();
    if tables.is_empty() {
        let names = records.tables.join(", ");
        let message = format!("{label} is not an API database: it has none of {names}");
        return Err(
            Error::data(message).hint("--api takes the database of [api_database] in nova.conf")
        );
    }
    Ok(tables)
}

/// A cell as the API database lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCell {
    /// Its id, which mappings name.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is among the given cells.
    pub given: bool,
}

/// Reads the API database's list of cells and finds the given ones in it: by name, or by the
/// database they are connected to. `given` holds name and label (a URL without password, or a path)
/// of each. Nothing is guessed: a copy of a cell must not pass for the cell.
pub fn listed_cells(
    api: &mut Session,
    records: &ApiRecords,
    given: &[(String, String)],
) -> Result<Vec<ListedCell>, DbError> {
    let engine = api.engine();
    let columns = ["id", "name", "database_connection"].map(String::from);
    let rows = api.query(&format!(
        "SELECT {} FROM {}",
        engine.quote_all(&columns),
        engine.quote(&records.cells)
    ))?;
    let text = |row: &[Value], i: usize| match row.get(i) {
        Some(value) if !value.is_null() => value.to_string(),
        _ => String::new(),
    };
    let rows: Vec<_> = rows
        .iter()
        .map(|r| (text(r, 0), text(r, 1), text(r, 2)))
        .collect();
    Ok(find(rows, given))
}

fn find(rows: Vec<(String, String, String)>, given: &[(String, String)]) -> Vec<ListedCell> {
    let mut covered = BTreeSet::new();
    for (name, label) in given {
        let by_name = rows.iter().find(|r| !name.is_empty() && r.1 == *name);
        let row = by_name.or_else(|| rows.iter().find(|r| same_database(label, &r.2)));
        covered.extend(row.map(|r| r.0.clone()));
    }
    let cell = |(id, name, _): (String, String, String)| ListedCell {
        given: covered.contains(&id),
        id,
        name,
    };
    rows.into_iter().map(cell).collect()
}

/// Templates such as `{scheme}://{username}@{hostname}/nova` name no database and match none.
fn same_database(label: &str, connection: &str) -> bool {
    match (label.parse::<Target>(), connection.parse::<Target>()) {
        (Ok(a), Ok(b)) => a.same_database(&b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(cells: &[(&str, &str)], given: &[(&str, &str)]) -> Vec<String> {
        let row = |(number, (name, url)): (usize, &(&str, &str))| {
            (number.to_string(), (*name).into(), (*url).into())
        };
        let rows = cells.iter().enumerate().map(row).collect();
        let given: Vec<_> = given
            .iter()
            .map(|(n, l)| ((*n).into(), (*l).into()))
            .collect();
        let found = find(rows, &given).into_iter();
        found.filter(|c| c.given).map(|c| c.name).collect()
    }

    #[test]
    fn cells_are_found_by_name_then_by_database_and_never_guessed() {
        let cells = [
            ("cell0", "mysql+pymysql://u:p@db/nova_cell0"),
            ("cell1", "mysql+pymysql://u:p@db/nova?charset=utf8"),
            ("cell2", "mysql+pymysql://u:p@db2/nova"),
        ];
        assert_eq!(given(&cells, &[("cell2", "mysql://x@far/y")]), ["cell2"]);
        assert_eq!(given(&cells, &[("", "mysql://r@db:3306/nova")]), ["cell1"]);
        assert_eq!(
            given(&cells, &[("", "mysql://r@127.0.0.1/copy")]),
            Vec::<String>::new()
        );
        assert_eq!(
            given(&cells[..2], &[("", "mysql://r@db/nova_cell0")]),
            ["cell0"]
        );
        let template = [
            ("", "{scheme}://{username}@{hostname}/nova"),
            ("b", "none:///"),
        ];
        assert_eq!(
            given(&template, &[("a", "mysql://db/nova")]),
            Vec::<String>::new()
        );
    }
}
