//! What several test binaries share.
#![allow(dead_code, reason = "no test binary uses all of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub(crate) mod client;
pub(crate) mod cloud;
pub(crate) mod databases;
pub(crate) mod docker;
pub(crate) mod filled;
pub(crate) mod nova;
pub(crate) mod records;
pub(crate) mod service;
pub(crate) mod shelf;
