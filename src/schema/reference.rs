//! References: child columns to parent columns, declared or by convention, owned or shared.

use std::fmt;

use crate::db::Engine;

use super::Ownership;

/// The longest name that all engines take.
const LONGEST_NAME: usize = 63;

/// A reference between two live tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The child table.
    pub child: String,
    /// The child's columns.
    pub child_columns: Vec<String>,
    /// The parent table.
    pub parent: String,
    /// The parent's columns, one for each child column.
    pub parent_columns: Vec<String>,
    /// Whether the child moves with its parent.
    pub ownership: Ownership,
    /// Whether the database has a foreign key for it.
    pub declared: bool,
    /// Whether every parent must have such a child.
    pub required: bool,
    /// Whether a live child does not move with its parent but holds it back: an owned reference of
    /// which nobody has said that it is one.
    pub guarded: bool,
    /// Whether every child column is nullable, so that the reference can be cut.
    pub nullable: bool,
    /// Whether the child has an index that begins with the reference's columns.
    pub indexed: bool,
}

impl Reference {
    /// Whether the child moves with its parent.
    pub fn is_owned(&self) -> bool {
        self.ownership == Ownership::Owned
    }

    /// Whether a live child over it holds the parent back: guarded, or declared and shared. A shared
    /// reference by convention merely points.
    pub fn blocks(&self) -> bool {
        self.guarded || self.declared && !self.is_owned()
    }

    /// Whether parent and child are the same table.
    pub fn is_self(&self) -> bool {
        self.child == self.parent
    }

    /// The index that it wants: without one whoever deletes a parent has the database read the whole child table.
    pub fn create_index(&self, engine: Engine) -> String {
        let mut name = format!("ix_{}_{}", self.child, self.child_columns.join("_"));
        name.truncate(name.floor_char_boundary(LONGEST_NAME));
        format!(
            "CREATE INDEX {} ON {} ({})",
            engine.quote(&name),
            engine.quote(&self.child),
            engine.quote_all(&self.child_columns)
        )
    }

    /// SQL that joins a child to its parent.
    pub fn join(&self, engine: Engine, child: &str, parent: &str) -> String {
        let pairs = self.child_columns.iter().zip(&self.parent_columns);
        let equal = |(c, p): (&String, &String)| {
            format!("{} = {}", engine.column(child, c), engine.column(parent, p))
        };
        pairs.map(equal).collect::<Vec<_>>().join(" AND ")
    }

    /// SQL that is true where the child points at something.
    pub fn is_set(&self, engine: Engine, child: &str) -> String {
        let set = |c: &String| format!("{} IS NOT NULL", engine.column(child, c));
        self.child_columns
            .iter()
            .map(set)
            .collect::<Vec<_>>()
            .join(" AND ")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |columns: &[String]| match columns {
            [one] => one.clone(),
            many => format!("({})", many.join(", ")),
        };
        let (child, parent) = (side(&self.child_columns), side(&self.parent_columns));
        write!(f, "{}.{child} -> {}.{parent}", self.child, self.parent)
    }
}
