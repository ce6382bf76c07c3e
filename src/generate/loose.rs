//! Damage that is not done to an instance: orphans, and security groups that are still named in a
//! rule of another.

use crate::error::{Error, Result};
use crate::schema::Schema;

use super::cloud::{Cloud, Stream};
use super::random::{DAY, Moment, Random};
use super::row::{Life, Row};

/// Tables that can have an orphan, and whether a foreign key stands against it. In turn one
/// reference by convention and one that is declared.
const ORPHANS: [(&str, bool); 8] = [
    ("instance_id_mappings", false),
    ("instance_system_metadata", true),
    ("volume_usage_cache", false),
    ("instance_faults", true),
    ("console_auth_tokens", false),
    ("virtual_interfaces", true),
    ("tags", false),
    ("instance_metadata", true),
];

/// The tables that orphans can be put into.
pub(super) fn orphan_tables(
    schema: &Schema,
    broken_keys: bool,
) -> Result<Vec<(&'static str, bool)>> {
    let usable = |(table, declared): &(&str, bool)| {
        schema.table(table).is_some() && (broken_keys || !declared)
    };
    let tables: Vec<_> = ORPHANS.into_iter().filter(usable).collect();
    if tables.is_empty() {
        return Err(Error::data(
            "no table that could have an orphaned row without breaking a foreign key",
        )
        .hint("leave this damage out, or fill an empty database"));
    }
    Ok(tables)
}

/// A row of an instance that is nowhere; the row and its name.
pub(super) fn orphan(
    cloud: &mut Cloud,
    n: i64,
    table: &'static str,
    declared: bool,
) -> (Row, String) {
    let id = cloud.ids.next(table);
    let mut random = cloud.random(Stream::Orphan, n);
    let owner = random.uuid();
    let at = Moment::any(&mut random);
    // Rows of declared references died with their instance; the others outlive theirs because
    // its delete did not know them.
    let life = if declared {
        Life::dead(at.plus(-DAY), at)
    } else {
        Life::live(at)
    };
    let row = fields(Row::new(table, id, life), &owner, at, &mut random);
    let name = match table {
        "tags" => format!("{table}:{owner}"),
        _ => format!("{table}:{id}"),
    };
    (if declared { row.breaking_key() } else { row }, name)
}

fn fields(row: Row, owner: &str, at: Moment, random: &mut Random) -> Row {
    match row.table {
        "instance_id_mappings" => row.set("uuid", owner),
        "instance_system_metadata" | "instance_metadata" => row
            .set("instance_uuid", owner)
            .set("key", "image_os_distro")
            .set("value", "debian"),
        "volume_usage_cache" => row
            .set("volume_id", random.uuid())
            .set("instance_uuid", owner)
            .set("tot_last_refreshed", at)
            .set("curr_last_refreshed", at),
        "instance_faults" => row
            .set("instance_uuid", owner)
            .set("code", 500)
            .set("message", "MessagingTimeout"),
        "console_auth_tokens" => row
            .set(
                "token_hash",
                format!("{}{}", random.hex_id(), random.hex_id()),
            )
            .set("console_type", "novnc")
            .set("host", "192.0.2.9")
            .set("port", 5_900)
            .set("instance_uuid", owner)
            .set("expires", 1_700_000_000)
            .set("access_url_base", "https://console.example.org/vnc"),
        "virtual_interfaces" => {
            let port = random.uuid();
            row.set("instance_uuid", owner)
                .set("address", format!("fa:16:3e:00:00:01/{port}"))
                .set("uuid", port)
        }
        _ => row.set("resource_id", owner).set("tag", "nightly"),
    }
}

/// A soft-deleted security group that a live rule of a live group still names; its rows and its
/// name.
pub(super) fn named_group(cloud: &mut Cloud, n: u32) -> (Vec<Row>, String) {
    let mut random = cloud.random(Stream::Group, n.into());
    let project = random.pick(&cloud.projects).clone();
    let dead = Life::dead(cloud.origin.plus(31 * DAY), Moment::any(&mut random));
    let group = cloud.group(&project, "retired", dead);
    let id = group.id();
    let live = Life::live(cloud.origin.plus(32 * DAY));
    let rule = cloud.rule(project.group, None, Some(id), live);
    (vec![group, rule], format!("security_groups:{id}"))
}
