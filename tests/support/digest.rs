//! What a database holds, live and shadow tables together: an archive run changes nothing of it. On MariaDB.

use std::collections::BTreeMap;

use sexton::db::{DbError, Session, Value};
use sexton::schema::FamilyGraph;

/// Rows and the sum of their checksums, by live table.
pub(crate) type Digest = BTreeMap<String, (i64, i64)>;

/// Reads every row of every table that has a shadow table.
pub(crate) fn digest(session: &mut Session, graph: &FamilyGraph) -> Result<Digest, DbError> {
    let mut digest = Digest::new();
    for member in graph.members.values() {
        let (Some(shadow), Some(live)) = (&member.shadow, graph.table(&member.table)) else {
            continue;
        };
        let columns = live
            .columns
            .iter()
            .map(|c| format!("COALESCE(`{}`, '~')", c.name));
        let columns: Vec<_> = columns.collect();
        let side = |table: &str| {
            format!(
                "SELECT CRC32(CONCAT_WS('|', {})) AS c FROM `{table}`",
                columns.join(", ")
            )
        };
        let row = session.query_row(&format!(
            "SELECT COUNT(*), CAST(COALESCE(SUM(c), 0) AS SIGNED) FROM ({} UNION ALL {}) AS a",
            side(&member.table),
            side(shadow)
        ))?;
        let row = row.unwrap_or_default();
        let number = |at: usize| row.get(at).and_then(Value::as_int).unwrap_or(-1);
        digest.insert(member.table.clone(), (number(0), number(1)));
    }
    Ok(digest)
}
