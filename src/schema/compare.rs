//! Two schemas held against each other: the one that a release is to have, and the one that is there. Pure.
//!
//! Engines spell one type in several ways, and a model was captured on MariaDB: types are the same if they
//! are on the engine of the schema that is there. Keys, indexes and foreign keys are known by their columns;
//! their names differ from one way of making a database to the next. Defaults are not compared: services fill
//! them in themselves.

use std::fmt;

use crate::db::Engine;

use super::{Column, ColumnType, ForeignKey, Index, Schema, Table};

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: String,
    /// What it is.
    pub kind: DifferenceKind,
    /// When it may be mended.
    pub phase: Phase,
}

/// What is missing, extra or different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The table is not there.
    MissingTable,
    /// A table that the release does not have.
    ExtraTable,
    /// A column is not there.
    MissingColumn(Column),
    /// A column that the release does not have.
    ExtraColumn(String),
    /// A column of another type: as it should be, as it is.
    Type(Column, Column),
    /// A column that may not be NULL, and should be allowed to.
    NotNull(Column),
    /// A column that may be NULL, and should not be allowed to.
    Nullable(Column),
    /// Another primary key: as it should be, as it is.
    PrimaryKey(Vec<String>, Vec<String>),
    /// A unique key over these columns is not there.
    MissingUnique(Vec<String>),
    /// A unique key that the release does not have: its name and columns.
    ExtraUnique(String, Vec<String>),
    /// An index over these columns is not there.
    MissingIndex(Vec<String>),
    /// An index that the release does not have: its name and columns.
    ExtraIndex(String, Vec<String>),
    /// A foreign key is not there.
    MissingForeignKey(ForeignKey),
    /// A foreign key that the release does not have.
    ExtraForeignKey(ForeignKey),
}

/// What is done about a difference, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// While the services run: it adds, and takes nothing away that they may use.
    Expand,
    /// After the services run the new release: it takes away or forbids.
    Contract,
}

impl Phase {
    /// The name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Contract => "contract",
        }
    }
}

impl DifferenceKind {
    /// When it may be mended, by itself.
    fn phase(&self) -> Phase {
        match self {
            Self::MissingTable | Self::MissingIndex(_) | Self::NotNull(_) => Phase::Expand,
            // Rows that are there, and services that do not know it, leave it NULL.
            Self::MissingColumn(column) if column.nullable || column.default.is_some() => {
                Phase::Expand
            }
            Self::Type(expected, found) if widens(&found.ty, &expected.ty) => Phase::Expand,
            _ => Phase::Contract,
        }
    }

    /// The name in reports: `missing-table`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MissingTable => "missing-table",
            Self::ExtraTable => "extra-table",
            Self::MissingColumn(_) => "missing-column",
            Self::ExtraColumn(_) => "extra-column",
            Self::Type(..) => "other-type",
            Self::NotNull(_) => "not-null",
            Self::Nullable(_) => "nullable",
            Self::PrimaryKey(..) => "other-primary-key",
            Self::MissingUnique(_) => "missing-unique-key",
            Self::ExtraUnique(..) => "extra-unique-key",
            Self::MissingIndex(_) => "missing-index",
            Self::ExtraIndex(..) => "extra-index",
            Self::MissingForeignKey(_) => "missing-foreign-key",
            Self::ExtraForeignKey(_) => "extra-foreign-key",
        }
    }
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |columns: &[String]| match columns {
            [] => "none".to_owned(),
            columns => columns.join(", "),
        };
        let reference = |key: &ForeignKey| {
            let (columns, parents) = (list(&key.columns), list(&key.parent_columns));
            format!("{columns} -> {}.{parents}", key.parent)
        };
        match self {
            Self::MissingTable => f.write_str("the table is missing"),
            Self::ExtraTable => f.write_str("the release has no such table"),
            Self::MissingColumn(column) => write!(f, "column {} is missing", column.name),
            Self::ExtraColumn(name) => write!(f, "the release has no column {name}"),
            Self::Type(column, found) => {
                write!(
                    f,
                    "column {} is {}, not {}",
                    column.name, found.ty, column.ty
                )
            }
            Self::NotNull(column) => write!(f, "column {} does not allow NULL", column.name),
            Self::Nullable(column) => write!(f, "column {} allows NULL", column.name),
            Self::PrimaryKey(expected, found) => {
                write!(f, "primary key {}, not {}", list(found), list(expected))
            }
            Self::MissingUnique(columns) => write!(f, "unique key ({}) is missing", list(columns)),
            Self::ExtraUnique(name, columns) => {
                write!(
                    f,
                    "the release has no unique key ({}) ({name})",
                    list(columns)
                )
            }
            Self::MissingIndex(columns) => write!(f, "index ({}) is missing", list(columns)),
            Self::ExtraIndex(name, columns) => {
                write!(f, "the release has no index ({}) ({name})", list(columns))
            }
            Self::MissingForeignKey(key) => write!(f, "foreign key {} is missing", reference(key)),
            Self::ExtraForeignKey(key) => {
                write!(
                    f,
                    "the release has no foreign key {} ({})",
                    reference(key),
                    key.name
                )
            }
        }
    }
}

/// All differences, by table; `engine` is that of `found`.
pub fn differences(expected: &Schema, found: &Schema, engine: Engine) -> Vec<Difference> {
    let mut all = Vec::new();
    let one = |table: &str, kind: DifferenceKind| Difference {
        table: table.into(),
        phase: kind.phase(),
        kind,
    };
    for (name, table) in &expected.tables {
        match found.table(name) {
            None => all.push(one(name, DifferenceKind::MissingTable)),
            Some(there) => {
                let mut of_this: Vec<_> = of_table(table, there, engine)
                    .into_iter()
                    .map(|kind| one(name, kind))
                    .collect();
                after_their_columns(&mut of_this);
                all.extend(of_this);
            }
        }
    }
    for name in found.tables.keys().filter(|n| expected.table(n).is_none()) {
        all.push(one(name, DifferenceKind::ExtraTable));
    }
    all.sort_by(|a, b| a.table.cmp(&b.table));
    all
}

/// An index waits for its columns.
fn after_their_columns(differences: &mut [Difference]) {
    let late = |d: &Difference| match (&d.kind, d.phase) {
        (DifferenceKind::MissingColumn(column), Phase::Contract) => Some(column.name.clone()),
        _ => None,
    };
    let late: Vec<String> = differences.iter().filter_map(late).collect();
    for difference in differences {
        if let DifferenceKind::MissingIndex(columns) = &difference.kind
            && columns.iter().any(|c| late.contains(c))
        {
            difference.phase = Phase::Contract;
        }
    }
}

fn of_table(expected: &Table, found: &Table, engine: Engine) -> Vec<DifferenceKind> {
    let mut kinds = Vec::new();
    for column in &expected.columns {
        let Some(there) = found.column(&column.name) else {
            kinds.push(DifferenceKind::MissingColumn(column.clone()));
            continue;
        };
        if !is_same_type(&column.ty, &there.ty, engine) {
            kinds.push(DifferenceKind::Type(column.clone(), there.clone()));
        }
        // A primary key allows none whatever the column says; SQLite does not even ask.
        let keyed = expected.primary_key.contains(&column.name);
        match (column.nullable, there.nullable) {
            (true, false) if !keyed => kinds.push(DifferenceKind::NotNull(column.clone())),
            (false, true) if !keyed => kinds.push(DifferenceKind::Nullable(column.clone())),
            _ => {}
        }
    }
    let extra = found
        .columns
        .iter()
        .filter(|c| expected.column(&c.name).is_none());
    kinds.extend(extra.map(|c| DifferenceKind::ExtraColumn(c.name.clone())));
    if expected.primary_key != found.primary_key {
        let (expected, found) = (expected.primary_key.clone(), found.primary_key.clone());
        kinds.push(DifferenceKind::PrimaryKey(expected, found));
    }
    keys(expected, found, engine, &mut kinds);
    for key in &expected.foreign_keys {
        if !found.foreign_keys.iter().any(|k| is_same_reference(k, key)) {
            kinds.push(DifferenceKind::MissingForeignKey(key.clone()));
        }
    }
    for key in &found.foreign_keys {
        if !expected
            .foreign_keys
            .iter()
            .any(|k| is_same_reference(k, key))
        {
            kinds.push(DifferenceKind::ExtraForeignKey(key.clone()));
        }
    }
    kinds
}

fn keys(expected: &Table, found: &Table, engine: Engine, kinds: &mut Vec<DifferenceKind>) {
    let unique = |table: &Table, columns: &[String]| {
        let mut columns = columns.to_vec();
        columns.sort();
        let same = |key: &Vec<String>| {
            let mut key = key.clone();
            key.sort();
            key == columns
        };
        same(&table.primary_key) || table.uniques.iter().any(|u| same(&u.columns))
    };
    for key in &expected.uniques {
        if !unique(found, &key.columns) {
            kinds.push(DifferenceKind::MissingUnique(key.columns.clone()));
        }
    }
    for key in &found.uniques {
        if !unique(expected, &key.columns) {
            let (name, columns) = (key.name.clone(), key.columns.clone());
            kinds.push(DifferenceKind::ExtraUnique(name, columns));
        }
    }
    let indexed = |table: &Table, columns: &[String]| {
        let all = table.indexes.iter().chain(&table.uniques);
        let mut all = all.map(|i| &i.columns).chain([&table.primary_key]);
        all.any(|key| key == columns)
    };
    for index in &expected.indexes {
        let innodb = engine != Engine::Mysql && is_made_for_a_key(expected, index);
        if !indexed(found, &index.columns) && !innodb {
            kinds.push(DifferenceKind::MissingIndex(index.columns.clone()));
        }
    }
    for index in &found.indexes {
        let keyed = found
            .foreign_keys
            .iter()
            .any(|k| k.columns == index.columns);
        if !indexed(expected, &index.columns) && !keyed {
            let (name, columns) = (index.name.clone(), index.columns.clone());
            kinds.push(DifferenceKind::ExtraIndex(name, columns));
        }
    }
}

/// Whether an index of a model is one that InnoDB has made for a foreign key; other engines make none. It is named
/// after the key (in a table that was renamed, after that of the older name: `old_ibfk_1`) or, where that was made
/// without a name, after its first column (`c`, or `c_2` if that is taken).
fn is_made_for_a_key(table: &Table, index: &Index) -> bool {
    let named_after = |key: &ForeignKey| {
        let rest = key
            .columns
            .first()
            .and_then(|c| index.name.strip_prefix(c.as_str()));
        let number = |rest: &str| {
            rest.strip_prefix('_')
                .is_some_and(|n| n.parse::<u32>().is_ok())
        };
        let innodb = index.name.rsplit_once("_ibfk_");
        let generated = innodb.is_some_and(|(_, n)| n.parse::<u32>().is_ok());
        generated
            || index.name == key.name
            || rest.is_some_and(|rest| rest.is_empty() || number(rest))
    };
    let mut keys = table.foreign_keys.iter();
    keys.any(|key| key.columns == index.columns && named_after(key))
}

fn is_same_reference(a: &ForeignKey, b: &ForeignKey) -> bool {
    let pairs = |key: &ForeignKey| {
        let mut pairs: Vec<_> = key.columns.iter().zip(&key.parent_columns).collect();
        pairs.sort();
        let text = |(a, b): (&String, &String)| format!("{a}={b}");
        pairs.into_iter().map(text).collect::<Vec<_>>()
    };
    a.parent == b.parent && a.on_delete_cascade == b.on_delete_cascade && pairs(a) == pairs(b)
}

/// Whether two spellings are one type on this engine.
fn is_same_type(expected: &ColumnType, found: &ColumnType, engine: Engine) -> bool {
    use ColumnType::{Enum, Json, LongText, MediumText, Other, Text, Varchar};
    if expected == found {
        return true;
    }
    let is_text = |ty: &ColumnType| matches!(ty, Text | MediumText | LongText);
    match (engine, expected, found) {
        // MariaDB has no JSON of its own and keeps it as LONGTEXT, where the model was captured.
        (_, LongText, Json) | (_, Json, LongText) => true,
        (Engine::Sqlite | Engine::Postgres, a, b) if is_text(a) && is_text(b) => true,
        (Engine::Sqlite | Engine::Postgres, a, Json) if is_text(a) => true,
        // Addresses and networks, which only PostgreSQL has a type for.
        (Engine::Postgres, Varchar(39 | 43), Other(name)) => {
            matches!(name.as_str(), "inet" | "cidr")
        }
        (Engine::Postgres | Engine::Sqlite, Other(name), Varchar(39 | 43)) => name == "inet6",
        // There every integer has 64 bits, and the key that numbers itself is always an INTEGER.
        (Engine::Sqlite, a, b) if a.is_integer() && b.is_integer() => true,
        // SQLite has no enums: a text as long as the longest label.
        (Engine::Sqlite, Enum(labels), Varchar(n)) => {
            let longest = labels.iter().map(|l| l.chars().count()).max();
            longest.is_some_and(|longest| longest as u64 <= u64::from(*n))
        }
        _ => false,
    }
}

/// Whether every value of the one type fits into the other.
fn widens(from: &ColumnType, to: &ColumnType) -> bool {
    use ColumnType::{BigInt, Enum, Int, LongText, MediumText, SmallInt, Text, Varchar};
    match (from, to) {
        (Varchar(a), Varchar(b)) => a <= b,
        (Varchar(_), Text | MediumText | LongText) => true,
        (Text, MediumText | LongText) | (MediumText, LongText) => true,
        (SmallInt, Int | BigInt) | (Int, BigInt) => true,
        (Enum(a), Enum(b)) => b.starts_with(a),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(text: &str) -> ColumnType {
        text.parse().unwrap()
    }

    #[test]
    fn one_type_in_several_spellings_is_one() {
        for (expected, found, engine) in [
            ("mediumtext", "text", Engine::Postgres),
            ("longtext", "json", Engine::Postgres),
            ("varchar(39)", "inet", Engine::Postgres),
            ("varchar(43)", "cidr", Engine::Postgres),
            ("enum('a','long')", "varchar(4)", Engine::Sqlite),
            ("longtext", "text", Engine::Sqlite),
            ("bigint", "int", Engine::Sqlite),
        ] {
            assert!(
                is_same_type(&ty(expected), &ty(found), engine),
                "{expected} {found}"
            );
        }
        for (expected, found, engine) in [
            ("mediumtext", "text", Engine::Mysql),
            ("varchar(255)", "varchar(36)", Engine::Sqlite),
            ("varchar(255)", "inet", Engine::Postgres),
            ("int", "bigint", Engine::Postgres),
            ("enum('a','long')", "varchar(3)", Engine::Sqlite),
            ("enum('a','b')", "enum('a')", Engine::Mysql),
        ] {
            assert!(
                !is_same_type(&ty(expected), &ty(found), engine),
                "{expected} {found}"
            );
        }
    }

    #[test]
    fn what_only_adds_may_be_done_while_services_run() {
        let column = |text: &str, nullable| Column {
            name: "c".into(),
            ty: ty(text),
            nullable,
            default: None,
            auto_increment: false,
            generated: false,
            native: None,
            zoned: false,
        };
        let wider = |from: &str, to: &str| {
            DifferenceKind::Type(column(to, true), column(from, true)).phase()
        };
        assert_eq!(wider("varchar(36)", "varchar(255)"), Phase::Expand);
        assert_eq!(wider("int", "bigint"), Phase::Expand);
        assert_eq!(wider("varchar(255)", "varchar(36)"), Phase::Contract);
        assert_eq!(wider("enum('a','b')", "enum('b')"), Phase::Contract);
        let missing = |nullable| DifferenceKind::MissingColumn(column("int", nullable)).phase();
        assert_eq!(missing(true), Phase::Expand);
        assert_eq!(missing(false), Phase::Contract);
        assert_eq!(
            DifferenceKind::MissingUnique(Vec::new()).phase(),
            Phase::Contract
        );
        assert_eq!(DifferenceKind::ExtraTable.phase(), Phase::Contract);
    }
}
