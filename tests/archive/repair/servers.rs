//! A repair on every engine: what it does beside the rows of the cell, and that nobody else is let in.

use sexton::archive::{self, Observer, RowName, Stop, restore};
use sexton::audit;
use sexton::db::Session;
use sexton::exit::ExitCode;
use sexton::repair::{Options, RepairOutcome, repair};
use sexton::schema::FamilyGraph;

use super::{CURE, apply, broken_on, plan};
use crate::api::records_db;
use crate::support::cloud::{Cloud, uuid};
use crate::support::records::{api as open_api, list_cells, records, records_of};

/// How many records an audit finds that are of no instance any more.
pub(super) fn stranded(records_db: &mut Session, cell: &mut Cloud) -> u64 {
    let graph = cell.graph();
    let mut cells = [audit::Cell {
        name: String::new(),
        session: &mut cell.session,
        graph: &graph,
    }];
    let records = graph.profile.api.clone().unwrap();
    let found = audit::stranded(records_db, &mut cells, &records, 5);
    assert_eq!(found.not_checked, []);
    found.findings.iter().map(|finding| finding.count).sum()
}

fn records_that_went(outcome: &RepairOutcome) -> Vec<(&str, u64)> {
    let went = outcome.api_records.iter();
    went.map(|(table, rows)| (table.as_str(), *rows)).collect()
}

#[test]
fn stranded_records_are_swept_and_those_of_living_instances_stay() {
    Cloud::on_each_engine(|mut cell| {
        let api_db = records_db(cell.engine());
        let mut session = api_db.session();
        let url = cell.database.url.clone();
        list_cells(
            &mut session,
            &[("cell1", &url), ("cell2", "mysql://nowhere/cell2")],
        );
        // Archived without the API database: 5 and 6. By the repair: 1, 2 and 4.
        [5, 6].into_iter().for_each(|id| cell.dead_instance(id));
        cell.archive_all();
        let mut cell = broken_on(cell);
        // What is in a shadow table too is alive all the same.
        cell.sql(&format!(
            "INSERT INTO shadow_instances (id, uuid, deleted) VALUES (900, '{}', 900)",
            uuid(9)
        ));
        for id in [1, 2, 3, 4, 5, 8, 9] {
            records(&mut session, id, 2);
        }
        // This one may live in a cell that is not given.
        records(&mut session, 6, 3);
        let left = |session: &mut Session, ids: &[i64]| -> Vec<i64> {
            ids.iter().map(|id| records_of(session, *id)).collect()
        };
        assert_eq!(stranded(&mut session, &mut cell), 3);

        let graph = cell.graph();
        let checks = [&CURE[..], &[audit::STRANDED]].concat();
        let mut run = |options: &Options| {
            let mut api = open_api(&api_db, &[("", &url, &graph)]);
            let (main, stop) = (&mut cell.session, Stop::default());
            repair(main, &graph, Some(&mut api), options, &stop, &mut ()).unwrap()
        };
        let planned = run(&plan(&checks));
        assert_eq!(planned.exit_code(), ExitCode::Findings);
        assert_eq!(left(&mut session, &[1, 2, 4, 5]), [3; 4]);

        let done = run(&apply(&checks));
        assert_eq!(done.not_checked, []);
        let swept = done.healed.iter().filter(|h| h.way == "sweep");
        let swept: Vec<_> = swept.map(|h| (h.table.as_str(), h.rows)).collect();
        let each = |rows: u64| {
            let tables = [
                "instance_group_member",
                "instance_mappings",
                "request_specs",
            ];
            tables.map(|table| (table, rows))
        };
        assert_eq!(swept, each(1), "of 5; the others go with their families");
        assert_eq!(records_that_went(&done), each(4));
        // To a plan the copy that is in the way of 2 is there still.
        assert_eq!(records_that_went(&planned), each(3));
        assert_eq!(left(&mut session, &[1, 2, 4, 5]), [0; 4]);
        assert_eq!(left(&mut session, &[3, 6, 8, 9]), [3; 4]);

        // There is nothing more to do.
        let again = run(&apply(&checks));
        assert_eq!((again.healed, again.api_records.len()), (vec![], 0));
        assert_eq!(stranded(&mut session, &mut cell), 0);
    });
}

/// A restore that begins whenever the repair has moved something.
struct Restoring<'a> {
    session: Session,
    graph: &'a FamilyGraph,
    answers: Vec<String>,
}

impl Observer for Restoring<'_> {
    fn batch(&mut self, _: u64, _: u64, _: u64) {
        let name = RowName::parse("instances:2", self.graph).unwrap();
        let (options, stop) = (archive::Options::default(), Stop::default());
        let session = &mut self.session;
        let ended = restore(session, self.graph, &[name], &options, &stop, &mut ());
        self.answers.push(match ended {
            Ok(_) => "restored".into(),
            Err(error) => error.message,
        });
    }
}

#[test]
fn no_engine_lets_anybody_else_move_rows_until_all_is_healed() {
    Cloud::on_each_engine(|cell| {
        let mut cell = broken_on(cell);
        let graph = cell.graph();
        let mut restoring = Restoring {
            session: cell.database.session(),
            graph: &graph,
            answers: Vec::new(),
        };
        let (options, stop) = (apply(&CURE), Stop::default());
        let session = &mut cell.session;
        let done = repair(session, &graph, None, &options, &stop, &mut restoring).unwrap();
        assert_eq!(done.exit_code(), ExitCode::Done, "{done:#?}");
        assert!(restoring.answers.len() > 3, "{:?}", restoring.answers);
        for answer in &restoring.answers {
            let refused = answer.starts_with("another archiver is at work in");
            assert!(refused, "{answer}");
        }
        // And the lock is given back.
        restoring.batch(0, 0, 0);
        assert_eq!(restoring.answers.last().unwrap(), "restored");
    });
}
