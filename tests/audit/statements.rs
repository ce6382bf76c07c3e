//! The forms of SQL that keep every statement linear, as each engine needs them.

use sexton::audit::{Ask, Probe};
use sexton::db::Engine;
use sexton::schema::Schema;

use crate::fixture::{probes, schema};

const ENGINES: [Engine; 3] = [Engine::Sqlite, Engine::Mysql, Engine::Postgres];

fn statements(schema: &Schema, engine: Engine) -> Vec<String> {
    let sql = |probe: &Probe| match &probe.ask {
        Ask::Rows(question) => Some(question.count_sql()),
        Ask::Known(_) => None,
    };
    probes(schema, engine, "split-family")
        .iter()
        .filter_map(sql)
        .collect()
}

/// PostgreSQL makes no join of a `NOT IN`; SQLite looks an `EXISTS` up row by row, and so does MariaDB, which is what
/// it is to do where there is an index, and there only.
#[test]
fn what_is_not_there_is_asked_as_the_engine_can_hash_it() {
    for engine in ENGINES {
        let statements = statements(&schema(), engine);
        let some = |form: &str| statements.iter().any(|s| s.contains(form));
        let forms = (some("NOT IN (SELECT"), some("NOT EXISTS (SELECT"));
        assert_eq!(
            forms,
            (engine != Engine::Postgres, engine != Engine::Sqlite)
        );
        // A shadow table has its primary key alone: instances are referred to by another one.
        if engine == Engine::Mysql {
            let looked_up = statements
                .iter()
                .flat_map(|s| s.split("EXISTS (SELECT 1 FROM `").skip(1));
            let tables: Vec<_> = looked_up
                .filter_map(|rest| rest.split('`').next())
                .collect();
            assert!(
                !tables.is_empty() && tables.iter().all(|t| *t != "shadow_instances"),
                "{tables:?}"
            );
        }
    }
}

/// Only MariaDB has to be told to make a key for a join to a table that has none.
#[test]
fn a_join_to_a_table_without_an_index_is_not_a_nested_loop() {
    let mut without = schema();
    without.tables.get_mut("instances").unwrap().uniques.clear();
    for engine in ENGINES {
        let joins = |schema: &Schema| {
            let made = |s: &String| s.contains("JOIN (SELECT DISTINCT * FROM");
            statements(schema, engine).iter().any(made)
        };
        assert!(!joins(&schema()));
        assert_eq!(joins(&without), engine == Engine::Mysql);
    }
}
