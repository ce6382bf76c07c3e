//! Models: the schema of one release of a service, as a file under `schemas/models/`.
//!
//! TOML, one table after the other; a column is one line of text, `name type [not null] [auto]
//! [default 'x']`, so that a model reads like the DDL it came from and a release shows as a small
//! diff. Captured by `cargo xtask schemas` from the service's own migrations.

mod check;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Column, ColumnType, ForeignKey, Index, Schema, Table};
use crate::db::Engine;
use crate::error::{Error, Result};

/// The names of model files with their texts.
macro_rules! models {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../schemas/models/", $name, ".toml")))),*]
    };
}

/// Models that come with sexton, by `service-release[-api]`; the newest release of a service first.
const BUILT_IN: [(&str, &str); 20] = models![
    "nova-34.0.0",
    "nova-34.0.0-api",
    "nova-31.3.1",
    "nova-31.3.1-api",
    "nova-29.4.0",
    "nova-29.4.0-api",
    "nova-27.5.1",
    "nova-27.5.1-api",
    "nova-25.0.0",
    "nova-25.0.0-api",
    "nova-21.0.0",
    "nova-21.0.0-api",
    "manila-23.0.1",
    "cinder-29.0.0",
    "glance-33.0.0",
    "heat-27.0.1",
    "masakari-22.0.0",
    "barbican-23.0.0",
    "designate-23.0.0",
    "trove-26.0.0",
];

/// The schema of one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The service: `nova`.
    pub service: String,
    /// Its release: `34.0.0`.
    pub release: String,
    /// Which of the service's databases: `main`, `api`.
    pub database: String,
    /// The version its migrations leave behind: `ab450ba04102`, `407`.
    pub version: String,
    /// What the release's own migrations make otherwise than on MariaDB, where the model was captured, by
    /// engine (`sqlite`, `postgres`): `table: message` as a comparison words it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drift: BTreeMap<String, Vec<String>>,
    #[serde(rename = "table")]
    tables: Vec<ModelTable>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelTable {
    name: String,
    columns: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    primary: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    references: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    unique: BTreeMap<String, Vec<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    index: BTreeMap<String, Vec<String>>,
}

impl Model {
    /// A model of a schema that was just read.
    pub fn new(
        service: &str,
        release: &str,
        database: &str,
        version: &str,
        schema: &Schema,
    ) -> Self {
        Self {
            service: service.into(),
            release: release.into(),
            database: database.into(),
            version: version.into(),
            drift: BTreeMap::new(),
            tables: schema.tables.values().map(ModelTable::of).collect(),
        }
    }

    /// Reads a model; `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| {
            Error::data(format!("model {origin}: {}", e.message()))
                .hint("mend the model, or leave it out")
        })
    }

    /// The names of the built-in models, the newest release of a service first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The built-in model of that name: `nova-34.0.0`, `nova-34.0.0-api`.
    pub fn built_in(name: &str) -> Result<Self> {
        let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) else {
            let names: Vec<_> = BUILT_IN.iter().map(|(n, _)| *n).collect();
            return Err(Error::usage(format!("unknown model '{name}'"))
                .hint(format!("known are {}", names.join(", "))));
        };
        Self::parse(text, name)
    }

    /// What its own migrations make otherwise on this engine.
    pub fn drift_on(&self, engine: Engine) -> &[String] {
        let name = match engine {
            Engine::Sqlite => "sqlite",
            Engine::Mysql => "mysql",
            Engine::Postgres => "postgres",
        };
        self.drift.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names of its tables.
    pub fn table_names(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|t| t.name.as_str())
    }

    /// The schema it describes.
    pub fn schema(&self) -> Result<Schema> {
        self.tables.iter().map(ModelTable::table).collect()
    }

    /// The model as the text of its file.
    pub fn to_text(&self) -> Result<String> {
        let body = toml::to_string_pretty(self)
            .map_err(|e| Error::internal(format!("a model cannot be written: {e}")))?;
        Ok(format!(
            "# Captured by `cargo xtask schemas`; do not edit anything but [drift].\n\n{body}"
        ))
    }
}

impl ModelTable {
    fn of(table: &Table) -> Self {
        let keyed = |list: &[Index]| {
            list.iter()
                .map(|i| (i.name.clone(), i.columns.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        Self {
            name: table.name.clone(),
            columns: table.columns.iter().map(column_text).collect(),
            primary: table.primary_key.clone(),
            references: table.foreign_keys.iter().map(reference_text).collect(),
            unique: keyed(&table.uniques),
            index: keyed(&table.indexes),
        }
    }

    fn table(&self) -> Result<Table> {
        let list = |map: &BTreeMap<String, Vec<String>>| {
            let index = |(name, columns): (&String, &Vec<String>)| Index {
                name: name.clone(),
                columns: columns.clone(),
            };
            map.iter().map(index).collect()
        };
        let bad = |text: &str| {
            Error::data(format!("model, table {}: cannot read '{text}'", self.name)).hint(
                "columns are written `name type [not null] [auto] [default 'x']`, references \
                 `name: columns -> table.columns`",
            )
        };
        let columns = self
            .columns
            .iter()
            .map(|c| parse_column(c).ok_or_else(|| bad(c)));
        let keys = self
            .references
            .iter()
            .map(|r| parse_reference(r).ok_or_else(|| bad(r)));
        Ok(Table {
            name: self.name.clone(),
            columns: columns.collect::<Result<_>>()?,
            primary_key: self.primary.clone(),
            uniques: list(&self.unique),
            indexes: list(&self.index),
            foreign_keys: keys.collect::<Result<_>>()?,
            storage: None,
        })
    }
}

fn column_text(column: &Column) -> String {
    let mut text = format!("{} {}", column.name, column.ty);
    if !column.nullable {
        text.push_str(" not null");
    }
    if column.auto_increment {
        text.push_str(" auto");
    }
    if let Some(default) = &column.default {
        text.push_str(&format!(" default '{}'", default.replace('\'', "''")));
    }
    text
}

fn parse_column(text: &str) -> Option<Column> {
    let (name, rest) = text.split_once(' ')?;
    let (rest, default) = match rest.split_once(" default '") {
        Some((rest, value)) => (rest, Some(value.strip_suffix('\'')?.replace("''", "'"))),
        None => (rest, None),
    };
    let (rest, auto_increment) = match rest.strip_suffix(" auto") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (ty, nullable) = match rest.strip_suffix(" not null") {
        Some(ty) => (ty, false),
        None => (rest, true),
    };
    let parsed: ColumnType = ty.parse().ok()?;
    // Reading a type forgives what it does not know. Here that may be a `NOT NULL` that would be lost.
    if parsed.to_string() != ty {
        return None;
    }
    Some(Column {
        name: name.into(),
        ty: parsed,
        nullable,
        default,
        auto_increment,
        generated: false,
        native: None,
        zoned: false,
    })
}

fn reference_text(key: &ForeignKey) -> String {
    let cascade = if key.on_delete_cascade {
        " cascade"
    } else {
        ""
    };
    format!(
        "{}: {} -> {}.{}{cascade}",
        key.name,
        key.columns.join(","),
        key.parent,
        key.parent_columns.join(",")
    )
}

fn parse_reference(text: &str) -> Option<ForeignKey> {
    let (name, rest) = text.split_once(": ")?;
    let (rest, on_delete_cascade) = match rest.strip_suffix(" cascade") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (columns, parent) = rest.split_once(" -> ")?;
    let (parent, parent_columns) = parent.split_once('.')?;
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(ForeignKey {
        name: name.into(),
        columns: list(columns),
        parent: parent.into(),
        parent_columns: list(parent_columns),
        on_delete_cascade,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_reads_back_as_it_was_written() {
        let column = |text: &str| parse_column(text).unwrap();
        let table = Table {
            name: "t".into(),
            columns: vec![
                column("id int not null auto"),
                column("state enum('a b','it''s') default 'it''s'"),
                column("note varchar(255)"),
            ],
            primary_key: vec!["id".into()],
            uniques: vec![Index {
                name: "u".into(),
                columns: vec!["note".into(), "id".into()],
            }],
            indexes: vec![Index {
                name: "i".into(),
                columns: vec!["note".into()],
            }],
            foreign_keys: vec![ForeignKey {
                name: "fk".into(),
                columns: vec!["a".into(), "b".into()],
                parent: "p".into(),
                parent_columns: vec!["x".into(), "y".into()],
                on_delete_cascade: true,
            }],
            storage: None,
        };
        let schema: Schema = [table].into_iter().collect();
        let model = Model::new("nova", "1", "main", "7", &schema);
        let read = Model::parse(&model.to_text().unwrap(), "test").unwrap();
        assert_eq!(read, model);
        assert_eq!(read.schema().unwrap(), schema);
        assert_eq!(
            schema.tables["t"].columns[1].default.as_deref(),
            Some("it's")
        );
    }

    #[test]
    fn a_column_is_read_as_it_is_written_or_not_at_all() {
        for text in [
            "id int NOT NULL",
            "id INT",
            "id int(11)",
            "id int  not null",
            "id int auto not null",
            "state enum('a",
        ] {
            assert_eq!(parse_column(text), None, "{text}");
        }
    }
}
