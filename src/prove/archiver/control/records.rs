//! The API database's records of roots.

use std::collections::BTreeSet;

use crate::db::{Value, introspect};
use crate::error::Result;
use crate::prove::archiver::Place;
use crate::schema::{ApiRecords, FamilyGraph, Member};

use super::link::Link;
use super::sql::Tuple;

/// Records of roots in another database.
pub(super) struct Records<'p> {
    graph: &'p FamilyGraph,
    records: &'p ApiRecords,
    link: Link,
    tables: Vec<String>,
}

impl<'p> Records<'p> {
    /// The records of this place, if it has any. There is one cell, so that nobody asks which.
    pub(super) fn open(place: &'p Place) -> Result<Option<Self>> {
        let (Some(door), Some(records)) = (&place.api, &place.graph.profile.api) else {
            return Ok(None);
        };
        let mut link = Link::open(door)?;
        let mut schema = introspect(link.session());
        if schema.is_err() && link.session().reconnect().is_ok() {
            schema = introspect(link.session());
        }
        let schema = schema?;
        let known = |t: &&String| schema.table(t).is_some();
        Ok(Some(Self {
            graph: &place.graph,
            records,
            link,
            tables: records.tables.iter().filter(known).cloned().collect(),
        }))
    }

    /// Removes the records of every root that is archived.
    pub(super) fn sweep(&mut self, cell: &mut Link) -> Result<()> {
        let member = self.graph.member(&self.records.root);
        let Some((live, shadow)) = member.and_then(|m| Some((&m.table, m.shadow.as_ref()?))) else {
            return Ok(());
        };
        let mut names = |table: &String| {
            let engine = cell.session().engine();
            let sql = format!(
                "SELECT {} FROM {}",
                engine.quote(&self.records.key),
                engine.quote(table)
            );
            let rows = cell.again(|session| session.query(&sql))?;
            let text = |row: &Vec<Value>| row.first().and_then(Value::as_text).map(str::to_owned);
            Ok::<BTreeSet<String>, crate::db::DbError>(rows.iter().filter_map(text).collect())
        };
        let (archived, living) = (names(shadow)?, names(live)?);
        self.remove(archived.difference(&living))
    }

    /// Removes the records of one root before anybody has looked whether it can go.
    pub(super) fn remove_of(&mut self, cell: &mut Link, root: &Member, key: &Tuple) -> Result<()> {
        let ([column], [value]) = (root.key.as_slice(), key.as_slice()) else {
            return Ok(());
        };
        if root.table != self.records.root {
            return Ok(());
        }
        let engine = cell.session().engine();
        let sql = format!(
            "SELECT {} FROM {} WHERE {} = {}",
            engine.quote(&self.records.key),
            engine.quote(&root.table),
            engine.quote(column),
            engine.literal(value)
        );
        let row = cell.again(|session| session.query_row(&sql))?;
        let name = row.and_then(|r| r.first().and_then(Value::as_text).map(str::to_owned));
        self.remove(name.iter())
    }

    fn remove<'n>(&mut self, names: impl Iterator<Item = &'n String>) -> Result<()> {
        let engine = self.link.session().engine();
        let literal = |name: &String| engine.literal(&Value::Text(name.clone()));
        let names: Vec<_> = names.map(literal).collect();
        if names.is_empty() {
            return Ok(());
        }
        let (tables, column) = (&self.tables, engine.quote(&self.records.column));
        let names = names.join(", ");
        // Deleting twice does no harm, so that an ambiguous COMMIT is simply repeated.
        self.link.again(|session| {
            session.begin()?;
            for table in tables {
                let table = engine.quote(table);
                session.execute(&format!("DELETE FROM {table} WHERE {column} IN ({names})"))?;
            }
            session.commit()
        })?;
        Ok(())
    }
}
