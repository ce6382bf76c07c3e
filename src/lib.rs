//! Audit, archive and prove the soft-deleted rows of a database, family by family.
//!
//! The library never touches the terminal, the environment or the command line; the binary does.
//! `docs/architecture.md` has the map: [`db`] reads a [`schema`], the schema and a profile give the
//! family graph, [`audit`] and [`archive`] turn the graph into statements as plain data, `db` runs
//! them, [`report`] shows what came back. [`repair`] does what the audit's checks say would heal.

pub mod archive;
pub mod audit;
pub mod cells;
pub mod db;
pub mod error;
pub mod exit;
pub mod generate;
pub mod nearest;
pub mod plural;
pub mod prove;
pub mod quote;
pub mod repair;
pub mod report;
pub mod schema;
pub mod server;
