//! Where a session's time goes: waiting for statements, by what they do.

use std::collections::BTreeMap;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Kinds of statements that are told apart, in the order of a transaction.
const KINDS: [&str; 7] = [
    "read", "copy", "move", "delete", "commit", "rollback", "other",
];

/// Time that statements took, as their sender saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent([Duration; KINDS.len()]);

impl Spent {
    /// Books a statement; its first word says what it does.
    pub(super) fn note(&mut self, sql: &str, took: Duration) {
        let end = sql.find(|c: char| !c.is_ascii_alphabetic());
        let kind = match &sql[..end.unwrap_or(sql.len())] {
            "SELECT" => "read",
            "INSERT" => "copy",
            // A DELETE whose rows go into an INSERT.
            "WITH" => "move",
            "DELETE" => "delete",
            "COMMIT" => "commit",
            "ROLLBACK" => "rollback",
            _ => "other",
        };
        if let Some(place) = KINDS.iter().position(|k| *k == kind) {
            self.0[place] += took;
        }
    }

    /// Milliseconds by kind, without the kinds that took none.
    pub fn milliseconds(&self) -> BTreeMap<String, u64> {
        let named = KINDS.iter().zip(self.0);
        let milliseconds = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        named
            .map(|(kind, took)| ((*kind).to_owned(), milliseconds(took)))
            .filter(|(_, took)| *took > 0)
            .collect()
    }
}

impl Add for Spent {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        let pairs = self.0.iter_mut().zip(other.0);
        pairs.for_each(|(mine, theirs)| *mine += theirs);
        self
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(mut self, earlier: Self) -> Self {
        let pairs = self.0.iter_mut().zip(earlier.0);
        pairs.for_each(|(now, then)| *now = now.saturating_sub(then));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_apart_by_their_first_word() {
        let mut spent = Spent::default();
        let ms = Duration::from_millis;
        for (sql, took) in [
            ("SELECT 1", 1),
            ("SELECT 1 FOR UPDATE", 1),
            ("INSERT INTO t SELECT 1", 4),
            ("DELETE FROM t", 8),
            (
                "WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO s SELECT * FROM gone",
                16,
            ),
            ("COMMIT", 32),
            ("ROLLBACK", 64),
            ("BEGIN", 128),
        ] {
            spent.note(sql, ms(took));
        }
        let expected = [
            ("read", 2),
            ("copy", 4),
            ("delete", 8),
            ("move", 16),
            ("commit", 32),
            ("rollback", 64),
            ("other", 128),
        ];
        let expected: BTreeMap<String, u64> = expected.map(|(k, n)| (k.to_owned(), n)).into();
        assert_eq!(spent.milliseconds(), expected);
        assert_eq!((spent + spent - spent), spent);
        assert!((spent - spent).milliseconds().is_empty());
    }
}
