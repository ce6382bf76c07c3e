//! A gate that writes down what it sees, and a database behind a proxy with it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sexton::db::{Access, DbErrorKind, Engine, Session, Target, open};
use sexton::prove::gate::{Gate, Refusal, Reply, Statement, Verdict};
use sexton::prove::proxy::Proxy;

use crate::support::databases::Database;

type Rule = Box<dyn Fn(&Statement) -> Verdict + Send + Sync>;

/// Passes everything but what its rule says, and remembers it all.
pub(crate) struct Recorder {
    rule: Rule,
    seen: Mutex<Vec<(Statement, Option<Reply>)>>,
}

impl Recorder {
    pub(crate) fn new(rule: impl Fn(&Statement) -> Verdict + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            rule: Box::new(rule),
            seen: Mutex::default(),
        })
    }

    pub(crate) fn passing() -> Arc<Self> {
        Self::new(|_| Verdict::Pass)
    }

    /// Gives the verdict on the first statement that begins so.
    pub(crate) fn at(beginning: &'static str, verdict: Verdict) -> Arc<Self> {
        let over = AtomicBool::new(false);
        Self::new(move |statement| {
            let hit = statement.sql.starts_with(beginning);
            match hit && !over.swap(true, Ordering::SeqCst) {
                true => verdict.clone(),
                false => Verdict::Pass,
            }
        })
    }

    pub(crate) fn clear(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// Every statement with its reply, in order.
    pub(crate) fn seen(&self) -> Vec<(Statement, Option<Reply>)> {
        self.seen.lock().unwrap().clone()
    }

    /// The texts.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.seen().into_iter().map(|(s, _)| s.sql).collect()
    }

    /// What became of the statement with this beginning.
    pub(crate) fn reply(&self, beginning: &str) -> Option<Reply> {
        let seen = self.seen();
        let found = seen
            .iter()
            .rev()
            .find(|(s, _)| s.sql.starts_with(beginning));
        found.and_then(|(_, reply)| reply.clone())
    }
}

impl Gate for Recorder {
    fn before(&self, statement: &Statement) -> Verdict {
        self.seen.lock().unwrap().push((statement.clone(), None));
        (self.rule)(statement)
    }

    fn after(&self, statement: &Statement, reply: &Reply) -> bool {
        let mut seen = self.seen.lock().unwrap();
        let open = seen
            .iter_mut()
            .rev()
            .find(|(s, r)| s.connection == statement.connection && r.is_none())
            .unwrap();
        assert_eq!(open.0, *statement);
        open.1 = Some(reply.clone());
        true
    }
}

/// A database with a proxy before it.
pub(crate) struct Proxied {
    pub(crate) database: Database,
    pub(crate) proxy: Proxy,
}

impl Proxied {
    pub(crate) fn new(engine: Engine, gate: Arc<dyn Gate>) -> Self {
        let database = Database::fresh(engine);
        let proxy = Proxy::start(engine, upstream(&database.url), gate).unwrap();
        Self { database, proxy }
    }

    /// The same, with a table `t` of two columns.
    pub(crate) fn with_table(engine: Engine, gate: Arc<dyn Gate>) -> Self {
        let proxied = Self::new(engine, gate);
        proxied
            .database
            .session()
            .execute("CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20))")
            .unwrap();
        proxied
    }

    pub(crate) fn target(&self) -> Target {
        behind(&self.database.url, &self.proxy)
    }

    /// The same as a URL, for other clients than ours.
    pub(crate) fn url(&self) -> String {
        let upstream = format!(":{}/", upstream(&self.database.url).port());
        let proxy = format!(":{}/", self.proxy.port());
        self.database.url.replacen(&upstream, &proxy, 1)
    }

    /// A session through the proxy.
    pub(crate) fn session(&self) -> Session {
        open(&self.target(), Access::ReadWrite).unwrap()
    }

    /// A session through the proxy with one row written in an open transaction.
    pub(crate) fn begun(&self) -> Session {
        let mut session = self.session();
        session.begin().unwrap();
        session.execute("INSERT INTO t VALUES (1, 'a')").unwrap();
        session
    }

    /// The ids in the table, read past the proxy.
    pub(crate) fn ids(&self) -> Vec<i64> {
        ids(&mut self.database.session())
    }
}

/// No ids.
pub(crate) const NOTHING: [i64; 0] = [];

pub(crate) fn ids(session: &mut Session) -> Vec<i64> {
    let rows = session.query("SELECT id FROM t ORDER BY id").unwrap();
    rows.iter().map(|row| row[0].as_int().unwrap()).collect()
}

/// The address of the server of a URL.
pub(crate) fn upstream(url: &str) -> SocketAddr {
    match url.parse().unwrap() {
        Target::Mysql(o) | Target::Postgres(o) => {
            let host = o.host.replace("localhost", "127.0.0.1");
            SocketAddr::new(host.parse().unwrap(), o.port)
        }
        Target::Sqlite(_) => panic!("{url} is not the URL of a server"),
    }
}

/// The same database through a proxy.
pub(crate) fn behind(url: &str, proxy: &Proxy) -> Target {
    let mut target: Target = url.parse().unwrap();
    if let Target::Mysql(o) | Target::Postgres(o) = &mut target {
        (o.host, o.port) = ("127.0.0.1".into(), proxy.port());
    }
    target
}

/// Runs what an asynchronous client says.
pub(crate) fn block_on<T>(conversation: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(conversation)
}

/// What a refusal says, with what a literal could stumble over.
const REFUSED: &str = r"it's \ $$ refused";

pub(crate) fn refuse(code: &str, sqlstate: &str, rolls_back: bool) -> Verdict {
    Verdict::Refuse(Refusal {
        code: code.into(),
        sqlstate: sqlstate.into(),
        message: REFUSED.into(),
        kind: DbErrorKind::Retryable,
        rolls_back,
    })
}

/// Sends an UPDATE, which the gate refuses with this code, and hears so; whether the transaction is open
/// still.
pub(crate) fn update_is_refused(session: &mut Session, gate: &Recorder, code: &str) -> bool {
    let error = session.execute("UPDATE t SET id = 7").unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_str()),
        (DbErrorKind::Retryable, code)
    );
    assert_eq!(error.message, REFUSED);
    let reply = gate.reply("UPDATE").unwrap();
    assert_eq!(reply.error, Some((code.to_owned(), error.message)));
    reply.in_transaction
}
