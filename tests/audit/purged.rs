//! Services without shadow tables: what holds up a purge, on their real schemas.

use sexton::audit::{self, Finding, Severity};
use sexton::db::{Engine, introspect};
use sexton::schema::Profile;

use crate::support::service::Service;

const DEAD: &str = "'2025-06-01 00:00:00'";

fn findings(service: &mut Service) -> Vec<Finding> {
    let schema = introspect(&mut service.session).unwrap();
    let graph = Profile::detect(&schema).families(&schema).unwrap();
    let options = audit::Options::default();
    let report = audit::audit(&mut service.session, &graph.as_cleaned_up(), &options).unwrap();
    assert_eq!(report.not_checked, []);
    report.findings
}

/// Only the stack can be marked; events and resources go with it.
#[test]
fn children_that_cannot_be_marked_hold_nobody_up() {
    Service::on_each_engine("heat-27.0.1", |mut heat| {
        heat.row("raw_template", &[("id", "1")]);
        for (id, deleted_at) in [("'s1'", DEAD), ("'s2'", "NULL")] {
            let stack = [
                ("id", id),
                ("raw_template_id", "1"),
                ("deleted_at", deleted_at),
            ];
            heat.row("stack", &stack);
            let number = if deleted_at == "NULL" { "2" } else { "1" };
            heat.row("event", &[("id", number), ("stack_id", id)]);
        }
        assert_eq!(findings(&mut heat), []);
        let outcome = heat.purge("2026-01-01");
        assert_eq!(outcome.total_rows, 2);
        assert_eq!(heat.column("stack", "id"), ["s2"]);
        assert_eq!(findings(&mut heat), []);
    });
}

/// Here cinder-manage rolls everything back.
#[test]
fn a_live_child_holds_a_purge_up_and_is_named_with_what_mends_it() {
    Service::on_each_engine("cinder-29.0.0", |mut cinder| {
        let (yes, no) = (cinder.truth(true), cinder.truth(false));
        let volume = [("id", "'v'"), ("deleted", yes), ("deleted_at", DEAD)];
        cinder.row("volumes", &volume);
        let metadata = [("id", "1"), ("volume_id", "'v'"), ("deleted", no)];
        cinder.row("volume_metadata", &metadata);
        let found = findings(&mut cinder);
        let errors: Vec<_> = found
            .iter()
            .filter(|f| f.severity == Severity::Error)
            .collect();
        assert_eq!(errors.len(), 1, "{found:#?}");
        assert_eq!(errors[0].check, "unarchivable-parent");
        assert!(errors[0].remedy.contains("volume_metadata"), "{errors:?}");
        assert!(
            !found.iter().any(|f| f.remedy.contains("archive")),
            "{found:#?}"
        );
        assert_eq!(cinder.purge("2026-01-01").total_rows, 0);
    });
}

/// `root_enabled_history.deleted_at` says when root was disabled last.
#[test]
fn a_column_that_marks_nothing_takes_no_row_from_a_living_instance() {
    for engine in [Engine::Sqlite, Engine::Mysql] {
        let mut trove = Service::new("trove-26.0.0", engine);
        let no = trove.truth(false);
        trove.row("instances", &[("id", "'i'"), ("deleted", no)]);
        let history = [("id", "'i'"), ("deleted_at", DEAD), ("created", DEAD)];
        trove.row("root_enabled_history", &history);
        assert_eq!(findings(&mut trove), []);
        assert_eq!(trove.purge("2026-01-01").total_rows, 0);
        assert_eq!(trove.column("root_enabled_history", "id"), ["i"]);
    }
}

/// Zones are marked with their own id as text, and their records cannot be marked.
#[test]
fn a_zone_goes_with_its_records() {
    Service::on_each_engine("designate-23.0.0", |mut designate| {
        let ids = [
            "11111111111111111111111111111111",
            "22222222222222222222222222222222",
        ];
        for (id, dead) in ids.iter().zip([true, false]) {
            let quoted = format!("'{id}'");
            let (mark, at) = match dead {
                true => (quoted.as_str(), DEAD),
                false => ("'0'", "NULL"),
            };
            let values = [
                ("id", quoted.as_str()),
                ("name", &quoted),
                ("deleted", mark),
                ("deleted_at", at),
            ];
            designate.row("zones", &values);
            designate.row("recordsets", &[("id", &quoted), ("zone_id", &quoted)]);
            let hash = format!("'h{dead}'");
            let record = [
                ("id", quoted.as_str()),
                ("zone_id", &quoted),
                ("recordset_id", &quoted),
                ("hash", &hash),
            ];
            designate.row("records", &record);
        }
        assert_eq!(findings(&mut designate), []);
        assert_eq!(designate.purge("2026-01-01").total_rows, 3);
        for table in ["zones", "recordsets", "records"] {
            assert_eq!(designate.column(table, "id").len(), 1, "{table}");
        }
    });
}

/// Masakari and Barbican: what their own commands stumble over goes, or stays alone.
#[test]
fn a_host_that_is_younger_than_its_segment_keeps_that_segment_only() {
    Service::on_each_engine("masakari-22.0.0", |mut masakari| {
        for (id, host_at) in [("1", DEAD), ("2", "'2025-12-01 00:00:00'")] {
            let uuid = format!("'s{id}'");
            let marks = [("deleted", id), ("deleted_at", DEAD)];
            let segment = [&[("id", id), ("uuid", &uuid), ("name", &uuid)], &marks[..]].concat();
            masakari.row("failover_segments", &segment);
            let host = [
                ("id", id),
                ("uuid", &uuid),
                ("name", &uuid),
                ("failover_segment_id", &uuid),
                ("deleted", id),
                ("deleted_at", host_at),
            ];
            masakari.row("hosts", &host);
        }
        assert_eq!(findings(&mut masakari), []);
        assert_eq!(masakari.purge("2025-07-01").total_rows, 2);
        assert_eq!(masakari.column("failover_segments", "uuid"), ["s2"]);
    });
    Service::on_each_engine("barbican-23.0.0", |mut barbican| {
        let (yes, no) = (barbican.truth(true), barbican.truth(false));
        let project = [("id", "'p'"), ("deleted", no)];
        barbican.row("projects", &project);
        for id in ["'a'", "'b'"] {
            let marks = [("deleted", yes), ("deleted_at", DEAD)];
            let secret = [&[("id", id), ("project_id", "'p'")], &marks[..]].concat();
            barbican.row("secrets", &secret);
        }
        // A leftover that nobody marks stops `barbican-manage db clean` altogether.
        let acl = [("id", "'l'"), ("secret_id", "'a'"), ("deleted", no)];
        barbican.row("secret_acls", &acl);
        assert_eq!(barbican.purge("2026-01-01").total_rows, 3);
        assert_eq!(barbican.column("secrets", "id"), Vec::<String>::new());
    });
}
