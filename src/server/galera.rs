//! A private Galera cluster: MariaDB nodes on the loopback, each with its ports and its data.
//!
//! Nodes are killed, parted from the others and started again one by one. A node that comes back gets its data
//! from another one by rsync, which the server runs as the user `mysql` where this process is root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::instance::{Instance, Kind, Place};
use super::mariadb::{Mariadb, PrivateMariadb};
use super::process::{free_port, is_root, run};
use super::{Provider, Server};
use crate::db::Engine;
use crate::error::{Error, Result};

/// Where packages put the library.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/galera/libgalera_smm.so",
    "/usr/lib64/galera-4/libgalera_smm.so",
];

/// A dead or parted node is noticed in two seconds, not in five. With less than that nodes on a busy machine take each
/// other for dead.
const QUICK: &str = "evs.join_retrans_period=PT0.1S;evs.inactive_check_period=PT0.1S;\
    evs.keepalive_period=PT0.1S;evs.suspect_timeout=PT1.5S;evs.inactive_timeout=PT4S;\
    evs.install_timeout=PT4S;gmcast.peer_timeout=PT1.5S;gmcast.time_wait=PT0.5S;\
    pc.announce_timeout=PT0.3S;gcache.size=32M;gcache.page_size=32M";

/// Longest wait for all nodes to be one cluster again.
const WHOLE_LIMIT: Duration = Duration::from_secs(60);

/// Longest wait for the others to notice that a node is gone.
const PARTED_LIMIT: Duration = Duration::from_secs(10);

/// How often a node that comes back may try.
const REJOINS: u32 = 3;

/// How many nodes are in the cluster that this one is in, and whether it is well.
const STATE: &str = "SELECT GROUP_CONCAT(variable_value ORDER BY FIELD(variable_name, \
    'WSREP_CLUSTER_SIZE', 'WSREP_CLUSTER_STATUS', 'WSREP_LOCAL_STATE_COMMENT', 'WSREP_READY') \
    SEPARATOR '\\t') FROM information_schema.global_status WHERE variable_name IN \
    ('WSREP_CLUSTER_SIZE', 'WSREP_CLUSTER_STATUS', 'WSREP_LOCAL_STATE_COMMENT', 'WSREP_READY')";

/// Starts private Galera clusters.
#[derive(Debug, Clone, Default)]
pub struct PrivateGalera {
    server: PrivateMariadb,
}

impl PrivateGalera {
    /// A cluster with the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with one more argument for every node's `mariadbd`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.server = self.server.argument(argument);
        self
    }

    /// Whether this machine has what it needs; the error says what is missing.
    ///
    /// # Errors
    ///
    /// Exit code 69 without MariaDB, the Galera library or rsync.
    pub fn available(&self) -> Result<()> {
        self.server.available()?;
        library()?;
        let hint = "run `cargo xtask test`, which installs it, or `apt-get install rsync`";
        run(Command::new("rsync").arg("--version"))
            .map(drop)
            .map_err(|error| error.hint(hint))
    }

    /// Starts a cluster of so many nodes and waits until all are in it.
    ///
    /// # Errors
    ///
    /// Exit code 69 if a node does not start.
    pub fn start(&self, nodes: usize) -> Result<GaleraCluster> {
        let library = library()?;
        let mut programs = self.server.find()?;
        programs.user = is_root().then_some("mysql");
        let groups = (0..nodes)
            .map(|_| free_port())
            .collect::<Result<Vec<u16>>>()?;
        let mut cluster = GaleraCluster { nodes: Vec::new() };
        for number in 0..nodes {
            let node = Node {
                programs: programs.clone(),
                library: library.clone(),
                number,
                groups: groups.clone(),
                transfer: [free_port()?, free_port()?],
            };
            cluster.nodes.push(Running {
                programs: programs.clone(),
                server: Instance::start(node)?,
            });
        }
        cluster.wait_until_whole()?;
        Ok(cluster)
    }
}

fn library() -> Result<PathBuf> {
    let found = LIBRARIES.iter().map(PathBuf::from).find(|p| p.exists());
    found.ok_or_else(|| {
        Error::unavailable("no Galera library on this machine")
            .hint("run `cargo xtask test`, which installs it, or `apt-get install galera-4`")
    })
}

/// A running cluster; dropping it ends every node and removes the data.
pub struct GaleraCluster {
    nodes: Vec<Running>,
}

struct Running {
    programs: Mariadb,
    server: Box<dyn Server>,
}

impl GaleraCluster {
    /// How many nodes there are, running or not.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The URL of a database through one node.
    pub fn url(&self, node: usize, database: &str) -> String {
        self.nodes[node].server.url(database)
    }

    /// Creates an empty database in the cluster, which every node that runs then has.
    ///
    /// # Errors
    ///
    /// Exit code 69 if the first node refuses.
    pub fn create_database(&mut self, name: &str) -> Result<()> {
        self.nodes[0].server.create_database(name)?;
        for node in 1..self.nodes.len() {
            // The others have it when they have applied it. One that was taken away gets it when it is back.
            let caught_up = "SET SESSION wsrep_sync_wait = 15; SELECT 1 FROM mysql.user LIMIT 1";
            drop(self.execute(node, caught_up));
        }
        Ok(())
    }

    /// Runs a statement on one node; the output in tab-separated columns.
    ///
    /// # Errors
    ///
    /// Exit code 69 with what the node said.
    pub fn execute(&self, node: usize, sql: &str) -> Result<String> {
        let node = &self.nodes[node];
        let url = node.server.url("");
        let port = url
            .rsplit(':')
            .next()
            .and_then(|rest| rest.split('/').next());
        let port = port.and_then(|port| port.parse().ok());
        let port = port.ok_or_else(|| Error::internal(format!("no port in {url}")))?;
        node.programs.execute(port, sql)
    }

    /// Ends a node with SIGKILL.
    ///
    /// # Errors
    ///
    /// Exit code 70 if it does not go away.
    pub fn kill(&mut self, node: usize) -> Result<()> {
        self.nodes[node].server.kill()
    }

    /// Parts a node from the others, or lets it find them again. It goes on running and answering.
    ///
    /// # Errors
    ///
    /// Exit code 69 if the node does not answer.
    pub fn isolate(&self, node: usize, isolated: bool) -> Result<()> {
        let value = u8::from(isolated);
        let option = format!("SET GLOBAL wsrep_provider_options = 'gmcast.isolate={value}'");
        self.execute(node, &option).map(drop)
    }

    /// Starts a killed node again; it joins the others and gets from them what it has missed.
    ///
    /// # Errors
    ///
    /// Exit code 69 if it does not start.
    pub fn restart(&mut self, node: usize) -> Result<()> {
        let mut tries = 1;
        loop {
            self.nodes[node].server.kill()?;
            self.wait_until_parted(node);
            match self.nodes[node].server.restart() {
                // On a busy machine the short times above run out while it joins: then it aborts.
                Err(_) if tries < REJOINS => tries += 1,
                done => return done,
            }
        }
    }

    /// Waits until those of the others that answer are a cluster without this node, for a few seconds: one that comes
    /// back before it was missed, or while nobody can give it what it has missed, aborts.
    fn wait_until_parted(&self, node: usize) {
        let deadline = Instant::now() + PARTED_LIMIT;
        let others = (0..self.nodes.len()).filter(|other| *other != node);
        let others: Vec<_> = others.collect();
        let whole = self.nodes.len().to_string();
        let without = |state: &String| {
            let rest = state.strip_suffix("\tPrimary\tSynced\tON");
            rest.is_some_and(|size| size != whole)
        };
        loop {
            let states = others.iter().filter_map(|n| self.execute(*n, STATE).ok());
            let states: Vec<_> = states.collect();
            if states.iter().all(without) || Instant::now() > deadline {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until every node is in one cluster with all the others and up to date.
    ///
    /// # Errors
    ///
    /// Exit code 69 after a minute.
    pub fn wait_until_whole(&self) -> Result<()> {
        let expected = format!("{}\tPrimary\tSynced\tON", self.nodes.len());
        let deadline = Instant::now() + WHOLE_LIMIT;
        loop {
            let of_node = |node| self.execute(node, STATE).unwrap_or_default();
            let states: Vec<_> = (0..self.nodes.len()).map(of_node).collect();
            if states.iter().all(|state| *state == expected) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::unavailable(format!(
                    "the nodes of a cluster did not find each other: {states:?}"
                ))
                .hint("run again; on a busy machine with fewer --jobs"));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A node, not started yet.
struct Node {
    programs: Mariadb,
    library: PathBuf,
    number: usize,
    /// The ports of all nodes for their own talk.
    groups: Vec<u16>,
    /// Its ports for what it has missed: some write sets, or all the data.
    transfer: [u16; 2],
}

impl Node {
    fn give(&self, directory: &Path) -> Result<()> {
        match self.programs.user {
            Some(user) => run(Command::new("chown")
                .arg("-R")
                .arg(format!("{user}:"))
                .arg(directory))
            .map(drop),
            None => Ok(()),
        }
    }
}

impl Kind for Node {
    fn engine(&self) -> Engine {
        Engine::Mysql
    }

    fn name(&self) -> &'static str {
        "MariaDB with Galera"
    }

    fn url_prefix(&self) -> &'static str {
        self.programs.url_prefix()
    }

    fn initialise(&self, place: &Place) -> Result<()> {
        self.programs.initialise(place)?;
        self.give(place.path())
    }

    fn server(&self, place: &Place, first: bool) -> Result<Command> {
        // The others get the users with the data.
        let founds = first && self.number == 0;
        let mut server = self.programs.server(place, founds)?;
        if founds {
            self.give(place.path())?;
        }
        let own = self.groups[self.number];
        let [increments, whole] = self.transfer;
        let members: Vec<_> = self
            .groups
            .iter()
            .map(|p| format!("127.0.0.1:{p}"))
            .collect();
        let members = if founds {
            String::new()
        } else {
            members.join(",")
        };
        server
            .args(["--binlog-format=ROW", "--default-storage-engine=InnoDB"])
            .args(["--innodb-autoinc-lock-mode=2", "--wsrep-on=ON"])
            .arg(format!("--wsrep-provider={}", self.library.display()))
            .arg("--wsrep-cluster-name=sexton")
            .arg(format!("--wsrep-cluster-address=gcomm://{members}"))
            .arg(format!("--wsrep-node-name=node{}", self.number))
            .arg(format!("--wsrep-node-address=127.0.0.1:{own}"))
            .arg(format!("--wsrep-node-incoming-address=127.0.0.1:{}", place.port))
            .arg("--wsrep-sst-method=rsync")
            .arg(format!("--wsrep-sst-receive-address=127.0.0.1:{whole}"))
            .arg(format!(
                "--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{own};base_host=127.0.0.1;\
                 base_port={own};ist.recv_addr=127.0.0.1:{increments};ist.recv_bind=127.0.0.1:{increments};{QUICK}"
            ))
;
        Ok(server)
    }

    fn stop_signal(&self) -> Signal {
        Signal::TERM
    }

    fn execute(&self, port: u16, sql: &str) -> Result<String> {
        self.programs.execute(port, sql)
    }

    fn identity_query(&self) -> &'static str {
        self.programs.identity_query()
    }
}
