//! Flow control: a node that does not keep up pauses the others, and a run that minds it waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sexton::archive::{self, Limit, Observer, Options, Stop, StopReason, Throttle};

use crate::filled::graph;
use crate::{assert_whole, cluster, filled, left, observer, options};

/// Hears why a run waits, and then ends the reason.
struct Ear<F: FnMut()> {
    waits: Vec<String>,
    notices: Vec<String>,
    release: F,
}

impl<F: FnMut()> Observer for Ear<F> {
    fn waits(&mut self, why: &str) {
        self.waits.push(why.to_owned());
        (self.release)();
    }

    fn notice(&mut self, text: &str) {
        self.notices.push(text.to_owned());
    }
}

#[test]
fn a_run_waits_while_a_node_that_does_not_keep_up_pauses_the_others() {
    let mut cluster = cluster();
    filled(&mut cluster, "flow", 30);
    let queue = |limit: &str| {
        let option = format!("SET GLOBAL wsrep_provider_options = 'gcs.fc_limit={limit}'");
        for node in 0..cluster.size() {
            cluster.execute(node, &option).unwrap();
        }
    };
    queue("2");
    let mut slow = observer(&cluster, 2, "flow");
    let mut writer = observer(&cluster, 1, "flow");
    let mut witness = observer(&cluster, 0, "flow");
    witness.execute("SET SESSION wsrep_sync_wait = 0").unwrap();
    let mut session = observer(&cluster, 0, "flow");
    let graph = graph(&mut session);
    let gauge = observer(&cluster, 0, "flow");
    writer.execute("SET SESSION wsrep_sync_wait = 0").unwrap();
    // What the others have committed waits there until it is more than the limit.
    slow.execute("LOCK TABLES instances READ").unwrap();
    let mut breaker = observer(&cluster, 2, "flow");
    let holder = slow.query_count("SELECT CONNECTION_ID()").unwrap();
    let over = AtomicBool::new(false);
    let write = "UPDATE instances SET host = CONCAT('h', RAND()) WHERE deleted = 0";
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                drop(writer.execute(write));
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        // A run that does not mind is paused itself, for as long as the lock is there.
        scope.spawn(|| {
            let patience = Instant::now() + Duration::from_secs(15);
            while !over.load(Ordering::SeqCst) {
                if Instant::now() > patience {
                    return drop(breaker.execute(&format!("KILL {holder}")));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        // Until the node is paused for good.
        let mut paused = || {
            let count = "SELECT variable_value FROM information_schema.global_status \
                         WHERE variable_name = 'WSREP_FLOW_CONTROL_PAUSED_NS'";
            witness.query_row(count).unwrap().unwrap()[0].to_string()
        };
        let begun = Instant::now();
        let before = paused();
        while paused() == before && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let throttle = Throttle::new(Duration::from_secs(60));
        let throttle = throttle
            .with(Limit::FlowControl { most: 0.25 }, gauge)
            .unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let stop = Stop::default().throttled_by(Some(&throttle));
        let mut ear = Ear {
            waits: Vec::new(),
            notices: Vec::new(),
            release: || {
                let moved = "SELECT COUNT(*) FROM shadow_instances";
                assert_eq!(witness.query_count(moved).unwrap(), 0);
                slow.execute("UNLOCK TABLES").unwrap();
            },
        };
        let options = Options {
            max_rows: 200,
            ..options()
        };
        let outcome = archive::archive(&mut session, &graph, &options, &stop, &mut ear);
        let (waits, notices) = (ear.waits, ear.notices);
        over.store(true, Ordering::SeqCst);
        drop(slow.execute("UNLOCK TABLES"));
        let outcome = outcome.unwrap();
        assert!(
            waits
                .first()
                .is_some_and(|why| why.starts_with("flow control has paused the node for ")),
            "{waits:?}"
        );
        assert!(
            notices.iter().any(|n| n.starts_with("going on after ")),
            "{notices:?}"
        );
        assert_eq!(outcome.stopped_because, StopReason::Complete);
        assert!(outcome.spent_ms["wait"] > 0, "{:?}", outcome.spent_ms);
    });
    queue("16");
    let mut after = observer(&cluster, 2, "flow");
    assert_eq!(left(&mut after), 0);
    assert_whole(&mut after);
}
