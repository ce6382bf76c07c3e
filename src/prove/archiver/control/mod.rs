//! Control engines: a textbook engine that makes no mistake, and the same engine with exactly one
//! known mistake each.
//!
//! They are how one knows that a green verdict means something: the harness has to catch every one of
//! them, with the oracle that is there for it, and must not say a word against the textbook. The
//! textbook shares no code with sexton's own engine; it is simple and slow.

mod family;
mod link;
mod mistake;
mod records;
mod sql;
mod tables;
mod textbook;
mod write;

pub use mistake::Mistake;

use crate::db::Engine;
use crate::error::Result;
use crate::prove::world::Layout;

use self::textbook::Textbook;
use super::{Archiver, Place, Ran};

/// An engine with one known mistake, or with none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Control {
    /// What it does wrong.
    pub mistake: Option<Mistake>,
}

impl Control {
    /// The engine that makes no mistake.
    pub fn textbook() -> Self {
        Self::default()
    }

    /// The engine that makes this mistake.
    pub fn of(mistake: Mistake) -> Self {
        Self {
            mistake: Some(mistake),
        }
    }
}

impl Archiver for Control {
    fn name(&self) -> String {
        match self.mistake {
            Some(mistake) => format!("control:{mistake}"),
            None => "textbook".into(),
        }
    }

    fn runs_on(&self, engine: Engine) -> bool {
        self.mistake.is_none_or(|m| m.runs_on(engine))
    }

    fn purges(&self) -> bool {
        false
    }

    fn takes_before(&self) -> bool {
        false
    }

    fn layout(&self) -> Layout {
        match self.mistake {
            Some(Mistake::AttachWal) => Layout::AttachedWal,
            _ => Layout::OneDatabase,
        }
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        Ok(Textbook::run(place, self.mistake).unwrap_or_else(|e| Ran::failed(e.to_string())))
    }
}
