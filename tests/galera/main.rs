//! Archive runs on a real cluster: three nodes, conflicts, limits of write sets, nodes that go away.
//!
//! `cargo xtask galera` is the long campaign; here each answer of a cluster is met once, on purpose.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/digest.rs"]
mod digest;
#[path = "../support/filled.rs"]
mod filled;
mod flow;
mod meddler;
mod oracles;
mod purge;

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use sexton::archive::{self, Options, Outcome, Stop, StopReason};
use sexton::audit;
use sexton::db::{Access, Engine, Session, Target, open};
use sexton::error::Result;
use sexton::exit::ExitCode;
use sexton::server::{GaleraCluster, PrivateGalera};

use digest::digest;
use filled::{fill, graph};
use meddler::{Meddler, Trick};

/// One cluster for all tests, which take turns: some of them disturb it.
fn cluster() -> MutexGuard<'static, GaleraCluster> {
    static CLUSTER: OnceLock<Mutex<GaleraCluster>> = OnceLock::new();
    let start = || Mutex::new(PrivateGalera::new().start(3).unwrap());
    let cluster = CLUSTER.get_or_init(start);
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

fn target(cluster: &GaleraCluster, nodes: &[usize], database: &str) -> Target {
    let one = |node: &usize| cluster.url(*node, database).parse::<Target>().unwrap();
    let mut targets = nodes.iter().map(one);
    let first = targets.next().unwrap();
    targets.fold(first, |target, other| target.or(other).unwrap())
}

/// A session that sees what any node has committed.
fn observer(cluster: &GaleraCluster, node: usize, database: &str) -> Session {
    let mut session = open(&target(cluster, &[node], database), Access::ReadWrite).unwrap();
    session.execute("SET SESSION wsrep_sync_wait = 15").unwrap();
    session
}

/// A database of that name with so many families.
fn filled(cluster: &mut GaleraCluster, database: &str, families: u32) {
    cluster.create_database(database).unwrap();
    let mut session = open(&target(cluster, &[0], database), Access::ReadWrite).unwrap();
    fill(&mut session, families, 3);
}

fn options() -> Options {
    Options {
        max_rows: 100,
        until_complete: true,
        retries: 4,
        backoff: Duration::from_millis(20),
        ..Options::default()
    }
}

fn run(session: &mut Session, options: &Options) -> Result<Outcome> {
    let graph = graph(session);
    archive::archive(session, &graph, options, &Stop::default(), &mut ())
}

fn assert_whole(session: &mut Session) {
    let graph = graph(session);
    let report = audit::audit(session, &graph, &audit::Options::default()).unwrap();
    assert_eq!(report.summary.error, 0, "{:?}", report.findings);
}

/// How many soft-deleted instances are still live rows.
fn left(session: &mut Session) -> i64 {
    let count = "SELECT COUNT(*) FROM instances WHERE deleted <> 0";
    session.query_count(count).unwrap()
}

#[test]
fn a_batch_that_lost_a_conflict_is_done_again_as_a_whole() {
    let mut cluster = cluster();
    for (number, place) in [
        "COMMIT",
        "DELETE FROM `instances`",
        "INSERT INTO `shadow_instances`",
    ]
    .into_iter()
    .enumerate()
    {
        let database = format!("conflict_{number}");
        filled(&mut cluster, &database, 30);
        let mut elsewhere = observer(&cluster, 1, &database);
        let graph = graph(&mut elsewhere);
        let mut expected = digest(&mut elsewhere, &graph).unwrap();
        let conflict = "UPDATE instances SET host = CONCAT(COALESCE(host, ''), 'x') WHERE deleted <> 0 ORDER BY id LIMIT 1";
        let trick = Trick::Before {
            place,
            elsewhere: Box::new(elsewhere),
            conflict: conflict.into(),
        };
        let target = target(&cluster, &[0], &database);
        let (driver, played) = Meddler::new(&target, trick);
        let mut session = Session::new(Box::new(driver), Engine::Mysql, "a node");
        let outcome = run(&mut session, &options()).unwrap();
        let played = played.load(Ordering::SeqCst);
        // Of some batches the row that was changed is none.
        assert!(
            outcome.retries >= 5 && outcome.retries <= played,
            "{place}: {} of {played}",
            outcome.retries
        );
        assert_eq!(outcome.stopped_because, StopReason::Complete);
        let mut after = observer(&cluster, 2, &database);
        assert_eq!(left(&mut after), 0);
        let mut found = digest(&mut after, &graph).unwrap();
        // The conflicts wrote to them.
        let (before, after_) = (
            expected.remove("instances").unwrap(),
            found.remove("instances").unwrap(),
        );
        assert_eq!(before.0, after_.0);
        assert_eq!(found, expected);
        assert_whole(&mut after);
    }
}

#[test]
fn an_ok_to_a_commit_of_nothing_is_not_believed() {
    let mut cluster = cluster();
    filled(&mut cluster, "unbelieved", 20);
    let target = target(&cluster, &[0], "unbelieved");
    let (driver, played) = Meddler::new(&target, Trick::OkForNothing);
    let mut session = Session::new(Box::new(driver), Engine::Mysql, "a node");
    let outcome = run(&mut session, &options()).unwrap();
    let played = played.load(Ordering::SeqCst);
    assert!(
        played >= 4 && outcome.retries == played,
        "{played} lies, {} retries",
        outcome.retries
    );
    assert_eq!(left(&mut observer(&cluster, 1, "unbelieved")), 0);
    assert_whole(&mut observer(&cluster, 1, "unbelieved"));
}

#[test]
fn what_exceeds_a_write_set_is_split_between_families_and_a_family_is_told_with_its_size() {
    let mut cluster = cluster();
    filled(&mut cluster, "limits", 30);
    let mut session = open(&target(&cluster, &[0], "limits"), Access::ReadWrite).unwrap();
    session
        .execute("INSERT INTO instance_metadata (instance_uuid, `key`, value, deleted) \
                  SELECT uuid, s.v, 'x', 0 FROM instances, (SELECT LPAD(seq, 3, '0') AS v FROM seq_1_to_100) AS s \
                  WHERE id = (SELECT MIN(id) FROM (SELECT id FROM instances WHERE deleted <> 0) AS d)")
        .unwrap();
    // Each row counts twice: it is inserted and deleted.
    session
        .execute("SET GLOBAL wsrep_max_ws_rows = 150")
        .unwrap();
    let options = Options {
        max_rows: 1000,
        ..options()
    };
    let outcome = run(&mut session, &options).unwrap();
    session.execute("SET GLOBAL wsrep_max_ws_rows = 0").unwrap();
    assert_eq!(left(&mut session), 1);
    assert_eq!(
        outcome.blocked_families["too-large"], 1,
        "{:?}",
        outcome.blocked
    );
    let blocked = &outcome.blocked[0];
    let said = &blocked.path[1];
    assert!(
        said.contains("wsrep_max_ws_rows") && said.contains("(a transaction of 1"),
        "{said}"
    );
    assert!(
        blocked.remedy.contains("wsrep_max_ws_rows"),
        "{}",
        blocked.remedy
    );
    assert_whole(&mut session);
    // Once the limit was met no batch is as large again.
    assert!(outcome.statements < 4000, "{}", outcome.statements);
    let outcome = run(&mut session, &options).unwrap();
    assert!(outcome.blocked.is_empty() && left(&mut session) == 0);
}

#[test]
fn a_run_whose_node_is_killed_goes_on_at_another_one() {
    let mut cluster = cluster();
    filled(&mut cluster, "killed", 60);
    let mut witness = observer(&cluster, 2, "killed");
    let graph = graph(&mut witness);
    let expected = digest(&mut witness, &graph).unwrap();
    let target = target(&cluster, &[1, 0, 2], "killed");
    let mut session = open(&target, Access::ReadWrite).unwrap();
    let mut killer = AfterBatches {
        left: 3,
        then: || cluster.kill(1).unwrap(),
    };
    let outcome = archive::archive(
        &mut session,
        &graph,
        &options(),
        &Stop::default(),
        &mut killer,
    );
    let outcome = outcome.unwrap();
    assert!(outcome.retries >= 1 && outcome.stopped_because == StopReason::Complete);
    assert_eq!(left(&mut witness), 0);
    assert_eq!(digest(&mut witness, &graph).unwrap(), expected);
    assert_whole(&mut witness);
    cluster.restart(1).unwrap();
    cluster.wait_until_whole().unwrap();
    assert_eq!(
        digest(&mut observer(&cluster, 1, "killed"), &graph).unwrap(),
        expected
    );
}

#[test]
fn a_run_whose_node_is_parted_from_the_others_goes_on_at_another_one_or_stops_whole() {
    let mut cluster = cluster();
    filled(&mut cluster, "parted", 60);
    let mut witness = observer(&cluster, 2, "parted");
    let graph = graph(&mut witness);
    let expected = digest(&mut witness, &graph).unwrap();
    for nodes in [&[1][..], &[1, 2]] {
        let target = target(&cluster, nodes, "parted");
        let mut session = open(&target, Access::ReadWrite).unwrap();
        let mut parter = AfterBatches {
            left: 3,
            then: || cluster.isolate(1, true).unwrap(),
        };
        let ended = archive::archive(
            &mut session,
            &graph,
            &options(),
            &Stop::default(),
            &mut parter,
        );
        let still = left(&mut witness);
        match (ended, nodes.len()) {
            (Err(error), 1) => {
                assert_eq!(error.code, ExitCode::Stopped, "{error}");
                assert!(still > 0, "it had been the last batch");
            }
            (Ok(outcome), 2) => {
                assert!(outcome.retries >= 1 && still == 0);
            }
            (ended, nodes) => panic!("{ended:?} with {nodes} nodes"),
        }
        assert_eq!(digest(&mut witness, &graph).unwrap(), expected);
        assert_whole(&mut witness);
        cluster.isolate(1, false).unwrap();
        cluster.wait_until_whole().unwrap();
        assert_eq!(
            digest(&mut observer(&cluster, 1, "parted"), &graph).unwrap(),
            expected
        );
    }
}

/// Does something after so many batches.
struct AfterBatches<F: FnMut()> {
    left: u32,
    then: F,
}

impl<F: FnMut()> archive::Observer for AfterBatches<F> {
    fn batch(&mut self, _: u64, _: u64, _: u64) {
        if self.left == 1 {
            (self.then)();
        }
        self.left = self.left.saturating_sub(1);
    }
}
