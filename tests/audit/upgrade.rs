//! The checks of an upgrade, on every engine, over schemas of real releases.

mod backlog;

use std::collections::BTreeMap;

use sexton::archive::Before;
use sexton::audit::upgrade::{Database, Options, Upgrade, Verdict, upgrade};
use sexton::audit::{AuditReport, Finding, Severity};
use sexton::db::{Engine, introspect};
use sexton::exit::ExitCode;
use sexton::schema::{Model, Profile, Schema};

use crate::support::service::Service;

/// A database at the version of its release.
fn made(model: &str, engine: Engine) -> Service {
    let mut service = Service::new(model, engine);
    let version = Model::built_in(model).unwrap().version;
    let sql = format!("INSERT INTO alembic_version VALUES ('{version}')");
    service.session.execute(&sql).unwrap();
    service
}

fn options(release: &str) -> Options {
    Options {
        release: release.into(),
        checks: Vec::new(),
        max_deleted_rows: 100,
        deleted_since: Before::try_from("2025-01-01 00:00:00".to_owned()).unwrap(),
        samples: 5,
    }
}

/// The verdict, and the findings by check.
fn judged(
    main: &mut Service,
    api: Option<&mut Service>,
    options: &Options,
) -> (Upgrade, BTreeMap<String, Vec<Finding>>) {
    let schema = introspect(&mut main.session).unwrap();
    let graph = Profile::detect(&schema).families(&schema).unwrap();
    let mut databases = vec![Database {
        cell: None,
        prefix: String::new(),
        session: &mut main.session,
        schema: &graph.schema,
        graph: Some(&graph),
    }];
    let api_schema: Schema;
    if let Some(api) = api {
        api_schema = introspect(&mut api.session).unwrap();
        databases.push(Database {
            cell: None,
            prefix: "API.".into(),
            session: &mut api.session,
            schema: &api_schema,
            graph: None,
        });
    }
    let mut report = AuditReport::new("", "");
    let upgrade = upgrade(&mut databases, options, &mut report).unwrap();
    assert_eq!(report.not_checked, []);
    let mut by_check: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for finding in report.findings {
        by_check
            .entry(finding.check.clone())
            .or_default()
            .push(finding);
    }
    (upgrade, by_check)
}

fn on_each_engine(test: impl Fn(Engine)) {
    for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
        eprintln!("--- {engine}");
        test(engine);
    }
}

fn commands(upgrade: &Upgrade) -> Vec<&str> {
    let words = |command: &str| command.split(" /").next().map_or(0, str::len);
    let commands = upgrade.commands.iter().map(|s| s.command.as_str());
    commands.map(|c| &c[..words(c)]).collect()
}

#[test]
fn a_database_that_is_there_already_may_go_and_has_nothing_to_run() {
    on_each_engine(|engine| {
        let mut main = made("nova-34.0.0", engine);
        let mut api = made("nova-34.0.0-api", engine);
        let (upgrade, findings) = judged(&mut main, Some(&mut api), &options("nova-34"));
        assert_eq!(findings, BTreeMap::new());
        assert_eq!(upgrade.verdict, Verdict::Go);
        assert_eq!(upgrade.release, "nova 34.0.0");
        assert_eq!(upgrade.commands, []);
        assert_eq!(upgrade.databases[0].releases, ["nova 34.0.0"]);
        // Without its API database nobody can say so.
        let (upgrade, _) = judged(&mut main, None, &options("nova-34"));
        assert_eq!(upgrade.verdict, Verdict::GoWithCare);
        assert_eq!(upgrade.unseen.len(), 2);
    });
}

#[test]
fn every_online_migration_counts_the_rows_that_it_has_to_change_and_no_other() {
    on_each_engine(|engine| {
        let mut main = made("nova-29.4.0", engine);
        let mut api = made("nova-29.4.0-api", engine);
        let live = [("deleted", "0")];
        let dead = [("deleted", "1"), ("deleted_at", "'2026-01-01 00:00:00'")];
        for (id, marks) in [("1", &live[..]), ("2", &dead[..])] {
            let row = |more: &[(&'static str, &'static str)]| {
                let mut all = vec![("id", id)];
                all.extend(marks);
                all.extend(more);
                all
            };
            // Quotas and migrations are left alone once they are deleted.
            main.row("quotas", &row(&[("resource", "'r'")]));
            main.row("migrations", &row(&[]));
            let uuid = if id == "1" { "'u1'" } else { "'u2'" };
            let host = [("uuid", uuid), ("host", "'h'"), ("compute_id", "7")];
            main.row("instances", &row(&host));
            main.row("compute_nodes", &row(&[("cpu_allocation_ratio", "0.0")]));
            let device = [("address", uuid), ("compute_node_id", id)];
            main.row("pci_devices", &row(&device));
        }
        let done = [
            ("id", "3"),
            ("uuid", "'u3'"),
            ("deleted", "0"),
            ("availability_zone", "'z'"),
            ("host", "'h'"),
        ];
        main.row("instances", &done);
        let ratios = [
            ("id", "4"),
            ("deleted", "0"),
            ("cpu_allocation_ratio", "1.0"),
            ("ram_allocation_ratio", "1.0"),
            ("disk_allocation_ratio", "1.0"),
        ];
        main.row("compute_nodes", &ratios);
        api.row("cell_mappings", &[("id", "1"), ("uuid", "'c'")]);
        for (id, project, cell) in [("1", "'p'", "1"), ("2", "'p'", "NULL")] {
            let values = [
                ("id", id),
                ("instance_uuid", id),
                ("project_id", project),
                ("cell_id", cell),
            ];
            api.row("instance_mappings", &values);
        }
        let nobody = "'00000000-0000-0000-0000-000000000000'";
        let marker = [
            ("id", "3"),
            ("instance_uuid", nobody),
            ("project_id", nobody),
        ];
        api.row("instance_mappings", &marker);
        let (upgrade, findings) = judged(&mut main, Some(&mut api), &options("nova-31"));
        let pending: Vec<_> = upgrade
            .pending
            .iter()
            .map(|p| (p.migration.as_str(), p.table.as_str(), p.rows, p.deleted))
            .collect();
        let expected = [
            ("migrate_quota_limits_to_api_db", "quotas", 1, 0),
            ("migration_migrate_to_uuid", "migrations", 1, 0),
            ("populate_missing_availability_zones", "instances", 2, 1),
            ("populate_queued_for_delete", "API.instance_mappings", 1, 0),
            ("migrate_empty_ratio", "compute_nodes", 1, 0),
            ("populate_user_id", "API.instance_mappings", 2, 0),
            ("populate_dev_uuids", "pci_devices", 2, 1),
            ("populate_instance_compute_id", "instances", 1, 0),
        ];
        assert_eq!(pending, expected);
        assert!(upgrade.pending.iter().all(|p| p.due));
        assert_eq!(findings["pending-data-migration"].len(), expected.len());
        assert_eq!(upgrade.verdict, Verdict::GoWithCare);
        let run = commands(&upgrade);
        let at = |command: &str| run.iter().position(|c| c.starts_with(command)).unwrap();
        assert!(
            at("sexton archive --until-complete") < at("nova-manage db online_data_migrations")
        );
        assert!(at("nova-manage db online_data_migrations") < at("nova-manage api_db sync"));
        assert!(at("nova-manage api_db sync") < at("nova-manage db sync"));
        assert!(at("nova-manage db sync") < at("sexton schema diff --release nova-31.3.1"));
    });
}

/// What the release of the database does not bring yet is run after the upgrade.
#[test]
fn a_migration_that_comes_with_the_upgrade_is_no_reason_against_it() {
    let mut main = made("nova-27.5.1", Engine::Sqlite);
    let mut api = made("nova-27.5.1-api", Engine::Sqlite);
    let node = [
        ("id", "1"),
        ("uuid", "'u'"),
        ("deleted", "0"),
        ("availability_zone", "'z'"),
    ];
    main.row("instances", &node);
    // The column of populate_instance_compute_id is not there before 2023.2, and is NULL then.
    let (upgrade, findings) = judged(&mut main, Some(&mut api), &options("nova-29"));
    assert!(upgrade.pending.iter().all(|p| p.rows == 1 && !p.due));
    assert_eq!(upgrade.pending.len(), 1);
    let behind = &findings["migration-behind"];
    assert!(behind.iter().all(|f| f.severity == Severity::Note));
    assert_eq!(upgrade.verdict, Verdict::Go);
    main.session
        .execute("ALTER TABLE instances ADD COLUMN compute_id BIGINT")
        .unwrap();
    let (upgrade, findings) = judged(&mut main, Some(&mut api), &options("nova-29"));
    assert!(!upgrade.pending[0].due);
    assert_eq!(
        findings["pending-data-migration"][0].severity,
        Severity::Note
    );
    let last: Vec<_> = commands(&upgrade);
    assert_eq!(last[2], "nova-manage db online_data_migrations");
    assert_eq!(last.len(), 4, "{last:?}");
}

#[test]
fn where_a_database_is_decides_how_bad_it_is() {
    let severity = |model: &str, release: &str| {
        let mut main = made(model, Engine::Sqlite);
        let (upgrade, findings) = judged(&mut main, None, &options(release));
        let found = findings["migration-behind"][0].clone();
        (found.severity, found.message, upgrade)
    };
    let (level, message, _) = severity("nova-29.4.0", "nova-31");
    assert_eq!(level, Severity::Note);
    let said = "the database is at 13863f4e1612, of nova 29.4.0; nova 31.3.1 has 2903cd72dc14";
    assert_eq!(message, said);
    let (level, message, _) = severity("nova-25.0.0", "nova-34.0.0");
    assert_eq!(level, Severity::Warning);
    assert!(message.ends_with(": 9 major releases further"), "{message}");
    let (level, message, upgrade) = severity("nova-34.0.0", "nova-31");
    assert_eq!(level, Severity::Error);
    assert!(message.ends_with(", which is older"), "{message}");
    assert_eq!(upgrade.verdict, Verdict::Stop);
    // An error first: nothing is synced.
    let syncs = upgrade.commands.iter().any(|c| c.command.contains("sync"));
    assert!(!syncs, "{:?}", upgrade.commands);
    // A version that is of no release.
    let mut main = made("nova-31.3.1", Engine::Sqlite);
    let odd = "UPDATE alembic_version SET version_num = 'deadbeef'";
    main.session.execute(odd).unwrap();
    let schema = introspect(&mut main.session).unwrap();
    let graph = Profile::detect(&schema).families(&schema).unwrap();
    let mut databases = [Database {
        cell: None,
        prefix: String::new(),
        session: &mut main.session,
        schema: &graph.schema,
        graph: Some(&graph),
    }];
    let mut report = AuditReport::new("", "");
    let judged = upgrade_of(&mut databases, &mut report);
    assert_eq!(judged.verdict, Verdict::GoWithCare);
    assert_eq!(report.findings[0].severity, Severity::Warning);
    // The schema was held against nothing, and that is never clean.
    assert_eq!(report.not_checked[0].check, "model-drift");
    assert_eq!(report.exit_code(Severity::Warning), ExitCode::Unavailable);
}

fn upgrade_of(databases: &mut [Database<'_>], report: &mut AuditReport) -> Upgrade {
    upgrade(databases, &options("nova-34"), report).unwrap()
}

#[test]
fn drift_is_told_from_the_release_that_the_database_is_at() {
    on_each_engine(|engine| {
        let mut main = made("nova-31.3.1", engine);
        let index = "CREATE INDEX mine ON instances (hostname)";
        main.session.execute(index).unwrap();
        let (_, findings) = judged(&mut main, None, &options("nova-34"));
        let drift = &findings["model-drift"][0];
        assert_eq!((drift.severity, drift.count), (Severity::Note, 1));
        main.session
            .execute("DROP TABLE shadow_instance_faults")
            .unwrap();
        let (_, findings) = judged(&mut main, None, &options("nova-34"));
        let drift = &findings["model-drift"][0];
        assert_eq!((drift.severity, drift.count), (Severity::Warning, 2));
        assert!(drift.remedy.contains("--release nova-31.3.1"), "{drift:?}");
    });
}

/// PostgreSQL makes no index for a foreign key.
#[test]
fn a_reference_without_an_index_is_named_with_the_index_once_it_has_rows() {
    let mut main = made("cinder-29.0.0", Engine::Postgres);
    let (_, findings) = judged(&mut main, None, &options("cinder-29"));
    assert!(
        !findings.contains_key("unindexed-reference"),
        "{findings:?}"
    );
    let dead = main.truth(false);
    main.session
        .execute("DROP INDEX IF EXISTS volume_metadata_volume_id_idx")
        .unwrap();
    let schema = introspect(&mut main.session).unwrap();
    let table = schema.table("volume_metadata").unwrap();
    for index in &table.indexes {
        let drop = format!("DROP INDEX \"{}\"", index.name);
        main.session.execute(&drop).unwrap();
    }
    main.row("volumes", &[("id", "'v'"), ("deleted", dead)]);
    main.row(
        "volume_metadata",
        &[("id", "1"), ("volume_id", "'v'"), ("deleted", dead)],
    );
    let (_, findings) = judged(&mut main, None, &options("cinder-29"));
    let found = &findings["unindexed-reference"][0];
    assert_eq!((found.severity, found.count), (Severity::Note, 1));
    main.session.execute(&found.remedy).unwrap();
    let (_, findings) = judged(&mut main, None, &options("cinder-29"));
    assert!(
        !findings.contains_key("unindexed-reference"),
        "{findings:?}"
    );
}

/// Tables and columns of the conditions are those of a release that is known here.
#[test]
fn every_data_migration_of_a_profile_is_about_a_table_of_its_service() {
    let mut seen = 0;
    for name in Profile::names() {
        let profile = Profile::built_in(name).unwrap();
        assert!(!profile.upgrade.sync.is_empty(), "{name}");
        for migration in &profile.data_migration {
            let of = |m: &&str| m.starts_with(name) && m.ends_with("-api") == migration.api;
            let model = Model::names().find(of).unwrap();
            let schema = Model::built_in(model).unwrap().schema().unwrap();
            let table = schema.table(&migration.table);
            let table = table.unwrap_or_else(|| panic!("{model}: {}", migration.table));
            let columns = [&migration.null, &migration.set, &migration.any_null_or_zero];
            let values = migration.equal.keys().chain(migration.other_than.keys());
            for column in columns.into_iter().flatten().chain(values) {
                assert!(table.column(column).is_some(), "{model}: {column}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

/// Why the commands whose beginning this is are to be run.
fn whys<'a>(upgrade: &'a Upgrade, command: &str) -> Vec<&'a str> {
    let steps = upgrade.commands.iter();
    let these = steps.filter(|s| s.command.starts_with(command));
    these.map(|s| s.why.as_str()).collect()
}

#[test]
fn a_command_names_the_databases_and_errors_come_first() {
    let mut main = made("nova-34.0.0", Engine::Sqlite);
    let mut api = made("nova-34.0.0-api", Engine::Sqlite);
    let (upgrade, _) = judged(&mut main, Some(&mut api), &options("nova-31"));
    let both = format!("--api {} {}", api.session.label(), main.session.label());
    let run: Vec<_> = upgrade.commands.iter().map(|s| &s.command).collect();
    let expected = [
        format!("sexton audit --fail-on error {both}"),
        format!("sexton audit --upgrade-to nova-31.3.1 {both}"),
    ];
    assert_eq!(run, expected.each_ref());
    let said = "1 error first: the remedy of each is beside it";
    assert_eq!(upgrade.commands[0].why, said);
}

#[test]
fn two_major_releases_are_one_step_and_more_are_gone_over_one_by_one() {
    let sync = |model: &str, release: &str| {
        let mut main = made(model, Engine::Sqlite);
        let (upgrade, findings) = judged(&mut main, None, &options(release));
        let why = whys(&upgrade, "nova-manage db sync")[0].to_owned();
        (why, findings["migration-behind"][0].severity)
    };
    let (why, severity) = sync("nova-29.4.0", "nova-31");
    assert_eq!(
        (why.as_str(), severity),
        ("with nova 31.3.1", Severity::Note)
    );
    let (why, severity) = sync("nova-31.3.1", "nova-34");
    let each = "with each release on the way, one after the other, at last nova 34.0.0";
    assert_eq!((why.as_str(), severity), (each, Severity::Warning));
}

/// Half of the tables of an API database are in the main one too.
#[test]
fn the_version_of_the_same_release_s_other_database_is_no_newer_one() {
    let mut main = made("nova-25.0.0", Engine::Sqlite);
    let mut api = made("nova-25.0.0-api", Engine::Sqlite);
    let wrong = "UPDATE alembic_version SET version_num = '16f1fbcab42b'";
    api.session.execute(wrong).unwrap();
    let (upgrade, findings) = judged(&mut main, Some(&mut api), &options("nova-25"));
    assert_eq!(upgrade.databases[1].releases, ["nova 25.0.0"]);
    let found = &findings["migration-behind"][0];
    let said =
        "the database is at 16f1fbcab42b, of nova 25.0.0; nova 25.0.0 (api) has b30f573d3377";
    assert_eq!(found.message, said);
    assert_eq!(found.severity, Severity::Note);
}

#[test]
fn drift_is_told_of_its_table_or_of_all_where_it_is_in_several() {
    let mut main = made("nova-34.0.0", Engine::Sqlite);
    let mut table = |name: &str| {
        let index = format!("CREATE INDEX mine_{name} ON {name} (host)");
        main.session.execute(&index).unwrap();
        let (_, findings) = judged(&mut main, None, &options("nova-34"));
        findings["model-drift"][0].table.clone()
    };
    assert_eq!(table("instances"), "instances");
    assert_eq!(table("services"), "*");
}

/// Of a database at a version that nobody knows only what all releases bring is due.
#[test]
fn what_every_release_brings_is_due_at_an_unknown_version_too() {
    let mut main = made("nova-31.3.1", Engine::Sqlite);
    let odd = "UPDATE alembic_version SET version_num = 'deadbeef'";
    main.session.execute(odd).unwrap();
    let instance = [
        ("id", "1"),
        ("uuid", "'u'"),
        ("deleted", "0"),
        ("host", "'h'"),
    ];
    main.row("instances", &instance);
    let mut options = options("nova-34");
    options.checks = vec!["pending-data-migration".into()];
    let (upgrade, _) = judged(&mut main, None, &options);
    let due: Vec<_> = upgrade
        .pending
        .iter()
        .map(|p| (p.migration.as_str(), p.due))
        .collect();
    let expected = [
        ("populate_missing_availability_zones", true),
        ("populate_instance_compute_id", false),
    ];
    assert_eq!(due, expected);
}

/// Whoever archives an instance looks for its rows by such a reference, and for no other's.
#[test]
fn a_reference_by_convention_needs_an_index_only_where_rows_go_with_their_owner() {
    let mut main = made("nova-34.0.0", Engine::Sqlite);
    main.row("instance_id_mappings", &[("id", "1"), ("uuid", "'u'")]);
    main.row("compute_nodes", &[("id", "1")]);
    let device = [("id", "1"), ("compute_node_id", "1")];
    main.row("pci_devices", &device);
    let indexes = [
        "ix_instance_id_mappings_uuid",
        "ix_pci_devices_instance_uuid_deleted",
    ];
    for index in indexes {
        let drop = format!("DROP INDEX {index}");
        main.session.execute(&drop).unwrap();
    }
    let (_, findings) = judged(&mut main, None, &options("nova-34"));
    let found: Vec<_> = findings["unindexed-reference"]
        .iter()
        .map(|f| f.reference.as_deref().unwrap())
        .collect();
    assert_eq!(found, ["instance_id_mappings.uuid -> instances.uuid"]);
}

#[test]
fn what_could_not_be_asked_is_said_with_its_table_and_is_no_clean_verdict() {
    let mut main = made("nova-34.0.0", Engine::Sqlite);
    let schema = introspect(&mut main.session).unwrap();
    let graph = Profile::detect(&schema).families(&schema).unwrap();
    // It was there when the schema was read.
    main.session.execute("DROP TABLE compute_nodes").unwrap();
    let mut databases = [Database {
        cell: None,
        prefix: "cell1.".into(),
        session: &mut main.session,
        schema: &graph.schema,
        graph: Some(&graph),
    }];
    let mut report = AuditReport::new("", "");
    let judged = upgrade_of(&mut databases, &mut report);
    let gaps: Vec<_> = report
        .not_checked
        .iter()
        .map(|gap| (gap.check.as_str(), gap.table.as_deref().unwrap()))
        .collect();
    let expected = [
        ("backlog", "cell1.compute_nodes"),
        ("pending-data-migration", "cell1.compute_nodes"),
    ];
    assert_eq!(gaps, expected);
    assert!(
        report
            .not_checked
            .iter()
            .all(|g| g.why.contains("compute_nodes"))
    );
    assert_eq!(judged.verdict, Verdict::GoWithCare);
    assert_eq!(report.exit_code(Severity::Warning), ExitCode::Unavailable);
}

#[test]
fn a_verdict_is_read_as_words() {
    let all = [Verdict::Go, Verdict::GoWithCare, Verdict::Stop];
    let words = all.map(|verdict| verdict.to_string());
    assert_eq!(words, ["go", "go with care", "stop"]);
}
