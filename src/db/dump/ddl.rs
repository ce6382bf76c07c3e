//! Keys and foreign keys as both kinds of dump write them.

use super::lexer::Cursor;
use crate::schema::{ForeignKey, Index, Table};

/// `FOREIGN KEY (a) REFERENCES p (b) ON DELETE CASCADE` after these words; `None` if it is otherwise.
pub(super) fn foreign_key(name: &str, cursor: &mut Cursor<'_>) -> Option<ForeignKey> {
    let columns = cursor.columns()?;
    if !cursor.skip(&["REFERENCES"]) {
        return None;
    }
    let (_, parent) = cursor.qualified()?;
    Some(ForeignKey {
        name: name.to_owned(),
        columns,
        parent: parent.to_owned(),
        parent_columns: cursor.columns()?,
        on_delete_cascade: cursor.has(&["ON", "DELETE", "CASCADE"]),
    })
}

/// Puts keys into the order in which catalogs list them.
pub(super) fn tidy(table: &mut Table) {
    let by_name = |a: &Index, b: &Index| a.name.cmp(&b.name);
    table.uniques.sort_by(by_name);
    table.indexes.sort_by(by_name);
    table.foreign_keys.sort_by(|a, b| a.name.cmp(&b.name));
}
