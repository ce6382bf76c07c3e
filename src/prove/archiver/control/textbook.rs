//! The engine itself: family by family, slow and right, but for the one mistake it may be told to
//! make.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use crate::db::{DbError, DbErrorKind};
use crate::error::{Error, Result};
use crate::prove::archiver::{Ended, Place, Ran};
use crate::schema::Member;

use super::Mistake;
use super::family::{Family, Reader, Start};
use super::link::{Link, RETRIES, passes};
use super::records::Records;
use super::sql::{Sql, Tuple};
use super::write::{Counts, Trouble, write};

/// Roots on a page of [`Mistake::OffsetPaging`].
const PAGE: u64 = 1;

/// One run.
pub(super) struct Textbook<'p> {
    pub(super) place: &'p Place,
    pub(super) sql: Sql<'p>,
    pub(super) link: Link,
    records: Option<Records<'p>>,
    counts: Counts,
    blocked: bool,
    pub(super) stopped: bool,
}

impl<'p> Textbook<'p> {
    /// Runs to its end.
    pub(super) fn run(place: &'p Place, mistake: Option<Mistake>) -> Result<Ran> {
        let sql = Sql {
            graph: &place.graph,
            engine: place.engine,
            mistake,
        };
        let mut engine = Self {
            place,
            sql,
            link: Link::open(&place.main)?,
            records: Records::open(place)?,
            counts: Counts::new(),
            blocked: false,
            stopped: false,
        };
        if sql.makes(Mistake::NotIdempotent) {
            engine.stamp()?;
        }
        if sql.makes(Mistake::ChildFirst) {
            engine.tables()?;
        } else {
            engine.families()?;
        }
        let stopped = engine.stopped;
        if let Some(records) = engine.records.as_mut().filter(|_| !stopped) {
            // After every commit, also those of runs that died before they came here.
            records.sweep(&mut engine.link)?;
        }
        Ok(Ran {
            ended: match (engine.stopped, engine.blocked) {
                (true, _) => Ended::Stopped,
                (false, true) => Ended::Blocked,
                (false, false) => Ended::Done,
            },
            rows: Some(engine.counts),
            output: String::new(),
        })
    }

    /// Tables with rows that can be roots, owners before what they own.
    pub(super) fn root_tables(&self) -> Vec<&'p Member> {
        let order = self.sql.graph.delete_order.iter().rev();
        order
            .filter_map(|t| self.sql.graph.member(t))
            .filter(|m| m.obstacle.is_none() && m.marker.is_some())
            .collect()
    }

    /// Pass after pass, for what one family keeps back may be free once another one is gone.
    fn families(&mut self) -> Result<()> {
        loop {
            let before = self.counts.clone();
            self.blocked = false;
            self.pass()?;
            self.stragglers()?;
            if self.stopped || !self.blocked || self.counts == before {
                return Ok(());
            }
        }
    }

    fn pass(&mut self) -> Result<()> {
        let notes = self.sql.makes(Mistake::GivesUp).then(|| self.note());
        let noted = notes.as_ref().and_then(|n| std::fs::read_to_string(n).ok());
        for member in self.root_tables() {
            let mut passed: BTreeSet<String> = BTreeSet::new();
            let mut offset = 0;
            loop {
                let pages = self.sql.makes(Mistake::OffsetPaging);
                let sql = self.sql.roots(member, pages.then_some((PAGE, offset)));
                let keys = self.link.again(|session| session.query(&sql))?;
                let last = keys.is_empty() || !pages;
                for key in keys {
                    if self.place.stop.load(Ordering::SeqCst) {
                        self.stopped = true;
                        return Ok(());
                    }
                    let name = format!("{}:{key:?}", member.table);
                    if !passed.insert(name.clone()) {
                        continue;
                    }
                    if let Some(notes) = &notes {
                        // All before it is done; and it? A look at the database would tell.
                        if noted.as_ref() == Some(&name) {
                            continue;
                        }
                        std::fs::write(notes, &name).map_err(|e| Error::internal(e.to_string()))?;
                    }
                    self.family(member, &key, Start::Marked)?;
                }
                if last {
                    break;
                }
                offset += PAGE;
            }
        }
        if let Some(notes) = notes {
            drop(std::fs::remove_file(notes));
        }
        Ok(())
    }

    /// Children whose parent went without them: added when it was archived already, where no foreign
    /// key objects.
    fn stragglers(&mut self) -> Result<()> {
        for reference in &self.sql.graph.references {
            let (Some(member), Some(sql)) = (
                self.sql.graph.member(&reference.child),
                self.sql.stragglers(reference),
            ) else {
                continue;
            };
            for key in self.link.again(|session| session.query(&sql))? {
                if self.place.stop.load(Ordering::SeqCst) {
                    self.stopped = true;
                    return Ok(());
                }
                self.family(member, &key, Start::Straggler)?;
            }
        }
        Ok(())
    }

    /// The file of [`Mistake::GivesUp`].
    fn note(&self) -> PathBuf {
        self.place.directory.join("control-gives-up")
    }

    /// Moves one family, if it may move.
    fn family(&mut self, member: &Member, key: &Tuple, start: Start) -> Result<()> {
        if self.sql.makes(Mistake::ApiFirst)
            && let Some(records) = self.records.as_mut()
        {
            records.remove_of(&mut self.link, member, key)?;
        }
        let mut tries = 0;
        // What an attempt meant to move whose end is not known.
        let mut again = None;
        loop {
            let trouble = match self.attempt((member, key, start), again.take()) {
                Ok(counts) => {
                    self.count(counts);
                    return Ok(());
                }
                Err(trouble) => trouble,
            };
            tries += 1;
            if tries > RETRIES {
                let message = match trouble {
                    Trouble::Refused(error) | Trouble::Ambiguous(error, _) => error.to_string(),
                    Trouble::Mismatch(table) => format!("the rows of {table} change all the time"),
                };
                return Err(Error::unavailable(message).hint("run it again"));
            }
            match trouble {
                Trouble::Ambiguous(error, family) => {
                    self.link.recover(&error);
                    if self.sql.makes(Mistake::BlindRetry) {
                        again = Some(*family);
                    } else if self.has_moved(&family)? {
                        self.count(counts_of(&family));
                        return Ok(());
                    }
                }
                Trouble::Refused(error) => {
                    self.link.recover(&error);
                    if !passes(&error) {
                        return Err(error.into());
                    }
                }
                Trouble::Mismatch(_) => drop(self.link.session().rollback()),
            }
        }
    }

    /// One transaction.
    fn attempt(
        &mut self,
        (member, key, start): (&Member, &Tuple, Start),
        known: Option<Family>,
    ) -> Result<Counts, Trouble> {
        let sql = self.sql;
        let counted = known.is_none();
        let session = self.link.session();
        if sql.makes(Mistake::ForeignKeysOff) {
            session.execute(crate::prove::world::foreign_keys(sql.engine).0)?;
        }
        // Whoever asks again when it deletes sees no need to read and to write in one transaction.
        let early = sql.makes(Mistake::RequeryPredicate) || sql.makes(Mistake::StaleFamily);
        if !early {
            session.begin()?;
        }
        let family = match known {
            Some(family) => Some(family),
            None => Reader::new(session, sql).read(member, key, start)?,
        };
        let Some(family) = family.and_then(|f| self.admit(f)) else {
            if !early {
                // Nothing was written; where this fails the next BEGIN will say so.
                drop(self.link.session().rollback());
            }
            return Ok(Counts::new());
        };
        let session = self.link.session();
        if early {
            session.begin()?;
        }
        let mut counts = write(session, sql, &family, counted)?;
        if sql.makes(Mistake::Miscounts) {
            self.count(std::mem::take(&mut counts));
        }
        match self.link.session().commit() {
            Ok(()) => Ok(counts),
            Err(error) if error.kind == DbErrorKind::Connection => {
                Err(Trouble::Ambiguous(error, Box::new(family)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What of the family goes, if any of it may.
    fn admit(&mut self, mut family: Family) -> Option<Family> {
        if self.sql.makes(Mistake::ForeignKeysOff) {
            // No foreign key speaks up for them.
            family.rows.retain(|r| r.marked);
            return Some(family);
        }
        if !family.is_blocked() {
            return Some(family);
        }
        self.blocked = true;
        if !self.sql.makes(Mistake::SkipBlockedParent) {
            return None;
        }
        let mut position = 0;
        family.rows.retain(|_| {
            position += 1;
            !family.held.contains(&(position - 1))
        });
        (!family.rows.is_empty()).then_some(family)
    }

    /// Whether a COMMIT whose answer was lost has happened: then the root is gone.
    fn has_moved(&mut self, family: &Family) -> Result<bool, DbError> {
        let Some((root, member)) = family
            .rows
            .first()
            .and_then(|r| Some((r, self.sql.graph.member(&r.table)?)))
        else {
            return Ok(false);
        };
        let sql = format!(
            "SELECT COUNT(*) FROM {} WHERE {}",
            self.sql.engine.quote(&member.table),
            self.sql.among(&member.key, std::slice::from_ref(&root.key)),
        );
        Ok(self.link.again(|session| session.query_count(&sql))? == 0)
    }

    pub(super) fn count(&mut self, counts: Counts) {
        for (table, rows) in counts {
            *self.counts.entry(table).or_default() += rows;
        }
    }
}

fn counts_of(family: &Family) -> Counts {
    let keys = family.keys().into_iter();
    keys.map(|(table, keys)| (table.to_owned(), keys.len() as u64))
        .collect()
}
