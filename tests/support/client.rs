//! Statements through the servers' own clients, independent of the code under test.

use std::process::Command;

/// Runs a statement on the database of `url`; the rows, without headings.
pub(crate) fn query(url: &str, sql: &str) -> String {
    let (server, database) = url.rsplit_once('/').unwrap();
    let (host, port) = server.rsplit_once('@').unwrap().1.split_once(':').unwrap();
    let mut client = if url.starts_with("mysql:") {
        let mut client = Command::new("mariadb");
        client
            .args(["--no-defaults", "--protocol=tcp", "-uroot", "-h", host])
            .args(["-P", port, "-N", "-B", "-e", sql, database]);
        client
    } else {
        let mut client = Command::new("psql");
        client
            .args(["-X", "-q", "-A", "-t", "-w", "-U", "postgres", "-h", host])
            .args(["-p", port, "-c", sql, "-d", database]);
        client
    };
    let output = client.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    assert!(output.status.success(), "{sql}: {}", text(&output.stderr));
    text(&output.stdout)
}
