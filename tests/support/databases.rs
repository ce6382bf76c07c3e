//! Fresh databases on every engine, for tests that must hold on all of them.
//!
//! MariaDB and PostgreSQL come from `SEXTON_TEST_MYSQL_URL` / `SEXTON_TEST_POSTGRES_URL` (a URL
//! whose user may create databases) or, without them, from private servers that this process
//! starts once. Where neither is to be had the test fails and says what to do.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use sexton::db::{Access, Engine, Session, SqliteDriver, SqliteMode, Target, open};
use sexton::server::{PrivateMariadb, PrivatePostgres, Provider, Server};

/// A fresh, empty database, and what keeps it alive.
pub(crate) struct Database {
    /// Its URL, or the path of its file.
    pub(crate) url: String,
    pub(crate) engine: Engine,
    _directory: Option<tempfile::TempDir>,
}

impl Database {
    /// An empty database of that engine.
    pub(crate) fn fresh(engine: Engine) -> Self {
        let (url, directory) = match engine {
            Engine::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("db.sqlite");
                SqliteDriver::open(&path, SqliteMode::Create).unwrap();
                (path.display().to_string(), Some(directory))
            }
            Engine::Mysql | Engine::Postgres => (on_server(engine), None),
        };
        Self {
            url,
            engine,
            _directory: directory,
        }
    }

    /// One empty database on each engine.
    pub(crate) fn on_each_engine() -> impl Iterator<Item = Self> {
        [Engine::Sqlite, Engine::Mysql, Engine::Postgres]
            .into_iter()
            .map(Self::fresh)
    }

    pub(crate) fn session(&self) -> Session {
        open(&self.url.parse::<Target>().unwrap(), Access::ReadWrite).unwrap()
    }
}

/// Creates a database with a name of its own on a given or private server.
fn on_server(engine: Engine) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("sexton_test_{}_{number}", std::process::id());
    let base = server_url(engine);
    let mut admin = open(&base.parse::<Target>().unwrap(), Access::ReadWrite).unwrap();
    admin.execute(&format!("CREATE DATABASE {name}")).unwrap();
    let (server, rest) = base.rsplit_once('/').unwrap();
    match rest.split_once('?') {
        Some((_, query)) => format!("{server}/{name}?{query}"),
        None => format!("{server}/{name}"),
    }
}

/// The URL of a database that is there, on a server where databases may be created.
pub(crate) fn server_url(engine: Engine) -> String {
    let (variable, any) = match engine {
        Engine::Mysql => ("SEXTON_TEST_MYSQL_URL", "mysql"),
        Engine::Postgres => ("SEXTON_TEST_POSTGRES_URL", "postgres"),
        Engine::Sqlite => panic!("SQLite has no server"),
    };
    let given = std::env::var(variable).ok().filter(|url| !url.is_empty());
    given.unwrap_or_else(|| private_url(engine, any))
}

/// The URL of a database that is there on a private server of this process.
fn private_url(engine: Engine, any: &str) -> String {
    type Slot = OnceLock<Mutex<Box<dyn Server>>>;
    static MARIADB: Slot = Slot::new();
    static POSTGRES: Slot = Slot::new();
    let server = match engine {
        Engine::Mysql => MARIADB.get_or_init(|| start(&PrivateMariadb::new().not_durable())),
        _ => POSTGRES.get_or_init(|| start(&PrivatePostgres::new().not_durable())),
    };
    server.lock().unwrap().url(any)
}

fn start(provider: &dyn Provider) -> Mutex<Box<dyn Server>> {
    match provider.start() {
        Ok(server) => Mutex::new(server),
        Err(error) => panic!("{error}"),
    }
}
