//! Families that come back: as they were, whole, or not at all.

use std::collections::BTreeMap;

use sexton::archive::{self, Observer, Options, Outcome, RowName, Stop, refusal};
use sexton::db::{AdvisoryLock, Engine, Session, Value, introspect, spell_key};
use sexton::error::{Error, Result};
use sexton::schema::{ColumnType, FamilyGraph, Model, Profile, Schema, Table, ddl};

use crate::rough::{How, session as rough, upset};
use crate::support::cloud::{Cloud, ROWS_PER_INSTANCE, uuid};
use crate::support::databases::Database;

/// Every row of every table as text, sorted, by table.
type Rows = BTreeMap<String, Vec<String>>;

fn rows(session: &mut Session) -> Rows {
    let schema = introspect(session).unwrap();
    let engine = session.engine();
    let mut all = Rows::new();
    for table in schema.tables.values() {
        let mut columns: Vec<_> = table.columns.iter().map(|c| &c.name).collect();
        columns.sort();
        let list = engine.quote_all(columns.iter().copied());
        let rows = session
            .query(&format!("SELECT {list} FROM {}", engine.quote(&table.name)))
            .unwrap();
        let text = |row: Vec<Value>| format!("{:?}", columns.iter().zip(row).collect::<Vec<_>>());
        let mut rows: Vec<_> = rows.into_iter().map(text).collect();
        rows.sort();
        all.insert(table.name.clone(), rows);
    }
    all
}

fn restore(cloud: &mut Cloud, roots: &[&str]) -> Result<Outcome> {
    restore_with(cloud, roots, &Options::default(), &mut ())
}

fn restore_with(
    cloud: &mut Cloud,
    roots: &[&str],
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let graph = cloud.graph();
    let names: Vec<_> = roots
        .iter()
        .map(|root| match root.contains(':') {
            true => RowName::parse(root, &graph),
            false => RowName::instance(root, &graph),
        })
        .collect::<Result<_>>()?;
    let (session, stop) = (&mut cloud.session, Stop::default());
    archive::restore(session, &graph, &names, options, &stop, observer)
}

/// What is in the way, and that nothing has moved.
fn refused(cloud: &mut Cloud, roots: &[&str]) -> Error {
    let before = rows(&mut cloud.session);
    let refused = match restore(cloud, roots) {
        Ok(outcome) => {
            assert_eq!(
                (outcome.total_rows, outcome.families),
                (0, 0),
                "{outcome:?}"
            );
            refusal(&outcome).unwrap()
        }
        Err(error) => error,
    };
    assert_eq!(rows(&mut cloud.session), before);
    assert_eq!(refused.code as u8, 65, "{refused}");
    refused
}

#[test]
fn what_was_archived_comes_back_as_it_was() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=3).for_each(|id| cloud.dead_instance(id));
        cloud.live_instance(9);
        cloud.sql(&format!(
            "INSERT INTO migrations (id, instance_uuid, uuid, deleted) VALUES (7, '{0}', '{1}', 0);
             INSERT INTO instance_id_mappings (id, uuid, deleted) VALUES (1, '{0}', 0);
             INSERT INTO tags (resource_id, tag) VALUES ('{0}', 'blue')",
            uuid(1),
            uuid(77)
        ));
        let before = rows(&mut cloud.session);
        let archived = cloud.archive_all();
        assert!(cloud.is_archived(1));
        // By any of its rows.
        let back = restore(&mut cloud, &[&uuid(1)]).unwrap();
        assert_eq!(back.families, 1);
        assert_eq!(back.total_rows, ROWS_PER_INSTANCE + 2);
        assert_eq!(back.rows["instance_system_metadata"], 2);
        assert!(!cloud.is_archived(1) && cloud.is_archived(2));
        let back = restore(
            &mut cloud,
            &["instance_actions_events:2", "shadow_instances:3"],
        );
        let back = back.unwrap();
        assert_eq!((back.families, back.batches), (2, 1));
        assert_eq!(
            back.not_restored,
            [
                "instance_mappings",
                "request_specs",
                "instance_group_member"
            ]
        );
        assert_eq!(rows(&mut cloud.session), before);
        assert_eq!(cloud.archive_all().rows, archived.rows);
    });
}

/// Two instances that share a row would come apart.
#[test]
fn a_family_that_shares_a_row_comes_with_it() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql(
            "INSERT INTO security_groups (id, name, deleted, deleted_at) \
             VALUES (1, 'a', 1, '2025-06-01 00:00:00'), (2, 'b', 2, '2025-06-01 00:00:00');
             INSERT INTO security_group_rules (id, parent_group_id, group_id, deleted, deleted_at) \
             VALUES (1, 1, 2, 1, '2025-06-01 00:00:00'), (2, 2, 2, 2, '2025-06-01 00:00:00')",
        );
        let before = rows(&mut cloud.session);
        cloud.archive_all();
        // The rule of group 1 names group 2, which does not own it.
        let error = refused(&mut cloud, &["security_groups:1"]);
        assert_eq!(
            error.to_string(),
            "security_groups:1 cannot come back: parent-archived: shadow_security_groups:1  <-  \
             shadow_security_group_rules.parent_group_id -> shadow_security_groups.id  <-  \
             shadow_security_group_rules:1  <-  shadow_security_group_rules.group_id -> \
             shadow_security_groups.id  <-  shadow_security_groups:2; bring its parent back with it: \
             --root security_groups:2"
        );
        let back = restore(&mut cloud, &["security_groups:1", "security_groups:2"]).unwrap();
        assert_eq!(back.total_rows, 4);
        assert_eq!(rows(&mut cloud.session), before);
    });
}

#[test]
fn a_key_that_is_taken_is_named() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=2).for_each(|id| cloud.dead_instance(id));
        cloud.archive_all();
        cloud.sql(&format!(
            "INSERT INTO instances (id, uuid, deleted) VALUES (700, '{}', 0);
             INSERT INTO block_device_mapping (id, deleted) VALUES (2, 0)",
            uuid(1)
        ));
        let error = refused(&mut cloud, &["instances:1"]).to_string();
        let begins = "instances:1 cannot come back: live-key-taken: shadow_instances:1  <-  \
                      instances.uuid is that of instances:700; delete the live row in its service";
        assert!(error.starts_with(begins), "{error}");
        let error = refused(&mut cloud, &[&uuid(2)]).to_string();
        assert!(
            error.contains("shadow_block_device_mapping:2  <-  block_device_mapping.id is that of block_device_mapping:2"),
            "{error}"
        );
        // Of two nothing comes back, either.
        cloud.dead_instance(3);
        cloud.archive_all();
        refused(&mut cloud, &["instances:3", "instances:2"]);
        restore(&mut cloud, &["instances:3"]).unwrap();
        assert!(!cloud.is_archived(3));
    });
}

#[test]
fn a_parent_that_is_nowhere_is_named() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.sql(
            "INSERT INTO security_groups (id, name, deleted, deleted_at) \
             VALUES (2, 'b', 2, '2025-06-01 00:00:00');
             INSERT INTO shadow_security_group_rules (id, group_id, deleted) VALUES (1, 2, 1);
             INSERT INTO shadow_security_group_rules (id, group_id, deleted) VALUES (2, 5, 2)",
        );
        // One that is live will do.
        restore(&mut cloud, &["security_group_rules:1"]).unwrap();
        let error = refused(&mut cloud, &["security_group_rules:2"]).to_string();
        assert!(
            error.contains("parent-missing: shadow_security_group_rules:2"),
            "{error}"
        );
        // In a table that has no shadow it is live or nowhere.
        cloud.sql(
            "CREATE TABLE rack (id INT PRIMARY KEY);
             ALTER TABLE consoles ADD COLUMN rack_id INT REFERENCES rack (id);
             ALTER TABLE shadow_consoles ADD COLUMN rack_id INT;
             INSERT INTO shadow_consoles (id, deleted, rack_id) VALUES (1, 1, 3)",
        );
        let error = refused(&mut cloud, &["consoles:1"]).to_string();
        let names = "shadow_consoles.rack_id names a row of rack that is not there";
        assert!(error.contains(names), "{error}");
        cloud.sql("INSERT INTO rack (id) VALUES (3)");
        restore(&mut cloud, &["consoles:1"]).unwrap();
        assert_eq!(cloud.count("consoles WHERE rack_id = 3"), 1);
    });
}

#[test]
fn a_row_that_is_not_archived_is_refused_with_where_it_is() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        let said = |cloud: &mut Cloud, root: &str| {
            let error = refused(cloud, &[root]);
            (error.message, error.hint.unwrap())
        };
        let (message, hint) = said(&mut cloud, &uuid(1));
        assert!(
            message.starts_with(&format!("{} is not in shadow_instances of ", uuid(1))),
            "{message}"
        );
        assert_eq!(
            hint,
            "it is in the live table, as instances:1; name a row that is archived"
        );
        let (message, hint) = said(&mut cloud, "instances:5");
        assert!(
            message.starts_with("instances:5 is not in shadow_instances of "),
            "{message}"
        );
        assert!(
            hint.starts_with("it is not in the live table either"),
            "{hint}"
        );
    });
}

/// Between the question where it is and the lock somebody else takes it away.
#[test]
fn a_row_that_goes_before_it_is_locked_is_named_and_nothing_comes_back() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=3).for_each(|id| cloud.dead_instance(id));
    cloud.archive_all();
    let graph = cloud.graph();
    let take_2 = How::After("DELETE FROM shadow_instances WHERE id = 2");
    for roots in [
        &["instances:2"][..],
        &["instances:1", "instances:2", "instances:3"],
    ] {
        let names = roots.iter().map(|root| RowName::parse(root, &graph));
        let names: Vec<_> = names.collect::<Result<_>>().unwrap();
        let copy = "INSERT INTO shadow_instances (id, uuid, deleted) VALUES (2, 'a second', 2)";
        cloud.sql(&format!(
            "DELETE FROM shadow_instances WHERE id = 2; {copy}"
        ));
        let (mut session, _) = rough(&cloud, &[upset("BEGIN", 0, 1, take_2)]);
        let (options, stop) = (Options::default(), Stop::default());
        let outcome = archive::restore(&mut session, &graph, &names, &options, &stop, &mut ());
        let outcome = outcome.unwrap();
        assert_eq!((outcome.total_rows, outcome.families), (0, 0), "{roots:?}");
        let error = refusal(&outcome).unwrap();
        assert_eq!(
            error.message,
            "instances:2 cannot come back: gone-meanwhile: shadow_instances:2"
        );
        assert_eq!(error.code as u8, 65);
        assert!(cloud.is_archived(1) && cloud.is_archived(3));
    }
}

#[test]
fn a_name_that_names_no_row_is_refused() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    let graph = cloud.graph();
    for (root, said) in [
        ("instances", "--root instances is not TABLE:KEY"),
        ("instances:", "--root instances:: a key of instances is id"),
        (
            "instances:x",
            "--root instances:x: instances.id is of type int, and 'x' is no value of it",
        ),
        (
            "instance:3",
            "--root instance:3: there is no table 'instance'",
        ),
        (
            "tags:a/b",
            "--root tags:a/b: table tags has no shadow table",
        ),
    ] {
        let error = RowName::parse(root, &graph).unwrap_err();
        assert_eq!((error.message.as_str(), error.code as u8), (said, 64));
        assert!(error.hint.is_some());
    }
    let schema: Schema = [Table::default()].into_iter().collect();
    let plain = Profile::convention().families(&schema).unwrap();
    let error = RowName::instance("u", &plain).unwrap_err();
    assert_eq!(
        error.message,
        "--instance u: profile convention has no instances"
    );
}

/// Tables of the convention with their shadow tables, each from `columns`, and an archived row of each.
fn tables(session: &mut Session, tables: &[(&str, &str, &str)]) -> FamilyGraph {
    for (name, columns, row) in tables {
        for statement in [
            format!("CREATE TABLE {name} (deleted INT NOT NULL DEFAULT 0, {columns})"),
            format!("CREATE TABLE shadow_{name} (deleted INT NOT NULL DEFAULT 0, {columns})"),
            format!("INSERT INTO shadow_{name} VALUES {row}"),
        ] {
            session
                .execute(&statement)
                .unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
    }
    let schema = introspect(session).unwrap();
    Profile::convention().families(&schema).unwrap()
}

/// PostgreSQL calls them errors; MariaDB, MySQL and SQLite would look for 0, or for the beginning of the text.
#[test]
fn a_value_that_is_none_of_the_columns_type_is_refused_alike() {
    const UUID: &str = "3f1c6a0e-6c0b-4f0e-9d0e-1d1d5a7c2b11";
    for database in Database::on_each_engine() {
        let (mut session, engine) = (database.session(), database.engine);
        let uuid_row = format!("(1, '{UUID}')");
        let graph = tables(
            &mut session,
            &[
                ("numbers", "id INT NOT NULL PRIMARY KEY", "(1, 0), (1, 3)"),
                ("cards", "id UUID NOT NULL PRIMARY KEY", &uuid_row),
                (
                    "days",
                    "d DATE NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (d, n)",
                    "(1, '2026-01-31', 7)",
                ),
            ],
        );
        for (root, column, ty, value) in [
            ("numbers:abc", "numbers.id", "int", "abc"),
            ("numbers:3x", "numbers.id", "int", "3x"),
            ("cards:3f1c", "cards.id", "uuid", "3f1c"),
            ("days:2026-01-32/7", "days.d", "date", "2026-01-32"),
            ("days:2026-01-31/seven", "days.n", "bigint", "seven"),
        ] {
            let error = RowName::parse(root, &graph).unwrap_err();
            let said =
                format!("--root {root}: {column} is of type {ty}, and '{value}' is no value of it");
            assert_eq!((error.message, error.code as u8), (said, 64), "{engine}");
            assert!(error.hint.is_some());
        }
        for root in ["numbers:3", &format!("cards:{UUID}"), "days:2026-01-31/7"] {
            let names = [RowName::parse(root, &graph).unwrap()];
            let (options, stop) = (Options::default(), Stop::default());
            let back = archive::restore(&mut session, &graph, &names, &options, &stop, &mut ());
            assert_eq!(back.unwrap().total_rows, 1, "{engine}: {root}");
        }
    }
}

/// A type that only the database knows.
#[test]
fn a_value_that_the_database_refuses_is_a_mistake_of_the_command_line() {
    let database = Database::fresh(Engine::Postgres);
    let mut session = database.session();
    let table = ("hosts", "id INET NOT NULL PRIMARY KEY", "(1, '10.0.0.1')");
    let graph = tables(&mut session, &[table]);
    let (options, stop) = (Options::default(), Stop::default());
    let mut restore = |root: &str| {
        let names = [RowName::parse(root, &graph).unwrap()];
        archive::restore(&mut session, &graph, &names, &options, &stop, &mut ())
    };
    let error = restore("hosts:abc").unwrap_err();
    assert_eq!(error.code as u8, 64);
    assert_eq!(
        error.message,
        "--root hosts:abc: hosts.id is of type inet: invalid input syntax for type inet: \"abc\""
    );
    assert_eq!(restore("hosts:10.0.0.1").unwrap().total_rows, 1);
}

/// A row is named as a report that blocks it has spelled it.
#[test]
fn a_slash_within_a_key_is_told_from_one_between_keys() {
    for database in Database::on_each_engine() {
        let (mut session, engine) = (database.session(), database.engine);
        let graph = tables(
            &mut session,
            &[
                (
                    "paths",
                    "id VARCHAR(20) NOT NULL PRIMARY KEY",
                    r"(1, 'a/b\c')",
                ),
                (
                    "pairs",
                    "a VARCHAR(20) NOT NULL, b VARCHAR(20) NOT NULL, PRIMARY KEY (a, b)",
                    r"(1, 'x/y', 'z'), (1, 'x', 'y/z'), (1, 'p\', 'q'), (1, 'it''s: a', '')",
                ),
            ],
        );
        let mut restore = |root: &str| {
            let names = [RowName::parse(root, &graph)?];
            let (options, stop) = (Options::default(), Stop::default());
            let outcome = archive::restore(&mut session, &graph, &names, &options, &stop, &mut ())?;
            let rows = session.query("SELECT a, b FROM pairs")?;
            session.execute("DELETE FROM pairs")?;
            let pair = rows.first().map(|row| format!("{} + {}", row[0], row[1]));
            Ok::<_, Error>((outcome.total_rows, pair.unwrap_or_default()))
        };
        for (root, pair) in [
            (r"paths:a/b\c", ""),
            (r"pairs:x\/y/z", "x/y + z"),
            (r"pairs:x/y\/z", "x + y/z"),
            (r"pairs:p\\/q", r"p\ + q"),
            ("pairs:it's: a/", "it's: a + "),
        ] {
            assert_eq!(restore(root).unwrap(), (1, pair.into()), "{engine}: {root}");
        }
        for root in ["pairs:x/y/z", r"pairs:x\/y", "pairs:x"] {
            let error = restore(root).unwrap_err();
            assert_eq!(
                error.message,
                format!("--root {root}: a key of pairs is a/b"),
                "{engine}"
            );
            assert_eq!(error.code as u8, 64);
            assert!(error.hint.unwrap().contains(r"\/ for a slash within one"));
        }
    }
}

#[test]
fn columns_that_would_be_lost_or_made_up_stand_in_the_way() {
    Cloud::on_each_engine(|mut cloud| {
        (1..=2).for_each(|id| cloud.dead_instance(id));
        cloud.archive_all();
        cloud.sql(
            "ALTER TABLE shadow_instance_extra ADD COLUMN left_over INT;
             UPDATE shadow_instance_extra SET left_over = 5 WHERE id = 1",
        );
        let error = refused(&mut cloud, &["instances:1"]).to_string();
        assert!(error.contains("live-column-missing"), "{error}");
        assert!(
            error.contains("instance_extra has no column left_over"),
            "{error}"
        );
        restore(&mut cloud, &["instances:2"]).unwrap();
        let options = Options {
            until_complete: true,
            ..Options::default()
        };
        assert_eq!(cloud.archive(&options).families, 1);
        cloud.sql("ALTER TABLE block_device_mapping ADD COLUMN since INT");
        let error = refused(&mut cloud, &["instances:2"]).to_string();
        assert!(error.contains("shadow-column-missing"), "{error}");
        assert!(error.contains("ALTER TABLE"), "{error}");
    });
}

/// The half that is live stays where it is.
#[test]
fn a_split_family_is_together_again() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        let before = rows(&mut cloud.session);
        // An archiver that copies table by table was killed.
        let engine = cloud.engine();
        let graph = cloud.graph();
        for table in ["instance_extra", "instance_actions_events"] {
            let columns = graph.table(table).unwrap().columns.iter().map(|c| &c.name);
            let columns = engine.quote_all(columns);
            cloud.sql(&format!(
                "INSERT INTO shadow_{table} ({columns}) SELECT {columns} FROM {table}; DELETE FROM {table}"
            ));
        }
        restore(
            &mut cloud,
            &["instance_extra:1", "instance_actions_events:1"],
        )
        .unwrap();
        assert_eq!(rows(&mut cloud.session), before);
    });
}

#[derive(Default)]
struct Plan(Vec<String>);

impl Observer for Plan {
    fn plan(&mut self, _: &str, statements: &[String]) {
        self.0.extend_from_slice(statements);
    }
}

#[test]
fn a_dry_run_shows_what_would_come_back_and_changes_nothing() {
    Cloud::on_each_engine(|mut cloud| {
        cloud.dead_instance(1);
        cloud.archive_all();
        let before = rows(&mut cloud.session);
        let options = Options {
            dry_run: true,
            ..Options::default()
        };
        let mut plan = Plan::default();
        let planned = restore_with(&mut cloud, &["instances:1"], &options, &mut plan).unwrap();
        assert_eq!(rows(&mut cloud.session), before);
        let of = |what: &str| plan.0.iter().filter(|s| s.starts_with(what)).count();
        // One of each kind for each of the seven tables, parents first.
        assert_eq!(
            (of("INSERT"), of("DELETE"), plan.0.len()),
            (7, 7, 14),
            "{plan:#?}",
            plan = plan.0
        );
        assert!(plan.0[0].contains("instances") && plan.0[13].contains("instances"));
        assert_eq!(
            restore(&mut cloud, &["instances:1"]).unwrap().rows,
            planned.rows
        );
    });
}

#[test]
fn an_archiver_that_is_at_work_keeps_a_restore_out() {
    let mut cloud = Cloud::new(Engine::Mysql);
    cloud.dead_instance(1);
    cloud.archive_all();
    let mut other = cloud.database.session();
    let lock = AdvisoryLock::acquire(&mut other).unwrap();
    let error = restore(&mut cloud, &["instances:1"]).unwrap_err();
    assert_eq!(error.code as u8, 69, "{error}");
    lock.release(&mut other).unwrap();
    restore(&mut cloud, &["instances:1"]).unwrap();
}

/// A value of that type that says where it stands; of enums the last.
fn value(ty: &ColumnType, number: i64) -> Value {
    match ty {
        ColumnType::Bool => Value::Int(1),
        ty if ty.is_integer() => Value::Int(number),
        ColumnType::Float => Value::Real(number as f64 + 0.5),
        ColumnType::Decimal(..) => Value::Text(format!("{number}")),
        ColumnType::DateTime => Value::Text(format!("2025-03-04 05:06:{:02}", number % 60)),
        ColumnType::Date => Value::Text("2025-03-04".into()),
        ColumnType::Enum(labels) => Value::Text(labels.last().unwrap().clone()),
        ColumnType::Blob => Value::Bytes(vec![0, 39, 92, 255, number as u8]),
        ColumnType::Json => Value::Text(format!("{{\"n\": {number}}}")),
        ColumnType::Varchar(length) if *length < 12 => Value::Text(format!("{}", number % 10)),
        _ => Value::Text(format!("it's \\ {number}")),
    }
}

/// One row for each shadow table of Nova, every column filled, every reference kept: what one is called by its children
/// is what they say.
fn fill(session: &mut Session, graph: &FamilyGraph) {
    let engine = session.engine();
    let back = graph.returning();
    let mut values: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for (number, member) in (11..).zip(back.members.values()) {
        let table = graph.table(&member.table).unwrap();
        let of_table = values.entry(member.table.clone()).or_default();
        for column in &table.columns {
            of_table.insert(column.name.clone(), value(&column.ty, number));
        }
    }
    // Parents before their children, as deep as they go.
    for _ in 0..back.references.len() {
        for reference in &back.references {
            let parent = values[&reference.parent].clone();
            let child = values.get_mut(&reference.child).unwrap();
            for (c, p) in reference
                .child_columns
                .iter()
                .zip(&reference.parent_columns)
            {
                child.insert(c.clone(), parent[p].clone());
            }
        }
    }
    for (table, values) in &values {
        let literals: Vec<_> = values
            .iter()
            .map(|(column, value)| {
                let boolean = engine == Engine::Postgres
                    && graph.table(table).unwrap().column(column).unwrap().ty == ColumnType::Bool;
                match boolean {
                    true => "TRUE".into(),
                    false => engine.literal(value),
                }
            })
            .collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            engine.quote(table),
            engine.quote_all(values.keys()),
            literals.join(", ")
        );
        session
            .execute(&sql)
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

/// Every table of Nova's schema, every column of it.
#[test]
fn every_table_of_nova_comes_back_byte_for_byte() {
    for database in Database::on_each_engine() {
        let mut session = database.session();
        let engine = session.engine();
        let schema = Model::built_in("nova-34.0.0").unwrap().schema().unwrap();
        for statement in ddl::create_statements(&schema, engine) {
            session.execute(&statement).unwrap();
        }
        let schema = introspect(&mut session).unwrap();
        let graph = Profile::detect(&schema).families(&schema).unwrap();
        fill(&mut session, &graph);
        let archived = rows(&mut session);
        let tables: Vec<_> = graph
            .members
            .values()
            .filter_map(|m| Some((&m.table, m.shadow.as_ref()?)))
            .collect();
        assert!(tables.len() > 50);
        let keys = |session: &mut Session| {
            let mut names = Vec::new();
            for (table, shadow) in &tables {
                let key = engine.quote_all(&graph.member(table).unwrap().key);
                let keys = session.query(&format!("SELECT {key} FROM {}", engine.quote(shadow)));
                for key in keys.unwrap() {
                    let name = format!("{table}:{}", spell_key(&key));
                    names.push(RowName::parse(&name, &graph).unwrap());
                }
            }
            names
        };
        let names = keys(&mut session);
        assert_eq!(names.len(), tables.len());
        let (options, stop) = (Options::default(), Stop::default());
        let outcome = archive::restore(&mut session, &graph, &names, &options, &stop, &mut ());
        let outcome = outcome.unwrap();
        assert!(
            refusal(&outcome).is_none(),
            "{engine}: {:?}",
            outcome.blocked
        );
        assert_eq!(outcome.total_rows, tables.len() as u64, "{engine}");
        let back = rows(&mut session);
        for (table, shadow) in &tables {
            assert_eq!(back[*table], archived[*shadow], "{engine}: {table}");
            assert!(back[*shadow].is_empty(), "{engine}: {shadow}");
        }
    }
}
