//! sexton on databases made by the real nova-manage 34.0.0, and nova-manage itself beside it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod cases;
mod every_table;
mod operator;
mod restore;
