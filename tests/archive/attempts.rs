//! A database that refuses, loses the connection, or counts wrongly at chosen statements: what is tried
//! again, how often, and what is said of it.

use std::time::{Duration, Instant};

use sexton::archive::{Observer, Options, Outcome, Stop, StopReason, archive, archive_abreast};
use sexton::db::{DbErrorKind, Engine};
use sexton::error::Error;
use sexton::exit::ExitCode;

use crate::rough::{DEADLOCK, How, LOST, Upset, session, upset};
use crate::support::cloud::{Cloud, ROWS_PER_INSTANCE};

/// How a run asks what became of a COMMIT.
const ASKS: &str = r#"SELECT 1 FROM "instances" t WHERE"#;

/// What a run said of itself.
struct Told {
    result: Result<Outcome, Error>,
    notices: Vec<String>,
    reconnects: u32,
}

#[derive(Default)]
struct Ear(Vec<String>);

impl Observer for Ear {
    fn notice(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

/// Four dead instances, two in a batch.
fn cloud() -> Cloud {
    let mut cloud = Cloud::new(Engine::Sqlite);
    (1..=4).for_each(|id| cloud.dead_instance(id));
    cloud
}

fn run(cloud: &mut Cloud, retries: u32, upsets: &[Upset]) -> Told {
    let before = cloud.contents();
    let graph = cloud.graph();
    let (mut session, seen) = session(cloud, upsets);
    let options = Options {
        until_complete: true,
        max_rows: 2 * ROWS_PER_INSTANCE,
        retries,
        backoff: Duration::from_millis(2),
        ..Options::default()
    };
    let mut ear = Ear::default();
    let result = archive(
        &mut session,
        &graph,
        &options,
        &Stop::on(&seen.stop),
        &mut ear,
    );
    drop(session);
    assert_eq!(cloud.contents(), before, "live + shadow must stay the same");
    // It panics at one that is split.
    (1..=4).for_each(|id| _ = cloud.is_archived(id));
    Told {
        result,
        notices: ear.0,
        reconnects: *seen.reconnects.lock().unwrap(),
    }
}

/// Everything moved, once, and counted once.
fn assert_done(cloud: &mut Cloud, told: &Told, retries: u64) {
    let outcome = told.result.as_ref().unwrap();
    assert_eq!(outcome.stopped_because, StopReason::Complete);
    assert_eq!(outcome.total_rows, 4 * ROWS_PER_INSTANCE);
    assert_eq!((outcome.families, outcome.batches), (4, 2));
    assert_eq!(outcome.retries, retries);
    assert_eq!(outcome.blocked_families.values().sum::<u64>(), 0);
    assert!((1..=4).all(|id| cloud.is_archived(id)));
}

#[test]
fn a_deadlock_is_tried_again_with_a_pause_that_doubles() {
    for starts in ["BEGIN", "INSERT", "DELETE", "COMMIT", "SELECT"] {
        let mut cloud = cloud();
        let told = run(&mut cloud, 3, &[upset(starts, 1, 3, DEADLOCK)]);
        assert_done(&mut cloud, &told, 3);
        let pauses: Vec<_> = told
            .notices
            .iter()
            .map(|n| n.rsplit(" again ").next())
            .collect();
        assert_eq!(
            pauses,
            [Some("in 2 ms"), Some("in 4 ms"), Some("in 8 ms")],
            "{starts}"
        );
        assert_eq!(told.reconnects, 0, "{starts}");
    }
}

#[test]
fn a_lost_connection_is_made_again() {
    for starts in ["BEGIN", "INSERT", "DELETE", "SELECT"] {
        let mut cloud = cloud();
        let told = run(&mut cloud, 3, &[upset(starts, 1, 2, LOST)]);
        assert_done(&mut cloud, &told, 2);
        assert_eq!(told.reconnects, 2, "{starts}");
    }
}

#[test]
fn it_gives_up_after_as_many_attempts_as_it_was_given() {
    for (retries, attempts) in [(0, "1 attempt"), (2, "3 attempts")] {
        for (how, reconnects) in [(DEADLOCK, 0), (LOST, retries)] {
            let mut cloud = cloud();
            let told = run(&mut cloud, retries, &[upset("INSERT", 0, 99, how)]);
            let error = told.result.unwrap_err();
            assert_eq!(error.code, ExitCode::Stopped);
            let said = format!("gave up after {attempts}: ");
            assert!(error.message.starts_with(&said), "{error}");
            assert_eq!(told.reconnects, reconnects);
            assert!(!cloud.is_archived(1));
        }
    }
}

/// The answer to a COMMIT is lost: whether it happened is asked, never guessed.
#[test]
fn a_commit_without_an_answer_is_looked_up() {
    for how in [How::Unheard, LOST] {
        for after in [0, 1] {
            let mut cloud = cloud();
            let told = run(&mut cloud, 3, &[upset("COMMIT", after, 1, how)]);
            assert_done(&mut cloud, &told, 1);
        }
    }
}

/// The connection is lost again while it asks: that is waited for too.
#[test]
fn a_commit_is_looked_up_as_long_as_there_is_no_answer() {
    let asks = ASKS;
    for how in [How::Unheard, LOST] {
        let mut cloud = cloud();
        let lost = [upset("COMMIT", 0, 1, how), upset(asks, 0, 2, LOST)];
        let told = run(&mut cloud, 3, &lost);
        assert_done(&mut cloud, &told, 3);
        let mut cloud = self::cloud();
        let refused = [
            upset("COMMIT", 0, 1, how),
            upset(asks, 0, 1, How::Refused(DbErrorKind::Other)),
        ];
        let told = run(&mut cloud, 3, &refused);
        assert!(told.result.unwrap_err().message.contains("it went wrong"));
    }
}

#[test]
fn a_commit_without_an_answer_and_without_tries_left_ends_the_run() {
    let mut cloud = cloud();
    let told = run(&mut cloud, 1, &[upset("COMMIT", 0, 2, LOST)]);
    let error = told.result.unwrap_err();
    assert!(
        error.message.starts_with("gave up after 2 attempts"),
        "{error}"
    );
}

/// Somebody was faster: read again, three times; after that the family is blocked, and only it.
#[test]
fn a_count_that_does_not_agree_is_read_again_three_times() {
    let wrong = |times| {
        upset(
            r#"INSERT INTO "shadow_instance_extra""#,
            0,
            times,
            How::Miscounted,
        )
    };
    let mut cloud = cloud();
    let told = run(&mut cloud, 0, &[wrong(3)]);
    assert_done(&mut cloud, &told, 3);
    let mut cloud = self::cloud();
    let told = run(&mut cloud, 0, &[wrong(99)]);
    let outcome = told.result.unwrap();
    assert_eq!(outcome.blocked_families["refused"], 4);
    assert!(
        outcome.blocked[0].path[1].contains("rows were read"),
        "{:?}",
        outcome.blocked[0]
    );
}

#[test]
fn a_request_to_stop_is_heard_between_two_attempts() {
    let mut cloud = cloud();
    let stopped = How::Stopped(DbErrorKind::Retryable);
    let told = run(&mut cloud, 9, &[upset("DELETE", 8, 1, stopped)]);
    let outcome = told.result.unwrap();
    assert_eq!(outcome.stopped_because, StopReason::Signal);
    assert_eq!(outcome.retries, 0);
    assert_eq!(outcome.total_rows % ROWS_PER_INSTANCE, 0);
    assert!(outcome.total_rows < 4 * ROWS_PER_INSTANCE);
}

/// Nobody waits for ten more attempts to connect, who has asked for the end.
#[test]
fn a_request_to_stop_is_heard_while_the_connection_is_lost() {
    let stopped = How::Stopped(DbErrorKind::Connection);
    let candidates = r#"SELECT t."id" FROM "instances" t WHERE"#;
    for upsets in [
        vec![upset(candidates, 0, 1, stopped)],
        vec![upset("COMMIT", 0, 1, LOST), upset(ASKS, 0, 1, stopped)],
    ] {
        let mut cloud = cloud();
        let before = upsets.len() as u32 - 1;
        let told = run(&mut cloud, 9, &upsets);
        let error = told.result.unwrap_err();
        assert_eq!(error.code, ExitCode::Stopped);
        assert!(error.message.starts_with("told to stop"), "{error}");
        assert_eq!(told.reconnects, before);
    }
}

/// An error that will not pass is nobody's family: the run ends with it at once.
#[test]
fn any_other_error_ends_the_run() {
    // The last one reads candidates.
    let candidates = r#"SELECT t."id" FROM "instances" t WHERE"#;
    for starts in ["BEGIN", "INSERT", "SELECT", candidates] {
        let mut cloud = cloud();
        let other = How::Refused(DbErrorKind::Permission);
        let told = run(&mut cloud, 9, &[upset(starts, 0, 1, other)]);
        assert!(
            told.result.unwrap_err().message.contains("it went wrong"),
            "{starts}"
        );
        assert!(told.notices.is_empty(), "{:?}", told.notices);
    }
}

/// A session that was made with those of other cells and then waited for them longer than its server lets a session
/// be idle.
#[test]
fn a_session_that_was_closed_before_the_run_is_made_anew() {
    Cloud::on_each_engine(|mut cloud| {
        let (own, kill) = match cloud.engine() {
            Engine::Sqlite => return,
            Engine::Mysql => ("SELECT CONNECTION_ID()", "KILL {}"),
            Engine::Postgres => ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        };
        (1..=40).for_each(|id| cloud.dead_instance(id));
        let graph = cloud.graph();
        let mut helper = cloud.database.session();
        for session in [&mut cloud.session, &mut helper] {
            let id = session.query_count(own).unwrap();
            let mut other = cloud.database.session();
            other.query(&kill.replace("{}", &id.to_string())).unwrap();
        }
        let options = Options {
            until_complete: true,
            max_rows: 3 * ROWS_PER_INSTANCE,
            ..Options::default()
        };
        let (session, helpers) = (&mut cloud.session, &mut [helper]);
        let stop = Stop::default();
        let ran = archive_abreast(session, helpers, &graph, &options, &stop, &mut ()).unwrap();
        assert_eq!(ran.families, 40);
    });
}

/// Somebody holds a lock for longer than the run has time.
#[test]
fn the_end_is_heard_while_others_hold_a_lock() {
    Cloud::on_each_engine(|mut cloud| {
        if cloud.engine() == Engine::Sqlite {
            return;
        }
        (1..=4).for_each(|id| cloud.dead_instance(id));
        let graph = cloud.graph();
        let mut holder = cloud.database.session();
        holder.begin().unwrap();
        holder
            .query("SELECT id FROM instances WHERE id = 2 FOR UPDATE")
            .unwrap();
        let begun = Instant::now();
        let (options, mut ear) = (Options::default(), Ear::default());
        let stop = Stop::default().at(begun + Duration::from_secs(1));
        let outcome = archive(&mut cloud.session, &graph, &options, &stop, &mut ear).unwrap();
        assert_eq!(outcome.stopped_because, StopReason::Time);
        assert_eq!(outcome.total_rows, 0);
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{:?}",
            begun.elapsed()
        );
        // As long as it takes, and it does not count as a failure.
        let releasing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(7));
            holder.rollback().unwrap();
        });
        let options = Options {
            retries: 0,
            ..options
        };
        let (session, stop) = (&mut cloud.session, Stop::default());
        let outcome = archive(session, &graph, &options, &stop, &mut ear).unwrap();
        releasing.join().unwrap();
        assert_eq!(outcome.families, 4);
        let said = ear
            .0
            .iter()
            .any(|n| n.contains("waiting for a lock of another session"));
        assert!(said, "{:?}", ear.0);
    });
}
