//! Records in an API database, and what has to become of them.

use std::collections::BTreeMap;

use sexton::archive::{Api, Cell, Observer, Options};
use sexton::db::{Access, Session, Target, introspect, open};
use sexton::error::Result;
use sexton::schema::FamilyGraph;

use super::cloud::{Cloud, uuid};
use super::databases::Database;
use super::nova::number;

fn until_complete() -> Options {
    Options {
        until_complete: true,
        ..Options::default()
    }
}

/// cell0, cell1 and, if there is one, cell2.
pub(crate) fn list_cells(api: &mut Session, cells: &[(&str, &str)]) {
    api.execute(
        "INSERT INTO cell_mappings (id, uuid, name, transport_url, database_connection) \
         VALUES (1, '00000000-0000-0000-0000-000000000000', 'cell0', 'none:///', \
         'mysql://nowhere/cell0')",
    )
    .unwrap();
    for (number, (name, url)) in cells.iter().enumerate() {
        let id = number + 2;
        api.execute(&format!(
            "INSERT INTO cell_mappings (id, uuid, name, transport_url, database_connection) \
             VALUES ({id}, 'u{id}', '{name}', 'none:///', '{url}')"
        ))
        .unwrap();
    }
}

/// Mapping, request spec and group membership of an instance in a cell.
pub(crate) fn records(api: &mut Session, id: i64, cell: i64) {
    let uuid = uuid(id);
    for sql in [
        "INSERT INTO instance_groups (id, uuid, name) SELECT 1, 'g', 'g' \
         WHERE NOT EXISTS (SELECT 1 FROM instance_groups)"
            .to_owned(),
        format!(
            "INSERT INTO instance_mappings (instance_uuid, cell_id, project_id) \
             VALUES ('{uuid}', {cell}, 'p')"
        ),
        format!("INSERT INTO request_specs (instance_uuid, spec) VALUES ('{uuid}', '{{}}')"),
        format!("INSERT INTO instance_group_member (instance_uuid, group_id) VALUES ('{uuid}', 1)"),
    ] {
        api.execute(&sql).unwrap();
    }
}

pub(crate) fn records_of(api: &mut Session, id: i64) -> i64 {
    let uuid = uuid(id);
    [
        "instance_mappings",
        "request_specs",
        "instance_group_member",
    ]
    .map(|t| {
        number(
            api,
            &format!("SELECT COUNT(*) FROM {t} WHERE instance_uuid = '{uuid}'"),
        )
    })
    .into_iter()
    .sum()
}

pub(crate) fn api<'a>(api: &Database, cells: &[(&str, &str, &'a FamilyGraph)]) -> Api<'a> {
    let session = |url: &str| open(&url.parse::<Target>().unwrap(), Access::ReadWrite).unwrap();
    let mut main = session(&api.url);
    let schema = introspect(&mut main).unwrap();
    let records = cells[0].2.profile.api.clone().unwrap();
    let cells = cells
        .iter()
        .map(|(name, url, graph)| Cell {
            name: (*name).into(),
            session: session(url),
            graph,
        })
        .collect();
    Api::new(main, &schema, records, cells).unwrap()
}

/// Cleans the API database after each batch, as the command does.
struct Clean<'a, 'c> {
    api: &'a mut Api<'c>,
    removed: u64,
}

impl Observer for Clean<'_, '_> {
    fn archived(&mut self, keys: &[String]) -> Result<BTreeMap<String, u64>> {
        let removed = self.api.remove(keys)?;
        self.removed += removed.values().sum::<u64>();
        Ok(removed)
    }
}

/// Runs the archive of one cell with its API clean-up, as the command does.
pub(crate) fn archive(cell: &mut Cloud, api: &mut Api<'_>) -> u64 {
    let graph = cell.graph();
    let stop = sexton::archive::Stop::default();
    let mut clean = Clean { api, removed: 0 };
    sexton::archive::archive(
        &mut cell.session,
        &graph,
        &until_complete(),
        &stop,
        &mut clean,
    )
    .unwrap();
    let removed = clean.removed;
    removed + api.sweep().unwrap().values().sum::<u64>()
}

/// Counts what would go when this cell is archived, and reads only.
struct Foretell<'a, 'c> {
    api: &'a mut Api<'c>,
    cell: &'a str,
}

impl Observer for Foretell<'_, '_> {
    fn would_archive(&mut self, keys: &[String]) -> Result<BTreeMap<String, u64>> {
        self.api.would_remove(self.cell, keys)
    }
}

/// Runs a dry run of these cells, as the command does: how many records would go.
pub(crate) fn foretold(cells: &mut [(&str, &mut Cloud)], api: &mut Api<'_>) -> u64 {
    let options = Options {
        dry_run: true,
        ..until_complete()
    };
    let stop = sexton::archive::Stop::default();
    let mut records = 0;
    for (name, cell) in cells {
        let graph = cell.graph();
        let mut observer = Foretell { api, cell: name };
        let session = &mut cell.session;
        let outcome =
            sexton::archive::archive(session, &graph, &options, &stop, &mut observer).unwrap();
        records += outcome.api_records.values().sum::<u64>();
    }
    records + api.would_sweep().unwrap().values().sum::<u64>()
}

/// Bugs 1724621, 1751186, 1786298: mappings, specs and members of archived instances go.
pub(crate) fn those_of_archived_instances_go_and_those_of_others_stay(
    mut cell: Cloud,
    records_db: &Database,
) {
    let mut session = records_db.session();
    list_cells(&mut session, &[("cell1", &cell.database.url)]);
    cell.dead_instance(1);
    cell.live_instance(2);
    records(&mut session, 1, 2);
    records(&mut session, 2, 2);
    let (graph, url) = (cell.graph(), cell.database.url.clone());
    let mut api = api(records_db, &[("", &url, &graph)]);
    assert_eq!(foretold(&mut [("", &mut cell)], &mut api), 3);
    assert_eq!([1, 2].map(|id| records_of(&mut session, id)), [3, 3]);
    assert_eq!(archive(&mut cell, &mut api), 3);
    let left = [1, 2].map(|id| records_of(&mut session, id));
    assert_eq!(left, [0, 3]);
    assert_eq!(archive(&mut cell, &mut api), 0);
}

/// Case 14: an instance that moved to another cell keeps its records, whichever cell is archived
/// and whether or not the other one was given.
pub(crate) fn those_of_an_instance_that_lives_in_another_cell_stay(
    mut cell: Cloud,
    mut other: Cloud,
    records_db: &Database,
) {
    let mut session = records_db.session();
    let (url1, url2) = (cell.database.url.clone(), other.database.url.clone());
    list_cells(&mut session, &[("cell1", &url1), ("cell2", &url2)]);
    // Both moved from cell1 to cell2 by a cross-cell resize; then 2 was deleted there.
    for id in [1, 2] {
        cell.dead_instance(id);
        records(&mut session, id, 3);
    }
    other.live_instance(1);
    other.dead_instance(2);
    let (graph1, graph2) = (cell.graph(), other.graph());
    let left = |session: &mut Session| [1, 2].map(|id| records_of(session, id));

    let given = [("cell1", &*url1, &graph1), ("cell2", &*url2, &graph2)];
    let all = &mut [("cell1", &mut cell), ("cell2", &mut other)];
    assert_eq!(
        foretold(all, &mut api(records_db, &given)),
        3,
        "2 leaves both"
    );

    let mut one = api(records_db, &given[..1]);
    assert_eq!(foretold(&mut [("cell1", &mut cell)], &mut one), 0);
    assert_eq!(one.elsewhere, 2);
    let mut one = api(records_db, &given[..1]);
    assert_eq!(archive(&mut cell, &mut one), 0);
    assert_eq!(left(&mut session), [3, 3]);
    assert!(one.elsewhere > 0, "it is said that a cell is missing");

    let mut both = api(records_db, &given);
    assert_eq!(archive(&mut cell, &mut both), 0, "2 is in cell2 still");
    assert_eq!(archive(&mut other, &mut both), 3);
    assert_eq!(left(&mut session), [3, 0]);
}
