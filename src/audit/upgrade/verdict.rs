//! Go, go with care, or stop; and what to run, in order.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{At, Backlog, Database, Options, Upgrade};
use crate::audit::AuditReport;
use crate::plural::several;
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

/// The commands, in the order in which they are run; `far` if other releases lie between. Those of sexton's own
/// name all databases at once, as they were given.
pub(super) fn commands(
    upgrade: &Upgrade,
    profile: &Profile,
    far: bool,
    options: &Options,
    report: &AuditReport,
    databases: &[Database<'_>],
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |command: String, why: String| steps.push(Step { command, why });
    let place = |d: &Database<'_>| match d.session.origin() == d.session.engine() {
        true => shell_words::quote(d.session.label()).into_owned(),
        // The server that the dump is of.
        false => "DB".to_owned(),
    };
    let (cells, others): (Vec<_>, Vec<_>) = databases.iter().partition(|d| d.graph.is_some());
    let argument = |d: &&Database<'_>| match &d.cell {
        Some(cell) => format!("--cell {cell}={}", place(d)),
        None => place(d),
    };
    let here = cells.iter().map(argument).collect::<Vec<_>>().join(" ");
    let api = others.iter().map(|d| format!("--api {} ", place(d)));
    let with_api = api.collect::<String>() + &here;
    let release = upgrade.release.replacen(' ', "-", 1);
    let errors = report.summary.error;
    if errors > 0 {
        step(
            format!("sexton audit --fail-on error {with_api}"),
            format!(
                "{} first: the remedy of each is beside it",
                several(errors as u64, "error")
            ),
        );
    }
    let deleted = Backlog::deleted(&upgrade.backlog);
    let goes: u64 = upgrade.pending.iter().map(|p| p.deleted).sum();
    let less = match goes {
        0 => String::new(),
        n => format!(", {n} of them rows that online migrations would have to change"),
    };
    let marked = match deleted {
        1 => "1 row is".to_owned(),
        rows => format!("{rows} rows are"),
    };
    let in_place = cells
        .iter()
        .all(|d| d.graph.is_some_and(|g| g.deletes_in_place));
    match (deleted, in_place) {
        (0, _) => {}
        (_, false) => step(
            format!("sexton archive --until-complete {with_api}"),
            format!("moves soft-deleted families away: {} marked{less}", marked),
        ),
        (_, true) => step(
            format!("sexton purge --older-than 30 {here}"),
            format!(
                "deletes soft-deleted families that are old enough: {} marked{less}",
                marked
            ),
        ),
    }
    let since = options.deleted_since.to_string();
    let old = |b: &&Backlog| b.oldest_archived.as_ref().is_some_and(|at| *at < since);
    let old: u64 = upgrade.backlog.iter().filter(old).map(|b| b.archived).sum();
    if old > 0 {
        step(
            format!("sexton purge --before '{since}' {here}"),
            "the shadow tables hold rows from before then, and an ALTER TABLE rewrites them too"
                .into(),
        );
    }
    let online = profile.upgrade.online.as_ref();
    if let (Some(online), true) = (online, upgrade.pending.iter().any(|p| p.due)) {
        step(
            online.clone(),
            "with the present release, until it says that nothing is left".into(),
        );
    }
    let at = |d: &At| d.version.as_ref() == Some(&d.target);
    let behind = !upgrade.databases.iter().all(at);
    if errors > 0 {
        step(
            format!("sexton audit --upgrade-to {release} {with_api}"),
            "again, before anything is upgraded".into(),
        );
        return steps;
    }
    if !behind {
        return steps;
    }
    let with = match far {
        true => format!(
            "with each release on the way, one after the other, at last {}",
            upgrade.release
        ),
        false => format!("with {}", upgrade.release),
    };
    for command in &profile.upgrade.sync {
        step(command.clone(), with.clone());
    }
    if let Some(online) = online {
        step(
            online.clone(),
            match far {
                true => {
                    "with each of them, after its sync, until it says that nothing is left".into()
                }
                false => "with the new release, until it says that nothing is left".into(),
            },
        );
    }
    step(
        format!("sexton schema diff --release {release} {with_api}"),
        "afterwards: the schema is what the release makes".into(),
    );
    steps
}
