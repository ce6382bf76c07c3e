//! Servers of our own, and the proxies in front of them: one server, or the three nodes of a cluster.
//!
//! The engine begins at the first node of a cluster; we look at the last one, which is never taken away, and write
//! there too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::gate::{Gate, Reply, Statement, Verdict};
use super::super::injector::Injector;
use super::super::proxy::Proxy;
use super::ground::Backend;
use crate::error::{Error, Result};
use crate::server::{
    GaleraCluster, PrivateGalera, PrivateMariadb, PrivatePostgres, Provider, Server,
};

/// Nodes of a cluster: the fewest of which one can be taken away and two still agree.
const NODES: usize = 3;

/// A server, or a cluster, with a proxy before each of the two databases on each node that the engine is given.
pub(super) struct Host {
    servers: Mutex<Servers>,
    main: Vec<Proxy>,
    api: Vec<Proxy>,
    /// The port of each node.
    ports: Vec<u16>,
}

enum Servers {
    One(Box<dyn Server>),
    Cluster {
        nodes: GaleraCluster,
        /// The node that was taken away.
        away: Option<Away>,
    },
}

/// A node that is not with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Away {
    node: usize,
    /// It runs, and hears nothing of the others.
    isolated: bool,
}

impl Host {
    pub(super) fn start(backend: Backend) -> Result<Self> {
        // What was acknowledged has to survive SIGKILL, not a loss of power: written, not synced.
        const WRITTEN: &str = "--innodb-flush-log-at-trx-commit=2";
        let servers = match backend {
            Backend::Mariadb => {
                let server = PrivateMariadb::new().not_durable().argument(WRITTEN);
                Servers::One(server.start()?)
            }
            Backend::Postgres => {
                let server = PrivatePostgres::new().not_durable();
                Servers::One(server.setting("synchronous_commit=on").start()?)
            }
            Backend::Galera | Backend::GaleraOneNode => Servers::Cluster {
                nodes: PrivateGalera::new().argument(WRITTEN).start(NODES)?,
                away: None,
            },
            Backend::Sqlite => return Err(Error::internal("SQLite has no server")),
        };
        let urls: Vec<_> = match &servers {
            Servers::One(server) => vec![server.url("none")],
            Servers::Cluster { nodes, .. } => (0..NODES).map(|n| nodes.url(n, "none")).collect(),
        };
        let given = match backend {
            Backend::GaleraOneNode => 1,
            _ => urls.len(),
        };
        let (mut main, mut api, mut ports) = (Vec::new(), Vec::new(), Vec::new());
        for (node, url) in urls.iter().enumerate() {
            let (host, port) = address(url)?;
            ports.push(port);
            if node < given {
                let upstream = format!("{host}:{port}").parse().map_err(|e| {
                    Error::internal(format!("{host}:{port} is no address of a server: {e}"))
                })?;
                let proxy = || Proxy::start(backend.engine(), upstream, Arc::new(Closed));
                main.push(proxy()?);
                api.push(proxy()?);
            }
        }
        Ok(Self {
            servers: Mutex::new(servers),
            main,
            api,
            ports,
        })
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates an empty database; its URL for ourselves.
    pub(super) fn create_database(&self, name: &str) -> Result<String> {
        match &mut *self.servers() {
            Servers::One(server) => server.create_database(name),
            Servers::Cluster { nodes, .. } => {
                nodes.create_database(name)?;
                Ok(nodes.url(self.lookout(), name))
            }
        }
    }

    /// The node at which we look and write.
    pub(super) fn lookout(&self) -> usize {
        self.ports.len() - 1
    }

    /// Our own URL of a database as it is at another node.
    pub(super) fn at(&self, node: usize, place: &str) -> String {
        let port = self.ports[node];
        let own = self.ports[self.lookout()];
        place.replacen(&format!(":{own}/"), &format!(":{port}/"), 1)
    }

    /// The nodes that are together; one server is alone.
    pub(super) fn together(&self) -> Vec<usize> {
        let away = match &*self.servers() {
            Servers::Cluster { away, .. } => away.map(|away| away.node),
            Servers::One(_) => None,
        };
        let nodes = 0..self.ports.len();
        nodes.filter(|node| Some(*node) != away).collect()
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.ports.len() > 1
    }

    /// Kills the server and starts it again.
    pub(super) fn crash(&self) -> Result<()> {
        match &mut *self.servers() {
            Servers::One(server) => {
                server.kill()?;
                server.restart()
            }
            Servers::Cluster { .. } => Err(Error::internal("a cluster does not die as a whole")),
        }
    }

    /// Takes a node away from the others, until [`Host::mend`]: kills it, or parts it from them.
    pub(super) fn take_away(&self, node: usize, isolated: bool) -> Result<()> {
        let lookout = self.lookout();
        match &mut *self.servers() {
            Servers::Cluster { nodes, away } if away.is_none() && node != lookout => {
                match isolated {
                    true => nodes.isolate(node, true)?,
                    false => nodes.kill(node)?,
                }
                *away = Some(Away { node, isolated });
                Ok(())
            }
            _ => Err(Error::internal(format!(
                "node {node} cannot be taken away: it is the last one to look at, or another is missing"
            ))),
        }
    }

    /// Brings back the node that was taken away; whether there was one.
    pub(super) fn mend(&self) -> Result<bool> {
        let Servers::Cluster { nodes, away } = &mut *self.servers() else {
            return Ok(false);
        };
        let Some(gone) = away.take() else {
            return Ok(false);
        };
        match gone.isolated {
            true => nodes.isolate(gone.node, false)?,
            false => nodes.restart(gone.node)?,
        }
        nodes.wait_until_whole()?;
        Ok(true)
    }

    /// Closes what the engine left open.
    pub(super) fn drop_connections(&self) {
        for proxy in self.main.iter().chain(&self.api) {
            proxy.drop_connections();
        }
    }

    /// The ways of the engine to a database, one for each node that it is given, past the injector.
    pub(super) fn doors(
        &self,
        injector: &Arc<Injector>,
        database: &'static str,
        place: &str,
    ) -> Result<Vec<String>> {
        let proxies = match database {
            "api" => &self.api,
            _ => &self.main,
        };
        let (_, port) = address(place)?;
        let door = |(node, proxy): (usize, &Proxy)| {
            proxy.set_gate(injector.gate(database, node));
            place.replacen(&format!(":{port}/"), &format!(":{}/", proxy.port()), 1)
        };
        Ok(proxies.iter().enumerate().map(door).collect())
    }
}

/// The gate between two worlds.
struct Closed;

impl Gate for Closed {
    fn connect(&self) -> bool {
        false
    }

    fn before(&self, _: &Statement) -> Verdict {
        Verdict::CutBefore
    }

    fn after(&self, _: &Statement, _: &Reply) -> bool {
        false
    }
}

/// Host and port of a server's URL.
fn address(url: &str) -> Result<(String, u16)> {
    let parsed = url::Url::parse(url).ok();
    parsed
        .and_then(|u| Some((u.host_str()?.to_owned(), u.port()?)))
        .ok_or_else(|| Error::internal(format!("{url} has no host and port")))
}
