//! One cure: the rows that ask for it, a window of keys at a time, and what is done to them.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::archive::{Direction, Held, Stop, WINDOW, key_pieces, row_name};
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
    /// Rows that are in the way, as they are called.
    blocked: HashSet<String>,
    /// Whether it is not known of all rows whether they are to come back: what hangs on them must not follow them then.
    unknown_returns: bool,
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
            blocked: HashSet::new(),
            unknown_returns: false,
        }
    }

    /// Heals all rows of one ailment. What cannot be asked is left, and told.
    pub(super) fn heal(&mut self, ailment: &Ailment<'_>) -> Result<()> {
        if self.unknown_returns && ailment.cure.way == Way::Follow {
            return Ok(());
        }
        let (engine, before) = (self.held.engine(), self.options.before());
        let mut after: Option<Key> = None;
        while !self.stop.requested() {
            let window = ailment
                .cure
                .window(engine, after.as_deref(), before, WINDOW);
            let Some(keys) = self.ask(ailment, &window)? else {
                break;
            };
            let Some(last) = keys.last().cloned() else {
                break;
            };
            let whole = keys.len() < WINDOW;
            let moved = match direction(&ailment.cure.way) {
                Some(direction) => self.reunite(direction, ailment, &keys),
                None => self.write(engine, ailment, &keys),
            };
            let mut healed = match self.options.apply {
                true if moved.is_ok() => {
                    self.no_longer(engine, ailment, after.as_deref(), &last, keys)?
                }
                // Which of them is not asked for any more.
                true => Vec::new(),
                false => keys,
            };
            // One that somebody else moved, or changed, asks for nothing any more either.
            let table = &ailment.cure.table;
            healed.retain(|key| !self.blocked.contains(&row_name(table, key)));
            self.outcome.healed(ailment, &healed);
            moved?;
            after = Some(last);
            if whole {
                break;
            }
        }
        Ok(())
    }

    /// Moves the families of these rows.
    fn reunite(&mut self, direction: Direction, ailment: &Ailment<'_>, keys: &[Key]) -> Result<()> {
        let table = &ailment.cure.table;
        let mut moving = keys.to_vec();
        if !self.options.apply {
            moving.retain(|key| self.moved.insert(number(&(table, format!("{key:?}")))));
        }
        let reunited = self.held.reunite(direction, table, moving);
        self.outcome.moved(direction, reunited.outcome);
        for (reason, root) in reunited.blocked {
            // One family may be asked for by several of its rows.
            if self.blocked.insert(root) {
                self.outcome.count_blocked(reason);
            }
        }
        reunited.ended
    }

    /// Those of a window's keys whose rows ask for it no longer.
    fn no_longer(
        &mut self,
        engine: Engine,
        ailment: &Ailment<'_>,
        after: Option<&[Value]>,
        last: &[Value],
        mut keys: Vec<Key>,
    ) -> Result<Vec<Key>> {
        let text = |key: &Key| format!("{key:?}");
        let asked = ailment.cure.still(engine, after, last);
        let Some(rows) = self.ask(ailment, &asked)? else {
            return Ok(Vec::new());
        };
        let still: HashSet<String> = rows.iter().map(text).collect();
        keys.retain(|key| !still.contains(&text(key)));
        Ok(keys)
    }

    /// Writes what does not move.
    fn write(&mut self, engine: Engine, ailment: &Ailment<'_>, keys: &[Key]) -> Result<()> {
        let Some(rewrite) = Rewrite::new(self.held.graph(), engine, ailment.cure) else {
            return Ok(());
        };
        let size = usize::try_from(self.options.run.max_rows).unwrap_or(WINDOW);
        let transactions = keys.chunks(size.max(1));
        let pieces = transactions.flat_map(|keys| key_pieces(engine, keys));
        // Which of them the database refuses is closed in on by halves.
        let mut pending: Vec<Vec<Key>> = pieces.collect();
        pending.reverse();
        while let Some(mut piece) = pending.pop().filter(|_| !self.stop.requested()) {
            let statement = rewrite.statement(&piece);
            if !self.options.apply {
                let table = &ailment.cure.table;
                self.held.observer().plan(table, &[statement]);
                break;
            }
            let locks = rewrite.locks(&piece);
            let written = self
                .held
                .patiently(|session| writes::write(session, &locks, &statement))?;
            match written {
                Ok(_) => {}
                Err(error) if error.kind.refuses_rows() && piece.len() > 1 => {
                    let half = piece.split_off(piece.len() / 2);
                    pending.extend([half, piece]);
                }
                Err(error) if error.kind.refuses_rows() => {
                    let root = row_name(&ailment.cure.table, &piece[0]);
                    self.outcome.refused(root.clone(), error.to_string());
                    self.blocked.insert(root);
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
        self.unknown_returns |= ailment.cure.way == Way::Return;
        self.outcome.not_asked(NotChecked {
            check: ailment.probe.check.into(),
            table: Some(ailment.probe.table.clone()),
            why: error.to_string(),
        });
    }
}

/// Which way rows go; nothing for those that stay where they are.
fn direction(way: &Way) -> Option<Direction> {
    match way {
        Way::Return => Some(Direction::Return),
        Way::Follow => Some(Direction::Follow),
        Way::Archive => Some(Direction::Archive),
        Way::DropShadowCopy { .. } | Way::DropLiveCopy { .. } | Way::Set { .. } => None,
    }
}

/// A number for something. Two that were given the same one would be counted as one, in a plan.
fn number(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
