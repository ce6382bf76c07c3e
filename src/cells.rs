//! The cells that an API database lists: which of them were given, and where each is.

use std::collections::{BTreeMap, BTreeSet};

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
    Ok(find(rows(api, records)?, given))
}

/// The uuid of each cell by its id, where there is such a column: for nova-manage's words alone.
fn uuids(api: &mut Session, records: &ApiRecords) -> BTreeMap<String, String> {
    let engine = api.engine();
    let (columns, table) = (["id", "uuid"].map(String::from), &records.cells);
    let select = format!(
        "SELECT {} FROM {}",
        engine.quote_all(&columns),
        engine.quote(table)
    );
    let rows = api.query(&select).unwrap_or_default();
    rows.iter()
        .filter_map(|row| Some((row.first()?.to_string(), row.get(1)?.as_text()?.to_owned())))
        .collect()
}

/// A row of the list; what is NULL is empty.
#[derive(Debug, Default)]
struct Row {
    id: String,
    name: String,
    connection: String,
}

/// The list, in the order of its ids.
fn rows(api: &mut Session, records: &ApiRecords) -> Result<Vec<Row>, DbError> {
    let engine = api.engine();
    let columns = ["id", "name", "database_connection"].map(String::from);
    let rows = api.query(&format!(
        "SELECT {} FROM {} ORDER BY {}",
        engine.quote_all(&columns),
        engine.quote(&records.cells),
        engine.quote("id")
    ))?;
    let text = |row: &[Value], i: usize| match row.get(i) {
        Some(value) if !value.is_null() => value.to_string(),
        _ => String::new(),
    };
    let row = |r: &Vec<Value>| Row {
        id: text(r, 0),
        name: text(r, 1),
        connection: text(r, 2),
    };
    Ok(rows.iter().map(row).collect())
}

/// A cell by its entry in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellDatabase {
    /// Its name; its id where it has none, and the id behind the name where another has the same.
    pub name: String,
    /// How nova-manage names it: `UUID(NAME)`.
    pub identity: String,
    /// Where it is.
    pub target: Target,
}

/// The database of every cell that the API database lists, but for those without one (`none:///`). `default` is the
/// URL that stands for the parts of a template: that of `[database]` in the nova.conf.
///
/// # Errors
///
/// Exit code 65 if the list is empty, or a connection in it is no URL, cannot be filled in or is there twice.
pub fn cell_databases(
    api: &mut Session,
    records: &ApiRecords,
    default: Option<&str>,
) -> Result<Vec<CellDatabase>> {
    let table = &records.cells;
    let mut listed = rows(api, records)?;
    listed.retain(|row| !row.connection.starts_with("none:"));
    if listed.is_empty() {
        return Err(
            Error::data(format!("{} lists no cells in {table}", api.label()))
                .hint("name them with --cell NAME=DB"),
        );
    }
    let uuids = uuids(api, records);
    let mut cells: Vec<CellDatabase> = Vec::new();
    for row in &listed {
        let twins = listed.iter().filter(|other| other.name == row.name).count();
        let name = match (row.name.as_str(), twins) {
            ("", _) => row.id.clone(),
            (name, 1) => name.to_owned(),
            (name, _) => format!("{name}({})", row.id),
        };
        let bad = |what: String| {
            Error::data(format!("cell {name} in {table}: {what}"))
                .hint("mend its database_connection, or name the cells with --cell NAME=DB")
        };
        let url = expand(&row.connection, default).map_err(bad)?;
        let target = url.parse::<Target>().map_err(|e| bad(e.message))?;
        if let Some(twin) = cells.iter().find(|c| c.target.same_database(&target)) {
            return Err(bad(format!(
                "its database is that of cell {}, too",
                twin.name
            )));
        }
        let identity = match (uuids.get(&row.id), row.name.as_str()) {
            (None, _) => name.clone(),
            (Some(uuid), "") => uuid.clone(),
            (Some(uuid), name) => format!("{uuid}({name})"),
        };
        cells.push(CellDatabase {
            name,
            identity,
            target,
        });
    }
    Ok(cells)
}

/// A connection with the parts of `default` in the places of `{username}` and the like, by the rules of
/// nova (`CellMapping.format_db_url`, which reads the URL with Python's `urlparse`).
fn expand(template: &str, default: Option<&str>) -> Result<String, String> {
    if !template.contains('{') {
        return Ok(template.to_owned());
    }
    let default =
        default.ok_or("its connection is a template, and no database was given to fill it")?;
    let parts = parts(default);
    let mut url = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind
            .split_once('}')
            .ok_or("its template has no closing brace")?;
        let known = parts.iter().find(|(part, _)| *part == name);
        // Not quoted: what stands there may be a piece of a password.
        let (_, value) = known.ok_or_else(|| {
            let known: Vec<_> = parts.iter().map(|(part, _)| *part).collect();
            format!(
                "its template has something else in braces than {}",
                known.join(", ")
            )
        })?;
        url.push_str(before);
        url.push_str(value);
        rest = after;
    }
    Ok(url + rest)
}

fn parts(url: &str) -> [(&'static str, &str); 8] {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = place.rsplit_once('@').unwrap_or(("", place));
    let (username, password) = login.split_once(':').unwrap_or((login, ""));
    let (hostname, port) = match address.strip_prefix('[').and_then(|a| a.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or("")),
        None => address.split_once(':').unwrap_or((address, "")),
    };
    [
        ("scheme", scheme),
        ("username", username),
        ("password", password),
        ("hostname", hostname),
        ("port", port),
        ("path", path.trim_start_matches('/')),
        ("query", query),
        ("fragment", fragment),
    ]
}

fn find(rows: Vec<Row>, given: &[(String, String)]) -> Vec<ListedCell> {
    let mut covered = BTreeSet::new();
    for (name, label) in given {
        let by_name = rows.iter().find(|r| !name.is_empty() && r.name == *name);
        let same = |r: &&Row| same_database(label, &r.connection);
        let row = by_name.or_else(|| rows.iter().find(same));
        covered.extend(row.map(|r| r.id.clone()));
    }
    let cell = |row: Row| ListedCell {
        given: covered.contains(&row.id),
        id: row.id,
        name: row.name,
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
        let row = |(number, (name, url)): (usize, &(&str, &str))| Row {
            id: number.to_string(),
            name: (*name).into(),
            connection: (*url).into(),
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
    fn a_template_takes_the_parts_of_the_default() {
        let default = Some("mysql+pymysql://no:p%40ss@db.example:3307/nova?charset=utf8");
        for (template, url) in [
            ("none:///", "none:///"),
            (
                "{scheme}://{username}:{password}@{hostname}:{port}/{path}?{query}",
                "mysql+pymysql://no:p%40ss@db.example:3307/nova?charset=utf8",
            ),
            (
                "{scheme}://{username}@other/{path}_cell0#{fragment}",
                "mysql+pymysql://no@other/nova_cell0#",
            ),
        ] {
            assert_eq!(expand(template, default).unwrap(), url);
        }
        let v6 = Some("postgresql://[::1]:5433/nova");
        assert_eq!(
            expand("x://[{hostname}]:{port}/y", v6).unwrap(),
            "x://[::1]:5433/y"
        );
        assert_eq!(
            expand("sqlite:////{path}", Some("sqlite:////srv/nova.db")).unwrap(),
            "sqlite:////srv/nova.db"
        );
        assert!(
            expand("{scheme}://", None)
                .unwrap_err()
                .contains("no database was given")
        );
        assert_eq!(
            expand("mysql://nova:a{s3cret}b@db/nova", default).unwrap_err(),
            "its template has something else in braces than scheme, username, password, hostname, port, path, query, \
             fragment"
        );
        assert!(
            expand("{scheme", default)
                .unwrap_err()
                .contains("closing brace")
        );
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
