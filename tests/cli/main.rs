//! The program as its users meet it: the real binary, its exit codes, its stdout and its stderr.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod all_cells;
mod arguments;
mod assets;
mod cells;
mod compat;
mod databases;
mod drop_in;
mod explain;
mod formats;
mod kept_files;
mod known;
mod metrics;
mod output;
mod own_schema;
mod pages;
mod plan;
mod privileges;
mod prove;
mod purge;
mod repair;
mod restore;
mod sample;
mod schema;
mod secrets;
mod servers;
mod settings;
mod signals;
mod terminal;
mod valid;
mod world_files;
