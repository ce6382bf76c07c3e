//! API-database records: cases 1 and 14, several cells.

use std::collections::BTreeMap;

use sexton::archive::{Api, Cell, Observer, Options};
use sexton::db::{Access, Session, Target, introspect, open};
use sexton::error::Result;
use sexton::schema::FamilyGraph;

use crate::support::cloud::{Cloud, uuid};
use crate::support::nova::{Nova, number, real_cell};

fn until_complete() -> Options {
    Options {
        until_complete: true,
        ..Options::default()
    }
}

/// cell0, cell1 and, if there is one, cell2.
fn list_cells(api: &mut Session, cells: &[(&str, &str)]) {
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
fn records(api: &mut Session, id: i64, cell: i64) {
    let uuid = uuid(id);
    for sql in [
        "INSERT IGNORE INTO instance_groups (id, uuid, name) VALUES (1, 'g', 'g')".to_owned(),
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

fn records_of(api: &mut Session, id: i64) -> i64 {
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

fn api<'a>(nova: &Nova, cells: &[(&str, &str, &'a FamilyGraph)]) -> Api<'a> {
    let session = |url: &str| open(&url.parse::<Target>().unwrap(), Access::ReadWrite).unwrap();
    let mut main = session(&nova.api.url);
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
fn archive(cell: &mut Cloud, api: &mut Api<'_>) -> u64 {
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

/// Bugs 1724621, 1751186, 1786298: mappings, specs and members of archived instances go.
#[test]
fn records_of_archived_instances_go_and_those_of_others_stay() {
    let mut nova = Nova::new();
    let mut records_db = nova.api.session();
    list_cells(&mut records_db, &[("cell1", &nova.cell.database.url)]);
    nova.cell.dead_instance(1);
    nova.cell.live_instance(2);
    records(&mut records_db, 1, 2);
    records(&mut records_db, 2, 2);
    let (graph, url) = (nova.cell.graph(), nova.cell.database.url.clone());
    let mut api = api(&nova, &[("", &url, &graph)]);
    assert_eq!(archive(&mut nova.cell, &mut api), 3);
    assert_eq!(
        (
            records_of(&mut records_db, 1),
            records_of(&mut records_db, 2)
        ),
        (0, 3)
    );
    assert_eq!(archive(&mut nova.cell, &mut api), 0);
}

/// Case 1: cut between the cell's commit and the clean-up. nova-manage never comes back for the
/// records; the next run of sexton does.
#[test]
fn case_1_records_that_an_interrupted_run_left_are_swept_by_the_next() {
    let mut nova = Nova::new();
    let mut records_db = nova.api.session();
    list_cells(&mut records_db, &[("cell1", &nova.cell.database.url)]);
    nova.cell.dead_instance(1);
    records(&mut records_db, 1, 2);
    // The cut: archived without the API database.
    nova.cell.archive_all();
    assert!(nova.cell.is_archived(1));

    let output = nova.nova_manage_archive(&["--verbose"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "Nothing was archived."
    );
    assert_eq!(
        (output.status.code(), records_of(&mut records_db, 1)),
        (Some(0), 3)
    );

    let (graph, url) = (nova.cell.graph(), nova.cell.database.url.clone());
    let found = {
        let mut cells = [sexton::audit::Cell {
            name: String::new(),
            session: &mut nova.cell.session,
            graph: &graph,
        }];
        let records = graph.profile.api.clone().unwrap();
        sexton::audit::stranded(&mut records_db, &mut cells, &records, 5)
    };
    assert_eq!(found.not_checked, []);
    assert_eq!(found.findings.iter().map(|f| f.count).sum::<u64>(), 3);
    let mut api = api(&nova, &[("", &url, &graph)]);
    assert_eq!(archive(&mut nova.cell, &mut api), 3);
    assert_eq!(records_of(&mut records_db, 1), 0);
}

/// Case 14: an instance that moved to another cell keeps its records, whichever cell is archived
/// and whether or not the other one was given.
#[test]
fn case_14_records_of_an_instance_that_lives_in_another_cell_stay() {
    let mut nova = Nova::new();
    let mut other = real_cell();
    let mut records_db = nova.api.session();
    let (url1, url2) = (nova.cell.database.url.clone(), other.database.url.clone());
    list_cells(&mut records_db, &[("cell1", &url1), ("cell2", &url2)]);
    // Both moved from cell1 to cell2 by a cross-cell resize; then 2 was deleted there.
    for id in [1, 2] {
        nova.cell.dead_instance(id);
        records(&mut records_db, id, 3);
    }
    other.live_instance(1);
    other.dead_instance(2);
    let (graph1, graph2) = (nova.cell.graph(), other.graph());

    let mut one = api(&nova, &[("cell1", &url1, &graph1)]);
    assert_eq!(archive(&mut nova.cell, &mut one), 0);
    assert_eq!(
        records_of(&mut records_db, 1) + records_of(&mut records_db, 2),
        6
    );
    assert!(one.elsewhere > 0, "it is said that a cell is missing");

    let mut both = api(
        &nova,
        &[("cell1", &url1, &graph1), ("cell2", &url2, &graph2)],
    );
    assert_eq!(archive(&mut nova.cell, &mut both), 0, "2 is in cell2 still");
    assert_eq!(archive(&mut other, &mut both), 3);
    assert_eq!(
        (
            records_of(&mut records_db, 1),
            records_of(&mut records_db, 2)
        ),
        (3, 0)
    );
}
