//! Generated data on real servers: the same rows as on SQLite, to the byte.
//!
//! The servers are those of `support::databases`.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use sexton::db::{Access, Engine, Session, Target, Value, introspect, open};
use sexton::generate::{Cell, Damage, Dataset, create_schema, generate, generate_api};
use sexton::schema::Schema;

use support::databases::server_url;

/// Every row of every table, as text, by table.
type Dump = BTreeMap<String, Vec<String>>;

fn fill(session: &mut Session, api: &mut Session) -> (Dump, Dump) {
    create_schema(session, "nova-34.0.0").unwrap();
    create_schema(api, "nova-34.0.0-api").unwrap();
    let damage = Damage::ALL
        .into_iter()
        .filter(|d| !matches!(d, Damage::NonTransactionalTable | Damage::ShadowDrift));
    let dataset = Dataset {
        seed: 42,
        families: 120,
        live: 40,
        damage: damage.map(|d| (d, 8)).collect(),
    };
    let schema = introspect(session).unwrap();
    let generated = generate(session, &schema, &dataset, &mut |_| {}).unwrap();
    let cell = Cell {
        name: "cell1",
        connection: "mysql+pymysql://nova@192.0.2.30/nova_cell1",
        cell0_connection: "mysql+pymysql://nova@192.0.2.30/nova_cell0",
    };
    let api_schema = introspect(api).unwrap();
    generate_api(api, &api_schema, &generated, &cell, &mut |_| {}).unwrap();
    let dumps = (dump(session), dump(api));
    // Above what is there, in the service's own words, as generated ids must not be in its way.
    session
        .execute("INSERT INTO security_groups (name, deleted) VALUES ('new', 0)")
        .unwrap();
    // A second helping, and whatever is left of the settings that the first one made.
    let again = Dataset {
        damage: Vec::new(),
        families: 5,
        ..dataset
    };
    generate(session, &schema, &again, &mut |_| {}).unwrap();
    assert!(
        session
            .execute("INSERT INTO instance_extra (instance_uuid, deleted) VALUES ('none', 0)")
            .is_err(),
        "foreign keys are enforced again"
    );
    dumps
}

fn dump(session: &mut Session) -> Dump {
    let engine = session.engine();
    let mut dump = Dump::new();
    for table in introspect(session).unwrap().tables.values() {
        let columns: Vec<_> = table.columns.iter().map(|c| &c.name).collect();
        let sql = format!(
            "SELECT {} FROM {}",
            engine.quote_all(columns.iter().copied()),
            engine.quote(&table.name)
        );
        let rows = session.query(&sql).unwrap();
        let cell = |(column, value): (&String, &Value)| match value {
            // The one difference that is the engine's own: how it says true.
            Value::Bool(b) => format!("{column}={}", i64::from(*b)),
            Value::Real(r) if *r == r.trunc() => format!("{column}={r:.0}"),
            value => format!("{column}={value}"),
        };
        let line = |row: &Vec<Value>| {
            let mut cells: Vec<_> = columns.iter().copied().zip(row).map(cell).collect();
            cells.sort();
            cells.join("|")
        };
        let mut rows: Vec<_> = rows.iter().map(line).collect();
        // Here and not by the engine: collations differ.
        rows.sort();
        dump.insert(table.name.clone(), rows);
    }
    dump
}

fn on_sqlite() -> (Dump, Dump) {
    let dir = tempfile::tempdir().unwrap();
    let mut sessions = ["main.db", "api.db"].map(|name| {
        let path = dir.path().join(name);
        std::fs::write(&path, "").unwrap();
        open(&Target::Sqlite(path), Access::ReadWrite).unwrap()
    });
    let [main, api] = &mut sessions;
    fill(main, api)
}

/// A database of its own on the server.
fn scratch(admin: &mut Session, target: &Target, name: &str) -> Session {
    let name = format!("sexton_test_generate_{name}_{}", std::process::id());
    admin.execute(&format!("CREATE DATABASE {name}")).unwrap();
    let mut target = target.clone();
    match &mut target {
        Target::Mysql(options) | Target::Postgres(options) => options.database = name,
        Target::Sqlite(_) => panic!("not the URL of a server"),
    }
    open(&target, Access::ReadWrite).unwrap()
}

fn same_rows_as_sqlite(engine: Engine) {
    let url = server_url(engine);
    let target: Target = url.parse().unwrap();
    let mut admin = open(&target, Access::ReadWrite).unwrap();
    let mut main = scratch(&mut admin, &target, "main");
    let mut api = scratch(&mut admin, &target, "api");
    let there = fill(&mut main, &mut api);
    if main.engine() == Engine::Mysql {
        alter_tables(&mut main);
    }
    drop((main, api));
    for name in ["main", "api"] {
        let name = format!("sexton_test_generate_{name}_{}", std::process::id());
        admin.execute(&format!("DROP DATABASE {name}")).unwrap();
    }
    let here = on_sqlite();
    for (here, there) in [(here.0, there.0), (here.1, there.1)] {
        assert_eq!(
            here.keys().collect::<Vec<_>>(),
            there.keys().collect::<Vec<_>>()
        );
        for (table, rows) in &here {
            assert!(rows == &there[table], "{table}");
        }
    }
}

fn alter_tables(session: &mut Session) {
    let schema = introspect(session).unwrap();
    let dataset = Dataset {
        families: 1,
        live: 0,
        damage: vec![(Damage::NonTransactionalTable, 4), (Damage::ShadowDrift, 4)],
        ..Dataset::default()
    };
    let generated = generate(session, &schema, &dataset, &mut |_| {}).unwrap();
    assert_eq!(generated.damage[&Damage::NonTransactionalTable].len(), 4);
    let now = introspect(session).unwrap();
    let other = now.tables.values().filter(|t| {
        t.storage
            .as_deref()
            .is_some_and(|s| s.eq_ignore_ascii_case("MyISAM"))
    });
    assert_eq!(other.count(), 4);
    let columns = |s: &Schema| s.tables.values().map(|t| t.columns.len()).sum::<usize>();
    assert_eq!(columns(&schema) - columns(&now), 4);
}

#[test]
fn mariadb_has_the_rows_of_sqlite() {
    same_rows_as_sqlite(Engine::Mysql);
}

#[test]
fn postgresql_has_the_rows_of_sqlite() {
    same_rows_as_sqlite(Engine::Postgres);
}
