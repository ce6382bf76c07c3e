//! Remedies in SQL, for people to read before they run them.

use crate::db::Engine;
use crate::schema::Table;

use super::Subject;

impl Subject<'_> {
    /// DELETE of the rows, under an alias, for which the condition holds.
    pub fn delete(&self, table: &Table, alias: &str, condition: &str) -> String {
        let target = match self.engine {
            Engine::Mysql => format!("{alias} "),
            Engine::Sqlite | Engine::Postgres => String::new(),
        };
        let from = self.aliased(table, alias);
        format!("DELETE {target}FROM {from} WHERE {condition}")
    }

    /// UPDATE of the rows, under an alias, for which the condition holds.
    pub fn update(&self, table: &Table, alias: &str, set: &str, condition: &str) -> String {
        let table = self.aliased(table, alias);
        format!("UPDATE {table} SET {set} WHERE {condition}")
    }

    /// The statements that move rows from one table to its other half: those for which `condition`
    /// holds before the copy, and `copied` after it.
    pub fn transfer(
        &self,
        from: &Table,
        to: &Table,
        alias: &str,
        condition: &str,
        copied: &str,
    ) -> String {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in from.columns.iter().filter(|c| !c.generated) {
            let Some(target) = to.column(&column.name) else {
                continue;
            };
            names.push(self.engine.quote(&column.name));
            let value = self.engine.column(alias, &column.name);
            values.push(match (&column.native, &target.native) {
                (a, Some(b)) if a.as_ref() != Some(b) => {
                    format!("{value}::text::{b}")
                }
                _ => value,
            });
        }
        format!(
            "BEGIN; INSERT INTO {} ({}) SELECT {} FROM {} WHERE {condition}; {}; COMMIT",
            self.engine.quote(&to.name),
            names.join(", "),
            values.join(", "),
            self.aliased(from, alias),
            self.delete(from, alias, copied)
        )
    }

    /// The statement that lets a column be NULL.
    pub fn allow_null(&self, table: &Table, column: &str) -> String {
        let (name, quoted) = (self.engine.quote(&table.name), self.engine.quote(column));
        let spelled = table.column(column).map(|c| c.ty.to_string());
        match self.engine {
            Engine::Mysql => format!(
                "ALTER TABLE {name} MODIFY {quoted} {} NULL",
                spelled.unwrap_or_default()
            ),
            Engine::Postgres => format!("ALTER TABLE {name} ALTER COLUMN {quoted} DROP NOT NULL"),
            Engine::Sqlite => {
                format!("make {quoted} of {name} nullable (SQLite: by making the table anew)")
            }
        }
    }
}
