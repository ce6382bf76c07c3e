//! SIGKILL of an archive run at 50 random moments on each engine: no split family, nothing lost, and
//! what is left when it is run to its end is what an undisturbed run leaves.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sexton::db::{Engine, Session};

use crate::fleet::{assert_whole, both, contents, filled, graph, instances, state};
use crate::support::databases::Database;

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
    let (killed, undisturbed) = (filled(engine, FAMILIES), filled(engine, FAMILIES));
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
        assert_whole(&mut session, &graph, &format!("kill {kill}"));
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
