//! Archived and restored, every table of the real schema that has a shadow table is as it was, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use sexton::archive::{self, Options, RowName, Stop, refusal};
use sexton::db::{Engine, Session, Value, spell_key};
use sexton::schema::{Column, ColumnType, FamilyGraph, Reference};

use crate::support::cloud::Cloud;
use crate::support::databases::Database;
use crate::support::nova::{real_cell, sync};

/// The values of a row, by column.
type Row = BTreeMap<String, Value>;

/// Nova never marks its rows, and nothing owns them: they go on request only.
const ON_REQUEST: &str = "task_log";

/// A value of that type that no other number gives; of enums the last.
fn value(ty: &ColumnType, number: i64) -> Value {
    let text = |length: usize| {
        let text = format!("{number} é 'it''s' \"\\ %_ \u{fc}\n\t ");
        Value::Text(text.chars().take(length).collect())
    };
    match ty {
        ColumnType::Bool => Value::Int(1),
        ty if ty.is_integer() => Value::Int(number),
        ColumnType::Float => Value::Real(number as f64 + 0.5),
        ColumnType::Decimal(..) => Value::Text(number.to_string()),
        ColumnType::DateTime => Value::Text(format!("2025-03-04 05:06:{:02}", number % 60)),
        ColumnType::Date => Value::Text("2025-03-04".into()),
        ColumnType::Enum(labels) => Value::Text(labels.last().unwrap().clone()),
        ColumnType::Blob => Value::Bytes(vec![0, 39, 92, 255, number as u8]),
        ColumnType::Json => Value::Text(format!("{{\"é\": {number}}}")),
        ColumnType::Varchar(length) => text(*length as usize),
        ColumnType::Other(_) => Value::Text(format!("10.0.0.{number}")),
        _ => text(100),
    }
}

fn is_text(ty: &ColumnType) -> bool {
    matches!(
        ty,
        ColumnType::Varchar(_) | ColumnType::Text | ColumnType::MediumText | ColumnType::LongText
    )
}

/// Two soft-deleted rows of each table with a shadow table: one that has something in every column, and refers to the
/// full rows of all its parents; one that has nothing where nothing is allowed.
fn rows(graph: &FamilyGraph) -> BTreeMap<String, [Row; 2]> {
    let mut all = BTreeMap::new();
    let shadowed = graph.members.values().filter(|m| m.shadow.is_some());
    for (number, member) in (11..).step_by(2).zip(shadowed) {
        let table = graph.table(&member.table).unwrap();
        let row = |number| -> Row {
            let columns = table.columns.iter();
            columns
                .map(|c| (c.name.clone(), value(&c.ty, number)))
                .collect()
        };
        let mut two = [row(number), row(number + 1)];
        for row in &mut two {
            let Some(marker) = member.marker.as_ref().filter(|m| m.holds_key) else {
                continue;
            };
            let mark = match member.on_request {
                true => Value::Int(0),
                false => row[&member.key[0]].clone(),
            };
            row.insert(marker.column.clone(), mark);
        }
        all.insert(member.table.clone(), two);
    }
    // Parents before their children, as deep as they go.
    let between = graph.references.iter();
    let between: Vec<_> = between
        .filter(|r| all.contains_key(&r.parent) && all.contains_key(&r.child))
        .collect();
    for _ in 0..between.len() {
        for reference in &between {
            let parents = all[&reference.parent].clone();
            let children = all.get_mut(&reference.child).unwrap();
            for (child, parent) in children.iter_mut().zip(parents) {
                let columns = reference.child_columns.iter();
                for (c, p) in columns.zip(&reference.parent_columns) {
                    child.insert(c.clone(), parent[p].clone());
                }
            }
        }
    }
    let moves_alone = |table: &str| !graph.member(table).unwrap().never_marked;
    for (name, [_, bare]) in &mut all {
        let (table, member) = (graph.table(name).unwrap(), graph.member(name).unwrap());
        let mut kept: BTreeSet<&String> = member.key.iter().collect();
        kept.extend(member.marker.as_ref().map(|m| &m.column));
        for reference in &between {
            // Rows that nobody marks go with an owner or not at all.
            let needed = !reference.nullable || !moves_alone(&reference.child);
            if &reference.child == name && needed {
                kept.extend(&reference.child_columns);
            }
            if &reference.parent == name && needed {
                kept.extend(&reference.parent_columns);
            }
        }
        for column in table.columns.iter().filter(|c| !kept.contains(&c.name)) {
            if column.nullable {
                bare.insert(column.name.clone(), Value::Null);
            } else if is_text(&column.ty) {
                bare.insert(column.name.clone(), Value::Text(String::new()));
            }
        }
    }
    all
}

fn insert(session: &mut Session, graph: &FamilyGraph, all: &BTreeMap<String, [Row; 2]>) {
    let engine = session.engine();
    let (off, on) = match engine {
        Engine::Postgres => (
            "SET session_replication_role = replica",
            "SET session_replication_role = DEFAULT",
        ),
        _ => ("SET foreign_key_checks = 0", "SET foreign_key_checks = 1"),
    };
    session.execute(off).unwrap();
    for (table, two) in all {
        for row in two {
            let literal = |(column, value): (&String, &Value)| {
                let ty = &graph.table(table).unwrap().column(column).unwrap().ty;
                match (engine, ty, value) {
                    (_, _, Value::Null) => "NULL".into(),
                    (Engine::Postgres, ColumnType::Bool, _) => "TRUE".into(),
                    _ => engine.literal(value),
                }
            };
            let values: Vec<_> = row.iter().map(literal).collect();
            let sql = format!(
                "INSERT INTO {} ({}) VALUES ({})",
                engine.quote(table),
                engine.quote_all(row.keys()),
                values.join(", ")
            );
            let inserted = session.execute(&sql);
            inserted.unwrap_or_else(|e| panic!("{sql}: {e}"));
        }
    }
    session.execute(on).unwrap();
}

/// The bytes of every row of these tables, sorted.
fn bytes<'a>(
    session: &mut Session,
    graph: &FamilyGraph,
    tables: impl Iterator<Item = &'a String>,
) -> BTreeMap<String, Vec<String>> {
    let engine = session.engine();
    let mut all = BTreeMap::new();
    for name in tables {
        let hex = |column: &Column| {
            let quoted = engine.quote(&column.name);
            match (engine, &column.ty) {
                (Engine::Postgres, _) => {
                    format!("encode(convert_to({quoted}::text, 'UTF8'), 'hex')")
                }
                // Of a number HEX would round.
                (_, ty) if is_text(ty) || *ty == ColumnType::Blob => format!("HEX({quoted})"),
                _ => format!("HEX(CAST({quoted} AS CHAR))"),
            }
        };
        let columns = graph.table(name).unwrap().columns.iter();
        let columns: Vec<_> = columns.map(hex).collect();
        let sql = format!("SELECT {} FROM {}", columns.join(", "), engine.quote(name));
        let found = session.query(&sql).unwrap();
        let mut rows: Vec<_> = found.iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        all.insert(name.clone(), rows);
    }
    all
}

/// The rows that no other row owns, by name.
fn roots(graph: &FamilyGraph, all: &BTreeMap<String, [Row; 2]>) -> Vec<RowName> {
    let mut names = Vec::new();
    for (table, two) in all {
        for row in two {
            let owner =
                |r: &&Reference| &r.child == table && r.is_owned() && all.contains_key(&r.parent);
            let mut owners = graph.references.iter().filter(owner);
            let owned = owners.any(|r| r.child_columns.iter().all(|c| row[c] != Value::Null));
            let key = &graph.member(table).unwrap().key;
            let key: Vec<_> = key.iter().map(|c| row[c].clone()).collect();
            if !owned {
                let name = format!("{table}:{}", spell_key(&key));
                names.push(RowName::parse(&name, graph).unwrap());
            }
        }
    }
    names
}

fn goes_and_comes_back(mut cloud: Cloud) {
    let graph = cloud.graph();
    let all = rows(&graph);
    assert!(all.len() > 50, "{}", all.len());
    insert(&mut cloud.session, &graph, &all);
    let before = bytes(&mut cloud.session, &graph, all.keys());
    let shadows: Vec<_> = all.keys().map(|table| format!("shadow_{table}")).collect();
    let live = |cloud: &mut Cloud| -> Vec<String> {
        let filled = all.keys().filter(|table| cloud.count(table) > 0);
        filled.cloned().collect()
    };

    let mut options = Options {
        until_complete: true,
        ..Options::default()
    };
    let outcome = cloud.archive(&options);
    assert_eq!(live(&mut cloud), [ON_REQUEST], "{outcome:#?}");
    options.task_log = true;
    let more = cloud.archive(&options);
    assert_eq!(live(&mut cloud), Vec::<String>::new(), "{more:#?}");
    let rows = 2 * all.len() as u64;
    assert_eq!(outcome.total_rows + more.total_rows, rows);
    for shadow in &shadows {
        assert_eq!(cloud.count(shadow), 2, "{shadow}");
    }

    let names = roots(&graph, &all);
    let stop = Stop::default();
    let session = &mut cloud.session;
    let back = archive::restore(session, &graph, &names, &options, &stop, &mut ()).unwrap();
    assert!(refusal(&back).is_none(), "{:?}", back.blocked);
    assert_eq!(back.total_rows, rows);
    for (table, rows) in bytes(session, &graph, all.keys()) {
        assert_eq!(rows, before[&table], "{table}");
    }
    for shadow in &shadows {
        assert_eq!(cloud.count(shadow), 0, "{shadow}");
    }
}

#[test]
fn every_table_is_archived_and_comes_back_byte_for_byte_on_mariadb() {
    goes_and_comes_back(real_cell());
}

/// With the schema of the real migrations there.
#[test]
fn every_table_is_archived_and_comes_back_byte_for_byte_on_postgresql() {
    let (main, api) = (
        Database::fresh(Engine::Postgres),
        Database::fresh(Engine::Postgres),
    );
    sync(&main, &api);
    goes_and_comes_back(Cloud::on(main));
}
