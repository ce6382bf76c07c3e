//! The audit on databases with known damage: a module for each check, and one for real servers.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

#[path = "../support/mod.rs"]
mod support;

mod census;
mod clean;
mod duplicate_in_shadow;
mod fixture;
mod in_utc;
mod inconsistent_marker;
mod missing_required_child;
mod non_transactional_table;
mod orphaned_row;
mod purged;
mod residue;
mod servers;
mod shadow_drift;
mod split_family;
mod statements;
mod stranded_api_record;
mod unarchivable_parent;
mod upgrade;
