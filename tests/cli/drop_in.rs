//! sexton in the place of nova-manage: what OpenStack's upgrader (COU) and the charm of
//! nova-cloud-controller do with it.
//!
//! They run `nova-manage db archive_deleted_rows --verbose --max_rows N` again and again, take the codes 0 and
//! 1 for success, and stop at "Nothing was archived."; then `nova-manage db purge --verbose`, with `--all` or
//! `--before`, where 0 and 3 are success.

use assert_cmd::Command;

use crate::sample::{Ran, Sample, run};

/// A link to the binary under the name of the tool.
struct NovaManage {
    sample: Sample,
    configuration: String,
}

impl NovaManage {
    fn new() -> Self {
        let sample = Sample::new();
        let configuration = sample.configuration();
        let link = sample.path("nova-manage");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sexton"), link).unwrap();
        Self {
            sample,
            configuration,
        }
    }

    fn db(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(self.sample.path("nova-manage"));
        command.args(["--config-file", &self.configuration, "db"]);
        command.args(arguments);
        run(command)
    }

    /// The loop, by its contract; the output of the last run.
    fn archive(&self) -> Ran {
        for _ in 0..100 {
            let ran = self.db(&["archive_deleted_rows", "--verbose", "--max_rows", "200"]);
            assert!([0, 1].contains(&ran.code), "{}{}", ran.stdout, ran.stderr);
            if ran.stdout.contains("Nothing was archived.") {
                return ran;
            }
        }
        panic!("the loop does not end");
    }
}

#[test]
fn the_upgraders_loop_ends_with_all_that_may_move_moved() {
    let nova_manage = NovaManage::new();
    let sample = &nova_manage.sample;
    let last = nova_manage.archive();
    assert_eq!((last.code, last.stderr.as_str()), (0, ""));
    assert_eq!(sample.count("instances WHERE deleted <> 0"), 0);
    assert_eq!(sample.count("shadow_instances"), 30);

    let purged = nova_manage.db(&["purge", "--verbose", "--before", "2000-01-01"]);
    assert_eq!((purged.code, purged.stdout.as_str()), (3, ""));
    let purged = nova_manage.db(&["purge", "--verbose", "--all"]);
    assert_eq!(purged.code, 0, "{}", purged.stderr);
    let line = "DB: Deleted 30 rows from shadow_instances based on timestamp column (n/a)\n";
    assert!(purged.stdout.contains(line), "{}", purged.stdout);
    assert_eq!(sample.count("shadow_instances"), 0);
    let again = nova_manage.db(&["purge", "--verbose", "--all"]);
    assert_eq!((again.code, again.stdout.as_str()), (3, ""));
}

/// The real one stops at such a row with 255, and archives nothing any more. To the loop a blocked family is
/// one that is not there; who reads stderr sees it.
#[test]
fn a_blocked_family_does_not_keep_the_loop_from_its_end() {
    let nova_manage = NovaManage::new();
    let sample = &nova_manage.sample;
    let mut session = sample.session();
    let dead = "SELECT uuid FROM instances WHERE deleted <> 0 ORDER BY id LIMIT 1";
    let blocked = session.query(dead).unwrap()[0][0].to_string();
    let leftover = format!(
        "INSERT INTO share_mapping (id, uuid, instance_uuid, share_id, status, tag, export_location, \
         share_proto) VALUES (1, 'x', '{blocked}', 's', 'active', 't', 'e', 'NFS')"
    );
    session.execute(&leftover).unwrap();
    drop(session);
    let last = nova_manage.archive();
    assert_eq!(last.code, 0);
    assert!(last.stderr.contains("no-shadow-table"), "{}", last.stderr);
    assert!(last.stderr.contains("share_mapping:1"), "{}", last.stderr);
    assert_eq!(sample.count("shadow_instances"), 29);
    let stays = format!("WHERE instance_uuid = '{blocked}'");
    assert_eq!(sample.count(&format!("instance_extra {stays}")), 1);
    assert_eq!(sample.count(&format!("shadow_instance_extra {stays}")), 0);

    let purged = nova_manage.db(&["purge", "--verbose", "--all"]);
    assert_eq!((purged.code, purged.stderr.as_str()), (0, ""));
    assert_eq!(sample.count("shadow_instances"), 0);
    assert_eq!(sample.count("instances WHERE deleted <> 0"), 1);
}

/// As argparse has it: a script that asks for something else must not take silence for success.
#[test]
fn what_else_nova_manage_can_do_is_refused() {
    let nova_manage = NovaManage::new();
    let before = nova_manage.sample.bytes();
    for arguments in [
        &["sync"][..],
        &["purge", "--all", "--older-than", "3"],
        &["archive_deleted_rows", "--dry-run"],
    ] {
        let ran = nova_manage.db(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    assert_eq!(nova_manage.sample.bytes(), before);
}
