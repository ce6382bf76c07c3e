//! One cure: the rows that ask for it, a window of keys at a time, and what is done to them.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::archive::{Direction, Held, Stop, WINDOW};
use crate::audit::{Cure, NotChecked, Probe, Way, ask};
use crate::db::{DbError, Engine, Value};
use crate::error::Result;

use super::writes::{self, Rewrite};
use super::{Options, RepairOutcome};

type Key = Vec<Value>;

/// What is wrong, and what heals it.
#[derive(Clone, Copy)]
pub(super) struct Ailment<'a> {
    pub(super) probe: &'a Probe,
    pub(super) cure: &'a Cure,
}

impl<'a> Ailment<'a> {
    /// All that have a cure, in the order in which that is done.
    pub(super) fn of(probes: &'a [Probe]) -> Vec<Self> {
        let cures = probes
            .iter()
            .flat_map(|probe| probe.cures.iter().map(move |cure| Self { probe, cure }));
        let mut all: Vec<_> = cures.collect();
        all.sort_by(|a, b| a.cure.way.cmp(&b.cure.way));
        all
    }
}

/// One pass over all cures.
pub(super) struct Healing<'p, 'h> {
    held: &'p mut Held<'h>,
    options: &'p Options,
    stop: &'p Stop<'p>,
    outcome: &'p mut RepairOutcome,
    /// In a plan: rows that would have moved by now, which are found again by whatever else is wrong with their family.
    moved: HashSet<u64>,
}

impl<'p, 'h> Healing<'p, 'h> {
    pub(super) fn new(
        held: &'p mut Held<'h>,
        options: &'p Options,
        stop: &'p Stop<'p>,
        outcome: &'p mut RepairOutcome,
    ) -> Self {
        Self {
            held,
            options,
            stop,
            outcome,
            moved: HashSet::new(),
        }
    }

    /// Heals all rows of one ailment. What cannot be asked is left, and told.
    pub(super) fn heal(&mut self, ailment: &Ailment<'_>) -> Result<()> {
        let engine = self.held.engine();
        let mut after: Option<Key> = None;
        while !self.stop.requested() {
            let window =
                ailment
                    .cure
                    .window(engine, after.as_deref(), self.options.before(), WINDOW);
            let Some(keys) = self.ask(ailment, &window)? else {
                break;
            };
            let Some(last) = keys.last() else {
                break;
            };
            let whole = keys.len() < WINDOW;
            after = Some(last.clone());
            self.window(engine, ailment, keys)?;
            if whole {
                break;
            }
        }
        Ok(())
    }

    fn window(&mut self, engine: Engine, ailment: &Ailment<'_>, keys: Vec<Key>) -> Result<()> {
        let direction = match ailment.cure.way {
            Way::Return => Some(Direction::Return),
            Way::Follow => Some(Direction::Follow),
            Way::Archive => Some(Direction::Archive),
            Way::DropShadowCopy { .. } | Way::DropLiveCopy { .. } | Way::Set { .. } => None,
        };
        match direction {
            Some(direction) => {
                let mut moving = keys.clone();
                if !self.options.apply {
                    moving.retain(|key| self.moved.insert(number(&ailment.cure.table, key)));
                }
                let (moved, ended) = self.held.reunite(direction, &ailment.cure.table, moving);
                self.outcome.moved(direction, moved);
                ended?;
            }
            None => self.write(engine, ailment, &keys)?,
        }
        self.count(engine, ailment, keys)
    }

    /// Books the rows that had asked for it and do so no longer.
    fn count(&mut self, engine: Engine, ailment: &Ailment<'_>, mut keys: Vec<Key>) -> Result<()> {
        if self.options.apply {
            let text = |key: &Key| format!("{key:?}");
            let mut still: HashSet<String> = HashSet::new();
            for piece in writes::pieces(engine, &keys) {
                let asked = ailment.cure.still(engine, &piece);
                let Some(rows) = self.ask(ailment, &asked)? else {
                    return Ok(());
                };
                still.extend(rows.iter().map(text));
            }
            keys.retain(|key| !still.contains(&text(key)));
        }
        self.outcome.healed(ailment, &keys);
        Ok(())
    }

    fn write(&mut self, engine: Engine, ailment: &Ailment<'_>, keys: &[Key]) -> Result<()> {
        let Some(rewrite) = Rewrite::new(self.held.graph(), engine, ailment.cure) else {
            return Ok(());
        };
        for piece in writes::pieces(engine, keys) {
            if self.stop.requested() {
                break;
            }
            let statement = rewrite.statement(&piece);
            if !self.options.apply {
                self.held.observer().plan(&ailment.cure.table, &[statement]);
                break;
            }
            let locks = rewrite.locks(&piece);
            let written = self
                .held
                .patiently(|session| writes::write(session, &locks, &statement))?;
            match written {
                Ok(_) => {}
                Err(error) if error.kind.refuses_rows() => {
                    let told = format!("{}: {error}: left as it is", ailment.cure.table);
                    self.held.observer().notice(&told);
                }
                Err(error) => {
                    self.refused(ailment, &error);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Asks; nothing where the database refuses, which is told.
    fn ask(&mut self, ailment: &Ailment<'_>, question: &str) -> Result<Option<Vec<Key>>> {
        match self.held.patiently(|session| ask(session, question))? {
            Ok(rows) => Ok(Some(rows)),
            Err(error) => {
                self.refused(ailment, &error);
                Ok(None)
            }
        }
    }

    /// That this one was not looked into, or not to its end.
    fn refused(&mut self, ailment: &Ailment<'_>, error: &DbError) {
        self.outcome.not_asked(NotChecked {
            check: ailment.probe.check.into(),
            table: Some(ailment.probe.table.clone()),
            why: error.to_string(),
        });
    }
}

/// A number for a row. Two that were given the same one would be counted as one, in a plan.
fn number(table: &str, key: &[Value]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (table, format!("{key:?}")).hash(&mut hasher);
    hasher.finish()
}
