//! Wire proxies: a statement of an engine that speaks to MariaDB/MySQL or PostgreSQL passes the
//! [`Gate`] on its way.
//!
//! An engine is given the proxy's port for the server's. The proxy follows the conversation closely
//! enough to know each statement and the end of each reply, takes out what would keep it from that
//! (encryption, compression), and passes everything else on as it is, the login included.
//!
//! Invariant: async code is in here only. One thread of its own drives all connections; a gate may
//! block for as long as it likes without holding up another connection.

mod mysql;
pub mod mysql_packets;
pub mod mysql_reply;
mod peer;
mod postgres;
mod postgres_extended;
pub mod postgres_messages;
mod postgres_reply;
mod watch;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use self::peer::Peer;
use self::watch::Case;
use super::gate::Gate;
use crate::db::Engine;
use crate::error::{Error, Result};

/// A proxy before a server, with a thread of its own. Dropping it closes everything.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    /// Asks the thread to drop all connections and to say so; gone, it asks it to end.
    drops: Option<UnboundedSender<mpsc::Sender<()>>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    engine: Engine,
    upstream: SocketAddr,
    case: Mutex<Case>,
    connections: AtomicUsize,
}

impl Proxy {
    /// Listens on 127.0.0.1 at a free port and forwards to `upstream`, a server of `engine`.
    ///
    /// A server that is not there is waited for, up to ten seconds a connection.
    pub fn start(engine: Engine, upstream: SocketAddr, gate: Arc<dyn Gate>) -> Result<Self> {
        if engine == Engine::Sqlite {
            return Err(Error::internal("SQLite has no wire to put a proxy on"));
        }
        let failed = |e: io::Error| {
            Error::unavailable(format!("cannot start a proxy: {e}"))
                .hint("free a port on 127.0.0.1 and run again")
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let shared = Arc::new(Shared {
            engine,
            upstream,
            case: Mutex::new(Case::new(gate)),
            connections: AtomicUsize::new(0),
        });
        let (drops, asked) = unbounded_channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("proxy".into())
            .spawn(move || {
                // An error is one of the listener: then there is no proxy any more, and whoever
                // connects finds that out.
                let _ = runtime.block_on(serve(&serving, listener, asked));
                // A gate that still holds a statement is not waited for.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self {
            port,
            shared,
            drops: Some(drops),
            thread: Some(thread),
        })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Another gate for the connections that are made from now on, which are counted from 0 again.
    /// Those that are there keep theirs.
    pub fn set_gate(&self, gate: Arc<dyn Gate>) {
        *lock(&self.shared.case) = Case::new(gate);
    }

    /// Closes every connection on both sides, those that wait to be accepted included, and waits until
    /// they are closed.
    ///
    /// Does not wait for a gate that holds a statement: the call ends when it ends, and its verdict
    /// has no effect any more. The server may still be at work on what it was sent.
    pub fn drop_connections(&self) {
        let (done, wait) = mpsc::channel();
        if let Some(drops) = &self.drops
            && drops.send(done).is_ok()
        {
            // An error: the thread has ended, and all connections with it.
            let _ = wait.recv();
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.drops = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(case: &Mutex<Case>) -> std::sync::MutexGuard<'_, Case> {
    case.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts connections until nobody can ask for anything any more.
async fn serve(
    shared: &Arc<Shared>,
    listener: TcpListener,
    mut drops: UnboundedReceiver<mpsc::Sender<()>>,
) -> io::Result<()> {
    // The same socket, past the runtime, which learns of a connection some time after the kernel.
    let backlog = listener.try_clone()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut tasks = JoinSet::new();
    loop {
        match select(pin!(drops.recv()), pin!(listener.accept())).await {
            Either::Left((None, _)) => return Ok(()),
            Either::Left((Some(done), _)) => {
                while backlog.accept().is_ok() {}
                tasks.shutdown().await;
                let _ = done.send(());
            }
            Either::Right((Ok((client, _)), _)) => {
                let case = lock(&shared.case).clone();
                let counted = Counted::new(shared);
                tasks.spawn(async move {
                    // Outlives the sockets: who is not counted is closed.
                    let counted = counted;
                    // Whatever ends a conversation, its sockets are closed.
                    let _ = converse(&counted.0, case, client).await;
                });
            }
            // Out of file descriptors, for one: the connections that are there go on.
            Either::Right((Err(_), _)) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        while tasks.try_join_next().is_some() {}
    }
}

async fn converse(shared: &Shared, case: Case, client: TcpStream) -> io::Result<()> {
    if !case.admits().await {
        return Ok(());
    }
    let client = Peer::new(client)?;
    match shared.engine {
        Engine::Mysql => mysql::converse(client, shared.upstream, case).await,
        Engine::Postgres => postgres::converse(client, shared.upstream, case).await,
        Engine::Sqlite => Ok(()),
    }
}

/// A connection, in the count.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}
