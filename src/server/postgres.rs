//! A private PostgreSQL server.

use std::cmp::Reverse;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::copy::Template;
use super::instance::{Instance, Kind, Place};
use super::process::{find_program, is_root, program_directories, run};
use super::{Provider, Server};
use crate::db::Engine;
use crate::error::{Error, Result};

/// PostgreSQL refuses to run as root; its packages bring this user.
const USER: &str = "postgres";

/// Where Debian and Ubuntu keep the servers, one directory per version.
const VERSIONS: &str = "/usr/lib/postgresql";

static TEMPLATE: Template = Template::new();

/// Starts private PostgreSQL servers: user postgres, no password, durable settings.
#[derive(Debug, Clone, Default)]
pub struct PrivatePostgres {
    settings: Vec<String>,
}

impl PrivatePostgres {
    /// A server with the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more setting, `name=value`; it wins over the defaults.
    #[must_use]
    pub fn setting(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// A server that does not sync to disk. For tests that do not ask what a crash leaves.
    #[must_use]
    pub fn not_durable(self) -> Self {
        [
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ]
        .into_iter()
        .fold(self, Self::setting)
    }

    fn find(&self) -> Result<Postgres> {
        // A `postgres` or `psql` alone in PATH may be part of a client installation: take both
        // server programs from the same place.
        let found = directories().into_iter().find_map(|directory| {
            let here = [directory];
            Some((
                find_program("postgres", &here)?,
                find_program("initdb", &here)?,
            ))
        });
        let hint = "run `cargo xtask test`, which installs it, or `apt-get install postgresql`";
        let (server, initdb) = found.ok_or_else(|| {
            Error::unavailable("no postgres with its initdb on this machine").hint(hint)
        })?;
        let client = find_program("psql", &directories())
            .ok_or_else(|| Error::unavailable("no psql on this machine").hint(hint))?;
        let owner = if is_root() { Some(owner()?) } else { None };
        Ok(Postgres {
            server,
            initdb,
            client,
            owner,
            settings: self.settings.clone(),
        })
    }
}

impl Provider for PrivatePostgres {
    fn available(&self) -> Result<()> {
        self.find().map(drop)
    }

    fn start(&self) -> Result<Box<dyn Server>> {
        Instance::start(self.find()?)
    }
}

/// The directories of installed versions, newest first, then PATH.
fn directories() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(VERSIONS)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| Reverse(*version));
    let mut directories: Vec<_> = versions.into_iter().map(|(_, path)| path).collect();
    directories.extend(program_directories());
    directories
}

/// User and group id of the user that runs the server in place of root.
fn owner() -> Result<(u32, u32)> {
    let id = |flag| {
        let text = run(Command::new("id").args([flag, USER]))?;
        text.parse()
            .map_err(|_| Error::internal(format!("`id {flag} {USER}` printed {text:?}")))
    };
    Ok((id("-u")?, id("-g")?))
}

struct Postgres {
    server: PathBuf,
    initdb: PathBuf,
    client: PathBuf,
    owner: Option<(u32, u32)>,
    settings: Vec<String>,
}

impl Postgres {
    /// The program as a command of the user that may run it.
    fn command(&self, program: &Path) -> Command {
        let mut command = match self.owner {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={user}"))
                    .arg(format!("--regid={group}"))
                    .arg("--init-groups")
                    .arg(program);
                command
            }
        };
        command.env("LC_ALL", "C.UTF-8").current_dir("/");
        for name in ["PGDATA", "PGHOST", "PGPORT", "PGOPTIONS"] {
            command.env_remove(name);
        }
        command
    }

    fn give(&self, directory: &Path) -> Result<()> {
        let Some((user, group)) = self.owner else {
            return Ok(());
        };
        chown(directory, Some(user), Some(group)).map_err(|e| {
            Error::unavailable(format!("cannot give {directory:?} to {USER}: {e}"))
                .hint("run as root, or as the user that PostgreSQL is to run as")
        })
    }
}

impl Kind for Postgres {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn url_prefix(&self) -> &'static str {
        "postgres://postgres"
    }

    fn initialise(&self, place: &Place) -> Result<()> {
        self.give(place.path())?;
        TEMPLATE.copy_to(&place.data(), |directory| {
            self.give(directory)?;
            let mut initdb = self.command(&self.initdb);
            initdb
                .arg("-D")
                .arg(directory)
                .args(["-U", USER, "-A", "trust", "-E", "UTF8"])
                .args(["--locale=C.UTF-8", "--no-sync", "--no-instructions"]);
            run(&mut initdb).map(drop).map_err(|error| {
                error.hint("the directory for temporary files must be reachable by user postgres")
            })
        })
    }

    fn server(&self, place: &Place, first: bool) -> Result<Command> {
        let lock = place.data().join("postmaster.pid");
        if !first && lock.exists() {
            // The last server was killed, with all its children. Its process id may belong to
            // anybody by now, and then PostgreSQL would take it for alive.
            fs::remove_file(&lock).map_err(|e| {
                Error::unavailable(format!("cannot remove {lock:?}: {e}"))
                    .hint("remove the file and run again")
            })?;
        }
        let mut server = self.command(&self.server);
        server
            .arg("-D")
            .arg(place.data())
            .args(["-p", &place.port.to_string()]);
        let defaults = [
            "listen_addresses=127.0.0.1",
            // The path of a socket may not exceed 107 bytes, and nobody needs one.
            "unix_socket_directories=",
            "shared_buffers=64MB",
            // With the data, and gone with it after a SIGKILL.
            "dynamic_shared_memory_type=mmap",
            "logging_collector=off",
            "fsync=on",
            "synchronous_commit=on",
            "full_page_writes=on",
        ];
        let settings = self.settings.iter().map(String::as_str);
        for setting in defaults.into_iter().chain(settings) {
            server.args(["-c", setting]);
        }
        Ok(server)
    }

    fn stop_signal(&self) -> Signal {
        Signal::INT
    }

    /// A segment of System V memory, which is not freed with the last process that uses it. There are
    /// 4,096 on a machine, and without one no PostgreSQL starts.
    fn discard_signal(&self) -> Option<Signal> {
        Some(Signal::QUIT)
    }

    fn execute(&self, port: u16, sql: &str) -> Result<String> {
        let address = format!("host=127.0.0.1 port={port} user={USER} dbname=postgres");
        run(Command::new(&self.client)
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-w",
                "-F",
                "\t",
                "-v",
                "ON_ERROR_STOP=1",
            ])
            .args(["-d", &address, "-c", sql])
            .env_remove("PGOPTIONS"))
    }

    fn identity_query(&self) -> &'static str {
        "SELECT current_setting('data_directory'), current_setting('server_version')"
    }
}
