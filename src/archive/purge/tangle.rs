//! Families that are no trees: rows with several owners, rows that own each other.
//!
//! Of a tree each row has one root, and a list knows it from the list of its owner. Where rows hang
//! together otherwise, all rows of all the tables concerned are numbered, and what hangs together gets one
//! number, which is its family's. The numbers and what joins them are held in memory; keys stay in the
//! database.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::unionfind::UnionFind;

use super::lists::{Held, Listed};
use super::{Purge, shadow_with_key};
use crate::db::Value;
use crate::error::{Error, Result};
use crate::schema::{FamilyGraph, Member, Reference};

/// Which family a row's number has become.
const FAMILIES: &str = "sexton_purge_families";

/// A second look at a list: MySQL opens a temporary table but once in a statement.
const AGAIN: &str = "sexton_purge_again";

/// Numbers to an INSERT.
const PAIRS: usize = 500;

/// Tables that hang together by owned references, other than as a tree; each group by itself.
pub(super) fn tangles(graph: &FamilyGraph) -> Vec<BTreeSet<&str>> {
    let tables: Vec<&str> = graph.members.keys().map(String::as_str).collect();
    let place = |table: &str| tables.iter().position(|t| *t == table);
    let mut joined = UnionFind::<usize>::new(tables.len());
    let mut tangled = BTreeSet::new();
    for reference in graph.references.iter().filter(|r| is_followed(graph, r)) {
        let (Some(child), Some(parent)) = (place(&reference.child), place(&reference.parent))
        else {
            continue;
        };
        joined.union(child, parent);
        let owners = graph.owners(&reference.child);
        let owners = owners.filter(|(_, r)| is_followed(graph, r)).count();
        if owners > 1 || graph.closes_owned_cycle(reference) {
            tangled.insert(child);
        }
    }
    let mut groups: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for (index, table) in tables.iter().enumerate() {
        groups.entry(joined.find(index)).or_default().insert(table);
    }
    let of_tangle = tangled.into_iter().map(|t| joined.find(t));
    let wanted: BTreeSet<usize> = of_tangle.collect();
    groups.retain(|group, _| wanted.contains(group));
    groups.into_values().collect()
}

/// Whether rows go with their owner over it: both ends have rows that can be told apart.
fn is_followed(graph: &FamilyGraph, reference: &Reference) -> bool {
    let listed = |table: &str| {
        graph
            .member(table)
            .is_some_and(|m| shadow_with_key(m).is_some())
    };
    reference.is_owned() && listed(&reference.child) && listed(&reference.parent)
}

/// Families of numbered rows.
struct Families {
    /// Of each row, by its number from 0.
    of_row: Vec<usize>,
    count: usize,
}

/// Which rows own which, by their numbers.
type Pairs = Vec<(usize, usize)>;

impl<'a> Purge<'a, '_> {
    /// Purges the families of these tables.
    pub(super) fn tangle(&mut self, members: &[&'a Member]) -> Result<()> {
        let mut lists = Vec::new();
        let mut rows = 0;
        for member in members {
            rows += self.list_all(member, rows, &mut lists)?;
        }
        let pairs = self.pairs(&lists)?;
        let families = Families::of(rows, &pairs);
        let held = families.held(&pairs, &self.ages(&lists, rows)?);
        self.number(&lists, &families)?;
        self.purge_listed(&lists, families.count as i64, &held)
    }

    /// Lists all rows of a shadow table, numbered from `first` + 1; how many there are.
    fn list_all(
        &mut self,
        member: &'a Member,
        first: usize,
        lists: &mut Vec<Listed<'a>>,
    ) -> Result<usize> {
        let (engine, graph) = (self.sql.engine, self.sql.graph);
        let Some(shadow) = shadow_with_key(member) else {
            return Ok(0);
        };
        let name = format!("sexton_purge_{}", lists.len());
        let mut columns: BTreeSet<&String> = member.key.iter().collect();
        for reference in graph.references.iter().filter(|r| is_followed(graph, r)) {
            if reference.child == member.table {
                columns.extend(&reference.child_columns);
            }
            if reference.parent == member.table {
                columns.extend(&reference.parent_columns);
            }
        }
        let list: Vec<_> = columns.iter().map(|c| engine.column("s", c)).collect();
        let old = match (&self.sql.options.before, self.age(member)) {
            (Some(before), Some(age)) => {
                let age = engine.column("s", age);
                format!("CASE WHEN {age} IS NULL THEN -1 WHEN {age} < '{before}' THEN 1 ELSE 0 END")
            }
            _ => "-1".to_owned(),
        };
        self.session.execute(&format!(
            "CREATE TEMPORARY TABLE {name} AS SELECT {}, {old} AS sexton_old, \
             {first} + ROW_NUMBER() OVER (ORDER BY {}) AS sexton_root FROM {} s",
            list.join(", "),
            self.sql.columns("s", &member.key),
            engine.quote(shadow),
        ))?;
        let rows = self
            .session
            .query_count(&format!("SELECT COUNT(*) FROM {name}"))?;
        lists.push(Listed {
            member,
            name,
            roots: true,
        });
        Ok(usize::try_from(rows).unwrap_or_default())
    }

    /// Owner and owned of all rows that are listed.
    fn pairs(&mut self, lists: &[Listed<'a>]) -> Result<Pairs> {
        let (engine, graph) = (self.sql.engine, self.sql.graph);
        let list = |table: &str| lists.iter().find(|l| l.member.table == table);
        let mut pairs = Vec::new();
        for reference in graph.references.iter().filter(|r| is_followed(graph, r)) {
            let (Some(child), Some(parent)) = (list(&reference.child), list(&reference.parent))
            else {
                continue;
            };
            let columns = engine.quote_all(&reference.parent_columns);
            self.session.execute(&format!(
                "CREATE TEMPORARY TABLE {AGAIN} AS SELECT {columns}, sexton_root FROM {}",
                parent.name
            ))?;
            self.session
                .execute(&format!("CREATE INDEX {AGAIN}_1 ON {AGAIN} ({columns})"))?;
            let sql = format!(
                "SELECT p.sexton_root, c.sexton_root FROM {} c JOIN {AGAIN} p ON {}",
                child.name,
                reference.join(engine, "c", "p")
            );
            let mut odd = false;
            self.session.query_each(&sql, |row| {
                let mut numbers = row.iter().map(number);
                match (numbers.next().flatten(), numbers.next().flatten()) {
                    (Some(owner), Some(owned)) => pairs.push((owner, owned)),
                    _ => odd = true,
                }
                true
            })?;
            self.drop_list(AGAIN)?;
            if odd {
                return Err(Error::internal("a row of a purge without its number"));
            }
        }
        Ok(pairs)
    }

    /// Whether each row is old enough; `None` where it has no date.
    fn ages(&mut self, lists: &[Listed<'a>], rows: usize) -> Result<Vec<Option<bool>>> {
        if self.sql.options.before.is_none() {
            return Ok(vec![Some(true); rows]);
        }
        let mut ages = vec![None; rows];
        for list in lists {
            let sql = format!("SELECT sexton_root FROM {} WHERE sexton_old = ", list.name);
            for old in [true, false] {
                let sql = format!("{sql}{}", i32::from(old));
                self.session.query_each(&sql, |row| {
                    let number = row.first().and_then(number);
                    if let Some(age) = number.and_then(|n| ages.get_mut(n)) {
                        *age = Some(old);
                    }
                    true
                })?;
            }
        }
        Ok(ages)
    }

    /// Puts the number of its family to each row.
    fn number(&mut self, lists: &[Listed<'a>], families: &Families) -> Result<()> {
        self.session.execute(&format!(
            "CREATE TEMPORARY TABLE {FAMILIES} (sexton_row BIGINT NOT NULL PRIMARY KEY, \
             family BIGINT NOT NULL)"
        ))?;
        let pairs: Vec<_> = families.of_row.iter().enumerate().collect();
        for chunk in pairs.chunks(PAIRS) {
            let values: Vec<_> = chunk
                .iter()
                .map(|(row, family)| format!("({}, {})", row + 1, *family + 1))
                .collect();
            self.session.execute(&format!(
                "INSERT INTO {FAMILIES} (sexton_row, family) VALUES {}",
                values.join(", ")
            ))?;
        }
        for list in lists {
            let name = &list.name;
            self.session.execute(&format!(
                "UPDATE {name} SET sexton_root = (SELECT f.family FROM {FAMILIES} f \
                 WHERE f.sexton_row = {name}.sexton_root)"
            ))?;
            self.session
                .execute(&format!("CREATE INDEX {name}_root ON {name} (sexton_root)"))?;
        }
        self.drop_list(FAMILIES)
    }
}

impl Families {
    fn of(rows: usize, pairs: &Pairs) -> Self {
        let mut joined = UnionFind::<usize>::new(rows);
        for (owner, owned) in pairs {
            joined.union(*owner, *owned);
        }
        let mut numbers = BTreeMap::new();
        let number = |row| {
            let next = numbers.len();
            *numbers.entry(joined.find(row)).or_insert(next)
        };
        let of_row: Vec<_> = (0..rows).map(number).collect();
        let count = numbers.len();
        Self { of_row, count }
    }

    /// The families that stay for their age: a row without an owner is too young, or has no date. Of rows
    /// that own each other in a ring, and have no owner but themselves, none may be too young and one has to
    /// be old enough.
    fn held(&self, pairs: &Pairs, ages: &[Option<bool>]) -> Held {
        let rows = self.of_row.len();
        let mut owned_by: Vec<Vec<usize>> = vec![Vec::new(); rows];
        let mut is_owned = vec![false; rows];
        for (owner, owned) in pairs.iter().filter(|(a, b)| a != b) {
            owned_by[*owner].push(*owned);
            is_owned[*owned] = true;
        }
        let tops = (0..rows).filter(|row| !is_owned[*row]);
        let mut reached = vec![false; rows];
        let mut open: Vec<usize> = tops.clone().collect();
        while let Some(row) = open.pop() {
            if !std::mem::replace(&mut reached[row], true) {
                open.extend(&owned_by[row]);
            }
        }
        let mut held = Held::default();
        for row in tops {
            let family = self.of_row[row];
            match ages[row] {
                Some(true) => {}
                Some(false) => drop(held.young.insert(family)),
                None => drop(held.dateless.insert(family)),
            }
        }
        let mut old = BTreeSet::new();
        let mut in_rings = BTreeSet::new();
        for row in (0..rows).filter(|row| !reached[*row]) {
            let family = self.of_row[row];
            in_rings.insert(family);
            match ages[row] {
                Some(true) => drop(old.insert(family)),
                Some(false) => drop(held.young.insert(family)),
                None => {}
            }
        }
        held.dateless.extend(in_rings.difference(&old));
        held.dateless.retain(|family| !held.young.contains(family));
        held
    }
}

/// A number that the database gave, from 0.
fn number(value: &Value) -> Option<usize> {
    usize::try_from(value.as_int()? - 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(
        pairs: &[(usize, usize)],
        ages: &[Option<bool>],
    ) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
        let pairs = pairs.to_vec();
        let families = Families::of(ages.len(), &pairs);
        let held = families.held(&pairs, ages);
        (
            families.of_row,
            held.young.into_iter().collect(),
            held.dateless.into_iter().collect(),
        )
    }

    const OLD: Option<bool> = Some(true);
    const YOUNG: Option<bool> = Some(false);

    #[test]
    fn what_hangs_together_is_one_family() {
        let pairs = [(0, 2), (1, 2), (3, 4), (4, 3)];
        assert_eq!(Families::of(6, &pairs.to_vec()).of_row, [0, 0, 0, 1, 1, 2]);
    }

    #[test]
    fn every_row_without_an_owner_decides() {
        let (one, none) = (vec![0], Vec::<usize>::new());
        let young = |ages| held(&[(0, 2), (1, 2)], ages).1;
        assert_eq!(young(&[OLD, OLD, YOUNG]), none);
        assert_eq!(young(&[OLD, YOUNG, OLD]), one);
        assert_eq!(young(&[YOUNG, OLD, OLD]), one);
    }

    #[test]
    fn of_a_ring_none_may_be_young_and_one_has_to_be_old() {
        let ring = |ages| {
            let (_, young, dateless) = held(&[(0, 1), (1, 0)], ages);
            (young.len(), dateless.len())
        };
        assert_eq!(ring(&[OLD, OLD]), (0, 0));
        assert_eq!(ring(&[OLD, None]), (0, 0));
        assert_eq!(ring(&[OLD, YOUNG]), (1, 0));
        assert_eq!(ring(&[None, None]), (0, 1));
        assert_eq!(ring(&[None, YOUNG]), (1, 0));
    }

    /// A ring that a row outside of it owns goes with that row.
    #[test]
    fn a_ring_with_an_owner_goes_by_that_owner() {
        let (_, young, dateless) = held(&[(0, 1), (1, 2), (2, 1)], &[OLD, YOUNG, None]);
        assert!(young.is_empty() && dateless.is_empty());
    }

    #[test]
    fn a_row_that_owns_itself_goes_by_its_own_age() {
        assert_eq!(held(&[(0, 0)], &[YOUNG]).1, [0]);
        assert_eq!(held(&[(0, 0)], &[OLD]).1, [0; 0]);
        assert_eq!(held(&[(0, 0)], &[None]).2, [0]);
    }

    /// What Nova has goes the way that holds no numbers in memory.
    #[test]
    fn no_table_of_nova_is_tangled() {
        use crate::schema::{Model, Profile};
        for name in Model::names().filter(|n| n.starts_with("nova-") && !n.ends_with("-api")) {
            let schema = Model::built_in(name).unwrap().schema().unwrap();
            let graph = Profile::built_in("nova")
                .unwrap()
                .families(&schema)
                .unwrap();
            assert_eq!(tangles(&graph), [], "{name}");
        }
    }
}
