//! What a case looked like from near: its statements and the states it went through.
//!
//! Kept only where somebody will read it, on the page of a bundle. The thousands of cases of a
//! campaign do without.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::archiver::{Ended, Place, Ran};
use super::injector::Passed;
use super::state::{Shape, State};
use super::world::MAIN_URL;

/// What a case looked like from near.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The tables by position, to read the states with.
    pub shape: Arc<Shape>,
    /// What was there before the first run.
    pub start: State,
    /// What an undisturbed run ends with.
    pub expected: State,
    /// The statements of an undisturbed run.
    pub calm: Vec<Passed>,
    /// The statements of each run: the first one with the fault, then the reruns. Of a loss of power
    /// the first one is a run that ends where the power went.
    pub runs: Vec<Vec<Passed>>,
    /// The states that were judged, in order.
    pub moments: Vec<Moment>,
    /// At which of the moments a breach was seen first, by fingerprint.
    pub seen: BTreeMap<String, usize>,
}

/// A state that was judged.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When it was there.
    pub when: When,
    /// What was committed then.
    pub state: State,
}

/// When a state was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In the middle of a run, after this statement had committed.
    Commit {
        /// Which run, from 0.
        run: usize,
        /// Which of its statements.
        point: u64,
    },
    /// After a run.
    End {
        /// Which run, from 0.
        run: usize,
    },
}

impl Evidence {
    pub(super) fn new(shape: &Arc<Shape>, start: &State) -> Box<Self> {
        Box::new(Self {
            shape: Arc::clone(shape),
            start: start.clone(),
            expected: start.clone(),
            calm: Vec::new(),
            runs: Vec::new(),
            moments: Vec::new(),
            seen: BTreeMap::new(),
        })
    }

    pub(super) fn moment(&mut self, when: When, state: &State) {
        let state = state.clone();
        self.moments.push(Moment { when, state });
    }

    /// A breach is seen in the state that was judged last.
    pub(super) fn breach(&mut self, fingerprint: &str) {
        if let Some(last) = self.moments.len().checked_sub(1) {
            self.seen.entry(fingerprint.to_owned()).or_insert(last);
        }
    }

    /// The state after a run.
    pub fn after(&self, run: usize) -> Option<&State> {
        let found = self.moments.iter().find(|m| m.when == When::End { run });
        found.map(|m| &m.state)
    }

    /// Puts names in the place of what is different from one ground to the next.
    pub(super) fn tidy(&mut self, names: &Names) {
        for passed in self.calm.iter_mut().chain(self.runs.iter_mut().flatten()) {
            names.tidy(&mut passed.sql);
            names.tidy(&mut passed.outcome);
        }
    }
}

/// What is different from one ground to the next (URLs, paths), with the names that stand for it.
pub(super) struct Names(Vec<(String, &'static str)>);

impl Names {
    pub(super) fn of(place: &Place) -> Self {
        let mut names = vec![(place.main.url.clone(), MAIN_URL)];
        let api = place.api.as_ref().map(|door| door.url.clone());
        names.extend(api.map(|url| (url, "{api-url}")));
        names.push((place.directory.display().to_string(), "{directory}"));
        names.retain(|(text, _)| !text.is_empty());
        Self(names)
    }

    fn tidy(&self, text: &mut String) {
        for (from, to) in &self.0 {
            if text.contains(from.as_str()) {
                *text = text.replace(from.as_str(), to);
            }
        }
    }

    /// The same in what a run says of itself.
    pub(super) fn tidy_ran(&self, ran: &mut Ran) {
        self.tidy(&mut ran.output);
        if let Ended::Failed(message) = &mut ran.ended {
            self.tidy(message);
        }
    }
}
