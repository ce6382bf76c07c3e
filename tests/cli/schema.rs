//! `sexton schema diff`.

use sexton::db::Engine;
use sexton::schema::{Model, ddl};

use crate::sample::{Sample, refused, session, sexton};

/// A file with the schema of a release, at its version.
fn made(sample: &Sample, name: &str) -> String {
    let model = Model::built_in(name).unwrap();
    let path = sample.path("made.db");
    std::fs::write(&path, "").unwrap();
    let mut session = session(&path);
    for statement in ddl::create_statements(&model.schema().unwrap(), Engine::Sqlite) {
        session.execute(&statement).unwrap();
    }
    let version = format!("INSERT INTO alembic_version VALUES ('{}')", model.version);
    session.execute(&version).unwrap();
    sample.name("made.db")
}

#[test]
fn a_database_in_sync_says_which_release_it_is_of() {
    let sample = Sample::empty();
    let database = made(&sample, "nova-34.0.0");
    let ran = sexton(&["schema", "diff", &database]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let said = format!(
        "{database} against nova 34.0.0\nat version ab450ba04102: nova 34.0.0\n\nIn sync.\n"
    );
    assert_eq!(ran.stdout, said);
}

#[test]
fn differences_their_ddl_and_what_expand_does_about_them() {
    let sample = Sample::empty();
    let database = made(&sample, "nova-34.0.0");
    let mut opened = session(&sample.path("made.db"));
    for sql in [
        "DROP TABLE shadow_instance_faults",
        "ALTER TABLE instances ADD COLUMN mine INTEGER",
    ] {
        opened.execute(sql).unwrap();
    }
    drop(opened);
    let before = sample.bytes();
    let ran = sexton(&["schema", "diff", &database, "--release", "nova-34"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    for part in [
        "  instances               contract  the release has no column mine\n",
        "  shadow_instance_faults  expand    the table is missing\n",
        "-- expand: while the services run\nCREATE TABLE \"shadow_instance_faults\" (\n",
        "-- contract: after the services run the release; it may take data away\n\
         ALTER TABLE \"instances\" DROP COLUMN \"mine\";\n",
        "Not in sync: 2 differences.\n",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    // It asks, and there is nobody to ask.
    let message = refused(64, &["schema", "diff", &database, "--apply", "expand"]);
    assert!(message.contains("there is no terminal"), "{message}");
    assert_eq!(sample.bytes(), before);

    let ran = sexton(&[
        "schema", "diff", &database, "--apply", "expand", "--yes", "--format", "json",
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    let json = ran.json();
    assert_eq!(json["version"], 1);
    assert_eq!(json["release"], "nova 34.0.0");
    assert_eq!(json["at"], serde_json::json!(["nova 34.0.0"]));
    let left = json["differences"].as_array().unwrap();
    assert_eq!(left.len(), 1, "{json}");
    assert_eq!(left[0]["kind"], "extra-column");
    assert_eq!(left[0]["phase"], "contract");
}

#[test]
fn an_older_database_against_a_newer_release() {
    let sample = Sample::empty();
    let database = made(&sample, "nova-25.0.0");
    let ran = sexton(&["schema", "diff", &database]);
    assert!(
        ran.stdout.contains("against nova 25.0.0\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.code, 0);
    let ran = sexton(&["schema", "diff", &database, "--release", "nova-34"]);
    assert_eq!(ran.code, 2);
    let part = "share_mapping";
    assert!(ran.stdout.contains(part), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let sample = Sample::empty();
    let database = made(&sample, "glance-33.0.0");
    let message = refused(64, &["schema", "diff", &database, "--release", "nova-99"]);
    assert!(message.contains("unknown release 'nova-99'; known are nova-34.0.0, "));
    let message = refused(65, &["schema", "diff", &database, "--release", "nova-34"]);
    assert!(
        message.contains("has other tables than nova 34.0.0"),
        "{message}"
    );
    session(&sample.path("made.db"))
        .execute("UPDATE alembic_version SET version_num = 'mine'")
        .unwrap();
    let message = refused(64, &["schema", "diff", &database]);
    assert!(
        message.contains("version mine is of no release"),
        "{message}"
    );
    let empty = sample.name("empty.db");
    std::fs::write(&empty, "").unwrap();
    assert!(refused(65, &["schema", "diff", &empty]).contains("has no tables"));
}

#[test]
fn a_release_and_a_database_of_it_are_drawn_alike() {
    let sample = Sample::empty();
    let database = made(&sample, "glance-33.0.0");
    for format in ["mermaid", "dot", "svg"] {
        let diagram = |what: &[&str]| {
            let start = ["schema", "diagram", "--format", format];
            let ran = sexton(&[&start[..], what].concat());
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
            ran.stdout
        };
        let drawn = diagram(&["--release", "glance-33"]);
        assert!(drawn.contains("image_members"), "{drawn}");
        assert!(!drawn.contains("alembic_version"), "{drawn}");
        assert_eq!(diagram(&[&database]), drawn);
    }
    let message = refused(64, &["schema", "diagram", "--release", "nothing"]);
    assert!(message.contains("unknown release 'nothing'"), "{message}");
}

/// The same file before an upgrade: what is behind, what to run, one verdict.
#[test]
fn an_audit_before_an_upgrade_ends_with_a_verdict_and_what_to_run() {
    let sample = Sample::empty();
    let database = made(&sample, "nova-29.4.0");
    let ran = sexton(&["audit", &database, "--upgrade-to", "nova-31"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for part in [
        "note[migration-behind]: the database is at 13863f4e1612, of nova 29.4.0; nova 31.3.1 has 2903cd72dc14",
        "\nupgrade to nova 31.3.1: go with care\n",
        "\nnot looked at (give the API database with --api)\n    populate_queued_for_delete (instance_mappings)",
        "\n  2. nova-manage db sync\n     with nova 31.3.1\n",
    ] {
        assert!(ran.stdout.contains(part), "{part}\n{}", ran.stdout);
    }
    let ran = sexton(&[
        "audit",
        &database,
        "--upgrade-to",
        "nova-31",
        "--format",
        "json",
    ]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["upgrade"]["verdict"], "go-with-care");
    assert_eq!(report["upgrade"]["databases"][0]["version"], "13863f4e1612");
    let bad = [
        (
            &["--upgrade-to", "nova-99"][..],
            "unknown release 'nova-99'",
        ),
        (
            &["--upgrade-to", "manila-23"],
            "has other tables than manila 23.0.1",
        ),
        (
            &["--check", "backlog"],
            "--check backlog needs --upgrade-to RELEASE",
        ),
        (
            &["--upgrade-to", "nova-31", "--max-deleted-age", "soon"],
            "--max-deleted-age: 'soon' is not a date",
        ),
        (&["--max-deleted-rows", "7"], "--upgrade-to <RELEASE>"),
    ];
    for (arguments, said) in bad {
        let arguments = [&["audit", database.as_str()], arguments].concat();
        let ran = sexton(&arguments);
        let code = if said.contains("other tables") {
            65
        } else {
            64
        };
        assert_eq!(ran.code, code, "{arguments:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn several_databases_are_told_one_after_the_other_and_the_worst_decides() {
    let sample = Sample::empty();
    let main = made(&sample, "nova-34.0.0");
    std::fs::rename(sample.path("made.db"), sample.path("main.db")).unwrap();
    let main = main.replace("made.db", "main.db");
    let api = made(&sample, "nova-34.0.0-api");
    let ran = sexton(&["schema", "diff", &main, "--api", &api]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.stdout.contains("main.db against nova 34.0.0\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("made.db against nova 34.0.0 (api)\n"),
        "{}",
        ran.stdout
    );
    let drop = "DROP TABLE request_specs";
    session(&sample.path("made.db")).execute(drop).unwrap();
    let ran = sexton(&["schema", "diff", &main, "--api", &api, "--format", "json"]);
    assert_eq!(ran.code, 2);
    let reports: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(reports[0]["differences"].as_array().unwrap().len(), 0);
    assert_eq!(reports[1]["differences"][0]["table"], "request_specs");
    let apply = [
        "schema", "diff", &main, "--api", &api, "--apply", "expand", "--yes",
    ];
    let ran = sexton(&apply);
    assert_eq!(ran.code, 64);
    assert!(
        ran.stderr.contains("--apply takes one database"),
        "{}",
        ran.stderr
    );
}
