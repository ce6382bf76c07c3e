//! Nova: the real schema of a release, a few instances, and their API records.

use crate::db::Value;
use crate::schema::{Model, Profile, Schema};

use super::super::world::{Content, Layout, MAIN_URL, Row, Task, World};

/// Tables that hold or may get rows; the whole of Nova takes seconds to create on a server.
const MAIN: [&str; 15] = [
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
    "share_mapping",
    "tags",
    "virtual_interfaces",
];

const API: [&str; 4] = [
    "cell_mappings",
    "instance_mappings",
    "instance_group_member",
    "request_specs",
];

/// Three soft-deleted instances, one of them held back by a share, and one that lives, in those tables of
/// Nova 34 that they use.
pub(super) fn nova() -> World {
    let keep = |names: &[&str], table: &str| {
        names.contains(&table.strip_prefix("shadow_").unwrap_or(table))
    };
    let mut world = real("34.0.0", 1..=4);
    world.name = "nova".into();
    world.title = "instances of Nova 34 with API records".into();
    world.main.rows.push(share_of(2));
    world.main.schema = part(&world.main.schema, &|table| keep(&MAIN, table));
    if let Some(api) = &mut world.api {
        api.schema = part(&api.schema, &|table| keep(&API, table));
    }
    world
}

/// Instances in the whole schema of a release, main and API database, all but the third soft-deleted: what
/// the real nova-manage can be run on.
pub(super) fn real(release: &str, instances: std::ops::RangeInclusive<i64>) -> World {
    // Every model comes with sexton, and a test reads each of them.
    let model = |name: &str| {
        Model::built_in(name)
            .unwrap_or_else(|_| Model::new("nova", "none", "none", "none", &Schema::default()))
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
            ("disabled", Value::Bool(false)),
        ],
    )];
    for id in instances {
        instance(&mut rows, id, id != 3);
        api_records(&mut records, id);
    }
    World {
        name: format!("nova-{release}"),
        title: format!("the whole schema of Nova {release}"),
        profile: Profile::built_in("nova").unwrap_or_else(|_| Profile::convention()),
        main: Content {
            schema: model(&format!("nova-{release}")),
            rows,
        },
        api: Some(Content {
            schema: model(&format!("nova-{release}-api")),
            rows: records,
        }),
        layout: Layout::OneDatabase,
        task: Task::Archive,
    }
}

/// The same with a leftover row that blocks one of two instances: a foreign key, no shadow table.
pub(super) fn blocked() -> World {
    let mut world = real("34.0.0", 1..=2);
    world.name = "nova-share-mapping".into();
    world.title = "Nova 34 with a share_mapping row left behind by one of two instances".into();
    world.main.rows.push(share_of(2));
    world
}

/// A row without shadow table, so that its instance stays, and its API records with it.
fn share_of(instance: i64) -> Row {
    Row::new(
        "share_mapping",
        [
            ("id", Value::Int(1)),
            ("uuid", text(&uuid(77))),
            ("instance_uuid", text(&uuid(instance))),
            ("share_id", text(&uuid(78))),
            ("status", text("inactive")),
            ("tag", text("t")),
        ],
    )
}

/// The tables that `keep` wants, without foreign keys to the others.
fn part(model: &Model, keep: &dyn Fn(&str) -> bool) -> Model {
    let tables = model.schema().map(|s| s.tables).unwrap_or_default();
    let schema: Schema = tables
        .into_values()
        .filter(|t| keep(&t.name))
        .map(|mut table| {
            table.foreign_keys.retain(|k| keep(&k.parent));
            table
        })
        .collect();
    Model::new("nova", &model.release, &model.database, "part", &schema)
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
