//! What a repair did, or would do, and what it leaves.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::archive::{Blocked, Direction, Outcome, StopReason};
use crate::audit::{Curable, Finding, NotChecked, Severity, Stranded};
use crate::db::Value;
use crate::exit::ExitCode;

/// How many keys are listed for each finding.
const SAMPLES: usize = 5;

/// Rows that were healed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Healed {
    /// The check that found them.
    pub check: String,
    /// What is wrong with them.
    pub message: String,
    /// What is done, as scripts see it: `return`, `follow`, `archive`, `set` ...
    pub way: String,
    /// The same for people.
    pub done: String,
    /// The table of the rows to which it is done.
    pub table: String,
    /// How many.
    pub rows: u64,
    /// Keys of the first of them.
    pub samples: Vec<String>,
}

/// What is left to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The check that finds it.
    pub check: String,
    /// How bad it is.
    pub severity: Severity,
    /// The table with the rows.
    pub table: String,
    /// How many, as the check counts.
    pub count: u64,
    /// Keys of the first of them.
    pub samples: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// Why it is left.
    pub why: String,
    /// What can be done about it.
    pub choices: String,
}

impl Left {
    pub(super) fn of(finding: Finding, why: &str) -> Self {
        Self {
            check: finding.check,
            severity: finding.severity,
            table: finding.table,
            count: finding.count,
            samples: finding.samples,
            message: finding.message,
            why: why.to_owned(),
            choices: finding.remedy,
        }
    }
}

/// What a repair did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RepairOutcome {
    /// Format version.
    pub version: u32,
    /// The database, without password.
    pub database: String,
    /// Whether it was done.
    pub applied: bool,
    /// What was healed, in the order in which it was done.
    pub healed: Vec<Healed>,
    /// Rows that came back to the live tables, by live table, their families included.
    pub returned: BTreeMap<String, u64>,
    /// Rows that went to the shadow tables, by live table, their families included.
    pub archived: BTreeMap<String, u64>,
    /// API-database records that were removed, by table.
    pub api_records: BTreeMap<String, u64>,
    /// Families that could not be moved.
    pub blocked: Vec<Blocked>,
    /// Findings that are left.
    pub left: Vec<Left>,
    /// What could not be looked at.
    pub not_checked: Vec<NotChecked>,
    /// Statements sent.
    pub statements: u64,
    /// Why it ended.
    pub stopped_because: StopReason,
}

impl RepairOutcome {
    pub(super) fn new(database: &str, applied: bool) -> Self {
        Self {
            version: 1,
            database: database.to_owned(),
            applied,
            ..Self::default()
        }
    }

    pub(super) fn rows_healed(&self) -> u64 {
        self.healed.iter().map(|healed| healed.rows).sum()
    }

    /// Books rows that had a cure, but for those that have it still.
    pub(super) fn healed(&mut self, found: &Curable, still: &[Curable]) {
        let same = |other: &&Curable| other.cure == found.cure && other.check == found.check;
        let there = still.iter().find(same).map_or(0, |other| other.keys.len());
        let rows = (found.keys.len() as u64).saturating_sub(there as u64);
        if rows == 0 {
            return;
        }
        let key = |key: &Vec<Value>| {
            let parts: Vec<_> = key.iter().map(ToString::to_string).collect();
            parts.join("/")
        };
        self.healed.push(Healed {
            check: found.check.into(),
            message: found.message.clone(),
            way: found.cure.way.name().into(),
            done: found.cure.way.said(),
            table: found.cure.table.clone(),
            rows,
            samples: found.keys.iter().take(SAMPLES).map(key).collect(),
        });
    }

    /// Adds what an audit finds of the API database: records of archived roots are swept, or were and are left because
    /// another cell may hold them.
    pub fn add_stranded(&mut self, found: Stranded) {
        for finding in found.findings {
            if finding.severity == Severity::Error && !self.applied {
                self.healed.push(Healed {
                    check: finding.check,
                    message: finding.message,
                    way: "sweep".into(),
                    done: "remove them".into(),
                    table: finding.table,
                    rows: finding.count,
                    samples: finding.samples,
                });
                continue;
            }
            let why = match finding.severity {
                Severity::Error => "their mapping names a cell that was not given",
                Severity::Warning | Severity::Note => "they may be about instances of another cell",
            };
            self.left.push(Left::of(finding, why));
        }
        self.not_checked.extend(found.not_checked);
    }

    pub(super) fn moved(&mut self, direction: Direction, outcome: Outcome) {
        let all = match direction {
            Direction::Return => &mut self.returned,
            Direction::Follow | Direction::Archive => &mut self.archived,
        };
        for (table, rows) in outcome.rows {
            *all.entry(table).or_default() += rows;
        }
        for blocked in outcome.blocked {
            if !self.blocked.contains(&blocked) {
                self.blocked.push(blocked);
            }
        }
    }

    /// 0: nothing is left to do. 1: something is, by `--apply` or by somebody. 69: not everything could be looked at.
    /// 75: it was stopped.
    pub fn exit_code(&self) -> ExitCode {
        match self.stopped_because {
            reason if reason.is_request() => ExitCode::Stopped,
            _ if !self.not_checked.is_empty() => ExitCode::Unavailable,
            _ if !self.left.is_empty() || !self.blocked.is_empty() => ExitCode::Findings,
            _ if !self.applied && !self.healed.is_empty() => ExitCode::Findings,
            _ => ExitCode::Done,
        }
    }
}
