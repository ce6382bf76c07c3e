//! Brings families back from the shadow tables, whole, as they were archived.
//!
//! The engine is that of an archive run over [`FamilyGraph::returning`]: the same closure, locks, counts and retries,
//! with the shadow tables as the members. What was named goes in one transaction; where anything of it cannot be in the
//! live tables ([`super::way_back`]), nothing does.

use std::collections::BTreeMap;

use crate::db::{Session, Value};
use crate::error::{Error, Result};
use crate::schema::{FamilyGraph, Member};

use super::around::run;
use super::batch::Batch;
use super::capture::{Gone, RootKind, Unindexed};
use super::forest::Key;
use super::name::{RowName, row_name};
use super::options::{Observer, Options};
use super::outcome::{Blocked, Outcome};
use super::preflight::{check_owners, check_shadows};
use super::run::Run;
use super::stop::Stop;
use super::table::TOO_LARGE;

/// Brings the families of these rows back into the live tables, all of them in one transaction. `graph` is that of the
/// live tables.
///
/// Where something is in the way nothing moves, and it is in [`Outcome::blocked`]; [`refusal`] makes an error of that.
///
/// # Errors
///
/// Exit code 65 if there are no shadow tables, a row is not in its shadow table, or a row does not tell which row owns
/// it; 75 if the database goes away for good, 69 if it refuses or an archiver is at work in it.
pub fn restore(
    session: &mut Session,
    graph: &FamilyGraph,
    names: &[RowName],
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    check_shadows(session.label(), graph)?;
    check_owners(session.label(), graph)?;
    let back = graph.returning();
    let work = |run: &mut Run<'_>| run.bring_back(graph, names);
    let outcome = run(session, &mut [], &back, options, stop, observer, work)?;
    let mut outcome = by_live_table(outcome, &back);
    if let Some(records) = &graph.profile.api
        && outcome.rows.contains_key(&records.root)
    {
        outcome.not_restored.clone_from(&records.tables);
    }
    Ok(outcome)
}

/// The first thing that was in the way, as an error.
pub fn refusal(outcome: &Outcome) -> Option<Error> {
    let first = outcome.blocked.first()?;
    let more = match outcome.blocked_families.values().sum::<u64>() {
        0 | 1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    let path = first.path.join("  <-  ");
    let message = format!(
        "{} cannot come back: {}: {path}{more}",
        first.root, first.reason
    );
    Some(Error::data(message).hint(first.remedy.clone()))
}

/// The outcome in the names of the live tables, as people know the rows.
pub(super) fn by_live_table(mut outcome: Outcome, back: &FamilyGraph) -> Outcome {
    let live = |shadow: &str| {
        let member = back.member(shadow);
        let live = member.and_then(|m| m.shadow.clone());
        live.unwrap_or_else(|| shadow.to_owned())
    };
    let rows = std::mem::take(&mut outcome.rows);
    outcome.rows = rows.into_iter().map(|(t, n)| (live(&t), n)).collect();
    for blocked in &mut outcome.blocked {
        if let Some((table, key)) = blocked.root.split_once(':') {
            blocked.root = format!("{}:{key}", live(table));
        }
    }
    outcome
}

impl<'a> Run<'a> {
    /// One transaction for all that was named.
    fn bring_back(&mut self, graph: &FamilyGraph, names: &[RowName]) -> Result<()> {
        let roots = self.named(graph, names)?;
        let Some(((member, keys), beside)) = roots.split_first() else {
            return Ok(());
        };
        let (unindexed, gone) = (Unindexed::default(), Gone::new());
        let batch = Batch {
            sql: self.sql,
            member,
            kind: RootKind::Named,
            keys,
            beside,
            together: true,
            unindexed: &unindexed,
            probe_shadow: false,
            gone: &gone,
            budget: u64::MAX,
            oversize: true,
        };
        match self.attempt(&batch)? {
            Ok(done) => {
                self.finish(member, done)?;
            }
            Err(refusal) => {
                let root = row_name(&member.table, &keys[0]);
                let (reason, remedy) = match refusal.too_large {
                    true => ("too-large", TOO_LARGE),
                    false => (
                        "refused",
                        "mend what the database complains of and run again",
                    ),
                };
                self.outcome.block(Blocked {
                    reason: reason.into(),
                    path: vec![root.clone(), refusal.why],
                    root,
                    remedy: remedy.into(),
                });
            }
        }
        Ok(())
    }

    /// The keys of the named rows, by shadow table.
    fn named(
        &mut self,
        graph: &FamilyGraph,
        names: &[RowName],
    ) -> Result<Vec<(&'a Member, Vec<Key>)>> {
        let mut found: BTreeMap<&str, Vec<Key>> = BTreeMap::new();
        for name in names {
            let values = name.values(graph)?;
            let shadow = graph.member(&name.table).and_then(|m| m.shadow.as_deref());
            let shadow =
                shadow.ok_or_else(|| Error::internal("a row of a table without shadow"))?;
            let keys = self.reading(|session| name.find(session, graph, shadow, &values))??;
            if keys.is_empty() {
                return Err(self.not_there(graph, name, shadow, &values)?);
            }
            let all = found.entry(shadow).or_default();
            for key in keys {
                if !all.contains(&key) {
                    all.push(key);
                }
            }
        }
        let back = self.sql.graph;
        let of_table = |(shadow, keys)| Some((back.member(shadow)?, keys));
        Ok(found.into_iter().filter_map(of_table).collect())
    }

    /// Says where a row is that is not in the shadow table.
    fn not_there(
        &mut self,
        graph: &FamilyGraph,
        name: &RowName,
        shadow: &str,
        values: &[Value],
    ) -> Result<Error> {
        let live = self.reading(|session| name.find(session, graph, &name.table, values))??;
        let label = self.session.label();
        let message = format!("{} is not in {shadow} of {label}", name.given);
        Ok(Error::data(message).hint(match live.first() {
            Some(key) => format!(
                "it is in the live table, as {}; name a row that is archived",
                row_name(&name.table, key)
            ),
            None => "it is not in the live table either: it was never there, was purged, or is in another cell"
                .into(),
        }))
    }
}
