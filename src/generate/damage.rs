//! The kinds of damage that can be planted, named after the audit checks that find them.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Damage of one kind. Its name is the name of the audit check that reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Damage {
    /// A row whose parent is in neither place.
    OrphanedRow,
    /// A family partly in the live and partly in the shadow tables.
    SplitFamily,
    /// A soft-deleted root that something holds back.
    UnarchivableParent,
    /// A live-marked child of a soft-deleted instance.
    Residue,
    /// An instance without its `instance_extra`.
    MissingRequiredChild,
    /// A live row whose key a shadow row has too.
    DuplicateInShadow,
    /// A row marked deleted that does not say since when.
    InconsistentMarker,
    /// A column that a shadow table lacks.
    ShadowDrift,
    /// A shadow table on a storage engine that cannot roll back (MariaDB/MySQL only).
    NonTransactionalTable,
    /// An API-database record of an instance that is archived.
    StrandedApiRecord,
}

impl Damage {
    /// All kinds, in the order in which they are listed to people.
    pub const ALL: [Self; 10] = [
        Self::OrphanedRow,
        Self::SplitFamily,
        Self::UnarchivableParent,
        Self::Residue,
        Self::MissingRequiredChild,
        Self::DuplicateInShadow,
        Self::InconsistentMarker,
        Self::ShadowDrift,
        Self::NonTransactionalTable,
        Self::StrandedApiRecord,
    ];

    /// The audit check's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrphanedRow => "orphaned-row",
            Self::SplitFamily => "split-family",
            Self::UnarchivableParent => "unarchivable-parent",
            Self::Residue => "residue",
            Self::MissingRequiredChild => "missing-required-child",
            Self::DuplicateInShadow => "duplicate-in-shadow",
            Self::InconsistentMarker => "inconsistent-marker",
            Self::ShadowDrift => "shadow-drift",
            Self::NonTransactionalTable => "non-transactional-table",
            Self::StrandedApiRecord => "stranded-api-record",
        }
    }

    /// Whether the damage is complete only with [`super::generate_api`].
    pub fn needs_api(self) -> bool {
        self == Self::StrandedApiRecord
    }

    /// Reads `CHECK=N`.
    pub fn parse_count(text: &str) -> Result<(Self, u32)> {
        let Some((name, count)) = text.split_once('=') else {
            return Err(Error::usage(format!("'{text}' is not CHECK=N"))
                .hint(format!("CHECK is one of {}", names())));
        };
        let damage = name.trim().parse()?;
        let count = count.trim().parse().map_err(|_| {
            Error::usage(format!("'{count}' in '{text}' is not a number of cases"))
                .hint("give a whole number, 0 or more")
        })?;
        Ok((damage, count))
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Damage {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|d| d.name() == name);
        found.ok_or_else(|| {
            Error::usage(format!("no check '{name}' whose damage can be planted"))
                .hint(format!("use one of {}", names()))
        })
    }
}

fn names() -> String {
    Damage::ALL.map(Damage::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitCode;

    #[test]
    fn a_check_and_a_number_are_read() {
        for damage in Damage::ALL {
            let text = format!("{damage}=12");
            assert_eq!(Damage::parse_count(&text).unwrap(), (damage, 12));
        }
        for text in ["residue", "residue=", "residue=-1", "residues=3", "=3", ""] {
            let error = Damage::parse_count(text).unwrap_err();
            assert_eq!(error.code, ExitCode::Usage, "{text}");
        }
        let error = Damage::parse_count("residues=3").unwrap_err();
        insta::assert_snapshot!(error, @"no check 'residues' whose damage can be planted; use one of orphaned-row, split-family, unarchivable-parent, residue, missing-required-child, duplicate-in-shadow, inconsistent-marker, shadow-drift, non-transactional-table, stranded-api-record");
    }
}
