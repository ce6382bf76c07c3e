//! A world: schema, profile and rows, small and known to the last value, on which an engine is
//! proved.
//!
//! A world is a plain value. It is created on any engine from the same text, serialized into a
//! scenario, and cut down when a failing case is shrunk.

mod check;
mod damaged;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::db::{Engine, Value};
use crate::error::{Error, Result};
use crate::schema::{
    FamilyGraph, Model, Ownership, Profile, ProfileReference, Reference, Schema, ddl,
};

/// Stands in a text value for the URL of the main database, as the engine under test is given it.
pub const MAIN_URL: &str = "{main-url}";

/// How the names of worlds begin in which an engine is to purge.
pub const PURGE: &str = "purge-";

/// How the names of worlds begin in which an engine is to empty the shadow tables.
pub const EMPTY: &str = "empty-";

/// How the names of worlds begin in which an engine is to bring all rows back from the shadow tables.
pub const RESTORE: &str = "restore-";

/// How the names of worlds begin in which an engine is to heal damage.
pub const REPAIR: &str = "repair-";

/// Schema, profile and rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// Its name in the catalogue: `chain`.
    pub name: String,
    /// One line on what it is for.
    pub title: String,
    /// What the schema does not say of itself.
    pub profile: Profile,
    /// The database with the families.
    pub main: Content,
    /// The database with records about roots, where the service has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Content>,
    /// Where the shadow tables lie.
    #[serde(default, skip_serializing_if = "Layout::is_one_database")]
    pub layout: Layout,
    /// What an engine is to do in it.
    #[serde(default, skip_serializing_if = "Task::is_archive")]
    pub task: Task,
}

/// What an engine is to do in a world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Move soft-deleted families to the shadow tables.
    #[default]
    Archive,
    /// Delete them where they are; there are no shadow tables.
    Purge,
    /// Delete those that are in the shadow tables.
    EmptyShadows,
    /// Bring back all that is in the shadow tables.
    Restore,
    /// Heal what is damaged, and leave the rest.
    Repair,
}

impl Task {
    fn is_archive(&self) -> bool {
        *self == Self::Archive
    }

    /// Whether rows are deleted for good.
    pub fn purges(self) -> bool {
        matches!(self, Self::Purge | Self::EmptyShadows)
    }

    /// Whether all rows of a world lie in the shadow tables.
    pub(super) fn is_of_shadows(self) -> bool {
        matches!(self, Self::EmptyShadows | Self::Restore)
    }
}

/// Where the shadow tables lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// In the database of the live tables.
    #[default]
    OneDatabase,
    /// In a second SQLite file, attached, both in WAL mode: a commit over both is not atomic.
    AttachedWal,
}

impl Layout {
    fn is_one_database(&self) -> bool {
        *self == Self::OneDatabase
    }
}

/// One database of a world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The tables, shadow tables included.
    pub schema: Model,
    /// The rows, shadow rows included.
    pub rows: Vec<Row>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The table it lies in.
    pub table: String,
    /// Its values by column; columns that are not named take their default.
    pub values: BTreeMap<String, Value>,
}

impl Row {
    /// A row of these values.
    pub fn new<const N: usize>(table: &str, values: [(&str, Value); N]) -> Self {
        Self {
            table: table.into(),
            values: values
                .into_iter()
                .map(|(column, value)| (column.to_owned(), value))
                .collect(),
        }
    }
}

impl World {
    /// Reads a world; `origin` names it in errors.
    ///
    /// # Errors
    ///
    /// Exit code 65 if it is none.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| {
            Error::data(format!("{origin} is not a world: {e}"))
                .hint("begin with what `sexton prove --print-world chain` prints")
        })
    }

    /// The family graph of the main database, as an engine would find it there.
    ///
    /// # Errors
    ///
    /// Exit code 65 if the profile and the schema do not fit.
    pub fn graph(&self, engine: Engine) -> Result<FamilyGraph> {
        let mut schema = self.main.schema.schema()?;
        ddl::name_enum_types(&mut schema, engine);
        let graph = self.profile.families(&schema)?;
        Ok(match self.task {
            Task::Archive | Task::EmptyShadows | Task::Restore | Task::Repair => graph,
            Task::Purge => graph.in_place(&BTreeSet::new()),
        })
    }

    /// The families as oracles see them: where shadow tables are to be emptied, those in the shadow tables,
    /// which no foreign key and no marker knows; where rows are to come back, the same on their way to the live tables.
    ///
    /// # Errors
    ///
    /// As [`World::graph`].
    pub fn judged_graph(&self, engine: Engine) -> Result<FamilyGraph> {
        let graph = self.graph(engine)?;
        match self.task {
            Task::Archive | Task::Purge | Task::Repair => return Ok(graph),
            Task::Restore => return Ok(families_alone(graph.returning())),
            Task::EmptyShadows => {}
        }
        let shadow = |table: &str| graph.member(table).and_then(|m| m.shadow.clone());
        let shadows: Vec<String> = graph.members.keys().filter_map(|t| shadow(t)).collect();
        let in_shadow = |table: &str, columns: &[String]| {
            Some(format!("{}.({})", shadow(table)?, columns.join(", ")))
        };
        let owned = graph.references.iter().filter(|r| r.is_owned());
        let references = owned.filter_map(|r| {
            Some(ProfileReference {
                child: in_shadow(&r.child, &r.child_columns)?,
                parent: in_shadow(&r.parent, &r.parent_columns)?,
                kind: Ownership::Owned,
                by_convention: true,
                required: false,
            })
        });
        let profile = Profile {
            name: self.profile.name.clone(),
            shadow_prefix: "-".into(),
            without_shadow: shadows.clone(),
            unmarked: shadows.clone(),
            age: graph
                .members
                .values()
                .filter_map(|m| Some((m.shadow.clone()?, m.age.clone()?)))
                .collect(),
            reference: references.collect(),
            ..Profile::default()
        };
        let tables = shadows
            .iter()
            .filter_map(|name| graph.schema.table(name).cloned());
        Ok(profile
            .families(&tables.collect::<Schema>())?
            .in_place(&BTreeSet::new()))
    }

    /// The same for an engine that is to do this.
    ///
    /// # Errors
    ///
    /// Exit code 65 if the schema's text cannot be read.
    pub fn to_task(&self, task: Task) -> Result<Self> {
        match task {
            Task::Archive => Ok(self.clone()),
            Task::Purge => self.to_purge(),
            Task::EmptyShadows => self.to_shadows(EMPTY, task),
            Task::Restore => self.to_shadows(RESTORE, task),
            Task::Repair => self.to_repair(),
        }
    }

    /// The same rows for an engine that takes them from the shadow tables: all of them there, and nothing left to
    /// archive.
    fn to_shadows(&self, prefix_of_name: &str, task: Task) -> Result<Self> {
        if self.task == task {
            return Ok(self.clone());
        }
        let schema = self.main.schema.schema()?;
        let prefix = self.profile.shadow_prefix.as_str();
        let mut world = self.clone();
        world.name = format!("{prefix_of_name}{}", self.name);
        world.main.rows.retain_mut(|row| {
            if row.table.starts_with(prefix) {
                return schema.table(&row.table).is_some();
            }
            let shadow = format!("{prefix}{}", row.table);
            if schema.table(&shadow).is_some() {
                row.table = shadow;
                return true;
            }
            // What comes back may need it.
            task == Task::Restore
        });
        (world.api, world.profile.api) = (None, None);
        world.task = task;
        Ok(world)
    }

    /// The same rows for an engine that purges: without shadow tables, and without the records of another
    /// database, which are none of its business.
    ///
    /// # Errors
    ///
    /// Exit code 65 if the schema's text cannot be read.
    pub fn to_purge(&self) -> Result<Self> {
        if self.task == Task::Purge {
            return Ok(self.clone());
        }
        let prefix = self.profile.shadow_prefix.as_str();
        let schema = &self.main.schema;
        let live: Schema = schema
            .schema()?
            .tables
            .into_values()
            .filter(|t| prefix.is_empty() || !t.name.starts_with(prefix))
            .collect();
        let mut world = self.clone();
        world.name = format!("{PURGE}{}", self.name);
        world
            .main
            .rows
            .retain(|row| live.table(&row.table).is_some());
        world.main.schema = Model::new(
            &schema.service,
            &schema.release,
            &schema.database,
            &schema.version,
            &live,
        );
        (world.api, world.profile.api) = (None, None);
        world.task = Task::Purge;
        Ok(world)
    }

    /// The databases with their names: `main`, `api`.
    pub fn databases(&self) -> impl Iterator<Item = (&'static str, &Content)> {
        let api = self.api.iter().map(|content| ("api", content));
        std::iter::once(("main", &self.main)).chain(api)
    }
}

impl Content {
    /// The statements that create the tables in an empty database.
    ///
    /// # Errors
    ///
    /// Exit code 65 if the schema's text cannot be read.
    pub fn create(&self, engine: Engine) -> Result<Vec<String>> {
        Ok(ddl::create_statements(&self.schema.schema()?, engine))
    }

    /// The statements that put the rows in, with foreign keys not asked meanwhile; `main_url`
    /// replaces [`MAIN_URL`].
    pub fn fill(&self, engine: Engine, main_url: &str) -> Vec<String> {
        let (off, on) = foreign_keys(engine);
        let mut statements = vec![off.to_owned()];
        let mut pending: Vec<(&str, String, Vec<String>)> = Vec::new();
        for row in &self.rows {
            let columns = engine.quote_all(row.values.keys());
            let values: Vec<_> = row
                .values
                .values()
                .map(|value| engine.literal(&with_url(value, main_url)))
                .collect();
            let values = format!("({})", values.join(", "));
            match pending.last_mut() {
                Some((table, same, tuples)) if *table == row.table && *same == columns => {
                    tuples.push(values);
                }
                _ => pending.push((&row.table, columns, vec![values])),
            }
        }
        for (table, columns, tuples) in pending {
            statements.push(format!(
                "INSERT INTO {} ({columns}) VALUES {}",
                engine.quote(table),
                tuples.join(", ")
            ));
        }
        statements.push(on.to_owned());
        statements
    }
}

/// The same tables without what marks their rows, for no service writes to a shadow table, and with what makes families
/// of them alone: a row that is archived is held there by none that refers to it.
fn families_alone(mut graph: FamilyGraph) -> FamilyGraph {
    graph.members.values_mut().for_each(|m| m.marker = None);
    graph.references.retain(Reference::is_owned);
    graph.references.iter_mut().for_each(|r| r.declared = false);
    graph
}

/// The statements that switch foreign keys off and on for one session.
pub(super) fn foreign_keys(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Sqlite => ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"),
        Engine::Mysql => ("SET foreign_key_checks = 0", "SET foreign_key_checks = 1"),
        Engine::Postgres => (
            "SET session_replication_role = replica",
            "SET session_replication_role = origin",
        ),
    }
}

fn with_url(value: &Value, main_url: &str) -> Value {
    match value {
        Value::Text(text) if text.contains(MAIN_URL) => {
            Value::Text(text.replace(MAIN_URL, main_url))
        }
        other => other.clone(),
    }
}
