//! The few forms of SQL that a textbook engine needs.

use std::collections::BTreeSet;

use crate::db::{Engine, Value};
use crate::schema::{ColumnType, FamilyGraph, Member, Reference};

use super::Mistake;

/// Values of some columns of one row.
pub(super) type Tuple = Vec<Value>;

/// Builds statements.
#[derive(Clone, Copy)]
pub(super) struct Sql<'a> {
    pub(super) graph: &'a FamilyGraph,
    pub(super) engine: Engine,
    pub(super) mistake: Option<Mistake>,
}

impl Sql<'_> {
    /// Whether the engine makes this mistake.
    pub(super) fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// That a row is marked deleted.
    pub(super) fn marked(&self, member: &Member, alias: &str) -> String {
        if self.makes(Mistake::LiveRows) && self.forgotten() == Some(&member.table) {
            return "1 = 1".into();
        }
        match &member.marker {
            Some(marker) => marker.is_deleted(self.engine, alias),
            None => "1 = 0".into(),
        }
    }

    /// The table in which [`Mistake::LiveRows`] forgets the marker: a child that owns nothing.
    fn forgotten(&self) -> Option<&String> {
        let owned = |t: &&String| self.graph.owners(t).any(|(_, r)| !r.is_self());
        let shadowed = |t: &&String| self.graph.member(t).is_some_and(|m| m.shadow.is_some());
        let mut order = self.graph.delete_order.iter();
        order.find(|t| owned(t) && shadowed(t))
    }

    /// Keys of marked rows that no marked row owns, in order; the others come with their owner.
    pub(super) fn roots(&self, member: &Member, page: Option<(u64, u64)>) -> String {
        let mut terms = vec![self.marked(member, "t")];
        for (number, owner) in self.graph.owners(&member.table) {
            // Rows that own each other would wait for each other.
            if self.graph.closes_owned_cycle(owner) {
                continue;
            }
            if let Some(parent) = self.graph.member(&owner.parent) {
                let p = format!("p{number}");
                terms.push(format!(
                    "NOT EXISTS (SELECT 1 FROM {} {p} WHERE {} AND {})",
                    self.engine.quote(&owner.parent),
                    owner.join(self.engine, "t", &p),
                    self.marked(parent, &p),
                ));
            }
        }
        let key: Vec<_> = member
            .key
            .iter()
            .map(|c| self.engine.column("t", c))
            .collect();
        let key = key.join(", ");
        let page = page.map_or_else(String::new, |(size, offset)| {
            format!(" LIMIT {size} OFFSET {offset}")
        });
        format!(
            "SELECT {key} FROM {} t WHERE {} ORDER BY {key}{page}",
            self.engine.quote(&member.table),
            terms.join(" AND "),
        )
    }

    /// Keys of children whose parent lies in the shadow table alone; `None` where a foreign key keeps
    /// that from happening.
    pub(super) fn stragglers(&self, reference: &Reference) -> Option<String> {
        let child = self.graph.member(&reference.child)?;
        let parent = self.graph.member(&reference.parent)?;
        let shadow = parent.shadow.as_ref()?;
        let concerned = reference.is_owned() && !reference.declared && child.obstacle.is_none();
        let key: Vec<_> = child
            .key
            .iter()
            .map(|c| self.engine.column("c", c))
            .collect();
        let key = key.join(", ");
        concerned.then(|| {
            format!(
                "SELECT {key} FROM {} c WHERE EXISTS (SELECT 1 FROM {} s WHERE {}) AND NOT EXISTS \
                 (SELECT 1 FROM {} p WHERE {}) ORDER BY {key}",
                self.engine.quote(&reference.child),
                self.engine.quote(shadow),
                reference.join(self.engine, "c", "s"),
                self.engine.quote(&reference.parent),
                reference.join(self.engine, "c", "p"),
            )
        })
    }

    /// The columns that tell what a row is and how it hangs on others: its key, and what references
    /// are made of.
    pub(super) fn telling(&self, member: &Member) -> Vec<String> {
        let mut columns = member.key.clone();
        let mut seen: BTreeSet<_> = columns.iter().cloned().collect();
        for reference in &self.graph.references {
            let mut sides = Vec::new();
            if reference.child == member.table {
                sides.extend(&reference.child_columns);
            }
            if reference.parent == member.table {
                sides.extend(&reference.parent_columns);
            }
            columns.extend(
                sides
                    .into_iter()
                    .filter(|c| seen.insert((*c).clone()))
                    .cloned(),
            );
        }
        columns
    }

    /// Rows by values of these columns: what [`Self::telling`] names, then whether they are marked.
    pub(super) fn rows(&self, member: &Member, columns: &[String], tuples: &[Tuple]) -> String {
        // Who does not copy by key has no use for locks either.
        let lock = match self.makes(Mistake::RequeryPredicate) {
            true => "",
            false => self.engine.for_update(),
        };
        let order = match member.key.is_empty() {
            true => String::new(),
            false => format!(" ORDER BY {}", self.engine.quote_all(&member.key)),
        };
        format!(
            "SELECT {}, CASE WHEN {} THEN 1 ELSE 0 END FROM {} WHERE {}{order}{lock}",
            self.engine.quote_all(&self.telling(member)),
            self.marked(member, ""),
            self.engine.quote(&member.table),
            self.among(columns, tuples),
        )
    }

    /// `id IN (1, 2)`, or the same with row values.
    pub(super) fn among(&self, columns: &[String], tuples: &[Tuple]) -> String {
        let literals = |tuple: &Tuple| -> Vec<String> {
            tuple.iter().map(|v| self.engine.literal(v)).collect()
        };
        if let [column] = columns {
            let list: Vec<_> = tuples.iter().flat_map(literals).collect();
            return format!("{} IN ({})", self.engine.quote(column), list.join(", "));
        }
        let list: Vec<_> = tuples
            .iter()
            .map(|t| format!("({})", literals(t).join(", ")))
            .collect();
        // SQLite takes a list of row values only as a VALUES clause.
        let values = match self.engine {
            Engine::Sqlite => "VALUES ",
            Engine::Mysql | Engine::Postgres => "",
        };
        format!(
            "({}) IN ({values}{})",
            self.engine.quote_all(columns),
            list.join(", ")
        )
    }

    /// The copy into the shadow table, column by column; `None` without one.
    pub(super) fn copy(&self, member: &Member, keys: &[Tuple]) -> Option<String> {
        let shadow = self.graph.table(member.shadow.as_ref()?)?;
        let live = self.graph.table(&member.table)?;
        let unknown = self.unknown(member);
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in live.columns.iter().filter(|c| !c.generated) {
            let there = shadow.column(&column.name).filter(|c| !c.generated);
            let Some(copy) = there.filter(|c| unknown != Some(&c.name)) else {
                continue;
            };
            let name = self.engine.quote(&column.name);
            // PostgreSQL gives every table's enum a type of its own and never casts between two.
            let is_enum = matches!(column.ty, ColumnType::Enum(_));
            values.push(match &copy.native {
                Some(native) if is_enum && column.native != copy.native => {
                    format!("{name}::text::{native}")
                }
                _ => name.clone(),
            });
            names.push(name);
        }
        Some(format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} WHERE {}",
            self.engine.quote(&shadow.name),
            names.join(", "),
            values.join(", "),
            self.engine.quote(&member.table),
            self.among(&member.key, keys),
        ))
    }

    /// The column that [`Mistake::NullColumns`] does not know: the last one that may be NULL and
    /// that neither the marker nor a reference uses.
    fn unknown(&self, member: &Member) -> Option<&String> {
        if !self.makes(Mistake::NullColumns) {
            return None;
        }
        let telling = self.telling(member);
        let marker = member.marker.as_ref().map(|m| &m.column);
        let table = self.graph.table(&member.table)?;
        let free = |c: &&String| !telling.contains(*c) && marker != Some(*c);
        let nullable = table.columns.iter().filter(|c| c.nullable);
        nullable.map(|c| &c.name).rfind(free)
    }
}
