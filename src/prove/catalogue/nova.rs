//! Nova: the real schema of a release, a few instances, and their API records.

use std::collections::BTreeSet;

use crate::db::Value;
use crate::schema::{Model, Profile, Schema};

use super::super::world::{Content, Layout, MAIN_URL, Row, World};

/// Tables that hold or may get rows; the whole of Nova takes seconds to create on a server.
const MAIN: [&str; 14] = [
    "block_device_mapping",
    "compute_nodes",
    "instance_actions",
    "instance_actions_events",
    "instance_extra",
    "instance_faults",
    "instance_id_mappings",
    "instance_info_caches",
    "instance_metadata",
    "instance_system_metadata",
    "instances",
    "migrations",
    "tags",
    "virtual_interfaces",
];

const API: [&str; 4] = [
    "cell_mappings",
    "instance_mappings",
    "instance_group_member",
    "request_specs",
];

/// Three soft-deleted instances and one that lives, of Nova 34.
pub(super) fn nova() -> World {
    let part = |model: &str, names: &[&str]| -> Model {
        // Both models come with sexton, and a test reads every one of them.
        let Ok(Ok(schema)) = Model::built_in(model).map(|m| m.schema()) else {
            return Model::new("nova", "none", "none", "none", &Schema::default());
        };
        let wanted: BTreeSet<String> = names
            .iter()
            .flat_map(|n| [(*n).to_owned(), format!("shadow_{n}")])
            .collect();
        let keep = |name: &String| wanted.contains(name);
        let tables = schema.tables.into_values().filter(|t| keep(&t.name));
        let schema: Schema = tables
            .map(|mut table| {
                table.foreign_keys.retain(|k| keep(&k.parent));
                table
            })
            .collect();
        Model::new("nova", "34.0.0", "part", "part", &schema)
    };
    let mut rows = Vec::new();
    let mut records = vec![Row::new(
        "cell_mappings",
        [
            ("id", Value::Int(1)),
            ("uuid", text(&uuid(99))),
            ("name", text("cell1")),
            ("transport_url", text("none:///")),
            ("database_connection", text(MAIN_URL)),
            ("disabled", Value::Int(0)),
        ],
    )];
    for id in 1..=4 {
        instance(&mut rows, id, id != 3);
        api_records(&mut records, id);
    }
    World {
        name: "nova".into(),
        title: "instances of Nova 34 with API records".into(),
        profile: Profile::built_in("nova").unwrap_or_else(|_| Profile::convention()),
        main: Content {
            schema: part("nova-34.0.0", &MAIN),
            rows,
        },
        api: Some(Content {
            schema: part("nova-34.0.0-api", &API),
            rows: records,
        }),
        layout: Layout::OneDatabase,
    }
}

fn instance(rows: &mut Vec<Row>, id: i64, dead: bool) {
    let uuid = text(&uuid(id));
    let mark = |id: i64| Value::Int(if dead { id } else { 0 });
    let at = || match dead {
        true => text("2025-06-01 00:00:00"),
        false => Value::Null,
    };
    rows.push(Row::new(
        "instances",
        [
            ("id", Value::Int(id)),
            ("uuid", uuid.clone()),
            ("deleted", mark(id)),
            ("deleted_at", at()),
            ("hostname", text(&format!("host-{id}"))),
        ],
    ));
    let child = |table: &str, row: i64, more: &[(&str, Value)]| {
        let mut child = Row::new(
            table,
            [
                ("id", Value::Int(row)),
                ("instance_uuid", uuid.clone()),
                ("deleted", mark(row)),
                ("deleted_at", at()),
            ],
        );
        let more = more.iter().map(|(c, v)| ((*c).to_owned(), v.clone()));
        child.values.extend(more);
        child
    };
    rows.push(child("instance_extra", id, &[("flavor", text("{}"))]));
    rows.push(child("instance_info_caches", id, &[]));
    for (row, key) in [(10 * id, "a"), (10 * id + 1, "b")] {
        let more = [("key", text(key)), ("value", text("1"))];
        rows.push(child("instance_system_metadata", row, &more));
    }
    // Never soft-deleted, neither of them.
    let created = ("created_at", text("2025-01-01 00:00:00"));
    rows.push(Row::new(
        "instance_actions",
        [
            ("id", Value::Int(id)),
            ("instance_uuid", uuid.clone()),
            ("deleted", Value::Int(0)),
            ("action", text("create")),
            created.clone(),
        ],
    ));
    rows.push(Row::new(
        "instance_actions_events",
        [
            ("id", Value::Int(id)),
            ("action_id", Value::Int(id)),
            ("deleted", Value::Int(0)),
            ("event", text("compute")),
            created,
        ],
    ));
}

fn api_records(rows: &mut Vec<Row>, id: i64) {
    rows.push(Row::new(
        "instance_mappings",
        [
            ("id", Value::Int(id)),
            ("instance_uuid", text(&uuid(id))),
            ("cell_id", Value::Int(1)),
            ("project_id", text("p")),
        ],
    ));
    rows.push(Row::new(
        "request_specs",
        [
            ("id", Value::Int(id)),
            ("instance_uuid", text(&uuid(id))),
            ("spec", text("{}")),
        ],
    ));
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn uuid(id: i64) -> String {
    format!("00000000-0000-0000-0000-{id:012}")
}
