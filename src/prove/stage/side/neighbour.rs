//! The injector's hands: what is done to the engine, its server and its rows while a statement is held.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};

use super::super::super::injector::{Ambush, Hands};
use super::super::super::state::State;
use super::super::super::touch::Touch;
use super::super::super::victim::Victim;
use super::super::super::writer::Action;
use super::ambush::ambush;
use super::{PATIENCE, Side};
use crate::db::{DbErrorKind, Engine};
use crate::error::{Error, Result};

/// The same side, shared.
pub(in super::super) struct Neighbour(pub(in super::super) Arc<Mutex<Side>>);

impl Neighbour {
    fn side(&self) -> MutexGuard<'_, Side> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hands for Neighbour {
    fn kill_engine(&mut self) -> Result<bool> {
        let process = Arc::clone(&self.side().process);
        let Some(pid) = process.get() else {
            return Ok(false);
        };
        let there = send(pid, Signal::KILL)?;
        let patience = Instant::now() + PATIENCE;
        while is_running(pid) {
            if Instant::now() > patience {
                return Err(Error::internal(format!("process {pid} survives SIGKILL")));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(there)
    }

    fn signal(&mut self, terminate: bool) -> Result<bool> {
        let side = self.side();
        let Some(pid) = side.process.get() else {
            side.stop.store(true, Ordering::SeqCst);
            return Ok(false);
        };
        send(pid, if terminate { Signal::TERM } else { Signal::INT })
    }

    fn crash_server(&mut self) -> Result<()> {
        let mut side = self.side();
        let Some(host) = side.host.clone() else {
            return Err(Error::internal("there is no server to kill"));
        };
        side.close();
        host.crash()
    }

    fn take_away(&mut self, node: usize, isolated: bool) -> Result<()> {
        let mut side = self.side();
        let Some(host) = side.host.clone() else {
            return Err(Error::internal("there is no node to take away"));
        };
        side.elsewhere.remove(&node);
        host.take_away(node, isolated)
    }

    fn touch(&mut self, touch: &Touch, wait: Option<usize>) -> Result<bool> {
        let mut side = self.side();
        let session = side.session("main")?;
        session.execute("START TRANSACTION")?;
        let mut write = |sql: &str| session.execute(sql).map(|rows| rows == 1);
        let written = write(&touch.there).and_then(|there| Ok(there && write(&touch.back)?));
        match written {
            Ok(true) => session.execute("COMMIT")?,
            // The row is no longer there, or there already.
            _ => session.execute("ROLLBACK")?,
        };
        if let Some(node) = wait {
            side.caught_up(node)?;
        }
        Ok(written.is_ok_and(|written| written))
    }

    fn kill_connections(&mut self) -> Result<u64> {
        let mut side = self.side();
        let ids = side.engine_connections()?;
        let engine = side.engine;
        let mut killed = 0;
        for (node, id) in ids {
            let sql = match engine {
                Engine::Postgres => format!("SELECT pg_terminate_backend({id})"),
                Engine::Mysql | Engine::Sqlite => format!("KILL CONNECTION {id}"),
            };
            // One that has just ended on its own is not there to be killed.
            match side.at(node)?.execute(&sql) {
                Ok(_) => killed += 1,
                Err(error) if error.kind == DbErrorKind::Other => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(killed)
    }

    fn write(&mut self, action: Action) -> Result<bool> {
        let mut side = self.side();
        if action == Action::SecondArchiver {
            return side.second_archiver();
        }
        let Some(change) = side.changes.get(&action) else {
            return Ok(false);
        };
        let sql = change.sql(side.engine);
        match side.session("main")?.execute(&sql) {
            Ok(affected) => {
                if side.shape.purges {
                    // What is purged from now on is purged as it is now.
                    side.state()?;
                }
                Ok(affected > 0)
            }
            // Locked out, or refused by a key: the service would be, too.
            Err(error)
                if matches!(
                    error.kind,
                    DbErrorKind::Retryable | DbErrorKind::ForeignKey | DbErrorKind::DuplicateKey
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn ambush(&mut self, victim: &Victim, session: bool) -> Result<Option<Ambush>> {
        let side = self.side();
        let mut place = side.database("main").unwrap_or_default().to_owned();
        if let Some(host) = side.host.as_ref().filter(|host| host.is_cluster()) {
            // A lock is known to one node only: that of the engine.
            place = host.at(0, &place);
        }
        let connect = || side.connect_at("main", &place);
        ambush(connect()?, connect()?, victim, session)
    }

    fn observe(&mut self) -> Result<State> {
        self.side().state()
    }

    fn acknowledged(&mut self, number: u64) {
        if let Some(vfs) = &self.side().vfs {
            vfs.mark(number);
        }
    }
}

/// Sends a signal to the process, and with it to all that it has started where it leads a group of its
/// own: a shell, or whatever else wraps an engine, would die alone.
/// Whether there was anything to signal.
fn send(pid: i32, signal: Signal) -> Result<bool> {
    let Some(pid) = Pid::from_raw(pid) else {
        return Err(Error::internal(format!("{pid} is no process")));
    };
    let sent = match getpgid(Some(pid)) {
        Ok(group) if group == pid => kill_process_group(pid, signal),
        _ => kill_process(pid, signal),
    };
    match sent {
        Ok(()) => Ok(true),
        // It has just ended on its own.
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(Error::internal(format!(
            "no signal to process {pid:?}: {error}"
        ))),
    }
}

/// Whether the process, or any of the group that it led, is there and no zombie.
fn is_running(pid: i32) -> bool {
    let alive = |stat: &str| -> bool {
        // `pid (name) state parent group ...`; a name may hold anything.
        let Some((_, rest)) = stat.rsplit_once(") ") else {
            return false;
        };
        let mut fields = rest.split(' ');
        let state = fields.next().unwrap_or_default();
        let group = fields.nth(1).and_then(|g| g.parse::<i32>().ok());
        let own = stat.split(' ').next().and_then(|p| p.parse::<i32>().ok());
        (own == Some(pid) || group == Some(pid)) && !matches!(state, "Z" | "X")
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .any(|stat| alive(&stat))
}
