//! What the real nova-manage has archived comes back as it was.

use std::collections::BTreeMap;

use sexton::archive::{self, Options, RowName, Stop, refusal};
use sexton::db::Value;

use crate::support::cloud::{Cloud, uuid};
use crate::support::nova::Nova;

/// The rows of every table that has any, as text, sorted.
fn rows(cloud: &mut Cloud) -> BTreeMap<String, Vec<String>> {
    let graph = cloud.graph();
    let mut all = BTreeMap::new();
    for table in graph.schema.tables.values() {
        let columns = cloud
            .engine()
            .quote_all(table.columns.iter().map(|c| &c.name));
        let found = cloud
            .session
            .query(&format!("SELECT {columns} FROM `{}`", table.name));
        let text = |row: Vec<Value>| format!("{row:?}");
        let mut rows: Vec<_> = found.unwrap().into_iter().map(text).collect();
        rows.sort();
        if !rows.is_empty() {
            all.insert(table.name.clone(), rows);
        }
    }
    all
}

#[test]
fn what_nova_manage_archived_comes_back_as_it_was() {
    let mut nova = Nova::new();
    let cloud = &mut nova.cell;
    (1..=3).for_each(|id| cloud.dead_instance(id));
    cloud.live_instance(9);
    // nova-manage forgets these columns.
    cloud.sql("UPDATE instances SET internal_id = NULL; UPDATE instance_extra SET vpmems = NULL");
    let before = rows(cloud);
    let output = nova.nova_manage_archive(&["--until-complete"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let cloud = &mut nova.cell;
    assert!((1..=3).all(|id| cloud.is_archived(id)));
    let graph = cloud.graph();
    let name = |id| RowName::instance(&uuid(id), &graph).unwrap();
    let names = [name(1), name(2), name(3)];
    let (options, stop) = (Options::default(), Stop::default());
    let back = archive::restore(&mut cloud.session, &graph, &names, &options, &stop, &mut ());
    let back = back.unwrap();
    assert!(refusal(&back).is_none(), "{back:?}");
    assert_eq!((back.families, back.batches), (3, 1));
    assert_eq!(rows(cloud), before);
    // And again.
    let output = nova.nova_manage_archive(&["--until-complete"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!((1..=3).all(|id| nova.cell.is_archived(id)));
}
