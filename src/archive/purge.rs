//! `--purge`: empties the shadow tables, family by family.
//!
//! Shadow tables have no index but their primary key, so asking them for the children of a batch
//! would read them once per batch. Instead each is read once: temporary tables with an index number
//! the roots and list, for each number, the keys of the family's rows. Batches then delete by
//! primary key. The temporary tables belong to the session and hold keys only.
//!
//! A family of which any part still is in the live tables is kept: its shadow half is the only copy
//! of what may have to be put together again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::db::{AdvisoryLock, DbError, DbErrorKind, Engine, Session};
use crate::error::Result;
use crate::schema::{FamilyGraph, Member};

use super::forest::Key;
use super::options::{Options, Stop};
use super::outcome::{Outcome, StopReason};
use super::sql::{KEYS_PER_STATEMENT, Sql};

/// Numbers of families that stay.
const KEPT: &str = "sexton_purge_kept";

/// A temporary table: the rows of one shadow table that hang on numbered roots over one chain.
struct Listed<'a> {
    member: &'a Member,
    name: String,
}

/// Rows to delete, by table.
type Doomed<'a> = BTreeMap<&'a str, (&'a Member, BTreeSet<String>, Vec<Key>)>;

/// Deletes the families in the shadow tables, whole, in transactions of about `options.max_rows`
/// rows; rows without a family go as families of their own. Families that are not wholly in the
/// shadow tables stay and are counted in [`Outcome::purge_kept`].
///
/// # Errors
///
/// Exit code 69 if another archiver is at work or the database goes away; what was purged by then
/// was purged whole.
pub fn purge(
    session: &mut Session,
    graph: &FamilyGraph,
    options: &Options,
    stop: &Stop<'_>,
    outcome: &mut Outcome,
) -> Result<()> {
    let before = session.statements();
    let lock = AdvisoryLock::acquire(session)?;
    let mut purge = Purge {
        sql: Sql {
            graph,
            engine: session.engine(),
            options,
        },
        session: &mut *session,
        stop,
        outcome: &mut *outcome,
    };
    for table in top_down(graph) {
        if let Some(member) = graph.member(table)
            && !stop.requested()
        {
            purge.roots(member)?;
        }
    }
    if stop.requested() {
        outcome.stopped_because = StopReason::Signal;
    }
    outcome.statements += session.statements() - before;
    lock.release(session)
}

/// Owners before what they own, so that a child's rows go with their root and only what no root
/// claimed is left when the child's own turn comes.
fn top_down(graph: &FamilyGraph) -> Vec<&str> {
    let mut order: Vec<&str> = graph.members.keys().map(String::as_str).collect();
    order.sort_by_key(|table| graph.chains_to(table).iter().map(Vec::len).max());
    order
}

/// The shadow table, if its rows can be told apart.
fn shadow_with_key(member: &Member) -> Option<&String> {
    member.shadow.as_ref().filter(|_| !member.key.is_empty())
}

struct Purge<'a, 's> {
    session: &'s mut Session,
    sql: Sql<'a>,
    stop: &'s Stop<'s>,
    outcome: &'s mut Outcome,
}

impl<'a> Purge<'a, '_> {
    /// Purges the families whose roots are in one shadow table.
    fn roots(&mut self, member: &'a Member) -> Result<()> {
        let Some(shadow) = shadow_with_key(member) else {
            return Ok(());
        };
        let engine = self.sql.engine;
        let count = format!("SELECT COUNT(*) FROM {}", engine.quote(shadow));
        let roots = self.session.query_count(&count)?;
        if roots == 0 {
            return Ok(());
        }
        let mut lists: Vec<Listed<'a>> = Vec::new();
        self.list(member, None, &mut lists)?;
        self.keep(member, &lists)?;
        let mut rows = 0;
        for list in &lists {
            let count = format!("SELECT COUNT(*) FROM {}", list.name);
            rows += self.session.query_count(&count)?;
        }
        let each = (rows as f64 / roots as f64).max(1.0);
        let step = ((self.sql.options.max_rows as f64 / each) as i64).max(1);
        let mut from = 0;
        while from < roots && !self.stop.requested() {
            let doomed = self.doomed(&lists, from, from + step)?;
            self.delete(&doomed)?;
            from += step;
            self.stop.sleep(self.sql.options.sleep);
        }
        let names = lists.iter().map(|l| l.name.as_str()).chain([KEPT]);
        let temporary = if engine == Engine::Mysql {
            "TEMPORARY "
        } else {
            ""
        };
        for name in names {
            self.session
                .execute(&format!("DROP {temporary}TABLE {name}"))?;
        }
        Ok(())
    }

    /// Lists the rows of a member, numbered by root, then those of its owned children.
    fn list(
        &mut self,
        member: &'a Member,
        parent: Option<(usize, &str)>,
        lists: &mut Vec<Listed<'a>>,
    ) -> Result<()> {
        let (engine, graph) = (self.sql.engine, self.sql.graph);
        let Some(shadow) = shadow_with_key(member) else {
            return Ok(());
        };
        let name = format!("sexton_purge_{}", lists.len());
        let owned: Vec<_> = graph
            .children(&member.table)
            .filter(|(_, r)| r.is_owned() && !r.is_self())
            .collect();
        let mut columns: BTreeSet<&String> = member.key.iter().collect();
        columns.extend(owned.iter().flat_map(|(_, r)| &r.parent_columns));
        let list: Vec<_> = columns.iter().map(|c| engine.column("s", c)).collect();
        let list = list.join(", ");
        let select = match parent {
            None => format!(
                "SELECT {list}, ROW_NUMBER() OVER (ORDER BY {}) AS sexton_root FROM {} s",
                self.sql.columns("s", &member.key),
                engine.quote(shadow)
            ),
            Some((reference, parent)) => format!(
                "SELECT {list}, d.sexton_root FROM {} s {} {parent} d ON {}",
                engine.quote(shadow),
                if engine == Engine::Mysql {
                    "STRAIGHT_JOIN"
                } else {
                    "JOIN"
                },
                graph.references[reference].join(engine, "s", "d")
            ),
        };
        self.session
            .execute(&format!("CREATE TEMPORARY TABLE {name} AS {select}"))?;
        self.session
            .execute(&format!("CREATE INDEX {name}_root ON {name} (sexton_root)"))?;
        lists.push(Listed {
            member,
            name: name.clone(),
        });
        // A cycle of owned references would go round for ever.
        if lists.len() > graph.members.len() {
            return Ok(());
        }
        let mut indexed: BTreeSet<&[String]> = BTreeSet::new();
        for (reference, child) in owned {
            if indexed.insert(&child.parent_columns) {
                self.session.execute(&format!(
                    "CREATE INDEX {name}_{} ON {name} ({})",
                    indexed.len(),
                    engine.quote_all(&child.parent_columns)
                ))?;
            }
            if let Some(member) = graph.member(&child.child) {
                self.list(member, Some((reference, &name)), lists)?;
            }
        }
        Ok(())
    }

    /// Notes the families of which a part is in the live tables: a row under the same key, a child
    /// that was left there, or, for a root, an owner from which it was parted without being marked
    /// deleted.
    fn keep(&mut self, root: &Member, lists: &[Listed<'a>]) -> Result<()> {
        let (engine, graph) = (self.sql.engine, self.sql.graph);
        self.session.execute(&format!(
            "CREATE TEMPORARY TABLE {KEPT} (sexton_root BIGINT NOT NULL)"
        ))?;
        let mut found = Vec::new();
        for list in lists {
            let key: Vec<_> = list
                .member
                .key
                .iter()
                .map(|c| format!("{} = {}", engine.column("l", c), engine.column("d", c)))
                .collect();
            found.push(format!(
                "{} d JOIN {} l ON {}",
                list.name,
                engine.quote(&list.member.table),
                key.join(" AND ")
            ));
            let owned = graph.children(&list.member.table);
            for (_, reference) in owned.filter(|(_, r)| r.is_owned() && !r.is_self()) {
                let child = graph.member(&reference.child);
                // What has no shadow table stays behind in any case.
                if child.is_some_and(|c| c.shadow.is_some()) {
                    found.push(format!(
                        "{} l {} {} d ON {}",
                        engine.quote(&reference.child),
                        if engine == Engine::Mysql {
                            "STRAIGHT_JOIN"
                        } else {
                            "JOIN"
                        },
                        list.name,
                        reference.join(engine, "l", "d")
                    ));
                }
            }
        }
        let explained = match &root.marker {
            Some(marker) => {
                let deleted = marker.is_deleted(engine, "s");
                format!(" WHERE NOT COALESCE({deleted}, {})", engine.boolean(false))
            }
            None => String::new(),
        };
        let mut counted_before = Vec::new();
        for (_, reference) in graph.owners(&root.table).filter(|(_, r)| !r.is_self()) {
            let (Some(shadow), Some(list)) = (&root.shadow, lists.first()) else {
                continue;
            };
            let own: Vec<_> = root
                .key
                .iter()
                .map(|c| format!("{} = {}", engine.column("s", c), engine.column("d", c)))
                .collect();
            let owner = |table: &str| {
                format!(
                    "{} d JOIN {} s ON {} JOIN {} l ON {}",
                    list.name,
                    engine.quote(shadow),
                    own.join(" AND "),
                    engine.quote(table),
                    reference.join(engine, "s", "l"),
                )
            };
            let explained = if reference.required { "" } else { &explained };
            found.push(owner(&reference.parent) + explained);
            // Owners were purged first: one that is still there was kept, and so is what it owns.
            let shadow = graph
                .member(&reference.parent)
                .and_then(|m| m.shadow.as_ref());
            counted_before.extend(shadow.map(|s| owner(s)));
        }
        let count = format!("SELECT COUNT(DISTINCT sexton_root) FROM {KEPT}");
        for rows in counted_before {
            self.keep_rows(&rows)?;
        }
        let before = self.session.query_count(&count)?;
        for rows in found {
            self.keep_rows(&rows)?;
        }
        let kept = self.session.query_count(&count)? - before;
        self.outcome.purge_kept += u64::try_from(kept).unwrap_or(0);
        self.session
            .execute(&format!("CREATE INDEX {KEPT}_root ON {KEPT} (sexton_root)"))?;
        Ok(())
    }

    fn keep_rows(&mut self, rows: &str) -> Result<()> {
        let select = format!("SELECT DISTINCT d.sexton_root FROM {rows}");
        self.session
            .execute(&format!("INSERT INTO {KEPT} {select}"))?;
        Ok(())
    }

    /// The keys of the families with those numbers.
    fn doomed(&mut self, lists: &[Listed<'a>], from: i64, to: i64) -> Result<Doomed<'a>> {
        let mut doomed = Doomed::new();
        for list in lists {
            let statement = format!(
                "SELECT {} FROM {} t WHERE t.sexton_root > {from} AND t.sexton_root <= {to} AND \
                 NOT EXISTS (SELECT 1 FROM {KEPT} k WHERE k.sexton_root = t.sexton_root)",
                self.sql.columns("t", &list.member.key),
                list.name,
            );
            let (_, seen, keys) = doomed
                .entry(list.member.table.as_str())
                .or_insert_with(|| (list.member, BTreeSet::new(), Vec::new()));
            self.session.query_each(&statement, |key| {
                // Two chains may lead to the same row.
                if seen.insert(format!("{key:?}")) {
                    keys.push(key);
                }
                true
            })?;
        }
        Ok(doomed)
    }

    /// Deletes them in one transaction; again after a deadlock or the like.
    fn delete(&mut self, doomed: &Doomed<'_>) -> Result<()> {
        for attempt in 0.. {
            match self.try_delete(doomed) {
                Ok(counts) => {
                    for (shadow, rows) in counts {
                        *self.outcome.purged.entry(shadow).or_default() += rows;
                    }
                    return Ok(());
                }
                Err(error) => {
                    drop(self.session.rollback());
                    let again = error.kind == DbErrorKind::Retryable;
                    if !again || attempt >= self.sql.options.retries {
                        return Err(error.into());
                    }
                    self.outcome.retries += 1;
                    self.stop.sleep(Duration::from_millis(20 << attempt.min(8)));
                }
            }
        }
        Ok(())
    }

    fn try_delete(&mut self, doomed: &Doomed<'_>) -> Result<Vec<(String, u64)>, DbError> {
        let mut counts = Vec::new();
        self.session.begin()?;
        for (member, _, keys) in doomed.values() {
            let Some(shadow) = &member.shadow else {
                continue;
            };
            for chunk in keys.chunks(KEYS_PER_STATEMENT) {
                let rows = self.session.execute(&format!(
                    "DELETE FROM {} WHERE {}",
                    self.sql.engine.quote(shadow),
                    self.sql.key_in("", &member.key, chunk)
                ))?;
                counts.push((shadow.clone(), rows));
            }
        }
        self.session.commit()?;
        Ok(counts)
    }
}
