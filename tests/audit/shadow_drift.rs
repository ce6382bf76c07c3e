use sexton::audit::{Checks, Options, Probe, audit, plan};
use sexton::db::Engine;
use sexton::schema::{ColumnType, Profile};

use crate::fixture::{Db, line, probes, schema};
use crate::support::databases::Database;
use crate::support::filled;

const CHECK: &str = "shadow-drift";

#[test]
fn a_column_that_the_shadow_table_lacks_is_an_error_that_the_remedy_mends() {
    let mut db = Db::clean();
    db.sql("ALTER TABLE shadow_instances DROP COLUMN internal_id");
    assert_eq!(
        db.lines(CHECK),
        ["error instances - 1 [instances.internal_id]"]
    );
    db.mend(CHECK);
}

#[test]
fn a_missing_shadow_table_and_one_without_its_live_table() {
    let mut db = Db::clean();
    db.sql("DROP TABLE shadow_instance_system_metadata");
    db.sql("DROP TABLE consoles");
    assert_eq!(
        db.lines(CHECK),
        [
            "error instance_system_metadata - 1 [shadow_instance_system_metadata]",
            "note shadow_consoles - 1 [shadow_consoles]",
        ]
    );
}

#[test]
fn a_table_of_somebody_else_is_named() {
    let mut db = Db::clean();
    db.sql("CREATE TABLE instances_bak (id INTEGER PRIMARY KEY)");
    let findings = db.findings(CHECK);
    assert_eq!(
        findings.iter().map(line).collect::<Vec<_>>(),
        ["warning instances_bak - 1 [instances_bak]"]
    );
    assert!(findings[0].message.contains("nova-manage"));
}

#[test]
fn content_that_nova_manage_would_lose_is_counted() {
    let mut db = Db::clean();
    db.sql("UPDATE instances SET internal_id = 7 WHERE id IN (1, 3)");
    db.sql("UPDATE instance_extra SET vpmems = 'x'");
    assert_eq!(
        db.lines(CHECK),
        [
            "warning instance_extra - 2 [30 40]",
            "warning instances - 1 [3]",
        ]
    );
}

/// Two enum types with the same labels: SQLite and MariaDB have no such thing.
#[test]
fn enum_types_of_two_names_are_a_warning() {
    let remedies = |live: &str, shadow: &str| -> Vec<String> {
        let mut schema = schema();
        for (table, native) in [("instances", live), ("shadow_instances", shadow)] {
            let column = &mut schema.tables.get_mut(table).unwrap().columns[5];
            column.ty = ColumnType::Enum(vec!["owner".into()]);
            column.native = Some(native.into());
        }
        let probes = probes(&schema, Engine::Postgres, CHECK);
        let about = |p: &&Probe| p.message.contains(" is of type ");
        probes
            .iter()
            .filter(about)
            .map(|p| p.remedy.clone())
            .collect()
    };
    assert_eq!(remedies("a", "a"), [] as [&str; 0]);
    assert_eq!(
        remedies("a", "b"),
        [
            "ALTER TABLE \"shadow_instances\" ALTER COLUMN \"uuid\" TYPE a USING \
          \"uuid\"::text::a"
        ]
    );
}

#[test]
fn intended_drift_is_not_mentioned() {
    let mut schema = schema();
    schema.tables.get_mut("shadow_instances").unwrap().columns[5].nullable = true;
    let probes = |profile: &Profile| {
        let graph = profile.families(&schema).unwrap();
        let checks = Checks::choose(&[CHECK.into()]).unwrap();
        let probes = plan(&graph, Engine::Sqlite, &checks);
        probes
            .iter()
            .filter(|p| p.message.starts_with("instances.uuid"))
            .count()
    };
    let mut profile = Profile::detect(&schema);
    assert_eq!(probes(&profile), 1);
    profile.intended_drift.push("instances.uuid".into());
    assert_eq!(probes(&profile), 0);
}

#[test]
fn a_shadow_column_that_allows_no_null_is_let_have_them() {
    let mut schema = schema();
    let column = &mut schema.tables.get_mut("shadow_instances").unwrap().columns[7];
    assert_eq!(column.name, "internal_id");
    column.nullable = false;
    let remedy = |engine| {
        let probes = probes(&schema, engine, CHECK);
        let about = |p: &&Probe| p.message.starts_with("instances.internal_id: ");
        probes.iter().find(about).unwrap().remedy.clone()
    };
    assert_eq!(
        [Engine::Mysql, Engine::Postgres, Engine::Sqlite].map(remedy),
        [
            "ALTER TABLE `shadow_instances` MODIFY `internal_id` int NULL",
            "ALTER TABLE \"shadow_instances\" ALTER COLUMN \"internal_id\" DROP NOT NULL",
            "make \"internal_id\" of \"shadow_instances\" nullable (SQLite: by making the table \
             anew)",
        ]
    );
}

/// Without a profile a table whose rows are never soft-deleted needs no shadow table, and none
/// does where the service keeps no shadow tables at all.
#[test]
fn a_shadow_table_is_missed_by_convention_where_others_are_there() {
    let mut db = Db::bare();
    db.sql("CREATE TABLE marked (id INTEGER PRIMARY KEY, deleted INT)");
    db.sql("CREATE TABLE other (id INTEGER PRIMARY KEY, deleted INT)");
    db.sql("CREATE TABLE plain (id INTEGER PRIMARY KEY)");
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
    db.sql("CREATE TABLE shadow_marked (id INTEGER PRIMARY KEY, deleted INT)");
    assert_eq!(db.lines(CHECK), ["warning other - 1 [shadow_other]"]);
}

/// PostgreSQL refuses such a change where the column has a default that it would have to cast.
#[test]
fn the_remedies_for_enum_types_are_taken_by_postgresql() {
    let database = Database::fresh(Engine::Postgres);
    let mut session = database.session();
    let families = filled::fill(&mut session, 3, 1);
    let report = audit(&mut session, &families, &Options::default()).unwrap();
    let drifts = report.findings.iter().filter(|f| f.check == "shadow-drift");
    let remedies: Vec<_> = drifts.map(|f| f.remedy.clone()).collect();
    assert!(
        remedies.iter().any(|r| r.contains("DEFAULT")),
        "{remedies:?}"
    );
    for remedy in &remedies {
        session
            .execute(remedy)
            .unwrap_or_else(|e| panic!("{remedy}: {e}"));
    }
    let graph = filled::graph(&mut session);
    let report = audit(&mut session, &graph, &Options::default()).unwrap();
    assert!(
        !report.findings.iter().any(|f| f.check == "shadow-drift"),
        "{:?}",
        report.findings
    );
}
