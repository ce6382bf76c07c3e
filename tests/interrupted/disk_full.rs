//! A disk that is really full: the database can grow no more in the middle of a run. The run says so and
//! stops, and everything is whole; where there is room again the next run ends the work.
//!
//! PostgreSQL has no bound of its own below the file system; `sexton prove` has its proxy say what the
//! server would (53100).

use sexton::archive::{Options, Outcome, Stop, archive};
use sexton::db::{Access, Engine, Session, Target, open};
use sexton::error::Error;
use sexton::server::{PrivateMariadb, Provider};

use crate::fleet::{assert_whole, both, fill, filled, graph, state};

const FAMILIES: u32 = 300;

/// Instances that are not marked deleted, as `fleet::fill` makes them.
const LIVE: i64 = 50;

fn run(session: &mut Session, until_complete: bool) -> Result<Outcome, Error> {
    let graph = graph(session);
    let options = Options {
        until_complete,
        max_rows: 2000,
        ..Options::default()
    };
    archive(session, &graph, &options, &Stop::default(), &mut ())
}

/// After a first batch the disk is full: the next run says so, and leaves everything whole.
fn fails_and_harms_nothing(session: &mut Session, fill_up: impl FnOnce(&mut Session)) {
    let graph = graph(session);
    let before = both(&state(session));
    run(session, false).unwrap();
    let start = state(session);
    fill_up(session);
    let error = run(session, true).unwrap_err();
    assert!(error.message.contains("full"), "{error}");
    let left = state(session);
    assert!(
        start["shadow_instances"] > 0 && left["instances"] > LIVE,
        "{left:?}"
    );
    assert_eq!(both(&left), before, "rows lost or doubled");
    assert_whole(session, &graph, "with a full disk");
}

#[test]
fn a_sqlite_file_that_can_grow_no_more() {
    let database = filled(Engine::Sqlite, FAMILIES);
    let mut session = database.session();
    let before = both(&state(&mut session));
    fails_and_harms_nothing(&mut session, |session| {
        let pages = session.query_count("PRAGMA page_count").unwrap();
        session
            .execute(&format!("PRAGMA max_page_count = {pages}"))
            .unwrap();
    });
    session
        .execute("PRAGMA max_page_count = 1073741824")
        .unwrap();
    run(&mut session, true).unwrap();
    let end = state(&mut session);
    assert_eq!(end["instances"], LIVE);
    assert_eq!(both(&end), before);
}

/// All tables are in one file that does not extend, and another table takes what is free of it. To give
/// the room back would take room: MariaDB writes to its undo log before it drops a table.
#[test]
fn a_mariadb_tablespace_that_does_not_extend() {
    let server = PrivateMariadb::new()
        .not_durable()
        .argument("--innodb-data-file-path=ibdata1:12M:autoextend:max:96M");
    let mut server = server.start().unwrap();
    let mut session = |name| {
        let url = server.create_database(name).unwrap();
        open(&url.parse::<Target>().unwrap(), Access::ReadWrite).unwrap()
    };
    let (mut nova, mut other) = (session("nova"), session("other"));
    fill(&mut nova, FAMILIES);
    other
        .execute("CREATE TABLE ballast (load_ VARCHAR(7000)) CHARACTER SET latin1")
        .unwrap();
    fails_and_harms_nothing(&mut nova, |_| {
        // Not to the last page: the audit after it needs none, but the server itself has some to write.
        let mut rows = 1024;
        while rows >= 64 {
            let load = format!("INSERT INTO ballast SELECT REPEAT('x', 7000) FROM seq_1_to_{rows}");
            if let Err(error) = other.execute(&load) {
                assert_eq!(error.code, "1114", "{error}");
                rows /= 2;
            }
        }
    });
}
