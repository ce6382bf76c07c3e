//! The records that the API database keeps about the instances of a dataset.

use std::collections::{BTreeMap, HashMap};

use crate::db::{Session, Value};
use crate::error::{Error, Result};
use crate::schema::Schema;

use super::Generated;
use super::cloud::{Cloud, Stream};
use super::content;
use super::damage::Damage;
use super::family::Home;
use super::ids::{Ids, advance_sequences};
use super::plan::Fate;
use super::row::{Life, Row};
use super::settings;
use super::wound::Wound;
use super::writer::Writer;

/// The tables with a record of an instance, in the order in which Nova cleans them.
pub(super) const RECORDS: [&str; 3] = [
    "instance_mappings",
    "request_specs",
    "instance_group_member",
];

/// The tables written to, parents first.
const ORDER: [&str; 6] = [
    "cell_mappings",
    "instance_groups",
    "instance_group_policy",
    "instance_mappings",
    "request_specs",
    "instance_group_member",
];

/// The uuid that Nova gives to cell0 everywhere.
const CELL0: &str = "00000000-0000-0000-0000-000000000000";

/// How the API database names the cell that a dataset was generated into.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// The cell's name: `cell1`.
    pub name: &'a str,
    /// What `cell_mappings.database_connection` says of it.
    pub connection: &'a str,
    /// The same for cell0.
    pub cell0_connection: &'a str,
}

/// What was generated into an API database.
#[derive(Debug, Default)]
pub struct GeneratedApi {
    /// Rows written, by table.
    pub rows: BTreeMap<String, u64>,
    /// Where the damage is, as `table:instance uuid`.
    pub damage: BTreeMap<Damage, Vec<String>>,
}

/// Generates the API-database records of a dataset. `schema` is the API database's own. Cell
/// mappings that are there are used.
pub fn generate_api(
    api: &mut Session,
    schema: &Schema,
    generated: &Generated,
    cell: &Cell<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<GeneratedApi> {
    if let Some(table) = ORDER.iter().find(|t| schema.table(t).is_none()) {
        return Err(Error::data(format!(
            "{} is not a Nova API database: no table {table}",
            api.label()
        ))
        .hint("give an empty database, or one that `nova-manage api_db sync` has made"));
    }
    let order = ORDER.map(str::to_owned);
    let ids = Ids::read(api, schema, &order)?;
    let known = [
        cell_id(api, "uuid", CELL0)?,
        cell_id(api, "name", cell.name)?,
    ];
    let mut result = settings::with_speed(api, |session| {
        let mut writer = Writer::new(session, schema, &order, progress);
        let mut records = Records {
            cloud: &generated.cloud,
            ids,
            cell: 0,
            groups: HashMap::new(),
            rows: Vec::new(),
        };
        records.cells(cell, known);
        let mut result = GeneratedApi::default();
        for (home, fate) in &generated.instances {
            if let Some(stranded) = records.instance(home, *fate) {
                let planted = result.damage.entry(Damage::StrandedApiRecord);
                planted.or_default().push(stranded);
            }
            writer.push(records.rows.drain(..))?;
        }
        writer.push(records.rows.drain(..))?;
        result.rows = writer.finish()?;
        Ok(result)
    })?;
    advance_sequences(api, schema, &result.rows)?;
    result.rows.retain(|_, rows| *rows > 0);
    Ok(result)
}

fn cell_id(api: &mut Session, column: &str, value: &str) -> Result<Option<i64>> {
    let value = api.engine().literal(&Value::Text(value.into()));
    let row = api.query_row(&format!(
        "SELECT id FROM cell_mappings WHERE {column} = {value} ORDER BY id LIMIT 1"
    ))?;
    Ok(row.and_then(|r| r.first().and_then(Value::as_int)))
}

struct Records<'a> {
    cloud: &'a Cloud,
    ids: Ids,
    /// The id of the cell's mapping.
    cell: i64,
    /// The server group of each project that has one.
    groups: HashMap<usize, i64>,
    rows: Vec<Row>,
}

impl Records<'_> {
    fn cells(&mut self, cell: &Cell<'_>, known: [Option<i64>; 2]) {
        let mut random = self.cloud.random(Stream::Api, 0);
        let named = [
            (CELL0.to_owned(), "cell0", "none:///", cell.cell0_connection),
            (
                random.uuid(),
                cell.name,
                "rabbit://nova@rabbit.example.org:5672/",
                cell.connection,
            ),
        ];
        for ((uuid, name, transport, connection), known) in named.into_iter().zip(known) {
            self.cell = known.unwrap_or_else(|| {
                let id = self.ids.next("cell_mappings");
                self.rows.push(
                    Row::new("cell_mappings", id, Life::live(self.cloud.origin))
                        .set("uuid", uuid)
                        .set("name", name)
                        .set("transport_url", transport)
                        .set("database_connection", connection)
                        .set("disabled", false),
                );
                id
            });
        }
    }

    /// The records of one instance; the name of the one that is stranded, if there is one.
    fn instance(&mut self, home: &Home, fate: Fate) -> Option<String> {
        let mut random = self.cloud.random(Stream::Api, home.id);
        match fate {
            Fate::Wounded(_, Wound::Archived { record }) => {
                self.record(home, RECORDS[record]);
                let uuid = self.cloud.instance_uuid(home.id);
                return Some(format!("{}:{uuid}", RECORDS[record]));
            }
            // An instance in the shadow table has no records: else they would be stranded.
            Fate::Wounded(_, wound) if wound.archives() => {}
            _ => {
                self.record(home, "instance_mappings");
                self.record(home, "request_specs");
                if random.one_in(8) {
                    self.record(home, "instance_group_member");
                }
            }
        }
        None
    }

    fn record(&mut self, home: &Home, table: &'static str) {
        let id = self.ids.next(table);
        let uuid = self.cloud.instance_uuid(home.id);
        let project = &self.cloud.projects[home.project];
        let row = Row::new(table, id, Life::live(home.created)).set("instance_uuid", &uuid);
        let row = match table {
            "instance_mappings" => row
                .set("cell_id", self.cell)
                .set("project_id", &project.id)
                .set("user_id", &project.user)
                .set("queued_for_delete", home.deleted.is_some()),
            "request_specs" => {
                let image = &self.cloud.images[home.image];
                let spec = content::request_spec(&uuid, &project.id, *home.flavor, image);
                row.set("spec", spec)
            }
            _ => {
                let group = self.group(home.project);
                row.set("group_id", group)
            }
        };
        self.rows.push(row);
    }

    fn group(&mut self, project: usize) -> i64 {
        if let Some(id) = self.groups.get(&project) {
            return *id;
        }
        let id = self.ids.next("instance_groups");
        let mut random = self.cloud.random(Stream::Api, -id);
        let owner = &self.cloud.projects[project];
        let life = Life::live(self.cloud.origin);
        self.rows.push(
            Row::new("instance_groups", id, life)
                .set("uuid", random.uuid())
                .set("name", "anti-affinity")
                .set("user_id", &owner.user)
                .set("project_id", &owner.id),
        );
        let policy = self.ids.next("instance_group_policy");
        self.rows.push(
            Row::new("instance_group_policy", policy, life)
                .set("policy", "anti-affinity")
                .set("group_id", id)
                .set("rules", "{}"),
        );
        self.groups.insert(project, id);
        id
    }
}
