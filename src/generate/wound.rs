//! What a damage does to the rows of one instance. Each has an instance of its own, so that no
//! damage changes the count of another.

use super::cloud::{Cloud, Stream};
use super::damage::Damage;
use super::family::Family;
use super::row::{Life, Place, Row};

/// What is done to the family of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wound {
    /// `instance_extra` is in the shadow table alone.
    ChildInShadow,
    /// Everything is in the shadow tables but one child.
    ParentInShadow,
    /// A file share is still mapped: a child without a shadow table.
    MappedShare,
    /// A child is marked live.
    LiveChild,
    /// No `instance_extra`, of a soft-deleted or of a live instance.
    NoExtra { live: bool },
    /// A child that is in its shadow table too, with the same or with other content.
    Copied { same: bool },
    /// The instance, or a child of it, is marked deleted without a date.
    NoDate { child: bool },
    /// The whole family is in the shadow tables, and one API record is left, by its place in
    /// [`super::api::RECORDS`].
    Archived { record: usize },
}

/// What the target lets us break.
#[derive(Debug, Clone, Copy)]
pub(super) struct Possible {
    /// Whether rows may be written that break a foreign key.
    pub(super) broken_keys: bool,
    /// Whether there is a table `share_mapping`.
    pub(super) shares: bool,
}

impl Wound {
    /// The `n`-th wound of a damage; `None` where that is not done to an instance.
    pub(super) fn nth(damage: Damage, n: u32, possible: Possible) -> Option<Self> {
        let odd = n % 2 == 1;
        Some(match damage {
            Damage::SplitFamily if odd => Self::ParentInShadow,
            Damage::SplitFamily => Self::ChildInShadow,
            Damage::UnarchivableParent if odd && possible.shares => Self::MappedShare,
            Damage::Residue => Self::LiveChild,
            Damage::MissingRequiredChild => Self::NoExtra { live: odd },
            Damage::DuplicateInShadow => Self::Copied { same: !odd },
            Damage::InconsistentMarker => Self::NoDate { child: odd },
            Damage::StrandedApiRecord => Self::Archived {
                record: n as usize % super::api::RECORDS.len(),
            },
            Damage::OrphanedRow
            | Damage::UnarchivableParent
            | Damage::ShadowDrift
            | Damage::NonTransactionalTable => return None,
        })
    }

    /// Whether it is done to a live instance.
    pub(super) fn wants_live(self) -> bool {
        self == Self::NoExtra { live: true }
    }

    /// Whether the instance itself ends up in the shadow table.
    pub(super) fn archives(self) -> bool {
        matches!(self, Self::ParentInShadow | Self::Archived { .. })
    }

    /// Does it.
    pub(super) fn inflict(self, family: &mut Family, cloud: &mut Cloud, possible: Possible) {
        match self {
            Self::ChildInShadow => {
                if let Some(extra) = family.first("instance_extra") {
                    extra.place = Place::Shadow;
                }
            }
            Self::ParentInShadow => {
                family.archive();
                if !possible.broken_keys {
                    // A reference by convention: no foreign key stands against it.
                    family.rows.retain(|r| r.table != "instance_id_mappings");
                    family.rows.push(family.id_mapping(cloud));
                } else if let Some(child) = family.first("instance_system_metadata") {
                    child.place = Place::Live;
                    child.breaks_key = true;
                }
            }
            Self::MappedShare => {
                let mapped = family.share_mapping(cloud);
                family.rows.push(mapped);
            }
            Self::LiveChild => {
                if let Some(child) = family.first("instance_system_metadata") {
                    child.change("deleted", 0);
                    child.change("deleted_at", None::<i64>);
                }
            }
            Self::NoExtra { .. } => family.rows.retain(|r| r.table != "instance_extra"),
            Self::Copied { same } => family.copy_child(same),
            Self::NoDate { child } => {
                let table = if child {
                    "instance_metadata"
                } else {
                    "instances"
                };
                if let Some(row) = family.first(table) {
                    row.change("deleted_at", None::<i64>);
                }
            }
            Self::Archived { .. } => family.archive(),
        }
    }
}

impl Family {
    fn first(&mut self, table: &str) -> Option<&mut Row> {
        self.rows.iter_mut().find(|r| r.table == table)
    }

    fn archive(&mut self) {
        for row in &mut self.rows {
            row.place = Place::Shadow;
        }
    }

    fn life(&self) -> Life {
        let created = self.home.created.plus(1);
        Life {
            deleted: self.home.deleted,
            ..Life::live(created)
        }
    }

    fn id_mapping(&self, cloud: &mut Cloud) -> Row {
        let id = cloud.ids.next("instance_id_mappings");
        Row::new("instance_id_mappings", id, self.life()).set("uuid", &self.uuid)
    }

    fn share_mapping(&self, cloud: &mut Cloud) -> Row {
        let id = cloud.ids.next("share_mapping");
        let mut random = cloud.random(Stream::Share, self.home.id);
        let share = random.uuid();
        Row::new("share_mapping", id, Life::live(self.home.created.plus(60)))
            .set("uuid", random.uuid())
            .set("instance_uuid", &self.uuid)
            .set("tag", &share)
            .set("export_location", format!("192.0.2.20:/export/{share}"))
            .set("share_id", share)
            .set("status", "active")
            .set("share_proto", "NFS")
    }

    /// Copies a child into its shadow table. The child was deleted while the instance lived, as
    /// when metadata is removed: so the family is not split by a copy of it in the shadow table.
    fn copy_child(&mut self, same: bool) {
        let at = self.home.created.plus(1_800);
        let Some(child) = self.first("instance_system_metadata") else {
            return;
        };
        child.change("deleted_at", at);
        let mut copy = child.clone().in_shadow();
        if !same {
            copy.change("value", "of an earlier row with this id");
        }
        self.rows.push(copy);
    }
}
