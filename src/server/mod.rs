//! Throw-away database servers: started, killed in mid-work, started again on the same data.
//!
//! Tests, `cargo xtask` and `sexton prove` need a server that nobody else uses and that may be
//! killed at any moment. [`PrivateMariadb`] and [`PrivatePostgres`] run the machine's own binaries
//! on a temporary data directory; another provider (a container engine, say) only has to implement
//! the two traits.
//!
//! Invariants: a server listens on 127.0.0.1 only, on a port of its own; it is signalled by process
//! id only; nothing of it outlives the process that started it, even one that dies of SIGKILL
//! (see `process::Watchdog`). It speaks to the server through the server's own command line client
//! and does not depend on [`crate::db`].

mod copy;
mod galera;
mod instance;
mod mariadb;
mod postgres;
mod process;

pub use galera::{GaleraCluster, PrivateGalera};
pub use mariadb::PrivateMariadb;
pub use postgres::PrivatePostgres;
pub use process::free_port;

use crate::error::Result;

/// Starts servers of one kind.
pub trait Provider {
    /// Whether this machine has what the provider needs; the error says what is missing and how to
    /// get it.
    fn available(&self) -> Result<()>;

    /// Starts a fresh, empty server and waits until it accepts connections.
    fn start(&self) -> Result<Box<dyn Server>>;
}

/// A running (or just killed) server of our own. Dropping it ends the server and removes its data.
pub trait Server: Send {
    /// The connection URL of a database on this server.
    fn url(&self, database: &str) -> String;

    /// Creates an empty database and returns its URL.
    fn create_database(&mut self, name: &str) -> Result<String>;

    /// Ends every process of the server with SIGKILL and waits until they are gone. Without effect
    /// on a server that does not run.
    fn kill(&mut self) -> Result<()>;

    /// Starts the server again on the same data and the same port, and waits until recovery is over
    /// and it accepts connections. A server that still runs is stopped first.
    fn restart(&mut self) -> Result<()>;

    /// Shuts the server down in order; its data stays until the drop. Without effect on a server
    /// that does not run.
    fn stop(&mut self) -> Result<()>;

    /// The id of the server's main process while it runs, if it is one of this machine's.
    fn process(&self) -> Option<u32> {
        None
    }

    /// Kind, version and address, for people.
    fn description(&self) -> String;
}
