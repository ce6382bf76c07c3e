//! Several workers on one database, each with a session and a share of the roots of its own.
//!
//! The shares only keep workers out of each other's way. That no family is torn does not depend on
//! them: a worker locks roots before it reads on, and reads other roots of the same family in.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc;

use crate::db::Session;
use crate::error::{Error, Result};
use crate::schema::FamilyGraph;

use super::options::{Observer, Options, Stop};
use super::outcome::Outcome;
use super::run::Run;

/// One share of the roots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    number: u64,
    of: u64,
}

impl Share {
    /// Whether the root with this key falls to it.
    pub(super) fn takes(self, key: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish() % self.of == self.number
    }
}

/// What a worker tells the thread that listens.
enum Event {
    Batch {
        rows: u64,
        families: u64,
        api_keys: Vec<String>,
    },
    Notice(String),
}

/// Passes on what a worker's run says.
struct Relay {
    events: mpsc::Sender<Event>,
    rows: u64,
    families: u64,
}

impl Observer for Relay {
    fn batch(&mut self, rows: u64, _total_rows: u64, families: u64) {
        self.rows = rows;
        self.families = families;
    }

    fn archived(&mut self, api_keys: &[String]) -> Result<std::collections::BTreeMap<String, u64>> {
        let event = Event::Batch {
            rows: self.rows,
            families: self.families,
            api_keys: api_keys.to_vec(),
        };
        // The listener ends only when every worker has.
        drop(self.events.send(event));
        Ok(std::collections::BTreeMap::new())
    }

    fn notice(&mut self, text: &str) {
        drop(self.events.send(Event::Notice(text.to_owned())));
    }
}

/// Lets the workers move what they can and adds up what they did; API records are removed by this
/// thread as the workers commit.
pub(super) fn share(
    workers: Vec<Session>,
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
    outcome: &mut Outcome,
) -> Result<()> {
    let of = workers.len() as u64;
    let (sender, events) = mpsc::channel();
    let results = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, mut session) in (0..).zip(workers) {
            let mut relay = Relay {
                events: sender.clone(),
                rows: 0,
                families: 0,
            };
            threads.push(scope.spawn(move || -> Result<Outcome> {
                let before = session.statements();
                let mut run = Run::new(&mut session, graph, options, stop, &mut relay);
                run.share = Some(Share { number, of });
                run.shared()?;
                let mut done = run.outcome;
                done.statements = session.statements() - before;
                Ok(done)
            }));
        }
        drop(sender);
        let heard = listen(&events, observer, outcome);
        let ended = |thread: std::thread::ScopedJoinHandle<'_, Result<Outcome>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err(Error::internal("a worker panicked")))
        };
        let done: Vec<_> = threads.into_iter().map(ended).collect();
        heard.map(|()| done)
    })?;
    for done in results {
        outcome.add(done?);
    }
    Ok(())
}

fn listen(
    events: &mpsc::Receiver<Event>,
    observer: &mut dyn Observer,
    outcome: &mut Outcome,
) -> Result<()> {
    let (mut total, mut failed) = (0, Ok(()));
    for event in events {
        match event {
            Event::Notice(text) => observer.notice(&text),
            Event::Batch {
                rows,
                families,
                api_keys,
            } => {
                total += rows;
                observer.batch(rows, total, families);
                // The records of a failed clean-up are swept by the next run; the workers go on to
                // the end of what they have begun.
                match observer.archived(&api_keys) {
                    Ok(removed) => removed.into_iter().for_each(|(table, count)| {
                        *outcome.api_records.entry(table).or_default() += count;
                    }),
                    Err(error) if failed.is_ok() => failed = Err(error),
                    Err(_) => {}
                }
            }
        }
    }
    failed
}
