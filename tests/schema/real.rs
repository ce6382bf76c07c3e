//! The schemas that the real services make, by their own migrations, on every engine: in sync with the model of
//! their release, which was captured on MariaDB.

use std::process::Command;

use sexton::db::{Engine, introspect, migration_version};
use sexton::report::SchemaReport;
use sexton::schema::{Model, Profile};

use crate::support::databases::Database;
use crate::support::nova;
use crate::support::service::program;

/// A database with what the migrations of a service make of it.
fn synced(service: &str, engine: Engine) -> Database {
    let database = Database::fresh(engine);
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("service.conf");
    let connection = nova::configuration(&database.url, &database.url);
    let connection = connection.lines().nth(1).unwrap();
    let sections = ["database", "taskflow", "storage:sqlalchemy"];
    let sections = sections.map(|name| format!("[{name}]\n{connection}\n"));
    let text = format!(
        "[DEFAULT]\nstate_path = {}\n{}",
        directory.path().display(),
        sections.concat()
    );
    std::fs::write(&configuration, text).unwrap();
    // What its profile tells the operator to run.
    let profile = Profile::built_in(service).unwrap();
    let words: Vec<_> = profile.upgrade.sync[0].split(' ').skip(1).collect();
    let mut command = Command::new(program(service));
    command.env("PYTHONHASHSEED", "0").current_dir(&directory);
    match service {
        // It reads no configuration file that it is given.
        "barbican" => {
            let url = connection.split_once(" = ").unwrap().1;
            command.args(words).args(["--db-url", url])
        }
        _ => command.arg("--config-file").arg(&configuration).args(words),
    };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{service} on {engine}: {output:?}");
    database
}

fn in_sync(database: &Database, model: &str) {
    let model = Model::built_in(model).unwrap();
    let mut session = database.session();
    let found = introspect(&mut session).unwrap();
    let version = migration_version(&mut session, &found).unwrap();
    assert_eq!(version.as_deref(), Some(model.version.as_str()));
    let releases = Model::of_version(&model.version, &found).unwrap();
    assert!(releases.contains(&model), "{}", database.engine);
    let lines = |model: &Model| {
        let report = SchemaReport::new("db", model, &found, database.engine).unwrap();
        let lines = report.differences.iter();
        let line = lines.map(|d| format!("{}: {}", d.table, d.message));
        line.collect::<Vec<_>>()
    };
    let (title, engine) = (model.title(), database.engine);
    assert_eq!(lines(&model), Vec::<String>::new(), "{title} on {engine}");
    // What the model says of the engine is so, to the last line.
    let mut plain = model.clone();
    plain.drift.clear();
    assert_eq!(lines(&plain), model.drift_on(engine), "{title} on {engine}");
}

#[test]
fn nova() {
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let (main, api) = (Database::fresh(engine), Database::fresh(engine));
        nova::sync(&main, &api);
        in_sync(&main, "nova-34.0.0");
        in_sync(&api, "nova-34.0.0-api");
    }
}

const ALL: [Engine; 3] = [Engine::Mysql, Engine::Postgres, Engine::Sqlite];

fn service(name: &str, model: &str, engines: &[Engine]) {
    for engine in engines {
        in_sync(&synced(name, *engine), model);
    }
}

/// Its own migrations end in an error on SQLite.

#[test]
fn manila() {
    service(
        "manila",
        "manila-23.0.1",
        &[Engine::Mysql, Engine::Postgres],
    );
}

#[test]
fn cinder() {
    service("cinder", "cinder-29.0.0", &ALL);
}

#[test]
fn glance() {
    service("glance", "glance-33.0.0", &ALL);
}

#[test]
fn heat() {
    service("heat", "heat-27.0.1", &ALL);
}

#[test]
fn masakari() {
    service("masakari", "masakari-22.0.0", &ALL);
}

#[test]
fn barbican() {
    service("barbican", "barbican-23.0.0", &ALL);
}

/// Its own last migration ends in an error on PostgreSQL.
#[test]
fn designate() {
    service(
        "designate",
        "designate-23.0.0",
        &[Engine::Mysql, Engine::Sqlite],
    );
}

/// Its own first migration ends in an error on PostgreSQL.
#[test]
fn trove() {
    service("trove", "trove-26.0.0", &[Engine::Mysql, Engine::Sqlite]);
}
