//! Which instance meets which fate, and what else is planted; decided before a row is written.

use crate::db::Session;
use crate::error::{Error, Result};
use crate::schema::Schema;

use super::damage::Damage;
use super::settings::may_break_foreign_keys;
use super::wound::Possible;
use super::{Dataset, Wound, loose, shadow};

/// What becomes of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is soft-deleted.
    Dead,
    /// It lives.
    Live,
    /// It is damaged.
    Wounded(Damage, Wound),
}

impl Fate {
    pub(super) fn is_live(self) -> bool {
        match self {
            Self::Dead => false,
            Self::Live => true,
            Self::Wounded(_, wound) => wound.wants_live(),
        }
    }
}

/// What to make, in order.
pub(super) struct Plan {
    pub(super) instances: Vec<Fate>,
    /// Security groups to be held back.
    pub(super) groups: u32,
    /// Tables to get an orphan, and whether a foreign key stands against it.
    pub(super) orphans: Vec<(&'static str, bool)>,
    pub(super) possible: Possible,
}

impl Plan {
    pub(super) fn new(session: &mut Session, schema: &Schema, dataset: &Dataset) -> Result<Self> {
        let possible = Possible {
            broken_keys: may_break_foreign_keys(session)?,
            shares: schema.table("share_mapping").is_some(),
        };
        let mut groups = 0;
        let mut wounded = Vec::new();
        for damage in Damage::ALL {
            for n in 0..dataset.count(damage) {
                match Wound::nth(damage, n, possible) {
                    Some(wound) => wounded.push(Fate::Wounded(damage, wound)),
                    None if damage == Damage::UnarchivableParent => groups += 1,
                    None => break,
                }
            }
        }
        needs_shadow_tables(schema, &wounded)?;
        let orphans = match dataset.count(Damage::OrphanedRow) as usize {
            0 => Vec::new(),
            count => {
                let tables = loose::orphan_tables(schema, possible.broken_keys)?;
                tables.into_iter().cycle().take(count).collect()
            }
        };
        let repeat = |fate, count: u32| vec![fate; count as usize];
        let special = interleave(repeat(Fate::Live, dataset.live), wounded);
        Ok(Self {
            instances: interleave(repeat(Fate::Dead, dataset.families), special),
            groups,
            orphans,
            possible,
        })
    }
}

fn needs_shadow_tables(schema: &Schema, wounded: &[Fate]) -> Result<()> {
    let tables = ["instances", "instance_extra", "instance_system_metadata"];
    let missing = tables
        .into_iter()
        .find(|t| schema.table(&shadow(t)).is_none());
    let needs = |fate: &Fate| match fate {
        Fate::Wounded(_, wound) => {
            wound.archives() || matches!(wound, Wound::ChildInShadow | Wound::Copied { .. })
        }
        _ => false,
    };
    match (missing, wounded.iter().find(|fate| needs(fate))) {
        (Some(table), Some(Fate::Wounded(damage, _))) => Err(Error::data(format!(
            "{damage} needs table {}, which is missing",
            shadow(table)
        ))
        .hint("leave this damage out, or fill an empty database, which gets all tables")),
        _ => Ok(()),
    }
}

/// Both lists as one, each spread evenly over the whole: an archiver then meets damage early, late
/// and in between.
fn interleave(a: Vec<Fate>, b: Vec<Fate>) -> Vec<Fate> {
    let (of_a, of_b) = (a.len(), b.len());
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    let mut both = Vec::with_capacity(of_a + of_b);
    let (mut from_a, mut from_b) = (0, 0);
    while both.len() < of_a + of_b {
        // The list that lags behind its share comes next.
        let next = if (from_a + 1) * of_b <= (from_b + 1) * of_a {
            from_a += 1;
            a.next()
        } else {
            from_b += 1;
            b.next()
        };
        both.extend(next);
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_spread_over_each_other() {
        let mix = |a, b| {
            let both = interleave(vec![Fate::Dead; a], vec![Fate::Live; b]);
            both.iter()
                .map(|f| if f.is_live() { 'l' } else { 'd' })
                .collect::<String>()
        };
        assert_eq!(mix(6, 2), "dddldddl");
        assert_eq!(mix(0, 3), "lll");
        assert_eq!(mix(3, 0), "ddd");
        assert_eq!(mix(2, 5).matches('l').count(), 5);
    }
}
