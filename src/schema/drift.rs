//! How a shadow table differs from its live table, and which differences stop an archiver.

use std::fmt;

use super::{ColumnType, Table};

/// One difference between a live table and its shadow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The live table.
    pub table: String,
    /// The column concerned.
    pub column: String,
    /// What differs.
    pub kind: DriftKind,
}

/// What differs between a column and its shadow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriftKind {
    /// The shadow table lacks the column.
    MissingInShadow(ColumnType),
    /// Only the shadow table has it, it may not be NULL and has no default.
    RequiredInShadowOnly,
    /// Only the shadow table has it; harmless.
    ExtraInShadow,
    /// The types differ: live, shadow.
    Type(ColumnType, ColumnType),
    /// The enum labels differ: live labels that the shadow lacks.
    EnumLabels(Vec<String>),
    /// NULL is allowed in the live table and not in the shadow.
    NotNullInShadow,
    /// NULL is allowed in the shadow only; harmless.
    NullableInShadow,
}

impl DriftKind {
    /// The name under which findings are known from run to run.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MissingInShadow(_) => "missing-in-shadow",
            Self::RequiredInShadowOnly => "required-in-shadow-only",
            Self::ExtraInShadow => "extra-in-shadow",
            Self::Type(..) => "type",
            Self::EnumLabels(_) => "enum-labels",
            Self::NotNullInShadow => "not-null-in-shadow",
            Self::NullableInShadow => "nullable-in-shadow",
        }
    }

    /// Whether no row of the table can be copied.
    pub fn stops_every_row(&self) -> bool {
        matches!(self, Self::MissingInShadow(_) | Self::RequiredInShadowOnly)
    }

    /// Whether no row suffers from it.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::ExtraInShadow | Self::NullableInShadow)
    }
}

impl fmt::Display for DriftKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingInShadow(ty) => write!(f, "the shadow table lacks the column ({ty})"),
            Self::RequiredInShadowOnly => {
                f.write_str("only the shadow table has the column, NOT NULL and without default")
            }
            Self::ExtraInShadow => f.write_str("only the shadow table has the column"),
            Self::Type(live, shadow) => write!(f, "type {live} here, {shadow} in the shadow table"),
            Self::EnumLabels(missing) => {
                write!(f, "the shadow table's enum lacks {}", missing.join(", "))
            }
            Self::NotNullInShadow => f.write_str("NULL allowed here, not in the shadow table"),
            Self::NullableInShadow => f.write_str("NULL allowed in the shadow table only"),
        }
    }
}

/// All differences between a live table and its shadow, in column order.
pub fn shadow_drift(live: &Table, shadow: &Table) -> Vec<Drift> {
    let drift = |column: &str, kind| Drift {
        table: live.name.clone(),
        column: column.into(),
        kind,
    };
    let mut found = Vec::new();
    for column in live.columns.iter().filter(|c| !c.generated) {
        let name = &column.name;
        let Some(copy) = shadow.column(name) else {
            found.push(drift(name, DriftKind::MissingInShadow(column.ty.clone())));
            continue;
        };
        match (&column.ty, &copy.ty) {
            (ColumnType::Enum(live), ColumnType::Enum(shadow)) => {
                let missing: Vec<_> = live
                    .iter()
                    .filter(|l| !shadow.contains(l))
                    .cloned()
                    .collect();
                if !missing.is_empty() {
                    found.push(drift(name, DriftKind::EnumLabels(missing)));
                }
            }
            (a, b) if a != b => found.push(drift(name, DriftKind::Type(a.clone(), b.clone()))),
            _ => {}
        }
        let key = live.primary_key.contains(name);
        match (column.nullable, copy.nullable) {
            (true, false) if !key => found.push(drift(name, DriftKind::NotNullInShadow)),
            (false, true) => found.push(drift(name, DriftKind::NullableInShadow)),
            _ => {}
        }
    }
    for column in shadow
        .columns
        .iter()
        .filter(|c| live.column(&c.name).is_none())
    {
        let required = !column.nullable && column.default.is_none() && !column.auto_increment;
        let kind = if required && !column.generated {
            DriftKind::RequiredInShadowOnly
        } else {
            DriftKind::ExtraInShadow
        };
        found.push(drift(&column.name, kind));
    }
    found
}
