use sexton::db::Engine;
use sexton::schema::ColumnType;

use crate::fixture::{Db, State, probes, schema, uuid};

const CHECK: &str = "missing-required-child";

#[test]
fn a_live_instance_without_its_extra_row_is_an_error_and_a_deleted_one_a_warning() {
    let mut db = Db::clean();
    db.sql("DELETE FROM instance_extra WHERE id IN (10, 30)");
    assert_eq!(
        db.lines(CHECK),
        [
            "error instances instance_extra.instance_uuid -> instances.uuid 1 [1]",
            "warning instances instance_extra.instance_uuid -> instances.uuid 1 [3]",
        ]
    );
}

#[test]
fn a_row_in_the_shadow_table_is_not_missing() {
    let mut db = Db::clean();
    db.sql("INSERT INTO shadow_instance_extra SELECT * FROM instance_extra WHERE id = 10");
    db.sql("DELETE FROM instance_extra WHERE id = 10");
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
}

#[test]
fn the_remedy_makes_an_empty_row() {
    let mut db = Db::clean();
    db.sql("DELETE FROM instance_info_caches WHERE id = 10");
    db.mend(CHECK);
    // Marked live, or the service does not see it.
    let live = "SELECT COUNT(*) FROM instance_info_caches WHERE deleted = 0";
    assert_eq!(db.session.query_count(live).unwrap(), 2);
}

/// PostgreSQL takes no 0 for a boolean.
#[test]
fn the_remedy_leaves_a_marker_that_is_no_number_to_its_default() {
    let mut schema = schema();
    let table = schema.tables.get_mut("instance_info_caches").unwrap();
    let marker = table.columns.iter_mut().find(|c| c.name == "deleted");
    marker.unwrap().ty = ColumnType::Bool;
    let probes = probes(&schema, Engine::Postgres, CHECK);
    let inserts = |table: &str| {
        let start = format!("INSERT INTO \"{table}\" (\"instance_uuid\") SELECT");
        probes.iter().any(|p| p.remedy.contains(&start))
    };
    assert!(inserts("instance_info_caches") && !inserts("instance_extra"));
}

#[test]
fn bug_1240325_a_null_among_the_children_hides_nothing() {
    let mut db = Db::clean();
    db.sql("UPDATE instance_info_caches SET instance_uuid = NULL WHERE id = 10");
    db.insert(
        "shadow_instance_info_caches",
        99,
        State::Deleted,
        "instance_uuid",
        &uuid(9),
    );
    db.sql("UPDATE shadow_instance_info_caches SET instance_uuid = NULL WHERE id = 99");
    assert_eq!(db.findings(CHECK)[0].samples, ["1"]);
}
