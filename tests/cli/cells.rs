//! Several cells in one run: what is known before the first one moves, what ends them all, and what is said then.

mod away;

use std::time::{Duration, Instant};

use sexton::db::Engine;

use crate::sample::{Ran, Sample, refused, session, sexton};
use crate::support::databases::Database;

/// Two files: `one` with 4 dead instances, `two` with 30 and an API database of both.
struct Two {
    sample: Sample,
    one: String,
    two: String,
}

impl Two {
    fn new() -> Self {
        let sample = Sample::new();
        let file = sample.name("one.db");
        generate(&file, 4);
        let connection = format!("UPDATE cell_mappings SET database_connection = '{file}'");
        session(&sample.path("api.db"))
            .execute(&format!("{connection} WHERE name = 'cell0'"))
            .unwrap();
        let one = format!("one={file}");
        let two = format!("two={}", sample.cell());
        Self { sample, one, two }
    }

    /// Does that with both cells.
    fn run(&self, arguments: &[&str]) -> Ran {
        let cells = ["--cell", &self.one, "--cell", &self.two];
        sexton(&[arguments, &cells].concat())
    }

    fn refused(&self, code: i32, arguments: &[&str]) -> String {
        let cells = ["--cell", &self.one, "--cell", &self.two];
        refused(code, &[arguments, &cells].concat())
    }

    /// Dead instances that are left in both.
    fn left(&self) -> [i64; 2] {
        ["one.db", "nova.db"].map(|file| {
            let count = "SELECT COUNT(*) FROM instances WHERE deleted <> 0";
            session(&self.sample.path(file)).query_count(count).unwrap()
        })
    }
}

fn generate(database: &str, families: u32) {
    let families = families.to_string();
    let with = ["--families", &families, "--live", "1", "--seed", "77"];
    let ran = sexton(&[&["generate", database], &with[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

const ALL: [&str; 4] = ["archive", "--until-complete", "--format", "json"];

/// The first cell has nothing to move and is complete; the second one was never looked at.
#[test]
fn a_stop_between_two_cells_is_no_complete_run() {
    let two = Two::new();
    assert_eq!(
        sexton(&["archive", "--until-complete", &two.sample.name("one.db")]).code,
        0
    );
    let file = two.sample.file("stop", "");
    let stop = ["--stop-file", &file];
    let ran = two.run(&[&ALL[..], &stop].concat());
    assert_eq!(ran.code, 75, "{}", ran.stdout);
    assert_eq!(ran.json()["stopped_because"], "stop-file");
    assert_eq!(two.left(), [0, 30]);
    let text = two.run(&[&ALL[..2], &stop].concat()).stdout;
    assert!(text.contains("Stopped by the stop file"), "{text}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(two.run(&ALL).json()["stopped_because"], "complete");
}

/// What is wrong with the last cell is said before the first one moves.
#[test]
fn every_cell_is_checked_before_the_first_one_moves() {
    let two = Two::new();
    let mut second = session(&two.sample.path("nova.db"));
    let shadows =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'shadow!_%' ESCAPE '!'";
    for row in second.query(shadows).unwrap() {
        second.execute(&format!("DROP TABLE {}", row[0])).unwrap();
    }
    drop(second);
    let message = two.refused(65, &ALL);
    assert!(
        message.contains("nova.db has no shadow tables"),
        "{message}"
    );
    let message = two.refused(64, &[&ALL[..], &["--drop-unshadowed", "none"]].concat());
    assert!(message.contains("there is no table 'none'"), "{message}");
    assert_eq!(two.left()[0], 4);

    // Two instances of one name: whose a row is cannot be told.
    let two = Two::new();
    assert_eq!(two.run(&ALL).code, 0);
    let mut second = session(&two.sample.path("nova.db"));
    let unique =
        "SELECT name FROM pragma_index_list('instances') WHERE \"unique\" AND origin = 'c'";
    for row in second.query(unique).unwrap() {
        second.execute(&format!("DROP INDEX {}", row[0])).unwrap();
    }
    drop(second);
    let message = two.refused(65, &["purge", "--all"]);
    assert!(
        message.contains("instances.(uuid), which is not unique"),
        "{message}"
    );
    let mut first = session(&two.sample.path("one.db"));
    assert_eq!(
        first
            .query_count("SELECT COUNT(*) FROM shadow_instances")
            .unwrap(),
        4
    );
}

/// A limit that cannot be looked at ends the command before anything has moved, whichever cell it is of.
#[test]
fn every_throttle_is_opened_before_the_first_cell_moves() {
    let two = Two::new();
    let server = Database::fresh(Engine::Mysql);
    generate(&server.url, 3);
    let server_cell = format!("server={}", server.url);
    let cells = ["--cell", &server_cell, "--cell", &two.two];
    let left = || {
        let count = "SELECT COUNT(*) FROM instances WHERE deleted <> 0";
        server.session().query_count(count).unwrap()
    };
    for command in [&["archive", "--until-complete"][..], &["purge", "--all"]] {
        let load = ["--max-load", "Threads_running=1000"];
        let message = refused(64, &[command, &cells, &load].concat());
        assert!(
            message.contains("nova.db is a file: it has no server"),
            "{message}"
        );
        // Said of the URL alone: nothing is opened for it.
        let message = refused(64, &[command, &cells, &load, &["--dry-run"]].concat());
        assert!(
            message.contains("nova.db is a file: it has no server"),
            "{message}"
        );
        let replica = ["--replica", "mysql://nova@127.0.0.1:1/nova"];
        let message = refused(69, &[command, &cells, &replica].concat());
        assert!(
            message.contains("cannot connect to mysql://nova@127.0.0.1:1/nova"),
            "{message}"
        );
        let ran = sexton(&[command, &cells, &replica, &["--dry-run"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!((left(), two.left()), (3, [4, 30]));
    }
}

/// A limit ends the run, not the cell that met it: the next one would meet it again, and wait as long.
#[test]
fn a_limit_ends_the_run_in_all_cells() {
    let servers = [(); 2].map(|()| Database::fresh(Engine::Mysql));
    for server in &servers {
        generate(&server.url, 3);
    }
    let cells: Vec<_> = servers.iter().zip(["a", "b"]).collect();
    let cells: Vec<_> = cells
        .iter()
        .map(|(s, n)| format!("{n}={}", s.url))
        .collect();
    let cells = ["--cell", &cells[0], "--cell", &cells[1]];
    // The session that looks is running itself.
    let wait = ["--max-load", "Threads_running=0", "--max-wait", "600ms"];
    for (limit, reason) in [
        (&["--critical-load", "Threads_running=0"][..], "load"),
        (&wait, "max-wait"),
    ] {
        let ran = sexton(&[&ALL[..], &cells, limit].concat());
        assert_eq!(ran.code, 75, "{}", ran.stderr);
        assert_eq!(
            (&ran.json()["stopped_because"], &ran.json()["total_rows"]),
            (&reason.into(), &0.into())
        );
        assert_eq!(ran.stderr.matches("stopping").count(), 1, "{}", ran.stderr);
    }
    // A wait of the purge is told too.
    assert_eq!(sexton(&[&ALL[..], &cells].concat()).code, 0);
    let ran = sexton(&[&ALL[..], &cells, &wait, &["--purge"]].concat());
    assert_eq!(
        (ran.code, &ran.json()["stopped_because"]),
        (75, &"max-wait".into())
    );
    assert_eq!(
        ran.stderr.matches("waiting: Threads_running is").count(),
        1,
        "{}",
        ran.stderr
    );
}

/// The API database fails in the middle of the second cell: what the first one came to is not lost.
#[test]
fn an_error_of_one_cell_leaves_the_report_of_the_others() {
    let two = Two::new();
    let api = two.sample.api();
    let last = "SELECT uuid FROM instances WHERE deleted <> 0 ORDER BY id DESC LIMIT 1";
    let last = session(&two.sample.path("nova.db"))
        .query_row(last)
        .unwrap();
    let trigger = format!(
        "CREATE TRIGGER no BEFORE DELETE ON request_specs WHEN OLD.instance_uuid = '{}' \
         BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        last.unwrap()[0]
    );
    session(&two.sample.path("api.db"))
        .execute(&trigger)
        .unwrap();
    let with = [
        "--api",
        &api,
        "--target-batch-time",
        "0",
        "--max-rows",
        "20",
    ];
    let ran = two.run(&[&ALL[..], &with].concat());
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    let error = ran
        .stderr
        .lines()
        .find(|line| line.contains("API database: "));
    let error = error.unwrap_or_else(|| panic!("{}", ran.stderr));
    assert!(
        error.contains("not this one") && error.contains("had gone by then"),
        "{error}"
    );
    let json = ran.json();
    assert_eq!(
        (&json["stopped_because"], &json["rows"]["one.instances"]),
        (&"failed".into(), &4.into())
    );
    assert!(json.get("unreachable").is_none(), "{json}");
    // And so is what the second one came to.
    assert!(json["families"].as_u64().unwrap() > 30, "{json}");
    let rows = json["rows"].as_object().unwrap();
    assert_eq!(rows["two.instances"], 30);
    let all: u64 = rows.values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(json["total_rows"], all);
    // The sweep of the next run meets it again, when all has moved.
    let text = two.run(&[&ALL[..2], &with[..2]].concat());
    assert_eq!(text.code, 69, "{}", text.stderr);
    assert!(text.stdout.contains("Ended by an error"), "{}", text.stdout);
    // Without the records nothing would tell whose they are.
    let ran = two.run(&[&ALL[..], &with, &["--purge"]].concat());
    assert!(
        ran.stderr
            .contains("not every cell was purged, because the API database failed"),
        "{}",
        ran.stderr
    );
    assert_eq!(two.sample.count("shadow_instances"), 30);
}

/// As where its server is started anew: every connection of the run to it ends while the cell is archived.
#[test]
fn a_run_outlives_a_restart_of_the_api_database() {
    for engine in [Engine::Mysql, Engine::Postgres] {
        let (sample, records) = (Sample::empty(), Database::fresh(engine));
        let (cell, api) = (sample.cell(), records.url.as_str());
        let made = [
            "generate",
            &cell,
            "--api",
            api,
            "--families",
            "20",
            "--live",
            "2",
        ];
        assert_eq!(sexton(&made).code, 0);
        let mut admin = records.session();
        let set =
            format!("UPDATE cell_mappings SET database_connection = '{cell}' WHERE name = 'cell1'");
        admin.execute(&set).unwrap();
        let count = "SELECT COUNT(*) FROM request_specs";
        let before = admin.query_count(count).unwrap();
        let slowly = [
            "--target-batch-time",
            "0",
            "--max-rows",
            "50",
            "--sleep",
            "0.2",
        ];
        let run = [&ALL[..], &slowly, &[&cell, "--api", api]].concat();
        let ran = std::thread::scope(|scope| {
            let running = scope.spawn(|| sexton(&run));
            let deadline = Instant::now() + Duration::from_secs(30);
            while admin.query_count(count).unwrap() == before && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            let (ids, kill) = match engine {
                Engine::Mysql => (
                    "SELECT id FROM information_schema.processlist \
                     WHERE db = DATABASE() AND id <> CONNECTION_ID()",
                    "KILL CONNECTION",
                ),
                _ => (
                    "SELECT pid FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                    "SELECT pg_terminate_backend",
                ),
            };
            let ids = admin.query(ids).unwrap();
            assert_eq!(ids.len(), 1);
            admin.query(&format!("{kill} ({})", ids[0][0])).unwrap();
            running.join().unwrap()
        });
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(admin.query_count(count).unwrap(), before - 20);
        assert_eq!(ran.json()["api_records"]["request_specs"], 20);
    }
}

/// A family that somebody holds keeps one of the sessions waiting; the others move what is theirs.
#[test]
fn several_sessions_archive_a_database_together() {
    for engine in [Engine::Mysql, Engine::Postgres] {
        let database = Database::fresh(engine);
        generate(&database.url, 60);
        let mut holder = database.session();
        let hold = "SELECT id FROM instances WHERE deleted <> 0 ORDER BY id LIMIT 1 FOR UPDATE";
        holder.begin().unwrap();
        holder.query(hold).unwrap();
        let jobs = ["--jobs", "3", "--max-rows", "100", &database.url];
        std::thread::scope(|scope| {
            let running = scope.spawn(|| sexton(&[&ALL[..], &jobs].concat()));
            let mut looker = database.session();
            let moved = "SELECT COUNT(*) FROM shadow_instances";
            let deadline = Instant::now() + Duration::from_secs(30);
            while looker.query_count(moved).unwrap() == 0 && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            let in_time = Instant::now() < deadline;
            holder.rollback().unwrap();
            let ran = running.join().unwrap();
            assert!(in_time, "{engine:?}: one holds up all");
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            assert_eq!(ran.json()["rows"]["instances"], 60);
        });
        let ran = sexton(&["audit", "--fail-on", "error", &database.url]);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
    }
    // SQLite has one writer, and one session is opened.
    let sample = Sample::new();
    let jobs = ["--jobs", "3", &sample.cell()];
    assert_eq!(sexton(&[&ALL[..], &jobs].concat()).code, 0);
}

impl Two {
    /// Dead instances in the second cell, live and archived.
    fn left_of_two(&self) -> (i64, i64) {
        let count = |from_where| self.sample.count(from_where);
        (
            count("instances WHERE deleted <> 0"),
            count("shadow_instances"),
        )
    }
}

/// The shadow tables of all cells are looked through once, not once for each cell.
#[test]
fn the_api_database_is_swept_once() {
    let sample = Sample::new();
    let api = sample.api();
    let names = ["a", "b", "c"];
    for name in names {
        let file = sample.name(&format!("{name}.db"));
        std::fs::copy(sample.path("nova.db"), &file).unwrap();
        assert_eq!(sexton(&["archive", "--until-complete", &file]).code, 0);
    }
    let cells = names.map(|name| format!("{name}={}", sample.name(&format!("{name}.db"))));
    let statements = |number: usize| {
        let cells: Vec<_> = cells[..number]
            .iter()
            .flat_map(|cell| ["--cell", cell])
            .collect();
        let ran = sexton(&[&ALL[..], &["--api", &api], &cells].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.json()["statements"].as_u64().unwrap()
    };
    // The records go with the first of them.
    statements(3);
    let [one, two, three] = [1, 2, 3].map(statements);
    assert_eq!(three - two, two - one);
}

#[test]
fn cells_at_the_same_time_take_the_time_of_the_longest() {
    let two = Two::new();
    let begun = Instant::now();
    let ran = two.run(&[&ALL[..], &["--cells-at-once", "2", "--sleep", "1"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let json = ran.json();
    let milliseconds = |value: &serde_json::Value| value.as_u64().unwrap();
    assert!(milliseconds(&json["elapsed_ms"]) <= begun.elapsed().as_millis() as u64);
    assert!(
        milliseconds(&json["elapsed_ms"]) < milliseconds(&json["spent_ms"]["wait"]),
        "{json}"
    );
    let ran = two.run(&["purge", "--before", "1d", "--format", "json"]);
    assert!(ran.json()["before"].is_string(), "{}", ran.stdout);
    let ran = two.run(&[&ALL[..], &["--before", "1d"]].concat());
    assert!(ran.json()["before"].is_string(), "{}", ran.stdout);
}

/// A census is taken on request only, of every cell.
#[test]
fn a_census_is_of_all_cells_and_of_nobody_who_did_not_ask() {
    let two = Two::new();
    let audit = |more: &[&str]| {
        two.run(&[&["audit", "--format", "json"][..], more].concat())
            .json()
    };
    assert!(audit(&[]).get("census").is_none());
    let json = audit(&["--census"]);
    let tables = json["census"]["tables"].as_array().unwrap();
    let pending = ["one.instances", "two.instances"].map(|name| {
        let part = tables.iter().find(|t| t["table"] == name).unwrap();
        part["pending"].as_i64().unwrap()
    });
    assert_eq!(pending, two.left());
    let text = two.run(&["audit", "--census"]).stdout;
    assert!(
        text.contains("two.instances") && text.contains("pending by age"),
        "{text}"
    );
}
