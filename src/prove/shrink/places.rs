//! Where a fault goes when the world is another and statements have moved; and which faults are
//! simpler than others.

use super::super::case::{Case, PowerLossPoint};
use super::super::fault::{Fault, Mode, Setting};
use super::super::normal::Kind;
use super::super::replay::SetUp;
use super::super::writer::Writer;
use crate::error::Result;

/// A point of an undisturbed run: number, text, and what a statement does; operations on files have
/// no kind.
struct Point {
    number: u64,
    text: String,
    kind: Option<Kind>,
}

/// The points that a mode can hit.
fn points(mode: Mode, up: &mut SetUp) -> Result<Vec<Point>> {
    if mode.is_of_files() {
        let texts = (1..).zip(up.operations()?);
        return Ok(texts
            .map(|(number, text)| Point {
                number,
                text,
                kind: None,
            })
            .collect());
    }
    let setting = Setting {
        engine: up.runner.stage.engine,
        process: up.process,
    };
    let fits = |kind: Kind| match mode {
        Mode::CommitLost => kind == Kind::Commit,
        Mode::Delay(_) => kind != Kind::Setup,
        // Where a statement has a middle is known to whoever runs it: where it has none nothing fires.
        mode if mode.is_of_middle() => matches!(kind, Kind::Read | Kind::Write),
        Mode::Conflict => matches!(kind, Kind::Read | Kind::Write | Kind::Commit),
        mode if mode.is_of_node() => kind == Kind::Commit,
        mode => mode.is_of_server() || Mode::at(kind, setting).contains(&mode),
    };
    let mut points = statements(up);
    points.retain(|p| p.kind.is_some_and(fits));
    Ok(points)
}

fn statements(up: &SetUp) -> Vec<Point> {
    let point = |p: &super::super::injector::Passed| {
        Some(Point {
            number: p.point?,
            text: p.identity(),
            kind: Some(p.kind),
        })
    };
    up.calm.trace.iter().filter_map(point).collect()
}

/// The case with its fault, its writer or both where the same statements are now. With
/// `everywhere` at all other places too, for a fault or a writer that is alone.
pub(super) fn places(case: &Case, everywhere: bool, up: &mut SetUp) -> Result<Vec<Case>> {
    if let Some(point) = &case.power_loss {
        let mut cases = images(up)?;
        let same = |c: &Case| c.power_loss.as_ref() == Some(point);
        cases.retain(|c| everywhere || same(c));
        cases.sort_by_key(|c| !same(c));
        return Ok(cases);
    }
    let alone = case.fault.is_none() || case.writer.is_none();
    let everywhere = everywhere && alone;
    let mut cases = vec![case.clone()];
    if let Some(writer) = &case.writer {
        let mut at = statements(up);
        at.retain(|p| everywhere || is_it(p, writer.point, &writer.text));
        at.sort_by_key(|p| !is_it(p, writer.point, &writer.text));
        cases = at
            .into_iter()
            .map(|point| {
                let action = writer.action;
                let (point, text) = (point.number, point.text);
                let writer = Some(Writer {
                    point,
                    action,
                    text,
                });
                Case {
                    writer,
                    ..case.clone()
                }
            })
            .collect();
    }
    if let Some(fault) = &case.fault {
        let mut at = points(fault.mode, up)?;
        at.retain(|p| everywhere || is_it(p, fault.point, &fault.text));
        at.sort_by_key(|p| !is_it(p, fault.point, &fault.text));
        let moved = |case: &Case| -> Vec<Case> {
            at.iter().map(|p| with_fault(case, fault.mode, p)).collect()
        };
        cases = cases.iter().flat_map(moved).collect();
    }
    Ok(cases)
}

/// Whether it is the point that is meant; where no text was kept, it is the number.
fn is_it(point: &Point, number: u64, text: &str) -> bool {
    match text.is_empty() {
        true => point.number == number,
        false => point.text == text,
    }
}

fn with_fault(case: &Case, mode: Mode, point: &Point) -> Case {
    Case {
        fault: Some(Fault {
            point: point.number,
            mode,
            text: point.text.clone(),
        }),
        power_loss: None,
        ..case.clone()
    }
}

fn images(up: &mut SetUp) -> Result<Vec<Case>> {
    let case = |loss: &super::super::vfs::PowerLoss| Case {
        power_loss: Some(PowerLossPoint {
            after_operation: loss.after_operation,
            lost: loss.lost.clone(),
        }),
        ..Case::default()
    };
    Ok(up.losses()?.iter().map(case).collect())
}

/// The case with less in it: without the second fault, without the writer, without the fault. The
/// undisturbed run is not among them.
pub(super) fn fewer(case: &Case) -> Vec<Case> {
    let alone = |case: Case| (case != Case::default()).then_some(case);
    let without = [
        case.second.is_some().then(|| Case {
            second: None,
            ..case.clone()
        }),
        case.writer.is_some().then(|| Case {
            writer: None,
            ..case.clone()
        }),
        // A second fault is one of the rerun; without a first one it is another case altogether.
        (case.fault.is_some() && case.second.is_none()).then(|| Case {
            fault: None,
            ..case.clone()
        }),
    ];
    without.into_iter().flatten().filter_map(alone).collect()
}

/// The case with a simpler mode, at any point, the simplest first; then with its own mode at an
/// earlier point.
pub(super) fn simpler(case: &Case, up: &mut SetUp) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let modes = match (&case.fault, &case.power_loss) {
        (Some(fault), _) => simpler_modes(fault.mode),
        (None, Some(_)) => simpler_than_power_loss(),
        (None, None) => Vec::new(),
    };
    for mode in modes {
        let at = points(mode, up)?;
        cases.extend(at.iter().map(|p| with_fault(case, mode, p)));
    }
    if let Some(fault) = &case.fault {
        let mut earlier = points(fault.mode, up)?;
        earlier.retain(|p| p.number < fault.point);
        let moved = earlier.iter().map(|p| with_fault(case, fault.mode, p));
        cases.extend(moved);
    } else if let Some(writer) = &case.writer {
        let mut earlier = statements(up);
        earlier.retain(|p| p.number < writer.point);
        cases.extend(earlier.into_iter().map(|point| Case {
            writer: Some(Writer {
                point: point.number,
                action: writer.action,
                text: point.text,
            }),
            ..case.clone()
        }));
    } else if case.power_loss.is_some() {
        let before = images(up)?;
        let earlier = before.into_iter().take_while(|c| c != case);
        cases.extend(earlier);
    }
    Ok(cases)
}

/// What is simpler than a mode: to be killed, to lose the connection; once instead of for good.
fn simpler_modes(mode: Mode) -> Vec<Mode> {
    let plain = [
        Mode::KillBefore,
        Mode::KillAfter,
        Mode::CutBefore,
        Mode::CutAfter,
    ];
    let mut simpler: Vec<_> = plain.into_iter().take_while(|m| *m != mode).collect();
    simpler.extend(match mode {
        Mode::ErrorForGood(code) => Some(Mode::Error(code)),
        Mode::IoErrorForGood => Some(Mode::IoError),
        Mode::DiskFullForGood => Some(Mode::DiskFull),
        _ => None,
    });
    simpler
}

fn simpler_than_power_loss() -> Vec<Mode> {
    let mut modes = simpler_modes(Mode::Freeze);
    modes.push(Mode::Freeze);
    modes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_the_simplest_fault() {
        assert!(simpler_modes(Mode::KillBefore).is_empty());
        assert_eq!(simpler_modes(Mode::KillAfter), [Mode::KillBefore]);
        assert_eq!(
            simpler_modes(Mode::IoErrorForGood).last(),
            Some(&Mode::IoError)
        );
    }
}
