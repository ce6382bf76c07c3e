//! A database against a release: what differs, and the DDL that mends it.

use std::fmt::Write as _;

use serde::Serialize;

use super::columns;
use crate::db::Engine;
use crate::error::Result;
use crate::exit::ExitCode;
use crate::schema::alter::{index_names, statements};
use crate::schema::compare::{Difference, Phase};
use crate::schema::{Model, Schema};

/// What `sexton schema diff` found.
#[derive(Debug, Clone, Serialize)]
pub struct SchemaReport {
    /// Version of the format.
    pub version: u32,
    /// The database, without password.
    pub database: String,
    /// The release that it is held against: `nova 34.0.0`.
    pub release: String,
    /// The version that its migrations left: `ab450ba04102`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
    /// The releases of that version.
    pub at: Vec<String>,
    /// What differs, by table.
    pub differences: Vec<Entry>,
}

/// A difference, and what mends it.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The table.
    pub table: String,
    /// `missing-column`, `extra-index` ...
    pub kind: &'static str,
    /// In words.
    pub message: String,
    /// `expand`: while the services run; `contract`: after they run the new release.
    pub phase: &'static str,
    /// What mends it; comments where the engine has no statement for it.
    pub statements: Vec<String>,
}

impl SchemaReport {
    /// Holds a schema against that of a release. What the migrations of the release themselves make otherwise on
    /// this engine is no difference.
    ///
    /// # Errors
    ///
    /// Exit code 65 if the model cannot be read.
    pub fn new(database: &str, model: &Model, found: &Schema, engine: Engine) -> Result<Self> {
        let expected = &model.schema()?;
        let names = &mut index_names(found);
        let entry = |difference: Difference| Entry {
            statements: statements(&difference, expected, engine, names),
            kind: difference.kind.name(),
            message: difference.kind.to_string(),
            phase: difference.phase.name(),
            table: difference.table,
        };
        let found = model.differences_from(found, engine)?;
        Ok(Self {
            version: 1,
            database: database.into(),
            release: model.title(),
            migration: None,
            at: Vec::new(),
            differences: found.into_iter().map(entry).collect(),
        })
    }

    /// The statements of a phase, in an order in which they can run: what refers to a thing goes before it goes
    /// and comes after it has come.
    pub fn ddl(&self, phase: Phase) -> Vec<&str> {
        let mut ordered: Vec<(u8, &str)> = Vec::new();
        for difference in self.differences.iter().filter(|d| d.phase == phase.name()) {
            for statement in &difference.statements {
                ordered.push((turn(difference.kind, statement), statement));
            }
        }
        ordered.sort_by_key(|(turn, _)| *turn);
        ordered
            .into_iter()
            .map(|(_, statement)| statement)
            .collect()
    }

    /// How the command ends: 0 in sync, 2 not.
    pub fn exit_code(&self) -> ExitCode {
        match self.differences.is_empty() {
            true => ExitCode::Done,
            false => ExitCode::Errors,
        }
    }
}

/// When a statement's turn comes.
fn turn(kind: &str, statement: &str) -> u8 {
    let refers = statement.starts_with("ALTER") && statement.contains("FOREIGN KEY");
    match kind {
        "extra-foreign-key" => 0,
        "extra-index" | "extra-unique-key" => 1,
        "missing-table" if !refers => 2,
        "missing-column" => 3,
        "missing-foreign-key" | "missing-table" => 6,
        "missing-index" | "missing-unique-key" => 5,
        "extra-column" => 7,
        "extra-table" => 8,
        _ => 4,
    }
}

/// The report as plain text: what differs, then the DDL of each phase.
pub fn schema_text(report: &SchemaReport) -> String {
    let mut text = format!("{} against {}\n", report.database, report.release);
    let at = match (&report.migration, report.at.as_slice()) {
        (None, _) => "no migrations have left a version".to_owned(),
        (Some(version), []) => format!("at version {version}, of no release that is known here"),
        (Some(version), releases) => format!("at version {version}: {}", releases.join(", ")),
    };
    let _ = writeln!(text, "{at}");
    if report.differences.is_empty() {
        text.push_str("\nIn sync.\n");
        return text;
    }
    let rows = report
        .differences
        .iter()
        .map(|d| [d.table.as_str(), d.phase, &d.message]);
    let _ = writeln!(text, "\n{}", columns(rows));
    for (phase, when) in [
        (Phase::Expand, "while the services run"),
        (
            Phase::Contract,
            "after the services run the release; it may take data away",
        ),
    ] {
        let ddl = report.ddl(phase);
        if !ddl.is_empty() {
            let _ = writeln!(text, "\n-- {}: {when}", phase.name());
            for statement in ddl {
                let end = if statement.starts_with("--") { "" } else { ";" };
                let _ = writeln!(text, "{statement}{end}");
            }
        }
    }
    let count = report.differences.len();
    let plural = if count == 1 { "" } else { "s" };
    let _ = writeln!(text, "\nNot in sync: {count} difference{plural}.");
    text
}
