//! `purge` of services that mark rows deleted where they are, against SQLite, MariaDB and PostgreSQL. The schemas are
//! made from the models of the real ones; `tests/schema/real.rs` holds what the real services make on each engine
//! to be in sync with these models.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod cinder;
mod glance;
mod manila;
mod real;
