use sexton::audit::{Ask, Options};
use sexton::db::Engine;

use crate::fixture::{Db, probes, schema, uuid};

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

#[test]
fn a_remedy_with_keys_for_some_of_the_rows_says_that_there_are_more() {
    let mut db = Db::clean();
    db.sql("INSERT INTO shadow_instance_system_metadata SELECT * FROM instance_system_metadata");
    let of = |db: &mut Db, samples| {
        let checks = vec![CHECK.into()];
        db.audit_with(&Options { checks, samples }).findings[0]
            .remedy
            .clone()
    };
    assert!(of(&mut db, 2).ends_with("IN (10, 20, ...)"));
    assert!(of(&mut db, 4).ends_with("IN (10, 20, 30, 40)"));
}

#[test]
fn a_key_of_two_columns_is_given_as_a_pair() {
    let mut db = Db::clean();
    let rows = format!("('{}', 'x'), ('{}', 'y')", uuid(1), uuid(1));
    db.sql(&format!("INSERT INTO tags VALUES {rows}"));
    db.sql("CREATE TABLE shadow_tags AS SELECT * FROM tags WHERE tag = 'x'");
    assert_eq!(
        db.lines(CHECK),
        [format!("warning tags - 1 [{}/x]", uuid(1))]
    );
    db.mend(CHECK);
}

/// How MariaDB compares text by default is not how an operator does; a number has one spelling.
#[test]
fn mariadb_compares_text_byte_by_byte() {
    let probes = probes(&schema(), Engine::Mysql, CHECK);
    let probe = probes.iter().find(|p| p.table == "instances").unwrap();
    let Ask::Rows(question) = &probe.ask else {
        panic!("{probe:#?}");
    };
    let sql = &question.from_where;
    assert!(
        sql.contains("CAST(l.`uuid` AS BINARY) <=> CAST(s.`uuid` AS BINARY)")
            && sql.contains("l.`deleted` <=> s.`deleted`"),
        "{sql}"
    );
}
