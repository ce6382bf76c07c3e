//! Soft-deleted roots that cannot be archived, reason by reason.

mod blocked;
mod compat;
mod copying;
mod obstacles;

use crate::audit::family::ROOT;
use crate::audit::{Check, Probe, Question, Repair, Severity, Side, Subject};
use crate::schema::Reference;

/// The check `unarchivable-parent`.
pub(super) struct UnarchivableParent;

impl Check for UnarchivableParent {
    fn id(&self) -> &'static str {
        "unarchivable-parent"
    }

    fn summary(&self) -> &'static str {
        "soft-deleted roots that cannot be archived, with the reason"
    }

    fn repair(&self) -> Repair {
        Repair::Leaves(
            "something holds it back that only you can decide about; each finding says what",
        )
    }

    fn probes(&self, subject: &Subject<'_>) -> Vec<Probe> {
        let mut probes = Vec::new();
        for side in subject.sides() {
            probes.extend(obstacles::probes(subject, side));
            probes.extend(copying::probes(subject, side));
            probes.extend(blocked::without_marker(subject, side));
        }
        for link in subject.links() {
            if link.reference.blocks() {
                probes.extend(blocked::by_live_child(subject, link));
            }
        }
        probes.extend(compat::probes(subject));
        probes
    }
}

/// A way from soft-deleted roots down to a table. Empty for the root's own table.
struct Way<'a> {
    root: Side<'a>,
    chain: Vec<&'a Reference>,
}

impl<'a> Way<'a> {
    /// The root's own table, and every chain of owned references to the table.
    fn all(subject: &Subject<'a>, side: Side<'a>) -> Vec<Self> {
        let mut ways = Vec::new();
        if subject.can_be_root(side.member) {
            ways.push(Self {
                root: side,
                chain: Vec::new(),
            });
        }
        let chains = subject.chains(&side.member.table).into_iter();
        ways.extend(chains.filter_map(|chain| Self::along(subject, chain)));
        ways
    }

    /// The way along a chain, which is not empty.
    fn along(subject: &Subject<'a>, chain: Vec<&'a Reference>) -> Option<Self> {
        let root = subject.side(&chain.first()?.parent)?;
        Some(Self { root, chain })
    }

    /// The alias of the table at the lower end.
    fn foot(&self) -> &'static str {
        if self.chain.is_empty() { ROOT } else { "c" }
    }

    /// The reference over which the lower end is reached.
    fn last(&self) -> Option<&'a Reference> {
        self.chain.last().copied()
    }

    /// A probe that counts the roots for whose row at the lower end the condition holds.
    fn probe(&self, subject: &Subject<'a>, condition: Option<&str>) -> Option<Probe> {
        let from = if self.chain.is_empty() {
            format!("FROM {}", subject.aliased(self.root.live, ROOT))
        } else {
            subject.climb(&self.chain)?
        };
        let member = self.root.member;
        let mut conditions: Vec<_> = condition.into_iter().map(str::to_owned).collect();
        conditions.push(subject.is_root(member)?);
        let from_where = format!("{from} WHERE {}", conditions.join(" AND "));
        let question = Question {
            select: format!("SELECT {}.* {from_where}", self.foot()),
            distinct: !self.chain.is_empty(),
            key: subject.key(member, ROOT),
            age: subject.age(member, self.root.live, ROOT),
            from_where,
        };
        let mut path = vec![member.table.clone()];
        path.extend(self.chain.iter().map(|r| r.to_string()));
        let probe = Probe::rows(Severity::Error, &member.table, question).path(path);
        Some(match self.last() {
            Some(reference) => probe.reference(reference),
            None => probe,
        })
    }
}
