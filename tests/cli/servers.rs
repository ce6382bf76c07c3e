//! Servers that are not there, and servers that will not have us.

use std::net::TcpListener;

use sexton::db::Engine;

use crate::sample::{SECRET, refused, sexton};
use crate::support::databases::Database;

/// A port at which nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_refused_connection() {
    let port = closed_port();
    for scheme in ["mysql", "mysql+pymysql", "postgresql"] {
        let url = format!("{scheme}://nova:{SECRET}@127.0.0.1:{port}/nova");
        for command in ["audit", "archive", "generate"] {
            let message = refused(69, &[command, &url]);
            let place = format!("nova@127.0.0.1:{port}/nova");
            assert!(message.contains(&place), "{message}");
            assert!(message.contains("check that the server runs"), "{message}");
        }
    }
}

#[test]
fn an_unknown_host() {
    for scheme in ["mysql", "postgresql"] {
        let url = format!("{scheme}://nova:{SECRET}@no-such-host.invalid/nova");
        let message = refused(69, &["audit", &url]);
        assert!(message.contains("no-such-host.invalid"), "{message}");
    }
}

/// A URL of one kind at the port of the other.
#[test]
fn a_server_of_the_other_kind_is_said_to_be_one() {
    for (engine, scheme, said) in [
        (
            Engine::Mysql,
            "postgresql",
            "MariaDB/MySQL answers there; begin the URL with mysql://",
        ),
        (
            Engine::Postgres,
            "mysql",
            "PostgreSQL answers there; begin the URL with postgresql://",
        ),
    ] {
        let database = Database::fresh(engine);
        let (_, place) = database.url.rsplit_once('@').unwrap();
        let place = place.split('?').next().unwrap();
        let url = format!("{scheme}://nova:{SECRET}@{place}");
        let message = refused(69, &["archive", &url]);
        assert!(message.contains(said), "{message}");
    }
}

/// The URL with another user or another database.
fn altered(url: &str, user: Option<&str>, database: Option<&str>) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (login, rest) = rest.rsplit_once('@').unwrap();
    let (server, path) = rest.split_once('/').unwrap();
    let (name, query) = path.split_once('?').unwrap_or((path, ""));
    let (login, name) = (user.unwrap_or(login), database.unwrap_or(name));
    format!("{scheme}://{login}@{server}/{name}?{query}")
}

#[test]
fn a_database_that_the_server_does_not_have() {
    for engine in [Engine::Mysql, Engine::Postgres] {
        let database = Database::fresh(engine);
        let url = altered(&database.url, None, Some("sexton_no_such_database"));
        for command in ["audit", "archive", "generate"] {
            let message = refused(69, &[command, &url]);
            assert!(
                message.contains("sexton_no_such_database")
                    && message.contains("check the name of the database"),
                "{message}"
            );
        }
    }
}

/// On a PostgreSQL that trusts everyone it is the role that is refused.
#[test]
fn a_login_that_is_refused() {
    for engine in [Engine::Mysql, Engine::Postgres] {
        let database = Database::fresh(engine);
        let login = format!("sexton_nobody:{SECRET}");
        let url = altered(&database.url, Some(&login), None);
        for command in ["audit", "archive", "generate"] {
            let message = refused(69, &[command, &url]);
            assert!(
                message.contains("sexton_nobody") && message.contains("check the user"),
                "{message}"
            );
        }
    }
}

/// The URL with another port.
fn at_port(url: &str, port: u16) -> String {
    let (server, path) = url.rsplit_once('/').unwrap();
    let (server, _) = server.rsplit_once(':').unwrap();
    format!("{server}:{port}/{path}")
}

/// A cluster that has lost its first node must not look like one that has lost nothing.
#[test]
fn a_node_that_is_passed_over_at_the_beginning_is_said() {
    for engine in [Engine::Mysql, Engine::Postgres] {
        let database = Database::fresh(engine);
        let dead = at_port(&database.url, closed_port());
        let ran = sexton(&["audit", "--db", &dead, "--db", &database.url]);
        let said = "sexton: turning to the next node: ";
        let line = ran.stderr.lines().find(|line| line.starts_with(said));
        let line = line.unwrap_or_else(|| panic!("{}", ran.stderr));
        let place = dead.split_once('@').unwrap().1.split('/').next().unwrap();
        assert!(line.contains(place), "{line}");
        let ran = sexton(&["audit", "--db", &database.url, "--db", &dead]);
        assert!(!ran.stderr.contains("turning"), "{}", ran.stderr);
    }
}

/// The database was reached, and so was told that it was not.
#[test]
fn a_throttle_that_cannot_be_asked_is_named_by_its_option() {
    for engine in [Engine::Mysql, Engine::Postgres] {
        let database = Database::fresh(engine);
        let url = &database.url;
        let ran = sexton(&["generate", url, "--families", "1", "--live", "1"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let dead = at_port(url, closed_port());
        let message = refused(69, &["archive", url, "--replica", &dead]);
        assert!(
            message.starts_with("sexton: --replica: cannot connect to "),
            "{message}"
        );
        for option in ["--max-load", "--critical-load"] {
            let message = refused(69, &["archive", url, option, "no_such_thing=1"]);
            let said = format!("sexton: {option}: ");
            assert!(
                message.starts_with(&said) && message.contains("no_such_thing"),
                "{message}"
            );
        }
    }
}

#[test]
fn an_empty_database() {
    for engine in [Engine::Mysql, Engine::Postgres] {
        let database = Database::fresh(engine);
        for command in ["audit", "archive"] {
            let message = refused(65, &[command, &database.url]);
            assert!(message.contains("has no tables"), "{message}");
        }
        let tables = sexton::db::introspect(&mut database.session())
            .unwrap()
            .tables;
        assert!(tables.is_empty());
    }
}
