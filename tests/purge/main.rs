//! `purge` of services that mark rows deleted where they are, on the schemas that the real services
//! make, against SQLite, MariaDB and PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod cinder;
mod glance;
mod manila;
mod real;
