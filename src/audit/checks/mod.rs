//! The checks, one file each, and the registry of all of them.
//!
//! To add a check: write its file, with a struct that implements [`Check`], add its line to
//! [`all`], and describe it in `docs/checks/<id>.md` (a test asks for the page).

mod duplicate_in_shadow;
mod inconsistent_marker;
mod missing_required_child;
mod non_transactional_table;
mod orphaned_row;
mod residue;
mod shadow_drift;
mod split_family;
mod unarchivable_parent;

use crate::error::{Error, Result};

use super::{Probe, Subject, stranded, upgrade};

/// Something that can be wrong with a database.
pub trait Check: Sync {
    /// The name by which output, options and documentation know it.
    fn id(&self) -> &'static str;

    /// What it finds, one line.
    fn summary(&self) -> &'static str;

    /// Whether `sexton repair` heals what it finds.
    fn repair(&self) -> Repair;

    /// What it wants to know about this database. Pure.
    fn probes(&self, subject: &Subject<'_>) -> Vec<Probe>;
}

/// Whether `sexton repair` heals what a check finds, in words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It does, where nothing is to be chosen: what it does.
    Heals(&'static str),
    /// It leaves it to somebody who knows more: why.
    Leaves(&'static str),
}

/// Every check that is made on one database, in the order of output.
pub fn all() -> [&'static dyn Check; 9] {
    [
        &split_family::SplitFamily,
        &missing_required_child::MissingRequiredChild,
        &orphaned_row::OrphanedRow,
        &unarchivable_parent::UnarchivableParent,
        &residue::Residue,
        &duplicate_in_shadow::DuplicateInShadow,
        &inconsistent_marker::InconsistentMarker,
        &shadow_drift::ShadowDrift,
        &non_transactional_table::NonTransactionalTable,
    ]
}

/// The id and summary of every check, the one across databases and those of upgrades included.
pub fn catalogue() -> Vec<(&'static str, &'static str)> {
    let all = all();
    let mut list: Vec<_> = all.iter().map(|c| (c.id(), c.summary())).collect();
    list.push((stranded::ID, stranded::SUMMARY));
    list.extend(upgrade::CHECKS);
    list
}

/// The checks that were asked for.
pub struct Checks {
    chosen: Vec<&'static dyn Check>,
}

impl Checks {
    /// The checks with these ids, in the order of the registry; all of them for no ids.
    pub fn choose(ids: &[String]) -> Result<Self> {
        let known = catalogue();
        if let Some(id) = ids.iter().find(|id| known.iter().all(|(k, _)| k != id)) {
            let names: Vec<_> = known.iter().map(|(id, _)| *id).collect();
            return Err(Error::usage(format!("unknown check '{id}'"))
                .hint(format!("known are {}", names.join(", "))));
        }
        let wanted = |id: &str| ids.is_empty() || ids.iter().any(|i| i == id);
        Ok(Self {
            chosen: all().into_iter().filter(|c| wanted(c.id())).collect(),
        })
    }

    /// The chosen checks on one database.
    pub fn iter(&self) -> impl Iterator<Item = &'static dyn Check> + '_ {
        self.chosen.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::fingerprint::fingerprint;
    use super::super::{Finding, plan};
    use super::*;
    use crate::db::Engine;
    use crate::schema::{Model, Profile};

    #[test]
    fn an_unknown_check_is_a_usage_error_that_names_the_known_ones() {
        let error = Checks::choose(&["orphans".into()]).err().unwrap();
        assert_eq!(error.code, crate::exit::ExitCode::Usage);
        assert!(error.to_string().contains("orphaned-row"), "{error}");
    }

    /// Two that had one fingerprint would be one in a baseline.
    #[test]
    fn every_question_about_every_service_has_a_fingerprint_of_its_own() {
        for name in Model::names() {
            let schema = Model::built_in(name).unwrap().schema().unwrap();
            let profile = Profile::detect(&schema);
            if profile.is_convention() {
                // An API database.
                continue;
            }
            let graph = profile.families(&schema).unwrap();
            let checks = Checks::choose(&[]).unwrap();
            for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
                let mut seen = BTreeSet::new();
                for probe in plan(&graph, engine, &checks) {
                    let finding = Finding {
                        reference: probe.reference.clone(),
                        path: probe.path.clone(),
                        kind: probe.kind.clone(),
                        ..Finding::new(probe.check, probe.severity, probe.table.as_str(), 1)
                    };
                    assert!(seen.insert(fingerprint(&finding)), "{name}: {probe:?}");
                }
                assert!(seen.len() > 10, "{name}: {}", seen.len());
            }
        }
    }

    #[test]
    fn the_page_of_a_check_tells_of_a_repair_that_heals_what_it_finds() {
        for check in all() {
            let page = format!(
                "{}/docs/checks/{}.md",
                env!("CARGO_MANIFEST_DIR"),
                check.id()
            );
            let text = std::fs::read_to_string(&page).unwrap();
            let heals = matches!(check.repair(), Repair::Heals(_));
            assert_eq!(text.contains("sexton repair"), heals, "{page}");
        }
    }

    #[test]
    fn every_check_has_a_page_that_begins_with_its_name_and_says_what_the_help_says() {
        for (id, summary) in catalogue() {
            let text = crate::audit::page(id).unwrap_or_default();
            let (first, rest) = summary.split_at(1);
            let head = format!("# {id}\n\n{}{rest}.\n\n", first.to_uppercase());
            assert!(
                text.starts_with(&head),
                "the page of {id} does not begin with {head}"
            );
        }
    }
}
