//! Go, go with care, or stop; and what to run, in order.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Backlog, Database, Upgrade};
use crate::audit::{AuditReport, Severity};
use crate::schema::Profile;

/// Whether to upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing is in the way.
    Go,
    /// There are warnings, or something was not looked at.
    GoWithCare,
    /// There are errors.
    Stop,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Go => "go",
            Self::GoWithCare => "go with care",
            Self::Stop => "stop",
        })
    }
}

/// A command, and why to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The command, as it is typed.
    pub command: String,
    /// What it is for.
    pub why: String,
}

/// What all findings together come to.
pub(super) fn of(report: &AuditReport, upgrade: &Upgrade) -> Verdict {
    let summary = &report.summary;
    match (summary.error, summary.warning) {
        (1.., _) => Verdict::Stop,
        (0, 0) if report.not_checked.is_empty() && upgrade.unseen.is_empty() => Verdict::Go,
        _ => Verdict::GoWithCare,
    }
}

/// The commands, in the order in which they are run.
pub(super) fn commands(
    upgrade: &Upgrade,
    profile: &Profile,
    report: &AuditReport,
    databases: &[Database<'_>],
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |command: String, why: String| steps.push(Step { command, why });
    let place = |d: &Database<'_>| shell_words::quote(d.session.label()).into_owned();
    let api = databases.iter().find(|d| d.graph.is_none()).map(place);
    let to = format!("--upgrade-to {}", upgrade.release.replacen(' ', "-", 1));
    let errors = report
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .count();
    let cells: Vec<_> = databases.iter().filter(|d| d.graph.is_some()).collect();
    if errors > 0 {
        for cell in &cells {
            let why = format!("{errors} errors first: the remedy of each is beside it");
            step(format!("sexton audit --fail-on error {}", place(cell)), why);
        }
    }
    let (deleted, archived) = Backlog::sum(&upgrade.backlog);
    let goes: u64 = upgrade.pending.iter().map(|p| p.deleted).sum();
    let less = match goes {
        0 => String::new(),
        n => format!(", {n} of them rows that online migrations would have to change"),
    };
    for cell in &cells {
        let shadowed =
            |g: &crate::schema::FamilyGraph| g.members.values().any(|m| m.shadow.is_some());
        let (here, shadows) = (place(cell), cell.graph.is_some_and(shadowed));
        match (deleted, shadows) {
            (0, _) => {}
            (_, true) => {
                let api = api
                    .as_ref()
                    .map_or(String::new(), |api| format!("--api {api} "));
                step(
                    format!("sexton archive --until-complete {api}{here}"),
                    format!("moves soft-deleted families away: {deleted} rows are marked{less}"),
                );
            }
            (_, false) => step(
                format!("sexton purge --older-than 30 {here}"),
                format!(
                    "deletes soft-deleted families that are old enough: {deleted} rows are marked{less}"
                ),
            ),
        }
        if archived > 0 && shadows {
            step(
                format!("sexton purge --older-than 365 {here}"),
                format!("{archived} rows are in shadow tables, which an ALTER TABLE rewrites too"),
            );
        }
    }
    let online = profile.upgrade.online.as_ref();
    if let (Some(online), true) = (online, upgrade.pending.iter().any(|p| p.due)) {
        step(
            online.clone(),
            "with the present release, until it says that nothing is left".into(),
        );
    }
    let behind = upgrade
        .databases
        .iter()
        .any(|d| d.version.as_ref() != Some(&d.target));
    if behind && errors == 0 {
        for command in &profile.upgrade.sync {
            step(command.clone(), format!("with {}", upgrade.release));
        }
        if let Some(online) = online {
            step(
                online.clone(),
                "with the new release, until it says that nothing is left".into(),
            );
        }
    }
    if errors > 0 {
        for cell in &cells {
            step(
                format!("sexton audit {to} {}", place(cell)),
                "again, before anything is upgraded".into(),
            );
        }
    } else if behind {
        let release = upgrade.release.replacen(' ', "-", 1);
        for cell in &cells {
            step(
                format!("sexton schema diff --release {release} {}", place(cell)),
                "afterwards: the schema is what the release makes".into(),
            );
        }
    }
    steps
}
