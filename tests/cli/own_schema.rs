//! A schema that is none of OpenStack's: the shop of `docs/own-schema.md`, on each engine.

use sexton::db::{Session, Value};

use crate::sample::{Ran, sexton};
use crate::support::databases::Database;

const PROFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/shop/shop.toml");

/// Its tables, a statement a line, and rows.
const SHOP: &str = include_str!("../../docs/examples/shop/shop.sql");

/// A table with its keys and what its rows say, in order.
const KEYS: [(&str, &str); 5] = [
    ("customers", "email"),
    ("products", "name"),
    ("orders", "total"),
    ("order_lines", "quantity"),
    ("order_notes", "body"),
];

fn shop(database: &Database, sql: &str) -> Session {
    let mut session = database.session();
    let statements = sql
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with("--"));
    for statement in statements {
        session.execute(statement.trim_end_matches(';')).unwrap();
    }
    session
}

/// `table:key=value` of every row of the tables with that prefix.
fn rows(session: &mut Session, prefix: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (table, column) in KEYS {
        let read = format!("SELECT id, {column} FROM {prefix}{table} ORDER BY id");
        for row in session.query(&read).unwrap() {
            let text = |value: &Value| match (value.as_int(), value.as_text()) {
                (Some(number), _) => number.to_string(),
                (None, text) => text.unwrap_or_default().to_owned(),
            };
            all.push(format!("{table}:{}={}", text(&row[0]), text(&row[1])));
        }
    }
    all
}

#[test]
fn a_profile_of_some_lines_is_all_that_a_shop_needs() {
    for database in Database::on_each_engine() {
        let engine = database.engine;
        let mut session = shop(&database, SHOP);
        let before = rows(&mut session, "");
        let run = |arguments: &[&str]| -> Ran {
            let with = ["--profile", PROFILE, "--format", "json", &database.url];
            sexton(&[arguments, &with].concat())
        };
        let audited = run(&["audit"]);
        assert_eq!(audited.code, 2, "{engine:?}: {}", audited.stderr);
        let findings = audited.json();
        let found = findings["findings"].as_array().unwrap().iter();
        let found: Vec<_> = found
            .map(|f| {
                format!(
                    "{} {}",
                    f["check"].as_str().unwrap(),
                    f["table"].as_str().unwrap()
                )
            })
            .collect();
        let all = [
            "unarchivable-parent products",
            "residue orders",
            "residue order_notes",
        ];
        assert_eq!(found, all, "{engine:?}");

        let archived = run(&["archive", "--until-complete"]);
        assert_eq!(archived.code, 1, "{engine:?}: {}", archived.stderr);
        assert_eq!(archived.json()["blocked"][0]["root"], "products:2");
        let left = rows(&mut session, "");
        let all = [
            "customers:1=ada@example.org",
            "products:1=spade",
            "products:2=lantern",
            "orders:1=30",
            "order_lines:1=1",
            "order_lines:2=1",
            "order_notes:2=gift",
        ];
        assert_eq!(left, all, "{engine:?}");
        let mut both = [left, rows(&mut session, "archived_")].concat();
        let mut before = before;
        both.sort();
        before.sort();
        assert_eq!(both, before, "{engine:?}: nothing is lost");

        let purged = run(&["purge", "--all"]);
        assert_eq!(purged.code, 0, "{engine:?}: {}", purged.stderr);
        assert!(rows(&mut session, "archived_").is_empty(), "{engine:?}");
    }
}

/// Without shadow tables there is nothing to archive to, and a purge takes families where they are.
#[test]
fn a_shop_without_archived_tables_is_purged_in_place() {
    for database in Database::on_each_engine() {
        let engine = database.engine;
        let mut session = shop(&database, SHOP);
        for (table, _) in KEYS {
            session
                .execute(&format!("DROP TABLE archived_{table}"))
                .unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let profile = directory.path().join("shop.toml");
        let text = std::fs::read_to_string(PROFILE).unwrap();
        let text = text.replacen("tables = [", "without_shadow = [", 1);
        std::fs::write(&profile, text).unwrap();
        let profile = profile.display().to_string();
        let run = |arguments: &[&str]| {
            let with = ["--profile", &profile, "--format", "json", &database.url];
            sexton(&[arguments, &with].concat())
        };
        assert_eq!(run(&["archive"]).code, 65, "{engine:?}");
        let purged = run(&["purge", "--all"]);
        assert_eq!(purged.code, 1, "{engine:?}: {}", purged.stderr);
        let left = rows(&mut session, "");
        // Bob stays too, and the bell: an order of his that nobody marked lives.
        for (row, stays) in [
            ("orders:2=12", false),
            ("order_notes:1=call before noon", false),
            ("products:3=bell", true),
            ("products:2=lantern", true),
            ("customers:2=bob@example.org", true),
        ] {
            assert_eq!(left.iter().any(|r| r == row), stays, "{engine:?}: {left:?}");
        }
    }
}

/// As Rails' `discard` has it, and with the age that `--before` asks for.
#[test]
fn a_marker_with_a_name_of_its_own_is_named_by_the_profile() {
    let database = Database::fresh(sexton::db::Engine::Sqlite);
    let mut session = shop(&database, &SHOP.replace("deleted_at", "discarded_at"));
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("shop.toml");
    let text = std::fs::read_to_string(PROFILE).unwrap();
    let named = "marker_columns = [\"discarded_at\"]\ntables = [";
    std::fs::write(&profile, text.replacen("tables = [", named, 1)).unwrap();
    let profile = profile.display().to_string();
    let with = [
        "--profile",
        &profile,
        "--before",
        "2024-05-01",
        &database.url,
    ];
    let ran = sexton(&[&["archive", "--until-complete", "--quiet"], &with[..]].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let moved = rows(&mut session, "archived_");
    let all = [
        "orders:2=12",
        "order_lines:3=2",
        "order_notes:1=call before noon",
    ];
    assert_eq!(moved, all);
}
