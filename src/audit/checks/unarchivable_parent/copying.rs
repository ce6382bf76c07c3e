//! Rows that the shadow table would refuse.

use super::Way;
use crate::audit::{Probe, Side, Subject};
use crate::schema::{DriftKind, shadow_drift};

/// Roots with rows whose key is taken in the shadow table, or NULL where that allows none.
pub(super) fn probes<'a>(subject: &Subject<'a>, side: Side<'a>) -> Vec<Probe> {
    let Some(shadow) = side.shadow else {
        return Vec::new();
    };
    let drift = shadow_drift(side.live, shadow);
    let not_null: Vec<_> = drift
        .iter()
        .filter(|d| d.kind == DriftKind::NotNullInShadow)
        .map(|d| d.column.as_str())
        .collect();
    let (table, mut probes) = (&side.live.name, Vec::new());
    for way in Way::all(subject, side) {
        let root = &way.root.live.name;
        let whose = match way.last() {
            None => format!("soft-deleted {root} rows"),
            Some(_) => format!("soft-deleted {root} rows have {table} rows which"),
        };
        if !side.member.key.is_empty() {
            let taken = subject.in_shadow(side, shadow, way.foot());
            probes.extend(way.probe(subject, Some(&taken)).map(|probe| {
                probe
                    .kind(format!("{table}: shadow-key-taken"))
                    .message(format!(
                        "{whose} cannot be copied to {}: their key is taken there",
                        shadow.name
                    ))
                    .remedy(format!(
                        "compare both rows (duplicate-in-shadow says whether they are the same), \
                         then delete the one in {}",
                        shadow.name
                    ))
                    .only_if(subject.doubled(side, shadow))
            }));
        }
        for column in &not_null {
            let null = format!("{} IS NULL", subject.engine.column(way.foot(), column));
            probes.extend(way.probe(subject, Some(&null)).map(|probe| {
                probe
                    .kind(format!("{table}.{column}: null"))
                    .message(format!(
                        "{whose} cannot be copied: {column} is NULL, which {} does not allow",
                        shadow.name
                    ))
                    .remedy(subject.allow_null(shadow, column))
            }));
        }
    }
    probes
}
