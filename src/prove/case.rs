//! Cases and what came of them, as values.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::archiver::Ran;
use super::evidence::Evidence;
use super::fault::Fault;
use super::injector::Passed;
use super::oracle::{Breach, Oracle};
use super::writer::{Action, Writer};

/// What is done to one run, and to the rerun after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The fault; none for the undisturbed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// A concurrent writer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<Writer>,
    /// A second fault, in the rerun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Fault>,
    /// A loss of power, instead of a fault (SQLite).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_loss: Option<PowerLossPoint>,
}

impl Case {
    /// The names of all that is done to the engine, as reports count them.
    pub(super) fn modes(&self) -> BTreeSet<String> {
        let faults = self.fault.iter().chain(&self.second);
        let mut modes: BTreeSet<_> = faults.map(|f| f.mode.to_string()).collect();
        let writer = self.writer.as_ref();
        modes.extend(writer.map(|w| format!("writer {}", w.action.name())));
        modes.extend(self.power_loss.iter().map(|_| "power-loss".into()));
        modes
    }

    /// Whether the fault of this run, from 1, kills the engine.
    pub(super) fn kills(&self, run: usize) -> bool {
        let fault = match run {
            1 => &self.fault,
            2 => &self.second,
            _ => &None,
        };
        fault.as_ref().is_some_and(|f| f.mode.kills())
    }

    /// Whether a concurrent writer does this.
    pub(super) fn has_writer(&self, action: Action) -> bool {
        self.writer.as_ref().is_some_and(|w| w.action == action)
    }
}

/// A loss of power: which of the operations on files had reached the disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerLossPoint {
    /// Operations that had been asked for.
    pub after_operation: u64,
    /// Those of them that had not reached the disk.
    pub lost: Vec<u64>,
}

/// What came of a case.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// What oracles say no to.
    pub breaches: Vec<Breach>,
    /// The oracles that were asked.
    pub asked: BTreeSet<Oracle>,
    /// Whether every fault and writer of the case had its turn.
    pub fired: bool,
    /// Whether any of them had.
    pub begun: bool,
    /// Whether the concurrent writer has changed a row; `None` if it had no turn.
    pub wrote: Option<bool>,
    /// Expected and found text at the point, where they differ.
    pub other_text: Option<(String, String)>,
    /// The statements of the first run.
    pub trace: Vec<Passed>,
    /// What the runs said of themselves, in order.
    pub ran: Vec<Ran>,
    /// Points of the run with the last fault: of the rerun, if the case has a second fault.
    pub points: u64,
    /// What the first run left in the databases, as a digest of all rows.
    pub left: Option<u64>,
    /// All of it from near; of case 0, and where a trace was asked for.
    pub evidence: Option<Box<Evidence>>,
}

impl Judged {
    /// Whether one part of a combined case has left the other without its turn, and nothing was found:
    /// it was the first part alone, which is another case.
    pub(super) fn is_without_turn(&self) -> bool {
        self.begun && !self.fired && self.breaches.is_empty() && self.other_text.is_none()
    }
}
