//! The census: what is counted, on every engine, and in how many statements.

use jiff::Timestamp;
use sexton::audit::{Ages, Census, TableCensus};
use sexton::db::Engine;

use crate::fixture::{Db, State, schema, uuid};
use crate::servers::Scratch;

fn at() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn taken(db: &mut Db) -> Census {
    let graph = db.graph();
    let mut census = Census::new(at()).unwrap();
    let before = db.session.statements();
    assert_eq!(census.take(&mut db.session, &graph, "c.").unwrap(), []);
    // Each table is read once, whatever is asked of it.
    let shadows = census
        .tables
        .iter()
        .filter(|t| t.archived.is_some())
        .count();
    let statements = db.session.statements() - before;
    assert_eq!(statements, (census.tables.len() + shadows) as u64);
    census
}

fn part<'a>(census: &'a Census, table: &str) -> &'a TableCensus {
    census.tables.iter().find(|t| t.table == table).unwrap()
}

/// Both ends of every class.
const DATES: [&str; 10] = [
    "'2026-01-05 00:00:00'",
    "'2025-12-25 00:00:00'",
    "'2025-12-24 23:59:59'",
    "'2025-12-02 00:00:00'",
    "'2025-12-01 23:59:59'",
    "'2025-10-03 00:00:00'",
    "'2025-10-02 23:59:59'",
    "'2025-01-01 00:00:00'",
    "'2024-12-31 23:59:59'",
    "NULL",
];

fn counts_rows_and_ages(engine: Engine) {
    let mut scratch = Scratch::new(engine, "census");
    let db = &mut scratch.db;
    db.create(&schema());
    db.fill();
    for (id, date) in (101..).zip(DATES) {
        db.insert("instances", id, State::Deleted, "uuid", &uuid(id));
        db.sql(&format!(
            "UPDATE instances SET deleted_at = {date} WHERE id = {id}"
        ));
    }
    let census = taken(db);
    assert_eq!(census.at, "2026-01-01 00:00:00");
    let instances = part(&census, "c.instances");
    // Two that live, two and ten that are soft-deleted; the fixture's were deleted on 2024-03-02, at ten.
    assert_eq!(
        (instances.rows, instances.pending, instances.archived),
        (14, 12, Some(2))
    );
    let ages = Ages {
        days_7: 2,
        days_30: 2,
        days_90: 2,
        days_365: 2,
        older: 3,
        no_date: 1,
    };
    assert_eq!(instances.ages, ages);
    let oldest = instances.oldest.as_ref().unwrap();
    assert!(oldest.starts_with("2024-03-02 10:00:00"), "{oldest}");
    assert_eq!(
        instances.oldest_age_seconds,
        Some(670 * 86_400 - 10 * 3_600)
    );
    let oldest = instances.oldest_archived.as_ref().unwrap();
    assert!(oldest.starts_with("2024-03-02 10:00:00"), "{oldest}");
    // Nova never marks actions: whether one is pending, the row does not say.
    let actions = part(&census, "c.instance_actions");
    assert_eq!(
        (actions.rows, actions.pending, actions.archived),
        (4, 0, Some(2))
    );
    // Neither a marker nor a shadow.
    assert!(census.tables.iter().all(|t| t.table != "c.tags"));
    let total = census.total();
    let sum = |of: fn(&TableCensus) -> u64| census.tables.iter().map(of).sum::<u64>();
    assert_eq!(
        (total.rows, total.pending),
        (sum(|t| t.rows), sum(|t| t.pending))
    );
    assert_eq!(total.oldest_age_seconds, instances.oldest_age_seconds);
    let of_classes: u64 = total.ages.classes().iter().map(|(_, n)| n).sum();
    assert_eq!(of_classes, total.pending);
}

#[test]
fn a_census_counts_rows_and_ages_on_sqlite() {
    counts_rows_and_ages(Engine::Sqlite);
}

#[test]
fn a_census_counts_rows_and_ages_on_mysql() {
    counts_rows_and_ages(Engine::Mysql);
}

#[test]
fn a_census_counts_rows_and_ages_on_postgres() {
    counts_rows_and_ages(Engine::Postgres);
}

#[test]
fn a_table_that_cannot_be_counted_is_not_taken_for_empty() {
    let mut db = Db::clean();
    let graph = db.graph();
    db.sql("DROP TABLE shadow_instances");
    let mut census = Census::new(at()).unwrap();
    let gaps = census.take(&mut db.session, &graph, "").unwrap();
    let [gap] = gaps.as_slice() else {
        panic!("{gaps:?}");
    };
    assert_eq!(
        (gap.check.as_str(), gap.table.as_deref()),
        ("census", Some("instances"))
    );
    assert!(gap.why.contains("shadow_instances"), "{gap:?}");
    assert!(census.tables.iter().all(|t| t.table != "instances"));
}
