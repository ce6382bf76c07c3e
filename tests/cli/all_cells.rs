//! `--all-cells`: the cells are those that the API database lists.

use crate::sample::{Ran, Sample, refused, session, sexton};

/// A cell with 30 dead instances whose connection is a template, and cell0 with 4.
fn two_cells() -> (Sample, String) {
    let sample = Sample::new();
    let other = sample.name("cell0.db");
    let made = [
        "generate",
        &other,
        "--families",
        "4",
        "--live",
        "1",
        "--seed",
        "77",
    ];
    assert_eq!(sexton(&made).code, 0);
    let mut api = session(&sample.path("api.db"));
    for (name, connection) in [("cell1", "{scheme}:////{path}"), ("cell0", &other)] {
        let set = format!(
            "UPDATE cell_mappings SET database_connection = '{connection}' WHERE name = '{name}'"
        );
        assert_eq!(api.execute(&set).unwrap(), 1);
    }
    let configuration = sample.configuration();
    (sample, configuration)
}

fn succeeded(code: i32, arguments: &[&str]) -> Ran {
    let ran = sexton(arguments);
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    ran
}

#[test]
fn every_cell_of_the_api_database_is_archived_and_purged() {
    let (sample, configuration) = two_cells();
    let with = [
        "--all-cells",
        "--config-file",
        &configuration,
        "--format",
        "json",
    ];
    let archive = [&["archive", "--until-complete"], &with[..]].concat();
    let rows = succeeded(0, &archive).json()["rows"].clone();
    assert_eq!(
        (&rows["cell0.instances"], &rows["cell1.instances"]),
        (&4.into(), &30.into())
    );
    assert_eq!(sample.count("instances WHERE deleted <> 0"), 0);
    let purge = [&["purge", "--all"], &with[..]].concat();
    let rows = succeeded(0, &purge).json()["rows"].clone();
    let purged = (
        &rows["cell0.shadow_instances"],
        &rows["cell1.shadow_instances"],
    );
    assert_eq!(purged, (&4.into(), &30.into()), "{rows}");
}

/// A cell whose database is held by somebody else does not hold up another one.
#[test]
fn several_cells_are_archived_at_the_same_time() {
    let (sample, configuration) = two_cells();
    let mut holder = session(&sample.path("cell0.db"));
    holder.begin().unwrap();
    let arguments = [
        "archive",
        "--until-complete",
        "--cells-at-once",
        "2",
        "--all-cells",
        "--config-file",
        &configuration,
        "--format",
        "json",
    ];
    std::thread::scope(|scope| {
        let running = scope.spawn(|| succeeded(0, &arguments));
        let mut cell1 = session(&sample.path("nova.db"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        // cell0 comes first and cannot begin.
        while cell1
            .query_count("SELECT COUNT(*) FROM shadow_instances")
            .unwrap()
            < 30
        {
            assert!(
                std::time::Instant::now() < deadline,
                "cell1 waits for cell0"
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(
            holder
                .query_count("SELECT COUNT(*) FROM shadow_instances")
                .unwrap(),
            0
        );
        holder.rollback().unwrap();
        let rows = running.join().unwrap().json()["rows"].clone();
        let moved = (&rows["cell0.instances"], &rows["cell1.instances"]);
        assert_eq!(moved, (&4.into(), &30.into()), "{rows}");
    });
}

/// nova-manage names the cell of each table.
#[test]
fn under_the_name_of_nova_manage() {
    let (_sample, configuration) = two_cells();
    let compat = [
        "--all-cells",
        "--config-file",
        &configuration,
        "--compat",
        "nova-manage",
    ];
    let ran = succeeded(1, &[&["archive", "--verbose"], &compat[..]].concat());
    for line in [
        "| cell0.instances ",
        "| cell1.instances ",
        "| API_DB.instance_mappings ",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let ran = succeeded(0, &[&["purge", "--all", "--verbose"], &compat[..]].concat());
    let line = "Cell 00000000-0000-0000-0000-000000000000(cell0): Deleted 4 rows from \
                shadow_instances based on timestamp column (n/a)";
    assert!(ran.stdout.contains(line), "{}", ran.stdout);
}

/// As `sexton generate` leaves it: cell0 has no database, and two cells may have one name.
#[test]
fn cells_of_one_name_and_a_cell_without_a_database() {
    let (sample, configuration) = two_cells();
    let mut api = session(&sample.path("api.db"));
    api.execute("UPDATE cell_mappings SET name = 'x'").unwrap();
    let archive = [
        "archive",
        "--all-cells",
        "--config-file",
        &configuration,
        "--format",
        "json",
    ];
    let begun =
        succeeded(75, &[&archive[..], &["--max-rows", "100"]].concat()).json()["rows"].clone();
    assert!(begun["x(1).instances"].is_number(), "{begun}");
    api.execute("UPDATE cell_mappings SET database_connection = 'none:///' WHERE id = 1")
        .unwrap();
    let rows = succeeded(0, &[&archive[..], &["--until-complete"]].concat()).json()["rows"].clone();
    let both = rows["x.instances"].as_i64().unwrap() + begun["x(2).instances"].as_i64().unwrap();
    assert_eq!(both, 30, "{begun} {rows}");
}

/// Each cell's rows lie apart: what is purged has to be put back where it was.
#[test]
fn the_files_of_each_cell_are_in_its_directory() {
    let (sample, configuration) = two_cells();
    let with = ["--all-cells", "--config-file", &configuration];
    succeeded(0, &[&["archive", "--until-complete"], &with[..]].concat());
    let directory = sample.name("rows");
    std::fs::create_dir(&directory).unwrap();
    let export = [
        "purge",
        "--all",
        "--export",
        &directory,
        "--export-format",
        "sql",
    ];
    succeeded(0, &[&export, &with[..]].concat());
    for (cell, rows) in [("cell0", 4), ("cell1", 30)] {
        let file = sample.path(&format!("rows/{cell}/shadow_instances.sql"));
        assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), rows);
    }
}

/// One cell that is away does not stop the others.
#[test]
fn a_cell_that_is_not_reached_is_told_and_the_others_are_archived() {
    let (sample, configuration) = two_cells();
    let away = sample.path("cell0.db");
    std::fs::remove_file(&away).unwrap();
    let with = [
        "--all-cells",
        "--config-file",
        &configuration,
        "--format",
        "json",
    ];
    let json = succeeded(69, &[&["archive", "--until-complete"], &with[..]].concat()).json();
    assert_eq!(json["rows"]["cell1.instances"], 30);
    let said = json["unreachable"]["cell0"].as_str().unwrap();
    assert!(said.contains("cell0.db"), "{said}");
    assert_eq!(sample.count("instances WHERE deleted <> 0"), 0);
    // Their records stay, as cell0 cannot be asked; where it is not one of the cells that is not asked for.
    let all = [
        "purge",
        "--all",
        "--all-cells",
        "--config-file",
        &configuration,
    ];
    let message = sexton(&all).stderr;
    assert!(
        message.contains("could not be asked whose API records may go"),
        "{message}"
    );
    let cell1 = format!("cell1={}", sample.cell());
    let api = sample.api();
    succeeded(
        0,
        &[
            "archive",
            "--cell",
            &cell1,
            "--api",
            &api,
            "--until-complete",
        ],
    );
    let text = succeeded(69, &all);
    assert!(
        text.stdout.contains("Not reached: cell cell0: "),
        "{}",
        text.stdout
    );
    assert_eq!(sample.count("shadow_instances"), 0);
    // As nova-manage has it: an error is one.
    let compat = [
        "archive",
        "--all-cells",
        "--config-file",
        &configuration,
        "--compat",
        "nova-manage",
    ];
    assert_eq!(sexton(&compat).code, 255);
    // None at all.
    std::fs::remove_file(sample.path("nova.db")).unwrap();
    refused(
        69,
        &["archive", "--all-cells", "--config-file", &configuration],
    );
}

#[test]
fn an_audit_looks_at_every_cell() {
    let (sample, configuration) = two_cells();
    let orphan = "PRAGMA foreign_keys = OFF; INSERT INTO instance_faults (instance_uuid, code, deleted) VALUES ('none', 1, 0)";
    session(&sample.path("cell0.db")).execute(orphan).unwrap();
    let ran = succeeded(
        2,
        &["audit", "--all-cells", "--config-file", &configuration],
    );
    assert!(
        ran.stdout.contains("cell0.instance_faults"),
        "{}",
        ran.stdout
    );
    let mut upgrade = vec!["audit", "--all-cells", "--config-file", &configuration];
    upgrade.extend(["--upgrade-to", "nova-34"]);
    let ran = succeeded(2, &upgrade);
    let (cell0, cell1) = (sample.name("cell0.db"), sample.cell());
    // Each as it is listed.
    let step = format!("--cell cell0={cell0} --cell cell1={cell1}");
    assert!(ran.stdout.contains(&step), "{}", ran.stdout);
}

#[test]
fn cells_that_cannot_be_had_are_refused() {
    let (sample, configuration) = two_cells();
    let cell = sample.cell();
    let message = refused(64, &["archive", &cell, "--all-cells"]);
    assert!(message.contains("--all-cells needs it"), "{message}");
    let message = refused(65, &["archive", &cell, "--all-cells", "--api", &cell]);
    assert!(message.contains("has no table of cells"), "{message}");
    let api = sample.api();
    let message = refused(65, &["archive", "--all-cells", "--api", &api]);
    assert!(
        message.contains("cell cell1 in cell_mappings: its connection is a template"),
        "{message}"
    );
    let mut session = session(&sample.path("api.db"));
    let twice = format!("UPDATE cell_mappings SET database_connection = '{cell}'");
    session.execute(&twice).unwrap();
    let all = ["archive", "--all-cells", "--api", &api];
    let message = refused(65, &all);
    assert!(
        message.contains("cell cell1 in cell_mappings: its database is that of cell cell0, too"),
        "{message}"
    );
    // The list was read: this is no word of nova-manage about it.
    let compat = [
        "purge",
        "--all",
        "--all-cells",
        "--api",
        &api,
        "--compat",
        "nova-manage",
    ];
    assert_eq!(sexton(&compat).code, 255);
    session
        .execute("PRAGMA foreign_keys = OFF; DELETE FROM cell_mappings")
        .unwrap();
    let message = refused(
        65,
        &["archive", "--all-cells", "--config-file", &configuration],
    );
    assert!(message.contains("lists no cells"), "{message}");
}
