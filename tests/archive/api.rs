//! API-database records, on every engine; `tests/nova` has them on the schemas of the real nova.

use sexton::db::Engine;
use sexton::schema::{Model, ddl};

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
