//! `--purge`: empties the shadow tables, family by family.
//!
//! Shadow tables have no index but their primary key, so asking them for the children of a batch
//! would read them once per batch. Instead each is read once: temporary tables with an index number
//! the roots and list, for each number, the keys of the family's rows. Batches then delete by
//! primary key. The temporary tables belong to the session and hold keys only.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::{Engine, Session};
use crate::error::Result;
use crate::schema::{FamilyGraph, Member};

use super::forest::Key;
use super::options::{Options, Stop};
use super::outcome::{Outcome, StopReason};
use super::sql::{KEYS_PER_STATEMENT, Sql};

/// A temporary table: the rows of one shadow table that hang on numbered roots over one chain.
struct Listed<'a> {
    member: &'a Member,
    name: String,
}

/// Deletes all families from the shadow tables, whole, in transactions of about
/// `options.max_rows` rows; rows without a family go as families of their own.
pub fn purge(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    outcome: &mut Outcome,
) -> Result<()> {
    let sql = Sql {
        graph,
        engine: session.engine(),
        options,
    };
    for table in top_down(graph) {
        let Some(member) = graph.member(table) else {
            continue;
        };
        let purgeable = member.shadow.is_some() && !member.key.is_empty();
        if stop.requested() {
            outcome.stopped_because = StopReason::Signal;
            return Ok(());
        }
        if purgeable {
            purge_roots(session, sql, member, stop, outcome)?;
        }
    }
    Ok(())
}

/// Owners before what they own, so that a child's rows go with their root and only what no root
/// claimed is left when the child's own turn comes.
fn top_down(graph: &FamilyGraph) -> Vec<&str> {
    let mut order: Vec<&str> = Vec::new();
    let mut left: BTreeSet<&str> = graph.members.keys().map(String::as_str).collect();
    while !left.is_empty() {
        let free = |t: &&str| {
            !graph
                .owners(t)
                .any(|(_, r)| !r.is_self() && left.contains(r.parent.as_str()))
        };
        let mut next: Vec<&str> = left.iter().copied().filter(|t| free(t)).collect();
        if next.is_empty() {
            next = left.iter().copied().collect();
        }
        left.retain(|t| !next.contains(t));
        order.extend(next);
    }
    order
}

fn purge_roots(
    session: &mut Session,
    sql: Sql<'_>,
    member: &Member,
    stop: &Stop<'_>,
    outcome: &mut Outcome,
) -> Result<()> {
    let Some(shadow) = &member.shadow else {
        return Ok(());
    };
    let count = format!("SELECT COUNT(*) FROM {}", sql.engine.quote(shadow));
    let roots = session.query_count(&count)?;
    if roots == 0 {
        return Ok(());
    }
    let mut lists: Vec<Listed<'_>> = Vec::new();
    list_family(session, sql, member, None, &mut lists)?;
    let mut sizes = 0;
    for list in &lists {
        sizes += session.query_count(&format!("SELECT COUNT(*) FROM {}", list.name))?;
    }
    let each = (sizes as f64 / roots as f64).max(1.0);
    let step = ((sql.options.max_rows as f64 / each) as i64).max(1);
    let mut from = 0;
    while from < roots && !stop.requested() {
        let mut keys: BTreeMap<&str, (&Member, BTreeSet<String>, Vec<Key>)> = BTreeMap::new();
        for list in &lists {
            let statement = format!(
                "SELECT {} FROM {} t WHERE sexton_root > {from} AND sexton_root <= {}",
                sql.columns("t", &list.member.key),
                list.name,
                from + step
            );
            let entry = keys
                .entry(list.member.table.as_str())
                .or_insert_with(|| (list.member, BTreeSet::new(), Vec::new()));
            session.query_each(&statement, |key| {
                // Two chains may lead to the same row.
                if entry.1.insert(format!("{key:?}")) {
                    entry.2.push(key);
                }
                true
            })?;
        }
        session.begin()?;
        for (member, _, keys) in keys.values() {
            let Some(shadow) = &member.shadow else {
                continue;
            };
            for chunk in keys.chunks(KEYS_PER_STATEMENT) {
                let statement = format!(
                    "DELETE FROM {} WHERE {}",
                    sql.engine.quote(shadow),
                    sql.key_in("", &member.key, chunk)
                );
                match session.execute(&statement) {
                    Ok(rows) => *outcome.purged.entry(shadow.clone()).or_default() += rows,
                    Err(error) => {
                        drop(session.rollback());
                        return Err(error.into());
                    }
                }
            }
        }
        session.commit()?;
        from += step;
        stop.sleep(sql.options.sleep);
    }
    for list in lists {
        session.execute(&format!(
            "DROP {}TABLE {}",
            temporary(sql.engine),
            list.name
        ))?;
    }
    if stop.requested() {
        outcome.stopped_because = StopReason::Signal;
    }
    Ok(())
}

/// Lists the rows of a member, numbered by root, then those of its owned children.
fn list_family<'a>(
    session: &mut Session,
    sql: Sql<'a>,
    member: &'a Member,
    parent: Option<(usize, &str)>,
    lists: &mut Vec<Listed<'a>>,
) -> Result<()> {
    let Some(shadow) = &member.shadow else {
        return Ok(());
    };
    let engine = sql.engine;
    let name = format!("sexton_purge_{}", lists.len());
    let owned: Vec<_> = sql
        .graph
        .children(&member.table)
        .filter(|(_, r)| r.is_owned() && !r.is_self())
        .collect();
    let mut columns: BTreeSet<&String> = member.key.iter().collect();
    columns.extend(owned.iter().flat_map(|(_, r)| &r.parent_columns));
    let list: Vec<_> = columns.iter().map(|c| engine.column("s", c)).collect();
    let select = match parent {
        None => format!(
            "SELECT {}, ROW_NUMBER() OVER (ORDER BY {}) AS sexton_root FROM {} s",
            list.join(", "),
            sql.columns("s", &member.key),
            engine.quote(shadow)
        ),
        Some((reference, parent)) => format!(
            "SELECT {}, d.sexton_root FROM {} s {} {parent} d ON {}",
            list.join(", "),
            engine.quote(shadow),
            if engine == Engine::Mysql {
                "STRAIGHT_JOIN"
            } else {
                "JOIN"
            },
            sql.graph.references[reference].join(engine, "s", "d")
        ),
    };
    session.execute(&format!("CREATE TEMPORARY TABLE {name} AS {select}"))?;
    session.execute(&format!("CREATE INDEX {name}_root ON {name} (sexton_root)"))?;
    lists.push(Listed {
        member,
        name: name.clone(),
    });
    // A chain of owned references never comes back to a table it has passed.
    if lists.len() > sql.graph.members.len() {
        return Ok(());
    }
    for (number, (reference, child)) in owned.into_iter().enumerate() {
        session.execute(&format!(
            "CREATE INDEX {name}_{number} ON {name} ({})",
            engine.quote_all(&child.parent_columns)
        ))?;
        if let Some(member) = sql.graph.member(&child.child) {
            list_family(session, sql, member, Some((reference, &name)), lists)?;
        }
    }
    Ok(())
}

fn temporary(engine: Engine) -> &'static str {
    if engine == Engine::Mysql {
        "TEMPORARY "
    } else {
        ""
    }
}
