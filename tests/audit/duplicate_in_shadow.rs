use crate::fixture::Db;

const CHECK: &str = "duplicate-in-shadow";

#[test]
fn the_same_row_in_both_tables_is_a_warning_that_the_remedy_mends() {
    let mut db = Db::clean();
    db.sql("INSERT INTO shadow_instance_system_metadata SELECT * FROM instance_system_metadata");
    assert_eq!(
        db.lines(CHECK),
        ["warning instance_system_metadata - 4 [10 20 30 40]"]
    );
    db.mend(CHECK);
}

#[test]
fn another_row_under_the_same_key_is_an_error() {
    let mut db = Db::clean();
    db.sql("INSERT INTO shadow_instance_system_metadata SELECT * FROM instance_system_metadata");
    db.sql("UPDATE shadow_instance_system_metadata SET value = 'x' WHERE id IN (10, 30)");
    assert_eq!(
        db.lines(CHECK),
        [
            "warning instance_system_metadata - 2 [20 40]",
            "error instance_system_metadata - 2 [10 30]",
        ]
    );
}
