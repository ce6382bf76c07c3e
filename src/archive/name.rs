//! Names of rows: `instances:3`, as reports spell them and as people give them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use crate::db::{DbError, Session, Value, spell_key, split_key};
use crate::error::{Error, Result};
use crate::schema::{Column, ColumnType, FamilyGraph};

use super::forest::Key;

/// `instances:3`, or `tags:a/b` for a composite key.
pub(crate) fn row_name(table: &str, key: &[Value]) -> String {
    format!("{table}:{}", spell_key(key))
}

/// A row by which a family is named: any of its rows will do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowName {
    /// The live table.
    pub(super) table: String,
    /// Columns that tell the row, and their values as text.
    columns: Vec<(String, String)>,
    /// How it was given.
    pub(super) given: String,
    /// By which option.
    option: &'static str,
}

impl RowName {
    /// Reads `instances:3`, or `tags:a/b` for a key of two columns, as reports have it ([`spell_key`]); the shadow
    /// table's name stands for the live table's.
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
            let hint = match table.split_once('.') {
                Some((cell, table)) => format!(
                    "reports of several cells begin with the cell's name: leave '{cell}.' out, as in {table}:KEY, and give \
                     that cell's database"
                ),
                None => "name the live table that the row came from".into(),
            };
            Error::usage(format!("--root {text}: there is no table '{table}'")).hint(hint)
        })?;
        if member.shadow.is_none() {
            return Err(Error::usage(format!(
                "--root {text}: table {} has no shadow table",
                member.table
            ))
            .hint("its rows were never archived"));
        }
        if member.key.is_empty() {
            return Err(Error::usage(format!(
                "--root {text}: table {} has no key by which a row could be named",
                member.table
            ))
            .hint("name another row of its family"));
        }
        let parts = split_key(key, member.key.len());
        if parts.len() != member.key.len() || key.is_empty() {
            let columns = member.key.join("/");
            return Err(Error::usage(format!(
                "--root {text}: a key of {} is {columns}",
                member.table
            ))
            .hint(match member.key.len() {
                1 => "write the value as reports do: instances:3",
                _ => r"write the values in that order, with / between them, and \/ for a slash within one",
            }));
        }
        let name = Self {
            table: member.table.clone(),
            columns: member.key.iter().cloned().zip(parts).collect(),
            given: text.to_owned(),
            option: "--root",
        };
        name.values(graph)?;
        Ok(name)
    }

    /// The row of the table of roots that the profile's API records know by this name: an instance's uuid.
    ///
    /// # Errors
    ///
    /// Exit code 64 if the profile knows no such names, or the column is of a type that has no such value.
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
        if name.trim().is_empty() {
            return Err(Error::usage("--instance is empty").hint("give the uuid of the instance"));
        }
        let name = Self {
            table: records.root.clone(),
            columns: vec![(records.key.clone(), name.to_owned())],
            given: name.to_owned(),
            option: "--instance",
        };
        name.values(graph)?;
        Ok(name)
    }

    /// The values as the columns have them. What a column cannot hold is refused here: PostgreSQL would call it an
    /// error, and MariaDB, MySQL and SQLite would look for another value.
    pub(super) fn values(&self, graph: &FamilyGraph) -> Result<Key> {
        let table = graph.table(&self.table);
        let value = |(name, text): &(String, String)| {
            let Some(column) = table.and_then(|t| t.column(name)) else {
                return Ok(Value::Text(text.clone()));
            };
            value_of(&column.ty, text).map_err(|form| self.misfit(column, text, &form))
        };
        self.columns.iter().map(value).collect()
    }

    fn misfit(&self, column: &Column, text: &str, form: &str) -> Error {
        Error::usage(format!(
            "{} {}: {}.{} is of type {}, and '{text}' is no value of it",
            self.option, self.given, self.table, column.name, column.ty
        ))
        .hint(format!("that is {form}; write it as reports do"))
    }

    /// The keys of the rows of that name in this table, the live one or its shadow. The inner error is about a value that
    /// only the database knows not to be of its column's type.
    pub(super) fn find(
        &self,
        session: &mut Session,
        graph: &FamilyGraph,
        table: &str,
        values: &[Value],
    ) -> std::result::Result<Result<Vec<Key>>, DbError> {
        let engine = session.engine();
        let key = graph.member(&self.table).map(|m| &m.key);
        let equal = |((column, _), value): (&(String, String), &Value)| {
            format!("{} = {}", engine.quote(column), engine.literal(value))
        };
        let terms: Vec<_> = self.columns.iter().zip(values).map(equal).collect();
        let found = session.query(&format!(
            "SELECT {} FROM {} WHERE {}",
            engine.quote_all(key.into_iter().flatten()),
            engine.quote(table),
            terms.join(" AND ")
        ));
        match found {
            Err(error) if error.is_of_a_value() => Ok(Err(self.refused(graph, &error))),
            found => found.map(Ok),
        }
    }

    /// In the database's words, with the columns and the types that there are.
    fn refused(&self, graph: &FamilyGraph, error: &DbError) -> Error {
        let table = graph.table(&self.table);
        let typed = |(name, _): &(String, String)| {
            let ty = table.and_then(|t| t.column(name)).map(|c| &c.ty);
            ty.map_or_else(
                || format!("{}.{name}", self.table),
                |ty| format!("{}.{name} is of type {ty}", self.table),
            )
        };
        let columns: Vec<_> = self.columns.iter().map(typed).collect();
        Error::usage(format!(
            "{} {}: {}: {}",
            self.option,
            self.given,
            columns.join(", "),
            error.message
        ))
        .hint("write it as reports do")
    }
}

/// The value of a column of this type that the text stands for; else what stands for one.
fn value_of(ty: &ColumnType, text: &str) -> std::result::Result<Value, String> {
    let as_text = |fits: bool, form: &str| match fits {
        true => Ok(Value::Text(text.to_owned())),
        false => Err(form.to_owned()),
    };
    match ty {
        ColumnType::Bool => match text {
            "1" | "true" => Ok(Value::Bool(true)),
            "0" | "false" => Ok(Value::Bool(false)),
            _ => Err("1 or 0".into()),
        },
        ColumnType::SmallInt | ColumnType::Int | ColumnType::BigInt => text
            .parse()
            .map(Value::Int)
            .map_err(|_| "a whole number".into()),
        ColumnType::Float => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Real(number)),
            _ => Err("a number".into()),
        },
        ColumnType::Decimal(..) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
            let all_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            as_text(all_digits(whole) && all_digits(part), "a number")
        }
        ColumnType::DateTime => as_text(
            text.parse::<DateTime>().is_ok() || text.parse::<Timestamp>().is_ok(),
            "a date and time such as 2026-01-31 00:00:00",
        ),
        ColumnType::Date => as_text(text.parse::<Date>().is_ok(), "a date such as 2026-01-31"),
        ColumnType::Enum(labels) => as_text(
            labels.iter().any(|l| l == text),
            &format!("one of {}", labels.join(", ")),
        ),
        ColumnType::Blob => {
            let bytes = text.strip_prefix("0x").and_then(bytes);
            bytes
                .map(Value::Bytes)
                .ok_or_else(|| "binary, such as 0x0a1b".into())
        }
        ColumnType::Other(name) if name == "uuid" => as_text(
            is_uuid(text),
            "a uuid such as 3f1c6a0e-6c0b-4f0e-9d0e-1d1d5a7c2b11",
        ),
        ColumnType::Varchar(_)
        | ColumnType::Text
        | ColumnType::MediumText
        | ColumnType::LongText
        | ColumnType::Json
        | ColumnType::Other(_) => Ok(Value::Text(text.to_owned())),
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.bytes().all(|b| b.is_ascii_hexdigit());
    if !digits || !hex.len().is_multiple_of(2) {
        return None;
    }
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok())
        .collect()
}

/// Digits in the groups of a uuid, or without any.
fn is_uuid(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_hexdigit() { '0' } else { c })
        .collect();
    shape == "0".repeat(32) || shape == "00000000-0000-0000-0000-000000000000"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_takes_its_values_alone() {
        let takes = |ty: &str, text: &str| value_of(&ty.parse().unwrap(), text);
        let refused = [
            ("int", "abc"),
            ("int", ""),
            ("int", "3x"),
            ("int", "1.0"),
            ("bigint", "9223372036854775808"),
            ("bool", "2"),
            ("float", "nan"),
            ("decimal(5,2)", "1e5"),
            ("decimal(5,2)", "1."),
            ("datetime", "yesterday"),
            ("date", "2026-13-01"),
            ("enum('a','b')", "c"),
            ("blob", "abc"),
            ("blob", "0x123"),
            ("blob", "0xéé"),
            ("uuid", "abc"),
            ("uuid", "3f1c6a0e-6c0b-4f0e-9d0e-1d1d5a7c2b1"),
        ];
        for (ty, text) in refused {
            assert!(takes(ty, text).is_err(), "{ty}: {text}");
        }
        let taken = [
            ("int", "-3", Value::Int(-3)),
            ("bool", "true", Value::Bool(true)),
            ("float", "1.5", Value::Real(1.5)),
            ("blob", "0x0aFF", Value::Bytes(vec![10, 255])),
        ];
        for (ty, text, value) in taken {
            assert_eq!(takes(ty, text), Ok(value), "{ty}: {text}");
        }
        for (ty, text) in [
            ("decimal(5,2)", "-1.50"),
            ("datetime", "2026-01-31 00:00:00.000001"),
            ("datetime", "2026-01-31 00:00:00+00"),
            ("date", "2026-01-31"),
            ("enum('a','b')", "b"),
            ("uuid", "3f1c6a0e-6c0b-4f0e-9d0e-1d1d5a7c2b11"),
            ("varchar(36)", "abc"),
            ("inet", "abc"),
        ] {
            assert_eq!(takes(ty, text), Ok(Value::Text(text.into())), "{ty}");
        }
    }
}
