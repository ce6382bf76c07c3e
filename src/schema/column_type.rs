//! Column types in terms that hold on SQLite, MariaDB/MySQL and PostgreSQL alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A column's type. Written in models as `int`, `varchar(255)`, `enum('a','b')` ...
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// Boolean (TINYINT(1) on MySQL).
    Bool,
    /// 8 to 16 bit integer.
    SmallInt,
    /// 32 bit integer.
    Int,
    /// 64 bit integer.
    BigInt,
    /// Floating point, single or double precision.
    Float,
    /// DECIMAL(precision, scale).
    Decimal(u32, u32),
    /// VARCHAR(n), CHAR(n); n in characters.
    Varchar(u32),
    /// TEXT; on MySQL up to 64 KiB.
    Text,
    /// MEDIUMTEXT; TEXT elsewhere.
    MediumText,
    /// LONGTEXT; TEXT elsewhere.
    LongText,
    /// Any BLOB, VARBINARY, bytea.
    Blob,
    /// Date and time without zone.
    DateTime,
    /// Date only.
    Date,
    /// JSON of its own type.
    Json,
    /// ENUM with its labels, in order.
    Enum(Vec<String>),
    /// Anything else, in the engine's own spelling, lower case.
    Other(String),
}

impl ColumnType {
    /// Whether values are numbers (booleans are not).
    pub fn is_integer(&self) -> bool {
        matches!(self, Self::SmallInt | Self::Int | Self::BigInt)
    }

    /// Whether a value copied into a column of `other` either stays what it is or is refused. A
    /// number in a text column, a text in a number, a time cut to a date is neither.
    pub fn keeps_in(&self, other: &Self) -> bool {
        use ColumnType::{BigInt, Blob, Bool, DateTime, Decimal, Float, Int, Json, SmallInt};
        match (self, other) {
            (a, b) if a == b || a.is_text() && b.is_text() => true,
            (Bool | SmallInt | Int | BigInt, SmallInt | Int | BigInt) => true,
            (Decimal(_, scale), Decimal(_, wider)) => wider >= scale,
            (Float, Float) | (DateTime, DateTime) | (Blob, Blob) | (Json, Json) => true,
            (Json, b) => b.is_text(),
            // What only one engine knows is left to that engine.
            (Self::Other(_), _) | (_, Self::Other(_)) => true,
            _ => false,
        }
    }

    /// Whether a column may refer to one of that type: every database compares the two.
    pub fn refers_to(&self, other: &Self) -> bool {
        self == other || self.is_text() && other.is_text()
    }

    /// Whether values are character strings.
    pub fn is_text(&self) -> bool {
        matches!(
            self,
            Self::Varchar(_) | Self::Text | Self::MediumText | Self::LongText | Self::Enum(_)
        )
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::SmallInt => f.write_str("smallint"),
            Self::Int => f.write_str("int"),
            Self::BigInt => f.write_str("bigint"),
            Self::Float => f.write_str("float"),
            Self::Decimal(p, s) => write!(f, "decimal({p},{s})"),
            Self::Varchar(n) => write!(f, "varchar({n})"),
            Self::Text => f.write_str("text"),
            Self::MediumText => f.write_str("mediumtext"),
            Self::LongText => f.write_str("longtext"),
            Self::Blob => f.write_str("blob"),
            Self::DateTime => f.write_str("datetime"),
            Self::Date => f.write_str("date"),
            Self::Json => f.write_str("json"),
            Self::Enum(labels) => {
                let quoted: Vec<_> = labels
                    .iter()
                    .map(|l| format!("'{}'", l.replace('\'', "''")))
                    .collect();
                write!(f, "enum({})", quoted.join(","))
            }
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl FromStr for ColumnType {
    type Err = std::convert::Infallible;

    /// Reads the spelling of a model, of SQLite's declared types and of MySQL's `COLUMN_TYPE`;
    /// what is not known becomes [`ColumnType::Other`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let (base, args) = match lower.split_once('(') {
            Some((base, rest)) => (base.trim(), rest.split(')').next().unwrap_or_default()),
            None => (lower.split_whitespace().next().unwrap_or_default(), ""),
        };
        let number = |i: usize| args.split(',').nth(i).and_then(|n| n.trim().parse().ok());
        Ok(match base {
            "bool" | "boolean" => Self::Bool,
            "tinyint" if args == "1" => Self::Bool,
            "tinyint" | "smallint" | "int2" => Self::SmallInt,
            "int" | "integer" | "mediumint" | "int4" | "serial" => Self::Int,
            "bigint" | "int8" | "bigserial" => Self::BigInt,
            "float" | "double" | "real" | "float8" | "float4" => Self::Float,
            "decimal" | "numeric" => Self::Decimal(number(0).unwrap_or(10), number(1).unwrap_or(0)),
            "varchar" | "char" | "character" | "character varying" | "nvarchar" | "bpchar" => {
                match number(0) {
                    Some(n) => Self::Varchar(n),
                    None => Self::Text,
                }
            }
            "text" | "tinytext" | "clob" => Self::Text,
            "mediumtext" => Self::MediumText,
            "longtext" => Self::LongText,
            "blob" | "tinyblob" | "mediumblob" | "longblob" | "binary" | "varbinary" | "bytea" => {
                Self::Blob
            }
            "datetime" | "timestamp" => Self::DateTime,
            "date" => Self::Date,
            "json" | "jsonb" => Self::Json,
            "enum" => Self::Enum(labels(text)),
            _ => Self::Other(lower),
        })
    }
}

/// The labels of `enum('a','it''s')`, quotes doubled inside.
fn labels(text: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\'' {
            continue;
        }
        let mut label = String::new();
        while let Some(c) = chars.next() {
            if c == '\'' && chars.next_if_eq(&'\'').is_none() {
                break;
            }
            label.push(c);
        }
        labels.push(label);
    }
    labels
}

impl Serialize for ColumnType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(text.parse().unwrap_or(Self::Other(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_round_trips() {
        for text in [
            "bool",
            "int",
            "varchar(255)",
            "enum('a','it''s')",
            "decimal(10,2)",
            "inet",
            "datetime",
        ] {
            let ty: ColumnType = text.parse().unwrap();
            assert_eq!(ty.to_string(), text);
        }
        let ty: ColumnType = "enum('a','it''s')".parse().unwrap();
        assert_eq!(ty, ColumnType::Enum(vec!["a".into(), "it's".into()]));
    }

    #[test]
    fn mysql_spellings_become_neutral() {
        assert_eq!("tinyint(1)".parse(), Ok(ColumnType::Bool));
        assert_eq!("int(11)".parse(), Ok(ColumnType::Int));
        assert_eq!("bigint(20) unsigned".parse(), Ok(ColumnType::BigInt));
        assert_eq!("double".parse(), Ok(ColumnType::Float));
    }
}
