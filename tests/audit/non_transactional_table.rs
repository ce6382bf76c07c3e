use sexton::audit::Severity;
use sexton::db::Engine;
use sexton::schema::Schema;

use crate::fixture::{probes, schema};

/// Only MariaDB and MySQL have storage engines: planned from a schema, no server needed.
#[test]
fn a_table_that_cannot_roll_back_is_an_error() {
    let mut schema = schema();
    for table in schema.tables.values_mut() {
        table.storage = Some("InnoDB".into());
    }
    let probes = |schema: &Schema| probes(schema, Engine::Mysql, "non-transactional-table");
    assert_eq!(probes(&schema), []);
    schema.tables.get_mut("shadow_instances").unwrap().storage = Some("MyISAM".into());
    schema.tables.get_mut("tags").unwrap().storage = Some("Aria".into());
    let found = probes(&schema);
    let lines: Vec<_> = found
        .iter()
        .map(|p| (p.severity, p.remedy.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            (
                Severity::Error,
                "ALTER TABLE `shadow_instances` ENGINE=InnoDB"
            ),
            (Severity::Error, "ALTER TABLE `tags` ENGINE=InnoDB"),
        ]
    );
}
