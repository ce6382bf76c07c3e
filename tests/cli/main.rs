//! The program as its users meet it: the real binary, its exit codes, its stdout and its stderr.

#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod databases;
mod sample;
mod secrets;
mod servers;
