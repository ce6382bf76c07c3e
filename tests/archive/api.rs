//! API-database records, on every engine; `tests/nova` has them on the schemas of the real nova.

use std::time::{Duration, Instant};

use sexton::archive::{Api, Cell};
use sexton::db::{DbErrorKind, Engine, introspect};
use sexton::error::Result;
use sexton::schema::{Model, ddl};

use crate::rough::{self, DEADLOCK, How, Upset, upset};
use crate::support::cloud::Cloud;
use crate::support::databases::Database;
use crate::support::records::{self, api, archive, list_cells, records_of};

/// An empty API database.
fn records_db(engine: Engine) -> Database {
    let database = Database::fresh(engine);
    let model = Model::built_in("nova-34.0.0-api").unwrap();
    let mut session = database.session();
    for statement in ddl::create_statements(&model.schema().unwrap(), engine) {
        session.execute(&statement).unwrap();
    }
    database
}

#[test]
fn records_of_archived_instances_go_and_those_of_others_stay() {
    Cloud::on_each_engine(|cell| {
        let api = records_db(cell.engine());
        records::those_of_archived_instances_go_and_those_of_others_stay(cell, &api);
    });
}

#[test]
fn records_of_an_instance_that_lives_in_another_cell_stay() {
    Cloud::on_each_engine(|cell| {
        let (other, api) = (Cloud::new(cell.engine()), records_db(cell.engine()));
        records::those_of_an_instance_that_lives_in_another_cell_stay(cell, other, &api);
    });
}

/// More roots than one page, or one transaction, holds.
#[test]
fn records_that_an_interrupted_run_left_are_swept_by_the_next() {
    Cloud::on_each_engine(|mut cell| {
        let api_db = records_db(cell.engine());
        let mut session = api_db.session();
        list_cells(&mut session, &[("cell1", &cell.database.url)]);
        for id in [1, 2, 3] {
            cell.dead_instance(id);
            records::records(&mut session, id, 2);
        }
        // The cut: archived without the API database.
        cell.archive_all();
        let many = (10..1_000).map(|id| format!("({id}, 'many-{id}', {id})"));
        let many: Vec<_> = many.collect();
        cell.sql(&format!(
            "INSERT INTO shadow_instances (id, uuid, deleted) VALUES {}",
            many.join(", ")
        ));
        let last = "INSERT INTO request_specs (instance_uuid, spec) VALUES ('many-999', '{}')";
        session.execute(last).unwrap();

        let (graph, url) = (cell.graph(), cell.database.url.clone());
        let mut api = api(&api_db, &[("", &url, &graph)]);
        assert_eq!(archive(&mut cell, &mut api), 10);
        let left = [1, 2, 3].map(|id| records_of(&mut session, id));
        assert_eq!(left, [0, 0, 0]);
        assert!(api.statements() > 0);
        assert_eq!(archive(&mut cell, &mut api), 0);
    });
}

/// An archived instance with its records, on SQLite, where things go wrong with the API database: what the sweep
/// came to, how often it deleted, and how long it took.
fn swept(upsets: &[Upset]) -> (Result<u64>, usize, Duration) {
    let mut cell = Cloud::new(Engine::Sqlite);
    let api = Cloud::on(records_db(Engine::Sqlite));
    let mut session = api.database.session();
    list_cells(&mut session, &[("cell1", &cell.database.url)]);
    cell.dead_instance(1);
    records::records(&mut session, 1, 2);
    cell.archive_all();
    let graph = cell.graph();
    let schema = introspect(&mut session).unwrap();
    let (main, seen) = rough::session(&api, upsets);
    let (shadow, seen_of_cell) = rough::session(&cell, &[]);
    let cells = vec![Cell {
        name: "cell1".into(),
        session: shadow,
        graph: &graph,
    }];
    let records = graph.profile.api.clone().unwrap();
    let api = Api::new(main, &schema, records, cells).unwrap();
    let mut api = api.retrying(3, Duration::from_millis(20));
    let started = Instant::now();
    let removed = api.sweep().map(|removed| removed.values().sum());
    let told = [seen.as_ref(), &seen_of_cell].map(|s| s.statements.lock().unwrap().len() as u64);
    assert_eq!(api.statements(), told.iter().sum::<u64>());
    let deletes = seen.count("DELETE FROM \"instance_mappings\"");
    (removed, deletes, started.elapsed())
}

#[test]
fn records_are_deleted_again_after_a_deadlock_with_a_pause_that_doubles() {
    const TABLE: &str = "DELETE FROM \"instance_mappings\"";
    let (removed, deletes, time) = swept(&[upset(TABLE, 0, 3, DEADLOCK)]);
    assert_eq!((removed.unwrap(), deletes), (3, 4));
    let pauses = Duration::from_millis(20 + 40 + 80);
    assert!(time >= pauses, "{time:?}");
    // Not for ever, and not after what comes again anyway.
    let (removed, deletes, _) = swept(&[upset(TABLE, 0, 4, DEADLOCK)]);
    assert_eq!((removed.is_err(), deletes), (true, 4));
    let refused = How::Refused(DbErrorKind::ForeignKey);
    let (removed, deletes, _) = swept(&[upset(TABLE, 0, 1, refused)]);
    assert_eq!((removed.is_err(), deletes), (true, 1));
}
