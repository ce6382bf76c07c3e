//! SIGKILL of an archive run at 50 random moments on each engine: no split family, nothing lost, and
//! what is left when it is run to its end is what an undisturbed run leaves.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sexton::audit;
use sexton::db::{Engine, Session, introspect};
use sexton::generate::{Dataset, create_schema, generate};
use sexton::schema::{FamilyGraph, Profile};

use support::databases::Database;

const KILLS: u32 = 50;

/// More than 50 interrupted runs get through.
const FAMILIES: u32 = 2400;

#[test]
fn sqlite_survives_50_kills() {
    survives(Engine::Sqlite);
}

#[test]
fn mariadb_survives_50_kills() {
    survives(Engine::Mysql);
}

#[test]
fn postgresql_survives_50_kills() {
    survives(Engine::Postgres);
}

fn survives(engine: Engine) {
    let (killed, undisturbed) = (filled(engine), filled(engine));
    let mut session = killed.session();
    let graph = graph(&mut session);
    let start = state(&mut session);
    let (counts, live) = (both(&start), instances(&mut session));
    // SQLite would be done in a fifth of a second without a pause after each batch.
    let pause = if engine == Engine::Sqlite {
        "0.003"
    } else {
        "0"
    };
    let mut random = Random(0x5EC5_7011);
    let (mut in_the_middle, mut progress) = (0, Vec::new());
    for kill in 0..KILLS {
        let mut run = archive(&killed, 60, pause);
        // One in five before or while it looks for its first roots; the others some moments after
        // their first commit, wherever that finds them.
        if kill % 5 != 0 {
            let before = instances(&mut session);
            while instances(&mut session) == before {
                assert!(
                    run.try_wait().unwrap().is_none(),
                    "a run ended without a commit"
                );
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        std::thread::sleep(Duration::from_micros(random.below(25_000)));
        if run.try_wait().unwrap().is_none() {
            in_the_middle += 1;
        }
        run.kill().unwrap();
        run.wait().unwrap();
        wait_until_quiet(&mut session);
        assert_eq!(
            both(&state(&mut session)),
            counts,
            "kill {kill}: rows lost or doubled"
        );
        assert_whole(&mut session, &graph, kill);
        progress.push(instances(&mut session));
    }
    // The kills hit runs that were at work, and at different points of it.
    assert_eq!(
        in_the_middle, KILLS,
        "every kill must hit a running process"
    );
    let moved = progress.windows(2).filter(|w| w[0] != w[1]).count();
    assert!(
        moved >= 20,
        "only {moved} of the {KILLS} killed runs had committed anything"
    );
    assert!(progress.last() < Some(&live) && instances(&mut session) > 0);

    assert!(archive(&killed, 5000, "0").wait().unwrap().success());
    assert!(archive(&undisturbed, 5000, "0").wait().unwrap().success());
    let mut twin = undisturbed.session();
    assert_eq!(state(&mut session), state(&mut twin), "another end state");
    assert_eq!(
        contents(&mut session),
        contents(&mut twin),
        "another content"
    );
}

/// A database of so many families, the same each time.
fn filled(engine: Engine) -> Database {
    let database = Database::fresh(engine);
    let mut session = database.session();
    create_schema(&mut session, "nova-34.0.0").unwrap();
    let schema = introspect(&mut session).unwrap();
    let dataset = Dataset {
        families: FAMILIES,
        live: 50,
        ..Dataset::default()
    };
    generate(&mut session, &schema, &dataset, &mut |_| {}).unwrap();
    database
}

fn graph(session: &mut Session) -> FamilyGraph {
    let schema = introspect(session).unwrap();
    Profile::detect(&schema).families(&schema).unwrap()
}

fn archive(database: &Database, max_rows: u32, pause: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sexton"))
        .args(["archive", "--quiet", "--until-complete", "--max-rows"])
        .arg(max_rows.to_string())
        .args(["--sleep", pause])
        .arg(&database.url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A server goes on with the statement of a client that is gone; what it does then must be over
/// before anyone judges.
fn wait_until_quiet(session: &mut Session) {
    let others = match session.engine() {
        Engine::Sqlite => return,
        Engine::Mysql => {
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() \
             AND ID <> CONNECTION_ID()"
        }
        Engine::Postgres => {
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        }
    };
    let patience = Instant::now() + Duration::from_secs(20);
    while session.query_count(others).unwrap() > 0 {
        assert!(
            Instant::now() < patience,
            "the server does not come to rest"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Rows of every table.
fn state(session: &mut Session) -> BTreeMap<String, i64> {
    let engine = session.engine();
    let tables: Vec<_> = introspect(session).unwrap().tables.into_keys().collect();
    let count = |table: String| {
        let sql = format!("SELECT COUNT(*) FROM {}", engine.quote(&table));
        (table, session.query_count(&sql).unwrap())
    };
    tables.into_iter().map(count).collect()
}

/// Live and shadow rows together.
fn both(state: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let mut both = BTreeMap::new();
    for (table, rows) in state {
        let live = table.strip_prefix("shadow_").unwrap_or(table);
        *both.entry(live.to_owned()).or_default() += rows;
    }
    both
}

fn instances(session: &mut Session) -> i64 {
    session
        .query_count("SELECT COUNT(*) FROM instances")
        .unwrap()
}

fn assert_whole(session: &mut Session, graph: &FamilyGraph, kill: u32) {
    let options = audit::Options {
        checks: [
            "split-family",
            "orphaned-row",
            "missing-required-child",
            "duplicate-in-shadow",
        ]
        .map(String::from)
        .to_vec(),
        samples: 3,
    };
    let report = audit::audit(session, graph, &options).unwrap();
    assert_eq!(report.not_checked, [], "kill {kill}");
    assert_eq!(report.findings, [], "kill {kill}");
}

/// Every row of every table, in the order of the text.
fn contents(session: &mut Session) -> BTreeMap<String, Vec<String>> {
    let schema = introspect(session).unwrap();
    let engine = session.engine();
    let mut contents = BTreeMap::new();
    for table in schema.tables.values() {
        let columns = engine.quote_all(table.columns.iter().map(|c| &c.name));
        let sql = format!("SELECT {columns} FROM {}", engine.quote(&table.name));
        let rows = session
            .query(&sql)
            .unwrap()
            .into_iter()
            .map(|row| format!("{row:?}"));
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        contents.insert(table.name.clone(), rows);
    }
    contents
}

/// splitmix64: the same moments in every run of the test, as far as a clock allows.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}
