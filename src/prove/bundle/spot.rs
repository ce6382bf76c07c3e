//! Where among the statements of a case something happened.

use super::super::evidence::{Evidence, When};
use super::super::fault::{Fault, Mode};
use super::super::injector::Passed;
use super::super::oracle::Breach;
use super::super::scenario::Scenario;
use super::super::world::World;
use super::super::writer::{Action, Change, Writer};

/// A place between two statements of a run.
pub(super) struct Spot<'a> {
    /// Which run.
    pub(super) run: usize,
    /// Before which of its statements; the number of them for the end.
    pub(super) index: usize,
    /// What happened: `here the engine was killed`.
    pub(super) mark: String,
    /// The last statement that was executed before.
    pub(super) last: Option<&'a Passed>,
    /// The one after it: one that was not executed, where the run was cut short here.
    pub(super) next: Option<&'a Passed>,
    pub(super) how: How,
}

/// What a place does to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The statement after it was not executed.
    Cut,
    /// Something came in between, and the run went on.
    Between,
    /// Nothing; what the oracle says no to is to be seen here.
    Seen,
}

/// All that happened, in the order of the runs, with the place that matters most.
pub(super) fn spots<'a>(
    scenario: &Scenario,
    evidence: &'a Evidence,
    breach: &Breach,
) -> (Vec<Spot<'a>>, Option<usize>) {
    let case = &scenario.case;
    let mut spots = Vec::new();
    if let Some(writer) = &case.writer {
        spots.extend(of_writer(scenario, writer, evidence));
    }
    if let Some(fault) = &case.fault {
        spots.extend(of_fault(fault, 0, evidence));
    }
    if let Some(loss) = &case.power_loss {
        let mark = format!(
            "here power was lost, after operation {} on files; {} of them had not reached the disk",
            loss.after_operation,
            loss.lost.len()
        );
        spots.push(changed(mark, 0, evidence));
    }
    if let Some(fault) = &case.second {
        spots.extend(of_fault(fault, 1, evidence));
    }
    let main = spots.len().checked_sub(1);
    let seen = evidence.seen.get(&breach.fingerprint());
    if let Some(moment) = seen.and_then(|index| evidence.moments.get(*index))
        && let When::Commit { run, point } = moment.when
    {
        let mark = format!("from here on it is to be seen: {}", breach.what);
        spots.extend(after(run, point, evidence, mark, How::Seen));
    }
    let main = main.or_else(|| spots.len().checked_sub(1));
    (spots, main)
}

fn of_writer<'a>(scenario: &Scenario, writer: &Writer, evidence: &'a Evidence) -> Option<Spot<'a>> {
    let mark = match statement(scenario, writer.action, &scenario.world) {
        Some(sql) => format!("here a concurrent writer said: {sql}"),
        None => format!("here another session acted: {}", writer.action.name()),
    };
    before(0, writer.point, evidence, mark, How::Between)
}

fn statement(scenario: &Scenario, action: Action, world: &World) -> Option<String> {
    let change = Change::of(
        action,
        world,
        &world.graph(scenario.database.engine()).ok()?,
    )?;
    Some(change.sql(scenario.database.engine()))
}

fn of_fault<'a>(fault: &Fault, run: usize, evidence: &'a Evidence) -> Option<Spot<'a>> {
    let mark = mark(fault);
    match fault.mode {
        mode if mode.is_of_files() => Some(changed(mark, run, evidence)),
        Mode::CutAfter | Mode::KillAfter | Mode::ServerKillAfter | Mode::NodeKillAfter => {
            after(run, fault.point, evidence, mark, How::Cut)
        }
        Mode::Delay(_) | Mode::NodeIsolateAfter => {
            after(run, fault.point, evidence, mark, How::Between)
        }
        Mode::Interrupt | Mode::Terminate | Mode::KillConnection | Mode::NodeIsolateBefore => {
            before(run, fault.point, evidence, mark, How::Between)
        }
        _ => before(run, fault.point, evidence, mark, How::Cut),
    }
}

fn mark(fault: &Fault) -> String {
    let what = match fault.mode {
        Mode::CutBefore | Mode::CutAfter => "the connection was lost".to_owned(),
        Mode::KillBefore | Mode::KillAfter => "the engine was killed".into(),
        Mode::Error(code) => format!("the next statement was answered with error {code}"),
        Mode::ErrorForGood(code) => {
            format!("the next statement was answered with error {code}, from here on always")
        }
        Mode::CommitRefused => "the COMMIT was refused and rolled back".into(),
        Mode::CommitLost => "the COMMIT was answered with OK and rolled back".into(),
        Mode::Delay(time) => format!("the answer came {time} ms late"),
        Mode::Interrupt => "the engine got SIGINT".into(),
        Mode::Terminate => "the engine got SIGTERM".into(),
        Mode::ServerKillBefore | Mode::ServerKillAfter => "the server was killed".into(),
        Mode::KillConnection => "an administrator killed the connection".into(),
        Mode::StatementKilled => "the next statement was killed in its middle".into(),
        Mode::SessionKilled => "the session was killed in the middle of the next statement".into(),
        Mode::IoError => "an operation on a file failed".into(),
        Mode::IoErrorForGood => "operations on files failed from here on".into(),
        Mode::DiskFull => "the disk was full for one operation".into(),
        Mode::DiskFullForGood => "the disk was full from here on".into(),
        Mode::Freeze => "the engine was killed, at an operation on a file".into(),
        Mode::Conflict => "another node wrote a row of the batch".into(),
        Mode::NodeKillBefore | Mode::NodeKillAfter => "the engine's node was killed".into(),
        Mode::NodeIsolateBefore | Mode::NodeIsolateAfter => {
            "the engine's node was parted from the others".into()
        }
    };
    match fault.mode.is_of_files() {
        true => format!("here {what} ({}: {})", fault.point, fault.text),
        false => format!("here {what}"),
    }
}

fn run_of(evidence: &Evidence, run: usize) -> &[Passed] {
    evidence.runs.get(run).map_or(&[], Vec::as_slice)
}

fn before(run: usize, point: u64, evidence: &Evidence, mark: String, how: How) -> Option<Spot<'_>> {
    let statements = run_of(evidence, run);
    let index = statements.iter().position(|p| p.point == Some(point))?;
    Some(Spot {
        run,
        index,
        mark,
        last: executed(&statements[..index]),
        next: statements.get(index),
        how,
    })
}

/// After a statement. What would have come next, had the run not been cut, is known from the
/// undisturbed one.
fn after(run: usize, point: u64, evidence: &Evidence, mark: String, how: How) -> Option<Spot<'_>> {
    let statements = run_of(evidence, run);
    let index = statements.iter().position(|p| p.point == Some(point))? + 1;
    let following = match how {
        How::Cut if run == 0 => &evidence.calm,
        How::Cut => &[][..],
        How::Between | How::Seen => statements,
    };
    Some(Spot {
        run,
        index,
        mark,
        last: executed(&statements[..index]),
        next: following.iter().find(|p| p.point == Some(point + 1)),
        how,
    })
}

/// At the first statement that did not become what it becomes in an undisturbed run: which statement
/// asks for an operation on files shows in nothing else.
fn changed(mark: String, run: usize, evidence: &Evidence) -> Spot<'_> {
    let statements = run_of(evidence, run);
    let mut pairs = statements.iter().zip(&evidence.calm);
    let index = pairs
        .position(|(a, b)| a.outcome != b.outcome)
        .unwrap_or(statements.len());
    Spot {
        run,
        index,
        mark,
        last: executed(&statements[..index]),
        next: statements.get(index),
        how: How::Cut,
    }
}

fn executed(statements: &[Passed]) -> Option<&Passed> {
    let mut counted = statements.iter().rev().filter(|p| p.point.is_some());
    counted.find(|p| was_executed(p))
}

pub(super) fn was_executed(passed: &Passed) -> bool {
    passed.outcome.starts_with("ok")
}
