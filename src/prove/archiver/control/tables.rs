//! What some mistakes do to whole tables instead of families.

use std::sync::atomic::Ordering;

use crate::db::DbErrorKind;
use crate::error::Result;

use super::textbook::Textbook;

impl Textbook<'_> {
    /// [`super::Mistake::ChildFirst`]: what Nova did until bug 1837995 was mended. Each table by itself,
    /// children first; where a foreign key objects the table is left for another time.
    pub(super) fn tables(&mut self) -> Result<()> {
        let sql = self.sql;
        let limit = self.place.options.max_rows;
        let order = sql.graph.delete_order.iter();
        let members = order.filter_map(|t| sql.graph.member(t));
        for member in members.filter(|m| m.obstacle.is_none() && m.marker.is_some()) {
            let (table, key) = (
                sql.engine.quote(&member.table),
                sql.engine.quote_all(&member.key),
            );
            let select = format!(
                "SELECT {key} FROM {table} WHERE {} ORDER BY {key} LIMIT {limit}",
                sql.marked(member, "")
            );
            loop {
                if self.place.stop.load(Ordering::SeqCst) {
                    self.stopped = true;
                    return Ok(());
                }
                let keys = self.link.again(|session| session.query(&select))?;
                let Some(copy) = sql.copy(member, &keys).filter(|_| !keys.is_empty()) else {
                    break;
                };
                let delete = format!(
                    "DELETE FROM {table} WHERE {}",
                    sql.among(&member.key, &keys)
                );
                let session = self.link.session();
                session.begin()?;
                let mut work = || {
                    session.execute(&copy)?;
                    session.execute(&delete)?;
                    session.commit()
                };
                match work() {
                    Ok(()) => self.count([(member.table.clone(), keys.len() as u64)].into()),
                    Err(error) => {
                        self.link.recover(&error);
                        if error.kind == DbErrorKind::ForeignKey {
                            break;
                        }
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(())
    }

    /// [`super::Mistake::NotIdempotent`]: a new stamp on all that was archived so far.
    pub(super) fn stamp(&mut self) -> Result<()> {
        for member in self.root_tables() {
            if let (Some(shadow), Some(marker)) = (&member.shadow, &member.marker) {
                let column = self.sql.engine.quote(&marker.column);
                let sql = format!(
                    "UPDATE {} SET {column} = {column} + 1",
                    self.sql.engine.quote(shadow)
                );
                self.link.again(|session| session.execute(&sql).map(drop))?;
            }
        }
        Ok(())
    }
}
