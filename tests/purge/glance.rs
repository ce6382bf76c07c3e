//! Glance: an image's id must not be given out again (OSSN-0075).

use crate::support::service::{Service, before};

const OLD: &str = "'2025-01-01 00:00:00'";

fn image(glance: &mut Service, id: &str, deleted_at: &str) {
    let id = format!("'{id}'");
    let (dead, live) = (glance.truth(true), glance.truth(false));
    let mark = if deleted_at == "NULL" { live } else { dead };
    let marked = [("deleted", mark), ("deleted_at", deleted_at)];
    glance.row("images", &[&[("id", id.as_str())], &marked[..]].concat());
    for table in [
        "image_properties",
        "image_locations",
        "image_tags",
        "image_members",
    ] {
        glance.row(table, &[&[("image_id", id.as_str())], &marked[..]].concat());
    }
}

#[test]
fn images_go_on_request_and_what_belongs_to_them_goes_before() {
    Service::on_each_engine("glance-33.0.0", |mut glance| {
        image(&mut glance, "i1", OLD);
        image(&mut glance, "i2", "NULL");
        let outcome = glance.purge("2025-06-01");
        assert_eq!(outcome.total_rows, 4);
        assert!(!outcome.has_blocked(), "{:?}", outcome.blocked);
        assert_eq!(glance.column("images", "id"), ["i1", "i2"]);
        assert_eq!(glance.column("image_tags", "image_id"), ["i2"]);
        let outcome = glance.purge_with(&before("2025-06-01"), &["images"]);
        assert_eq!(outcome.rows, [("images".to_owned(), 1)].into());
        assert_eq!(glance.column("images", "id"), ["i2"]);
    });
}

/// task_info has no marker: it goes with its task (bug 1554412).
#[test]
fn a_child_without_a_marker_goes_with_its_parent() {
    Service::on_each_engine("glance-33.0.0", |mut glance| {
        for (id, deleted_at) in [("'t1'", OLD), ("'t2'", "NULL")] {
            let mark = glance.truth(deleted_at != "NULL");
            let values = [("id", id), ("deleted", mark), ("deleted_at", deleted_at)];
            glance.row("tasks", &values);
            glance.row("task_info", &[("task_id", id)]);
        }
        let outcome = glance.purge("2025-06-01");
        let expected = [("task_info".to_owned(), 1), ("tasks".to_owned(), 1)];
        assert_eq!(outcome.rows, expected.into());
        assert_eq!(glance.column("task_info", "task_id"), ["t2"]);
    });
}
