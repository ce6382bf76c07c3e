//! Soft-deleted rows that an upgrade would carry along: how many they are, and how old.

use std::collections::BTreeMap;

use sexton::archive::Before;
use sexton::audit::upgrade::{Database, Options, Verdict, upgrade};
use sexton::audit::{AuditReport, Census, TableCensus};
use sexton::db::{Engine, introspect};
use sexton::schema::Profile;

use super::{judged, made, on_each_engine, options};
use crate::support::service::Service;

/// A soft-deleted row of a table, or of a shadow table.
fn dead(main: &mut Service, table: &str, id: &str, at: &str) {
    let (uuid, at) = (format!("'u{id}'"), format!("'{at}'"));
    let mut values = vec![("id", id), ("deleted", id), ("deleted_at", &at)];
    if table.ends_with("instances") {
        // Nothing that a migration has to change.
        values.extend([("uuid", uuid.as_str()), ("compute_id", "1")]);
    }
    main.row(table, &values);
}

#[test]
fn the_backlog_is_counted_by_table_and_judged_by_number_and_age() {
    on_each_engine(|engine| {
        let mut main = made("nova-34.0.0", engine);
        for id in 1..=3 {
            let (id, uuid) = (id.to_string(), format!("'u{id}'"));
            let values = [
                ("id", id.as_str()),
                ("uuid", &uuid),
                ("deleted", &id),
                ("deleted_at", "'2025-06-01 00:00:00'"),
                ("availability_zone", "'z'"),
                ("compute_id", "1"),
            ];
            main.row("instances", &values);
        }
        main.row("shadow_instances", &[("id", "9"), ("deleted", "9")]);
        let (upgrade, findings) = judged(&mut main, None, &options("nova-34"));
        assert!(!findings.contains_key("backlog"));
        let part = &upgrade.backlog[0];
        assert_eq!((part.deleted, part.archived), (3, 1));
        assert!(part.oldest.as_ref().unwrap().starts_with("2025-06-01"));
        let said = |change: fn(&mut Options)| {
            let mut options = options("nova-34");
            change(&mut options);
            options
        };
        let few = said(|o| o.max_deleted_rows = 2);
        let (_, findings) = judged(&mut main, None, &few);
        let message = &findings["backlog"][0].message;
        assert_eq!(message, "3 soft-deleted rows: more than 2");
        let young = said(|o| {
            o.deleted_since = Before::try_from("2025-06-02 00:00:00".to_owned()).unwrap();
        });
        let (_, findings) = judged(&mut main, None, &young);
        let found = &findings["backlog"][0];
        assert_eq!(found.samples, ["instances"]);
        assert!(found.message.contains("deleted before"), "{found:?}");
        let other = said(|o| {
            o.max_deleted_rows = 2;
            o.checks = vec!["model-drift".into()];
        });
        let (_, findings) = judged(&mut main, None, &other);
        assert_eq!(findings, BTreeMap::new());
        let (upgrade, _) = judged(&mut main, None, &other);
        assert_eq!(upgrade.verdict, Verdict::GoWithCare);
    });
}

#[test]
fn as_many_soft_deleted_rows_as_may_be_and_as_old_as_they_may_be_are_no_finding() {
    let mut main = made("nova-34.0.0", Engine::Sqlite);
    dead(&mut main, "instances", "1", "2025-01-01 00:00:00");
    dead(&mut main, "services", "2", "2025-03-01 00:00:00");
    let mut options = options("nova-34");
    options.max_deleted_rows = 2;
    let (_, findings) = judged(&mut main, None, &options);
    assert!(!findings.contains_key("backlog"), "{findings:?}");
    // A second later the instance is too old, and the service, which is not, is not to blame.
    options.deleted_since = Before::try_from("2025-01-01 00:00:01".to_owned()).unwrap();
    let (_, findings) = judged(&mut main, None, &options);
    let found = &findings["backlog"][0];
    let said = "2 soft-deleted rows: some were deleted before 2025-01-01 00:00:01";
    assert_eq!(found.message, said);
    assert_eq!(found.samples, ["instances"]);
    // Too many: every table that has any is to blame, and none that has archived rows only.
    dead(
        &mut main,
        "shadow_instance_faults",
        "3",
        "2024-01-01 00:00:00",
    );
    options.max_deleted_rows = 1;
    let (_, findings) = judged(&mut main, None, &options);
    let found = &findings["backlog"][0];
    let said = "2 soft-deleted rows: more than 1, and some were deleted before 2025-01-01 00:00:01";
    assert_eq!(found.message, said);
    assert_eq!(found.samples, ["instances", "services"]);
    assert_eq!(found.oldest.as_deref(), Some("2025-01-01 00:00:00"));
}

/// A census has read every table already; the upgrade does not read them all again.
#[test]
fn what_a_census_has_counted_is_not_counted_again() {
    let mut main = made("nova-34.0.0", Engine::Sqlite);
    main.row("shadow_instances", &[("id", "9"), ("deleted", "9")]);
    let schema = introspect(&mut main.session).unwrap();
    let graph = Profile::detect(&schema).families(&schema).unwrap();
    let mut asked = |census: Option<Census>| {
        let mut report = AuditReport::new("", "");
        report.census = census;
        let mut databases = [Database {
            cell: None,
            prefix: "a.".into(),
            session: &mut main.session,
            schema: &graph.schema,
            graph: Some(&graph),
        }];
        let judged = upgrade(&mut databases, &options("nova-34"), &mut report).unwrap();
        judged.backlog
    };
    let counted = asked(None);
    assert_eq!((counted.len(), counted[0].archived), (1, 1));
    let mut census = Census::new(jiff::Timestamp::UNIX_EPOCH).unwrap();
    census.tables.push(TableCensus {
        table: "a.instances".into(),
        pending: 4,
        archived: Some(5),
        ..TableCensus::default()
    });
    let known = asked(Some(census));
    assert_eq!((known[0].deleted, known[0].archived), (4, 5));
}

#[test]
fn archived_rows_are_backlog_and_are_purged_once_they_are_old() {
    let mut main = made("nova-34.0.0", Engine::Sqlite);
    let mut api = made("nova-34.0.0-api", Engine::Sqlite);
    dead(&mut main, "shadow_instances", "1", "2025-01-01 00:00:00");
    let mut options = options("nova-34");
    let (upgrade, _) = judged(&mut main, Some(&mut api), &options);
    let tables: Vec<_> = upgrade.backlog.iter().map(|b| b.table.as_str()).collect();
    assert_eq!(tables, ["instances"]);
    assert_eq!(
        (upgrade.backlog[0].deleted, upgrade.backlog[0].archived),
        (0, 1)
    );
    // Not older than the moment.
    assert_eq!(upgrade.commands, []);
    options.deleted_since = Before::try_from("2025-01-01 00:00:01".to_owned()).unwrap();
    let (upgrade, _) = judged(&mut main, Some(&mut api), &options);
    let place = main.session.label();
    let purge = format!("sexton purge --before '2025-01-01 00:00:01' {place}");
    let run: Vec<_> = upgrade.commands.iter().map(|s| &s.command).collect();
    assert_eq!(run, [&purge]);
}
