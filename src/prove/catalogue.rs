//! The catalogue: small worlds, each with one thing that archive engines get wrong.

pub(super) mod builder;
mod nova;

use self::builder::Builder;
use super::world::{EMPTY, PURGE, REPAIR, RESTORE, Task, World};
use crate::error::{Error, Result};
use crate::schema::Ownership::{Owned, Shared};

/// The names of the catalogue's worlds, the smallest first.
pub const NAMES: [&str; 11] = [
    "chain",
    "diamond",
    "two-references",
    "self-reference",
    "cycle",
    "composite-key",
    "missing-foreign-key",
    "no-shadow",
    "guarded",
    "cascade",
    "nova",
];

/// Worlds with the whole schema of a release of Nova, for the real nova-manage; not part of the
/// catalogue that is run by default.
pub const REAL: [&str; 3] = ["nova-34.0.0", "nova-21.0.0", "nova-share-mapping"];

/// The world of that name; with `purge-` before it the same for an engine that purges, with `empty-` for one that
/// empties the shadow tables, with `restore-` for one that brings back what is in them, with `repair-` for one that heals
/// what is damaged in it.
///
/// # Errors
///
/// Exit code 64 if there is none.
pub fn world(name: &str) -> Result<World> {
    if let Some(name) = name.strip_prefix(EMPTY) {
        return world(name)?.to_task(Task::EmptyShadows);
    }
    if let Some(name) = name.strip_prefix(RESTORE) {
        return world(name)?.to_task(Task::Restore);
    }
    if let Some(name) = name.strip_prefix(REPAIR) {
        return world(name)?.to_task(Task::Repair);
    }
    if let Some(name) = name.strip_prefix(PURGE) {
        return world(name)?.to_purge();
    }
    Ok(match name {
        "chain" => chain(),
        "diamond" => diamond(),
        "two-references" => two_references(),
        "self-reference" => self_reference(),
        "cycle" => cycle(),
        "composite-key" => composite_key(),
        "missing-foreign-key" => missing_foreign_key(),
        "no-shadow" => no_shadow(),
        "guarded" => guarded(),
        "cascade" => cascade(),
        "nova" => nova::nova(),
        "nova-34.0.0" => nova::real("34.0.0", 1..=1),
        "nova-21.0.0" => nova::real("21.0.0", 1..=2),
        "nova-share-mapping" => nova::blocked(),
        _ => {
            return Err(
                Error::usage(format!("unknown world '{name}'")).hint(format!(
                    "known are {}, {}",
                    NAMES.join(", "),
                    REAL.join(", ")
                )),
            );
        }
    })
}

/// The whole catalogue.
pub fn all() -> Result<Vec<World>> {
    NAMES.iter().map(|name| world(name)).collect()
}

/// Root, child, grandchild.
fn chain() -> World {
    let mut b = Builder::new("chain", "a root, its children and theirs");
    b.table("root", &[])
        .table("child", &["root_id"])
        .table("leaf", &["child_id"]);
    b.reference("child.root_id", "root.id", Owned);
    b.reference("leaf.child_id", "child.id", Owned);
    for id in 1..=4 {
        let dead = id != 3;
        b.row("root", id, dead, &[]);
        b.row("child", 10 * id, dead, &[("root_id", id)]);
        // Residue: not marked, though its family is.
        b.row("child", 10 * id + 1, dead && id != 2, &[("root_id", id)]);
        b.row("leaf", 100 * id, dead, &[("child_id", 10 * id)]);
    }
    b.world()
}

/// Two ways from the root to one grandchild.
fn diamond() -> World {
    let mut b = Builder::new("diamond", "a row with two owners, both of one root");
    b.table("root", &[])
        .table("left_side", &["root_id"])
        .table("right_side", &["root_id"])
        .table("tip", &["left_id", "right_id"]);
    b.reference("left_side.root_id", "root.id", Owned);
    b.reference("right_side.root_id", "root.id", Owned);
    b.reference("tip.left_id", "left_side.id", Owned);
    b.reference("tip.right_id", "right_side.id", Owned);
    for id in 1..=3 {
        let dead = id != 2;
        b.row("root", id, dead, &[]);
        b.row("left_side", id, dead, &[("root_id", id)]);
        b.row("right_side", id, dead, &[("root_id", id)]);
        b.row("tip", id, dead, &[("left_id", id), ("right_id", id)]);
    }
    b.world()
}

/// A child with two references to one parent table: Nova's security group rules.
fn two_references() -> World {
    let mut b = Builder::new(
        "two-references",
        "a child with two references to one parent table, one owned and one shared",
    );
    b.table("grp", &[]).table("rule", &["parent_id", "grp_id"]);
    b.reference("rule.parent_id", "grp.id", Owned);
    b.reference("rule.grp_id", "grp.id", Shared);
    for id in 1..=5 {
        b.row("grp", id, id != 4, &[]);
    }
    // To itself, to another dead one, to a living one; a living one to a dead one, which it blocks.
    b.row("rule", 1, true, &[("parent_id", 1), ("grp_id", 1)]);
    b.row("rule", 2, true, &[("parent_id", 2), ("grp_id", 3)]);
    b.row("rule", 3, true, &[("parent_id", 3), ("grp_id", 4)]);
    b.row("rule", 4, false, &[("parent_id", 4), ("grp_id", 5)]);
    b.world()
}

/// A table whose rows own rows of the same table.
fn self_reference() -> World {
    let mut b = Builder::new("self-reference", "rows that own rows of their own table");
    b.table("node", &["parent_id"]);
    b.reference("node.parent_id", "node.id", Owned);
    b.row("node", 1, true, &[]);
    b.row("node", 2, true, &[("parent_id", 1)]);
    b.row("node", 3, true, &[("parent_id", 2)]);
    b.row("node", 4, false, &[]);
    b.row("node", 5, true, &[("parent_id", 4)]);
    b.row("node", 6, true, &[]);
    b.row("node", 7, true, &[("parent_id", 6)]);
    b.world()
}

/// Two tables that refer to each other, one way through a nullable column.
fn cycle() -> World {
    let mut b = Builder::new("cycle", "two tables that refer to each other");
    b.table("server", &["boot_id"])
        .table("disk", &["server_id"]);
    b.reference("disk.server_id", "server.id", Owned);
    b.reference("server.boot_id", "disk.id", Owned);
    for id in 1..=3 {
        let dead = id != 2;
        b.row("server", id, dead, &[("boot_id", 10 * id)]);
        b.row("disk", 10 * id, dead, &[("server_id", id)]);
        b.row("disk", 10 * id + 1, dead, &[("server_id", id)]);
    }
    b.world()
}

/// Keys of two columns.
fn composite_key() -> World {
    let mut b = Builder::new("composite-key", "keys and references of two columns");
    b.composite_table("host", &[]);
    b.composite_table("port", &["host_zone", "host_id"]);
    b.reference("port.(host_zone, host_id)", "host.(zone, id)", Owned);
    for (zone, id) in [("a", 1), ("b", 1), ("a", 2), ("b", 3)] {
        let dead = (zone, id) != ("a", 2);
        b.composite_row("host", (zone, id), dead, None);
        b.composite_row("port", (zone, 10 * id), dead, Some((zone, id)));
        b.composite_row(
            "port",
            ("c", 10 * id + zone.len() as i64 + i64::from(zone == "b")),
            dead,
            Some((zone, id)),
        );
    }
    b.world()
}

/// A child that only the profile knows: no foreign key keeps it with its parent.
fn missing_foreign_key() -> World {
    let mut b = Builder::new("missing-foreign-key", "a child without a foreign key");
    b.table("root", &[])
        .table("child", &["root_id"])
        .table("loose", &["root_id"]);
    b.reference("child.root_id", "root.id", Owned);
    b.by_convention("loose.root_id", "root.id", Owned);
    for id in 1..=4 {
        let dead = id != 2;
        b.row("root", id, dead, &[]);
        b.row("child", id, dead, &[("root_id", id)]);
        b.row("loose", id, dead && id != 3, &[("root_id", id)]);
    }
    b.world()
}

/// A table without shadow holds some families back.
fn no_shadow() -> World {
    let mut b = Builder::new(
        "no-shadow",
        "a child table without shadow table, which blocks some families",
    );
    b.table("root", &[]).table("child", &["root_id"]);
    b.unshadowed("mapping", &["root_id"]);
    b.reference("child.root_id", "root.id", Owned);
    b.reference("mapping.root_id", "root.id", Owned);
    for id in 1..=4 {
        let dead = id != 3;
        b.row("root", id, dead, &[]);
        b.row("child", id, dead, &[("root_id", id)]);
    }
    b.row("mapping", 1, true, &[("root_id", 2)]);
    b.world()
}

/// A child that the database itself deletes with its parent, over a key that is not the primary one: a lock on the
/// parent's row does not keep InnoDB from adding children to that, and they would go without having been read.
fn cascade() -> World {
    let mut b = Builder::new(
        "cascade",
        "children that go with their parent by ON DELETE CASCADE, over another key than the primary one",
    );
    b.table("root", &[]).other_key("code");
    b.table("child", &["root_code"]);
    b.table("leaf", &["child_id"]);
    b.cascade("child.root_code", "root.code", Owned);
    b.cascade("leaf.child_id", "child.id", Owned);
    for id in 1..=4 {
        let (dead, code) = (id != 3, 1000 + id);
        b.row("root", id, dead, &[("code", code)]);
        b.row("child", 10 * id, dead, &[("root_code", code)]);
        b.row(
            "child",
            10 * id + 1,
            dead && id != 2,
            &[("root_code", code)],
        );
        b.row("leaf", 100 * id, dead, &[("child_id", 10 * id)]);
    }
    b.world()
}

/// A child that is owned, and holds its parent back while it lives: what a foreign key means of which no
/// profile knows.
fn guarded() -> World {
    let mut b = Builder::new(
        "guarded",
        "a child that holds its parent back while it lives",
    );
    b.table("root", &[])
        .table("child", &["root_id"])
        .table("leaf", &["child_id"]);
    b.foreign_key("child.root_id", "root.id");
    b.reference("leaf.child_id", "child.id", Owned);
    for id in 1..=4 {
        b.row("root", id, id != 4, &[]);
        b.row("child", 10 * id, true, &[("root_id", id)]);
        // Of the second root's children one lives: the root stays, and the other child with its leaf.
        b.row("child", 10 * id + 1, id != 2, &[("root_id", id)]);
        b.row("leaf", 100 * id, id != 3, &[("child_id", 10 * id)]);
        b.row("leaf", 100 * id + 1, true, &[("child_id", 10 * id + 1)]);
    }
    b.world()
}
