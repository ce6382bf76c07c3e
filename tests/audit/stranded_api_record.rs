use sexton::audit::{Cell, Stranded, stranded};
use sexton::schema::Profile;

use crate::fixture::{Db, State, line, uuid};

/// An API database: cells 1 (`cell0`), 2 (`cell1`) and `more`; instances mapped to a cell or none.
fn api(more: &[(u32, &str)], mapped: &[(u32, Option<u32>)]) -> Db {
    let mut db = Db::empty();
    for table in ["request_specs", "instance_group_member"] {
        db.sql(&format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, instance_uuid VARCHAR(36))"
        ));
    }
    db.sql("CREATE TABLE instance_mappings (id INTEGER PRIMARY KEY, instance_uuid VARCHAR(36) UNIQUE, cell_id INTEGER)");
    db.sql("CREATE TABLE cell_mappings (id INTEGER PRIMARY KEY, name VARCHAR(255), database_connection TEXT)");
    db.sql("INSERT INTO cell_mappings VALUES (1, 'cell0', 'mysql+pymysql://nova:x@db/nova_cell0')");
    db.sql("INSERT INTO cell_mappings VALUES (2, 'cell1', 'mysql+pymysql://nova:x@db/nova')");
    for (id, name) in more {
        db.sql(&format!(
            "INSERT INTO cell_mappings VALUES ({id}, '{name}', 'mysql://db/{name}')"
        ));
    }
    for (id, cell) in mapped {
        let cell = cell.map_or("NULL".into(), |c| c.to_string());
        db.sql(&format!(
            "INSERT INTO instance_mappings VALUES ({id}, '{}', {cell})",
            uuid(*id)
        ));
        db.sql(&format!(
            "INSERT INTO request_specs VALUES ({id}, '{}')",
            uuid(*id)
        ));
    }
    db
}

fn run(api: &mut Db, cells: &mut [(&str, &mut Db)]) -> Stranded {
    run_with(api, cells, 5)
}

fn run_with(api: &mut Db, cells: &mut [(&str, &mut Db)], samples: usize) -> Stranded {
    let records = Profile::built_in("nova").unwrap().api.unwrap();
    let graphs: Vec<_> = cells.iter_mut().map(|(_, db)| db.graph()).collect();
    let mut cells: Vec<_> = cells
        .iter_mut()
        .zip(&graphs)
        .map(|((name, db), graph)| Cell {
            name: (*name).into(),
            session: &mut db.session,
            graph,
        })
        .collect();
    stranded(&mut api.session, &mut cells, &records, samples)
}

fn lines(found: &Stranded) -> Vec<String> {
    assert_eq!(found.not_checked, []);
    found.findings.iter().map(line).collect()
}

#[test]
fn records_of_live_and_soft_deleted_instances_are_fine() {
    let mut api = api(&[], &[(1, Some(2)), (2, Some(2)), (3, Some(2)), (4, None)]);
    assert_eq!(
        lines(&run(&mut api, &mut [("cell1", &mut Db::clean())])),
        [] as [&str; 0]
    );
}

/// Case 1: the run was cut off between the cell's commit and the cleaning of the API database.
#[test]
fn records_of_archived_instances_are_errors_and_of_unknown_ones_warnings() {
    let mut api = api(&[], &[(1, Some(2)), (5, Some(2)), (6, None), (99, Some(2))]);
    api.sql(&format!(
        "INSERT INTO instance_group_member VALUES (1, '{0}'), (2, '{0}')",
        uuid(5)
    ));
    let found = run(&mut api, &mut [("cell1", &mut Db::clean())]);
    let (five, six, other) = (uuid(5), uuid(6), uuid(99));
    let to = "instance_uuid -> instances.uuid";
    assert_eq!(
        lines(&found),
        [
            format!("error instance_mappings instance_mappings.{to} 2 [{five} {six}]"),
            format!("warning instance_mappings instance_mappings.{to} 1 [{other}]"),
            format!("error request_specs request_specs.{to} 2 [{five} {six}]"),
            format!("warning request_specs request_specs.{to} 1 [{other}]"),
            format!("error instance_group_member instance_group_member.{to} 1 [{five}]"),
        ]
    );
    // What removes these records alone comes first, and what takes more along says so.
    let (archived, nowhere) = (&found.findings[0], &found.findings[1]);
    let repair = archived.repair.as_deref().unwrap();
    let (start, end) = (
        "sexton repair --cell cell1=",
        " --check stranded-api-record --apply",
    );
    assert!(
        repair.starts_with(start) && repair.ends_with(end),
        "{repair}"
    );
    assert!(repair.contains(" --api "), "{repair}");
    let also = "which moves soft-deleted families as well and removes theirs";
    assert!(archived.remedy.ends_with(also), "{}", archived.remedy);
    assert!(archived.to_mend().starts_with(&format!("`{repair}`; or ")));
    assert_eq!(nowhere.repair, None);
    let select = found.findings[0].select.as_ref().unwrap();
    assert_eq!(api.session.query(select).unwrap().len(), 2);
}

/// A list without anything in it is no SQL.
#[test]
fn without_samples_there_is_nothing_to_select() {
    let mut api = api(&[], &[(5, Some(2))]);
    let found = run_with(&mut api, &mut [("cell1", &mut Db::clean())], 0);
    let selects: Vec<_> = found.findings.iter().map(|f| &f.select).collect();
    assert_eq!(selects, [&None, &None]);
}

/// Case 14 the other way round: archived in one cell, live in another.
#[test]
fn an_instance_that_lives_in_another_cell_is_not_stranded() {
    let mut api = api(&[(3, "cell2")], &[(5, Some(2))]);
    let (mut one, mut two) = (Db::clean(), Db::empty());
    two.instance(5, State::Live);
    let found = run(&mut api, &mut [("cell1", &mut one), ("cell2", &mut two)]);
    assert_eq!(lines(&found), [] as [&str; 0]);
}

#[test]
fn records_of_a_cell_that_was_not_given_are_not_checked() {
    let mut api = api(
        &[(3, "cell2")],
        &[(1, Some(2)), (99, Some(3)), (98, Some(3))],
    );
    let found = run(&mut api, &mut [("cell1", &mut Db::clean())]);
    assert_eq!(found.findings, []);
    let why: Vec<_> = found.elsewhere.iter().map(|g| g.why.as_str()).collect();
    assert_eq!(found.not_checked, []);
    let expected = "2 records belong to cell 'cell2', which was not given";
    assert_eq!(why, [expected, expected]);
}

#[test]
fn a_cell_that_cannot_be_read_makes_nothing_certain() {
    let mut api = api(&[], &[(5, Some(2)), (99, Some(2))]);
    let mut cell = Db::clean();
    cell.sql("ALTER TABLE instances RENAME TO gone");
    let found = run(&mut api, &mut [("cell1", &mut cell)]);
    assert_eq!(found.findings, []);
    let why: Vec<_> = found.not_checked.iter().map(|g| &g.why).collect();
    assert_eq!(why.len(), 2);
    let names_it = |w: &&String| w.starts_with("cell cell1: ") && w.contains("no such table");
    assert!(why.iter().all(names_it), "{why:?}");
}

/// Whether its rows are there nobody knows.
#[test]
fn records_of_a_cell_that_is_not_listed_are_not_checked() {
    let mut api = api(&[], &[(1, Some(2)), (98, Some(7)), (99, Some(7))]);
    let found = run(&mut api, &mut [("cell1", &mut Db::clean())]);
    assert_eq!(found.findings, []);
    let why: Vec<_> = found.elsewhere.iter().map(|g| g.why.as_str()).collect();
    let expected = "2 records belong to cell 7, which cell_mappings does not list";
    assert_eq!(why, [expected, expected]);
}

#[test]
fn more_records_than_one_page() {
    let mut api = api(&[], &[]);
    let mut cell = Db::empty();
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)";
    let key = "printf('%08x-0000-4000-8000-000000000000', i)";
    api.sql(&format!(
        "{numbers} INSERT INTO instance_mappings SELECT i, {key}, 2 FROM n"
    ));
    cell.sql(&format!(
        "{numbers} INSERT INTO instances (id, uuid) SELECT i, {key} FROM n WHERE i % 3 = 0"
    ));
    cell.sql(&format!(
        "{numbers} INSERT INTO shadow_instances (id, uuid) SELECT i, {key} FROM n WHERE i % 3 = 1"
    ));
    let found = run(&mut api, &mut [("cell1", &mut cell)]);
    assert_eq!(found.not_checked, []);
    let counts: Vec<_> = found.findings.iter().map(|f| f.count).collect();
    assert_eq!(counts, [4000, 4000]);
    assert_eq!(found.findings[0].samples, [1, 4, 7, 10, 13].map(uuid));
}

#[test]
fn a_record_at_the_edge_of_a_page_counts_once() {
    let mut api = api(&[(3, "cell2")], &[]);
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)";
    api.sql(&format!(
        "{numbers} INSERT INTO instance_mappings SELECT i, printf('%08x', i), 3 FROM n"
    ));
    let found = run(&mut api, &mut [("cell1", &mut Db::empty())]);
    let why = "12000 records belong to cell 'cell2', which was not given";
    assert_eq!(found.elsewhere[0].why, why);
}
