//! What a repair leaves: what an audit finds still, or would, with the reason and the choices.

use crate::audit::{self, Finding, NotChecked, Probe, Repair, Severity, ask};
use crate::db::{DbError, Session, Value, spell_key};
use crate::error::Result;
use crate::schema::FamilyGraph;

use super::outcome::{Left, SAMPLES};
use super::{Options, RepairOutcome};

/// Adds what is found still; of a plan, what no cure is for.
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
    for gap in report.not_checked {
        outcome.not_asked(gap);
    }
    // What an audit only notes harms nobody.
    let serious = |finding: &Finding| finding.severity != Severity::Note;
    for mut finding in report.findings.into_iter().filter(serious) {
        let probe = probes.iter().find(|probe| asked(probe, &finding));
        let cured = probe.filter(|probe| !probe.cures.is_empty());
        let why = match cured {
            None => reason(probe, &finding).to_owned(),
            Some(probe) => match uncured(session, probe, options) {
                Ok(Some(rest)) => {
                    // In a plan the others are to be healed.
                    if !options.apply {
                        (finding.count, finding.samples) = (rest.count, rest.samples);
                    }
                    rest.why.join("; or ")
                }
                Ok(None) if !options.apply => continue,
                Ok(None) => REMAINS.to_owned(),
                Err(error) => {
                    outcome.not_asked(NotChecked {
                        check: finding.check,
                        table: Some(finding.table),
                        why: error.to_string(),
                    });
                    continue;
                }
            },
        };
        outcome.left.push(Left::of(finding, &why));
    }
    Ok(())
}

/// What has a cure and is there after all.
const REMAINS: &str = "they are of a family that something is in the way of, as listed, or came while others were healed: run \
                       again";

/// Rows of a probe that none of its cures is for.
#[derive(Default)]
struct Uncured {
    count: u64,
    samples: Vec<String>,
    why: Vec<&'static str>,
}

fn uncured(
    session: &mut Session,
    probe: &Probe,
    options: &Options,
) -> std::result::Result<Option<Uncured>, DbError> {
    let number = |rows: &[Vec<Value>]| {
        let first = rows.first().and_then(|row| row.first());
        let count = first.and_then(Value::as_int);
        count.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    };
    let mut uncured = Uncured::default();
    if let Some(rest) = &probe.rest {
        uncured.count = number(&ask(session, &rest.question.count_sql())?);
        if uncured.count > 0 {
            let samples = match rest.question.sample_sql(SAMPLES) {
                Some(sql) => ask(session, &sql)?,
                None => Vec::new(),
            };
            uncured.samples = samples.iter().map(|key| spell_key(key)).collect();
            uncured.why.push(rest.why);
        }
    }
    let mut young = 0;
    if let Some(before) = options.before() {
        for cure in &probe.cures {
            if let Some(question) = cure.young(session.engine(), before) {
                young += number(&ask(session, &question)?);
            }
        }
    }
    if young > 0 {
        uncured.count += young;
        uncured
            .why
            .push("their families are too young for --before");
    }
    Ok((uncured.count > 0).then_some(uncured))
}

/// Whether the finding is the answer to this probe.
fn asked(probe: &Probe, finding: &Finding) -> bool {
    probe.check == finding.check
        && probe.table == finding.table
        && probe.reference == finding.reference
        && probe.kind == finding.kind
        && probe.message == finding.message
}

/// Why nothing is done about what a check finds.
fn reason(probe: Option<&Probe>, finding: &Finding) -> &'static str {
    if let Some(choice) = probe.and_then(|probe| probe.choice) {
        return choice;
    }
    let check = audit::all().into_iter().find(|c| c.id() == finding.check);
    match check.map(audit::Check::repair) {
        Some(Repair::Leaves(why)) => why,
        _ => "nothing tells which of the choices is right, or the rows have no key to name them by",
    }
}
