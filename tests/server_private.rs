//! Private servers: what survives a kill, and that nothing of them survives their owner.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sexton::server::{PrivateMariadb, PrivatePostgres, Provider};

mod support;

use support::client::query;
use support::shelf::{address, survives_a_kill};

/// Set in the process that plays the owner.
const OWNER: &str = "SEXTON_TEST_SERVER_OWNER";

#[test]
fn mariadb_survives_a_kill() {
    survives_a_kill(&PrivateMariadb::new());
}

#[test]
fn postgres_survives_a_kill() {
    survives_a_kill(&PrivatePostgres::new());
}

#[test]
fn two_servers_of_a_kind_are_apart() {
    let mut first = PrivateMariadb::new().start().unwrap();
    let second = PrivateMariadb::new().argument("--log-bin").start().unwrap();
    first.create_database("shelf").unwrap();
    let bin_log = |url: &str| query(url, "SELECT @@log_bin");
    assert_eq!(bin_log(&first.url("mysql")), "0");
    assert_eq!(bin_log(&second.url("mysql")), "1");
    assert_eq!(
        query(&second.url("mysql"), "SHOW DATABASES LIKE 'shelf'"),
        ""
    );
}

/// PostgreSQL keeps a segment of System V memory, which outlives all its processes.
#[test]
fn no_memory_is_left_after_postgres() {
    let mut server = PrivatePostgres::new().start().unwrap();
    let url = server.url("postgres");
    assert_eq!(query(&url, "SHOW dynamic_shared_memory_type"), "mmap");
    server.kill().unwrap();
    server.restart().unwrap();
    let data = query(&url, "SHOW data_directory");
    let lock = fs::read_to_string(Path::new(&data).join("postmaster.pid")).unwrap();
    // The seventh line has key and id.
    let id = lock.lines().nth(6).unwrap().split_whitespace().nth(1);
    let id = id.unwrap().to_owned();
    assert!(segments().contains(&id));
    drop(server);
    assert!(!segments().contains(&id));
}

/// The ids of all System V memory of the machine.
fn segments() -> Vec<String> {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let rows = table.lines().skip(1);
    rows.filter_map(|r| r.split_whitespace().nth(1).map(Into::into))
        .collect()
}

/// Plays both parts: started by itself with the variable, it owns a server until it is killed.
#[test]
fn nothing_is_left_after_the_owner_of_mariadb_is_killed() {
    owner_is_killed(
        "nothing_is_left_after_the_owner_of_mariadb_is_killed",
        &PrivateMariadb::new(),
    );
}

#[test]
fn nothing_is_left_after_the_owner_of_postgres_is_killed() {
    owner_is_killed(
        "nothing_is_left_after_the_owner_of_postgres_is_killed",
        &PrivatePostgres::new(),
    );
}

fn owner_is_killed(test: &str, provider: &dyn Provider) {
    if std::env::var_os(OWNER).is_some() {
        let server = provider.start().unwrap();
        println!("\n{}", server.url("any"));
        thread::sleep(Duration::from_secs(600));
        return;
    }
    let place = tempfile::tempdir().unwrap();
    // User postgres must get through.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(OWNER, "1")
        .env("TMPDIR", place.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let url = lines
        .map(Result::unwrap)
        .find(|line| line.contains("://"))
        .expect("the owner prints a URL");
    assert!(TcpStream::connect(address(&url)).is_ok());
    assert!(fs::read_dir(place.path()).unwrap().count() > 0);
    assert!(!processes_with(place.path()).is_empty());

    owner.kill().unwrap();
    owner.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let left = || {
        let files = fs::read_dir(place.path()).unwrap().count();
        let open = TcpStream::connect(address(&url)).is_ok();
        (files, open, processes_with(place.path()))
    };
    while left() != (0, false, vec![]) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(left(), (0, false, vec![]));
}

/// Processes (watchdogs too) that name the directory on their command line.
fn processes_with(directory: &Path) -> Vec<String> {
    let needle = directory.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("cmdline")).ok())
        .filter(|line| line.contains(needle))
        .collect()
}
