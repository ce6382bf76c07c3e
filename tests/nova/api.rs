//! API-database records: cases 1 and 14, several cells.

use crate::support::nova::{Nova, real_cell};
use crate::support::records::{self, api, archive, list_cells, records_of};

#[test]
fn records_of_archived_instances_go_and_those_of_others_stay() {
    let Nova { cell, api } = Nova::new();
    records::those_of_archived_instances_go_and_those_of_others_stay(cell, &api);
}

/// Case 1: cut between the cell's commit and the clean-up. nova-manage never comes back for the
/// records; the next run of sexton does.
#[test]
fn case_1_records_that_an_interrupted_run_left_are_swept_by_the_next() {
    let mut nova = Nova::new();
    let mut records_db = nova.api.session();
    list_cells(&mut records_db, &[("cell1", &nova.cell.database.url)]);
    nova.cell.dead_instance(1);
    records::records(&mut records_db, 1, 2);
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
    let mut api = api(&nova.api, &[("", &url, &graph)]);
    assert_eq!(archive(&mut nova.cell, &mut api), 3);
    assert_eq!(records_of(&mut records_db, 1), 0);
}

#[test]
fn case_14_records_of_an_instance_that_lives_in_another_cell_stay() {
    let Nova { cell, api } = Nova::new();
    records::those_of_an_instance_that_lives_in_another_cell_stay(cell, real_cell(), &api);
}
