//! The wire proxies between real clients and real servers: what the gate gets to see, and that each of
//! its verdicts becomes true.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod both;
mod gate;
mod mysql;
mod postgres;
mod servers;
