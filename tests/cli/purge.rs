//! `sexton purge`: what it is told, what it says, and the codes of four other tools.

use sexton::db::Engine;

use crate::sample::{Ran, Sample, refused, refused_by_clap, session, sexton};
use crate::support::service::Service;

/// A Nova whose dead instances are archived.
fn archived() -> Sample {
    let sample = Sample::new();
    let ran = sexton(&["archive", &sample.cell(), "--until-complete", "--quiet"]);
    assert!(ran.code < 2, "{}", ran.stderr);
    sample
}

fn said(ran: &Ran) -> (i32, &str) {
    (ran.code, ran.stdout.as_str())
}

#[test]
fn values_that_make_no_sense_change_nothing() {
    let sample = archived();
    let (cell, before) = (sample.cell(), sample.bytes());
    for (arguments, said) in [
        (&[][..], "needs --before DATE, --older-than DAYS or --all"),
        (&["--before", "30 days ago"], "'30 days ago' is not a date"),
        (&["--older-than", "-1"], "--older-than -1 is a negative age"),
        (&["--older-than", "soon"], "soon is not a number of days"),
        (&["--older-than", "99999999"], "is before all dates"),
        (
            &["--all", "--max-rows", "0"],
            "--max-rows 0 is not a number",
        ),
        (&["--all", "--sleep", "nan"], "--sleep nan is not a time"),
        (
            &["--all", "--include", "images"],
            "--include images: it is not",
        ),
        (
            &["--all", "--export", "/nowhere"],
            "--export /nowhere: no such",
        ),
    ] {
        let message = refused(64, &[&["purge", cell.as_str()], arguments].concat());
        assert!(message.contains(said), "{arguments:?}: {message}");
    }
    refused_by_clap(&["purge", &cell, "--all", "--before", "90d"], "--before");
    refused_by_clap(&["purge", &cell, "--all", "--older-than", "9"], "--all");
    refused_by_clap(&["purge", &cell, "--compat", "mysql"], "nova-manage");
    assert!(sample.bytes() == before, "a refused run changed a file");
}

/// Rows that were never archived are not what a purge of Nova is about.
#[test]
fn a_nova_whose_shadow_tables_are_gone() {
    let sample = archived();
    let cell = sample.cell();
    let mut opened = session(std::path::Path::new(&cell));
    let shadows = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'shadow\\_%' ESCAPE '\\'";
    for row in opened.query(shadows).unwrap() {
        opened.execute(&format!("DROP TABLE {}", row[0])).unwrap();
    }
    drop(opened);
    let before = sample.bytes();
    let message = refused(65, &["purge", &cell, "--all"]);
    assert!(
        message.contains("has no shadow tables, and nova archives"),
        "{message}"
    );
    assert!(message.contains("--profile convention"), "{message}");
    assert!(sample.bytes() == before);
}

#[test]
fn a_database_without_markers() {
    let sample = Sample::empty();
    let path = sample.path("other.db");
    std::fs::write(&path, []).unwrap();
    session(&path)
        .execute("CREATE TABLE t (id INTEGER)")
        .unwrap();
    let message = refused(65, &["purge", &path.display().to_string(), "--all"]);
    assert!(
        message.contains("no table with a soft-delete marker"),
        "{message}"
    );
}

#[test]
fn the_shadow_tables_of_nova() {
    let sample = archived();
    let cell = sample.cell();
    let instances = sample.count("shadow_instances");
    assert!(instances > 0);
    let planned = sexton(&["purge", &cell, "--all", "--dry-run", "--format", "json"]);
    assert_eq!(sample.count("shadow_instances"), instances);
    let young = sexton(&["purge", &cell, "--before", "2001-01-01", "--format", "json"]);
    assert_eq!((young.code, &young.json()["total_rows"]), (0, &0.into()));
    let export = sample.path("export");
    std::fs::create_dir(&export).unwrap();
    let export = export.display().to_string();
    let ran = sexton(&[
        "purge", &cell, "--all", "--export", &export, "--format", "json",
    ]);
    let (planned, done) = (planned.json(), ran.json());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(planned["rows"], done["rows"]);
    assert_eq!(
        (&planned["dry_run"], &done["dry_run"]),
        (&true.into(), &false.into())
    );
    assert_eq!(done["rows"]["shadow_instances"], instances);
    assert_eq!(sample.count("shadow_instances"), 0);
    let lines = std::fs::read_to_string(format!("{export}/shadow_instances.jsonl")).unwrap();
    assert_eq!(lines.lines().count() as i64, instances);
    let again = sexton(&["purge", &cell, "--all"]);
    assert_eq!(again.code, 0);
    assert!(
        again.stdout.contains("all that may go has gone"),
        "{}",
        again.stdout
    );
}

/// Lines and codes of `nova-manage db purge` of nova 34.0.0.
#[test]
fn as_nova_manage_has_it() {
    let sample = archived();
    let configuration = sample.configuration();
    let purge = |arguments: &[&str]| {
        let start = ["purge", "--compat", "nova-manage", "--config-file"];
        sexton(&[&start[..], &[configuration.as_str()], arguments].concat())
    };
    let needs = "Either --before or --all is required\n";
    assert_eq!(said(&purge(&[])), (1, needs));
    let bad = purge(&["--before", "soon"]);
    assert_eq!(bad.code, 2);
    assert!(bad.stdout.starts_with("Invalid value for --before: "));
    assert_eq!(said(&purge(&["--before", "2001-01-01"])), (3, ""));
    let instances = sample.count("shadow_instances");
    let ran = purge(&["--before", "2100-01-01", "--verbose"]);
    assert_eq!(ran.code, 0);
    let line = format!(
        "DB: Deleted {instances} rows from shadow_instances based on timestamp column deleted_at\n"
    );
    assert!(ran.stdout.contains(&line), "{}", ran.stdout);
    assert_eq!(said(&purge(&["--all", "--verbose"])), (3, ""));
}

/// A service without shadow tables.
#[test]
fn the_codes_of_the_other_services() {
    for (model, tool, line) in [
        (
            "manila-23.0.1",
            "manila-manage",
            "Must supply a non-negative value for age.\n",
        ),
        (
            "cinder-29.0.0",
            "cinder-manage",
            "Must supply a positive value for age\n",
        ),
        (
            "glance-33.0.0",
            "glance-manage",
            "Must supply a non-negative value for age.\n",
        ),
    ] {
        let service = Service::new(model, Engine::Sqlite);
        let purge = |age: &str| {
            let database = service.database.url.as_str();
            sexton(&["purge", database, "--compat", tool, "--age_in_days", age])
        };
        assert_eq!(said(&purge("-1")), (1, line), "{tool}");
        // None can be that old; manila-manage has no limit.
        let ancient = if tool == "manila-manage" {
            (0, "")
        } else {
            (1, line)
        };
        assert_eq!(said(&purge("99999")), ancient, "{tool}");
        assert_eq!(said(&purge("0")), (0, ""), "{tool}");
    }
}

/// cinder-manage and glance-manage end in an error where a row is needed, manila-manage says nothing.
#[test]
fn the_codes_where_a_row_is_kept() {
    for (tool, code) in [
        ("manila-manage", 0),
        ("cinder-manage", 1),
        ("glance-manage", 1),
    ] {
        let mut cinder = Service::new("cinder-29.0.0", Engine::Sqlite);
        let (dead, live) = (cinder.truth(true), cinder.truth(false));
        let old = [
            ("id", "'v'"),
            ("deleted", dead),
            ("deleted_at", "'2025-01-01'"),
        ];
        cinder.row("volumes", &old);
        cinder.row(
            "snapshots",
            &[("id", "'s'"), ("volume_id", "'v'"), ("deleted", live)],
        );
        let database = cinder.database.url.clone();
        let ran = sexton(&["purge", &database, "--compat", tool, "--age_in_days", "9"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{tool}");
        assert!(ran.stderr.contains("live-child"), "{}", ran.stderr);
    }
}

/// Rows of live tables must not go because of a tool's name.
#[test]
fn a_tool_of_another_service_is_refused() {
    let sample = archived();
    let before = sample.count("shadow_instances");
    for tool in ["cinder-manage", "glance-manage"] {
        let ran = sexton(&[
            "purge",
            &sample.cell(),
            "--older-than",
            "0",
            "--compat",
            tool,
        ]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(
            ran.stderr
                .contains("has shadow tables, which that tool does not know"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(sample.count("shadow_instances"), before);
    let mut cinder = Service::new("cinder-29.0.0", Engine::Sqlite);
    let dead = cinder.truth(true);
    cinder.row(
        "volumes",
        &[
            ("id", "'v'"),
            ("deleted", dead),
            ("deleted_at", "'2025-01-01'"),
        ],
    );
    let ran = sexton(&[
        "purge",
        &cinder.database.url,
        "--all",
        "--compat",
        "nova-manage",
    ]);
    assert_eq!((ran.code, ran.stdout.as_str()), (255, ""));
    assert_eq!(cinder.column("volumes", "id"), ["v"]);
}

/// By the archived instances alone is it known whose records are to go.
#[test]
fn records_in_the_api_database_go_before_what_names_them() {
    let sample = archived();
    let (cell, api) = (sample.cell(), sample.api());
    let named = [format!("cell1={cell}")];
    let with = ["--cell", named[0].as_str(), "--api", api.as_str()];
    assert_eq!(
        sexton(&[&["audit", "--check", "stranded-api-record"], &with[..]].concat()).code,
        2
    );
    let before = sample.bytes();
    let dry = sexton(
        &[
            &["purge", "--all", "--dry-run", "--format", "json"],
            &with[..],
        ]
        .concat(),
    );
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    let records = &dry.json()["api_records"];
    assert_eq!(
        (&records["instance_mappings"], &records["request_specs"]),
        (&30.into(), &30.into())
    );
    assert!(sample.bytes() == before, "a dry run wrote something");
    let ran = sexton(&[&["purge", "--all"], &with[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("API-database records removed:"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        sexton(&[&["audit", "--check", "stranded-api-record"], &with[..]].concat()).code,
        0
    );
    let message = refused(65, &["purge", &cell, "--all", "--api", &cell]);
    assert!(message.contains("is not an API database"), "{message}");
}

/// They know no date: one that was given must not be passed over in silence, everything would go.
#[test]
fn a_cut_off_that_the_other_tool_does_not_know_is_refused() {
    let mut cinder = Service::new("cinder-29.0.0", Engine::Sqlite);
    let mark = cinder.truth(true);
    let old = [
        ("id", "'v1'"),
        ("deleted", mark),
        ("deleted_at", "'2025-01-01'"),
    ];
    cinder.row("volumes", &old);
    let database = cinder.database.url.clone();
    for (tool, arguments) in [
        ("manila-manage", &["--before", "2020-01-01"][..]),
        ("glance-manage", &["--all"]),
        ("cinder-manage", &[]),
    ] {
        let start = ["purge", &database, "--compat", tool];
        let message = refused(64, &[&start[..], arguments].concat());
        assert!(message.contains("needs its age in days"), "{message}");
    }
    assert_eq!(cinder.column("volumes", "id"), ["v1"]);
}

#[test]
fn a_service_without_shadow_tables() {
    let mut cinder = Service::new("cinder-29.0.0", Engine::Sqlite);
    let (dead, live) = (cinder.truth(true), cinder.truth(false));
    let old = "'2025-01-01 00:00:00'";
    for (id, mark, at) in [
        ("'v1'", dead, old),
        ("'v2'", dead, old),
        ("'v3'", live, "NULL"),
    ] {
        cinder.row(
            "volumes",
            &[("id", id), ("deleted", mark), ("deleted_at", at)],
        );
    }
    let snapshot = [("id", "'s'"), ("volume_id", "'v2'"), ("deleted", live)];
    cinder.row("snapshots", &snapshot);
    let database = cinder.database.url.clone();
    let ran = sexton(&["purge", &database, "--older-than", "30"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("1 kept: live-child"), "{}", ran.stdout);
    assert!(ran.stdout.contains("volumes:v2"), "{}", ran.stdout);
    assert_eq!(cinder.column("volumes", "id"), ["v2", "v3"]);
    // What is deleted in this second is covered too.
    cinder
        .session
        .execute("UPDATE snapshots SET deleted = 1, deleted_at = CURRENT_TIMESTAMP")
        .unwrap();
    let ran = sexton(&["purge", &database, "--older-than", "0"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(cinder.column("volumes", "id"), ["v3"]);
}
