//! The dates that remedies write: UTC, whatever the zone of the server or of the session in which somebody runs them.

use sexton::db::Engine;

use crate::fixture::sql_of;
use crate::servers::Scratch;

/// How far a date of `notes` or `moments` is from now, in seconds, whatever the session's zone.
fn seconds_off(engine: Engine, table: &str) -> String {
    let off = match (engine, table) {
        (Engine::Sqlite, _) => "ABS(strftime('%s', deleted_at) - strftime('%s', 'now'))",
        (Engine::Mysql, "notes") => "ABS(TIMESTAMPDIFF(SECOND, deleted_at, UTC_TIMESTAMP()))",
        // Both in the session's zone.
        (Engine::Mysql, _) => "ABS(TIMESTAMPDIFF(SECOND, deleted_at, NOW()))",
        (Engine::Postgres, "notes") => {
            "CAST(ABS(EXTRACT(EPOCH FROM deleted_at - (now() AT TIME ZONE 'UTC'))) AS INT)"
        }
        (Engine::Postgres, _) => "CAST(ABS(EXTRACT(EPOCH FROM deleted_at - now())) AS INT)",
    };
    format!("SELECT COUNT(*) FROM {table} WHERE {off} < 300")
}

fn dates_are_utc(engine: Engine) {
    let mut scratch = Scratch::new(engine, "in_utc");
    let db = &mut scratch.db;
    let (date, moment, zone) = match engine {
        Engine::Sqlite => ("DATETIME", "TIMESTAMP", None),
        Engine::Mysql => (
            "DATETIME",
            "TIMESTAMP NULL",
            Some("SET time_zone = '+05:00'"),
        ),
        Engine::Postgres => (
            "TIMESTAMP",
            "TIMESTAMP WITH TIME ZONE",
            Some("SET TIME ZONE 5"),
        ),
    };
    let tables = [("notes", date), ("moments", moment)];
    for (table, ty) in tables {
        db.sql(&format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, deleted INT NOT NULL, deleted_at {ty})"
        ));
        db.sql(&format!(
            "INSERT INTO {table} VALUES (1, 1, NULL), (2, 0, NULL)"
        ));
    }
    zone.iter().for_each(|zone| db.sql(zone));
    let graph = db.graph();
    let mended = db.findings("inconsistent-marker");
    assert_eq!(mended.len(), 2);
    for finding in mended {
        let [remedy] = sql_of(&finding.remedy).try_into().unwrap();
        db.sql(&remedy);
    }
    for (table, _) in tables {
        // As the remedies of unarchivable-parent, and those for blocked families, have it.
        let marker = graph.member(table).unwrap().marker.clone().unwrap();
        let set = marker.set_deleted(engine, "id");
        db.sql(&format!("UPDATE {table} SET {set} WHERE id = 2"));
        let dated = db.session.query_count(&seconds_off(engine, table)).unwrap();
        assert_eq!(dated, 2, "{engine}: {table}: {set}");
    }
}

#[test]
fn dates_are_utc_on_sqlite() {
    dates_are_utc(Engine::Sqlite);
}

#[test]
fn dates_are_utc_on_mysql() {
    dates_are_utc(Engine::Mysql);
}

#[test]
fn dates_are_utc_on_postgres() {
    dates_are_utc(Engine::Postgres);
}
