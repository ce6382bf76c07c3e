//! API-database records, on every engine; `tests/nova` has them on the schemas of the real nova.

use std::time::{Duration, Instant};

use sexton::archive::{Api, Cell, Stop};
use sexton::db::{DbErrorKind, Engine, introspect};
use sexton::error::Result;
use sexton::schema::{Model, ddl};

use crate::rough::{self, DEADLOCK, How, LOST, Upset, upset};
use crate::support::cloud::{Cloud, uuid};
use crate::support::databases::Database;
use crate::support::records::{self, api, archive, list_cells, records_of};

/// An empty API database.
pub(crate) fn records_db(engine: Engine) -> Database {
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
        assert_eq!(records::foretold(&mut [("", &mut cell)], &mut api), 10);
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

/// The server of the API database is started anew in the middle of a run.
#[test]
fn the_api_database_is_connected_to_again() {
    for lost in [
        upset(
            "SELECT \"instance_uuid\" FROM \"request_specs\"",
            0,
            3,
            LOST,
        ),
        upset("SELECT \"instance_uuid\", \"cell_id\"", 0, 3, LOST),
        upset("DELETE FROM \"request_specs\"", 0, 3, LOST),
    ] {
        let (removed, _, _) = swept(std::slice::from_ref(&lost));
        assert_eq!(removed.unwrap(), 3, "{}", lost.starts);
        let error = swept(&[Upset { times: 4, ..lost }]).0.unwrap_err();
        assert_eq!(error.message, "it went wrong");
    }
    // It has committed, and the answer was lost: what went is counted once.
    let (removed, deletes, _) = swept(&[upset("COMMIT", 0, 1, How::Unheard)]);
    assert_eq!((removed.unwrap(), deletes), (3, 2));
    let (removed, deletes, _) = swept(&[upset("COMMIT", 0, 1, LOST)]);
    assert_eq!((removed.unwrap(), deletes), (3, 2));
}

/// A run that is to stop does not wait for a server that may come back.
#[test]
fn a_pause_may_be_cut_short() {
    let mut cell = Cloud::new(Engine::Sqlite);
    let api = Cloud::on(records_db(Engine::Sqlite));
    let mut session = api.database.session();
    list_cells(&mut session, &[("cell1", &cell.database.url)]);
    records::records(&mut session, 1, 2);
    let schema = introspect(&mut session).unwrap();
    let lost = upset(
        "SELECT \"instance_uuid\" FROM \"request_specs\"",
        0,
        3,
        LOST,
    );
    let (main, _) = rough::session(&api, &[lost]);
    let graph = cell.graph();
    let given = Cell {
        name: "cell1".into(),
        session: cell.database.session(),
        graph: &graph,
    };
    let records = graph.profile.api.clone().unwrap();
    let long = Duration::from_secs(3600);
    let stop = Stop::default().at(Instant::now());
    let api = Api::new(main, &schema, records, vec![given]).unwrap();
    let mut api = api
        .retrying(3, long)
        .pausing(move |pause| stop.sleep(pause));
    assert_eq!(api.remove(&[uuid(1)]).unwrap().len(), 3);
}

/// A record goes only where no cell holds its instance, and a cell that is lost may hold any.
#[test]
fn records_stay_while_another_cell_cannot_be_asked() {
    const LIVING: &str = "SELECT \"uuid\" FROM \"instances\"";
    let mut cell = Cloud::new(Engine::Sqlite);
    let other = Cloud::new(Engine::Sqlite);
    let records_db = Cloud::on(records_db(Engine::Sqlite));
    let mut session = records_db.database.session();
    let (url, other_url) = (cell.database.url.clone(), other.database.url.clone());
    list_cells(&mut session, &[("cell1", &url), ("cell2", &other_url)]);
    for id in [1, 2] {
        cell.dead_instance(id);
        records::records(&mut session, id, 2);
    }
    cell.archive_all();
    let graph = cell.graph();
    let schema = introspect(&mut session).unwrap();
    let open = |upsets: &[Upset]| {
        let (asked, seen) = rough::session(&other, upsets);
        let cells = [("cell1", cell.database.session()), ("cell2", asked)];
        let cells = cells.map(|(name, session)| Cell {
            name: name.into(),
            session,
            graph: &graph,
        });
        let records = graph.profile.api.clone().unwrap();
        let api = Api::new(
            records_db.database.session(),
            &schema,
            records,
            cells.into(),
        );
        (api.unwrap().retrying(2, Duration::ZERO), seen)
    };
    let (one, two) = ([uuid(1)], [uuid(2)]);
    let (mut api, seen) = open(&[upset(LIVING, 0, 3, LOST)]);
    assert_eq!(api.remove(&one).unwrap().values().sum::<u64>(), 0);
    assert_eq!(api.away()["cell2"], "it went wrong");
    // It is not asked once more for each batch: that would hold up the other cells.
    assert_eq!(api.remove(&two).unwrap().values().sum::<u64>(), 0);
    assert_eq!((api.unasked, seen.count(LIVING)), (2, 3));
    assert_eq!([1, 2].map(|id| records_of(&mut session, id)), [3, 3]);
    // A dry run counts what is certain alone.
    let mut dry = open(&[upset(LIVING, 0, 3, LOST)]).0;
    assert_eq!(
        dry.would_remove("cell1", &one)
            .unwrap()
            .values()
            .sum::<u64>(),
        0
    );
    assert_eq!(dry.unasked, 1);
    assert_eq!(dry.would_sweep().unwrap().values().sum::<u64>(), 6);
    // At the end it is, for it may be there again.
    assert_eq!(api.sweep().unwrap().values().sum::<u64>(), 6);
    assert!(api.away().is_empty() && api.unasked == 0);
    assert_eq!(*seen.reconnects.lock().unwrap(), 3);

    records::records(&mut session, 1, 2);
    // One that was never reached.
    let mut api = open(&[]).0.without("cell3", "no route to it");
    assert_eq!(api.sweep().unwrap().values().sum::<u64>(), 0);
    assert_eq!((api.unasked, records_of(&mut session, 1)), (1, 3));
    // One that will not have us is another matter.
    let (mut api, _) = open(&[upset(LIVING, 0, 1, How::Refused(DbErrorKind::Permission))]);
    let error = api.sweep().unwrap_err();
    assert_eq!(
        error.message,
        "rough cannot be asked which instances it holds: it went wrong"
    );
    assert_eq!(open(&[]).0.sweep().unwrap().values().sum::<u64>(), 3);
}
