//! What a run waits for between batches: replicas that lag, a server under load, history that is not purged.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::db::{DbError, DbErrorKind, Engine, Session, Value};

/// How often gauges are read at most.
const EVERY: Duration = Duration::from_millis(200);

/// How long a gauge may take to answer: nothing else happens meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often one that does not answer is tried again at most.
const REVIVE_EVERY: Duration = Duration::from_secs(30);

/// What `SHOW REPLICA STATUS` calls it, on MariaDB and on MySQL.
const SECONDS_BEHIND: [&str; 2] = ["Seconds_Behind_Master", "Seconds_Behind_Source"];

/// What to do about a replica that does not replicate, or does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoppedReplica {
    /// Go on without it: it has other troubles than this run.
    #[default]
    GoOn,
    /// Wait, as for one that lags.
    Wait,
    /// End the run.
    Stop,
}

/// Something to look at before a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Limit {
    /// A replica may be so far behind.
    Lag {
        /// The most.
        most: Duration,
        /// What to do where it does not replicate.
        stopped: StoppedReplica,
    },
    /// A status variable of MariaDB or MySQL, or on PostgreSQL `active` or `lock-waits` sessions, may be so high.
    Load {
        /// Its name.
        variable: String,
        /// The most.
        most: f64,
        /// Whether a higher one ends the run, rather than have it wait.
        critical: bool,
    },
    /// A Galera node may have been paused by flow control for such a share of the time since the last look.
    FlowControl {
        /// The most, from 0 to 1.
        most: f64,
    },
}

/// What a look has come to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// Nothing is over its limit.
    Go,
    /// Something is; which, and by how much.
    Wait(String),
    /// The run is to end; why.
    Stop(String),
}

/// A limit, and the session that is asked.
struct Gauge {
    limit: Limit,
    session: Session,
    /// Time paused by flow control and when it was read.
    paused: Option<(f64, Instant)>,
    /// Where the session must be made anew: when that was tried last, and why.
    lost: Option<(Instant, DbError)>,
    /// Whether it was said that a replica is gone on without.
    told: bool,
}

/// Gauges that are read before each batch. Each has a session of its own, so that nothing disturbs a transaction.
pub struct Throttle {
    gauges: Mutex<(Vec<Gauge>, Option<Instant>)>,
    max_wait: Duration,
}

impl Throttle {
    /// Without a gauge; a run that has waited for `max_wait` on end is stopped.
    pub fn new(max_wait: Duration) -> Self {
        Self {
            gauges: Mutex::new((Vec::new(), None)),
            max_wait,
        }
    }

    /// The same with one more gauge, read once to see whether it can be.
    ///
    /// # Errors
    ///
    /// What the database says where it cannot be read at all: no such variable, no right to see it, no SQLite. A
    /// replica that does not replicate is no error.
    pub fn with(mut self, limit: Limit, mut session: Session) -> Result<Self, DbError> {
        session.expect_answers_within(PATIENCE);
        let mut gauge = Gauge {
            limit,
            session,
            paused: None,
            lost: None,
            told: false,
        };
        gauge.read()?;
        let (gauges, _) = self
            .gauges
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        gauges.push(gauge);
        Ok(self)
    }

    pub(super) fn max_wait(&self) -> Duration {
        self.max_wait
    }

    /// Looks at every gauge, unless that was done a moment ago; says which replicas are gone on without.
    pub(super) fn look(&self, notice: &mut dyn FnMut(&str)) -> Verdict {
        let (gauges, last) = &mut *self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < EVERY) {
            return Verdict::Go;
        }
        let mut verdict = Verdict::Go;
        for gauge in gauges.iter_mut() {
            match gauge.verdict(notice) {
                stop @ Verdict::Stop(_) => return stop,
                wait @ Verdict::Wait(_) if verdict == Verdict::Go => verdict = wait,
                _ => {}
            }
        }
        *last = (verdict == Verdict::Go).then(Instant::now);
        verdict
    }
}

impl Gauge {
    fn verdict(&mut self, notice: &mut dyn FnMut(&str)) -> Verdict {
        let read = self.revived().and_then(|()| self.read());
        if let Err(error) = &read
            && error.kind == DbErrorKind::Connection
            && self.lost.is_none()
        {
            // A moment of silence is made up for at once, a longer one does not hold up the run each time.
            let long_ago = Instant::now().checked_sub(REVIVE_EVERY);
            self.lost = Some((long_ago.unwrap_or_else(Instant::now), error.clone()));
        }
        let label = self.session.label().to_owned();
        match (&self.limit, read) {
            (Limit::Lag { most, .. }, Ok(Some(seconds))) => {
                self.told = false;
                match seconds > most.as_secs_f64() {
                    true => Verdict::Wait(format!("replica {label} is {seconds:.0} s behind")),
                    false => Verdict::Go,
                }
            }
            (Limit::Lag { stopped, .. }, read) => {
                let why = match read {
                    Err(error) => format!("replica {label} cannot be asked: {error}"),
                    Ok(_) => format!("replica {label} does not replicate"),
                };
                match stopped {
                    StoppedReplica::GoOn => {
                        if !std::mem::replace(&mut self.told, true) {
                            notice(&format!("{why}; going on without it"));
                        }
                        Verdict::Go
                    }
                    StoppedReplica::Wait => Verdict::Wait(why),
                    StoppedReplica::Stop => Verdict::Stop(why),
                }
            }
            (
                Limit::Load {
                    variable,
                    most,
                    critical,
                },
                Ok(Some(now)),
            ) if now > *most => {
                let why = format!("{variable} is {now}, more than {most}");
                match critical {
                    true => Verdict::Stop(why),
                    false => Verdict::Wait(why),
                }
            }
            (Limit::FlowControl { most }, Ok(Some(share))) if share > *most => {
                Verdict::Wait(format!(
                    "flow control has paused the node for {:.0} % of the time",
                    share * 100.0
                ))
            }
            (_, Err(error)) => Verdict::Wait(format!("{label} cannot be asked: {error}")),
            _ => Verdict::Go,
        }
    }

    /// Makes a lost session anew, if that has not been tried a moment ago.
    fn revived(&mut self) -> Result<(), DbError> {
        let Some((tried, error)) = &self.lost else {
            return Ok(());
        };
        if tried.elapsed() < REVIVE_EVERY {
            return Err(error.clone());
        }
        match self.session.reconnect() {
            Ok(()) => {
                self.lost = None;
                // Another node may have answered, with another clock.
                self.paused = None;
                Ok(())
            }
            Err(error) => {
                self.lost = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// What it shows now; nothing where a replica does not replicate.
    fn read(&mut self) -> Result<Option<f64>, DbError> {
        match &self.limit {
            Limit::Lag { .. } => lag(&mut self.session),
            Limit::Load { variable, .. } => load(&mut self.session, variable).map(Some),
            Limit::FlowControl { .. } => {
                let now = load(&mut self.session, "wsrep_flow_control_paused_ns")? / 1e9;
                let before = self.paused.replace((now, Instant::now()));
                Ok(before.map(|(then, at)| (now - then) / at.elapsed().as_secs_f64().max(1e-3)))
            }
        }
    }
}

/// A replica's seconds behind; nothing where it does not replicate.
fn lag(session: &mut Session) -> Result<Option<f64>, DbError> {
    if session.engine() == Engine::Postgres {
        // What was replayed last may be old because nothing was written since.
        let row = session.query_row(
            "SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM pg_stat_wal_receiver) THEN NULL \
             WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 \
             ELSE EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp()) END::double precision",
        )?;
        return Ok(row.and_then(|row| row.first().and_then(number)));
    }
    let row = match session.named_row("SHOW REPLICA STATUS") {
        // Servers before MariaDB 10.5 and MySQL 8.0.22.
        Err(error) if error.code == "1064" => session.named_row("SHOW SLAVE STATUS")?,
        row => row?,
    };
    let behind = row
        .into_iter()
        .flatten()
        .find(|(name, _)| SECONDS_BEHIND.contains(&name.as_str()));
    Ok(behind.and_then(|(_, seconds)| number(&seconds)))
}

/// A status variable's value.
fn load(session: &mut Session, variable: &str) -> Result<f64, DbError> {
    let unknown = |what: &str| DbError::new(DbErrorKind::Other, "", format!("{variable} {what}"));
    let (sql, column) = match (session.engine(), variable) {
        (Engine::Mysql, _) => {
            let name = Engine::Mysql.literal(&Value::Text(variable.into()));
            (
                format!(
                    "SHOW GLOBAL STATUS WHERE Variable_name = {name} \
                     OR Variable_name = 'wsrep_cluster_status' AND Value = 'non-Primary'"
                ),
                1,
            )
        }
        (Engine::Postgres, "active") => {
            // Not those that send a replica its log, which are always active.
            let others = "state = 'active' AND backend_type = 'client backend' \
                          AND pid <> pg_backend_pid()";
            (
                format!("SELECT COUNT(*) FROM pg_stat_activity WHERE {others}"),
                0,
            )
        }
        (Engine::Postgres, "lock-waits") => {
            let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            (waits.to_owned(), 0)
        }
        (Engine::Postgres, _) => {
            return Err(unknown(
                "is not known: on PostgreSQL there are active and lock-waits",
            ));
        }
        (Engine::Sqlite, _) => return Err(unknown("cannot be asked for: SQLite has no server")),
    };
    let rows = session.query(&sql)?;
    let parted = |row: &Vec<Value>| row.get(1).and_then(Value::as_text) == Some("non-Primary");
    if rows.iter().any(parted) {
        // The run has left that node too; what it shows is of no use.
        let message = "the node is parted from its cluster";
        return Err(DbError::new(DbErrorKind::Connection, "", message));
    }
    let value = rows
        .first()
        .and_then(|row| row.get(column))
        .and_then(number);
    value.ok_or_else(|| unknown("is no status variable with a number"))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => None,
        Value::Int(number) => Some(*number as f64),
        Value::Real(number) => Some(*number),
        other => other.to_string().parse().ok(),
    }
}
