//! Where a table's roots come from: windows of candidate keys, read without a lock.

use std::collections::{HashMap, VecDeque};

use crate::db::{DbError, Session};
use crate::schema::Member;

use super::capture::{RootKind, Unindexed};
use super::forest::{Forest, Key};
use super::sql::Sql;

/// Candidates read at a time: bounds the memory, and is what one pass over a child table without
/// an index serves.
pub(crate) const WINDOW: usize = 20_000;

/// The candidates of one table, in key order.
pub(super) struct Roots {
    pub(super) kind: RootKind,
    pub(super) pending: VecDeque<Key>,
    pub(super) unindexed: Unindexed,
    cursor: Option<Key>,
    exhausted: bool,
}

impl Roots {
    /// All soft-deleted roots of a table.
    pub(super) fn of_table() -> Self {
        Self {
            kind: RootKind::Marked,
            pending: VecDeque::new(),
            unindexed: Unindexed::default(),
            cursor: None,
            exhausted: false,
        }
    }

    /// Exactly these keys.
    pub(super) fn given(kind: RootKind, keys: Vec<Key>) -> Self {
        Self {
            kind,
            pending: keys.into(),
            exhausted: true,
            ..Self::of_table()
        }
    }

    /// The same keys, which are in their order: what hangs on them without an index is read once for all of them, as for a
    /// window of candidates.
    pub(super) fn in_order(
        mut self,
        session: &mut Session,
        sql: Sql<'_>,
        member: &Member,
    ) -> Result<Self, DbError> {
        if !sql.graph.returns {
            self.read_unindexed(session, sql, member)?;
        }
        Ok(self)
    }

    /// Makes sure that `pending` holds something, if there is anything left.
    pub(super) fn refill(
        &mut self,
        session: &mut Session,
        sql: Sql<'_>,
        member: &Member,
        limit: usize,
    ) -> Result<bool, DbError> {
        if self.pending.is_empty() && !self.exhausted {
            let limit = limit.clamp(1, WINDOW);
            let rows = session.query(&sql.candidates(member, self.cursor.as_ref(), limit))?;
            self.exhausted = rows.len() < limit;
            self.cursor = rows.last().cloned();
            self.pending = rows.into();
            self.read_unindexed(session, sql, member)?;
        }
        Ok(!self.pending.is_empty())
    }

    fn read_unindexed(
        &mut self,
        session: &mut Session,
        sql: Sql<'_>,
        member: &Member,
    ) -> Result<(), DbError> {
        self.unindexed = Unindexed::default();
        let (Some(first), Some(last)) = (self.pending.front(), self.pending.back()) else {
            return Ok(());
        };
        let forest = Forest::new(sql.engine);
        self.unindexed.roots = self
            .pending
            .iter()
            .map(|key| forest.key_text(key))
            .collect();
        let owned = sql
            .graph
            .children(&member.table)
            .filter(|(_, r)| r.is_owned() && !r.declared && !r.indexed);
        for (number, reference) in owned {
            let Some(statement) = sql.children_of_window(reference, first, last) else {
                continue;
            };
            let mut known: HashMap<String, Vec<Key>> = HashMap::new();
            session.query_each(&statement, |mut row| {
                let child = row.split_off(member.key.len());
                let parent = forest.key_text(&row);
                // Between keys that were given there are others.
                if self.unindexed.roots.contains(&parent) {
                    known.entry(parent).or_default().push(child);
                }
                true
            })?;
            self.unindexed.children.insert(number, known);
        }
        Ok(())
    }
}
