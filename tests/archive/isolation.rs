//! What is locked on MariaDB: the rows that are read, and where that would not do the gaps beside them.

use sexton::archive::{self, Options, Stop};
use sexton::db::{Access, Engine, Session, introspect, open};
use sexton::generate::{Dataset, create_schema, generate};
use sexton::schema::Profile;
use sexton::server::{PrivateMariadb, Provider};

use crate::support::databases::Database;

fn level(session: &mut Session) -> String {
    let level = session.query_row("SELECT @@tx_isolation").unwrap().unwrap();
    level[0].to_string()
}

/// A child that comes after its parent was locked must not go by cascade, unread. Over the primary key the lock on
/// the parent keeps it out, over another key only that on the gap.
#[test]
fn gaps_are_locked_where_a_row_could_go_by_cascade_unread() {
    for (key, expected) in [("id", "READ-COMMITTED"), ("name", "REPEATABLE-READ")] {
        let database = Database::fresh(Engine::Mysql);
        let mut session = database.session();
        for sql in [
            "CREATE TABLE p (id INT PRIMARY KEY, name INT NOT NULL UNIQUE, deleted INT)",
            &format!(
                "CREATE TABLE c (id INT PRIMARY KEY, p INT NOT NULL, deleted INT, \
                 FOREIGN KEY (p) REFERENCES p ({key}) ON DELETE CASCADE)"
            ),
            "CREATE TABLE shadow_p LIKE p",
            "CREATE TABLE shadow_c LIKE c",
            "INSERT INTO p VALUES (1, 1, 1), (2, 2, 0)",
            "INSERT INTO c VALUES (1, 1, 1), (2, 2, 0)",
        ] {
            session.execute(sql).unwrap();
        }
        let schema = introspect(&mut session).unwrap();
        let graph = Profile::detect(&schema).families(&schema).unwrap();
        let (options, stop) = (Options::default(), Stop::default());
        let outcome = archive::archive(&mut session, &graph, &options, &stop, &mut ()).unwrap();
        assert_eq!(outcome.total_rows, 2);
        assert_eq!(level(&mut session), expected, "{key}");
    }
}

/// There the server refuses to write in READ COMMITTED.
#[test]
fn families_move_where_the_binlog_holds_statements() {
    for format in ["STATEMENT", "MIXED", "ROW"] {
        let mut server = PrivateMariadb::new()
            .argument("--log-bin")
            .argument(format!("--binlog-format={format}"))
            .start()
            .unwrap();
        let url = server.create_database("nova").unwrap();
        let mut session = open(&url.parse().unwrap(), Access::ReadWrite).unwrap();
        create_schema(&mut session, "nova-34.0.0").unwrap();
        let schema = introspect(&mut session).unwrap();
        let dataset = Dataset {
            families: 20,
            live: 5,
            ..Dataset::default()
        };
        generate(&mut session, &schema, &dataset, &mut |_| {}).unwrap();
        let graph = Profile::detect(&schema).families(&schema).unwrap();
        let options = Options {
            until_complete: true,
            ..Options::default()
        };
        let stop = Stop::default();
        let outcome = archive::archive(&mut session, &graph, &options, &stop, &mut ()).unwrap();
        assert_eq!(outcome.rows["instances"], 20, "{format}");
        assert!(!outcome.has_blocked(), "{format}: {:?}", outcome.blocked);
        let expected = match format {
            "STATEMENT" => "REPEATABLE-READ",
            _ => "READ-COMMITTED",
        };
        assert_eq!(level(&mut session), expected, "{format}");
    }
}
