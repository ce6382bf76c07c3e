//! Builds the catalogue's worlds: tables with marker, note and shadow, rows by id.

use std::collections::BTreeMap;

use crate::db::Value;
use crate::schema::{
    Column, ColumnType, ForeignKey, Model, Ownership, Profile, ProfileReference, Schema, Table,
};

use super::super::world::{Content, Layout, Row, Task, World};

pub(in super::super) struct Builder {
    name: String,
    title: String,
    tables: Vec<Table>,
    profile: Profile,
    rows: Vec<Row>,
}

impl Builder {
    pub(in super::super) fn new(name: &str, title: &str) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            tables: Vec::new(),
            profile: Profile {
                name: name.into(),
                ..Profile::convention()
            },
            rows: Vec::new(),
        }
    }

    /// A table with these columns for references, and its shadow.
    pub(in super::super) fn table(&mut self, name: &str, references: &[&str]) -> &mut Self {
        self.unshadowed(name, references).shadow()
    }

    /// A table without shadow.
    pub(in super::super) fn unshadowed(&mut self, name: &str, references: &[&str]) -> &mut Self {
        let mut columns = vec![column("id", ColumnType::Int, false)];
        columns.extend(common());
        columns.extend(references.iter().map(|c| column(c, ColumnType::Int, true)));
        self.add(name, columns, &["id"])
    }

    /// A table with the key (zone, id), and its shadow.
    pub(in super::super) fn composite_table(
        &mut self,
        name: &str,
        references: &[&str],
    ) -> &mut Self {
        let zone = ColumnType::Varchar(8);
        let mut columns = vec![
            column("zone", zone.clone(), false),
            column("id", ColumnType::Int, false),
        ];
        columns.extend(common());
        if let [a, b] = references {
            columns.push(column(a, zone, true));
            columns.push(column(b, ColumnType::Int, true));
        }
        self.add(name, columns, &["zone", "id"]).shadow()
    }

    fn add(&mut self, name: &str, columns: Vec<Column>, key: &[&str]) -> &mut Self {
        self.tables.push(Table {
            name: name.into(),
            columns,
            primary_key: key.iter().map(|k| (*k).to_owned()).collect(),
            ..Table::default()
        });
        self
    }

    /// The last table's shadow.
    fn shadow(&mut self) -> &mut Self {
        if let Some(last) = self.tables.last() {
            let name = format!("shadow_{}", last.name);
            let shadow = Table {
                name,
                ..last.clone()
            };
            self.tables.push(shadow);
        }
        self
    }

    /// A foreign key, and what it means.
    pub(in super::super) fn reference(&mut self, child: &str, parent: &str, kind: Ownership) {
        self.state(child, parent, kind, false);
        let ((table, columns), (parent, parent_columns)) = (split(child), split(parent));
        let number = self.profile.reference.len();
        if let Some(table) = self.tables.iter_mut().find(|t| t.name == table) {
            table.foreign_keys.push(ForeignKey {
                name: format!("fk_{number}"),
                columns: columns.clone(),
                parent,
                parent_columns,
                on_delete_cascade: false,
            });
            table.indexes.push(crate::schema::Index {
                name: format!("ix_{number}"),
                columns,
            });
        }
    }

    /// A reference that only the profile knows.
    pub(in super::super) fn by_convention(&mut self, child: &str, parent: &str, kind: Ownership) {
        self.state(child, parent, kind, true);
    }

    fn state(&mut self, child: &str, parent: &str, kind: Ownership, by_convention: bool) {
        self.profile.reference.push(ProfileReference {
            child: child.into(),
            parent: parent.into(),
            kind,
            by_convention,
            required: false,
        });
    }

    pub(in super::super) fn row(
        &mut self,
        table: &str,
        id: i64,
        dead: bool,
        references: &[(&str, i64)],
    ) {
        let mut values = marks(table, &id.to_string(), dead);
        values.insert("id".into(), Value::Int(id));
        let set = references
            .iter()
            .map(|(c, id)| ((*c).to_owned(), Value::Int(*id)));
        values.extend(set);
        self.rows.push(Row {
            table: table.into(),
            values,
        });
    }

    pub(in super::super) fn composite_row(
        &mut self,
        table: &str,
        (zone, id): (&str, i64),
        dead: bool,
        host: Option<(&str, i64)>,
    ) {
        let mut values = marks(table, &format!("{zone}{id}"), dead);
        values.insert("zone".into(), Value::Text(zone.into()));
        values.insert("id".into(), Value::Int(id));
        if let Some((zone, id)) = host {
            values.insert("host_zone".into(), Value::Text(zone.into()));
            values.insert("host_id".into(), Value::Int(id));
        }
        self.rows.push(Row {
            table: table.into(),
            values,
        });
    }

    pub(in super::super) fn world(self) -> World {
        let schema: Schema = self.tables.into_iter().collect();
        World {
            main: Content {
                schema: Model::new("sexton", &self.name, "main", "1", &schema),
                rows: self.rows,
            },
            name: self.name,
            title: self.title,
            profile: self.profile,
            api: None,
            layout: Layout::OneDatabase,
            task: Task::Archive,
        }
    }
}

/// The marker, and a text that tells rows apart.
fn marks(table: &str, id: &str, dead: bool) -> BTreeMap<String, Value> {
    BTreeMap::from([
        ("deleted".to_owned(), Value::Int(i64::from(dead))),
        ("note".to_owned(), Value::Text(format!("{table} {id}"))),
    ])
}

fn common() -> [Column; 2] {
    [
        column("deleted", ColumnType::Int, false),
        column("note", ColumnType::Varchar(40), true),
    ]
}

fn column(name: &str, ty: ColumnType, nullable: bool) -> Column {
    Column {
        name: name.into(),
        ty,
        nullable,
        default: None,
        auto_increment: false,
        generated: false,
        native: None,
    }
}

/// `table.column` or `table.(a, b)`.
fn split(text: &str) -> (String, Vec<String>) {
    let (table, columns) = text.split_once('.').unwrap_or((text, ""));
    let columns = columns.trim_matches(['(', ')']).split(", ");
    (table.into(), columns.map(str::to_owned).collect())
}
