//! Where a schema is, where it has to go, and whether it is what its release made.

use super::{Answers, At, Database, Options};
use crate::audit::{Finding, NotChecked, Severity};
use crate::db::migration_version;
use crate::error::Result;
use crate::schema::Model;
use crate::schema::compare::DifferenceKind;

pub(super) const BEHIND: &str = "migration-behind";
pub(super) const DRIFT: &str = "model-drift";

/// More major releases than this are not gone over in one step anywhere.
const STEP: u32 = 2;

/// What was found about one database.
pub(super) struct Found {
    pub(super) at: At,
    /// The first number of the release that the database is at, if that is known.
    pub(super) present: Option<u32>,
    /// Whether other releases lie between, or may.
    pub(super) far: bool,
}

/// The model of the release for this database.
pub(super) fn target(release: &str, database: &Database<'_>) -> Result<Model> {
    let model = Model::of_release(release, database.schema)?;
    model.check_tables(database.session.label(), database.schema)?;
    Ok(model)
}

pub(super) fn look(
    database: &mut Database<'_>,
    target: &Model,
    options: &Options,
    answers: &mut Answers,
) -> Result<Found> {
    let label = database.session.label().to_owned();
    let version = match migration_version(database.session, database.schema) {
        Ok(version) => version,
        Err(error) => {
            answers.gap(BEHIND, "alembic_version", &error);
            None
        }
    };
    let known = Model::of_version(version.as_deref().unwrap_or_default(), database.schema)?;
    let at = At {
        database: label,
        version,
        releases: known.iter().map(Model::title).collect(),
        target: target.version.clone(),
    };
    // Of releases with the same version it is at that which it was upgraded to last: nobody can tell.
    let present = known.first();
    if options.wants(BEHIND) {
        answers
            .findings
            .extend(behind(&at, present, target, database));
    }
    if options.wants(DRIFT) {
        match present {
            Some(model) => drift(model, database, options, answers)?,
            None => answers.gaps.push(NotChecked {
                check: DRIFT.into(),
                table: None,
                why: format!(
                    "{}: no release of that version is known here to hold it against",
                    database.session.label()
                ),
            }),
        }
    }
    let present = present.and_then(|m| m.numbers().first().copied());
    let to = target.numbers().first().copied().unwrap_or(0);
    let far = present.is_none_or(|from| to.saturating_sub(from) > STEP);
    Ok(Found { at, present, far })
}

fn behind(
    at: &At,
    present: Option<&Model>,
    target: &Model,
    database: &Database<'_>,
) -> Option<Finding> {
    if at.version.as_ref() == Some(&at.target) {
        return None;
    }
    let version = at.version.as_deref().unwrap_or("no version");
    let to = format!("{} has {}", target.title(), at.target);
    let (severity, message, remedy) = match present {
        Some(model) if model.numbers() > target.numbers() => (
            Severity::Error,
            format!(
                "the database is at {version}, of {}; {to}, which is older",
                model.title()
            ),
            "there is no way back but a backup: choose the right release".to_owned(),
        ),
        Some(model) => {
            let (from, to_major) = (model.numbers(), target.numbers());
            let steps = to_major
                .first()
                .zip(from.first())
                .map_or(0, |(to, from)| to.saturating_sub(*from));
            let message = format!("the database is at {version}, of {}; {to}", model.title());
            match steps > STEP {
                false => (
                    Severity::Note,
                    message,
                    "the commands of the verdict".to_owned(),
                ),
                true => (
                    Severity::Warning,
                    format!("{message}: {steps} major releases further"),
                    "go release by release, with the sync and the online migrations of each, as \
                     their release notes say"
                        .to_owned(),
                ),
            }
        }
        None => (
            Severity::Warning,
            format!("the database is at {version}, of no release that is known here; {to}"),
            "look up in the release notes which release that is, and whether it can be gone on \
             from"
                .to_owned(),
        ),
    };
    let kept = ["alembic_version", "migrate_version"];
    let kept = kept
        .into_iter()
        .find(|t| database.schema.table(t).is_some());
    let table = kept.unwrap_or("*");
    let mut found = Finding::new(BEHIND, severity, format!("{}{table}", database.prefix), 1);
    (found.message, found.remedy) = (message, remedy);
    Some(found)
}

fn drift(
    model: &Model,
    database: &Database<'_>,
    options: &Options,
    answers: &mut Answers,
) -> Result<()> {
    let differences = model.differences_from(database.schema, database.session.origin())?;
    if differences.is_empty() {
        return Ok(());
    }
    // An index more, or a copy of a table: operators do that, and migrations do not stumble over it.
    let harmless = |kind: &DifferenceKind| {
        matches!(
            kind,
            DifferenceKind::ExtraIndex(..) | DifferenceKind::ExtraTable
        )
    };
    let severity = match differences.iter().all(|d| harmless(&d.kind)) {
        true => Severity::Note,
        false => Severity::Warning,
    };
    let tables: std::collections::BTreeSet<_> = differences.iter().map(|d| &d.table).collect();
    let table = match tables.len() {
        1 => differences[0].table.clone(),
        _ => "*".to_owned(),
    };
    let table = format!("{}{table}", database.prefix);
    let mut found = Finding::new(DRIFT, severity, table, differences.len() as u64);
    let shown = differences.iter().take(options.samples);
    found.samples = shown.map(|d| format!("{}: {}", d.table, d.kind)).collect();
    found.message = format!("the schema is not what {} made", model.title());
    found.remedy = format!(
        "`sexton schema diff --release {}-{} {}` shows all of it, and what mends it",
        model.service,
        model.release,
        database.session.label()
    );
    answers.findings.push(found);
    Ok(())
}
