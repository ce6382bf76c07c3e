use crate::fixture::Db;

const CHECK: &str = "inconsistent-marker";

#[test]
fn deleted_without_a_date() {
    let mut db = Db::clean();
    db.sql("UPDATE instances SET deleted_at = NULL WHERE id IN (3, 4)");
    assert_eq!(db.lines(CHECK), ["warning instances - 2 [3 4]"]);
    db.mend(CHECK);
}

#[test]
fn live_with_a_date() {
    let mut db = Db::clean();
    db.sql("UPDATE instances SET deleted_at = '2024-01-01 00:00:00' WHERE id = 1");
    assert_eq!(db.lines(CHECK), ["warning instances - 1 [1]"]);
    db.mend(CHECK);
}

#[test]
fn a_marker_that_says_nothing() {
    let mut db = Db::clean();
    db.sql("UPDATE compute_nodes SET deleted = NULL");
    assert_eq!(db.lines(CHECK), ["warning compute_nodes - 1 [1]"]);
    db.mend(CHECK);
}

#[test]
fn a_marker_that_is_not_the_rows_own_key() {
    let mut db = Db::clean();
    db.sql("UPDATE instances SET deleted = 1 WHERE id = 3");
    assert_eq!(db.lines(CHECK), ["note instances - 1 [3]"]);
    db.mend(CHECK);
}

#[test]
fn tables_that_are_never_marked_are_left_alone() {
    let mut db = Db::clean();
    db.sql("UPDATE instance_actions SET deleted = NULL");
    assert_eq!(db.lines(CHECK), [] as [&str; 0]);
}

/// Neither where the service writes something else than the key nor where that fits no marker.
#[test]
fn a_marker_is_held_against_the_key_only_where_it_should_hold_it() {
    let mut other = Db::bare();
    other.sql("CREATE TABLE things (id INTEGER PRIMARY KEY, deleted INT)");
    other.sql("INSERT INTO things VALUES (7, 1)");
    assert_eq!(other.lines(CHECK), [] as [&str; 0]);
    let mut nova = Db::clean();
    nova.sql("CREATE TABLE things (uuid VARCHAR(36) PRIMARY KEY NOT NULL, deleted INT)");
    nova.sql("INSERT INTO things VALUES ('a', 1)");
    assert_eq!(nova.lines(CHECK), [] as [&str; 0]);
}
