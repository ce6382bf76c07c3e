//! The keys that a batch has read, grouped into families. Pure.
//!
//! A forest grows by rows; two rows that must move together are joined (union-find). What holds a
//! row back is noted on the row and holds for its whole family. Nothing here knows SQL.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::db::{Engine, Value};

use super::name::row_name;
use super::outcome::Blocked;

/// A row's place in the forest.
pub(super) type RowIndex = usize;

/// The values of a row's key columns.
pub(super) type Key = Vec<Value>;

/// A row that was read, by table and key.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The live table.
    pub(super) table: String,
    /// Its key.
    pub(super) key: Key,
    /// Whether it is marked deleted.
    pub(super) deleted: bool,
    /// How it was reached: the parent row and the reference; `None` for a root.
    pub(super) from: Option<(RowIndex, usize)>,
    /// Whether it is written to a file and deleted rather than moved.
    pub(super) drop: bool,
}

/// Why a family stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hold {
    /// It may not move; said why.
    Blocked(Blocked),
    /// What holds it back may itself move in this run: look again later, and if nothing has
    /// changed, it is blocked for this reason.
    Deferred(Blocked),
}

/// A family, ready to be judged.
#[derive(Debug)]
pub(super) struct Family {
    /// All its rows, in the order in which they were read.
    pub(super) rows: Vec<RowIndex>,
    /// Why it stays, if it does.
    pub(super) hold: Option<Hold>,
}

/// Rows by table and key, joined into families.
#[derive(Debug)]
pub(super) struct Forest {
    engine: Engine,
    rows: Vec<Row>,
    leader: Vec<RowIndex>,
    /// Rows by table and key text.
    index: HashMap<String, HashMap<String, RowIndex>>,
    holds: HashMap<RowIndex, Hold>,
    /// Parent and child over a shared reference: the parent goes with the child or after it.
    needs: Vec<(RowIndex, RowIndex)>,
}

impl Forest {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine,
            rows: Vec::new(),
            leader: Vec::new(),
            index: HashMap::new(),
            holds: HashMap::new(),
            needs: Vec::new(),
        }
    }

    pub(super) fn row(&self, index: RowIndex) -> &Row {
        &self.rows[index]
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The key as text that tells keys of one table apart.
    pub(super) fn key_text(&self, key: &[Value]) -> String {
        let parts: Vec<_> = key.iter().map(|v| self.engine.literal(v)).collect();
        parts.join(",")
    }

    /// The row of that table and key, if it was read.
    pub(super) fn find(&self, table: &str, key: &[Value]) -> Option<RowIndex> {
        self.index.get(table)?.get(&self.key_text(key)).copied()
    }

    /// Adds a row, or finds it; joined to the row it was reached from. The flag says whether it is
    /// new.
    pub(super) fn add(&mut self, row: Row) -> (RowIndex, bool) {
        let (from, text) = (row.from, self.key_text(&row.key));
        if !self.index.contains_key(&row.table) {
            self.index.insert(row.table.clone(), HashMap::new());
        }
        let next = self.rows.len();
        let slot = self.index.get_mut(&row.table).map(|t| t.entry(text));
        let index = slot.map_or(next, |entry| *entry.or_insert(next));
        let new = index == next;
        if new {
            self.rows.push(row);
            self.leader.push(index);
        }
        if let Some((parent, _)) = from {
            self.join(index, parent);
        }
        (index, new)
    }

    /// Two rows move together from now on.
    pub(super) fn join(&mut self, a: RowIndex, b: RowIndex) {
        let (a, b) = (self.lead(a), self.lead(b));
        // The smaller index leads, so that a family is named after the root that was read first.
        let (low, high) = (a.min(b), a.max(b));
        self.leader[high] = low;
    }

    /// The parent may go only if the child goes too. What holds the parent back does not hold the
    /// child: it is a family of its own.
    pub(super) fn need(&mut self, parent: RowIndex, child: RowIndex) {
        self.needs.push((parent, child));
    }

    /// Notes what holds the row's family back; the first word stands, but a block outranks a
    /// deferral.
    pub(super) fn hold(&mut self, row: RowIndex, hold: Hold) {
        let standing = self.holds.get(&row);
        let outranked = matches!(
            (standing, &hold),
            (Some(Hold::Deferred(_)), Hold::Blocked(_))
        );
        if standing.is_none() || outranked {
            self.holds.insert(row, hold);
        }
    }

    /// Whether something holds this very row back for good.
    pub(super) fn is_blocked(&self, row: RowIndex) -> bool {
        matches!(self.holds.get(&row), Some(Hold::Blocked(_)))
    }

    /// The path from the family's root to this row, as people read it.
    pub(super) fn path(&self, row: RowIndex, references: impl Fn(usize) -> String) -> Vec<String> {
        let mut path = Vec::new();
        let mut at = row;
        loop {
            path.push(self.name(at));
            match self.rows[at].from {
                Some((parent, reference)) => {
                    path.push(references(reference));
                    at = parent;
                }
                None => break,
            }
        }
        path.reverse();
        path
    }

    /// `instances:3`.
    pub(super) fn name(&self, row: RowIndex) -> String {
        let row = &self.rows[row];
        row_name(&row.table, &row.key)
    }

    /// The families, in the order of their first rows. Free families of which one needs another are
    /// one.
    pub(super) fn families(&mut self) -> Vec<Family> {
        self.pass_on_holds();
        let held: Vec<_> = self.holds.keys().copied().collect();
        let held: HashSet<_> = held.into_iter().map(|row| self.lead(row)).collect();
        for (parent, child) in std::mem::take(&mut self.needs) {
            let (a, b) = (self.lead(parent), self.lead(child));
            if !held.contains(&a) && !held.contains(&b) {
                self.join(a, b);
            }
        }
        let mut families: BTreeMap<RowIndex, Family> = BTreeMap::new();
        for index in 0..self.rows.len() {
            let leader = self.lead(index);
            let family = families.entry(leader).or_insert_with(|| Family {
                rows: Vec::new(),
                hold: None,
            });
            family.rows.push(index);
            if let Some(hold) = self.holds.get(&index) {
                let blocked = matches!(family.hold, Some(Hold::Blocked(_)));
                if !blocked && (family.hold.is_none() || matches!(hold, Hold::Blocked(_))) {
                    family.hold = Some(hold.clone());
                }
            }
        }
        families.into_values().collect()
    }

    /// What holds a family back holds those that need it.
    fn pass_on_holds(&mut self) {
        let needs = self.needs.clone();
        loop {
            let mut holds: HashMap<RowIndex, Hold> = HashMap::new();
            let rows: Vec<_> = self.holds.keys().copied().collect();
            for row in rows {
                let leader = self.lead(row);
                let blocked = matches!(holds.get(&leader), Some(Hold::Blocked(_)));
                if !blocked && let Some(hold) = self.holds.get(&row) {
                    holds.insert(leader, hold.clone());
                }
            }
            let before = self.holds.len();
            for (parent, child) in &needs {
                let (above, below) = (self.lead(*parent), self.lead(*child));
                let Some(hold) = holds.get(&below) else {
                    continue;
                };
                let stronger = match holds.get(&above) {
                    None => true,
                    Some(Hold::Deferred(_)) => matches!(hold, Hold::Blocked(_)),
                    Some(Hold::Blocked(_)) => false,
                };
                if above != below && stronger {
                    let through = self.name(*parent);
                    let pass = |blocked: &Blocked| Blocked {
                        root: through.clone(),
                        path: std::iter::once(through.clone())
                            .chain(blocked.path.iter().cloned())
                            .collect(),
                        ..blocked.clone()
                    };
                    let hold = match hold {
                        Hold::Blocked(blocked) => Hold::Blocked(pass(blocked)),
                        Hold::Deferred(blocked) => Hold::Deferred(pass(blocked)),
                    };
                    self.hold(*parent, hold);
                }
            }
            if self.holds.len() == before {
                return;
            }
        }
    }

    fn lead(&mut self, mut row: RowIndex) -> RowIndex {
        while self.leader[row] != row {
            self.leader[row] = self.leader[self.leader[row]];
            row = self.leader[row];
        }
        row
    }
}

/// Which families go into a transaction of at most `budget` rows: in order, none cut; the first
/// one even if it alone is larger. Returns the chosen and the left over.
pub(super) fn fill(families: Vec<Family>, budget: u64) -> (Vec<Family>, Vec<Family>) {
    let mut room = budget;
    let (mut chosen, mut left) = (Vec::new(), Vec::new());
    for family in families {
        let size = family.rows.len() as u64;
        if left.is_empty() && (size <= room || chosen.is_empty()) {
            room = room.saturating_sub(size);
            chosen.push(family);
        } else {
            left.push(family);
        }
    }
    (chosen, left)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(table: &str, key: i64, from: Option<RowIndex>) -> Row {
        Row {
            table: table.into(),
            key: vec![Value::Int(key)],
            deleted: true,
            from: from.map(|f| (f, 0)),
            drop: false,
        }
    }

    fn hold(reason: &str) -> Blocked {
        Blocked {
            reason: reason.into(),
            root: String::new(),
            path: vec![],
            remedy: String::new(),
        }
    }

    #[test]
    fn families_that_share_a_row_are_one() {
        let mut forest = Forest::new(Engine::Sqlite);
        let (a, _) = forest.add(row("p", 1, None));
        let (b, _) = forest.add(row("p", 2, None));
        let (c, _) = forest.add(row("p", 3, None));
        forest.add(row("c", 7, Some(a)));
        let (shared, new) = forest.add(row("c", 7, Some(c)));
        assert!(!new);
        let members: Vec<_> = forest.families().into_iter().map(|f| f.rows).collect();
        assert_eq!(members, [vec![a, c, shared], vec![b]]);
    }

    #[test]
    fn a_hold_on_one_row_holds_its_family_and_a_block_outranks_a_deferral() {
        let mut forest = Forest::new(Engine::Sqlite);
        let (a, _) = forest.add(row("p", 1, None));
        let (b, _) = forest.add(row("p", 2, None));
        let (child, _) = forest.add(row("c", 7, Some(a)));
        forest.hold(a, Hold::Deferred(hold("later")));
        forest.hold(child, Hold::Blocked(hold("never")));
        let families = forest.families();
        assert_eq!(families[0].hold, Some(Hold::Blocked(hold("never"))));
        assert_eq!(
            (families[1].rows.as_slice(), &families[1].hold),
            ([b].as_slice(), &None)
        );
    }

    #[test]
    fn of_two_reasons_the_first_stands() {
        let mut forest = Forest::new(Engine::Sqlite);
        let (a, _) = forest.add(row("p", 1, None));
        let (child, _) = forest.add(row("c", 7, Some(a)));
        forest.hold(a, Hold::Blocked(hold("first")));
        forest.hold(child, Hold::Blocked(hold("second")));
        assert_eq!(
            forest.families()[0].hold,
            Some(Hold::Blocked(hold("first")))
        );
    }

    #[test]
    fn a_family_with_a_reason_of_its_own_takes_none_from_what_it_needs() {
        let mut forest = Forest::new(Engine::Sqlite);
        let (a, _) = forest.add(row("p", 1, None));
        let (child, _) = forest.add(row("c", 7, Some(a)));
        let (needed, _) = forest.add(row("q", 1, None));
        forest.need(a, needed);
        forest.hold(child, Hold::Blocked(hold("own")));
        forest.hold(needed, Hold::Blocked(hold("theirs")));
        let families = forest.families();
        assert_eq!(families[0].hold, Some(Hold::Blocked(hold("own"))));
        assert_eq!(families[1].hold, Some(Hold::Blocked(hold("theirs"))));
    }

    proptest! {
        #[test]
        fn fill_never_cuts_reorders_or_overfills(
            sizes in prop::collection::vec(1_usize..30, 0..20),
            budget in 1_u64..60,
        ) {
            let families = |sizes: &[usize]| {
                sizes.iter().map(|n| Family { rows: (0..*n).collect(), hold: None }).collect()
            };
            let (chosen, left): (Vec<_>, Vec<_>) = fill(families(&sizes), budget);
            let lengths: Vec<_> = chosen.iter().chain(&left).map(|f| f.rows.len()).collect();
            prop_assert_eq!(lengths, sizes.clone());
            let total: usize = chosen.iter().map(|f| f.rows.len()).sum();
            prop_assert!(chosen.len() <= 1 || total as u64 <= budget);
            prop_assert!(sizes.is_empty() || !chosen.is_empty());
            if let Some(next) = left.first() {
                prop_assert!((total + next.rows.len()) as u64 > budget);
            }
        }
    }
}
