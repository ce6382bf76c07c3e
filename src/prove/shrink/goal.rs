//! When a smaller case counts as the same failure, and how long to look for one.

use std::collections::BTreeSet;
use std::time::Instant;

use super::super::archiver::Ended;
use super::super::campaign::Watch;
use super::super::case::Judged;
use super::super::normal::normalise;
use super::super::oracle::{Breach, Oracle};
use super::Budget;
use crate::db::Engine;
use crate::error::Error;

/// What counts as the same failure.
pub(super) struct Goal {
    /// Whose statements the messages of a run quote.
    engine: Engine,
    pub(super) fingerprint: String,
    /// Whether the undisturbed run on the original world fails like that.
    pub(super) calm_fails: bool,
    /// The oracles that say no to that run.
    calm_oracles: BTreeSet<Oracle>,
    /// How that run ends.
    calm_ended: String,
    /// Whether every fault of the original had its turn.
    pub(super) fired: bool,
}

impl Goal {
    pub(super) fn new(fingerprint: &str, calm: &Judged, engine: Engine) -> Self {
        Self {
            engine,
            fingerprint: fingerprint.to_owned(),
            calm_fails: calm.breaches.iter().any(|b| b.fingerprint() == fingerprint),
            calm_oracles: calm.breaches.iter().map(|b| b.oracle).collect(),
            calm_ended: ended(calm, engine),
            fired: true,
        }
    }

    pub(super) fn reached(&self, judged: &Judged) -> bool {
        let same = |b: &Breach| b.fingerprint() == self.fingerprint;
        judged.breaches.iter().any(same) && (judged.fired || !self.fired)
    }

    /// Whether a smaller world's undisturbed run leaves the failure what it is. An engine that fails
    /// altogether (for want of a table) fails for another reason, and so does one to which the
    /// oracle says no although nothing happened.
    pub(super) fn allows(&self, calm: &Judged) -> bool {
        let new = |b: &Breach| {
            let oracle = self.fingerprint.split('@').next() == Some(b.oracle.name());
            b.fingerprint() == self.fingerprint || oracle && !self.calm_oracles.contains(&b.oracle)
        };
        let ended = ended(calm, self.engine);
        (ended == DONE || ended == self.calm_ended)
            && (self.calm_fails || !calm.breaches.iter().any(new))
    }

    pub(super) fn missed(&self) -> Error {
        Error::data(format!(
            "the case did not fail as {} when it was run again",
            self.fingerprint
        ))
        .hint("the engine may do something else each time")
    }
}

const DONE: &str = "done";

/// How the first run ended, with nothing in it that differs between rows.
fn ended(judged: &Judged, engine: Engine) -> String {
    match judged.ran.first().map(|ran| &ran.ended) {
        None | Some(Ended::Done | Ended::Blocked) => DONE.into(),
        Some(Ended::Stopped) => "stopped".into(),
        Some(Ended::Killed) => "killed".into(),
        Some(Ended::Failed(message)) => normalise(message, engine),
    }
}

/// What has been used of the budget.
pub(super) struct Meter<'a> {
    started: Instant,
    budget: Budget,
    watch: &'a dyn Watch,
    pub(super) tries: u64,
    pub(super) spent: bool,
}

impl<'a> Meter<'a> {
    pub(super) fn new(budget: Budget, watch: &'a dyn Watch) -> Self {
        Self {
            started: Instant::now(),
            budget,
            watch,
            tries: 1,
            spent: false,
        }
    }

    /// Whether one more case may be tried.
    pub(super) fn take(&mut self) -> bool {
        self.spent |= self.tries >= self.budget.tries
            || self.started.elapsed() >= self.budget.time
            || self.watch.stop();
        self.tries += u64::from(!self.spent);
        !self.spent
    }
}
