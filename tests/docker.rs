//! Servers in containers do what private servers do.
//!
//! `cargo xtask test` brings the container engine and the images; without them these tests fail.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::docker::{MARIADB, POSTGRES};
use support::shelf::survives_a_kill;

#[test]
fn mariadb_in_a_container_survives_a_kill() {
    survives_a_kill(&MARIADB);
}

#[test]
fn postgres_in_a_container_survives_a_kill() {
    survives_a_kill(&POSTGRES);
}
