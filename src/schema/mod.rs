//! Tables, references, markers, families as a graph, profiles, releases, drift. Pure: no I/O.
//!
//! Architecture invariant: nothing here runs a statement. The only thing it takes from `db` is
//! [`crate::db::Engine`], to spell names and literals.

pub mod alter;
mod column_type;
pub mod compare;
pub mod ddl;
mod drift;
mod graph;
mod marker;
mod model;
mod profile;
mod reference;
mod release;
mod table;

pub use column_type::ColumnType;
pub use drift::{Drift, DriftKind, shadow_drift};
pub(crate) use graph::non_transactional;
pub use graph::{FamilyGraph, Member, Obstacle};
pub use marker::{Marker, MarkerStyle};
pub use model::Model;
pub(crate) use profile::split_columns;
pub use profile::{
    ApiRecords, DataMigration, Ownership, Profile, ProfileReference, UpgradeCommands,
};
pub use reference::Reference;
pub use table::{Column, ForeignKey, Index, Schema, Table};
