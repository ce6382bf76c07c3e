//! Tables, references, markers, families as a graph, profiles, releases, drift. Pure: no I/O.

mod column_type;
mod table;

pub use column_type::ColumnType;
pub use table::{Column, ForeignKey, Index, Schema, Table};
