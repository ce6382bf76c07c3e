//! The real manila-manage, cinder-manage and glance-manage beside sexton, on the same data on each engine: the
//! same rows are gone, but for differences that are named here and in `docs/purge.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use sexton::archive::{Before, Options};
use sexton::db::Engine;

use crate::support::cloud::contents;
use crate::support::nova;
use crate::support::service::{Service, program};

/// Days; what was deleted longer ago goes.
const AGE: i64 = 30;

/// `'2026-01-31 00:00:00'`, so many days ago.
fn days_ago(days: i64) -> String {
    // The same for both databases.
    static NOW: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);
    let then = *NOW - SignedDuration::from_hours(24 * days);
    let then = then.to_zoned(TimeZone::UTC).datetime();
    then.strftime("'%Y-%m-%d %H:%M:%S'").to_string()
}

/// Rows by table.
type Rows = BTreeMap<String, BTreeSet<String>>;

fn rows(service: &mut Service) -> Rows {
    let tables = contents(&mut service.session).into_iter();
    tables
        .map(|(t, rows)| (t, rows.into_iter().collect()))
        .collect()
}

/// What the real service and sexton leave of the same rows, which `fill` makes.
fn left(
    model: &str,
    engine: Engine,
    arguments: &[&str],
    fill: impl Fn(&mut Service),
) -> (Rows, Rows) {
    let both = both(model, engine, arguments, fill);
    assert!(both.theirs_ran.status.success(), "{:?}", both.theirs_ran);
    assert_ne!(both.theirs, both.before, "nothing was purged");
    (both.theirs, both.ours)
}

/// What there was, what each of the two leaves of it, and how the real one ended.
struct Both {
    before: Rows,
    theirs: Rows,
    ours: Rows,
    theirs_ran: Output,
}

fn both(model: &str, engine: Engine, arguments: &[&str], fill: impl Fn(&mut Service)) -> Both {
    eprintln!("--- {model} on {engine}");
    let name = model.split('-').next().unwrap();
    let mut theirs = Service::new(model, engine);
    let mut ours = Service::new(model, engine);
    fill(&mut theirs);
    fill(&mut ours);
    let before = rows(&mut theirs);
    assert_eq!(before, rows(&mut ours));

    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("service.conf");
    let state = directory.path().display();
    let url = &theirs.database.url;
    let databases = nova::configuration(url, url);
    let text = format!("[DEFAULT]\nstate_path = {state}\n{databases}");
    std::fs::write(&configuration, text).unwrap();
    let theirs_ran = Command::new(program(name))
        .arg("--config-file")
        .arg(&configuration)
        .args(arguments)
        .output()
        .unwrap();

    let cut_off = days_ago(AGE);
    let before_that = Before::parse(cut_off.trim_matches('\''), Timestamp::now()).unwrap();
    let options = Options {
        before: Some(before_that),
        until_complete: true,
        ..Options::default()
    };
    ours.purge_with(&options, &[]);
    Both {
        before,
        theirs: rows(&mut theirs),
        ours: rows(&mut ours),
        theirs_ran,
    }
}

/// The keys of the rows that only the first one left, by table.
fn more(one: &Rows, other: &Rows) -> Vec<(String, usize)> {
    let tables = one.iter();
    let more = tables.map(|(t, rows)| (t.clone(), rows.difference(&other[t]).count()));
    more.filter(|(_, n)| *n > 0).collect()
}

#[test]
fn cinder() {
    [Engine::Mysql, Engine::Sqlite]
        .into_iter()
        .for_each(cinder_on);
}

fn cinder_on(engine: Engine) {
    let age = AGE.to_string();
    let (theirs, ours) = left("cinder-29.0.0", engine, &["db", "purge", &age], fill_cinder);
    assert_eq!(more(&ours, &theirs), []);
    assert_eq!(more(&theirs, &ours), []);
}

/// There cinder-manage asks whether an integer is true (`volume_type_projects.deleted IS true`), and rolls
/// everything back, each time.
#[test]
fn cinder_on_postgresql_purges_nothing_and_we_do() {
    let age = AGE.to_string();
    let arguments = ["db", "purge", &age];
    let both = both("cinder-29.0.0", Engine::Postgres, &arguments, fill_cinder);
    let said = String::from_utf8_lossy(&both.theirs_ran.stdout).into_owned();
    assert!(!both.theirs_ran.status.success(), "{said}");
    let why = "argument of IS TRUE must be type boolean, not type integer";
    assert!(said.contains(why), "{said}");
    assert_eq!(both.theirs, both.before);
    // The same rows as beside the real one on the other engines.
    let (_, ours) = left("cinder-29.0.0", Engine::Mysql, &arguments, fill_cinder);
    let count = |rows: &Rows| {
        rows.iter()
            .map(|(t, r)| (t.clone(), r.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(count(&both.ours), count(&ours));
    assert_ne!(both.ours, both.before);
}

fn fill_cinder(cinder: &mut Service) {
    let (dead, live) = (cinder.truth(true), cinder.truth(false));
    for (number, age) in [Some(100), Some(40), Some(20), Some(1), None]
        .into_iter()
        .enumerate()
    {
        let at = age.map_or("NULL".to_owned(), days_ago);
        let mark = if age.is_some() { dead } else { live };
        let marked = [("deleted", mark), ("deleted_at", at.as_str())];
        let volume = format!("'v{number}'");
        let attachment = format!("'a{number}'");
        let snapshot = format!("'s{number}'");
        let id = number.to_string();
        let mut row = |table: &str, values: &[(&str, &str)]| {
            cinder.row(table, &[values, &marked[..]].concat());
        };
        row("volumes", &[("id", &volume)]);
        for table in ["volume_metadata", "volume_admin_metadata", "transfers"] {
            row(table, &[("id", &id), ("volume_id", &volume)]);
        }
        row(
            "volume_attachment",
            &[("id", &attachment), ("volume_id", &volume)],
        );
        row(
            "attachment_specs",
            &[("id", &id), ("attachment_id", &attachment)],
        );
        row("snapshots", &[("id", &snapshot), ("volume_id", &volume)]);
        row(
            "snapshot_metadata",
            &[("id", &id), ("snapshot_id", &snapshot)],
        );
        let (root, key) = (format!("'q{number}'"), format!("'k{number}'"));
        row("quality_of_service_specs", &[("id", &root)]);
        row(
            "quality_of_service_specs",
            &[("id", &key), ("specs_id", &root)],
        );
        row("quotas", &[("id", &id)]);
        row("messages", &[("id", &format!("'m{number}'"))]);
    }
    // Detached long ago from a volume that lives, and from one that was deleted lately.
    for (id, volume) in [("'x1'", "'v4'"), ("'x2'", "'v3'")] {
        let at = days_ago(90);
        let values = [
            ("id", id),
            ("volume_id", volume),
            ("deleted", dead),
            ("deleted_at", &at),
        ];
        cinder.row("volume_attachment", &values);
    }
}

#[test]
fn glance() {
    [Engine::Mysql, Engine::Postgres, Engine::Sqlite]
        .into_iter()
        .for_each(glance_on);
}

fn glance_on(engine: Engine) {
    let age = AGE.to_string();
    let arguments = ["db", "purge", "--age_in_days", &age, "--max_rows", "-1"];
    let (theirs, ours) = left("glance-33.0.0", engine, &arguments, |glance| {
        let (dead, live) = (glance.truth(true), glance.truth(false));
        for (number, age) in [Some(100), Some(40), Some(20), None]
            .into_iter()
            .enumerate()
        {
            let at = age.map_or("NULL".to_owned(), days_ago);
            let mark = if age.is_some() { dead } else { live };
            let marked = [("deleted", mark), ("deleted_at", at.as_str())];
            let (image, task) = (format!("'i{number}'"), format!("'t{number}'"));
            let mut row = |table: &str, values: &[(&str, &str)]| {
                glance.row(table, &[values, &marked[..]].concat());
            };
            row("images", &[("id", &image)]);
            for table in [
                "image_properties",
                "image_locations",
                "image_tags",
                "image_members",
            ] {
                row(table, &[("image_id", &image)]);
            }
            row("tasks", &[("id", &task)]);
            glance.row("task_info", &[("task_id", &task)]);
        }
    });
    assert_eq!(more(&ours, &theirs), []);
    assert_eq!(more(&theirs, &ours), []);
}

#[test]
fn manila() {
    [Engine::Mysql, Engine::Postgres]
        .into_iter()
        .for_each(manila_on);
}

fn manila_on(engine: Engine) {
    let age = AGE.to_string();
    let (theirs, ours) = left("manila-23.0.1", engine, &["db", "purge", &age], |manila| {
        for (number, age) in [Some(100), Some(40), Some(20), None]
            .into_iter()
            .enumerate()
        {
            let number = number + 1;
            let at = age.map_or("NULL".to_owned(), days_ago);
            let name = |kind: &str| format!("'{kind}{number}'");
            let id = number.to_string();
            // A marker holds the row's own id, or says that the row lives.
            let mut text = |table: &str, id: &str, values: &[(&str, &str)]| {
                let mark = if age.is_some() { id } else { "'False'" };
                let marked = [("id", id), ("deleted", mark), ("deleted_at", at.as_str())];
                manila.row(table, &[&marked[..], values].concat());
            };
            let (share, instance, server) = (name("s"), name("i"), name("x"));
            let (access, network, location) = (name("m"), name("n"), name("u"));
            text("shares", &share, &[]);
            text("share_servers", &server, &[]);
            text(
                "share_servers",
                &name("y"),
                &[("source_share_server_id", &server)],
            );
            text("share_networks", &network, &[]);
            text(
                "share_network_subnets",
                &name("b"),
                &[("share_network_id", &network)],
            );
            let values = [("share_id", share.as_str()), ("share_server_id", &server)];
            text("share_instances", &instance, &values);
            text("share_access_map", &access, &[("share_id", &share)]);
            let values = [
                ("access_id", access.as_str()),
                ("share_instance_id", &instance),
            ];
            text("share_instance_access_map", &name("j"), &values);
            text("share_snapshots", &name("p"), &[("share_id", &share)]);
            text("messages", &name("g"), &[]);
            text("security_services", &name("c"), &[]);
            let mut number = |table: &str, values: &[(&str, &str)]| {
                let mark = if age.is_some() { id.as_str() } else { "0" };
                let marked = [("id", id.as_str()), ("deleted", mark), ("deleted_at", &at)];
                manila.row(table, &[&marked[..], values].concat());
            };
            number("share_metadata", &[("share_id", &share)]);
            let values = [
                ("share_instance_id", instance.as_str()),
                ("uuid", &location),
            ];
            number("share_instance_export_locations", &values);
            let table = "share_instance_export_locations_metadata";
            number(table, &[("export_location_id", &id)]);
            number("quotas", &[]);
        }
        // An access rule that was taken away from a share that lives.
        let at = days_ago(90);
        let values = [
            ("id", "'z'"),
            ("share_id", "'s4'"),
            ("deleted", "'z'"),
            ("deleted_at", &at),
        ];
        manila.row("share_access_map", &values);
        // Networks keep their associations alive when they are deleted.
        let values = [
            ("share_network_id", "'n1'"),
            ("security_service_id", "'c4'"),
            ("deleted", "0"),
        ];
        manila.row("share_network_security_service_association", &values);
        // Two that differ: an accepted transfer, and a child that is alive though its share is not.
        let values = [("id", "'t'"), ("deleted", "'True'"), ("deleted_at", &at)];
        manila.row("transfers", &values);
        let values = [("id", "77"), ("share_id", "'s2'"), ("deleted", "0")];
        manila.row("share_metadata", &values);
    });
    // The whole of the second share stays with us, and what refers to it or is referred to; with them
    // the share alone.
    insta::assert_debug_snapshot!("manila", more(&ours, &theirs));
    // A server that another one came from is passed over there until the next run: its key comes first.
    let theirs_only = [("share_servers".to_owned(), 1), ("transfers".to_owned(), 1)];
    assert_eq!(more(&theirs, &ours), theirs_only);
}
