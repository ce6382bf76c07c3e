//! What only the protocol of PostgreSQL has.

use std::io::{Read, Write};
use std::net::TcpStream;

use sexton::db::{Access, DbErrorKind, Engine, open};
use sexton::prove::gate::Verdict;
use sexton::prove::proxy::Proxy;
use sexton::prove::proxy::postgres_messages::{message, message_end, prepared, query};
use sexton::server::{PrivatePostgres, Provider};
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::gate::{NOTHING, Proxied, Recorder, block_on, ids, refuse, update_is_refused, upstream};

#[test]
fn a_refusal_fails_the_transaction() {
    let gate = Recorder::at("UPDATE", refuse("40001", "", true));
    let proxied = Proxied::with_table(Engine::Postgres, gate.clone());
    let mut session = proxied.begun();
    assert!(update_is_refused(&mut session, &gate, "40001"));
    // The server itself has failed it.
    let error = session.execute("SELECT 1").unwrap_err();
    assert_eq!(error.code, "25P02");
    session.commit().unwrap();
    assert_eq!(ids(&mut session), NOTHING);
}

#[test]
fn a_refused_commit_leaves_no_transaction() {
    let gate = Recorder::at("COMMIT", refuse("40001", "", true));
    let proxied = Proxied::with_table(Engine::Postgres, gate.clone());
    let mut session = proxied.begun();
    let error = session.commit().unwrap_err();
    assert_eq!(error.kind, DbErrorKind::Retryable, "{error}");
    assert!(!gate.reply("COMMIT").unwrap().in_transaction);
    assert_eq!(ids(&mut session), NOTHING);
    session.begin().unwrap();
    session.execute("INSERT INTO t VALUES (2, 'b')").unwrap();
    session.commit().unwrap();
    assert_eq!(ids(&mut session), [2]);
}

/// A transaction that has failed takes no statement that could fail in another one's place.
#[test]
fn a_failed_transaction_can_be_refused_its_end() {
    for (end, in_transaction) in [("ROLLBACK", true), ("COMMIT", false)] {
        let gate = Recorder::at(end, refuse("53100", "", false));
        let proxied = Proxied::with_table(Engine::Postgres, gate.clone());
        let mut session = proxied.begun();
        assert!(session.execute("nonsense").is_err());
        let error = session.execute(end).unwrap_err();
        assert_eq!(error.code, "53100");
        assert_eq!(gate.reply(end).unwrap().in_transaction, in_transaction);
        session.rollback().unwrap();
        assert_eq!(ids(&mut session), NOTHING);
    }
}

/// Runs a conversation of a client that prepares its statements.
fn converse<T>(proxied: &Proxied, conversation: impl AsyncFnOnce(&mut PgConnection) -> T) -> T {
    block_on(async {
        let mut connection = PgConnection::connect(&proxied.url()).await.unwrap();
        conversation(&mut connection).await
    })
}

const INSERT: &str = "INSERT INTO t VALUES ($1, $2)";

async fn insert(connection: &mut PgConnection, id: i32) -> Result<u64, sqlx::Error> {
    let insert = sqlx::query(INSERT).bind(id).bind("a");
    insert.execute(connection).await.map(|r| r.rows_affected())
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

#[test]
fn prepared_statements_pass_the_gate() {
    let gate = Recorder::passing();
    let proxied = Proxied::with_table(Engine::Postgres, gate.clone());
    converse(&proxied, async |connection| {
        gate.clear();
        for id in 1..=3 {
            assert_eq!(insert(connection, id).await.unwrap(), 1);
            let reply = gate.reply("INSERT").unwrap();
            assert_eq!((reply.affected, reply.in_transaction), (1, false));
        }
        assert!(insert(connection, 3).await.is_err());
        assert_eq!(gate.reply("INSERT").unwrap().error.unwrap().0, "23505");
        let select = "SELECT id FROM t WHERE id > $1";
        let rows = sqlx::query(select)
            .bind(1)
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        assert_eq!(rows.iter().map(|r| r.get(0)).collect::<Vec<i32>>(), [2, 3]);
        assert_eq!(
            gate.texts(),
            [INSERT, INSERT, INSERT, INSERT, select].map(str::to_owned)
        );
        // More than is kept of a reply.
        let long: Vec<String> =
            sqlx::query_scalar("SELECT repeat('x', 1000) FROM generate_series(1, $1)")
                .bind(20_000)
                .fetch_all(connection)
                .await
                .unwrap();
        assert_eq!(long.iter().map(String::len).sum::<usize>(), 20_000_000);
    });
}

#[test]
fn prepared_statements_are_hit() {
    let refused = refuse("40001", "", true);
    let proxied = Proxied::with_table(Engine::Postgres, Recorder::at("INSERT", refused.clone()));
    // Refused, then run under the same name.
    converse(&proxied, async |connection| {
        let error = insert(connection, 1).await.unwrap_err();
        assert_eq!(code(&error).as_deref(), Some("40001"), "{error}");
        assert_eq!(insert(connection, 1).await.unwrap(), 1);
    });
    assert_eq!(proxied.ids(), [1]);

    let gate = Recorder::at("INSERT", refused.clone());
    proxied.proxy.set_gate(gate.clone());
    converse(&proxied, async |connection| {
        let mut transaction = connection.begin().await.unwrap();
        assert!(insert(&mut transaction, 2).await.is_err());
        assert!(gate.reply("INSERT").unwrap().in_transaction);
        let error = insert(&mut transaction, 3).await.unwrap_err();
        assert_eq!(code(&error).as_deref(), Some("25P02"), "{error}");
        transaction.rollback().await.unwrap();
        insert(connection, 4).await.unwrap();
    });
    assert_eq!(proxied.ids(), [1, 4]);

    let gate = Recorder::at("COMMIT", refused);
    proxied.proxy.set_gate(gate.clone());
    converse(&proxied, async |connection| {
        sqlx::query("BEGIN")
            .execute(&mut *connection)
            .await
            .unwrap();
        insert(connection, 5).await.unwrap();
        let commit = sqlx::query("COMMIT").execute(&mut *connection).await;
        assert_eq!(code(&commit.unwrap_err()).as_deref(), Some("40001"));
        assert!(!gate.reply("COMMIT").unwrap().in_transaction);
        insert(connection, 6).await.unwrap();
    });
    assert_eq!(proxied.ids(), [1, 4, 6]);

    let replaced = Verdict::Replace("DELETE FROM t WHERE id < 5".into());
    proxied.proxy.set_gate(Recorder::at("INSERT", replaced));
    converse(&proxied, async |connection| {
        assert_eq!(insert(connection, 7).await.unwrap(), 2);
        assert_eq!(insert(connection, 8).await.unwrap(), 1);
    });
    assert_eq!(proxied.ids(), [6, 8]);
}

#[test]
fn prepared_statements_are_cut() {
    let gate = Recorder::at("INSERT", Verdict::CutBefore);
    let proxied = Proxied::with_table(Engine::Postgres, gate.clone());
    converse(&proxied, async |connection| {
        let error = insert(connection, 1).await.unwrap_err();
        assert_eq!(code(&error), None, "{error}");
    });
    assert_eq!(proxied.ids(), NOTHING);
    let gate = Recorder::at("INSERT", Verdict::CutAfter);
    proxied.proxy.set_gate(gate.clone());
    converse(&proxied, async |connection| {
        let error = insert(connection, 1).await.unwrap_err();
        assert_eq!(code(&error), None, "{error}");
    });
    // Without a transaction of its own it is committed.
    assert_eq!(gate.reply("INSERT").unwrap().affected, 1);
    assert_eq!(proxied.ids(), [1]);
}

#[test]
fn copy_comes_through() {
    let gate = Recorder::passing();
    let proxied = Proxied::with_table(Engine::Postgres, gate.clone());
    converse(&proxied, async |connection| {
        let mut copy = connection.copy_in_raw("COPY t FROM STDIN").await.unwrap();
        for id in 0..10_000 {
            copy.send(format!("{id}\tname\n").into_bytes())
                .await
                .unwrap();
        }
        assert_eq!(copy.finish().await.unwrap(), 10_000);
        assert_eq!(gate.reply("COPY").unwrap().affected, 10_000);
        let mut copy = connection.copy_in_raw("COPY t FROM STDIN").await.unwrap();
        copy.send(b"0\tagain\n".as_slice()).await.unwrap();
        assert!(copy.finish().await.is_err());
        assert_eq!(gate.reply("COPY").unwrap().error.unwrap().0, "23505");
        connection
            .execute("DELETE FROM t WHERE id > 1")
            .await
            .unwrap();
    });
    assert_eq!(proxied.ids(), [0, 1]);
}

/// A client that sends ahead.
struct Eager {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Eager {
    fn new(proxy: &Proxy) -> Self {
        let mut eager = Self {
            stream: TcpStream::connect(("127.0.0.1", proxy.port())).unwrap(),
            heard: Vec::new(),
        };
        let first = [
            &38_u32.to_be_bytes(),
            &(3_u32 << 16).to_be_bytes(),
            b"user\0postgres\0database\0ahead\0\0" as &[u8],
        ];
        eager.send(&first.concat());
        eager.hear(b'Z');
        eager
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The tags of what is said up to a message with this one; `None` at the end.
    fn hear(&mut self, last: u8) -> Option<String> {
        let mut tags = String::new();
        loop {
            while let Some(end) = message_end(&self.heard).unwrap() {
                let tag = self.heard[0];
                tags.push(char::from(tag));
                self.heard.drain(..end);
                if tag == last {
                    return Some(tags);
                }
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more).unwrap_or(0) {
                0 => return None,
                count => self.heard.extend_from_slice(&more[..count]),
            }
        }
    }
}

/// Several statements before one Sync are told apart.
#[test]
fn statements_that_are_sent_ahead_pass_one_by_one() {
    let mut server = PrivatePostgres::new().not_durable().start().unwrap();
    let url = server.create_database("ahead").unwrap();
    let table = "CREATE TABLE t (id INT PRIMARY KEY)";
    let gate = Recorder::at("INSERT INTO t VALUES (2)", refuse("40001", "", true));
    let proxy = Proxy::start(Engine::Postgres, upstream(&url), gate.clone()).unwrap();
    let mut eager = Eager::new(&proxy);
    let (sync, flush) = (message(b'S', &[]), message(b'H', &[]));
    eager.send(&query(table));
    assert_eq!(eager.hear(b'Z').unwrap(), "CZ");
    let ahead = |texts: &[&str], end: &[u8]| {
        let texts = texts.iter().map(|sql| prepared("", sql));
        [texts.collect::<Vec<_>>().concat(), end.to_vec()].concat()
    };
    let [one, two, three] = [1, 2, 3].map(|id| format!("INSERT INTO t VALUES ({id})"));

    // The second one is refused, the third never runs, and the first one is taken back with them.
    gate.clear();
    eager.send(&ahead(&[&one, &two, &three], &sync));
    assert_eq!(eager.hear(b'Z').unwrap(), "12C12EZ");
    assert_eq!(gate.texts(), [one.as_str(), &two]);

    // Now they all pass; the second one's number is free.
    gate.clear();
    eager.send(&ahead(&["BEGIN", &two, "COMMIT", &three], &sync));
    assert_eq!(eager.hear(b'Z').unwrap(), "12C12C12C12CZ");
    let seen = gate.seen();
    let inside: Vec<_> = seen
        .iter()
        .map(|(s, r)| (s.in_transaction, r.as_ref().unwrap().in_transaction))
        .collect();
    let expected = [(false, true), (true, true), (true, false), (false, false)];
    assert_eq!(inside, expected);

    // A client that wants to hear something before it goes on does.
    eager.send(&ahead(&["SELECT id FROM t"], &flush));
    assert_eq!(eager.hear(b'C').unwrap(), "12DDC");
    eager.send(&sync);
    assert_eq!(eager.hear(b'Z').unwrap(), "Z");

    // What was sent before the cut is done, what comes after it is not.
    proxy.set_gate(Recorder::at("DELETE", Verdict::CutAfter));
    let mut eager = Eager::new(&proxy);
    let first = "INSERT INTO t VALUES (4)";
    let last = "INSERT INTO t VALUES (5)";
    eager.send(&ahead(&[first, "DELETE FROM t WHERE id = 2", last], &sync));
    assert_eq!(eager.hear(b'Z'), None);
    let mut session = open(&url.parse().unwrap(), Access::ReadOnly).unwrap();
    assert_eq!(ids(&mut session), [3, 4]);
}
