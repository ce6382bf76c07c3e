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

/// What a table is like, beside its references.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Form {
    /// Whether its key has two columns.
    pub(in super::super) composite: bool,
    /// Whether its rows can be marked deleted.
    pub(in super::super) marked: bool,
    /// Whether there is a shadow table.
    pub(in super::super) shadowed: bool,
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

    /// Gives the last table, which has a shadow, another column that tells its rows apart.
    pub(in super::super) fn other_key(&mut self, name: &str) {
        let unique = crate::schema::Index {
            name: format!("uq_{name}"),
            columns: vec![name.into()],
        };
        let mut last = self.tables.iter_mut().rev();
        if let (Some(shadow), Some(table)) = (last.next(), last.next()) {
            shadow.columns.push(column(name, ColumnType::Int, false));
            table.columns.push(column(name, ColumnType::Int, false));
            table.uniques.push(unique);
        }
    }

    /// A foreign key whose children the database deletes with their parent, and what it means.
    pub(in super::super) fn cascade(&mut self, child: &str, parent: &str, kind: Ownership) {
        self.reference(child, parent, kind);
        let keys = self.tables.iter_mut().flat_map(|t| &mut t.foreign_keys);
        // The last one is in any of the tables; its name tells.
        if let Some(key) = keys.max_by_key(|key| key.name[3..].parse::<usize>().unwrap_or(0)) {
            key.on_delete_cascade = true;
        }
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

    /// A table of this form, with a column, or two, for each reference: its name, and whether it is to a
    /// key of two.
    pub(in super::super) fn formed(
        &mut self,
        name: &str,
        form: Form,
        references: &[(String, bool)],
    ) {
        let zone = ColumnType::Varchar(8);
        let mut columns = Vec::new();
        if form.composite {
            columns.push(column("zone", zone.clone(), false));
        }
        columns.push(column("id", ColumnType::Int, false));
        columns.extend(common().into_iter().skip(if form.marked { 0 } else { 2 }));
        for (reference, composite) in references {
            if *composite {
                columns.push(column(&format!("{reference}_zone"), zone.clone(), true));
            }
            columns.push(column(reference, ColumnType::Int, true));
        }
        let key: &[&str] = if form.composite {
            &["zone", "id"]
        } else {
            &["id"]
        };
        self.add(name, columns, key);
        if form.shadowed {
            self.shadow();
        }
    }

    /// A row with these values, and the marks that its table has.
    pub(in super::super) fn row_of(
        &mut self,
        table: &str,
        id: i64,
        dead: bool,
        values: BTreeMap<String, Value>,
    ) {
        let mut all = marks(table, id, &id.to_string(), dead);
        all.insert("id".into(), Value::Int(id));
        all.extend(values);
        if let Some(known) = self.tables.iter().find(|t| t.name == table) {
            all.retain(|column, _| known.column(column).is_some());
        }
        self.rows.push(Row {
            table: table.into(),
            values: all,
        });
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
        self.foreign_key(child, parent);
    }

    /// A foreign key of which the profile says nothing.
    pub(in super::super) fn foreign_key(&mut self, child: &str, parent: &str) {
        let ((table, columns), (parent, parent_columns)) = (split(child), split(parent));
        let number = 1 + self
            .tables
            .iter()
            .map(|t| t.foreign_keys.len())
            .sum::<usize>();
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
        let mut values = marks(table, id, &id.to_string(), dead);
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
        let mut values = marks(table, id, &format!("{zone}{id}"), dead);
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

/// The marker, and a text that tells rows apart. Rows of one family are deleted on different days, and not
/// in their order: an engine that asks each row for its age instead of the family for that of its root takes
/// them apart.
fn marks(table: &str, id: i64, name: &str, dead: bool) -> BTreeMap<String, Value> {
    let at = match dead {
        true => Value::Text(format!("2026-01-{:02} 00:00:00", 1 + id.rem_euclid(28))),
        false => Value::Null,
    };
    BTreeMap::from([
        ("deleted".to_owned(), Value::Int(i64::from(dead))),
        ("deleted_at".to_owned(), at),
        ("note".to_owned(), Value::Text(format!("{table} {name}"))),
    ])
}

fn common() -> [Column; 3] {
    [
        column("deleted", ColumnType::Int, false),
        column("deleted_at", ColumnType::DateTime, true),
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
        zoned: false,
    }
}

/// `table.column` or `table.(a, b)`.
fn split(text: &str) -> (String, Vec<String>) {
    let (table, columns) = text.split_once('.').unwrap_or((text, ""));
    let columns = columns.trim_matches(['(', ')']).split(", ");
    (table.into(), columns.map(str::to_owned).collect())
}
