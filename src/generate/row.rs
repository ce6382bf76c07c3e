//! A row to be written: a table and (column, value) pairs.
//!
//! A row says all that is known of it. The writer drops the columns that the target table does not
//! have, so that one generator serves every release.

use crate::db::Value;

use super::random::Moment;

/// Whether a row goes to the live table or to its shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Live,
    Shadow,
}

/// When a row was made, changed and marked deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) created: Moment,
    pub(super) updated: Option<Moment>,
    pub(super) deleted: Option<Moment>,
}

impl Life {
    pub(super) fn live(created: Moment) -> Self {
        Self {
            created,
            updated: None,
            deleted: None,
        }
    }

    pub(super) fn dead(created: Moment, deleted: Moment) -> Self {
        Self {
            deleted: Some(deleted),
            ..Self::live(created)
        }
    }

    pub(super) fn updated(self, at: Moment) -> Self {
        Self {
            updated: Some(at),
            ..self
        }
    }
}

/// One row of a live or shadow table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The live table's name, whatever the place.
    pub(super) table: &'static str,
    pub(super) place: Place,
    /// Whether it breaks a foreign key on purpose, and is written with the checks off.
    pub(super) breaks_key: bool,
    pub(super) columns: Vec<(&'static str, Value)>,
}

impl Row {
    /// A row with its id, its dates and its marker, which holds the id as Nova has it.
    pub(super) fn new(table: &'static str, id: i64, life: Life) -> Self {
        let row = Self::without_id(table)
            .set("id", id)
            .set("created_at", life.created)
            .set("updated_at", life.updated);
        row.set("deleted_at", life.deleted)
            .set("deleted", life.deleted.map_or(0, |_| id))
    }

    /// A row of a table whose key is not `id`, with no columns yet.
    pub(super) fn without_id(table: &'static str) -> Self {
        Self {
            table,
            place: Place::Live,
            breaks_key: false,
            columns: Vec::with_capacity(16),
        }
    }

    pub(super) fn set(mut self, column: &'static str, value: impl Content) -> Self {
        self.columns.push((column, value.value()));
        self
    }

    /// Replaces the value of a column that is there.
    pub(super) fn change(&mut self, column: &str, value: impl Content) {
        if let Some((_, old)) = self.columns.iter_mut().find(|(name, _)| *name == column) {
            *old = value.value();
        }
    }

    /// The row's id; 0 where it has none.
    pub(super) fn id(&self) -> i64 {
        let id = self.columns.iter().find(|(name, _)| *name == "id");
        id.and_then(|(_, value)| value.as_int()).unwrap_or(0)
    }

    pub(super) fn in_shadow(mut self) -> Self {
        self.place = Place::Shadow;
        self
    }

    pub(super) fn breaking_key(mut self) -> Self {
        self.breaks_key = true;
        self
    }
}

/// What a column can be set to.
pub(super) trait Content {
    fn value(self) -> Value;
}

impl Content for i64 {
    fn value(self) -> Value {
        Value::Int(self)
    }
}

impl Content for bool {
    fn value(self) -> Value {
        Value::Bool(self)
    }
}

impl Content for f64 {
    fn value(self) -> Value {
        Value::Real(self)
    }
}

impl Content for &str {
    fn value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl Content for &String {
    fn value(self) -> Value {
        Value::Text(self.clone())
    }
}

impl Content for String {
    fn value(self) -> Value {
        Value::Text(self)
    }
}

impl Content for Moment {
    fn value(self) -> Value {
        Value::Text(self.to_string())
    }
}

impl<T: Content> Content for Option<T> {
    fn value(self) -> Value {
        self.map_or(Value::Null, Content::value)
    }
}
