//! Families in SQL: from a row up to its root, and whether a row has a soft-deleted owner.

use crate::schema::{Member, Reference};

use super::{Columns, Subject};

/// The alias of the root in a statement made by [`Subject::climb`].
pub(super) const ROOT: &str = "r";

impl<'a> Subject<'a> {
    /// Whether soft-deleted rows of the table can be roots: it is marked, and the service sets the
    /// marker.
    pub fn can_be_root(&self, member: &Member) -> bool {
        member.marker.is_some() && !member.never_marked
    }

    /// The references of a chain.
    pub fn chain(&self, indexes: &[usize]) -> Vec<&'a Reference> {
        let references = indexes.iter().filter_map(|i| self.graph.references.get(*i));
        references.collect()
    }

    /// Every chain of owned references from a possible root down to the table.
    pub fn chains(&self, table: &str) -> Vec<Vec<&'a Reference>> {
        let chains = self.graph.chains_to(table).into_iter();
        let chains = chains.map(|indexes| self.chain(&indexes));
        let from_root = |chain: &Vec<&Reference>| {
            let root = chain.first().and_then(|r| self.graph.member(&r.parent));
            root.is_some_and(|m| self.can_be_root(m))
        };
        chains.filter(from_root).collect()
    }

    /// `FROM` the table at the lower end of a chain (alias `c`) joined up to the root (alias `r`).
    /// The chain runs from the root downwards and is not empty.
    pub fn climb(&self, chain: &[&'a Reference]) -> Option<String> {
        let mut below = self.graph.table(&chain.last()?.child)?;
        let mut alias = "c".to_owned();
        let mut from = format!("FROM {}", self.aliased(below, &alias));
        for (depth, reference) in chain.iter().enumerate().rev() {
            let above = self.graph.table(&reference.parent)?;
            let next = if depth == 0 {
                ROOT.to_owned()
            } else {
                format!("p{depth}")
            };
            let lower = Columns {
                table: below,
                alias: &alias,
                names: &reference.child_columns,
            };
            let upper = Columns {
                table: above,
                alias: &next,
                names: &reference.parent_columns,
            };
            from.push_str(&format!(" {}", self.lookup(lower, upper)));
            (below, alias) = (above, next);
        }
        Some(from)
    }

    /// Conditions that together are true for a row whose owners, however far up, all live: a root,
    /// if it is soft-deleted itself.
    pub fn without_deleted_owner(&self, table: &str, alias: &str) -> Vec<String> {
        let chains = self.chains(table).into_iter();
        chains
            .filter_map(|chain| self.under(&chain, table, alias, false))
            .collect()
    }

    /// Conditions that together are true for a live row that no family takes along: one over a guarded
    /// reference holds its owner back instead, whatever that owner's marker says.
    pub fn without_taker(&self, table: &str, alias: &str) -> Vec<String> {
        let chains = self.chains(table).into_iter();
        chains
            .filter(|chain| !chain.iter().any(|reference| reference.guarded))
            .filter_map(|chain| self.under(&chain, table, alias, false))
            .collect()
    }

    /// True for a row of the chain's last child whose root is soft-deleted.
    pub fn of_deleted_root(&self, chain: &[&'a Reference], alias: &str) -> Option<String> {
        self.under(chain, &chain.last()?.child, alias, true)
    }

    fn under(
        &self,
        chain: &[&'a Reference],
        table: &str,
        alias: &str,
        present: bool,
    ) -> Option<String> {
        let (last, above) = chain.split_last()?;
        let inner_alias = format!("o{}", chain.len());
        let parent = self.graph.table(&last.parent)?;
        let when = if above.is_empty() {
            self.deleted(self.graph.member(&last.parent)?, &inner_alias)?
        } else {
            self.under(above, &last.parent, &inner_alias, true)?
        };
        let outer = Columns {
            table: self.graph.table(table)?,
            alias,
            names: &last.child_columns,
        };
        let inner = Columns {
            table: parent,
            alias: &inner_alias,
            names: &last.parent_columns,
        };
        Some(if present {
            self.present(outer, inner, Some(&when))
        } else {
            self.absent_or_null(outer, inner, Some(&when))
        })
    }

    /// Conditions that are true for a root under the alias `r`: soft-deleted, no owner is.
    pub fn is_root(&self, member: &Member) -> Option<String> {
        let mut conditions = vec![self.deleted(member, ROOT)?];
        conditions.extend(self.without_deleted_owner(&member.table, ROOT));
        Some(conditions.join(" AND "))
    }
}
