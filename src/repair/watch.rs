//! What is heard while a repair moves rows: progress over all its parts, and whose API records may go.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::{Api, Observer};
use crate::error::Result;

/// Passes on what it hears, as of one run.
pub(super) struct Watch<'a, 'c> {
    observer: &'a mut dyn Observer,
    api: Option<&'a mut Api<'c>>,
    /// Rows so far.
    rows: u64,
    /// Families so far, and how many of them are of the part that is at work.
    families: (u64, u64),
    /// Statements of which one of the kind was shown.
    shown: BTreeSet<(String, String)>,
    /// What the API database said, where records could not be removed.
    refused: Option<String>,
}

impl<'a, 'c> Watch<'a, 'c> {
    pub(super) fn new(observer: &'a mut dyn Observer, api: Option<&'a mut Api<'c>>) -> Self {
        Self {
            observer,
            api,
            rows: 0,
            families: (0, 0),
            shown: BTreeSet::new(),
            refused: None,
        }
    }

    /// Records of what moved. The cell is healed all the same where they cannot be removed.
    fn records(
        &mut self,
        remove: impl FnOnce(&mut Api<'c>) -> Result<BTreeMap<String, u64>>,
    ) -> BTreeMap<String, u64> {
        let api = self.api.as_deref_mut().filter(|_| self.refused.is_none());
        match api.map(remove) {
            None => BTreeMap::new(),
            Some(Ok(records)) => records,
            Some(Err(error)) => {
                self.refused = Some(error.to_string());
                BTreeMap::new()
            }
        }
    }

    /// What the API database said, where records were left that were to be removed with their families.
    pub(super) fn refused(self) -> Option<String> {
        self.refused
    }
}

impl Observer for Watch<'_, '_> {
    fn batch(&mut self, rows: u64, _: u64, families: u64) {
        self.rows += rows;
        let (all, last) = self.families;
        // Each part begins at nothing.
        let more = match families.checked_sub(last) {
            Some(more) => more,
            None => families,
        };
        self.families = (all + more, families);
        self.observer.batch(rows, self.rows, self.families.0);
    }

    fn archived(&mut self, api_keys: &[String]) -> Result<BTreeMap<String, u64>> {
        Ok(self.records(|api| api.remove(api_keys)))
    }

    fn would_archive(&mut self, api_keys: &[String]) -> Result<BTreeMap<String, u64>> {
        Ok(self.records(|api| {
            let cell = api.cell_names().next().unwrap_or_default().to_owned();
            api.would_remove(&cell, api_keys)
        }))
    }

    fn waits(&mut self, why: &str) {
        self.observer.waits(why);
    }

    fn notice(&mut self, text: &str) {
        self.observer.notice(text);
    }

    fn plan(&mut self, table: &str, statements: &[String]) {
        let kind = |text: &String| {
            let ends = ["(", " WHERE "].iter().filter_map(|end| text.find(end));
            let end = ends.min().unwrap_or(text.len());
            (table.to_owned(), text[..end].to_owned())
        };
        let new = |text: &&String| self.shown.insert(kind(text));
        let new: Vec<String> = statements.iter().filter(new).cloned().collect();
        if !new.is_empty() {
            self.observer.plan(table, &new);
        }
    }
}
