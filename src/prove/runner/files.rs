//! Below the statements: operations on files, and what a loss of power leaves of them (SQLite).

use super::super::case::{Case, Judged};
use super::super::fault::{Fault, Mode};
use super::super::injector::{Orders, Sight};
use super::super::vfs::{IoFault, IoMode, PowerLoss, Recording};
use super::Runner;
use crate::error::{Error, Result};

impl Runner {
    /// Judges an image that a loss of power left behind.
    pub(in super::super) fn run_power_loss(
        &mut self,
        loss: &PowerLoss,
        case: &Case,
        trace: bool,
    ) -> Result<Judged> {
        let mut judged = Judged {
            fired: true,
            ..Judged::default()
        };
        let base = self.base()?;
        if trace {
            // The image tells nothing of statements: those of a process that dies at the same moment
            // stand in for them.
            judged.evidence = self.witness(&base.start);
            self.stage.reset(None)?;
            let fault = Fault {
                point: loss.after_operation + 1,
                mode: Mode::Freeze,
                text: String::new(),
            };
            judged.trace = self.go(Orders::default(), Some(&fault))?.1.trace;
        }
        self.stage.lose_power(loss)?;
        let acknowledged = loss
            .after_marks
            .checked_sub(1)
            .and_then(|i| base.commits.get(i))
            .map(|(_, state)| state.clone());
        let sight = Sight::default();
        self.judge(&mut judged, case, &base, (acknowledged, 0), &sight, None)?;
        Ok(judged)
    }

    /// Records an undisturbed run's operations on files (SQLite).
    pub(in super::super) fn record(&mut self) -> Result<Recording> {
        self.stage.reset(None)?;
        let Some(vfs) = self.stage.vfs() else {
            return Err(Error::internal("only files can lose power"));
        };
        vfs.arm(None, true);
        self.stage.injector.arm(Orders::default());
        self.engine_run()?;
        self.stage.injector.disarm();
        let recording = vfs.disarm();
        self.stage.settle()?;
        Ok(recording)
    }

    /// How many operations on files an undisturbed run asks for, with their text.
    pub(in super::super) fn operations(&mut self) -> Result<Vec<String>> {
        self.stage.reset(None)?;
        let Some(vfs) = self.stage.vfs() else {
            return Ok(Vec::new());
        };
        vfs.arm(None, false);
        self.stage.injector.arm(Orders::default());
        self.engine_run()?;
        self.stage.injector.disarm();
        vfs.disarm();
        let seen = vfs.seen();
        let texts = seen.operations.iter().map(ToString::to_string).collect();
        self.stage.settle()?;
        Ok(texts)
    }
}

/// The fault as the VFS takes it; `None` for those of statements.
pub(super) fn io_fault(fault: &Fault) -> Option<IoFault> {
    let mode = match fault.mode {
        Mode::IoError => IoMode::Error,
        Mode::IoErrorForGood => IoMode::ErrorForGood,
        Mode::DiskFull => IoMode::Full,
        Mode::DiskFullForGood => IoMode::FullForGood,
        Mode::Freeze => IoMode::Freeze,
        _ => return None,
    };
    Some(IoFault {
        operation: fault.point,
        mode,
    })
}
