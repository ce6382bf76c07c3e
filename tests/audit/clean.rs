//! A sound database, and an audit as a whole.

use sexton::audit::{Options, Severity, audit, catalogue};
use sexton::exit::ExitCode;

use crate::fixture::{Db, State, line};

#[test]
fn an_empty_database_has_no_findings() {
    let report = Db::empty().audit();
    assert_eq!((report.findings, report.not_checked), (vec![], vec![]));
}

#[test]
fn a_sound_database_has_no_findings() {
    let report = Db::clean().audit();
    assert_eq!((&report.findings, &report.not_checked), (&vec![], &vec![]));
    assert_eq!(report.profile, "nova");
    assert_eq!(report.exit_code(Severity::Note), ExitCode::Done);
}

/// A table that cannot be read is no clean table.
#[test]
fn what_could_not_be_asked_is_reported_and_not_clean() {
    let mut db = Db::clean();
    let graph = db.graph();
    db.sql("DROP TABLE instance_system_metadata");
    let report = audit(&mut db.session, &graph, &Options::default()).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.exit_code(Severity::Warning), ExitCode::Unavailable);
    let gap = report
        .not_checked
        .iter()
        .find(|g| g.check == "residue")
        .unwrap();
    assert_eq!(gap.table.as_deref(), Some("instance_system_metadata"));
    assert!(gap.why.contains("no such table"), "{}", gap.why);
    // Everything else was asked all the same.
    let checks: Vec<_> = report.not_checked.iter().map(|g| &g.check).collect();
    assert!(checks.len() < 20 && checks.len() > 4, "{checks:?}");
}

#[test]
fn a_check_is_chosen_by_its_name() {
    for (id, _) in catalogue() {
        let options = Options {
            checks: vec![id.into()],
            ..Options::default()
        };
        assert_eq!(Db::clean().audit_with(&options).findings, []);
    }
}

/// Such a table has nothing to show a sample of, and rows that cannot be told apart count each.
#[test]
fn a_table_without_a_key_is_audited_all_the_same() {
    let mut db = Db::clean();
    db.sql("DROP TABLE security_groups");
    db.sql(
        "CREATE TABLE security_groups (created_at DATETIME, updated_at DATETIME, \
         deleted_at DATETIME, id INTEGER NOT NULL, deleted INTEGER, name VARCHAR(255))",
    );
    db.insert("security_groups", 1, State::Live, "name", "g");
    db.insert("security_groups", 2, State::Deleted, "name", "g");
    db.insert(
        "shadow_security_group_rules",
        9,
        State::Live,
        "parent_group_id",
        "1",
    );
    let report = db.audit();
    assert_eq!(report.not_checked, []);
    assert_eq!(
        report.findings.iter().map(line).collect::<Vec<_>>(),
        [
            "error security_group_rules \
             security_group_rules.parent_group_id -> security_groups.id 1 []",
            "error security_groups - 1 []",
        ]
    );
}
