//! Fault injection: an archive engine, ours or anyone's, is run again and again on a known
//! database, hit each time at another point, and judged each time by oracles.
//!
//! Everything that an engine says to a database passes a [`Gate`], whatever the layer: a wrapped
//! session on SQLite, a wire proxy on MariaDB/MySQL and PostgreSQL. The gate counts, hits, holds and
//! observes; the layers only carry out its verdicts. SQLite's files have a layer of their own below
//! the statements, a pass-through VFS.

pub mod gate;
pub mod vfs;
