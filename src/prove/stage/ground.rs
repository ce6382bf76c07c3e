//! What outlasts a world: a directory, a server of our own, the proxies in front of it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::super::archiver::Door;
use super::super::injector::Injector;
use super::super::tap::{TapDriver, Way};
use super::super::vfs::Vfs;
use super::super::world::{Layout, World};
use crate::db::{Engine, Session};
use crate::error::{Error, Result};
use crate::server::Server;

/// What kind of database a campaign runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// SQLite, in this process.
    Sqlite,
    /// A private MariaDB server.
    Mariadb,
    /// A private PostgreSQL server.
    Postgres,
}

impl Backend {
    /// The name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Mariadb => "mariadb",
            Self::Postgres => "postgres",
        }
    }

    /// How its SQL is spelled.
    pub fn engine(self) -> Engine {
        match self {
            Self::Sqlite => Engine::Sqlite,
            Self::Mariadb => Engine::Mysql,
            Self::Postgres => Engine::Postgres,
        }
    }
}

impl FromStr for Backend {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "mariadb" | "mysql" => Ok(Self::Mariadb),
            "postgres" | "postgresql" => Ok(Self::Postgres),
            _ => Err(Error::usage(format!("unknown database '{text}'"))
                .hint("known are sqlite, mariadb, postgres")),
        }
    }
}

/// The ground on which worlds are put up, one after the other. Each worker has its own.
pub(in super::super) struct Ground {
    pub(in super::super) backend: Backend,
    directory: TempDir,
    pub(super) server: Option<Arc<Mutex<Box<dyn Server>>>>,
    pub(super) vfs: Option<Arc<Vfs>>,
}

impl Ground {
    /// Starts what there is to start.
    pub(in super::super) fn new(backend: Backend) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("sexton-prove-")
            .tempdir()
            .map_err(|e| Error::internal(format!("no temporary directory: {e}")))?;
        let server = match backend {
            Backend::Sqlite => None,
            Backend::Mariadb | Backend::Postgres => {
                return Err(Error::internal("servers come with the proxies"));
            }
        };
        let vfs = match backend {
            Backend::Sqlite => Some(Arc::new(Vfs::register()?)),
            Backend::Mariadb | Backend::Postgres => None,
        };
        Ok(Self {
            backend,
            directory,
            server,
            vfs,
        })
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub(super) fn file(&self, database: &str) -> PathBuf {
        self.directory.path().join(format!("{database}.db"))
    }

    /// Path or URL of an empty database of that name, for ourselves.
    pub(super) fn database(&mut self, name: &str) -> Result<String> {
        Ok(self.file(name).display().to_string())
    }

    /// The ways of the engine to the databases.
    pub(super) fn doors(
        &mut self,
        injector: &Arc<Injector>,
        world: &World,
    ) -> Result<(Door, Option<Door>)> {
        let attached = (world.layout == Layout::AttachedWal).then(|| self.file("shadows"));
        let main = self.sqlite_door(injector, "main", attached);
        let api = world
            .api
            .as_ref()
            .map(|_| self.sqlite_door(injector, "api", None));
        Ok((main, api))
    }

    fn sqlite_door(
        &self,
        injector: &Arc<Injector>,
        database: &'static str,
        attached: Option<PathBuf>,
    ) -> Door {
        let path = self.file(database);
        let way = Way {
            path: path.clone(),
            vfs: self.vfs.as_ref().map(|vfs| vfs.name().to_owned()),
            attached,
            gate: injector.gate(database),
        };
        let label = path.display().to_string();
        let url = label.clone();
        Door::new(
            url,
            Arc::new(move || {
                let tap = TapDriver::open(way.clone())?;
                Ok(Session::new(Box::new(tap), Engine::Sqlite, label.clone()))
            }),
        )
    }
}

/// Runs `work` with the server.
pub(super) fn with_server<T>(
    server: &Mutex<Box<dyn Server>>,
    work: impl FnOnce(&mut dyn Server) -> T,
) -> T {
    work(
        server
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut(),
    )
}

/// Files that belong to a SQLite database.
pub(super) fn companions(path: &Path) -> impl Iterator<Item = PathBuf> {
    ["", "-journal", "-wal", "-shm"].into_iter().map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}
