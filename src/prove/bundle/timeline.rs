//! A failing case as a sequence of events: what was said, what was done to it, what was committed, what an oracle saw.
//!
//! The same as `trace.sql` has, as values, for a page that shows it.

use std::collections::BTreeMap;

use super::super::archiver::Ended;
use super::super::campaign::Engines;
use super::super::case::Judged;
use super::super::evidence::{Evidence, Moment, When};
use super::super::oracle::Breach;
use super::super::replay::replay;
use super::super::scenario::Scenario;
use super::super::state::{Record, Shape, State};
use super::spot::{How, Spot, spots, was_executed};
use super::trace::title;
use crate::error::{Error, Result};

/// How many rows of a commit are named; the others are counted.
const NAMED: usize = 12;

/// What happened in a case, run by run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// The runs: the one that was hit, then the reruns.
    pub runs: Vec<Run>,
}

/// One run of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which one: `the one that was hit`.
    pub title: String,
    /// How it ended, by the engine's own account; empty where nobody was left to say.
    pub ended: String,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// One thing that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The engine said something to a database.
    Statement {
        /// Its number, from 1; set-up statements have none.
        number: Option<u64>,
        /// The database: `main`, `api`.
        database: String,
        /// What was said.
        sql: String,
        /// What came of it.
        outcome: String,
        /// Whether the database ran it.
        executed: bool,
    },
    /// Something was done to the engine or beside it.
    Hit(String),
    /// Rows went elsewhere for good.
    Committed(String),
    /// An oracle says no to what is committed now.
    Seen(String),
}

impl Timeline {
    /// Runs a scenario once more and looks at it from near.
    ///
    /// # Errors
    ///
    /// As [`replay`]; exit code 65 if it does not fail like this any more.
    pub fn again(scenario: &Scenario, fingerprint: &str, engines: &dyn Engines) -> Result<Self> {
        let judged = replay(scenario, engines)?;
        let breach = judged
            .breaches
            .iter()
            .find(|b| b.fingerprint() == fingerprint);
        let gone = || {
            Error::data("it did not fail like this when it was run again")
                .hint("faults that depend on time may need more than one try")
        };
        let breach = breach.ok_or_else(gone)?;
        Self::of(scenario, &judged, breach).ok_or_else(gone)
    }

    /// The timeline of a case that was judged; `None` if no evidence was kept.
    pub fn of(scenario: &Scenario, judged: &Judged, breach: &Breach) -> Option<Self> {
        let evidence = judged.evidence.as_deref()?;
        let (spots, _) = spots(scenario, evidence, breach);
        let mut before = &evidence.start;
        let mut runs = Vec::new();
        // After a loss of power the first run is nobody's whom one could ask.
        let silent = usize::from(scenario.case.power_loss.is_some());
        for (run, statements) in evidence.runs.iter().enumerate() {
            let mut events = Vec::new();
            for (index, passed) in statements.iter().enumerate() {
                events.extend(marks(&spots, (run, index)));
                events.push(Event::Statement {
                    number: passed.point,
                    database: passed.database.clone(),
                    sql: passed.sql.trim().to_owned(),
                    outcome: passed.outcome.clone(),
                    executed: was_executed(passed),
                });
                let commit = |m: &&Moment| matches!(m.when, When::Commit { run: r, point } if r == run && Some(point) == passed.point);
                if let Some(moment) = evidence.moments.iter().find(commit) {
                    events.extend(
                        changes(&evidence.shape, before, &moment.state).map(Event::Committed),
                    );
                    before = &moment.state;
                }
            }
            events.extend(marks(&spots, (run, statements.len())));
            if let Some(state) = evidence.after(run) {
                let more = changes(&evidence.shape, before, state);
                events.extend(
                    more.map(|rows| Event::Committed(format!("until the end of the run: {rows}"))),
                );
                before = state;
            }
            events.extend(seen_at_end(evidence, breach, run));
            let said = run.checked_sub(silent).and_then(|n| judged.ran.get(n));
            runs.push(Run {
                title: title(scenario, run).to_owned(),
                ended: match said {
                    // To an engine in this process its own death is a lost connection.
                    Some(_) if scenario.case.kills(run + 1) => Ended::Killed.to_string(),
                    Some(ran) => ran.ended.to_string(),
                    None => String::new(),
                },
                events,
            });
        }
        Some(Self { runs })
    }
}

fn marks(spots: &[Spot<'_>], place: (usize, usize)) -> Vec<Event> {
    let here = spots.iter().filter(|s| (s.run, s.index) == place);
    let event = |spot: &Spot<'_>| match spot.how {
        How::Seen => Event::Seen(spot.mark.clone()),
        How::Cut | How::Between => Event::Hit(spot.mark.clone()),
    };
    here.map(event).collect()
}

/// What an oracle said no to only when the run was over; what was to be seen before has its place already.
fn seen_at_end(evidence: &Evidence, breach: &Breach, run: usize) -> Option<Event> {
    let seen = evidence.seen.get(&breach.fingerprint())?;
    let moment = evidence.moments.get(*seen)?;
    let here = moment.when == When::End { run };
    here.then(|| Event::Seen(format!("at the end of this run: {}", breach.what)))
}

/// Which rows lie elsewhere than before, in words.
fn changes(shape: &Shape, before: &State, after: &State) -> Option<String> {
    let mut words: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, table) in shape.tables.iter().enumerate() {
        let was = sides(before, index, |record| table.row_name(record));
        let is = sides(after, index, |record| table.row_name(record));
        let names: std::collections::BTreeSet<_> = was.keys().chain(is.keys()).collect();
        for name in names {
            let (from, to) = (was.get(name), is.get(name));
            if from != to {
                let to = to.copied().map_or("gone", |side| side.name(shape));
                words.entry(to.to_owned()).or_default().push(name.clone());
            }
        }
    }
    for (index, (table, _)) in shape.api.iter().enumerate() {
        let count = |state: &State| state.api.get(index).map_or(0, |rows| rows.len());
        let (was, is) = (count(before), count(after));
        if was != is {
            let change = format!("{table} {was} to {is} rows");
            words.entry("API database".into()).or_default().push(change);
        }
    }
    let list = |(place, names): (&String, &Vec<String>)| {
        let named = names
            .iter()
            .take(NAMED)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        match names.len().checked_sub(NAMED) {
            Some(more) if more > 0 => format!("{place}: {named} and {more} more"),
            _ => format!("{place}: {named}"),
        }
    };
    let text: Vec<_> = words.iter().map(list).collect();
    (!text.is_empty()).then(|| text.join("; "))
}

/// Where a row lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Live,
    Away,
    Both,
}

impl Place {
    fn name(self, shape: &Shape) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Away => shape.away(),
            Self::Both => "in both tables",
        }
    }
}

fn sides(state: &State, table: usize, name: impl Fn(&Record) -> String) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    if let Some(sides) = state.tables.get(table) {
        places.extend(sides.live.iter().map(|row| (name(row), Place::Live)));
        for row in &sides.shadow {
            let place = places.entry(name(row)).or_insert(Place::Away);
            if *place == Place::Live {
                *place = Place::Both;
            }
        }
    }
    places
}
