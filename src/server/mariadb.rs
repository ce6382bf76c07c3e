//! A private MariaDB server.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use super::copy::{Template, temporary_directory};
use super::instance::{Instance, Kind, Place};
use super::process::{find_program, is_root, program_directories, run};
use super::{Provider, Server};
use crate::db::Engine;
use crate::error::{Error, Result};

/// Small redo log: it is written in full when a data directory is made.
const REDO_LOG: &str = "--innodb-log-file-size=16M";

/// `root@localhost` of a new installation covers only the socket: without name resolution a TCP
/// connection comes from 127.0.0.1.
const TCP_USER: &str = "\
CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY '';
GRANT ALL PRIVILEGES ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
";

static TEMPLATE: Template = Template::new();

/// Starts private MariaDB servers: user root, no password, durable settings.
#[derive(Debug, Clone, Default)]
pub struct PrivateMariadb {
    arguments: Vec<String>,
}

impl PrivateMariadb {
    /// A server with the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more argument for `mariadbd`; it wins over the defaults.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// A server that does not sync to disk and keeps all tables in one file: creating tables takes a
    /// fraction of the time. For tests that do not ask what a crash leaves.
    #[must_use]
    pub fn not_durable(self) -> Self {
        [
            "--innodb-flush-log-at-trx-commit=0",
            "--sync-binlog=0",
            "--innodb-doublewrite=0",
            "--innodb-flush-method=nosync",
            "--innodb-file-per-table=0",
        ]
        .into_iter()
        .fold(self, Self::argument)
    }

    pub(super) fn find(&self) -> Result<Mariadb> {
        let directories = program_directories();
        let find = |name| {
            find_program(name, &directories).ok_or_else(|| {
                Error::unavailable(format!("no {name} on this machine")).hint(
                    "run `cargo xtask test`, which installs it, or `apt-get install mariadb-server`",
                )
            })
        };
        Ok(Mariadb {
            server: find("mariadbd")?,
            install: find("mariadb-install-db")?,
            client: find("mariadb")?,
            arguments: self.arguments.clone(),
            user: is_root().then_some("root"),
        })
    }
}

impl Provider for PrivateMariadb {
    fn available(&self) -> Result<()> {
        self.find().map(drop)
    }

    fn start(&self) -> Result<Box<dyn Server>> {
        Instance::start(self.find()?)
    }
}

/// The programs, and how they are called.
#[derive(Clone)]
pub(super) struct Mariadb {
    server: PathBuf,
    install: PathBuf,
    client: PathBuf,
    pub(super) arguments: Vec<String>,
    /// mariadbd runs as root only when told so; otherwise it stays who it is.
    pub(super) user: Option<&'static str>,
}

impl Kind for Mariadb {
    fn engine(&self) -> Engine {
        Engine::Mysql
    }

    fn name(&self) -> &'static str {
        "MariaDB"
    }

    fn url_prefix(&self) -> &'static str {
        "mysql://root"
    }

    fn initialise(&self, place: &Place) -> Result<()> {
        TEMPLATE.copy_to(&place.data(), |directory| {
            // Another one that starts in the same place for temporary files would clear it of this
            // one's.
            let scratch = temporary_directory("sexton-install-")?;
            let mut install = Command::new(&self.install);
            install
                .env("TMPDIR", scratch.path())
                .arg("--no-defaults")
                .arg(format!("--datadir={}", directory.display()))
                .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
                .args(["--skip-name-resolve", REDO_LOG])
                .args(is_root().then_some("--user=root"));
            run(&mut install).map(drop)
        })
    }

    fn server(&self, place: &Place, first: bool) -> Result<Command> {
        let mut server = Command::new(&self.server);
        server
            .arg("--no-defaults")
            .arg(format!("--datadir={}", place.data().display()))
            .arg(format!("--tmpdir={}", place.path().display()))
            // Relative to the data directory: the path of a socket may not exceed 107 bytes.
            .args(["--socket=socket", "--pid-file=pid"])
            .arg(format!("--port={}", place.port))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args([REDO_LOG, "--innodb-buffer-pool-size=64M"])
            .args(["--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"])
            .args(["--character-set-server=utf8mb4", "--performance-schema=0"])
            .args(self.user.map(|user| format!("--user={user}")));
        if first {
            let file = place.path().join("user.sql");
            fs::write(&file, TCP_USER).map_err(|e| {
                Error::unavailable(format!("cannot write {file:?}: {e}"))
                    .hint("make room there, or name another directory in TMPDIR")
            })?;
            server.arg(format!("--init-file={}", file.display()));
        }
        server.args(&self.arguments);
        Ok(server)
    }

    fn stop_signal(&self) -> Signal {
        Signal::TERM
    }

    fn execute(&self, port: u16, sql: &str) -> Result<String> {
        run(Command::new(&self.client)
            .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1"])
            .arg(format!("--port={port}"))
            .args(["--user=root", "--batch", "--raw", "--skip-column-names"])
            .args(["--execute", sql])
            .env_remove("MYSQL_PWD"))
    }

    fn identity_query(&self) -> &'static str {
        "SELECT @@datadir, VERSION()"
    }
}
