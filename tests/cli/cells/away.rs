//! A cell that is not reached, is lost in the middle, or has a further node.

use std::time::{Duration, Instant};

use sexton::db::Engine;

use super::{ALL, Two, generate};
use crate::sample::{Ran, session, sexton};
use crate::support::databases::Database;

/// A server that will not have us any more after the first rows have gone: what a run on these arguments said, and how
/// many instances had gone. `{}` is the database's URL.
fn lost_midway(user: &str, arguments: &[&str]) -> (Ran, i64) {
    let server = Database::fresh(Engine::Mysql);
    generate(&server.url, 20);
    let mut admin = server.session();
    let name = server.url.rsplit('/').next().unwrap();
    let name = name.split('?').next().unwrap();
    for statement in [
        format!("CREATE USER {user}@'%'"),
        format!("GRANT ALL ON {name}.* TO {user}@'%'"),
    ] {
        admin.execute(&statement).unwrap();
    }
    let (_, place) = server.url.rsplit_once('@').unwrap();
    let url = format!("mysql://{user}@{place}");
    let arguments: Vec<_> = arguments.iter().map(|a| a.replace("{}", &url)).collect();
    let slowly = [
        "--target-batch-time",
        "0",
        "--max-rows",
        "50",
        "--sleep",
        "0.3",
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(slowly).collect();
    let archived = "SELECT COUNT(*) FROM shadow_instances";
    let ran = std::thread::scope(|scope| {
        let running = scope.spawn(|| sexton(&[&ALL[..], &arguments].concat()));
        let deadline = Instant::now() + Duration::from_secs(30);
        while admin.query_count(archived).unwrap() == 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        // In the pause after the batch, when its COMMIT has been answered.
        std::thread::sleep(Duration::from_millis(120));
        admin.execute(&format!("DROP USER {user}@'%'")).unwrap();
        admin
            .execute(&format!("KILL CONNECTION USER {user}"))
            .unwrap();
        running.join().unwrap()
    });
    let moved = admin.query_count(archived).unwrap();
    assert!((1..20).contains(&moved), "{moved}: {}", ran.stderr);
    (ran, moved)
}

#[test]
fn what_a_lost_database_had_moved_is_said() {
    let (ran, moved) = lost_midway("sexton_lost_alone", &["{}"]);
    assert_eq!(ran.code, 75, "{}", ran.stderr);
    for said in [
        "was lost, and another one is refused",
        "families had gone by then",
    ] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    let json = ran.json();
    assert_eq!(
        (&json["stopped_because"], &json["rows"]["instances"]),
        (&"failed".into(), &moved.into())
    );
    let rows = json["rows"].as_object().unwrap().values();
    let rows: u64 = rows.map(|rows| rows.as_u64().unwrap()).sum();
    assert_eq!(json["total_rows"], rows);
    assert!(json["statements"].as_u64().unwrap() > 0, "{json}");
}

/// The first cell's server will not have us any more, in the middle of it.
#[test]
fn what_a_lost_cell_had_moved_is_reported() {
    let two = Two::new();
    let cells = ["--cell", "lost={}", "--cell", &two.two];
    let (ran, moved) = lost_midway("sexton_lost", &cells);
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    let json = ran.json();
    let said = json["unreachable"]["lost"].as_str().unwrap();
    assert!(said.contains("families had gone by then"), "{said}");
    let rows = json["rows"].as_object().unwrap();
    let told: u64 = rows.values().map(|rows| rows.as_u64().unwrap()).sum();
    assert_eq!(json["total_rows"], told);
    assert_eq!(rows["lost.instances"], moved);
    assert_eq!(
        (two.left(), &json["stopped_because"]),
        ([4, 0], &"unreachable".into())
    );
}

/// A report of the others alone would be taken for one of all.
#[test]
fn a_cell_that_is_not_reached_is_on_stderr_and_the_run_is_not_complete() {
    let two = Two::new();
    std::fs::remove_file(two.sample.path("one.db")).unwrap();
    let said = "sexton: cell one was not reached: ";
    for arguments in [&ALL[..], &["purge", "--all", "--format", "json"]] {
        let ran = two.run(arguments);
        assert_eq!(ran.code, 69, "{}", ran.stderr);
        assert_eq!(ran.json()["stopped_because"], "unreachable");
        assert!(ran.json()["unreachable"]["one"].is_string());
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    let text = two.run(&ALL[..2]);
    assert!(text.stdout.contains("Not complete: "), "{}", text.stdout);
    assert!(text.stderr.contains(said), "{}", text.stderr);
}

/// One dead cell kept all others from being looked at.
#[test]
fn an_audit_goes_on_without_a_cell_that_is_not_reached() {
    let two = Two::new();
    let audit = ["audit", "--format", "json", "--fail-on", "error"];
    assert_eq!(two.run(&audit).code, 0);
    let mut second = session(&two.sample.path("nova.db"));
    second
        .execute("UPDATE instances SET deleted = NULL WHERE id = 1")
        .unwrap();
    std::fs::remove_file(two.sample.path("one.db")).unwrap();
    let ran = two.run(&audit);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    let json = ran.json();
    let why = json["not_checked"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("cell one was not reached: "), "{why}");
    let findings = json["findings"].as_array().unwrap();
    let table = |finding: &serde_json::Value| finding["table"].as_str().unwrap().to_owned();
    assert!(
        findings.iter().all(|f| table(f).starts_with("two.")),
        "{json}"
    );
    second
        .execute("UPDATE instances SET deleted = 0 WHERE id = 1")
        .unwrap();
    // Nothing is found, and yet it is not clean.
    assert_eq!(two.run(&audit).code, 69);
    std::fs::remove_file(two.sample.path("nova.db")).unwrap();
    let message = two.refused(69, &["audit"]);
    assert!(message.contains("one.db"), "{message}");
}

/// Records go only where no cell holds the instance, and one that is away may.
#[test]
fn records_stay_where_a_cell_is_away() {
    let two = Two::new();
    let api = two.sample.api();
    let records = || {
        let count = "SELECT COUNT(*) FROM request_specs";
        session(&two.sample.path("api.db"))
            .query_count(count)
            .unwrap()
    };
    let before = records();
    std::fs::rename(two.sample.path("one.db"), two.sample.path("away.db")).unwrap();
    let said = "the API records of 30 instances stay: cell one could not be asked";
    let ran = two.run(&[&ALL[..], &["--api", &api, "--purge"]].concat());
    assert_eq!((ran.code, records()), (69, before), "{}", ran.stderr);
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("not every cell was purged"),
        "{}",
        ran.stderr
    );
    assert!(ran.json()["unreachable"]["one"].is_string());
    assert_eq!(two.left_of_two(), (0, 30));
    let ran = two.run(&["purge", "--all", "--api", &api]);
    assert_eq!((ran.code, ran.stdout.as_str()), (69, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert_eq!(two.left_of_two(), (0, 30));
    // With it again all goes.
    std::fs::rename(two.sample.path("away.db"), two.sample.path("one.db")).unwrap();
    let ran = two.run(&[&ALL[..], &["--api", &api, "--purge"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!((records(), two.left_of_two()), (before - 30, (0, 0)));
    // Nothing is kept for its sake any more.
    std::fs::remove_file(two.sample.path("one.db")).unwrap();
    let ran = two.run(&["purge", "--all", "--api", &api]);
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    let text = ran.stdout;
    assert!(
        text.contains("Not reached: cell one: ") && text.contains("Not complete: "),
        "{text}"
    );
}

/// The first node of each is not there.
#[test]
fn the_next_node_of_a_cluster_is_taken() {
    let servers = [Engine::Mysql, Engine::Postgres].map(Database::fresh);
    for server in &servers {
        generate(&server.url, 3);
    }
    let away = |url: &str| {
        let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
        let scheme = url.split("://").next().unwrap();
        format!("{scheme}://nova@127.0.0.1:1/{name}")
    };
    let [one, two] = servers
        .each_ref()
        .map(|server| [away(&server.url), server.url.clone()]);
    let [first, second] = two.each_ref().map(|url| format!("two={url}"));
    let cells = [
        &one[0], "--db", &one[1], "--cell", &first, "--cell", &second,
    ];
    let ran = sexton(&[&ALL[..], &cells].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let rows = ran.json()["rows"].clone();
    assert_eq!(
        (&rows["main.instances"], &rows["two.instances"]),
        (&3.into(), &3.into()),
        "{rows}"
    );
}
