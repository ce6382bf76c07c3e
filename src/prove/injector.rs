//! The gate of a campaign: counts statements, hits one, holds the engine there while something is
//! done to it or beside it, and observes what is committed.

mod sight;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::db::Engine;
use crate::error::{Error, Result};

use super::fault::Mode;
use super::gate::{Gate, Refusal, Reply, Statement, Verdict};
use super::normal::{Kind, normalise};
use super::state::State;
use super::touch::Touch;
use super::victim::Victim;
use super::writer::Action;

pub use sight::Passed;
pub(super) use sight::{Orders, Sight};

/// The code of a statement that was stopped in its middle.
const SQLITE_INTERRUPT: &str = "SQLITE_INTERRUPT";

/// The code of a conflict that was lost, be it in the certification or to the node that applies what another one
/// has committed.
const CONFLICT: &str = "1213";

/// No node.
const NONE: usize = usize::MAX;

/// How far apart the numbers of connections of two nodes are.
const APART: u64 = 1000;

/// What the injector may do to the engine, its server and its data while it holds a statement.
pub(super) trait Hands: Send {
    /// Kills the engine's process and waits until it is gone; `false` if it has none.
    fn kill_engine(&mut self) -> Result<bool>;
    /// Asks the engine to stop: SIGINT, or SIGTERM if `terminate`. `false` if it has no process: then a
    /// flag is set.
    fn signal(&mut self, terminate: bool) -> Result<bool>;
    /// Kills the server and starts it again; returns when it has recovered.
    fn crash_server(&mut self) -> Result<()>;
    /// Kills every connection of the engine; the number.
    fn kill_connections(&mut self) -> Result<u64>;
    /// Lets the concurrent writer act; whether that changed a row.
    fn write(&mut self, action: Action) -> Result<bool>;
    /// Takes the engine's node away from the others: parts it from them, or kills it.
    fn take_away(&mut self, node: usize, isolated: bool) -> Result<()>;
    /// Has another node commit a transaction that touches a row; whether it did. `wait`, until this node has applied
    /// it too.
    fn touch(&mut self, touch: &Touch, wait: Option<usize>) -> Result<bool>;
    /// Puts a row in the way of a statement that is about to run, and kills the statement, or its whole
    /// session, when it waits there; `None` if the row could not be put.
    fn ambush(&mut self, victim: &Victim, session: bool) -> Result<Option<Ambush>>;
    /// What is committed now.
    fn observe(&mut self) -> Result<State>;
    /// A commit was acknowledged, the so manieth of this run, from 1.
    fn acknowledged(&mut self, number: u64);
}

/// Ends an ambush, and says whether it has killed the statement.
pub(super) type Ambush = Box<dyn FnOnce() -> Result<bool> + Send>;

/// The gate of a campaign; one for each worker, armed anew for each run.
pub(super) struct Injector {
    /// No statement goes through any more and no connection is made: the engine is dead.
    dead: AtomicBool,
    /// The node of a cluster to which no connection is made any more: it was killed.
    killed: AtomicUsize,
    engine: Engine,
    inner: Mutex<Inner>,
}

struct Inner {
    hands: Box<dyn Hands>,
    orders: Orders,
    sight: Sight,
    /// The fault goes on: later statements with this text, that of the one it fired at, meet it too.
    lasting: Option<String>,
    /// What lies in wait for the statement that is running.
    ambush: Option<Ambush>,
    /// The statement that is running is to be stopped by the layer that runs it.
    interrupted: bool,
    /// The statement that is running has lost a conflict, or the fault is none.
    conflict: bool,
    /// The statement that is running is the engine's or the server's last one.
    deadly: Option<Mode>,
    /// For how long the answer to the statement that is running is to be held back.
    late: Option<Duration>,
}

impl Injector {
    pub(super) fn new(engine: Engine, hands: Box<dyn Hands>) -> Arc<Self> {
        Arc::new(Self {
            dead: AtomicBool::new(false),
            killed: AtomicUsize::new(NONE),
            engine,
            inner: Mutex::new(Inner {
                hands,
                orders: Orders::default(),
                sight: Sight::default(),
                lasting: None,
                ambush: None,
                interrupted: false,
                conflict: false,
                deadly: None,
                late: None,
            }),
        })
    }

    /// Begins a run.
    pub(super) fn arm(&self, orders: Orders) {
        let mut inner = self.lock();
        inner.orders = orders;
        inner.sight = Sight::default();
        inner.lasting = None;
        inner.interrupted = false;
        inner.conflict = false;
        inner.deadly = None;
        inner.late = None;
        self.killed.store(NONE, Ordering::SeqCst);
        self.dead.store(false, Ordering::SeqCst);
    }

    /// Ends a run: what was seen. Whoever comes later finds everything closed.
    pub(super) fn disarm(&self) -> Sight {
        let mut inner = self.lock();
        inner.spring();
        inner.orders = Orders::default();
        self.dead.store(true, Ordering::SeqCst);
        std::mem::take(&mut inner.sight)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gate of one of the engine's databases, at one node of a cluster; a server alone is node 0.
    pub(super) fn gate(self: &Arc<Self>, database: &'static str, node: usize) -> Arc<dyn Gate> {
        Arc::new(Labelled {
            database,
            node,
            injector: Arc::clone(self),
        })
    }

    fn before(&self, (database, node): (&str, usize), statement: &Statement) -> Verdict {
        let mut inner = self.lock();
        if self.dead.load(Ordering::SeqCst) {
            return Verdict::CutBefore;
        }
        let kind = Kind::of(&statement.sql);
        let point = (kind != Kind::Setup).then(|| {
            inner.sight.points += 1;
            inner.sight.points
        });
        let text = || format!("{database}: {}", normalise(&statement.sql, self.engine));
        if inner.orders.trace {
            inner.sight.trace.push(Passed {
                point,
                database: database.into(),
                connection: statement.connection,
                sql: statement.sql.clone(),
                kind,
                outcome: "never sent".into(),
                affected: 0,
                in_transaction: statement.in_transaction,
                committed: false,
                identity: text(),
            });
        }
        let Some(point) = point else {
            return Verdict::Pass;
        };
        if let Some(writer) = inner.orders.writer.take_if(|w| w.point == point) {
            inner.expect(&writer.text, text());
            match inner.hands.write(writer.action) {
                Ok(changed) => inner.sight.wrote = Some(changed),
                Err(error) => inner.broken(&error),
            }
        }
        let due = inner
            .orders
            .fault
            .clone()
            .filter(|fault| !fault.mode.is_of_files());
        match due {
            Some(fault) if fault.point == point && !inner.sight.fired => {
                if !inner.expect(&fault.text, text()) {
                    return Verdict::Pass;
                }
                inner.sight.fired = true;
                // Not the fault's own text: one at random has none.
                inner.lasting = matches!(fault.mode, Mode::ErrorForGood(_)).then(text);
                self.hit(&mut inner, fault.mode, (node, kind))
            }
            Some(fault) if inner.lasting.as_ref().is_some_and(|t| *t == text()) => match fault.mode
            {
                Mode::ErrorForGood(code) => Verdict::Refuse(code.refusal()),
                _ => Verdict::Pass,
            },
            _ => Verdict::Pass,
        }
    }

    fn hit(&self, inner: &mut Inner, mode: Mode, (node, kind): (usize, Kind)) -> Verdict {
        match mode {
            Mode::CutBefore => Verdict::CutBefore,
            Mode::CutAfter => Verdict::CutAfter,
            Mode::KillAfter | Mode::ServerKillAfter | Mode::NodeKillAfter => {
                inner.deadly = Some(mode);
                Verdict::CutAfter
            }
            Mode::NodeIsolateAfter => {
                inner.deadly = Some(mode);
                Verdict::Pass
            }
            Mode::NodeKillBefore => {
                self.take_away(inner, node, false);
                Verdict::CutBefore
            }
            Mode::NodeIsolateBefore => {
                self.take_away(inner, node, true);
                Verdict::Pass
            }
            Mode::Conflict => {
                // A COMMIT may be overtaken on its way; before any other statement the transaction is gone.
                let wait = (kind != Kind::Commit).then_some(node);
                let touch = inner.orders.touch.take();
                match touch.map(|touch| inner.hands.touch(&touch, wait)) {
                    Some(Ok(touched)) => inner.conflict = touched,
                    Some(Err(error)) => inner.broken(&error),
                    None => {}
                }
                // Not yet: the engine has to hear of it.
                inner.sight.fired = false;
                Verdict::Pass
            }
            Mode::KillBefore => {
                self.kill(inner);
                Verdict::CutBefore
            }
            Mode::Error(code) | Mode::ErrorForGood(code) => Verdict::Refuse(code.refusal()),
            Mode::CommitRefused => Verdict::Refuse(Refusal::of_commit(self.engine)),
            Mode::CommitLost => Verdict::Replace("ROLLBACK".into()),
            Mode::Delay(time) => {
                inner.late = Some(Duration::from_millis(time.into()));
                Verdict::Pass
            }
            Mode::Interrupt | Mode::Terminate => {
                let sent = inner.hands.signal(mode == Mode::Terminate);
                inner.reached(sent);
                Verdict::Pass
            }
            Mode::ServerKillBefore => {
                if let Err(error) = inner.hands.crash_server() {
                    inner.broken(&error);
                }
                Verdict::CutBefore
            }
            Mode::KillConnection => {
                match inner.hands.kill_connections() {
                    Ok(0) => inner.sight.fired = false,
                    Ok(_) => {}
                    Err(error) => inner.broken(&error),
                }
                Verdict::Pass
            }
            Mode::StatementKilled | Mode::SessionKilled => {
                if let Some(victim) = inner.orders.victim.take() {
                    match inner.hands.ambush(&victim, mode == Mode::SessionKilled) {
                        Ok(ambush) => inner.ambush = ambush,
                        Err(error) => inner.broken(&error),
                    }
                } else {
                    // On a server nobody else would stop it: an error of its own is no hit.
                    inner.interrupted = self.engine == Engine::Sqlite;
                }
                // Not yet: it may end before it is stopped.
                inner.sight.fired = false;
                Verdict::Interrupt
            }
            Mode::IoError
            | Mode::IoErrorForGood
            | Mode::DiskFull
            | Mode::DiskFullForGood
            | Mode::Freeze => Verdict::Pass,
        }
    }

    fn kill(&self, inner: &mut Inner) {
        let killed = inner.hands.kill_engine();
        inner.reached(killed);
        self.dead.store(true, Ordering::SeqCst);
    }

    fn take_away(&self, inner: &mut Inner, node: usize, isolated: bool) {
        if !isolated {
            self.killed.store(node, Ordering::SeqCst);
        }
        if let Err(error) = inner.hands.take_away(node, isolated) {
            inner.broken(&error);
        }
    }

    fn after(&self, (database, node): (&str, usize), statement: &Statement, reply: &Reply) -> bool {
        let mut inner = self.lock();
        if self.dead.load(Ordering::SeqCst) {
            return false;
        }
        inner.spring();
        if std::mem::take(&mut inner.interrupted) {
            // Another error that the statement met is no kill.
            let error = reply.error.as_ref();
            inner.sight.fired = error.is_some_and(|(code, _)| code == SQLITE_INTERRUPT);
        }
        if std::mem::take(&mut inner.conflict) {
            let error = reply.error.as_ref();
            inner.sight.fired = error.is_some_and(|(code, _)| code == CONFLICT);
        }
        let kind = Kind::of(&statement.sql);
        let ended = kind == Kind::Commit || (kind == Kind::Write && !reply.in_transaction);
        let committed = ended && reply.error.is_none();
        if inner.orders.trace {
            // One engine, one statement at a time: the last one of this database is it.
            let last = inner.sight.trace.iter_mut().rev();
            if let Some(passed) = last
                .into_iter()
                .find(|p| p.database == database && p.connection == statement.connection)
            {
                passed.committed = committed;
                passed.affected = reply.affected;
                passed.outcome = match &reply.error {
                    Some((code, message)) => format!("{code} {message}"),
                    None if kind == Kind::Write => format!("ok, {} rows", reply.affected),
                    None => "ok".into(),
                };
            }
        }
        if committed {
            inner.sight.committed += 1;
            let number = inner.sight.committed;
            inner.hands.acknowledged(number);
            let fired = inner.sight.fired || inner.sight.wrote.is_some();
            // The engine takes a COMMIT that was lost for one that was acknowledged.
            let lied = inner.orders.believes
                && inner.orders.fault.as_ref().is_some_and(|f| {
                    f.mode == Mode::CommitLost && inner.sight.fired && f.point == inner.sight.points
                });
            if !fired || lied {
                inner.sight.acknowledged += 1;
            }
            if inner.orders.observe_all || (inner.orders.observe && fired) {
                match inner.hands.observe() {
                    Ok(state) => {
                        let point = inner.sight.points;
                        inner.sight.commits.push((point, state));
                    }
                    Err(error) => inner.broken(&error),
                }
            }
        }
        if let Some(time) = inner.late.take() {
            // Other connections of the engine are not held up.
            drop(inner);
            std::thread::sleep(time);
            return !self.dead.load(Ordering::SeqCst);
        }
        match inner.deadly.take() {
            Some(Mode::KillAfter) => {
                self.kill(&mut inner);
                false
            }
            Some(Mode::ServerKillAfter) => {
                if let Err(error) = inner.hands.crash_server() {
                    inner.broken(&error);
                }
                false
            }
            Some(Mode::NodeKillAfter) => {
                self.take_away(&mut inner, node, false);
                false
            }
            Some(Mode::NodeIsolateAfter) => {
                self.take_away(&mut inner, node, true);
                true
            }
            _ => true,
        }
    }
}

impl Inner {
    /// What a signal came to. An engine that is a process and of which none runs was not hit.
    fn reached(&mut self, process: Result<bool>) {
        match process {
            Ok(reached) => self.sight.fired &= reached || !self.orders.process,
            Err(error) => self.broken(&error),
        }
    }

    /// Ends what lies in wait. A statement that came past it was not hit.
    fn spring(&mut self) {
        match self.ambush.take().map(|end| end()) {
            None => {}
            Some(Ok(killed)) => self.sight.fired = killed,
            Some(Err(error)) => self.broken(&error),
        }
    }

    /// Whether the statement is the one that the fault is for.
    fn expect(&mut self, expected: &str, found: String) -> bool {
        let same = expected.is_empty() || expected == found;
        if !same && self.sight.other_text.is_none() {
            self.sight.other_text = Some((expected.to_owned(), found));
        }
        same
    }

    fn broken(&mut self, error: &Error) {
        self.sight.broken.get_or_insert(error.to_string());
    }
}

struct Labelled {
    database: &'static str,
    node: usize,
    injector: Arc<Injector>,
}

impl Labelled {
    /// The statement with a connection whose number no other node's has.
    fn told_apart(&self, statement: &Statement) -> Statement {
        let mut statement = statement.clone();
        statement.connection += self.node as u64 * APART;
        statement
    }
}

impl Gate for Labelled {
    fn connect(&self) -> bool {
        let killed = self.injector.killed.load(Ordering::SeqCst);
        !self.injector.dead.load(Ordering::SeqCst) && killed != self.node
    }

    fn before(&self, statement: &Statement) -> Verdict {
        let at = (self.database, self.node);
        self.injector.before(at, &self.told_apart(statement))
    }

    fn after(&self, statement: &Statement, reply: &Reply) -> bool {
        let at = (self.database, self.node);
        self.injector.after(at, &self.told_apart(statement), reply)
    }
}
