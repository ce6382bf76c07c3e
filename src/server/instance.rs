//! What private MariaDB and PostgreSQL servers have in common: the life of one instance.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use super::Server;
use super::copy::temporary_directory;
use super::process::{POLL, ServerProcess, Watchdog, free_port, last_lines};
use crate::db::Engine;
use crate::error::{Error, Result};

/// Longest wait for a server to accept connections, recovery included.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Longest wait for an orderly shutdown.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Longest wait for a server that was told to leave at once.
const DISCARD_LIMIT: Duration = Duration::from_secs(2);

/// How often a fresh server may find its port taken in the moment before it binds it.
const PORT_ATTEMPTS: usize = 5;

/// What a running server says of itself.
pub(super) struct Identity {
    /// The data directory it works on: the proof that the server that answers is ours.
    pub(super) data: PathBuf,
    /// Its version.
    pub(super) version: String,
}

/// Where the parts of an instance are.
pub(super) struct Place {
    directory: TempDir,
    /// The TCP port on 127.0.0.1.
    pub(super) port: u16,
}

impl Place {
    /// The directory that holds everything of the instance.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.path().join("log")
    }
}

/// The differences between the kinds of server.
pub(super) trait Kind: Send {
    /// The engine it is.
    fn engine(&self) -> Engine;

    /// The name of the product.
    fn name(&self) -> &'static str;

    /// Scheme and user of a connection URL, up to the host.
    fn url_prefix(&self) -> &'static str;

    /// Fills the data directory of a new instance.
    fn initialise(&self, place: &Place) -> Result<()>;

    /// The command that runs the server in the foreground; `first` on a new data directory.
    fn server(&self, place: &Place, first: bool) -> Result<Command>;

    /// The signal for an orderly shutdown that does not wait for sessions.
    fn stop_signal(&self) -> Signal;

    /// The signal on which the server leaves at once and takes along what it has in the memory of the
    /// machine, if SIGKILL would leave something there.
    fn discard_signal(&self) -> Option<Signal> {
        None
    }

    /// Runs one statement through the command line client; the output is in tab-separated columns.
    fn execute(&self, port: u16, sql: &str) -> Result<String>;

    /// The statement whose one row is data directory and version.
    fn identity_query(&self) -> &'static str;
}

/// One private server. Fields are dropped in order: the watchdog lets go before the directory goes.
pub(super) struct Instance<K: Kind> {
    kind: K,
    process: Option<ServerProcess>,
    watchdog: Watchdog,
    version: String,
    place: Place,
}

impl<K: Kind + 'static> Instance<K> {
    /// Starts a fresh server.
    pub(super) fn start(kind: K) -> Result<Box<dyn Server>> {
        let directory = temporary_directory("sexton-server-")?;
        let watchdog = Watchdog::new(directory.path())?;
        let place = Place { directory, port: 0 };
        kind.initialise(&place)?;
        let mut instance = Self {
            kind,
            process: None,
            watchdog,
            version: String::new(),
            place,
        };
        let mut attempt = 1;
        loop {
            instance.place.port = free_port()?;
            match instance.launch(true) {
                Ok(()) => return Ok(Box::new(instance)),
                Err(_) if attempt < PORT_ATTEMPTS && instance.lost_its_port() => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn lost_its_port(&self) -> bool {
        let log = fs::read_to_string(self.place.log()).unwrap_or_default();
        log.contains("Address already in use")
    }

    fn launch(&mut self, first: bool) -> Result<()> {
        let command = self.kind.server(&self.place, first)?;
        let log = self.place.log();
        self.process = Some(ServerProcess::start(&command, &log, &mut self.watchdog)?);
        let ready = self.wait_until_ready();
        if ready.is_err() {
            self.kill()?;
        }
        ready
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        let mut last = None;
        while Instant::now() < deadline {
            if let Some(process) = &mut self.process
                && let Some(status) = process.ended()?
            {
                let log = fs::read_to_string(self.place.log()).unwrap_or_default();
                return Err(Error::unavailable(format!(
                    "{} ended with {status} while starting: {}",
                    self.kind.name(),
                    last_lines(&log)
                )).hint("look at what it says, and try again; docs/prove.md names what the private servers need"));
            }
            // A connection that is refused costs less than a client that finds out.
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.place.port)).is_ok() {
                match self.identity() {
                    Ok(identity) => return self.accept(identity),
                    Err(error) => last = Some(error),
                }
            }
            thread::sleep(POLL);
        }
        let why = last.map(|error| format!(": {error}")).unwrap_or_default();
        Err(Error::unavailable(format!(
            "{} did not accept connections within {} seconds{why}",
            self.kind.name(),
            START_LIMIT.as_secs()
        ))
        .hint("run again; on a busy machine with fewer --jobs"))
    }

    fn identity(&self) -> Result<Identity> {
        let row = self
            .kind
            .execute(self.place.port, self.kind.identity_query())?;
        let (data, version) = row
            .split_once('\t')
            .ok_or_else(|| Error::internal(format!("a server answered {row:?} to who it is")))?;
        Ok(Identity {
            data: data.into(),
            version: version.into(),
        })
    }

    fn accept(&mut self, identity: Identity) -> Result<()> {
        let same = fs::canonicalize(&identity.data)
            .and_then(|theirs| Ok(theirs == fs::canonicalize(self.place.data())?));
        if !same.unwrap_or(false) {
            return Err(Error::unavailable(format!(
                "another server, on {:?}, answers on port {} (address already in use)",
                identity.data, self.place.port
            ))
            .hint("run again: another port is taken then"));
        }
        self.version = identity.version;
        Ok(())
    }
}

impl<K: Kind + 'static> Server for Instance<K> {
    fn url(&self, database: &str) -> String {
        let prefix = self.kind.url_prefix();
        format!("{prefix}@127.0.0.1:{}/{database}", self.place.port)
    }

    fn create_database(&mut self, name: &str) -> Result<String> {
        let sql = format!("CREATE DATABASE {}", self.kind.engine().quote(name));
        self.kind.execute(self.place.port, &sql)?;
        Ok(self.url(name))
    }

    fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.forget(&mut self.watchdog)?;
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.launch(false)
    }

    fn stop(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        if process.end(self.kind.stop_signal(), STOP_LIMIT)? {
            if let Some(process) = self.process.take() {
                process.forget(&mut self.watchdog)?;
            }
            return Ok(());
        }
        self.kill()?;
        Err(Error::unavailable(format!(
            "{} did not shut down within {} seconds and was killed",
            self.kind.name(),
            STOP_LIMIT.as_secs()
        ))
        .hint("run again; on a busy machine with fewer --jobs"))
    }

    fn process(&self) -> Option<u32> {
        self.process.as_ref().map(ServerProcess::id)
    }

    fn description(&self) -> String {
        format!(
            "{} {} (private, 127.0.0.1:{})",
            self.kind.name(),
            self.version,
            self.place.port
        )
    }
}

impl<K: Kind> Drop for Instance<K> {
    fn drop(&mut self) {
        // The data is about to go: an orderly shutdown would only take longer. If the kill fails,
        // the watchdog has the next try.
        if let Some(mut process) = self.process.take() {
            if let Some(signal) = self.kind.discard_signal() {
                let _ = process.end(signal, DISCARD_LIMIT);
            }
            let _ = process.kill();
        }
    }
}
