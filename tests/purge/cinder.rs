//! Cinder: booleans, one row that refers to another of its table, and a purge that rolls everything
//! back where one row is needed. The scenarios are those of its own tests (test_purge.py).

use sexton::archive::{self, ExportFormat, Options, Outcome, Stop};
use sexton::db::Engine;

use crate::support::service::{Service, before};

const OLD: &str = "'2025-01-01 00:00:00'";
const YOUNG: &str = "'2025-12-01 00:00:00'";
/// Between the two.
const CUT_OFF: &str = "2025-06-01";

struct Cinder(Service);

impl Cinder {
    fn on_each_engine(test: impl Fn(Self)) {
        Service::on_each_engine("cinder-29.0.0", |service| test(Self(service)));
    }

    /// A row that was deleted then, or lives.
    fn row(&mut self, table: &str, deleted_at: Option<&str>, values: &[(&str, &str)]) {
        let mut all = values.to_vec();
        all.push(("deleted", self.0.truth(deleted_at.is_some())));
        all.push(("deleted_at", deleted_at.unwrap_or("NULL")));
        self.0.row(table, &all);
    }

    /// A volume with metadata and an attachment with specs.
    fn volume(&mut self, id: i64, deleted_at: Option<&str>) {
        let (volume, attachment) = (format!("'v{id}'"), format!("'a{id}'"));
        let number = id.to_string();
        self.row("volumes", deleted_at, &[("id", &volume)]);
        for table in [
            "volume_metadata",
            "volume_admin_metadata",
            "volume_glance_metadata",
        ] {
            self.row(
                table,
                deleted_at,
                &[("id", &number), ("volume_id", &volume)],
            );
        }
        let values = [("id", attachment.as_str()), ("volume_id", &volume)];
        self.row("volume_attachment", deleted_at, &values);
        let values = [("id", number.as_str()), ("attachment_id", &attachment)];
        self.row("attachment_specs", deleted_at, &values);
    }

    fn volumes(&mut self) -> Vec<String> {
        self.0.column("volumes", "id")
    }
}

const ROWS_PER_VOLUME: u64 = 6;

fn reasons(outcome: &Outcome) -> Vec<(&str, &str)> {
    let pair = |b: &'_ sexton::archive::Blocked| (b.reason.clone(), b.root.clone());
    let mut pairs: Vec<_> = outcome.blocked.iter().map(pair).collect();
    pairs.sort();
    assert_eq!(
        pairs.len() as u64,
        outcome.blocked_families.values().sum::<u64>()
    );
    let sorted = pairs.iter();
    let find = |(reason, root): &(String, String)| {
        let same = |b: &&sexton::archive::Blocked| b.reason == *reason && b.root == *root;
        let blocked = outcome.blocked.iter().find(same).unwrap();
        (blocked.reason.as_str(), blocked.root.as_str())
    };
    sorted.map(find).collect()
}

/// test_purge_deleted_rows_old, _older.
#[test]
fn what_was_deleted_before_the_cut_off_goes_with_all_its_children() {
    Cinder::on_each_engine(|mut cinder| {
        cinder.volume(1, Some(OLD));
        cinder.volume(2, Some(YOUNG));
        cinder.volume(3, None);
        let outcome = cinder.0.purge("2024-01-01");
        assert_eq!((outcome.total_rows, outcome.has_blocked()), (0, false));
        let outcome = cinder.0.purge(CUT_OFF);
        assert_eq!((outcome.total_rows, outcome.families), (ROWS_PER_VOLUME, 1));
        assert!(!outcome.has_blocked(), "{:?}", outcome.blocked);
        assert_eq!(cinder.volumes(), ["v2", "v3"]);
        for table in [
            "volume_metadata",
            "volume_glance_metadata",
            "attachment_specs",
        ] {
            assert_eq!(cinder.0.column(table, "id"), ["2", "3"], "{table}");
        }
        let outcome = cinder.0.purge("2100-01-01");
        assert_eq!(outcome.total_rows, ROWS_PER_VOLUME);
        assert_eq!(cinder.volumes(), ["v3"]);
    });
}

/// test_purge_deleted_rows_integrity_failure: cinder-manage gives up and rolls everything back.
#[test]
fn a_row_that_a_living_one_needs_is_kept_and_holds_up_nothing_else() {
    Cinder::on_each_engine(|mut cinder| {
        cinder.volume(1, Some(OLD));
        cinder.volume(2, Some(OLD));
        cinder.volume(3, Some(OLD));
        cinder.row("snapshots", None, &[("id", "'s'"), ("volume_id", "'v1'")]);
        let values = [("id", "9"), ("volume_id", "'v2'")];
        cinder.row("volume_metadata", None, &values);
        let outcome = cinder.0.purge(CUT_OFF);
        assert_eq!(outcome.total_rows, ROWS_PER_VOLUME);
        assert_eq!(cinder.volumes(), ["v1", "v2"]);
        assert_eq!(
            reasons(&outcome),
            [("live-child", "volumes:v1"), ("live-child", "volumes:v2")]
        );
        assert!(outcome.blocked.iter().all(|b| !b.remedy.is_empty()));
        // Whole: not even their own dead children have gone.
        assert_eq!(cinder.0.column("volume_admin_metadata", "id"), ["1", "2"]);
    });
}

/// A snapshot is no part of its volume, but it must go first.
#[test]
fn soft_deleted_rows_that_refer_to_each_other_go_in_order() {
    Cinder::on_each_engine(|mut cinder| {
        cinder.volume(1, Some(OLD));
        cinder.row(
            "snapshots",
            Some(OLD),
            &[("id", "'s'"), ("volume_id", "'v1'")],
        );
        let values = [("id", "1"), ("snapshot_id", "'s'")];
        cinder.row("snapshot_metadata", Some(OLD), &values);
        let outcome = cinder.0.purge(CUT_OFF);
        assert_eq!(outcome.total_rows, ROWS_PER_VOLUME + 2);
        assert!(!outcome.has_blocked(), "{:?}", outcome.blocked);
        // A younger one keeps its volume.
        cinder.volume(2, Some(OLD));
        cinder.row(
            "snapshots",
            Some(YOUNG),
            &[("id", "'t'"), ("volume_id", "'v2'")],
        );
        let outcome = cinder.0.purge(CUT_OFF);
        assert_eq!(outcome.total_rows, 0);
        assert_eq!(reasons(&outcome), [("younger-relative", "volumes:v2")]);
        assert_eq!(cinder.volumes(), ["v2"]);
        // So does one that is old and is itself kept.
        cinder.row(
            "snapshots",
            Some(OLD),
            &[("id", "'u'"), ("volume_id", "'v2'")],
        );
        cinder.row(
            "snapshot_metadata",
            None,
            &[("id", "7"), ("snapshot_id", "'u'")],
        );
        let outcome = cinder.0.purge("2100-01-01");
        assert_eq!(outcome.rows, [("snapshots".to_owned(), 1)].into());
        assert_eq!(
            reasons(&outcome),
            [
                ("live-child", "snapshots:u"),
                ("soft-deleted-child-stays", "volumes:v2")
            ]
        );
    });
}

/// What is no table of the service is an operator's: a copy of a table, named as it may be.
#[test]
fn tables_that_the_service_does_not_have_are_left_alone() {
    Cinder::on_each_engine(|mut cinder| {
        cinder.volume(1, Some(OLD));
        cinder.volume(2, Some(OLD));
        let charset = match cinder.0.database.engine {
            Engine::Mysql => " DEFAULT CHARSET=utf8mb3",
            Engine::Sqlite | Engine::Postgres => "",
        };
        let notes = format!(
            "CREATE TABLE notes (id INT PRIMARY KEY, deleted INT, volume_id VARCHAR(36) NOT NULL, \
             FOREIGN KEY (volume_id) REFERENCES volumes (id)){charset}"
        );
        for sql in [
            "CREATE TABLE volumes_bak AS SELECT * FROM volumes",
            "CREATE TABLE shadow_volumes AS SELECT * FROM volumes",
            notes.as_str(),
            "INSERT INTO notes VALUES (1, 1, 'v2')",
        ] {
            cinder.0.session.execute(sql).unwrap();
        }
        let outcome = cinder.0.purge(CUT_OFF);
        assert_eq!(outcome.total_rows, ROWS_PER_VOLUME);
        assert_eq!(reasons(&outcome), [("live-child", "volumes:v2")]);
        assert_eq!(cinder.0.column("volumes_bak", "id"), ["v1", "v2"]);
        assert_eq!(cinder.0.column("shadow_volumes", "id"), ["v1", "v2"]);
        assert_eq!(cinder.0.column("notes", "id"), ["1"]);
    });
}

/// What cannot be written is not deleted.
#[test]
fn rows_are_in_files_before_they_are_gone() {
    Cinder::on_each_engine(|mut cinder| {
        cinder.volume(1, Some(OLD));
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            export: Some(ExportFormat::Jsonl),
            export_dir: directory.path().to_owned(),
            ..before(CUT_OFF)
        };
        let graph = cinder.0.graph(&[]);
        let session = &mut cinder.0.session;
        let mut purge =
            || archive::purge_in_place(session, &graph, &options, &Stop::default(), &mut ());
        let full = directory.path().join("volumes.jsonl");
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        let error = purge().unwrap_err();
        assert!(error.message.contains("volumes.jsonl"), "{error:?}");
        std::fs::remove_file(&full).unwrap();
        for file in std::fs::read_dir(directory.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        let outcome = purge().unwrap();
        assert_eq!(outcome.total_rows, ROWS_PER_VOLUME);
        let mut lines = 0;
        for (table, rows) in &outcome.rows {
            let path = directory.path().join(format!("{table}.jsonl"));
            let text = std::fs::read_to_string(path).unwrap();
            assert_eq!(text.lines().count() as u64, *rows, "{table}");
            lines += rows;
        }
        assert_eq!(lines, ROWS_PER_VOLUME);
        assert_eq!(cinder.volumes(), Vec::<String>::new());
    });
}

/// test_purge_deleted_rows with quality_of_service_specs: keys are rows of the same table.
#[test]
fn a_tree_of_rows_of_one_table_goes_whole() {
    Cinder::on_each_engine(|mut cinder| {
        for (root, key) in [("q1", "k1"), ("q2", "k2")] {
            let root = format!("'{root}'");
            cinder.row("quality_of_service_specs", Some(OLD), &[("id", &root)]);
            let values = [("id", format!("'{key}'"))];
            let values = [("id", values[0].1.as_str()), ("specs_id", &root)];
            cinder.row("quality_of_service_specs", Some(OLD), &values);
        }
        let values = [("id", "'t'"), ("qos_specs_id", "'q2'")];
        cinder.row("volume_types", None, &values);
        let outcome = cinder.0.purge(CUT_OFF);
        assert_eq!(outcome.total_rows, 2);
        assert_eq!(
            cinder.0.column("quality_of_service_specs", "id"),
            ["k2", "q2"]
        );
        assert_eq!(
            reasons(&outcome),
            [("live-child", "quality_of_service_specs:q2")]
        );
    });
}

/// A volume that was detached while it lived, and has been deleted lately.
#[test]
fn an_old_row_goes_though_its_owner_lives_or_is_younger() {
    Cinder::on_each_engine(|mut cinder| {
        for (volume, deleted_at) in [("'v1'", None), ("'v2'", Some(YOUNG))] {
            cinder.row("volumes", deleted_at, &[("id", volume)]);
            let attachment = volume.replace('v', "a");
            let values = [("id", attachment.as_str()), ("volume_id", volume)];
            cinder.row("volume_attachment", Some(OLD), &values);
        }
        let outcome = cinder.0.purge(CUT_OFF);
        assert_eq!(outcome.rows, [("volume_attachment".to_owned(), 2)].into());
        assert!(!outcome.has_blocked(), "{:?}", outcome.blocked);
        assert_eq!(cinder.volumes(), ["v1", "v2"]);
    });
}

/// The family waits for its youngest row.
#[test]
fn a_child_that_is_too_young_keeps_its_family() {
    Cinder::on_each_engine(|mut cinder| {
        cinder.volume(1, Some(OLD));
        let values = [("id", "9"), ("volume_id", "'v1'")];
        cinder.row("volume_metadata", Some(YOUNG), &values);
        let outcome = cinder.0.purge(CUT_OFF);
        assert_eq!(outcome.total_rows, 0);
        assert_eq!(reasons(&outcome), [("younger-relative", "volumes:v1")]);
        assert_eq!(cinder.0.purge("2100-01-01").total_rows, ROWS_PER_VOLUME + 1);
    });
}

/// Bug 1671354: a row that was marked without a date.
#[test]
fn a_row_without_a_date_is_kept_and_counted() {
    Cinder::on_each_engine(|mut cinder| {
        cinder.row("volumes", Some("NULL"), &[("id", "'v1'")]);
        let outcome = cinder.0.purge("2100-01-01");
        assert_eq!(outcome.total_rows, 0);
        assert_eq!(outcome.blocked_families, [("no-date".to_owned(), 1)].into());
        let remedy = "set deleted_at of the row, or purge with --all";
        assert_eq!(outcome.blocked[0].remedy, remedy);
        let all = sexton::archive::Options {
            until_complete: true,
            ..Default::default()
        };
        assert_eq!(cinder.0.purge_with(&all, &[]).total_rows, 1);
    });
}
