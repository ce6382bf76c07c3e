//! A table that has to survive what happens to its server.

use std::net::TcpStream;

use sexton::server::Provider;

use super::client::query;

/// The host and port of a URL.
pub(crate) fn address(url: &str) -> &str {
    let end = url.rsplit_once('@').map_or(url, |(_, end)| end);
    end.split_once('/').map_or(end, |(address, _)| address)
}

/// Starts a server, kills it, stops it, and looks each time for the rows it has acknowledged.
pub(crate) fn survives_a_kill(provider: &dyn Provider) {
    let mut server = provider.start().expect("a server that starts");
    let url = server.create_database("shelf").expect("a new database");
    query(&url, "CREATE TABLE book (id INT PRIMARY KEY)");
    query(&url, "INSERT INTO book VALUES (1), (2)");

    server.kill().expect("a server that can be killed");
    assert!(TcpStream::connect(address(&url)).is_err());
    server.restart().expect("a server that recovers");
    assert_eq!(server.url("shelf"), url);
    assert_eq!(query(&url, "SELECT COUNT(*) FROM book"), "2");

    server.stop().expect("a server that stops");
    assert!(TcpStream::connect(address(&url)).is_err());
    server.restart().expect("a server that starts again");
    assert_eq!(query(&url, "SELECT COUNT(*) FROM book"), "2");
    assert!(server.create_database("shelf").is_err());
}
