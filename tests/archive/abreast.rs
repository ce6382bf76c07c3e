//! Several sessions that archive different families at the same time.

use std::time::Duration;

use sexton::archive::{self, Observer, Options, Outcome, Stop, StopReason};
use sexton::db::{DbErrorKind, Engine, Session};

use crate::rough::{DEADLOCK, How, LOST, session, upset};
use crate::support::cloud::{Cloud, ROWS_PER_INSTANCE, uuid};

const INSTANCES: i64 = 40;

fn cloud_of_40(cloud: &mut Cloud) {
    (1..=INSTANCES).for_each(|id| cloud.dead_instance(id));
    cloud.live_instance(50);
}

fn options() -> Options {
    Options {
        max_rows: 3 * ROWS_PER_INSTANCE,
        until_complete: true,
        ..Options::default()
    }
}

fn archive(cloud: &mut Cloud, helpers: &mut [Session], options: &Options) -> Outcome {
    let graph = cloud.graph();
    let (session, stop) = (&mut cloud.session, Stop::default());
    archive::archive_abreast(session, helpers, &graph, options, &stop, &mut ()).unwrap()
}

#[test]
fn they_move_what_one_moves() {
    Cloud::on_each_engine(|mut cloud| {
        cloud_of_40(&mut cloud);
        // One that stays, and nothing tells so before it is read.
        cloud.sql(&format!(
            "INSERT INTO share_mapping (id, uuid, instance_uuid, share_id, status, tag, export_location, \
             share_proto) VALUES (1, 's', '{}', 'x', 'inactive', 't', 'e', 'NFS')",
            uuid(7)
        ));
        let contents = cloud.contents();
        let mut helpers = [cloud.database.session(), cloud.database.session()];
        let before: Vec<_> = helpers.iter().map(Session::statements).collect();
        let outcome = archive(&mut cloud, &mut helpers, &options());
        let moved = (INSTANCES as u64 - 1) * ROWS_PER_INSTANCE;
        assert_eq!(
            (outcome.total_rows, outcome.families),
            (moved, INSTANCES as u64 - 1)
        );
        assert_eq!(
            outcome.blocked_families,
            [("no-shadow-table".to_owned(), 1)].into()
        );
        assert_eq!(cloud.contents(), contents);
        let sent: Vec<_> = helpers
            .iter()
            .zip(before)
            .map(|(h, b)| h.statements() - b)
            .collect();
        assert!(sent.iter().all(|n| *n > 20), "{sent:?}");
        // All are counted.
        assert!(outcome.statements > sent.iter().sum());
    });
}

/// What fails on a further session is rolled back and done again, or asked for where the answer was lost.
#[test]
fn whatever_happens_to_one_of_them() {
    let refused = |kind| How::Refused(kind);
    for (starts, how) in [
        ("BEGIN", DEADLOCK),
        ("SELECT", DEADLOCK),
        ("INSERT", LOST),
        ("DELETE", LOST),
        ("DELETE", How::Miscounted),
        ("DELETE", refused(DbErrorKind::ForeignKey)),
        ("INSERT", refused(DbErrorKind::DuplicateKey)),
        ("INSERT", refused(DbErrorKind::TooLarge)),
        ("COMMIT", DEADLOCK),
        ("COMMIT", LOST),
        ("COMMIT", How::Unheard),
    ] {
        for after in [0, 1] {
            let mut cloud = Cloud::new(Engine::Sqlite);
            cloud_of_40(&mut cloud);
            let contents = cloud.contents();
            let (helper, seen) = session(&cloud, &[upset(starts, after, 2, how)]);
            let outcome = archive(&mut cloud, &mut [helper], &options());
            let moved = INSTANCES as u64 * ROWS_PER_INSTANCE;
            assert_eq!(outcome.total_rows, moved, "{starts} {after}");
            assert!(
                !outcome.has_blocked(),
                "{starts} {after}: {:?}",
                outcome.blocked
            );
            assert_eq!(cloud.contents(), contents);
            assert!((1..=INSTANCES).all(|id| cloud.is_archived(id)));
            assert!(seen.count(starts) > after, "{starts} was never met");
        }
    }
}

/// What the run had come to when it failed.
#[derive(Default)]
struct SoFar(Outcome);

impl Observer for SoFar {
    fn failed(&mut self, so_far: &Outcome) {
        self.0 = so_far.clone();
    }
}

/// The run's own session is lost for good while the further one commits.
#[test]
fn what_the_others_had_moved_is_told_though_the_run_fails() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    cloud_of_40(&mut cloud);
    let contents = cloud.contents();
    let (mut main, seen) = session(&cloud, &[upset("BEGIN", 1, usize::MAX, LOST)]);
    let helpers = &mut [cloud.database.session()];
    let (graph, stop) = (cloud.graph(), Stop::default());
    let options = Options {
        retries: 3,
        backoff: Duration::from_millis(50),
        ..options()
    };
    let mut told = SoFar::default();
    let ended = archive::archive_abreast(&mut main, helpers, &graph, &options, &stop, &mut told);
    assert_eq!(ended.unwrap_err().code as u8, 75);
    assert_eq!(seen.count("BEGIN"), 1 + 4);
    let moved = (1..=INSTANCES).filter(|id| cloud.is_archived(*id)).count() as u64;
    assert_eq!(told.0.families, moved);
    assert_eq!(told.0.rows["instances"], moved);
    assert_eq!(told.0.total_rows, moved * ROWS_PER_INSTANCE);
    assert_eq!(told.0.stopped_because, StopReason::Failed);
    // A batch of each to begin with, and one of the further session alone.
    assert_eq!(told.0.batches, 3);
    assert_eq!(cloud.contents(), contents);
}

/// A server that goes away takes all sessions with it: what became of the further one's COMMIT is asked as long as it
/// takes to be connected again.
#[test]
fn a_commit_of_one_is_looked_up_though_all_were_lost() {
    for how in [How::Unheard, LOST] {
        let mut cloud = Cloud::new(Engine::Sqlite);
        cloud_of_40(&mut cloud);
        let contents = cloud.contents();
        let asks = r#"SELECT 1 FROM "instances" t WHERE"#;
        let (mut main, seen) = session(&cloud, &[upset(asks, 0, 2, LOST)]);
        let (helper, _) = session(&cloud, &[upset("COMMIT", 1, 1, how)]);
        let (graph, stop) = (cloud.graph(), Stop::default());
        let options = Options {
            backoff: Duration::from_millis(2),
            ..options()
        };
        let helpers = &mut [helper];
        let ran =
            archive::archive_abreast(&mut main, helpers, &graph, &options, &stop, &mut ()).unwrap();
        assert_eq!(ran.total_rows, INSTANCES as u64 * ROWS_PER_INSTANCE);
        assert_eq!(cloud.contents(), contents);
        assert_eq!(seen.count(asks), 3);
    }
}

/// A fault that no further attempt mends ends the run, and what was committed is whole.
#[test]
fn a_fault_for_good_ends_the_run() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    cloud_of_40(&mut cloud);
    let denied = How::Refused(DbErrorKind::Permission);
    let (helper, _) = session(&cloud, &[upset("DELETE", 0, 99, denied)]);
    let graph = cloud.graph();
    let (session, stop) = (&mut cloud.session, Stop::default());
    let helpers = &mut [helper];
    archive::archive_abreast(session, helpers, &graph, &options(), &stop, &mut ()).unwrap_err();
    for id in 1..=INSTANCES {
        let (live, shadow) = cloud.whereabouts(id);
        assert!(
            live == 0 || shadow == 0,
            "{id}: {live} live, {shadow} archived"
        );
    }
}

/// A batch each would be more than was asked for.
#[test]
fn a_run_of_one_batch_is_one_session_s() {
    let mut cloud = Cloud::new(Engine::Sqlite);
    cloud_of_40(&mut cloud);
    let (helper, seen) = session(&cloud, &[]);
    let one = Options {
        until_complete: false,
        ..options()
    };
    assert_eq!(
        archive(&mut cloud, &mut [helper], &one).total_rows,
        3 * ROWS_PER_INSTANCE
    );
    assert_eq!(seen.count(""), 0);
}
