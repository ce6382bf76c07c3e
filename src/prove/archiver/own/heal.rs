//! sexton's own repair.

use std::collections::BTreeMap;

use crate::archive::{self, Api, Stop, StopReason};
use crate::db::Session;
use crate::error::Result;
use crate::prove::archiver::{Ended, Place, Ran};
use crate::repair::{self, RepairOutcome, repair};
use crate::schema::FamilyGraph;

/// What `sexton repair --apply` does: with `--api` where there is an API database.
pub(super) fn run(place: &Place) -> Result<Ran> {
    let mut session = place.main.open()?;
    let options = super::options(place);
    let mut api = super::api(place, &options)?;
    let stop = Stop::on(&place.stop);
    let outcome = repair_once(&mut session, &place.graph, api.as_mut(), options, &stop)?;
    let refused = outcome.not_checked.first().map(|gap| gap.why.clone());
    // Whoever has lost the database, or was refused, does not know of the last COMMIT.
    let knows = outcome.stopped_because != StopReason::Failed && refused.is_none();
    Ok(Ran {
        ended: match outcome.stopped_because {
            StopReason::Failed => Ended::Failed("the database was lost".into()),
            StopReason::Complete if let Some(why) = refused => Ended::Failed(why),
            reason if reason != StopReason::Complete => Ended::Stopped,
            _ if outcome.left.is_empty() && outcome.blocked.is_empty() => Ended::Done,
            _ => Ended::Blocked,
        },
        rows: knows.then(|| moved(&outcome, &place.graph)),
        output: String::new(),
    })
}

/// Heals all that there is to heal.
pub(in crate::prove) fn repair_once(
    session: &mut Session,
    graph: &FamilyGraph,
    api: Option<&mut Api<'_>>,
    run: archive::Options,
    stop: &Stop<'_>,
) -> Result<RepairOutcome> {
    let options = repair::Options {
        apply: true,
        run,
        ..repair::Options::default()
    };
    repair(session, graph, api, &options, stop, &mut ())
}

/// Rows that moved, by the table that they came from.
fn moved(outcome: &RepairOutcome, graph: &FamilyGraph) -> BTreeMap<String, u64> {
    let mut rows = outcome.archived.clone();
    for (table, returned) in &outcome.returned {
        let shadow = graph.member(table).and_then(|m| m.shadow.clone());
        *rows.entry(shadow.unwrap_or_default()).or_default() += returned;
    }
    rows
}
