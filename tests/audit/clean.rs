//! A sound database, and an audit as a whole.

use sexton::audit::{Options, Severity, audit, catalogue};
use sexton::exit::ExitCode;

use crate::fixture::Db;

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
