//! What a check sees, and the few forms of SQL that all checks are made of.
//!
//! The forms are chosen so that no engine can fall into a nested loop over a table without an
//! index, which every shadow table is but for its primary key:
//!
//! - "is there", "is not there": an uncorrelated `IN`/`NOT IN` subquery, which SQLite and
//!   MariaDB/MySQL build once as a hash or a tree (the runner tells MariaDB/MySQL to); `EXISTS` and
//!   `NOT EXISTS` on PostgreSQL, which it turns into hash joins (it does not do so for `NOT IN`), and
//!   on MariaDB/MySQL where the columns have an index, which is looked into row by row.
//! - joins only from a child to its parent in a live table, where the referenced columns are a key,
//!   or to a shadow table by its primary key; the order is fixed on MariaDB/MySQL.

use super::Question;
use crate::db::Engine;
use crate::schema::{Column, ColumnType, FamilyGraph, Marker, Member, Reference, Table};

/// What a check sees.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The families.
    pub graph: &'a FamilyGraph,
    /// The engine to write SQL for.
    pub engine: Engine,
}

/// Some columns of a table, under an alias.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    /// The table, live or shadow.
    pub table: &'a Table,
    /// Its alias in the statement.
    pub alias: &'a str,
    /// The columns.
    pub names: &'a [String],
}

/// A live table with its shadow.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The table as a part of families.
    pub member: &'a Member,
    /// The live table.
    pub live: &'a Table,
    /// The shadow table, if there is one.
    pub shadow: Option<&'a Table>,
}

/// A reference with both its ends.
#[derive(Clone, Copy)]
pub struct Link<'a> {
    /// The reference.
    pub reference: &'a Reference,
    /// The child.
    pub child: Side<'a>,
    /// The parent.
    pub parent: Side<'a>,
}

impl<'a> Link<'a> {
    /// The child's columns in one of the child's tables.
    pub fn child_in(&self, table: &'a Table, alias: &'a str) -> Columns<'a> {
        Columns {
            table,
            alias,
            names: &self.reference.child_columns,
        }
    }

    /// The parent's columns in one of the parent's tables.
    pub fn parent_in(&self, table: &'a Table, alias: &'a str) -> Columns<'a> {
        Columns {
            table,
            alias,
            names: &self.reference.parent_columns,
        }
    }
}

impl<'a> Subject<'a> {
    /// Every live table.
    pub fn sides(&self) -> impl Iterator<Item = Side<'a>> + use<'a> {
        let subject = *self;
        let names = self.graph.members.keys();
        names.filter_map(move |name| subject.side(name))
    }

    /// A live table with its shadow.
    pub fn side(&self, table: &str) -> Option<Side<'a>> {
        let member = self.graph.member(table)?;
        Some(Side {
            member,
            live: self.graph.table(table)?,
            shadow: member.shadow.as_deref().and_then(|s| self.graph.table(s)),
        })
    }

    /// Every reference with both its ends.
    pub fn links(&self) -> impl Iterator<Item = Link<'a>> + use<'a> {
        let subject = *self;
        let references = self.graph.references.iter();
        references.filter_map(move |r| subject.link(r))
    }

    /// A reference with both its ends.
    pub fn link(&self, reference: &'a Reference) -> Option<Link<'a>> {
        Some(Link {
            reference,
            child: self.side(&reference.child)?,
            parent: self.side(&reference.parent)?,
        })
    }

    /// `table AS alias`.
    pub fn aliased(&self, table: &Table, alias: &str) -> String {
        format!("{} AS {alias}", self.engine.quote(&table.name))
    }

    /// The columns under their alias, with commas between.
    pub fn list(&self, columns: Columns<'_>) -> String {
        self.expressions(columns).join(", ")
    }

    /// The columns under their alias.
    pub fn expressions(&self, columns: Columns<'_>) -> Vec<String> {
        let names = columns.names.iter();
        names
            .map(|c| self.engine.column(columns.alias, c))
            .collect()
    }

    /// The key of a member's rows, under an alias.
    pub fn key(&self, member: &Member, alias: &str) -> Vec<String> {
        let names = member.key.iter();
        names.map(|c| self.engine.column(alias, c)).collect()
    }

    /// The age of a member's rows in one of its tables, if that has the column.
    pub fn age(&self, member: &Member, table: &Table, alias: &str) -> Option<String> {
        let age = member.age.as_ref()?;
        table.column(age)?;
        Some(self.engine.column(alias, age))
    }

    /// The question about the rows of one of a member's tables for which the condition holds.
    pub fn rows_of(
        &self,
        member: &Member,
        table: &Table,
        alias: &str,
        condition: &str,
    ) -> Question {
        let from_where = format!("FROM {} WHERE {condition}", self.aliased(table, alias));
        Question {
            select: format!("SELECT {alias}.* {from_where}"),
            key: self.key(member, alias),
            distinct: false,
            age: self.age(member, table, alias),
            from_where,
        }
    }

    /// True for a soft-deleted row.
    pub fn deleted(&self, member: &Member, alias: &str) -> Option<String> {
        let marker = member.marker.as_ref()?;
        Some(marker.is_deleted(self.engine, alias))
    }

    /// True for a row that is not soft-deleted, whose marker is NULL included.
    pub fn not_deleted(&self, marker: &Marker, alias: &str) -> String {
        let live = marker.is_live(self.engine, alias);
        match marker.is_unknown(self.engine, alias) {
            Some(unknown) => format!("({live} OR {unknown})"),
            None => live,
        }
    }

    /// True where the condition is, and false where it is not, NULL included.
    pub fn holds(&self, condition: &str) -> String {
        format!("CASE WHEN {condition} THEN 1 ELSE 0 END = 1")
    }

    /// True where the condition is not, NULL included.
    pub fn unless(&self, condition: &str) -> String {
        format!("CASE WHEN {condition} THEN 1 ELSE 0 END = 0")
    }

    /// True where all columns are set.
    pub fn set(&self, columns: Columns<'_>) -> String {
        let set = |c: String| format!("{c} IS NOT NULL");
        let all: Vec<_> = self.expressions(columns).into_iter().map(set).collect();
        all.join(" AND ")
    }

    /// True where the columns are equal pair by pair.
    pub fn equal(&self, a: Columns<'_>, b: Columns<'_>) -> String {
        let pairs = a.names.iter().zip(b.names).map(|(x, y)| {
            let cast = self.cast(a.table.column(x), b.table.column(y));
            let (x, y) = (
                self.engine.column(a.alias, x),
                self.engine.column(b.alias, y),
            );
            format!("{x}{cast} = {y}{cast}")
        });
        pairs.collect::<Vec<_>>().join(" AND ")
    }

    /// What to append to both sides of a comparison so that PostgreSQL has an operator for it.
    pub(super) fn cast(&self, a: Option<&Column>, b: Option<&Column>) -> &'static str {
        let (Some(a), Some(b), Engine::Postgres) = (a, b, self.engine) else {
            return "";
        };
        let text = |ty: &ColumnType| ty.is_text() && !matches!(ty, ColumnType::Enum(_));
        let comparable = (a.ty.is_integer() && b.ty.is_integer())
            || (text(&a.ty) && text(&b.ty))
            || (a.ty == b.ty && a.native == b.native && a.ty != ColumnType::Json);
        if comparable { "" } else { "::text" }
    }

    /// True for an outer row whose columns are among the inner ones. `when` narrows the inner rows.
    pub fn present(&self, outer: Columns<'_>, inner: Columns<'_>, when: Option<&str>) -> String {
        self.membership(outer, inner, when, false)
    }

    /// True for an outer row, its columns set, that are not among the inner ones.
    pub fn absent(&self, outer: Columns<'_>, inner: Columns<'_>, when: Option<&str>) -> String {
        self.membership(outer, inner, when, true)
    }

    /// As [`Subject::absent`], and true too where the outer columns are NULL.
    pub fn absent_or_null(
        &self,
        outer: Columns<'_>,
        inner: Columns<'_>,
        when: Option<&str>,
    ) -> String {
        let absent = self.absent(outer, inner, when);
        if self.engine == Engine::Postgres {
            return absent;
        }
        let null = |c: String| format!("{c} IS NULL");
        let mut any: Vec<_> = self.expressions(outer).into_iter().map(null).collect();
        any.push(absent);
        format!("({})", any.join(" OR "))
    }

    fn membership(
        &self,
        outer: Columns<'_>,
        inner: Columns<'_>,
        when: Option<&str>,
        negated: bool,
    ) -> String {
        let not = if negated { "NOT " } else { "" };
        let from = self.aliased(inner.table, inner.alias);
        // MariaDB and MySQL look into an index that is there rather than make a list of what is in it.
        let indexed = self.engine == Engine::Mysql && inner.table.has_index_on(inner.names);
        if self.engine == Engine::Postgres || indexed {
            let narrowed = when.map(|w| format!(" AND {w}")).unwrap_or_default();
            let equal = self.equal(inner, outer);
            return format!("{not}EXISTS (SELECT 1 FROM {from} WHERE {equal}{narrowed})");
        }
        let row = self.list(outer);
        let row = if outer.names.len() == 1 {
            row
        } else {
            format!("({row})")
        };
        // Without the NULLs, for one of them would make NOT IN true of nothing (bug 1240325). Where there can be
        // none that is not said: SQLite would copy the column rather than look into its index.
        let may_be_null = |c: &&String| inner.table.column(c).is_none_or(|c| c.nullable);
        let nullable = inner.names.iter().filter(may_be_null);
        let terms = nullable.map(|c| format!("{} IS NOT NULL", self.engine.column(inner.alias, c)));
        let terms: Vec<_> = terms.chain(when.map(str::to_owned)).collect();
        let narrowed = match terms.as_slice() {
            [] => String::new(),
            terms => format!(" WHERE {}", terms.join(" AND ")),
        };
        format!(
            "{row} {not}IN (SELECT {} FROM {from}{narrowed})",
            self.list(inner)
        )
    }

    /// A join to a table whose columns are a key there, looked up for each row so far.
    pub fn lookup(&self, from: Columns<'_>, to: Columns<'_>) -> String {
        let join = match self.engine {
            Engine::Mysql => "STRAIGHT_JOIN",
            Engine::Sqlite | Engine::Postgres => "JOIN",
        };
        let indexed = self.engine != Engine::Mysql || to.table.has_index_on(to.names);
        let table = if indexed {
            self.aliased(to.table, to.alias)
        } else {
            // A materialized table gets a key made for the join; DISTINCT keeps it from being
            // merged into the statement again. The other engines do this by themselves.
            let name = self.engine.quote(&to.table.name);
            format!("(SELECT DISTINCT * FROM {name}) AS {}", to.alias)
        };
        format!("{join} {table} ON {}", self.equal(to, from))
    }

    /// `FROM ... WHERE ...` of the child's rows in one table that point at none of the parent's in another.
    pub fn loose(&self, link: Link<'a>, child: &'a Table, parent: &'a Table) -> String {
        let child = link.child_in(child, "c");
        format!(
            "FROM {} WHERE {} AND {}",
            self.aliased(child.table, child.alias),
            self.set(child),
            self.absent(child, link.parent_in(parent, "p"), None)
        )
    }

    /// `FROM ...` of the rows (alias `l`) whose key is in the shadow table too (alias `s`).
    pub fn doubled(&self, side: Side<'a>, shadow: &'a Table) -> String {
        let columns = |table, alias| Columns {
            table,
            alias,
            names: &side.member.key,
        };
        format!(
            "FROM {} {}",
            self.aliased(side.live, "l"),
            self.lookup(columns(side.live, "l"), columns(shadow, "s"))
        )
    }

    /// True for a row whose key is in the shadow table too.
    pub fn in_shadow(&self, side: Side<'_>, shadow: &Table, alias: &str) -> String {
        let columns = |table, alias| Columns {
            table,
            alias,
            names: &side.member.key,
        };
        self.present(columns(side.live, alias), columns(shadow, "k"), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Profile, Schema};

    #[test]
    fn postgres_casts_to_text_what_it_has_no_operator_for() {
        use ColumnType::{BigInt, Bool, DateTime, Int, Json, SmallInt, Text, Varchar};
        let graph = Profile::convention().families(&Schema::default()).unwrap();
        let labels = || ColumnType::Enum(vec!["x".into()]);
        let column = |ty: &ColumnType, native: Option<&str>| Column {
            name: "c".into(),
            ty: ty.clone(),
            nullable: true,
            default: None,
            auto_increment: false,
            generated: false,
            native: native.map(str::to_owned),
            zoned: false,
        };
        for (a, b, cast) in [
            ((Int, None), (BigInt, None), ""),
            ((SmallInt, None), (SmallInt, None), ""),
            ((Varchar(36), None), (Text, None), ""),
            ((DateTime, None), (DateTime, None), ""),
            ((labels(), Some("a")), (labels(), Some("a")), ""),
            ((labels(), Some("a")), (labels(), Some("b")), "::text"),
            ((labels(), Some("a")), (Text, None), "::text"),
            ((Int, None), (Text, None), "::text"),
            ((Int, None), (Bool, None), "::text"),
            ((DateTime, None), (Bool, None), "::text"),
            ((Json, None), (Json, None), "::text"),
            ((Json, None), (Text, None), "::text"),
        ] {
            let (a, b) = (column(&a.0, a.1), column(&b.0, b.1));
            let of = |engine| {
                let graph = &graph;
                let subject = Subject { graph, engine };
                [
                    subject.cast(Some(&a), Some(&b)),
                    subject.cast(Some(&b), Some(&a)),
                ]
            };
            assert_eq!(of(Engine::Postgres), [cast; 2], "{} and {}", a.ty, b.ty);
            assert_eq!([of(Engine::Mysql), of(Engine::Sqlite)], [[""; 2]; 2]);
        }
    }
}
