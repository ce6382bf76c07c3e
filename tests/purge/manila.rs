//! Manila: markers that are strings, ids or numbers, table by table.

use crate::support::service::Service;

const OLD: &str = "'2025-01-01 00:00:00'";
const YOUNG: &str = "'2025-12-01 00:00:00'";

/// A row that was deleted then, or lives. `id` is what the marker of a dead one holds.
fn row(manila: &mut Service, table: &str, dead: Option<(&str, &str)>, values: &[(&str, &str)]) {
    let (mark, at) = dead.unwrap_or(("'False'", "NULL"));
    let marked = [("deleted", mark), ("deleted_at", at)];
    manila.row(table, &[values, &marked[..]].concat());
}

#[test]
fn every_kind_of_marker_is_understood() {
    Service::on_each_engine("manila-23.0.1", |mut manila| {
        // A string that holds the id, the word of an accepted transfer, a number.
        row(
            &mut manila,
            "shares",
            Some(("'s1'", OLD)),
            &[("id", "'s1'")],
        );
        row(&mut manila, "shares", None, &[("id", "'s2'")]);
        row(
            &mut manila,
            "transfers",
            Some(("'True'", OLD)),
            &[("id", "'t1'")],
        );
        row(&mut manila, "transfers", None, &[("id", "'t2'")]);
        let number = [("id", "1"), ("share_id", "'s1'")];
        row(&mut manila, "share_metadata", Some(("1", OLD)), &number);
        let number = [("id", "2"), ("share_id", "'s2'")];
        row(&mut manila, "share_metadata", Some(("0", "NULL")), &number);
        // Without an id: 1 is deleted.
        let data = [("entity_uuid", "'e1'"), ("key", "'k'")];
        row(&mut manila, "drivers_private_data", Some(("1", OLD)), &data);
        let data = [("entity_uuid", "'e2'"), ("key", "'k'")];
        row(
            &mut manila,
            "drivers_private_data",
            Some(("0", "NULL")),
            &data,
        );
        row(
            &mut manila,
            "backend_info",
            Some(("1", OLD)),
            &[("host", "'h'")],
        );

        let outcome = manila.purge("2025-06-01");
        assert_eq!(outcome.total_rows, 5, "{:?}", outcome.rows);
        assert!(!outcome.has_blocked(), "{:?}", outcome.blocked);
        assert_eq!(manila.column("shares", "id"), ["s2"]);
        assert_eq!(manila.column("transfers", "id"), ["t2"]);
        assert_eq!(manila.column("share_metadata", "id"), ["2"]);
        assert_eq!(manila.column("drivers_private_data", "entity_uuid"), ["e2"]);
    });
}

/// A share with its instances, their export locations and access rules; a server that was migrated
/// from another one.
#[test]
fn families_of_several_generations_go_whole() {
    Service::on_each_engine("manila-23.0.1", |mut manila| {
        row(
            &mut manila,
            "shares",
            Some(("'s1'", OLD)),
            &[("id", "'s1'")],
        );
        let values = [
            ("id", "'i1'"),
            ("share_id", "'s1'"),
            ("share_server_id", "'x2'"),
        ];
        row(
            &mut manila,
            "share_servers",
            Some(("'x1'", OLD)),
            &[("id", "'x1'")],
        );
        let moved = [("id", "'x2'"), ("source_share_server_id", "'x1'")];
        row(&mut manila, "share_servers", Some(("'x2'", OLD)), &moved);
        row(&mut manila, "share_instances", Some(("'i1'", OLD)), &values);
        let values = [("id", "1"), ("share_instance_id", "'i1'")];
        row(
            &mut manila,
            "share_instance_export_locations",
            Some(("1", OLD)),
            &values,
        );
        let values = [("id", "1"), ("export_location_id", "1")];
        let table = "share_instance_export_locations_metadata";
        row(&mut manila, table, Some(("1", OLD)), &values);
        let values = [("id", "'m1'"), ("share_id", "'s1'")];
        row(
            &mut manila,
            "share_access_map",
            Some(("'m1'", OLD)),
            &values,
        );
        let values = [
            ("id", "'n1'"),
            ("share_instance_id", "'i1'"),
            ("access_id", "'m1'"),
        ];
        row(
            &mut manila,
            "share_instance_access_map",
            Some(("'n1'", OLD)),
            &values,
        );
        let outcome = manila.purge("2025-06-01");
        assert!(!outcome.has_blocked(), "{:?}", outcome.blocked);
        assert_eq!(outcome.total_rows, 8, "{:?}", outcome.rows);
    });
}

#[test]
fn a_server_that_a_younger_one_came_from_is_kept() {
    Service::on_each_engine("manila-23.0.1", |mut manila| {
        row(
            &mut manila,
            "share_servers",
            Some(("'x1'", OLD)),
            &[("id", "'x1'")],
        );
        let moved = [("id", "'x2'"), ("source_share_server_id", "'x1'")];
        row(&mut manila, "share_servers", Some(("'x2'", YOUNG)), &moved);
        let outcome = manila.purge("2025-06-01");
        assert_eq!(outcome.total_rows, 0);
        assert_eq!(outcome.blocked_families.values().sum::<u64>(), 1);
        assert_eq!(manila.purge("2100-01-01").total_rows, 2);
    });
}
