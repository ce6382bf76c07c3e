//! Fault injection: an archive engine, ours or anyone's, is run again and again on a known
//! database, hit each time at another point, and judged each time by oracles.
//!
//! Everything that an engine says to a database passes a [`gate::Gate`], whatever the layer: a wrapped
//! session on SQLite, a wire proxy on MariaDB/MySQL and PostgreSQL. The gate counts, hits, holds and
//! observes; the layers only carry out its verdicts. SQLite's files have a layer of their own below
//! the statements, a pass-through VFS.

pub mod archiver;
pub mod bundle;
pub mod campaign;
mod case;
pub mod catalogue;
pub mod evidence;
pub mod fault;
pub mod gate;
mod healing;
mod injector;
pub mod model;
pub mod normal;
pub mod oracle;
pub mod proxy;
pub mod random;
pub mod replay;
pub mod report;
mod runner;
pub mod scenario;
pub mod shrink;
pub mod spec;
mod stage;
pub mod state;
mod tap;
mod touch;
pub mod vfs;
mod victim;
pub mod world;
pub mod writer;

pub use campaign::{Campaign, Engines, Points, Watch};
pub use case::{Case, Judged, PowerLossPoint};
pub use evidence::Evidence;
pub use injector::Passed;
pub use replay::replay;
pub use report::Report;
pub use scenario::Scenario;
pub use shrink::shrink;
pub use stage::Backend;
