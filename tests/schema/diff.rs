//! A database against the model of its release: in sync where it was made from it, and exactly the planted
//! differences where it was not.

use sexton::db::{Engine, Session, introspect};
use sexton::report::SchemaReport;
use sexton::schema::compare::Phase;
use sexton::schema::{Model, ddl};

use crate::support::databases::Database;

/// A database with the schema of a release, made from its model.
fn made(model: &Model, engine: Engine) -> (Database, Session) {
    let database = Database::fresh(engine);
    let mut session = database.session();
    for statement in ddl::create_statements(&model.schema().unwrap(), engine) {
        session.execute(&statement).unwrap();
    }
    (database, session)
}

fn diff(session: &mut Session, model: &Model) -> SchemaReport {
    let found = introspect(session).unwrap();
    SchemaReport::new("db", model, &found, session.engine()).unwrap()
}

fn messages(report: &SchemaReport) -> Vec<String> {
    let line = |d: &sexton::report::SchemaEntry| format!("{} {}: {}", d.phase, d.table, d.message);
    report.differences.iter().map(line).collect()
}

#[test]
fn a_database_made_from_a_model_is_in_sync_with_it() {
    for name in Model::names() {
        let model = Model::built_in(name).unwrap();
        // The largest on every engine, all on SQLite.
        let engines: &[Engine] = match name {
            "nova-34.0.0" | "manila-23.0.1" | "cinder-29.0.0" | "glance-33.0.0" => {
                &[Engine::Sqlite, Engine::Mysql, Engine::Postgres]
            }
            _ => &[Engine::Sqlite],
        };
        for engine in engines {
            let (_database, mut session) = made(&model, *engine);
            let report = diff(&mut session, &model);
            assert_eq!(
                messages(&report),
                Vec::<String>::new(),
                "{name} on {engine}"
            );
        }
    }
}

/// A statement that does damage, and what is said of it.
type Damage = (&'static str, &'static str);

const ANYWHERE: [Damage; 5] = [
    (
        "DROP TABLE shadow_instance_faults",
        "expand shadow_instance_faults: the table is missing",
    ),
    (
        "CREATE TABLE instances_bak (id INTEGER)",
        "contract instances_bak: the release has no such table",
    ),
    (
        "ALTER TABLE instances ADD COLUMN mine INTEGER",
        "contract instances: the release has no column mine",
    ),
    (
        "CREATE INDEX my_idx ON instances (launch_index)",
        "contract instances: the release has no index (launch_index) (my_idx)",
    ),
    (
        "ALTER TABLE agent_builds DROP COLUMN url",
        "expand agent_builds: column url is missing",
    ),
];

/// What a statement of each engine says in its own way: MariaDB, PostgreSQL; SQLite has none for most.
const ON_SERVERS: [([&str; 2], &str); 4] = [
    (
        [
            "ALTER TABLE instances MODIFY COLUMN hostname VARCHAR(64)",
            "ALTER TABLE instances ALTER COLUMN hostname TYPE VARCHAR(64)",
        ],
        "expand instances: column hostname is varchar(64), not varchar(255)",
    ),
    (
        [
            "ALTER TABLE instance_extra DROP FOREIGN KEY instance_extra_instance_uuid_fkey",
            "ALTER TABLE instance_extra DROP CONSTRAINT instance_extra_instance_uuid_fkey",
        ],
        "contract instance_extra: foreign key instance_uuid -> instances.uuid is missing",
    ),
    (
        [
            "ALTER TABLE key_pairs MODIFY COLUMN name VARCHAR(255) NULL",
            "ALTER TABLE key_pairs ALTER COLUMN name DROP NOT NULL",
        ],
        "contract key_pairs: column name allows NULL",
    ),
    (
        [
            "DROP INDEX instances_project_id_deleted_idx ON instances",
            "DROP INDEX instances_project_id_deleted_idx",
        ],
        "expand instances: index (project_id, deleted) is missing",
    ),
];

fn damage(engine: Engine) -> Vec<Damage> {
    let mut all = ANYWHERE.to_vec();
    match engine {
        Engine::Sqlite => all.push((ON_SERVERS[3].0[1], ON_SERVERS[3].1)),
        Engine::Mysql => all.extend(ON_SERVERS.map(|(sql, said)| (sql[0], said))),
        Engine::Postgres => all.extend(ON_SERVERS.map(|(sql, said)| (sql[1], said))),
    }
    all
}

#[test]
fn exactly_what_was_planted_is_named_and_the_ddl_mends_it() {
    let model = Model::built_in("nova-34.0.0").unwrap();
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let (_database, mut session) = made(&model, engine);
        let mut said = Vec::new();
        for (sql, message) in damage(engine) {
            session.execute(sql).unwrap();
            said.push(message.to_owned());
        }
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        let report = diff(&mut session, &model);
        assert_eq!(sorted(messages(&report)), sorted(said.clone()), "{engine}");

        let run = |session: &mut Session, report: &SchemaReport, phase| {
            for statement in report.ddl(phase) {
                let done = session.execute(statement);
                done.unwrap_or_else(|e| panic!("{engine}: {statement}: {e}"));
            }
        };
        run(&mut session, &report, Phase::Expand);
        let report = diff(&mut session, &model);
        said.retain(|line| line.starts_with("contract "));
        assert_eq!(sorted(messages(&report)), sorted(said), "{engine}");

        run(&mut session, &report, Phase::Contract);
        let report = diff(&mut session, &model);
        assert_eq!(messages(&report), Vec::<String>::new(), "{engine}");
    }
}

/// SQLite has no statement for most changes of a table that is there: it is said, not left out.
#[test]
fn what_an_engine_has_no_statement_for_is_a_comment() {
    let model = Model::built_in("nova-34.0.0").unwrap();
    let (_database, mut session) = made(&model, Engine::Sqlite);
    for sql in [
        "PRAGMA foreign_keys = OFF",
        "DROP TABLE key_pairs",
        "CREATE TABLE key_pairs (id INTEGER NOT NULL PRIMARY KEY, created_at DATETIME, \
         updated_at DATETIME, deleted_at DATETIME, name VARCHAR(64) NOT NULL, user_id VARCHAR(255), \
         fingerprint VARCHAR(255), public_key TEXT, deleted INTEGER, type VARCHAR(4) NOT NULL)",
    ] {
        session.execute(sql).unwrap();
    }
    let report = diff(&mut session, &model);
    assert_eq!(
        messages(&report),
        [
            "expand key_pairs: column name is varchar(64), not varchar(255)",
            "contract key_pairs: unique key (user_id, name, deleted) is missing",
        ]
    );
    assert_eq!(
        report.ddl(Phase::Expand),
        ["-- SQLite: another type of a column takes a new table key_pairs"]
    );
}
