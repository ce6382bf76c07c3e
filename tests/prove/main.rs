//! `sexton prove`: the harness, its controls and its oracles.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod broken;
mod bundle;
mod controls;
mod harness;
mod nova;
mod oracles;
mod own;
mod purge;
mod random;
mod repair;
mod restore;
mod shrink;
