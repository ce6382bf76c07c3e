//! The writes of one transaction, as data. Pure.
//!
//! Copies go parents first, cuts and deletes children first; where PostgreSQL moves rows in one statement, children
//! first as well. Rows that come back into tables where they refer to each other are copied without the columns of a
//! cut, which are filled in when all are there. Each step carries the number of rows
//! that it must touch; another number rolls the transaction back (invariant 2).

use std::collections::{BTreeMap, BTreeSet};

use crate::db::Engine;
use crate::schema::{ColumnType, Member};

use super::forest::{Family, Forest, Key};
use super::sql::Sql;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// INSERT .. SELECT into the shadow table.
    Copy,
    /// Sets a child's columns to NULL, so that rows which refer to each other can be deleted.
    Cut,
    /// Fills in a child's columns that were left out of its copy, for the same reason.
    Mend,
    /// DELETE of what was copied, or exported.
    Delete,
    /// DELETE whose rows go into the shadow table, in one statement.
    Move,
}

/// One statement of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) action: Action,
    /// The live table.
    pub(super) table: String,
    pub(super) sql: String,
    /// Rows it must touch; `None` for a cut and for what mends one.
    pub(super) expect: Option<u64>,
}

/// Keys by table, in the order of their rows; `drop` says which kind.
pub(super) fn keys_by_table<'f>(
    forest: &'f Forest,
    families: &[Family],
    drop: bool,
) -> BTreeMap<&'f str, Vec<Key>> {
    let mut keys: BTreeMap<&str, Vec<Key>> = BTreeMap::new();
    for index in families.iter().flat_map(|f| &f.rows) {
        let row = forest.row(*index);
        if row.drop == drop {
            keys.entry(row.table.as_str())
                .or_default()
                .push(row.key.clone());
        }
    }
    keys
}

/// The writes that move these families.
pub(super) fn steps(sql: Sql<'_>, forest: &Forest, families: &[Family]) -> Vec<Step> {
    let moved = keys_by_table(forest, families, false);
    let dropped = keys_by_table(forest, families, true);
    let order = &sql.graph.delete_order;
    let cuts = cuts(sql, &moved);
    let mut steps = Vec::new();
    for table in order.iter().rev().filter(|t| !in_one_step(sql, t)) {
        let (Some(keys), Some(member)) = (moved.get(table.as_str()), sql.graph.member(table))
        else {
            continue;
        };
        let later = match sql.graph.returns {
            true => cuts.get(table.as_str()).cloned().unwrap_or_default(),
            false => BTreeSet::new(),
        };
        for chunk in &sql.pieces(keys) {
            steps.extend(copy(sql, member, chunk, &later));
        }
    }
    for (table, columns) in &cuts {
        let (Some(keys), Some(member)) = (moved.get(table), sql.graph.member(table)) else {
            continue;
        };
        for chunk in &sql.pieces(keys) {
            match sql.graph.returns {
                true => steps.extend(mend(sql, member, chunk, columns)),
                false => steps.push(cut(sql, member, chunk, columns)),
            }
        }
    }
    for table in order {
        let Some(member) = sql.graph.member(table) else {
            continue;
        };
        for (keys, to_shadow) in [(&dropped, false), (&moved, true)] {
            let Some(keys) = keys.get(table.as_str()) else {
                continue;
            };
            for chunk in &sql.pieces(keys) {
                match to_shadow && in_one_step(sql, table) {
                    true => steps.extend(move_rows(sql, member, chunk)),
                    false => steps.push(delete(sql, member, chunk)),
                }
            }
        }
    }
    steps
}

/// The columns by which rows of these tables refer to each other in a way that no order of them can honour.
fn cuts<'a>(
    sql: Sql<'a>,
    moved: &BTreeMap<&str, Vec<Key>>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut cuts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for cut in sql.graph.cuts() {
        let reference = &sql.graph.references[cut];
        let both = [&reference.parent, &reference.child];
        if both.iter().all(|table| moved.contains_key(table.as_str())) {
            let columns = reference.child_columns.iter().map(String::as_str);
            cuts.entry(&reference.child).or_default().extend(columns);
        }
    }
    cuts
}

fn cut(sql: Sql<'_>, member: &Member, keys: &[Key], columns: &BTreeSet<&str>) -> Step {
    let set: Vec<_> = columns
        .iter()
        .map(|c| format!("{} = NULL", sql.engine.quote(c)))
        .collect();
    Step {
        action: Action::Cut,
        table: member.table.clone(),
        sql: format!(
            "UPDATE {} SET {} WHERE {}",
            sql.engine.quote(&member.table),
            set.join(", "),
            sql.key_in("", &member.key, keys)
        ),
        expect: None,
    }
}

fn mend(sql: Sql<'_>, member: &Member, keys: &[Key], columns: &BTreeSet<&str>) -> Option<Step> {
    let (from, to) = (&member.table, member.shadow.as_ref()?);
    let same: Vec<_> = member
        .key
        .iter()
        .map(|c| {
            let (table, column) = (sql.engine.quote(to), sql.engine.quote(c));
            format!("{} = {table}.{column}", sql.engine.column("s", c))
        })
        .collect();
    let set: Vec<_> = columns
        .iter()
        .map(|c| {
            format!(
                "{} = (SELECT {} FROM {} s WHERE {})",
                sql.engine.quote(c),
                sql.engine.column("s", c),
                sql.engine.quote(from),
                same.join(" AND ")
            )
        })
        .collect();
    Some(Step {
        action: Action::Mend,
        table: from.clone(),
        sql: format!(
            "UPDATE {} SET {} WHERE {}",
            sql.engine.quote(to),
            set.join(", "),
            sql.key_in("", &member.key, keys)
        ),
        expect: None,
    })
}

/// Whether rows of the table can be copied at the moment when they are deleted: PostgreSQL can, where nothing that
/// goes before them changes them (a cut, or ON DELETE SET NULL of a parent that cannot go after its child), and
/// where no shadow table asks for parents first.
fn in_one_step(sql: Sql<'_>, table: &str) -> bool {
    let graph = sql.graph;
    let shadows = || graph.members.values().filter_map(|m| m.shadow.as_ref());
    let place = |table: &str| graph.delete_order.iter().position(|t| t == table);
    let mut owners = graph
        .references
        .iter()
        .filter(|r| r.child == table && r.declared);
    sql.engine == Engine::Postgres
        && !graph.deletes_in_place
        && owners.all(|r| place(table) < place(&r.parent))
        && shadows().all(|shadow| {
            graph
                .table(shadow)
                .is_none_or(|t| t.foreign_keys.is_empty())
        })
}

fn move_rows(sql: Sql<'_>, member: &Member, keys: &[Key]) -> Option<Step> {
    let shadow = member.shadow.as_ref()?;
    let (names, values) = copied_columns(sql, member, &BTreeSet::new())?;
    Some(Step {
        action: Action::Move,
        table: member.table.clone(),
        sql: format!(
            "WITH gone AS (DELETE FROM {} WHERE {} RETURNING {}) INSERT INTO {} ({names}) SELECT {values} FROM gone",
            sql.engine.quote(&member.table),
            sql.key_in("", &member.key, keys),
            names,
            sql.engine.quote(shadow),
        ),
        expect: Some(keys.len() as u64),
    })
}

/// `later` are columns that are left NULL for now.
fn copy(sql: Sql<'_>, member: &Member, keys: &[Key], later: &BTreeSet<&str>) -> Option<Step> {
    let shadow = member.shadow.as_ref()?;
    let (names, values) = copied_columns(sql, member, later)?;
    Some(Step {
        action: Action::Copy,
        table: member.table.clone(),
        sql: format!(
            "INSERT INTO {} ({names}) SELECT {values} FROM {}{} WHERE {}",
            sql.engine.quote(shadow),
            sql.engine.quote(&member.table),
            sql.by_index(&member.table, &member.key),
            sql.key_in("", &member.key, keys)
        ),
        expect: Some(keys.len() as u64),
    })
}

fn delete(sql: Sql<'_>, member: &Member, keys: &[Key]) -> Step {
    Step {
        action: Action::Delete,
        table: member.table.clone(),
        sql: format!(
            "DELETE FROM {} WHERE {}",
            sql.engine.quote(&member.table),
            sql.key_in("", &member.key, keys)
        ),
        expect: Some(keys.len() as u64),
    }
}

/// Every column of the live table by name (bug 1431571: the order differs between a table and its
/// shadow), and the expression that copies it; NULL for those of `later`.
fn copied_columns(
    sql: Sql<'_>,
    member: &Member,
    later: &BTreeSet<&str>,
) -> Option<(String, String)> {
    let live = sql.graph.table(&member.table)?;
    let shadow = sql.graph.table(member.shadow.as_ref()?)?;
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for column in live.columns.iter().filter(|c| !c.generated) {
        let Some(copy) = shadow.column(&column.name).filter(|c| !c.generated) else {
            continue;
        };
        let name = sql.engine.quote(&column.name);
        // PostgreSQL gives every table's enum a type of its own and never casts between two.
        let own_type =
            matches!(column.ty, ColumnType::Enum(_)) || matches!(copy.ty, ColumnType::Enum(_));
        values.push(match &copy.native {
            _ if later.contains(column.name.as_str()) => "NULL".into(),
            Some(native)
                if sql.engine == Engine::Postgres && own_type && column.native != copy.native =>
            {
                format!("{name}::text::{native}")
            }
            _ => name.clone(),
        });
        names.push(name);
    }
    Some((names.join(", "), values.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Options;
    use crate::prove::catalogue;

    /// The tables of a world whose rows are moved in one statement.
    fn moved_at_once(world: &str, engine: Engine) -> Vec<String> {
        let graph = catalogue::world(world).unwrap().graph(engine).unwrap();
        let options = Options::default();
        let sql = Sql {
            graph: &graph,
            engine,
            options: &options,
        };
        let tables = graph.members.keys().filter(|t| in_one_step(sql, t));
        tables.cloned().collect()
    }

    /// A row that a cut changes before it goes must have been copied before that.
    #[test]
    fn a_row_is_moved_at_once_where_nothing_changes_it_before() {
        let all = catalogue::world("chain")
            .unwrap()
            .graph(Engine::Postgres)
            .unwrap();
        let all: Vec<_> = all.members.keys().cloned().collect();
        assert_eq!(moved_at_once("chain", Engine::Postgres), all);
        for engine in [Engine::Sqlite, Engine::Mysql] {
            assert!(moved_at_once("chain", engine).is_empty());
        }
        for world in ["cycle", "self-reference"] {
            let graph = catalogue::world(world)
                .unwrap()
                .graph(Engine::Postgres)
                .unwrap();
            let cut: Vec<_> = graph
                .cuts()
                .iter()
                .map(|i| graph.references[*i].child.clone())
                .collect();
            assert!(!cut.is_empty(), "{world}");
            let moved = moved_at_once(world, Engine::Postgres);
            assert!(
                cut.iter().all(|table| !moved.contains(table)),
                "{world}: {cut:?}, {moved:?}"
            );
        }
    }

    #[test]
    fn rows_whose_shadow_tables_ask_for_parents_first_are_copied_before() {
        let mut graph = catalogue::world("chain")
            .unwrap()
            .graph(Engine::Postgres)
            .unwrap();
        let child = graph.references[0].child.clone();
        let shadow = graph.member(&child).unwrap().shadow.clone().unwrap();
        let key = graph.table(&child).unwrap().foreign_keys.clone();
        assert!(!key.is_empty());
        graph.schema.tables.get_mut(&shadow).unwrap().foreign_keys = key;
        let options = Options::default();
        let sql = Sql {
            graph: &graph,
            engine: Engine::Postgres,
            options: &options,
        };
        assert!(graph.members.keys().all(|t| !in_one_step(sql, t)));
    }
}
