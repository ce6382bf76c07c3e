//! One value of a row: keys, counts, dates. Row data as such never leaves the database.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value as the session reads it.
///
/// Integers come as [`Value::Int`] (SQLite booleans and MySQL's TINYINT(1) too), PostgreSQL's
/// booleans as [`Value::Bool`]; dates, decimals, enums, JSON and the like as [`Value::Text`] in the
/// engine's own spelling. In JSON a value is the plain value, binary data a list of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// Any integer that fits 64 signed bits; larger ones come as text.
    Int(i64),
    /// Floating point.
    Real(f64),
    /// PostgreSQL boolean.
    Bool(bool),
    /// Character data, dates, decimals.
    Text(String),
    /// Binary data.
    Bytes(Vec<u8>),
}

impl Value {
    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The integer, if it is one (booleans count as 0 and 1, numeric text is read).
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(*i),
            Self::Bool(b) => Some(i64::from(*b)),
            Self::Text(s) => s.parse().ok(),
            _ => None,
        }
    }

    /// Truth as SQL has it: NULL and zero are false.
    pub fn is_true(&self) -> bool {
        self.as_int().is_some_and(|i| i != 0)
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(s) => Some(s),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Real(r) => write!(f, "{r}"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Text(s) => f.write_str(s),
            Self::Bytes(b) => {
                f.write_str("0x")?;
                b.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// serde_json rounds as it reads, unless told not to (its feature float_roundtrip).
    #[test]
    fn a_number_reads_back_as_it_is_written() {
        for number in [-217.578_265_107_833_66, 0.1, 1e300] {
            let text = serde_json::to_string(&Value::Real(number)).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read, Value::Real(number), "{text}");
        }
    }
}
