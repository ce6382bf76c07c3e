//! What only the protocol of MariaDB and MySQL has.

use std::time::Duration;

use sexton::db::{Access, Engine, Value, open};
use sexton::prove::gate::Verdict;
use sexton::prove::proxy::Proxy;
use sexton::server::{PrivateMariadb, Provider};
use sqlx::{Connection, MySqlConnection, Row};

use crate::gate::{
    NOTHING, Proxied, Recorder, behind, block_on, ids, refuse, update_is_refused, upstream,
};

/// A lock timeout takes back its statement only.
#[test]
fn a_refusal_may_leave_the_transaction() {
    let gate = Recorder::at("UPDATE", refuse("1205", "HY000", false));
    let proxied = Proxied::with_table(Engine::Mysql, gate.clone());
    let mut session = proxied.begun();
    assert!(update_is_refused(&mut session, &gate, "1205"));
    session.execute("INSERT INTO t VALUES (2, 'b')").unwrap();
    session.commit().unwrap();
    assert_eq!(ids(&mut session), [1, 2]);
}

/// A deadlock takes back all of it.
#[test]
fn a_refusal_may_end_the_transaction() {
    let gate = Recorder::at("UPDATE", refuse("1213", "40001", true));
    let proxied = Proxied::with_table(Engine::Mysql, gate.clone());
    let mut session = proxied.begun();
    assert!(!update_is_refused(&mut session, &gate, "1213"));
    session.commit().unwrap();
    assert_eq!(ids(&mut session), NOTHING);
}

/// The server's own errors do not end a transaction, but for a deadlock of its own.
#[test]
fn an_error_tells_what_became_of_the_transaction() {
    let gate = Recorder::passing();
    let proxied = Proxied::with_table(Engine::Mysql, gate.clone());
    let (mut one, mut two) = (proxied.session(), proxied.session());
    one.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        .unwrap();
    one.begin().unwrap();
    two.begin().unwrap();
    assert!(one.execute("INSERT INTO t VALUES (1, 'a')").is_err());
    assert!(gate.reply("INSERT").unwrap().in_transaction);
    two.execute("UPDATE t SET name = 'x' WHERE id = 2").unwrap();
    let waiting = std::thread::spawn(move || one.execute("UPDATE t SET name = 'y' WHERE id = 2"));
    let waits = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'";
    let mut observer = proxied.database.session();
    while observer.query_count(waits).unwrap() == 0 {
        // Asked more often the server answers from memory.
        std::thread::sleep(Duration::from_millis(150));
    }
    let (second, first) = (
        two.execute("UPDATE t SET name = 'x' WHERE id = 1"),
        waiting.join().unwrap(),
    );
    assert!(first.is_err() != second.is_err());
    let victim = gate
        .seen()
        .into_iter()
        .filter_map(|(_, reply)| reply)
        .find(|r| r.error.as_ref().is_some_and(|(code, _)| code == "1213"))
        .unwrap();
    assert!(!victim.in_transaction);
}

/// Values and statements longer than a packet, both ways.
#[test]
fn long_packets_come_through() {
    let server = PrivateMariadb::new()
        .not_durable()
        .argument("--max-allowed-packet=128M")
        .start()
        .unwrap();
    let url = server.url("mysql");
    let gate = Recorder::passing();
    let proxy = Proxy::start(Engine::Mysql, upstream(&url), gate.clone()).unwrap();
    let mut session = open(&behind(&url, &proxy), Access::ReadWrite).unwrap();
    const FRAGMENT: usize = 0xff_ffff;
    for length in [FRAGMENT - 11, FRAGMENT - 10, FRAGMENT, 2 * FRAGMENT + 3] {
        // A row that needs, or just does not need, another fragment. Its long value is not the first
        // one: sqlx takes such a row for the end of the result.
        let sql = format!("SELECT 'start', REPEAT('x', {length})");
        let row = session.query_row(&sql).unwrap().unwrap();
        assert!(matches!(&row[1], Value::Text(text) if text.len() == length));
        assert_eq!(row[0].to_string(), "start");
    }
    for length in [FRAGMENT - 1, FRAGMENT, FRAGMENT + 1, 2 * FRAGMENT] {
        // With the byte of the command exactly so long.
        let mut sql = "SELECT LENGTH('".to_owned();
        sql.extend(std::iter::repeat_n('y', length - 1 - sql.len() - 2));
        sql += "')";
        let count = session.query_count(&sql).unwrap();
        assert_eq!(
            count,
            i64::try_from(length - 1 - "SELECT LENGTH('')".len()).unwrap()
        );
        assert!(gate.texts().last().unwrap() == &sql, "another text");
    }
    // A long statement that is replaced: the numbers of the packets must fit.
    let long = format!("SELECT /* {} */ 1", "z".repeat(FRAGMENT));
    let replacing = Recorder::at("SELECT /*", Verdict::Replace("SELECT 2".into()));
    proxy.set_gate(replacing);
    session.reconnect().unwrap();
    assert_eq!(session.query_count(&long).unwrap(), 2);
}

async fn delete(connection: &mut MySqlConnection, id: i32) -> Result<u64, sqlx::Error> {
    let delete = sqlx::query("DELETE FROM t WHERE id = ?").bind(id);
    delete.execute(connection).await.map(|r| r.rows_affected())
}

/// A prepared statement counts when it is executed, with the text that was prepared.
#[test]
fn prepared_statements_pass_the_gate() {
    let gate = Recorder::passing();
    let proxied = Proxied::with_table(Engine::Mysql, gate.clone());
    let url = proxied.url();
    block_on(async {
        let mut connection = MySqlConnection::connect(&url).await.unwrap();
        gate.clear();
        for id in 1..=3 {
            let insert = sqlx::query("INSERT INTO t VALUES (?, ?)")
                .bind(id)
                .bind("a");
            let done = insert.execute(&mut connection).await.unwrap();
            assert_eq!(done.rows_affected(), 1);
        }
        let select = "SELECT id, name FROM t WHERE id > ?";
        let rows = sqlx::query(select)
            .bind(1)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(rows.iter().map(|r| r.get(0)).collect::<Vec<i32>>(), [2, 3]);
        connection.ping().await.unwrap();
        assert_eq!(
            gate.texts(),
            [&["INSERT INTO t VALUES (?, ?)"; 3] as &[_], &[select]].concat()
        );
        assert_eq!(gate.reply("INSERT").unwrap().affected, 1);

        proxied
            .proxy
            .set_gate(Recorder::at("DELETE", refuse("1205", "HY000", false)));
        let mut connection = MySqlConnection::connect(&url).await.unwrap();
        let error = delete(&mut connection, 1).await.unwrap_err();
        assert!(error.to_string().contains("1205"), "{error}");
        assert_eq!(delete(&mut connection, 1).await.unwrap(), 1);

        proxied
            .proxy
            .set_gate(Recorder::at("DELETE", Verdict::Replace("DO 0".into())));
        let mut connection = MySqlConnection::connect(&url).await.unwrap();
        assert_eq!(delete(&mut connection, 2).await.unwrap(), 0);
        assert_eq!(delete(&mut connection, 2).await.unwrap(), 1);
    });
    assert_eq!(proxied.ids(), [3]);
}
