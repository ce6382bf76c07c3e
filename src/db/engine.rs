//! The three database engines and how they spell identifiers and literals.

use std::fmt;

use super::Value;

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite 3, embedded.
    Sqlite,
    /// MariaDB or MySQL. Sessions run with `NO_BACKSLASH_ESCAPES`, strict mode and
    /// `NO_AUTO_VALUE_ON_ZERO`.
    Mysql,
    /// PostgreSQL. Sessions run with `standard_conforming_strings = on`.
    Postgres,
}

impl Engine {
    /// The identifier in this engine's quotes.
    pub fn quote(self, identifier: &str) -> String {
        match self {
            Self::Mysql => format!("`{}`", identifier.replace('`', "``")),
            Self::Sqlite | Self::Postgres => format!("\"{}\"", identifier.replace('"', "\"\"")),
        }
    }

    /// Several identifiers, quoted, with commas between.
    pub fn quote_all<'a>(self, identifiers: impl IntoIterator<Item = &'a String>) -> String {
        let quoted: Vec<_> = identifiers.into_iter().map(|i| self.quote(i)).collect();
        quoted.join(", ")
    }

    /// `alias.column`, the column quoted.
    pub fn column(self, alias: &str, column: &str) -> String {
        format!("{alias}.{}", self.quote(column))
    }

    /// The value as a literal of this engine.
    pub fn literal(self, value: &Value) -> String {
        match value {
            Value::Null => "NULL".into(),
            Value::Int(i) => i.to_string(),
            Value::Real(r) => format!("{r:?}"),
            Value::Bool(b) => match self {
                Self::Postgres => if *b { "TRUE" } else { "FALSE" }.into(),
                Self::Sqlite | Self::Mysql => if *b { "1" } else { "0" }.into(),
            },
            Value::Text(s) if s.contains('\0') && self != Self::Postgres => {
                format!("CAST(X'{}' AS {})", hex(s.as_bytes()), self.text_type())
            }
            Value::Text(s) => format!("'{}'", s.replace('\'', "''")),
            Value::Bytes(b) => match self {
                Self::Postgres => format!("'\\x{}'::bytea", hex(b)),
                Self::Sqlite | Self::Mysql => format!("X'{}'", hex(b)),
            },
        }
    }

    /// A value as a constant for a file: on one line, and the same whatever a session that reads it takes a
    /// backslash for.
    pub fn portable_literal(self, value: &Value) -> String {
        match value {
            Value::Text(s) if s.contains(|c: char| c == '\\' || c.is_control()) => {
                let hex = hex(s.as_bytes());
                match self {
                    Self::Mysql => format!("CONVERT(X'{hex}' USING utf8mb4)"),
                    Self::Sqlite => format!("CAST(X'{hex}' AS TEXT)"),
                    // Of no type yet, as it may be for JSON or an enum.
                    Self::Postgres => format!("E'{}'", escaped(s)),
                }
            }
            // The bytes of a backslash, too.
            Value::Bytes(b) if self == Self::Postgres => format!("decode('{}', 'hex')", hex(b)),
            other => self.literal(other),
        }
    }

    /// Now, for a column of dates in UTC, whatever the zone of the session; for one that holds moments (`zoned`) the
    /// moment itself.
    pub fn utc_now(self, zoned: bool) -> &'static str {
        match (self, zoned) {
            // It is UTC there.
            (Self::Sqlite, _) | (Self::Mysql, true) => "CURRENT_TIMESTAMP",
            (Self::Mysql, false) => "UTC_TIMESTAMP()",
            (Self::Postgres, true) => "now()",
            (Self::Postgres, false) => "(now() AT TIME ZONE 'UTC')",
        }
    }

    /// A boolean constant.
    pub fn boolean(self, value: bool) -> &'static str {
        match (self, value) {
            (Self::Postgres, true) => "TRUE",
            (Self::Postgres, false) => "FALSE",
            (_, true) => "1",
            (_, false) => "0",
        }
    }

    /// The type name to CAST to for text.
    pub fn text_type(self) -> &'static str {
        match self {
            Self::Mysql => "CHAR",
            Self::Sqlite | Self::Postgres => "TEXT",
        }
    }

    /// `a` equals `b`, where two NULLs are equal.
    pub fn null_safe_equal(self, a: &str, b: &str) -> String {
        match self {
            Self::Sqlite => format!("{a} IS {b}"),
            Self::Mysql => format!("{a} <=> {b}"),
            Self::Postgres => format!("{a} IS NOT DISTINCT FROM {b}"),
        }
    }

    /// The suffix that locks the selected rows for the rest of the transaction; empty on SQLite,
    /// where the transaction holds the only write lock there is.
    pub fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Mysql | Self::Postgres => " FOR UPDATE",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Mysql => "MariaDB/MySQL",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// For a string of PostgreSQL with escapes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("''"),
            c if c.is_control() => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
