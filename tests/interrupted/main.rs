//! Runs of `sexton archive` that are interrupted in earnest, at a size at which they take a while: by
//! SIGKILL, and by a disk without room.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod disk_full;
mod fleet;
mod kill;
