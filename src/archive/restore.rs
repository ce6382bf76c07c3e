//! Brings families back from the shadow tables, whole, as they were archived.
//!
//! The engine is that of an archive run over [`FamilyGraph::returning`]: the same closure, locks, counts and retries,
//! with the shadow tables as the members. What was named goes in one transaction; where anything of it cannot be in the
//! live tables ([`super::way_back`]), nothing does.

use std::collections::BTreeMap;

use crate::db::{DbError, Session, Value};
use crate::error::{Error, Result};
use crate::schema::{ColumnType, FamilyGraph, Member};

use super::batch::Batch;
use super::capture::{Gone, RootKind, Unindexed};
use super::forest::{Key, row_name};
use super::options::{Observer, Options};
use super::outcome::{Blocked, Outcome};
use super::preflight::{check_owners, check_shadows};
use super::run::{Run, run};
use super::stop::Stop;
use super::table::TOO_LARGE;

/// A row by which a family is named: any of its rows will do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowName {
    /// The live table.
    table: String,
    /// Columns that tell the row, and their values as text.
    columns: Vec<(String, String)>,
    /// How it was given.
    given: String,
}

impl RowName {
    /// Reads `instances:3`, or `tags:a/b` for a key of two columns, as reports have it; the shadow table's name stands
    /// for the live table's.
    ///
    /// # Errors
    ///
    /// Exit code 64 if it names no table that has a shadow, or does not fit the table's key.
    pub fn parse(text: &str, graph: &FamilyGraph) -> Result<Self> {
        let (table, key) = text.split_once(':').ok_or_else(|| {
            Error::usage(format!("--root {text} is not TABLE:KEY"))
                .hint("write it as reports do: instances:3")
        })?;
        let prefix = &graph.profile.shadow_prefix;
        let member = graph
            .member(table)
            .or_else(|| graph.member(table.strip_prefix(prefix.as_str())?));
        let member = member.ok_or_else(|| {
            Error::usage(format!("--root {text}: there is no table '{table}'"))
                .hint("name the live table that the row came from")
        })?;
        if member.shadow.is_none() {
            return Err(Error::usage(format!(
                "--root {text}: table {} has no shadow table",
                member.table
            ))
            .hint("its rows were never archived"));
        }
        let parts: Vec<&str> = match member.key.len() {
            0 | 1 => vec![key],
            _ => key.split('/').collect(),
        };
        if parts.len() != member.key.len() || key.is_empty() {
            let columns = member.key.join("/");
            return Err(Error::usage(format!(
                "--root {text}: a key of {} is {columns}",
                member.table
            ))
            .hint("write the values in that order, with / between them"));
        }
        let name = Self {
            table: member.table.clone(),
            columns: member
                .key
                .iter()
                .zip(parts)
                .map(|(column, part)| (column.clone(), part.to_owned()))
                .collect(),
            given: text.to_owned(),
        };
        name.values(graph)?;
        Ok(name)
    }

    /// The row of the table of roots that the profile's API records know by this name: an instance's uuid.
    ///
    /// # Errors
    ///
    /// Exit code 64 if the profile knows no such names.
    pub fn instance(name: &str, graph: &FamilyGraph) -> Result<Self> {
        let records = graph.profile.api.as_ref();
        let records = records.filter(|r| graph.member(&r.root).is_some());
        let records = records.ok_or_else(|| {
            let profile = &graph.profile.name;
            Error::usage(format!(
                "--instance {name}: profile {profile} has no instances"
            ))
            .hint("name the row: --root TABLE:KEY")
        })?;
        Ok(Self {
            table: records.root.clone(),
            columns: vec![(records.key.clone(), name.to_owned())],
            given: name.to_owned(),
        })
    }

    /// The values as the columns have them.
    fn values(&self, graph: &FamilyGraph) -> Result<Key> {
        let table = graph.table(&self.table);
        let value = |(column, text): &(String, String)| {
            let ty = table.and_then(|t| t.column(column)).map(|c| &c.ty);
            let number = ty.is_some_and(|ty| ty.is_integer() || *ty == ColumnType::Bool);
            if !number {
                return Ok(Value::Text(text.clone()));
            }
            text.parse().map(Value::Int).map_err(|_| {
                Error::usage(format!("--root {}: {column} is a number", self.given))
                    .hint("write it as reports do: instances:3")
            })
        };
        self.columns.iter().map(value).collect()
    }

    /// The keys of the rows of that name in this table, the live one or its shadow.
    fn find(
        &self,
        session: &mut Session,
        graph: &FamilyGraph,
        table: &str,
        values: &[Value],
    ) -> std::result::Result<Vec<Key>, DbError> {
        let engine = session.engine();
        let key = graph.member(&self.table).map(|m| &m.key);
        let equal = |((column, _), value): (&(String, String), &Value)| {
            format!("{} = {}", engine.quote(column), engine.literal(value))
        };
        let terms: Vec<_> = self.columns.iter().zip(values).map(equal).collect();
        session.query(&format!(
            "SELECT {} FROM {} WHERE {}",
            engine.quote_all(key.into_iter().flatten()),
            engine.quote(table),
            terms.join(" AND ")
        ))
    }
}

/// Brings the families of these rows back into the live tables, all of them in one transaction. `graph` is that of the
/// live tables.
///
/// Where something is in the way nothing moves, and it is in [`Outcome::blocked`]; [`refusal`] makes an error of that.
///
/// # Errors
///
/// Exit code 65 if there are no shadow tables, a row is not in its shadow table, or a row does not tell which row owns
/// it; 75 if the database goes away for good, 69 if it refuses or an archiver is at work in it.
pub fn restore(
    session: &mut Session,
    graph: &FamilyGraph,
    names: &[RowName],
    options: &Options,
    stop: &Stop<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    check_shadows(session.label(), graph)?;
    check_owners(session.label(), graph)?;
    let back = graph.returning();
    let work = |run: &mut Run<'_>| run.bring_back(graph, names);
    let outcome = run(session, &mut [], &back, options, stop, observer, work)?;
    let mut outcome = by_live_table(outcome, &back);
    if let Some(records) = &graph.profile.api
        && outcome.rows.contains_key(&records.root)
    {
        outcome.not_restored.clone_from(&records.tables);
    }
    Ok(outcome)
}

/// The first thing that was in the way, as an error.
pub fn refusal(outcome: &Outcome) -> Option<Error> {
    let first = outcome.blocked.first()?;
    let more = match outcome.blocked_families.values().sum::<u64>() {
        0 | 1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    };
    let path = first.path.join("  <-  ");
    let message = format!(
        "{} cannot come back: {}: {path}{more}",
        first.root, first.reason
    );
    Some(Error::data(message).hint(first.remedy.clone()))
}

/// The outcome in the names of the live tables, as people know the rows.
pub(super) fn by_live_table(mut outcome: Outcome, back: &FamilyGraph) -> Outcome {
    let live = |shadow: &str| {
        let member = back.member(shadow);
        let live = member.and_then(|m| m.shadow.clone());
        live.unwrap_or_else(|| shadow.to_owned())
    };
    let rows = std::mem::take(&mut outcome.rows);
    outcome.rows = rows.into_iter().map(|(t, n)| (live(&t), n)).collect();
    for blocked in &mut outcome.blocked {
        if let Some((table, key)) = blocked.root.split_once(':') {
            blocked.root = format!("{}:{key}", live(table));
        }
    }
    outcome
}

impl<'a> Run<'a> {
    /// One transaction for all that was named.
    fn bring_back(&mut self, graph: &FamilyGraph, names: &[RowName]) -> Result<()> {
        let roots = self.named(graph, names)?;
        let Some(((member, keys), beside)) = roots.split_first() else {
            return Ok(());
        };
        let (unindexed, gone) = (Unindexed::default(), Gone::new());
        let batch = Batch {
            sql: self.sql,
            member,
            kind: RootKind::Named,
            keys,
            beside,
            together: true,
            unindexed: &unindexed,
            probe_shadow: false,
            gone: &gone,
            budget: u64::MAX,
            oversize: true,
        };
        match self.attempt(&batch)? {
            Ok(done) => {
                self.finish(member, done)?;
            }
            Err(refusal) => {
                let root = row_name(&member.table, &keys[0]);
                let (reason, remedy) = match refusal.too_large {
                    true => ("too-large", TOO_LARGE),
                    false => (
                        "refused",
                        "mend what the database complains of and run again",
                    ),
                };
                self.outcome.block(Blocked {
                    reason: reason.into(),
                    path: vec![root.clone(), refusal.why],
                    root,
                    remedy: remedy.into(),
                });
            }
        }
        Ok(())
    }

    /// The keys of the named rows, by shadow table.
    fn named(
        &mut self,
        graph: &FamilyGraph,
        names: &[RowName],
    ) -> Result<Vec<(&'a Member, Vec<Key>)>> {
        let mut found: BTreeMap<&str, Vec<Key>> = BTreeMap::new();
        for name in names {
            let values = name.values(graph)?;
            let shadow = graph.member(&name.table).and_then(|m| m.shadow.as_deref());
            let shadow =
                shadow.ok_or_else(|| Error::internal("a row of a table without shadow"))?;
            let keys = self.reading(|session| name.find(session, graph, shadow, &values))?;
            if keys.is_empty() {
                return Err(self.not_there(graph, name, shadow, &values)?);
            }
            let all = found.entry(shadow).or_default();
            for key in keys {
                if !all.contains(&key) {
                    all.push(key);
                }
            }
        }
        let back = self.sql.graph;
        let of_table = |(shadow, keys)| Some((back.member(shadow)?, keys));
        Ok(found.into_iter().filter_map(of_table).collect())
    }

    /// Says where a row is that is not in the shadow table.
    fn not_there(
        &mut self,
        graph: &FamilyGraph,
        name: &RowName,
        shadow: &str,
        values: &[Value],
    ) -> Result<Error> {
        let live = self.reading(|session| name.find(session, graph, &name.table, values))?;
        let label = self.session.label();
        let message = format!("{} is not in {shadow} of {label}", name.given);
        Ok(Error::data(message).hint(match live.first() {
            Some(key) => format!(
                "it is live, as {}; name a row that is archived",
                row_name(&name.table, key)
            ),
            None => "it is not live either: it was never there, was purged, or is in another cell"
                .into(),
        }))
    }
}
