//! What outlasts a world: a directory, and servers of our own.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::super::archiver::Door;
use super::super::injector::Injector;
use super::super::tap::{TapDriver, Way};
use super::super::vfs::Vfs;
use super::super::world::{Layout, World};
use crate::db::{Access, Engine, Session, Target, open};
use crate::error::{Error, Result};

use super::host::Host;

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
    /// A private Galera cluster of three nodes, all of which the engine is given.
    Galera,
    /// The same, of which the engine is given one node alone.
    GaleraOneNode,
}

impl Backend {
    /// The name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Mariadb => "mariadb",
            Self::Postgres => "postgres",
            Self::Galera => "galera",
            Self::GaleraOneNode => "galera-one-node",
        }
    }

    /// How its SQL is spelled.
    pub fn engine(self) -> Engine {
        match self {
            Self::Sqlite => Engine::Sqlite,
            Self::Mariadb | Self::Galera | Self::GaleraOneNode => Engine::Mysql,
            Self::Postgres => Engine::Postgres,
        }
    }

    /// Whether it has nodes that can be taken away one by one, and on which others write.
    pub fn is_cluster(self) -> bool {
        matches!(self, Self::Galera | Self::GaleraOneNode)
    }
}

impl FromStr for Backend {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            "mariadb" | "mysql" => Ok(Self::Mariadb),
            "postgres" | "postgresql" => Ok(Self::Postgres),
            "galera" => Ok(Self::Galera),
            "galera-one-node" => Ok(Self::GaleraOneNode),
            _ => Err(Error::usage(format!("unknown database '{text}'"))
                .hint("known are sqlite, mariadb, postgres, galera, galera-one-node")),
        }
    }
}

/// The ground on which worlds are put up, one after the other. Each worker has its own.
pub(in super::super) struct Ground {
    pub(in super::super) backend: Backend,
    directory: TempDir,
    pub(super) host: Option<Arc<Host>>,
    pub(super) vfs: Option<Arc<Vfs>>,
    /// Databases made so far: each world gets new ones.
    databases: u32,
}

impl Ground {
    /// Starts what there is to start.
    pub(in super::super) fn new(backend: Backend) -> Result<Self> {
        let mut directory = tempfile::Builder::new();
        directory.prefix("sexton-prove-");
        // Thousands of small files made and removed: memory is faster than a disk, where there is
        // such a place.
        let memory = Path::new("/dev/shm");
        let directory = match backend {
            Backend::Sqlite if memory.is_dir() => directory
                .tempdir_in(memory)
                .or_else(|_| directory.tempdir()),
            _ => directory.tempdir(),
        };
        let directory =
            directory.map_err(|e| Error::internal(format!("no temporary directory: {e}")))?;
        let (host, vfs) = match backend {
            Backend::Sqlite => (None, Some(Arc::new(Vfs::register()?))),
            _ => (Some(Arc::new(Host::start(backend)?)), None),
        };
        Ok(Self {
            backend,
            directory,
            host,
            vfs,
            databases: 0,
        })
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    fn file(&self, database: &str) -> PathBuf {
        self.directory.path().join(format!("{database}.db"))
    }

    /// Path or URL of an empty database of that name, for ourselves.
    pub(super) fn database(&mut self, name: &str) -> Result<String> {
        let Some(host) = &self.host else {
            return Ok(self.file(name).display().to_string());
        };
        self.databases += 1;
        let name = format!("sexton_{name}_{}", self.databases);
        host.create_database(&name)
    }

    /// The ways of the engine to the databases, given our own.
    pub(super) fn doors(
        &mut self,
        injector: &Arc<Injector>,
        world: &World,
        databases: &[(&'static str, String)],
    ) -> Result<(Door, Option<Door>)> {
        let mut doors = Vec::new();
        for name in ["main", "api"] {
            let known = databases.iter().find(|(n, _)| *n == name);
            if let Some((_, place)) = known {
                doors.push(match &self.host {
                    None => {
                        let attached = name == "main" && world.layout == Layout::AttachedWal;
                        let attached = attached.then(|| self.file("shadows"));
                        self.sqlite_door(injector, name, attached)
                    }
                    Some(host) => server_door(host, injector, name, place)?,
                });
            }
        }
        let mut doors = doors.into_iter();
        let main = doors.next();
        let main = main.ok_or_else(|| Error::internal("a world without main database"))?;
        Ok((main, doors.next()))
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
            gate: injector.gate(database, 0),
        };
        // The same for every worker, as API records name it: images of lost power are handed on.
        let label = format!("{database}.db");
        let url = path.display().to_string();
        Door::new(
            url,
            Arc::new(move || {
                let tap = TapDriver::open(way.clone())?;
                Ok(Session::new(Box::new(tap), Engine::Sqlite, label.clone()))
            }),
        )
    }
}

fn server_door(
    host: &Host,
    injector: &Arc<Injector>,
    database: &'static str,
    place: &str,
) -> Result<Door> {
    let urls = host.doors(injector, database, place)?;
    let mut targets = Vec::new();
    for url in &urls {
        targets.push(url.parse::<Target>()?);
    }
    let mut urls = urls.into_iter();
    let mut targets = targets.into_iter();
    let (Some(url), Some(first)) = (urls.next(), targets.next()) else {
        return Err(Error::internal("a server without a door"));
    };
    let target = targets.try_fold(first, Target::or)?;
    let opener = Arc::new(move || open(&target, Access::ReadWrite));
    Ok(Door::new(url, opener).beside(urls.collect()))
}

/// Files that belong to a SQLite database.
pub(super) fn companions(path: &Path) -> impl Iterator<Item = PathBuf> {
    ["", "-journal", "-wal", "-shm"].into_iter().map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}
