//! Tables on a storage engine that cannot roll back.

use crate::audit::{Check, Probe, Repair, Severity, Subject};
use crate::schema::non_transactional;

/// The check `non-transactional-table`.
pub(super) struct NonTransactionalTable;

impl Check for NonTransactionalTable {
    fn id(&self) -> &'static str {
        "non-transactional-table"
    }

    fn summary(&self) -> &'static str {
        "live or shadow tables on a storage engine that cannot roll back"
    }

    fn repair(&self) -> Repair {
        Repair::Leaves(
            "altering a table is for a maintenance window; each finding has the statement",
        )
    }

    fn probes(&self, subject: &Subject<'_>) -> Vec<Probe> {
        let tables = subject.sides().flat_map(|s| [Some(s.live), s.shadow]);
        let probe = |table: &crate::schema::Table| {
            let storage = non_transactional(table)?;
            Some(
                Probe::known(Severity::Error, &table.name, vec![table.name.clone()])
                    .message(format!(
                        "{} uses {storage}: what a rolled back or interrupted run wrote there stays",
                        table.name
                    ))
                    .remedy(format!(
                        "ALTER TABLE {} ENGINE=InnoDB",
                        subject.engine.quote(&table.name)
                    )),
            )
        };
        tables.flatten().filter_map(probe).collect()
    }
}
