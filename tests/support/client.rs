//! Statements through the servers' own clients, independent of the code under test.

use std::process::Command;

/// Runs a statement on the database of `url`; the rows, without headings.
pub(crate) fn query(url: &str, sql: &str) -> String {
    match try_query(url, sql) {
        Ok(rows) => rows,
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// The same, with what the client complained about.
pub(crate) fn try_query(url: &str, sql: &str) -> Result<String, String> {
    let parts = || {
        let (server, database) = url.rsplit_once('/')?;
        let (host, port) = server.rsplit_once('@')?.1.split_once(':')?;
        Some((host, port, database))
    };
    let (host, port, database) = parts().ok_or_else(|| format!("{url} is not a server's URL"))?;
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
    let output = client.output().map_err(|e| format!("{client:?}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if !output.status.success() {
        return Err(text(&output.stderr));
    }
    Ok(text(&output.stdout))
}
