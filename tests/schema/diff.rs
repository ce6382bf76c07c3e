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

const ANYWHERE: [Damage; 6] = [
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
        "CREATE INDEX on_mine ON instances (mine)",
        "contract instances: the release has no index (mine) (on_mine)",
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

/// An index of the migrations over the columns of a foreign key. MariaDB does not let it go.
const OVER_A_KEY: Damage = (
    "DROP INDEX block_device_mapping_instance_uuid_idx",
    "expand block_device_mapping: index (instance_uuid) is missing",
);

fn damage(engine: Engine) -> Vec<Damage> {
    let mut all = ANYWHERE.to_vec();
    all.extend((engine != Engine::Mysql).then_some(OVER_A_KEY));
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

/// A column that has to be filled comes later, and its indexes with it; SQLite would make one over the column's
/// name as a text.
#[test]
fn an_index_waits_for_its_column() {
    let model = Model::built_in("nova-34.0.0").unwrap();
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let (_database, mut session) = made(&model, engine);
        let table = "console_auth_tokens";
        let found = introspect(&mut session).unwrap();
        let of_column = found.tables[table]
            .indexes
            .iter()
            .chain(&found.tables[table].uniques);
        for index in of_column.filter(|i| i.columns.contains(&"instance_uuid".to_owned())) {
            let on = if engine == Engine::Mysql {
                format!(" ON {table}")
            } else {
                String::new()
            };
            let name = engine.quote(&index.name);
            session.execute(&format!("DROP INDEX {name}{on}")).unwrap();
        }
        session
            .execute(&format!("ALTER TABLE {table} DROP COLUMN instance_uuid"))
            .unwrap();
        let report = diff(&mut session, &model);
        assert!(report.differences.len() > 1, "{engine}");
        assert_eq!(report.ddl(Phase::Expand), Vec::<&str>::new(), "{engine}");
        let contract = report.ddl(Phase::Contract);
        if engine == Engine::Sqlite {
            assert!(
                contract.iter().all(|s| s.starts_with("-- ")),
                "{contract:?}"
            );
            continue;
        }
        for statement in contract {
            session.execute(statement).unwrap();
        }
        assert_eq!(
            messages(&diff(&mut session, &model)),
            Vec::<String>::new(),
            "{engine}"
        );
    }
}

/// InnoDB names indexes per table, the other engines per database.
#[test]
fn names_of_indexes_do_not_clash() {
    for (name, tables) in [
        (
            "nova-34.0.0-api",
            ["instance_group_member", "instance_group_policy"],
        ),
        (
            "manila-23.0.1",
            ["share_group_type_projects", "share_type_projects"],
        ),
    ] {
        let model = Model::built_in(name).unwrap();
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let (_database, mut session) = made(&model, engine);
            for table in tables {
                session.execute(&format!("DROP TABLE {table}")).unwrap();
            }
            let report = diff(&mut session, &model);
            for statement in report.ddl(Phase::Expand) {
                session
                    .execute(statement)
                    .unwrap_or_else(|e| panic!("{engine}: {statement}: {e}"));
            }
            assert_eq!(
                messages(&diff(&mut session, &model)),
                Vec::<String>::new(),
                "{engine}"
            );
        }
    }
}

/// A type outlives its table; labels are added to it, and it is replaced where they go.
#[test]
fn enums_of_postgresql_are_types_of_their_own() {
    let model = Model::built_in("nova-34.0.0").unwrap();
    let (_database, mut session) = made(&model, Engine::Postgres);
    for sql in [
        "DROP TABLE shadow_instances",
        "ALTER TYPE instances0locked_by RENAME TO other",
        "CREATE TYPE instances0locked_by AS ENUM ('owner')",
        "ALTER TABLE instances ALTER COLUMN locked_by TYPE instances0locked_by USING \
         locked_by::text::instances0locked_by",
    ] {
        session.execute(sql).unwrap();
    }
    let report = diff(&mut session, &model);
    let said = messages(&report);
    assert!(
        said[0].starts_with("expand instances: column locked_by is enum('owner')"),
        "{said:?}"
    );
    let run = |session: &mut Session, report: &SchemaReport, phase| {
        for statement in report.ddl(phase) {
            let done = session.execute(statement);
            done.unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
    };
    run(&mut session, &report, Phase::Expand);
    assert_eq!(messages(&diff(&mut session, &model)), Vec::<String>::new());
    session
        .execute("ALTER TYPE instances0locked_by ADD VALUE 'nobody' BEFORE 'owner'")
        .unwrap();
    let report = diff(&mut session, &model);
    let said = messages(&report);
    assert!(
        said[0].starts_with("contract instances: column locked_by"),
        "{said:?}"
    );
    run(&mut session, &report, Phase::Contract);
    assert_eq!(messages(&diff(&mut session, &model)), Vec::<String>::new());
}
