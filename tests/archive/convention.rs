//! A soft-delete schema that no profile knows: foreign keys and the usual column names only.

use jiff::Timestamp;
use sexton::archive::{self, Before, Options, Outcome, Stop};
use sexton::db::{Engine, Session, introspect};
use sexton::schema::Profile;

use crate::support::databases::Database;

/// Customers, their orders, the lines of those. Customer 2 was deleted lately, its orders long
/// before; 3 has a live order.
fn shop(engine: Engine) -> (Database, Session) {
    let database = Database::fresh(engine);
    let mut session = database.session();
    for prefix in ["", "shadow_"] {
        let keys = |sql: &'static str| if prefix.is_empty() { sql } else { "" };
        for sql in [
            format!(
                "CREATE TABLE {prefix}customers (id INTEGER PRIMARY KEY, deleted_at TIMESTAMP NULL)"
            ),
            format!(
                "CREATE TABLE {prefix}orders (id INTEGER PRIMARY KEY, customer_id INTEGER, \
                 deleted_at TIMESTAMP NULL{})",
                keys(", FOREIGN KEY (customer_id) REFERENCES customers (id)")
            ),
            format!(
                "CREATE TABLE {prefix}order_lines (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL{})",
                keys(", FOREIGN KEY (order_id) REFERENCES orders (id)")
            ),
        ] {
            session.execute(&sql).unwrap();
        }
    }
    for sql in [
        "INSERT INTO customers VALUES (1, NULL), (2, '2026-06-01 00:00:00'), \
         (3, '2025-01-01 00:00:00'), (4, '2025-01-01 00:00:00')",
        "INSERT INTO orders VALUES (10, 1, NULL), (20, 2, '2025-01-01 00:00:00'), \
         (21, 2, '2025-01-01 00:00:00'), (30, 3, NULL), (31, 3, '2025-01-01 00:00:00'), \
         (40, 4, '2025-01-01 00:00:00')",
        "INSERT INTO order_lines VALUES (100, 10), (200, 20), (300, 30), (400, 40)",
    ] {
        session.execute(sql).unwrap();
    }
    (database, session)
}

fn archive(session: &mut Session, options: &Options) -> Outcome {
    let schema = introspect(session).unwrap();
    let graph = Profile::detect(&schema).families(&schema).unwrap();
    assert_eq!(graph.profile.name, "convention");
    archive::archive(session, &graph, options, &Stop::default(), &mut ()).unwrap()
}

fn ids(session: &mut Session, table: &str) -> String {
    let rows = session
        .query(&format!("SELECT id FROM {table} ORDER BY id"))
        .unwrap();
    let ids: Vec<_> = rows.iter().map(|r| r[0].to_string()).collect();
    ids.join(" ")
}

#[test]
fn deleted_orders_move_with_their_deleted_customer_and_a_live_one_holds_it_back() {
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let (_database, mut session) = shop(engine);
        let before = Before::parse("2025-12-31", Timestamp::now()).unwrap();
        let options = Options {
            until_complete: true,
            before: Some(before),
            ..Options::default()
        };
        let outcome = archive(&mut session, &options);
        assert_eq!(ids(&mut session, "shadow_customers"), "4");
        assert_eq!(ids(&mut session, "shadow_orders"), "40");
        assert_eq!(ids(&mut session, "shadow_order_lines"), "400");
        assert_eq!(outcome.blocked_families["live-child"], 1);
        assert_eq!(outcome.blocked[0].root, "customers:3");

        // One row a run, and still nobody goes alone.
        archive(
            &mut session,
            &Options {
                max_rows: 1,
                ..Options::default()
            },
        );
        assert_eq!(ids(&mut session, "shadow_customers"), "2 4");
        assert_eq!(ids(&mut session, "shadow_orders"), "20 21 40");
        assert_eq!(ids(&mut session, "orders"), "10 30 31");
    }
}

/// Copying a text into a number would change it and say nothing.
#[test]
fn a_shadow_column_of_another_kind_blocks() {
    let (_database, mut session) = shop(Engine::Sqlite);
    session.execute("DROP TABLE shadow_customers").unwrap();
    session
        .execute("CREATE TABLE shadow_customers (id INTEGER PRIMARY KEY, deleted_at INTEGER)")
        .unwrap();
    let outcome = archive(
        &mut session,
        &Options {
            until_complete: true,
            ..Options::default()
        },
    );
    assert_eq!(ids(&mut session, "shadow_customers"), "");
    assert_eq!(outcome.blocked_families["shadow-column-type"], 3);
}

/// Adds an order line while a run is under way, between two of its batches.
struct Meanwhile(Option<Session>);

impl archive::Observer for Meanwhile {
    fn batch(&mut self, _: u64, _: u64, _: u64) {
        if let Some(mut session) = self.0.take() {
            session
                .execute("INSERT INTO order_lines VALUES (999, 40)")
                .unwrap();
        }
    }
}

/// The reference has no index on SQLite and PostgreSQL, and the database would delete the new row
/// with its order.
#[test]
fn a_child_that_is_added_during_a_run_is_not_lost() {
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        let (database, mut session) = shop(engine);
        session.execute("DROP TABLE order_lines").unwrap();
        session
            .execute(
                "CREATE TABLE order_lines (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, \
                 FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE)",
            )
            .unwrap();
        let schema = introspect(&mut session).unwrap();
        let graph = Profile::detect(&schema).families(&schema).unwrap();
        let options = Options {
            max_rows: 1,
            until_complete: true,
            ..Options::default()
        };
        let mut meanwhile = Meanwhile(Some(database.session()));
        let stop = Stop::default();
        archive::archive(&mut session, &graph, &options, &stop, &mut meanwhile).unwrap();
        assert_eq!(ids(&mut session, "shadow_order_lines"), "999", "{engine}");
    }
}
