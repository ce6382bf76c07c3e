//! A campaign as lines of JSON, for tools that read line by line: the head, each world, each oracle, each mode and
//! writer with its counts, each failure, each thing that was not shown, the summary. Every line has a `type`, the first
//! one the version.

use serde::Serialize;

use crate::error::Result;
use crate::prove::oracle::Oracle;
use crate::prove::report::{Failure, Turns, Undetermined, Verdict, WorldCount};
use crate::prove::{Backend, Report};
use crate::report::lines;

/// A line.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line<'a> {
    Head {
        version: u32,
        engine: &'a str,
        database: Backend,
        deciding_only: bool,
        jobs: usize,
    },
    World(&'a WorldCount),
    /// A world that was not begun.
    Unreached {
        world: &'a str,
    },
    Oracle {
        oracle: Oracle,
        #[serde(flatten)]
        verdict: Verdict,
    },
    /// Cases with this mode.
    Fault {
        mode: &'a str,
        #[serde(flatten)]
        verdict: Verdict,
    },
    Writer {
        action: &'a str,
        #[serde(flatten)]
        turns: Turns,
    },
    Failure(&'a Failure),
    /// A case whose fault did not fire.
    NotFired {
        case: &'a str,
    },
    Undetermined(&'a Undetermined),
    /// A mode that was asked for by name and had nothing to hit.
    NeverHit {
        mode: &'a str,
    },
    /// The same of an oracle, with nothing to judge.
    NeverJudged {
        oracle: Oracle,
    },
    Broken {
        why: &'a str,
    },
    Summary {
        points: u64,
        modes: u64,
        cases: u64,
        failed: u64,
        fired: u64,
        failures: usize,
        idle_worlds: u64,
        without_turn: u64,
        stopped: bool,
        elapsed_ms: u64,
        shrinking_ms: u64,
    },
}

/// The report as lines of JSON.
///
/// # Errors
///
/// Exit code 70 if it cannot be written as JSON.
pub fn prove_jsonl(report: &Report) -> Result<String> {
    let mut all = vec![Line::Head {
        version: report.version,
        engine: &report.engine,
        database: report.database,
        deciding_only: report.deciding_only,
        jobs: report.jobs,
    }];
    all.extend(report.worlds.iter().map(Line::World));
    let unreached = report.unreached.iter();
    all.extend(unreached.map(|world| Line::Unreached { world }));
    let oracles = report.verdict.iter();
    all.extend(oracles.map(|(oracle, verdict)| Line::Oracle {
        oracle: *oracle,
        verdict: *verdict,
    }));
    let faults = report.faults.iter();
    all.extend(faults.map(|(mode, verdict)| Line::Fault {
        mode,
        verdict: *verdict,
    }));
    let writers = report.writers.iter();
    all.extend(writers.map(|(action, turns)| Line::Writer {
        action,
        turns: *turns,
    }));
    all.extend(report.failures.iter().map(Line::Failure));
    all.extend(report.not_fired.iter().map(|case| Line::NotFired { case }));
    all.extend(report.undetermined.iter().map(Line::Undetermined));
    all.extend(report.never_hit.iter().map(|mode| Line::NeverHit { mode }));
    let silent = report.never_judged.iter();
    all.extend(silent.map(|oracle| Line::NeverJudged { oracle: *oracle }));
    all.extend(report.broken.iter().map(|why| Line::Broken { why }));
    all.push(Line::Summary {
        points: report.points,
        modes: report.modes,
        cases: report.cases,
        failed: report.failed,
        fired: report.fired,
        failures: report.failures.len(),
        idle_worlds: report.idle_worlds,
        without_turn: report.without_turn,
        stopped: report.stopped,
        elapsed_ms: report.elapsed_ms,
        shrinking_ms: report.shrinking_ms,
    });
    lines(&all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::report::Turns;

    /// The example with all that can be said of a campaign.
    fn whole() -> Report {
        let mut report = super::super::example();
        report.unreached.push("nova".into());
        let verdict = Verdict { held: 9, failed: 3 };
        report.faults.insert("kill-after".into(), verdict);
        let turns = Turns {
            turns: 12,
            changed: 3,
        };
        report.writers.insert("revive".into(), turns);
        report.not_fired.push("cycle: the engine is killed".into());
        report.undetermined = Some(Undetermined {
            world: "cycle".into(),
            point: 7,
            expected: "main: DELETE FROM server".into(),
            found: "main: DELETE FROM disk".into(),
        });
        report.never_hit.push("freeze".into());
        report.never_judged.push(Oracle::Durable);
        report.broken = Some("the server has gone".into());
        report
    }

    #[test]
    fn there_is_a_line_for_each_thing() {
        insta::assert_snapshot!(prove_jsonl(&whole()).unwrap());
    }

    /// The lines that no campaign of the other tests has.
    #[test]
    fn every_line_is_valid() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema/prove.json");
        let text = std::fs::read_to_string(path).unwrap();
        let mut schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        let line = serde_json::json!({ "$ref": "#/$defs/line", "$defs": schema["$defs"].take() });
        let schema = jsonschema::validator_for(&line).unwrap();
        for line in prove_jsonl(&whole()).unwrap().lines() {
            let json = serde_json::from_str(line).unwrap();
            let errors: Vec<_> = schema.iter_errors(&json).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{errors:?}: {line}");
        }
    }
}
