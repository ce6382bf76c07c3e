//! What must hold on MariaDB/MySQL and on PostgreSQL alike.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sexton::db::{Access, DbErrorKind, Engine, open};
use sexton::prove::gate::{Gate, Reply, Statement, Verdict};

use crate::gate::{NOTHING, Proxied, Recorder, ids};

const ENGINES: [Engine; 2] = [Engine::Mysql, Engine::Postgres];

/// The statements are those that were sent, neither more nor fewer, with what they were answered.
#[test]
fn the_gate_sees_what_is_sent() {
    for engine in ENGINES {
        let gate = Recorder::passing();
        let proxied = Proxied::with_table(engine, gate.clone());
        let mut session = proxied.session();
        gate.clear();
        let sent = [
            ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", 2),
            ("BEGIN", 0),
            ("UPDATE t SET name = 'ü' WHERE id < 2", 1),
            (
                "INSERT INTO t VALUES (3, 'c'); DELETE FROM t WHERE id < 3",
                3,
            ),
            ("COMMIT", 0),
        ];
        for (sql, affected) in sent {
            assert_eq!(session.execute(sql).unwrap(), affected, "{sql}");
        }
        assert_eq!(ids(&mut session), [3]);
        assert!(session.execute("nonsense").is_err());
        let told: Vec<_> = gate
            .seen()
            .into_iter()
            .map(|(statement, reply)| {
                let reply = reply.unwrap();
                let inside = (statement.in_transaction, reply.in_transaction);
                assert_eq!(statement.connection, 0);
                (statement.sql, reply.affected, inside, reply.error.is_some())
            })
            .collect();
        let transaction = [
            (false, false),
            (false, true),
            (true, true),
            (true, true),
            (true, false),
        ];
        for (i, (sql, affected)) in sent.into_iter().enumerate() {
            assert_eq!(told[i], (sql.to_owned(), affected, transaction[i], false));
        }
        assert_eq!(told[5].1, 0, "a query affects nothing");
        assert_eq!(told[6], ("nonsense".to_owned(), 0, (false, false), true));
        assert_eq!(told.len(), 7);
    }
}

#[test]
fn connections_are_numbered_from_0() {
    for engine in ENGINES {
        let gate = Recorder::passing();
        let proxied = Proxied::with_table(engine, gate.clone());
        let mut sessions = [proxied.session(), proxied.session()];
        gate.clear();
        for session in &mut sessions {
            ids(session);
        }
        assert_eq!(proxied.proxy.connections(), 2);
        let numbers =
            |gate: &Recorder| -> Vec<_> { gate.seen().iter().map(|(s, _)| s.connection).collect() };
        assert_eq!(numbers(&gate), [0, 1]);
        let next = Recorder::passing();
        proxied.proxy.set_gate(next.clone());
        let mut third = proxied.session();
        next.clear();
        ids(&mut third);
        ids(&mut sessions[1]);
        assert_eq!((numbers(&next), numbers(&gate)), (vec![0], vec![0, 1, 1]));
    }
}

/// 100,000 rows arrive as they are; the gate hears of them before the client is told that they are all.
#[test]
fn many_rows_come_through() {
    for engine in ENGINES {
        let gate = Recorder::passing();
        let proxied = Proxied::new(engine, gate.clone());
        let mut session = proxied.session();
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
                   SELECT i, concat('row ', i) FROM n";
        if engine == Engine::Mysql {
            session
                .execute("SET max_recursive_iterations = 1000000")
                .unwrap();
        }
        let (mut rows, mut sum) = (0, 0);
        session
            .query_each(sql, |row| {
                rows += 1;
                sum += row[0].as_int().unwrap();
                assert_eq!(row[1].to_string(), format!("row {}", row[0]));
                true
            })
            .unwrap();
        assert_eq!((rows, sum), (100_000, 5_000_050_000_i64));
        assert_eq!(gate.reply("WITH").unwrap().error, None);
    }
}

#[test]
fn a_statement_that_is_cut_before_never_runs() {
    for engine in ENGINES {
        let gate = Recorder::at("INSERT", Verdict::CutBefore);
        let proxied = Proxied::with_table(engine, gate.clone());
        let mut session = proxied.session();
        let error = session
            .execute("INSERT INTO t VALUES (1, 'a')")
            .unwrap_err();
        assert_eq!(error.kind, DbErrorKind::Connection, "{error}");
        assert_eq!(gate.reply("INSERT"), None);
        session.reconnect().unwrap();
        assert_eq!(ids(&mut session), NOTHING);
    }
}

#[test]
fn a_statement_that_is_cut_after_has_run() {
    for engine in ENGINES {
        let gate = Recorder::at("INSERT", Verdict::CutAfter);
        let proxied = Proxied::with_table(engine, gate.clone());
        let mut session = proxied.session();
        let error = session
            .execute("INSERT INTO t VALUES (1, 'a')")
            .unwrap_err();
        assert_eq!(error.kind, DbErrorKind::Connection, "{error}");
        assert_eq!(gate.reply("INSERT").unwrap().affected, 1);
        assert_eq!(proxied.ids(), [1]);
        session.reconnect().unwrap();
        session.execute("INSERT INTO t VALUES (2, 'b')").unwrap();
        assert_eq!(ids(&mut session), [1, 2]);
    }
}

/// A gate that does not let the answer through.
struct Mute;

impl Gate for Mute {
    fn before(&self, _: &Statement) -> Verdict {
        Verdict::Pass
    }

    fn after(&self, statement: &Statement, _: &Reply) -> bool {
        !statement.sql.starts_with("COMMIT")
    }
}

#[test]
fn an_answer_that_is_kept_back_is_a_cut() {
    for engine in ENGINES {
        let proxied = Proxied::with_table(engine, Arc::new(Mute));
        let mut session = proxied.begun();
        assert_eq!(session.commit().unwrap_err().kind, DbErrorKind::Connection);
        assert_eq!(proxied.ids(), [1]);
    }
}

/// As after a Galera conflict: the client thinks that it has committed.
#[test]
fn a_commit_can_be_replaced() {
    for engine in ENGINES {
        let gate = Recorder::at("COMMIT", Verdict::Replace("ROLLBACK".into()));
        let proxied = Proxied::with_table(engine, gate.clone());
        let mut session = proxied.begun();
        session.commit().unwrap();
        assert!(!gate.reply("COMMIT").unwrap().in_transaction);
        assert_eq!(ids(&mut session), NOTHING);
    }
}

/// A dead process makes no connection.
struct Closed;

impl Gate for Closed {
    fn connect(&self) -> bool {
        false
    }

    fn before(&self, _: &Statement) -> Verdict {
        panic!("there is no connection")
    }

    fn after(&self, _: &Statement, _: &Reply) -> bool {
        panic!("there is no connection")
    }
}

#[test]
fn a_closed_gate_admits_nobody() {
    for engine in ENGINES {
        let proxied = Proxied::new(engine, Arc::new(Closed));
        let begun = Instant::now();
        assert!(open(&proxied.target(), Access::ReadWrite).is_err());
        assert!(begun.elapsed() < Duration::from_secs(5));
        proxied.proxy.set_gate(Recorder::passing());
        proxied.session();
    }
}

/// Holds the statements with this beginning until it is told to go on.
pub(crate) struct Holding {
    beginning: &'static str,
    held: Mutex<Sender<()>>,
    go_on: Mutex<Receiver<Verdict>>,
}

impl Holding {
    pub(crate) fn new(beginning: &'static str) -> (Arc<Self>, Receiver<()>, Sender<Verdict>) {
        let (held, is_held) = mpsc::channel();
        let (go_on, wait) = mpsc::channel();
        let gate = Self {
            beginning,
            held: Mutex::new(held),
            go_on: Mutex::new(wait),
        };
        (Arc::new(gate), is_held, go_on)
    }
}

impl Gate for Holding {
    fn before(&self, statement: &Statement) -> Verdict {
        if !statement.sql.starts_with(self.beginning) {
            return Verdict::Pass;
        }
        self.held.lock().unwrap().send(()).unwrap();
        self.go_on
            .lock()
            .unwrap()
            .recv()
            .unwrap_or(Verdict::CutBefore)
    }

    fn after(&self, _: &Statement, _: &Reply) -> bool {
        true
    }
}

#[test]
fn a_held_statement_holds_up_nobody_else() {
    for engine in ENGINES {
        let (gate, is_held, go_on) = Holding::new("INSERT");
        let proxied = Proxied::with_table(engine, gate);
        let (mut session, mut other) = (proxied.session(), proxied.session());
        let held = std::thread::spawn(move || session.execute("INSERT INTO t VALUES (1, 'a')"));
        is_held.recv().unwrap();
        assert_eq!(ids(&mut other), NOTHING);
        assert_eq!(ids(&mut proxied.session()), NOTHING);
        go_on.send(Verdict::Pass).unwrap();
        assert_eq!(held.join().unwrap().unwrap(), 1);
        assert_eq!(ids(&mut other), [1]);
    }
}

#[test]
fn a_held_statement_is_dropped_with_its_connection() {
    for engine in ENGINES {
        let (gate, is_held, go_on) = Holding::new("INSERT");
        let proxied = Proxied::with_table(engine, gate);
        let mut session = proxied.session();
        let held = std::thread::spawn(move || session.execute("INSERT INTO t VALUES (1, 'a')"));
        is_held.recv().unwrap();
        proxied.proxy.drop_connections();
        assert_eq!(proxied.proxy.connections(), 0);
        let error = held.join().unwrap().unwrap_err();
        assert_eq!(error.kind, DbErrorKind::Connection, "{error}");
        go_on.send(Verdict::Pass).unwrap();
        assert_eq!(proxied.ids(), NOTHING);
    }
}

#[test]
fn one_proxy_serves_a_hundred_cases() {
    for engine in ENGINES {
        let proxied = Proxied::with_table(engine, Recorder::passing());
        for case in 0..100 {
            let gate = Recorder::passing();
            proxied.proxy.set_gate(gate.clone());
            let (mut session, _idle) = (proxied.session(), proxied.session());
            session.begin().unwrap();
            session
                .execute(&format!("INSERT INTO t VALUES ({case}, 'a')"))
                .unwrap();
            assert_eq!(gate.reply("INSERT").unwrap().affected, 1);
            proxied.proxy.drop_connections();
            assert_eq!(proxied.proxy.connections(), 0);
            let error = session.commit().unwrap_err();
            assert_eq!(error.kind, DbErrorKind::Connection, "{error}");
        }
        assert_eq!(proxied.ids(), NOTHING);
        // The server has seen every one of them end, the observer excepted.
        let sql = match engine {
            Engine::Mysql => {
                "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE()"
            }
            _ => "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
        };
        let mut observer = proxied.database.session();
        let deadline = Instant::now() + Duration::from_secs(10);
        while observer.query_count(sql).unwrap() > 1 {
            assert!(Instant::now() < deadline, "a connection is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_client_that_leaves_is_forgotten() {
    for engine in ENGINES {
        let proxied = Proxied::with_table(engine, Recorder::passing());
        drop(proxied.begun());
        let deadline = Instant::now() + Duration::from_secs(10);
        while proxied.proxy.connections() > 0 {
            assert!(Instant::now() < deadline, "the connection is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
        // The server has let go of the row too.
        let mut other = proxied.database.session();
        other.execute("INSERT INTO t VALUES (1, 'b')").unwrap();
    }
}
