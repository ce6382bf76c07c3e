//! Runs that wait for a real replica, a real server's load and its history, and what becomes of a wait that does not
//! end.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/filled.rs"]
mod filled;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sexton::archive::{
    self, Limit, Observer, Options, Outcome, Stop, StopReason, StoppedReplica, Throttle,
};
use sexton::db::{Access, Session, Target, open};
use sexton::server::{PrivateMariadb, PrivatePostgres, Provider, Server};

use filled::{fill, graph};

/// Servers have more to do at once than is good for what is measured here.
static TURN: Mutex<()> = Mutex::new(());

fn session(server: &dyn Server, database: &str) -> Session {
    let target: Target = server.url(database).parse().unwrap();
    open(&target, Access::ReadWrite).unwrap()
}

fn filled(server: &mut dyn Server) -> Session {
    server.create_database("nova").unwrap();
    let mut session = session(server, "nova");
    fill(&mut session, 60, 100);
    session
}

/// Hears why a run waits; what is to be done then is done.
struct Ear<F: FnMut(&str)> {
    waits: Vec<String>,
    notices: Vec<String>,
    batches: u32,
    during: F,
}

impl<F: FnMut(&str)> Observer for Ear<F> {
    fn batch(&mut self, _: u64, _: u64, _: u64) {
        self.batches += 1;
    }

    fn waits(&mut self, why: &str) {
        self.waits.push(why.to_owned());
        (self.during)(why);
    }

    fn notice(&mut self, text: &str) {
        self.notices.push(text.to_owned());
    }
}

/// Archives under one limit; what the run came to, and what was heard.
fn run<F: FnMut(&str)>(session: &mut Session, throttle: &Throttle, during: F) -> (Outcome, Ear<F>) {
    run_slowly(session, throttle, Duration::ZERO, during)
}

/// The same with a pause after each batch.
fn run_slowly<F: FnMut(&str)>(
    session: &mut Session,
    throttle: &Throttle,
    sleep: Duration,
    during: F,
) -> (Outcome, Ear<F>) {
    let graph = graph(session);
    let options = Options {
        max_rows: 200,
        until_complete: true,
        sleep,
        ..Options::default()
    };
    let mut ear = Ear {
        waits: Vec::new(),
        notices: Vec::new(),
        batches: 0,
        during,
    };
    let stop = Stop::default().throttled_by(Some(throttle));
    let outcome = archive::archive(session, &graph, &options, &stop, &mut ear).unwrap();
    (outcome, ear)
}

fn load(variable: &str, most: f64, critical: bool) -> Limit {
    Limit::Load {
        variable: variable.into(),
        most,
        critical,
    }
}

/// A server and its replica, which has all that the server has.
fn replicated() -> (Box<dyn Server>, Box<dyn Server>) {
    let source = PrivateMariadb::new()
        .not_durable()
        .argument("--log-bin=binlog")
        .argument("--binlog-format=ROW")
        .argument("--server-id=1");
    let source = source.start().unwrap();
    let replica = PrivateMariadb::new()
        .not_durable()
        .argument("--server-id=2");
    let replica = replica.start().unwrap();
    let at = session(&*source, "mysql")
        .query_row("SHOW MASTER STATUS")
        .unwrap()
        .unwrap();
    let port = source
        .url("")
        .rsplit(':')
        .next()
        .unwrap()
        .trim_end_matches('/')
        .to_owned();
    let mut own = session(&*replica, "mysql");
    own.execute(&format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'root', \
         MASTER_LOG_FILE = '{}', MASTER_LOG_POS = {}, MASTER_CONNECT_RETRY = 1",
        at[0], at[1]
    ))
    .unwrap();
    own.execute("START SLAVE").unwrap();
    (source, replica)
}

/// Waits until the replica has what the source had a moment ago.
fn caught_up(source: &mut Session, replica: &mut Session) {
    let count = "SELECT COUNT(*) FROM nova.instances";
    let deadline = Instant::now() + Duration::from_secs(60);
    let expected = source.query_count(count).unwrap();
    while replica.query_count(count).unwrap_or(-1) != expected {
        assert!(Instant::now() < deadline, "the replica does not catch up");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn lag(most: u64, stopped: StoppedReplica) -> Limit {
    let most = Duration::from_secs(most);
    Limit::Lag { most, stopped }
}

/// Sends a signal to a process of this test.
fn signal(process: u32, name: &str) {
    let status = std::process::Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_replica_that_says_nothing_holds_up_nobody() {
    let _turn = TURN.lock();
    let mut source = PrivateMariadb::new().not_durable().start().unwrap();
    let mut main = filled(&mut *source);
    // Connected, and then as silent as a machine without power.
    let replica = PrivateMariadb::new().not_durable().start().unwrap();
    let process = replica.process().unwrap();
    let throttle = Throttle::new(Duration::from_secs(60))
        .with(lag(1, StoppedReplica::GoOn), session(&*replica, "mysql"))
        .unwrap();
    signal(process, "-STOP");
    let begun = Instant::now();
    // So that it would be asked before each batch.
    let pause = Duration::from_millis(250);
    let (outcome, ear) = run_slowly(&mut main, &throttle, pause, |_| {});
    let took = begun.elapsed();
    signal(process, "-CONT");
    assert_eq!(outcome.stopped_because, StopReason::Complete);
    // Once it is asked, once it is connected to anew, and then it is left alone for a while.
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(ear.batches > 5, "{}", ear.batches);
    let without: Vec<_> = ear
        .notices
        .iter()
        .filter(|n| n.ends_with("going on without it"))
        .collect();
    assert_eq!(without.len(), 1, "{:?}", ear.notices);
    assert!(without[0].contains("no answer within 3 s"), "{without:?}");
}

#[test]
fn a_replica_that_lags_is_waited_for_and_one_that_is_stopped_follows_its_policy() {
    let _turn = TURN.lock();
    let (mut source, replica) = replicated();
    let mut main = filled(&mut *source);
    let mut own = session(&*replica, "mysql");
    caught_up(&mut main, &mut own);
    // It receives, and applies nothing.
    let mut holder = session(&*replica, "mysql");
    holder.execute("FLUSH TABLES WITH READ LOCK").unwrap();
    main.execute("UPDATE instances SET host = 'elsewhere' WHERE deleted = 0")
        .unwrap();
    std::thread::sleep(Duration::from_millis(3500));
    let throttle = Throttle::new(Duration::from_secs(60));
    let throttle = throttle
        .with(lag(1, StoppedReplica::GoOn), session(&*replica, "mysql"))
        .unwrap();
    let before = main
        .query_count("SELECT COUNT(*) FROM shadow_instances")
        .unwrap();
    assert_eq!(before, 0);
    let mut main_too = session(&*source, "nova");
    let (outcome, ear) = run(&mut main, &throttle, |why| {
        assert!(
            why.contains(" s behind") && why.contains("replica "),
            "{why}"
        );
        // Nothing has moved while it was behind.
        assert_eq!(
            main_too
                .query_count("SELECT COUNT(*) FROM shadow_instances")
                .unwrap(),
            0
        );
        holder.execute("UNLOCK TABLES").unwrap();
    });
    assert!(!ear.waits.is_empty() && ear.batches > 5);
    assert!(
        ear.notices.iter().any(|n| n.starts_with("going on after ")),
        "{:?}",
        ear.notices
    );
    assert_eq!(outcome.stopped_because, StopReason::Complete);
    assert!(outcome.spent_ms["wait"] >= 400, "{:?}", outcome.spent_ms);

    own.execute("STOP SLAVE").unwrap();
    for (policy, reason) in [
        (StoppedReplica::GoOn, StopReason::Complete),
        (StoppedReplica::Stop, StopReason::Load),
        (StoppedReplica::Wait, StopReason::MaxWait),
    ] {
        main.execute("UPDATE instances SET deleted = id, deleted_at = NOW() WHERE deleted = 0 ORDER BY id LIMIT 5").unwrap();
        let throttle = Throttle::new(Duration::from_millis(800));
        let throttle = throttle
            .with(lag(1, policy), session(&*replica, "mysql"))
            .unwrap();
        let begun = Instant::now();
        let (outcome, ear) = run(&mut main, &throttle, |_| {});
        assert_eq!(
            outcome.stopped_because, reason,
            "{policy:?}: {:?}",
            ear.notices
        );
        assert_eq!(
            outcome.total_rows > 0,
            policy == StoppedReplica::GoOn,
            "{policy:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn load_is_waited_for_and_critical_load_ends_the_run() {
    let _turn = TURN.lock();
    let mariadb: Box<dyn Provider> = Box::new(PrivateMariadb::new().not_durable());
    let postgres: Box<dyn Provider> = Box::new(PrivatePostgres::new().not_durable());
    for (provider, variable, sleep) in [
        (mariadb, "Threads_running", "SELECT SLEEP(2)"),
        (postgres, "active", "SELECT pg_sleep(2)"),
    ] {
        let mut server = provider.start().unwrap();
        let mut main = filled(&mut *server);
        let mut idle = session(&*server, "nova");
        // The gauge itself is running while it is read on MariaDB.
        let most = if variable == "active" { 0.0 } else { 1.0 };
        let throttle = Throttle::new(Duration::from_secs(30));
        let throttle = throttle
            .with(load(variable, most, false), session(&*server, "nova"))
            .unwrap();
        let critical = Throttle::new(Duration::from_secs(30));
        let critical = critical
            .with(load(variable, most, true), session(&*server, "nova"))
            .unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| idle.query(sleep).unwrap());
            std::thread::sleep(Duration::from_millis(900));
            let (outcome, ear) = run(&mut main, &critical, |_| {});
            assert_eq!(
                (outcome.stopped_because, outcome.total_rows),
                (StopReason::Load, 0),
                "{variable}"
            );
            assert!(
                ear.notices[0].starts_with(&format!("stopping: {variable} is ")),
                "{:?}",
                ear.notices
            );
            let begun = Instant::now();
            let (outcome, ear) = run(&mut main, &throttle, |_| {});
            assert_eq!(outcome.stopped_because, StopReason::Complete);
            assert!(ear.waits[0].contains(variable), "{:?}", ear.waits);
            assert!(begun.elapsed() >= Duration::from_secs(1), "{variable}");
        });
    }
}

#[test]
fn history_that_an_open_transaction_keeps_is_not_added_to_for_ever() {
    let _turn = TURN.lock();
    let mut server = PrivateMariadb::new().not_durable().start().unwrap();
    let mut main = filled(&mut *server);
    let mut reader = session(&*server, "nova");
    reader
        .execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        .unwrap();
    for _ in 0..30 {
        main.execute("UPDATE instances SET host = CONCAT('h', RAND())")
            .unwrap();
    }
    let throttle = Throttle::new(Duration::from_millis(700));
    let throttle = throttle
        .with(
            load("Innodb_history_list_length", 10.0, false),
            session(&*server, "nova"),
        )
        .unwrap();
    let (outcome, ear) = run(&mut main, &throttle, |_| {});
    assert_eq!(
        outcome.stopped_because,
        StopReason::MaxWait,
        "{:?}",
        ear.notices
    );
    assert_eq!(outcome.total_rows, 0);
    reader.execute("ROLLBACK").unwrap();
    let throttle = Throttle::new(Duration::from_secs(60));
    let throttle = throttle
        .with(
            load("Innodb_history_list_length", 1e6, false),
            session(&*server, "nova"),
        )
        .unwrap();
    let (outcome, ear) = run(&mut main, &throttle, |_| {});
    assert!(outcome.stopped_because == StopReason::Complete && ear.waits.is_empty());
}

#[test]
fn what_cannot_be_read_is_said_before_the_run() {
    let _turn = TURN.lock();
    let mut server = PrivateMariadb::new().not_durable().start().unwrap();
    server.create_database("nova").unwrap();
    let throttle = || Throttle::new(Duration::from_secs(1));
    for variable in [
        "Threads_runing",
        "Innodb_version",
        "wsrep_cluster_state_uuid",
    ] {
        let error = throttle().with(load(variable, 1.0, false), session(&*server, "nova"));
        let error = error.err().unwrap();
        assert!(error.message.contains(variable), "{error}");
    }
    // No replica at all: it follows the policy of one that is stopped.
    throttle()
        .with(lag(1, StoppedReplica::Stop), session(&*server, "nova"))
        .ok()
        .unwrap();
}

/// A replica that applies what it receives for a small part of the time, until this is dropped.
struct Slowed {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Slowed {
    fn of(mut replica: Session) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                replica.execute("FLUSH TABLES WITH READ LOCK").unwrap();
                std::thread::sleep(Duration::from_millis(900));
                replica.execute("UNLOCK TABLES").unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// The most that a replica is behind while something is done and until it has caught up, in seconds.
fn most_behind<T>(mut own: Session, doing: impl FnOnce() -> T) -> (i64, T) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            loop {
                let last = over.load(Ordering::Relaxed);
                let row = own.named_row("SHOW REPLICA STATUS").unwrap().unwrap();
                let behind = row.iter().find(|(name, _)| name == "Seconds_Behind_Master");
                let behind = behind.and_then(|(_, value)| value.as_int()).unwrap();
                most = most.max(behind);
                if last && behind == 0 {
                    return most;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let done = doing();
        over.store(true, Ordering::Relaxed);
        (watch.join().unwrap(), done)
    })
}

/// A run that is faster than the replica can follow: no batch begins while it is behind. What was committed until that
/// showed it has to work off all the same, which takes it the longer the slower it is.
#[test]
#[ignore = "takes two minutes: cargo test --test throttle -- --ignored --nocapture"]
fn a_replica_is_let_fall_behind_no_further_than_it_was_when_that_showed() {
    // So that the run is much longer than the limit.
    const PAUSE: Duration = Duration::from_millis(40);
    let _turn = TURN.lock();
    let (mut source, replica) = replicated();
    let mut fill_one = |database: &str| {
        source.create_database(database).unwrap();
        let mut main = session(&*source, database);
        fill(&mut main, 1200, 0);
        main
    };
    let (mut without, mut within) = (fill_one("without"), fill_one("within"));
    let watch = || session(&*replica, "mysql");
    most_behind(watch(), || ());
    let slowed = Slowed::of(watch());
    let none = Throttle::new(Duration::from_secs(60));
    let (free, _) = most_behind(watch(), || run_slowly(&mut without, &none, PAUSE, |_| {}));
    let throttle = Throttle::new(Duration::from_secs(60));
    let throttle = throttle
        .with(lag(1, StoppedReplica::GoOn), watch())
        .unwrap();
    let (kept, (outcome, ear)) = most_behind(watch(), || {
        run_slowly(&mut within, &throttle, PAUSE, |_| {})
    });
    drop(slowed);
    println!("{kept} s behind with --max-lag 1s, {free} s without");
    assert_eq!(outcome.stopped_because, StopReason::Complete);
    assert!(!ear.waits.is_empty());
    assert!(free >= 2 * kept, "{free} s without a limit, {kept} with it");
}
