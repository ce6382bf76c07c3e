//! The writes that move a family, inside a transaction that somebody else began.

use std::collections::BTreeMap;

use crate::db::{DbError, DbErrorKind, Engine, Session};
use crate::schema::Member;

use super::Mistake;
use super::family::Family;
use super::sql::{Sql, Tuple};

/// Why a family was not written.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The database refused.
    Refused(DbError),
    /// The connection was lost at COMMIT: it may have happened.
    Ambiguous(DbError, Box<Family>),
    /// The table had other rows than were read.
    Mismatch(String),
}

impl From<DbError> for Trouble {
    fn from(error: DbError) -> Self {
        Self::Refused(error)
    }
}

/// Rows by table.
pub(super) type Counts = BTreeMap<String, u64>;

/// Copies parents first and deletes children first; the rows that were copied.
pub(super) fn write(
    session: &mut Session,
    sql: Sql<'_>,
    family: &Family,
    counted: bool,
) -> Result<Counts, Trouble> {
    let keys = family.keys();
    let tables = |order: Vec<&String>| -> Vec<_> {
        let member = |t: &String| Some((sql.graph.member(t)?, keys.get(t.as_str())?));
        order.into_iter().filter_map(member).collect()
    };
    let down = tables(sql.graph.delete_order.iter().collect());
    let mut counts = Counts::new();
    if sql.makes(Mistake::CommitPerTable) {
        for (member, keys) in down {
            counts.insert(member.table.clone(), copy(session, sql, member, keys)?);
            delete(session, sql, family, member, keys)?;
            session.commit()?;
            session.begin()?;
        }
        return Ok(counts);
    }
    for (member, keys) in tables(sql.graph.delete_order.iter().rev().collect()) {
        let copied = copy(session, sql, member, keys)?;
        counts.insert(member.table.clone(), copied);
        // A mistake of another kind would be found here and mended by trying again.
        let expected = counted && swallowed(sql).is_none();
        if expected && copied != keys.len() as u64 {
            return Err(Trouble::Mismatch(member.table.clone()));
        }
    }
    cut(session, sql, &keys)?;
    for (member, keys) in down {
        let deleted = delete(session, sql, family, member, keys)?;
        let expected = counted && !sql.makes(Mistake::RequeryPredicate);
        if expected && deleted != keys.len() as u64 {
            return Err(Trouble::Mismatch(member.table.clone()));
        }
    }
    Ok(counts)
}

fn copy(
    session: &mut Session,
    sql: Sql<'_>,
    member: &Member,
    keys: &[Tuple],
) -> Result<u64, DbError> {
    let Some(statement) = sql.copy(member, keys) else {
        return Ok(0);
    };
    let Some(swallowed) = swallowed(sql) else {
        return session.execute(&statement);
    };
    // On PostgreSQL an error ends the transaction, and whoever wants to go on takes a savepoint.
    let savepoint = sql.engine == Engine::Postgres;
    if savepoint {
        session.execute("SAVEPOINT copy")?;
    }
    match session.execute(&statement) {
        Err(error) if swallowed(&error) => {
            if savepoint {
                session.execute("ROLLBACK TO SAVEPOINT copy")?;
            }
            // It would have been right to give the whole family up.
            Ok(0)
        }
        other => other,
    }
}

/// Which errors of a copy the engine takes for none.
fn swallowed(sql: Sql<'_>) -> Option<fn(&DbError) -> bool> {
    if sql.makes(Mistake::SwallowLockTimeout) {
        return Some(|error| error.kind == DbErrorKind::Retryable);
    }
    let killed: fn(&DbError) -> bool =
        |error| matches!(error.code.as_str(), "1317" | "57014" | "SQLITE_INTERRUPT");
    sql.makes(Mistake::SwallowKill).then_some(killed)
}

/// Sets the columns of references to NULL that would keep rows in a circle from being deleted.
fn cut(
    session: &mut Session,
    sql: Sql<'_>,
    keys: &BTreeMap<&str, Vec<Tuple>>,
) -> Result<(), DbError> {
    for number in sql.graph.cuts() {
        let reference = &sql.graph.references[number];
        let parents = keys.contains_key(reference.parent.as_str());
        let children = keys.get(reference.child.as_str()).filter(|_| parents);
        let (Some(keys), Some(member)) = (children, sql.graph.member(&reference.child)) else {
            continue;
        };
        let set: Vec<_> = reference
            .child_columns
            .iter()
            .map(|c| format!("{} = NULL", sql.engine.quote(c)))
            .collect();
        session.execute(&format!(
            "UPDATE {} SET {} WHERE {}",
            sql.engine.quote(&member.table),
            set.join(", "),
            sql.among(&member.key, keys)
        ))?;
    }
    Ok(())
}

fn delete(
    session: &mut Session,
    sql: Sql<'_>,
    family: &Family,
    member: &Member,
    keys: &[Tuple],
) -> Result<u64, DbError> {
    let condition = match sql.makes(Mistake::RequeryPredicate) {
        true => of_owners(sql, family, member),
        false => None,
    };
    session.execute(&format!(
        "DELETE FROM {} WHERE {}",
        sql.engine.quote(&member.table),
        condition.unwrap_or_else(|| sql.among(&member.key, keys))
    ))
}

/// What hangs on the family's rows, whether or not it was there when they were read; `None` for a
/// table whose rows hang on nothing.
fn of_owners(sql: Sql<'_>, family: &Family, member: &Member) -> Option<String> {
    let owner = |(_, reference): (usize, &crate::schema::Reference)| {
        let owners = family.rows.iter().filter(|r| r.table == reference.parent);
        let tuples: Vec<_> = owners
            .filter_map(|r| r.tuple(&reference.parent_columns))
            .collect();
        (!tuples.is_empty()).then(|| sql.among(&reference.child_columns, &tuples))
    };
    let terms: Vec<_> = sql.graph.owners(&member.table).filter_map(owner).collect();
    (!terms.is_empty()).then(|| terms.join(" OR "))
}
