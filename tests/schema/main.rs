//! The profile and the models against each other and against an engine.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod diff;
mod real;

use std::collections::BTreeSet;

use sexton::db::{Engine, Session, SqliteDriver, SqliteMode, introspect};
use sexton::schema::{ColumnType, Model, Profile, Schema, ddl};

/// The schemas of a service's (main) database that there are models of, the newest first.
fn releases(service: &str) -> Vec<Schema> {
    let of = |m: &&str| m.starts_with(&format!("{service}-")) && !m.ends_with("-api");
    Model::names().filter(of).map(schema).collect()
}

fn schema(model: &str) -> Schema {
    Model::built_in(model).unwrap().schema().unwrap()
}

fn live_tables(schema: &Schema) -> BTreeSet<String> {
    let live = schema.tables.keys().filter(|t| !t.starts_with("shadow_"));
    live.cloned().collect()
}

/// Every table of the service is in the profile, and every name in it is a table of some release.
#[test]
fn the_profiles_cover_the_schemas_and_no_name_is_stale() {
    for service in Profile::names() {
        let profile = Profile::built_in(service).unwrap();
        let releases = releases(service);
        let real: BTreeSet<_> = releases.iter().flat_map(live_tables).collect();
        let listed: BTreeSet<_> = profile
            .tables
            .iter()
            .chain(&profile.without_shadow)
            .chain(profile.ignored.iter().filter(|t| !t.starts_with("shadow_")))
            .filter(|t| *t != "migrate_version")
            .cloned()
            .collect();
        let real: BTreeSet<_> = real
            .into_iter()
            .filter(|t| t != "migrate_version")
            .collect();
        assert_eq!(listed, real, "{service}");
        let anywhere = |table: &str| releases.iter().find_map(|s| s.table(table));
        for table in &profile.tables {
            assert!(anywhere(&format!("shadow_{table}")).is_some(), "{table}");
        }
        for table in &profile.without_shadow {
            assert!(
                releases[0].table(&format!("shadow_{table}")).is_none(),
                "{table} has a shadow table"
            );
        }
        let keyed = profile
            .age
            .keys()
            .chain(&profile.never_marked)
            .chain(&profile.purged_on_request)
            .chain(&profile.removed);
        for name in keyed.chain(&profile.task_log) {
            assert!(real.contains(name), "{name} is no table of any release");
        }
        for column in profile
            .removed_columns
            .iter()
            .chain(&profile.intended_drift)
        {
            let (table, column) = column.split_once('.').unwrap();
            assert!(
                releases[0].table(table).unwrap().column(column).is_some(),
                "{table}.{column}"
            );
        }
        let detected = Profile::detect(&releases[0]);
        assert_eq!(detected.name, service);
    }
}

/// Every foreign key is stated, with who owns whom; every stated reference exists.
#[test]
fn the_profiles_state_every_foreign_key_and_no_other() {
    for service in Profile::names() {
        let profile = Profile::built_in(service).unwrap();
        let releases = releases(service);
        let mut declared = BTreeSet::new();
        for table in releases.iter().flat_map(|s| s.tables.values()) {
            for key in &table.foreign_keys {
                let child = format!("{}.{}", table.name, key.columns.join(", "));
                declared.insert((
                    child,
                    format!("{}.{}", key.parent, key.parent_columns.join(", ")),
                ));
            }
        }
        let stated: BTreeSet<_> = profile
            .reference
            .iter()
            .filter(|r| !r.by_convention)
            .map(|r| (r.child.clone(), r.parent.clone()))
            .collect();
        assert_eq!(stated, declared, "{service}");
        for reference in profile.reference.iter().filter(|r| r.by_convention) {
            for side in [&reference.child, &reference.parent] {
                let (table, column) = side.split_once('.').unwrap();
                let there = releases
                    .iter()
                    .any(|s| s.table(table).is_some_and(|t| t.column(column).is_some()));
                assert!(there, "{side} is in no release");
            }
        }
    }
}

/// What Manila's specification of its purge asks for: no child is left behind a parent that goes.
#[test]
fn every_child_comes_before_its_parents() {
    for service in Profile::names() {
        for schema in releases(service) {
            let graph = Profile::built_in(service)
                .unwrap()
                .families(&schema)
                .unwrap();
            let place = |table: &str| graph.delete_order.iter().position(|t| t == table).unwrap();
            assert_eq!(graph.delete_order.len(), graph.members.len());
            for (number, reference) in graph.references.iter().enumerate() {
                let cut = reference.is_self() || graph.cuts().contains(&number);
                assert!(
                    cut || !reference.declared
                        || place(&reference.child) < place(&reference.parent),
                    "{service}: {reference}"
                );
            }
        }
    }
}

/// A child that blocks goes first, so that it blocks no more; other owners before what they own, so that few rows are
/// left to be asked for a deleted owner.
#[test]
fn roots_are_taken_in_an_order_that_spares_questions() {
    let (mut held, mut late) = (0, BTreeSet::new());
    for service in Profile::names() {
        for schema in releases(service) {
            let graph = Profile::built_in(service)
                .unwrap()
                .families(&schema)
                .unwrap();
            let order = graph.root_order();
            let place = |table: &str| order.iter().position(|t| *t == table);
            for reference in graph.references.iter().filter(|r| !r.is_self()) {
                let (Some(child), Some(parent)) =
                    (place(&reference.child), place(&reference.parent))
                else {
                    continue;
                };
                if reference.blocks() {
                    assert!(child < parent, "{service}: {reference}");
                    held += 1;
                } else if reference.is_owned() && parent < child {
                    held += 1;
                } else if reference.is_owned() {
                    late.insert(format!("{service}: {reference}"));
                }
            }
        }
    }
    assert!(held > 100, "{held} references");
    // There the references run in a circle, and one of them blocks.
    let late: Vec<_> = late.iter().map(String::as_str).collect();
    assert_eq!(
        late,
        [
            "barbican: preferred_certificate_authorities.project_id -> projects.id",
            "nova: security_group_rules.parent_group_id -> security_groups.id",
            "trove: security_group_rules.group_id -> security_groups.id",
        ]
    );
}

/// No shadow table of a fresh Nova stops an archiver.
#[test]
fn a_fresh_nova_has_no_obstacle_but_the_tables_without_shadow() {
    for model in ["nova-34.0.0", "nova-21.0.0"] {
        let schema = schema(model);
        let profile = Profile::detect(&schema);
        assert_eq!(profile.name, "nova");
        let graph = profile.families(&schema).unwrap();
        let obstructed: Vec<_> = graph
            .members
            .values()
            .filter(|m| m.obstacle.is_some())
            .map(|m| m.table.as_str())
            .filter(|t| !profile.without_shadow.iter().any(|w| w == t))
            .collect();
        assert_eq!(obstructed, Vec::<&str>::new(), "{model}");
        assert_eq!(graph.cuts(), Vec::<usize>::new());
    }
}

/// A model is good enough to create a database from: what comes back is the model.
#[test]
fn sqlite_reads_back_what_a_model_creates() {
    for name in Model::names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db.sqlite");
        let driver = SqliteDriver::open(&path, SqliteMode::Create).unwrap();
        let mut session = Session::new(Box::new(driver), Engine::Sqlite, "test");
        let model = schema(name);
        for statement in ddl::create_statements(&model, Engine::Sqlite) {
            session.execute(&statement).unwrap();
        }
        let read = introspect(&mut session).unwrap();
        assert_eq!(read.tables.len(), model.tables.len(), "{name}");
        for (table, real) in read.tables.values().zip(model.tables.values()) {
            assert_eq!(
                (&table.name, &table.primary_key),
                (&real.name, &real.primary_key)
            );
            assert_eq!(
                table.foreign_keys.len(),
                real.foreign_keys.len(),
                "{}",
                table.name
            );
            assert_eq!(table.indexes.len(), real.indexes.len(), "{}", table.name);
            assert_eq!(table.uniques.len(), real.uniques.len(), "{}", table.name);
            for (column, real) in table.columns.iter().zip(&real.columns) {
                assert_eq!(column.name, real.name);
                assert_eq!(
                    column.nullable, real.nullable,
                    "{}.{}",
                    table.name, column.name
                );
                // SQLite has no enums, and numbers rows only in a column declared INTEGER.
                if !matches!(real.ty, ColumnType::Enum(_)) && !real.auto_increment {
                    assert_eq!(column.ty, real.ty, "{}.{}", table.name, column.name);
                }
            }
        }
    }
}

/// On the servers too: every model of every release, as it stands.
#[test]
fn every_model_creates_a_database_on_every_engine() {
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        for name in Model::names() {
            let database = support::databases::Database::fresh(engine);
            let mut session = database.session();
            let model = schema(name);
            for statement in ddl::create_statements(&model, engine) {
                let done = session.execute(&statement);
                done.unwrap_or_else(|e| panic!("{engine}, {name}: {statement}: {e}"));
            }
            let read = introspect(&mut session).unwrap();
            for (table, real) in read.tables.values().zip(model.tables.values()) {
                let shape = |t: &sexton::schema::Table| {
                    let columns: Vec<_> = t.columns.iter().map(|c| c.name.clone()).collect();
                    let keys = t
                        .foreign_keys
                        .iter()
                        .map(|k| (k.columns.clone(), k.parent.clone()));
                    let keys: BTreeSet<_> = keys.collect();
                    (t.name.clone(), columns, t.primary_key.clone(), keys)
                };
                assert_eq!(shape(table), shape(real), "{engine}, {name}");
            }
            assert_eq!(read.tables.len(), model.tables.len());
            if !name.ends_with("-api") {
                let graph = Profile::detect(&read).families(&read).unwrap();
                let blocked = graph
                    .members
                    .values()
                    .filter(|m| m.obstacle.is_some())
                    .count();
                assert_eq!(
                    blocked,
                    graph
                        .profile
                        .without_shadow
                        .iter()
                        .filter(|t| graph.member(t).is_some())
                        .count(),
                    "{engine}, {name}"
                );
            }
        }
    }
}
