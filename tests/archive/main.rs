//! `sexton archive` against SQLite, MariaDB and PostgreSQL: Nova's own archive tests and the cases
//! in which nova-manage goes wrong.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod abreast;
mod api;
mod attempts;
mod blocked;
mod by_convention;
mod convention;
mod counters;
mod families;
mod isolation;
mod living_owners;
mod purge;
mod random;
mod repair;
mod restore;
mod roots;
mod rough;
mod runs;
mod statements;
