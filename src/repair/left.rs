//! What a repair leaves: what an audit finds still, or would, with the reason and the choices.

use crate::audit::{self, Finding, Probe, Repair, Severity, Way};
use crate::db::Session;
use crate::error::Result;
use crate::schema::FamilyGraph;

use super::outcome::Left;
use super::{Options, RepairOutcome};

/// Copies of which neither may go.
const NEITHER: &str = "neither copy may go: each has something in a column that the other table lacks, or rows hang on the \
                       one that would go";

/// Adds what is found still; of a plan, what nothing is for.
pub(super) fn leave(
    session: &mut Session,
    graph: &FamilyGraph,
    probes: &[Probe],
    options: &Options,
    outcome: &mut RepairOutcome,
) -> Result<()> {
    let audit = audit::Options {
        checks: options.checks.clone(),
        ..audit::Options::default()
    };
    let report = audit::audit(session, graph, &audit)?;
    // What an audit only notes harms nobody.
    let serious = |finding: &Finding| finding.severity != Severity::Note;
    for mut finding in report.findings.into_iter().filter(serious) {
        let probe = probes.iter().find(|probe| asked(probe, &finding));
        if !options.apply {
            finding.count = uncured(probe, &finding, outcome);
        }
        if finding.count > 0 {
            let why = why(probe, &finding, options, outcome);
            outcome.left.push(Left::of(finding, &why));
        }
    }
    for gap in report.not_checked {
        outcome.not_asked(gap);
    }
    Ok(())
}

/// Whether the finding is the answer to this probe.
fn asked(probe: &Probe, finding: &Finding) -> bool {
    probe.check == finding.check
        && probe.table == finding.table
        && probe.reference == finding.reference
        && probe.kind == finding.kind
        && probe.message == finding.message
}

/// How many of them no cure is for, in a plan. A cure is for all that its probe finds, but for copies: there each counts.
fn uncured(probe: Option<&Probe>, finding: &Finding, outcome: &RepairOutcome) -> u64 {
    let Some(probe) = probe.filter(|probe| !probe.cures.is_empty()) else {
        return finding.count;
    };
    let mine = outcome
        .healed
        .iter()
        .filter(|healed| healed.check == finding.check && healed.message == finding.message);
    match copies(probe) {
        true => finding
            .count
            .saturating_sub(mine.map(|healed| healed.rows).sum()),
        false => 0,
    }
}

fn copies(probe: &Probe) -> bool {
    let drops = |way: &Way| matches!(way, Way::DropShadowCopy { .. } | Way::DropLiveCopy { .. });
    probe.cures.iter().any(|cure| drops(&cure.way))
}

fn why(
    probe: Option<&Probe>,
    finding: &Finding,
    options: &Options,
    outcome: &RepairOutcome,
) -> String {
    if let Some(choice) = probe.and_then(|probe| probe.choice) {
        return choice.into();
    }
    let check = audit::all().into_iter().find(|c| c.id() == finding.check);
    if let Some(Repair::Leaves(why)) = check.map(audit::Check::repair) {
        return why.into();
    }
    match probe {
        Some(probe) if copies(probe) => NEITHER.into(),
        Some(probe) if probe.cures.is_empty() => {
            "nothing tells which of the choices is right".into()
        }
        _ if !outcome.blocked.is_empty() => {
            "something is in the way of their families, as listed".into()
        }
        _ if options.run.before.is_some() => {
            "they are too young for --before, or came while others were healed".into()
        }
        _ => "they came while others were healed: run again".into(),
    }
}
