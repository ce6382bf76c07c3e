//! *Whole*: no family that was whole is split.

use std::collections::HashSet;

use super::super::state::{Record, ReferenceShape, Shape, Sides, State, TableShape, names};
use super::{Breach, Oracle, some};

/// What has been seen of a run so far: splits that were there before it, and children whose absence
/// is explained.
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    /// Reference and child of pairs that may lie apart.
    excused: HashSet<(usize, String)>,
}

/// How a child lies to its parent, where they lie apart.
enum Apart {
    /// The child was marked deleted, and went, while its parent lives: allowed, also later when the
    /// parent is marked deleted too.
    Allowed,
    Split,
}

impl Lineage {
    /// Begins with a state in which whatever is split is not the engine's doing.
    pub fn from(shape: &Shape, state: &State) -> Self {
        let mut lineage = Self::default();
        for (index, reference) in shape.references.iter().enumerate() {
            for (row, _) in pairs_apart(shape, state, reference) {
                lineage.excused.insert((index, row));
            }
        }
        lineage
    }

    /// A row that a concurrent writer has inserted: where no foreign key forbids it a service may add a child
    /// to a parent that is archived already, or whose children an engine has just read. No lock of the parent
    /// keeps it out. That the engine fetches it is for *convergent*.
    pub fn excuse_insert(&mut self, shape: &Shape, row: &str) {
        for (index, reference) in shape.references.iter().enumerate() {
            if !reference.declared {
                self.excused.insert((index, row.to_owned()));
            }
        }
    }

    /// Judges a committed state, and remembers what it explains of later ones.
    pub fn judge(&mut self, shape: &Shape, state: &State) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for (index, reference) in shape.references.iter().enumerate() {
            let mut split = Vec::new();
            for (row, apart) in pairs_apart(shape, state, reference) {
                match apart {
                    Apart::Allowed => drop(self.excused.insert((index, row))),
                    Apart::Split if self.excused.contains(&(index, row.clone())) => {}
                    Apart::Split => split.push(row),
                }
            }
            if !split.is_empty() {
                let what = format!(
                    "{} and the parent of {} lie apart, one live and one {}",
                    some(&split),
                    if split.len() == 1 { "it" } else { "each" },
                    shape.away(),
                );
                breaches.push(Breach::new(Oracle::Whole, &reference.name, what));
            }
        }
        breaches
    }
}

/// Children that lie on the other side than their parent.
fn pairs_apart(shape: &Shape, state: &State, reference: &ReferenceShape) -> Vec<(String, Apart)> {
    let (child, parent) = (
        &shape.tables[reference.child],
        &shape.tables[reference.parent],
    );
    // What has no shadow table cannot go with its parent; an engine may leave it or hold both back. Of a
    // parent that has none the child must stay.
    if !reference.owned || child.shadow.is_none() {
        return Vec::new();
    }
    let parents = &state.tables[reference.parent];
    let (live, shadow) = (
        names(reference, &parents.live),
        names(reference, &parents.shadow),
    );
    let marked: HashSet<_> = parents
        .live
        .iter()
        .filter(|p| parent.is_marked(p))
        .filter_map(|p| reference.name_of(p))
        .collect();
    let mut apart = Vec::new();
    let children = &state.tables[reference.child];
    // Of a row that is in both tables one is with its parent: which one goes is what a repair has to find out.
    let doubled = match shape.repairs {
        true => in_both(child, children),
        false => HashSet::new(),
    };
    let once = |row: &&Record| doubled.is_empty() || !doubled.contains(&child.row_name(row));
    for row in children.live.iter().filter(once) {
        if let Some(target) = reference.target(row)
            && shadow.contains(&target)
            && !live.contains(&target)
        {
            apart.push((child.row_name(row), Apart::Split));
        }
    }
    for row in children.shadow.iter().filter(once) {
        if let Some(target) = reference.target(row)
            && live.contains(&target)
            && !shadow.contains(&target)
        {
            let allowed = child.is_marked(row) && !marked.contains(&target);
            let how = if allowed {
                Apart::Allowed
            } else {
                Apart::Split
            };
            apart.push((child.row_name(row), how));
        }
    }
    apart
}

/// Rows with a key that is in the live table and in the shadow table.
fn in_both(table: &TableShape, sides: &Sides) -> HashSet<String> {
    let names = |rows: &[Record]| -> HashSet<String> {
        rows.iter().map(|row| table.row_name(row)).collect()
    };
    let (live, shadow) = (names(&sides.live), names(&sides.shadow));
    live.intersection(&shadow).cloned().collect()
}
