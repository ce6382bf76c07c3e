//! Servers that end under a proxy, and come back.

use sexton::db::{Access, DbErrorKind, Engine, open};
use sexton::prove::gate::Verdict;
use sexton::prove::proxy::Proxy;
use sexton::server::{PrivateMariadb, PrivatePostgres, Provider};

use crate::both::Holding;
use crate::gate::{behind, ids, upstream};

#[test]
fn mariadb_may_be_killed_and_restarted() {
    survives(Engine::Mysql, &PrivateMariadb::new());
}

#[test]
fn postgres_may_be_killed_and_restarted() {
    survives(Engine::Postgres, &PrivatePostgres::new());
}

fn survives(engine: Engine, provider: &dyn Provider) {
    let mut server = provider.start().unwrap();
    let url = server.create_database("held").unwrap();
    let (gate, is_held, go_on) = Holding::new("INSERT INTO t VALUES (2");
    let proxy = Proxy::start(engine, upstream(&url), gate).unwrap();
    let target = behind(&url, &proxy);
    let mut session = open(&target, Access::ReadWrite).unwrap();
    session
        .execute("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20))")
        .unwrap();
    session.execute("INSERT INTO t VALUES (1, 'a')").unwrap();
    let mut idle = open(&target, Access::ReadWrite).unwrap();

    let held = std::thread::spawn(move || {
        let error = session
            .execute("INSERT INTO t VALUES (2, 'b')")
            .unwrap_err();
        (session, error)
    });
    is_held.recv().unwrap();
    server.kill().unwrap();
    go_on.send(Verdict::Pass).unwrap();
    let (mut session, error) = held.join().unwrap();
    assert_eq!(error.kind, DbErrorKind::Connection, "{error}");
    let error = idle.execute("SELECT 1").unwrap_err();
    assert_eq!(error.kind, DbErrorKind::Connection, "{error}");

    // A client that comes too early waits for the server.
    let early = std::thread::spawn(move || {
        session.reconnect().unwrap();
        session
    });
    server.restart().unwrap();
    let mut session = early.join().unwrap();
    assert_eq!(ids(&mut session), [1]);
    session.execute("INSERT INTO t VALUES (3, 'c')").unwrap();
    assert_eq!(ids(&mut session), [1, 3]);
    idle.reconnect().unwrap();
    assert_eq!(ids(&mut idle), [1, 3]);
}
