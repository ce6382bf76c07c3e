use super::*;
use crate::schema::{Column, ForeignKey};

fn table(name: &str, columns: &[&str], keys: &[(&str, &str)]) -> Table {
    let column = |name: &str| Column {
        name: name.trim_end_matches('?').into(),
        ty: "int".parse().unwrap(),
        nullable: name.ends_with('?'),
        default: None,
        auto_increment: false,
        generated: false,
        native: None,
        zoned: false,
    };
    let key = |(column, parent): &(&str, &str)| ForeignKey {
        name: format!("fk_{column}"),
        columns: vec![(*column).into()],
        parent: (*parent).into(),
        parent_columns: vec!["id".into()],
        on_delete_cascade: false,
    };
    Table {
        name: name.into(),
        columns: columns.iter().map(|c| column(c)).collect(),
        primary_key: vec!["id".into()],
        foreign_keys: keys.iter().map(key).collect(),
        ..Table::default()
    }
}

fn graph(tables: Vec<Table>) -> FamilyGraph {
    Profile::convention()
        .families(&tables.into_iter().collect())
        .unwrap()
}

#[test]
fn a_child_is_owned_if_it_needs_its_parent_and_guarded_if_it_can_be_deleted_alone() {
    let graph = graph(vec![
        table("parent", &["id", "deleted"], &[]),
        table("lines", &["id", "parent_id"], &[("parent_id", "parent")]),
        table(
            "orders",
            &["id", "parent_id", "deleted"],
            &[("parent_id", "parent")],
        ),
        table("notes", &["id", "parent_id?"], &[("parent_id", "parent")]),
    ]);
    let how: Vec<_> = graph
        .references
        .iter()
        .map(|r| (r.child.as_str(), r.is_owned(), r.guarded, r.blocks()))
        .collect();
    assert_eq!(
        how,
        [
            ("lines", true, false, false),
            ("notes", false, false, true),
            ("orders", true, true, true),
        ]
    );
}

#[test]
fn children_are_deleted_before_parents() {
    let graph = graph(vec![
        table("a", &["id"], &[]),
        table("b", &["id", "a_id"], &[("a_id", "a")]),
        table(
            "c",
            &["id", "b_id", "a_id"],
            &[("b_id", "b"), ("a_id", "a")],
        ),
    ]);
    assert_eq!(graph.delete_order, ["c", "b", "a"]);
    assert_eq!(graph.cuts(), Vec::<usize>::new());
}

#[test]
fn a_cycle_is_cut_where_null_is_allowed() {
    let graph = graph(vec![
        table("a", &["id", "b_id?"], &[("b_id", "b")]),
        table("b", &["id", "a_id"], &[("a_id", "a")]),
        table("tree", &["id", "up?"], &[("up", "tree")]),
    ]);
    let place = |t: &str| graph.delete_order.iter().position(|x| x == t);
    assert!(place("b") < place("a"), "{:?}", graph.delete_order);
    let cuts: Vec<_> = graph
        .cuts()
        .into_iter()
        .map(|i| graph.references[i].to_string())
        .collect();
    assert_eq!(cuts, ["a.b_id -> b.id", "tree.up -> tree.id"]);
}

#[test]
fn a_shadow_table_that_lacks_a_column_is_an_obstacle() {
    let graph = graph(vec![
        table("a", &["id", "x?", "deleted"], &[]),
        table("shadow_a", &["id", "deleted"], &[]),
        table("b", &["id", "deleted"], &[]),
    ]);
    let obstacle = |t: &str| {
        graph
            .member(t)
            .unwrap()
            .obstacle
            .clone()
            .unwrap()
            .to_string()
    };
    assert_eq!(obstacle("a"), "shadow_a lacks column x");
    assert_eq!(obstacle("b"), "table b has no shadow table");
    assert!(graph.member("shadow_a").is_none());
}
