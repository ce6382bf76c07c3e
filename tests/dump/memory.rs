//! A large dump in little memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The size of the dump, in MiB. `SEXTON_TEST_DUMP_MB=1024 cargo test --release --test dump memory` has the
/// gigabyte that is promised.
fn megabytes() -> usize {
    let given = std::env::var("SEXTON_TEST_DUMP_MB").ok();
    given.map_or(96, |given| given.parse().unwrap())
}

/// The most memory that the process has had so far, in KiB.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_large_dump_is_audited_in_less_than_200_megabytes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.sql");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    let table = |name: &str, more: &str| {
        format!(
            "CREATE TABLE `{name}` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n  `deleted` int(11) \
             DEFAULT NULL,\n  `deleted_at` datetime DEFAULT NULL,\n  `note` varchar(255) DEFAULT NULL,\n\
             {more}  PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3;\n"
        )
    };
    writeln!(file, "-- MariaDB dump 10.19\n").unwrap();
    let columns = "  `root_id` int(11) DEFAULT NULL,\n";
    let key = "  KEY `ix` (`root_id`),\n  CONSTRAINT `fk` FOREIGN KEY (`root_id`) REFERENCES `root` (`id`),\n";
    for (name, more) in [("root", ""), ("shadow_root", "")] {
        file.write_all(table(name, more).as_bytes()).unwrap();
    }
    let child = format!("{columns}{key}");
    file.write_all(table("child", &child).as_bytes()).unwrap();
    file.write_all(table("shadow_child", columns).as_bytes())
        .unwrap();
    writeln!(file, "LOCK TABLES `shadow_child` WRITE;\nUNLOCK TABLES;\nLOCK TABLES `shadow_root` WRITE;\nUNLOCK TABLES;").unwrap();
    writeln!(
        file,
        "INSERT INTO `root` VALUES (1,1,'2025-01-01 00:00:00','x');"
    )
    .unwrap();
    // Lines of a megabyte, as mariadb-dump writes them; one row in a thousand has no parent.
    let (mut written, mut id) = (0, 0_u64);
    while written < megabytes() << 20 {
        let mut line = String::with_capacity(1 << 20);
        line.push_str("INSERT INTO `child` VALUES ");
        while line.len() < (1 << 20) - 200 {
            id += 1;
            let parent = if id.is_multiple_of(1000) { 2 } else { 1 };
            let note = "a note of some length, so that a gigabyte is not all keys";
            line.push_str(&format!("({id},0,NULL,'{note} {id}',{parent}),"));
        }
        line.pop();
        line.push_str(";\n");
        file.write_all(line.as_bytes()).unwrap();
        written += line.len();
    }
    writeln!(file, "-- Dump completed on 2026-01-01 00:00:00").unwrap();
    file.flush().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sexton"))
        .args(["audit", "--format", "json"])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(peak(child.id()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let orphans = report["findings"].as_array().unwrap().iter();
    let mut orphans = orphans.filter(|f| f["check"] == "orphaned-row");
    assert_eq!(orphans.next().unwrap()["count"], id / 1000, "{report}");
    println!("{} MiB, {id} rows: {most} KiB", megabytes());
    assert!(most > 1000 && most < 200 << 10, "{most} KiB");
}
