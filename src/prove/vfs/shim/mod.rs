//! The C side of the VFS: function pointers that SQLite calls with raw pointers.
//!
//! The only `unsafe` code of the project. Nothing is decided here: each callback makes its pointers
//! into references, asks [`Shared`](super::state::Shared), and passes the call on to the default VFS.

#![allow(
    unsafe_code,
    reason = "SQLite knows a VFS as structs of C function pointers; there is no safe way to be one"
)]
#![warn(clippy::undocumented_unsafe_blocks)]

/// Calls a function out of a table of SQLite's, or is `$otherwise` if the table has none. As unsafe
/// as the function, with a table that is valid.
macro_rules! call {
    ($table:expr, $function:ident($($argument:expr),*), $otherwise:expr) => {
        match (*$table).$function {
            Some(function) => function($($argument),*),
            None => $otherwise,
        }
    };
}

mod calls;
mod file;
mod methods;
mod register;

pub(super) use self::register::Registration;
