//! Databases for the benchmarks: SQLite files, and servers where there are any.

#![allow(dead_code, reason = "no benchmark uses all of it")]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should say where"
)]

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use sexton::archive::{self, Options, Outcome, Stop};
use sexton::db::{Access, Engine, Session, SqliteDriver, SqliteMode, Target, introspect, open};
use sexton::generate::{self, Dataset};
use sexton::schema::{FamilyGraph, Profile};
use sexton::server::{PrivateMariadb, PrivatePostgres, Provider, Server};

/// Whether this is `cargo bench`, and not a test run that only looks whether it works.
pub(crate) fn measuring() -> bool {
    let given = |name: &str| std::env::args().any(|a| a == name);
    given("--bench") && !given("--test")
}

/// How many families a SQLite file holds. `SEXTON_BENCH_FAMILIES` has others: `10000,100000`.
pub(crate) fn sizes() -> Vec<u32> {
    let given = given_sizes();
    match given.is_empty() {
        false => given,
        true if measuring() => vec![1_000, 10_000],
        true => vec![20],
    }
}

/// How many families a server holds. By default fewer than a file: it is filled again, statement by statement,
/// where a file is copied.
pub(crate) fn server_size() -> u32 {
    let default = if measuring() { 200 } else { 20 };
    given_sizes().into_iter().min().unwrap_or(default)
}

fn given_sizes() -> Vec<u32> {
    let given = std::env::var("SEXTON_BENCH_FAMILIES").unwrap_or_default();
    given
        .split(',')
        .filter_map(|n| n.trim().parse().ok())
        .collect()
}

/// Says how many statements a run sent, which criterion has no room for. There are none if the benchmark was
/// filtered out.
pub(crate) fn say_statements(benchmark: &str, statements: u64) {
    if statements > 0 {
        eprintln!("{benchmark}: {statements} statements a run");
    }
}

fn dataset(families: u32) -> Dataset {
    Dataset {
        seed: 1,
        families,
        // Candidates have to be told from live rows, as in a real database.
        live: families / 10,
        damage: Vec::new(),
    }
}

/// A group of runs that each destroy their input: few, and one after the other.
pub(crate) fn group<'c>(
    c: &'c mut Criterion,
    name: &str,
    rows: u64,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(1))
        .throughput(Throughput::Elements(rows));
    group
}

/// The engine's name in a benchmark's.
pub(crate) fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "sqlite",
        Engine::Mysql => "mariadb",
        Engine::Postgres => "postgresql",
    }
}

/// The family graph of a database.
pub(crate) fn graph(session: &mut Session) -> FamilyGraph {
    let schema = introspect(session).unwrap();
    Profile::detect(&schema).families(&schema).unwrap()
}

/// Archives everything.
pub(crate) fn archive(session: &mut Session, graph: &FamilyGraph, max_rows: u64) -> Outcome {
    let options = Options {
        max_rows,
        until_complete: true,
        ..Options::default()
    };
    let stop = Stop::default();
    let done = archive::archive(session, graph, &options, &stop, &mut ());
    done.unwrap()
}

/// A generated SQLite file, and copies of it.
pub(crate) struct Template {
    directory: tempfile::TempDir,
    path: PathBuf,
    /// Rows that an archive run moves.
    pub(crate) movable: u64,
    /// Rows in the file.
    pub(crate) rows: u64,
}

impl Template {
    pub(crate) fn new(families: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("template.db");
        SqliteDriver::open(&path, SqliteMode::Create).unwrap();
        let mut session = self::session(&path);
        let rows = fill(&mut session, families);
        drop(session);
        let mut template = Self {
            directory,
            path,
            movable: 0,
            rows,
        };
        let mut copy = template.copy();
        let graph = graph(&mut copy);
        template.movable = archive(&mut copy, &graph, 10_000).total_rows;
        template
    }

    /// The same with everything archived that may be.
    pub(crate) fn archived(families: u32) -> Self {
        let template = Self::new(families);
        let mut copy = template.copy();
        let graph = graph(&mut copy);
        archive(&mut copy, &graph, 10_000);
        drop(copy);
        std::fs::rename(template.directory.path().join("copy.db"), &template.path).unwrap();
        template
    }

    /// A session with a fresh copy, which takes the place of the last one.
    pub(crate) fn copy(&self) -> Session {
        let copy = self.directory.path().join("copy.db");
        std::fs::copy(&self.path, &copy).unwrap();
        session(&copy)
    }
}

pub(crate) fn session(path: &Path) -> Session {
    open(&Target::Sqlite(path.to_owned()), Access::ReadWrite).unwrap()
}

/// Makes the schema if it is not there, and adds the families; how many rows they are.
pub(crate) fn fill(session: &mut Session, families: u32) -> u64 {
    generate::create_schema(session, "nova-34.0.0").unwrap();
    let schema = introspect(session).unwrap();
    let done = generate::generate(session, &schema, &dataset(families), &mut |_| {});
    done.unwrap().total_rows()
}

/// A database on a server, filled again and again.
pub(crate) struct OnServer {
    engine: Engine,
    families: u32,
    /// The database, made when it is first asked for: `cargo bench -- sqlite` starts no server.
    target: OnceCell<Target>,
}

impl OnServer {
    /// A database on the engine's server: the one that `SEXTON_TEST_MYSQL_URL` or
    /// `SEXTON_TEST_POSTGRES_URL` names, or a private one. `None`, with a line on stderr, if there
    /// is neither.
    pub(crate) fn new(engine: Engine, families: u32) -> Option<Self> {
        if given_url(engine).is_none()
            && let Err(why) = provider(engine).available()
        {
            eprintln!("{engine} is left out: {why}");
            return None;
        }
        Some(Self {
            engine,
            families,
            target: OnceCell::new(),
        })
    }

    /// A new database.
    fn create(&self) -> Target {
        let base = server_url(self.engine);
        let name = format!("sexton_bench_{}", std::process::id());
        let mut admin = open(&base.parse().unwrap(), Access::ReadWrite).unwrap();
        admin
            .execute(&format!("DROP DATABASE IF EXISTS {name}"))
            .unwrap();
        admin.execute(&format!("CREATE DATABASE {name}")).unwrap();
        let (server, rest) = base.rsplit_once('/').unwrap();
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        format!("{server}/{name}?{query}").parse().unwrap()
    }

    /// A session with a database that holds the families, live and shadow tables otherwise empty.
    pub(crate) fn refilled(&self) -> Session {
        let target = self.target.get_or_init(|| self.create());
        let mut session = open(target, Access::ReadWrite).unwrap();
        empty(&mut session);
        fill(&mut session, self.families);
        session
    }
}

impl Drop for OnServer {
    /// A server that was named goes on without our database.
    fn drop(&mut self) {
        let Some(Target::Mysql(options) | Target::Postgres(options)) = self.target.get() else {
            return;
        };
        let base = server_url(self.engine);
        if let Ok(mut admin) = open(&base.parse().unwrap(), Access::ReadWrite) {
            drop(admin.execute(&format!("DROP DATABASE {}", options.database)));
        }
    }
}

/// Empties every table that has rows.
fn empty(session: &mut Session) {
    let engine = session.engine();
    let tables = introspect(session).unwrap().tables;
    let (off, on) = match engine {
        Engine::Mysql => ("SET foreign_key_checks = 0", "SET foreign_key_checks = 1"),
        _ => (
            "SET session_replication_role = replica",
            "RESET session_replication_role",
        ),
    };
    session.execute(off).unwrap();
    for table in tables.keys().filter(|t| !t.ends_with("_version")) {
        session
            .execute(&format!("DELETE FROM {}", engine.quote(table)))
            .unwrap();
    }
    session.execute(on).unwrap();
}

fn provider(engine: Engine) -> Box<dyn Provider> {
    match engine {
        Engine::Mysql => Box::new(PrivateMariadb::new()),
        _ => Box::new(PrivatePostgres::new()),
    }
}

fn given_url(engine: Engine) -> Option<String> {
    let variable = match engine {
        Engine::Mysql => "SEXTON_TEST_MYSQL_URL",
        _ => "SEXTON_TEST_POSTGRES_URL",
    };
    std::env::var(variable).ok().filter(|url| !url.is_empty())
}

fn server_url(engine: Engine) -> String {
    static MARIADB: OnceLock<Started> = OnceLock::new();
    static POSTGRES: OnceLock<Started> = OnceLock::new();
    let (slot, database) = match engine {
        Engine::Mysql => (&MARIADB, "mysql"),
        _ => (&POSTGRES, "postgres"),
    };
    given_url(engine).unwrap_or_else(|| {
        let started = slot.get_or_init(|| {
            let server = provider(engine).start().unwrap();
            Started {
                url: server.url(database),
                _server: std::sync::Mutex::new(server),
            }
        });
        started.url.clone()
    })
}

/// A private server; its watchdog ends it with this process.
struct Started {
    url: String,
    _server: std::sync::Mutex<Box<dyn Server>>,
}
