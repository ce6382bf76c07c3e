//! Rows that were named one by one, and are not where they were when they are to be locked.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::error::Result;
use crate::schema::Member;

use super::capture::RootKind;
use super::forest::Key;
use super::name::row_name;
use super::outcome::Blocked;
use super::run::Run;

/// A row that was named, and has gone from where it was before it could be locked.
pub(super) fn gone_meanwhile(row: String) -> Blocked {
    Blocked {
        reason: "gone-meanwhile".into(),
        path: vec![row.clone()],
        root: row,
        remedy: "look where it is now: somebody else moved or deleted it; what else was named can be asked for \
                 without it"
            .into(),
    }
}

/// Rows that had to wait for others, and as what those were told that wait to the end.
pub(super) struct Waited {
    pub(super) waiting: Vec<(Key, Blocked)>,
    pub(super) told: BTreeSet<String>,
}

impl Run<'_> {
    /// Says of which rows nobody knows where they went: they have left their table and have not come to the other one,
    /// or were undeleted. Asked in the end, for a row may move with another one's family, or wait for it. One that waited
    /// and is there still, though it is no root that could be tried again by itself, is blocked by what it waited for.
    pub(super) fn vanished(
        &mut self,
        kind: RootKind,
        member: &Member,
        keys: &[Key],
        waited: Waited,
    ) -> Result<()> {
        let Waited { waiting, told } = waited;
        let name = |key: &Key| row_name(&member.table, key);
        let waiting = waiting.into_iter().map(|(key, why)| (name(&key), why));
        let mut waiting: BTreeMap<_, _> = waiting.collect();
        waiting.retain(|root, _| !told.contains(root));
        let sql = self.sql;
        let text = |key: &Key| format!("{key:?}");
        for piece in sql.pieces(keys) {
            let mut known = HashSet::new();
            let mut undeleted = Vec::new();
            let here = sql.whether_marked(member, &piece);
            for mut key in self.reading(|session| session.query(&here))? {
                let marked = key.pop().is_some_and(|flag| flag.is_true());
                known.insert(text(&key));
                if let Some(why) = waiting.remove(&name(&key)) {
                    self.outcome.block(why);
                }
                if kind == RootKind::Named && !marked {
                    undeleted.push(key);
                }
            }
            if let Some(there) = sql.taken_keys(member, &piece) {
                let moved = self.reading(|session| session.query(&there))?;
                known.extend(moved.iter().map(text));
            }
            for key in piece.iter().filter(|key| !known.contains(&text(key))) {
                self.tell(gone_meanwhile(row_name(&member.table, key)));
            }
            for key in undeleted {
                let root = row_name(&member.table, &key);
                self.tell(Blocked {
                    reason: "changed-meanwhile".into(),
                    path: vec![root.clone()],
                    root,
                    remedy: "run again: the row was changed meanwhile".into(),
                });
            }
        }
        Ok(())
    }

    /// On the spot too: a later pass has nothing to say of it, for there is nothing left to heal.
    fn tell(&mut self, blocked: Blocked) {
        let label = self.session.label();
        let Blocked {
            reason,
            root,
            remedy,
            ..
        } = &blocked;
        self.observer
            .notice(&format!("{label}: {root} was left: {reason}: {remedy}"));
        self.outcome.block(blocked);
    }
}
