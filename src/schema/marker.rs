//! How a service marks a row deleted, and the SQL that asks.

use crate::db::Engine;

use super::{Column, ColumnType, Table};

/// How the marker column tells a soft-deleted row from a live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerStyle {
    /// An integer: 0 is live, anything else (often the row's own id) is deleted.
    NonZero,
    /// A boolean: true is deleted.
    True,
    /// A string: empty, `0`, `False` or `false` is live, anything else is deleted.
    NotFalseText,
    /// A date: NULL is live.
    NotNull,
}

/// The marker of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The column that marks.
    pub column: String,
    /// How it marks.
    pub style: MarkerStyle,
    /// The column that says since when, if there is one.
    pub at: Option<String>,
    /// Whether that column, or one that marks with a date, holds moments ([`Column::zoned`]).
    pub zoned: bool,
    /// Whether the marker of a deleted row holds the row's own key (Nova: `deleted = id`).
    pub holds_key: bool,
    /// Of a text: what a live row has. Manila says `False`, Designate `0`.
    pub live: String,
}

/// Marker columns that sexton knows by convention, the more telling first.
const BY_CONVENTION: [&str; 3] = ["deleted", "is_deleted", "deleted_at"];

/// Texts of live rows.
const LIVE_TEXTS: [&str; 4] = ["", "0", "False", "false"];

impl Marker {
    /// The marker of a table: the first of these columns that it has, else that by convention.
    pub fn of(table: &Table, columns: &[String]) -> Option<Self> {
        let named = columns.iter().find_map(|name| table.column(name));
        match named {
            Some(column) => Self::in_column(table, column),
            None => Self::by_convention(table),
        }
    }

    /// The marker of a table by convention: `deleted`, `is_deleted`, or `deleted_at` alone.
    pub fn by_convention(table: &Table) -> Option<Self> {
        let column = BY_CONVENTION.iter().find_map(|name| table.column(name))?;
        Self::in_column(table, column)
    }

    /// A column that marks. Where it holds a date, that is since when; else `deleted_at` says.
    fn in_column(table: &Table, column: &Column) -> Option<Self> {
        let style = style_of(column)?;
        let at = match style {
            MarkerStyle::NotNull => Some(column),
            _ => table.column("deleted_at"),
        };
        Some(Self {
            column: column.name.clone(),
            style,
            zoned: at.is_some_and(|c| c.zoned),
            at: at.map(|c| c.name.clone()),
            holds_key: false,
            live: match column.default.as_deref() {
                Some(live) if LIVE_TEXTS.contains(&live) => live.to_owned(),
                _ => "False".to_owned(),
            },
        })
    }

    /// SQL that is true for a soft-deleted row. Use `alias` `""` for no alias.
    pub fn is_deleted(&self, engine: Engine, alias: &str) -> String {
        let column = qualify(engine, alias, &self.column);
        match self.style {
            MarkerStyle::NonZero => format!("{column} <> 0"),
            MarkerStyle::True => match engine {
                Engine::Postgres => column,
                Engine::Sqlite | Engine::Mysql => format!("{column} <> 0"),
            },
            MarkerStyle::NotFalseText => format!("{column} NOT IN ('', '0', 'False', 'false')"),
            MarkerStyle::NotNull => format!("{column} IS NOT NULL"),
        }
    }

    /// SQL that is true for a live row; false for a NULL marker unless NULL means live.
    pub fn is_live(&self, engine: Engine, alias: &str) -> String {
        let column = qualify(engine, alias, &self.column);
        match self.style {
            MarkerStyle::NonZero => format!("{column} = 0"),
            MarkerStyle::True => match engine {
                Engine::Postgres => format!("NOT {column}"),
                Engine::Sqlite | Engine::Mysql => format!("{column} = 0"),
            },
            MarkerStyle::NotFalseText => format!("{column} IN ('', '0', 'False', 'false')"),
            MarkerStyle::NotNull => format!("{column} IS NULL"),
        }
    }

    /// SQL that is true for a row whose marker is NULL and therefore says nothing; `None` where
    /// NULL has a meaning.
    pub fn is_unknown(&self, engine: Engine, alias: &str) -> Option<String> {
        (self.style != MarkerStyle::NotNull)
            .then(|| format!("{} IS NULL", qualify(engine, alias, &self.column)))
    }

    /// The SQL assignment that marks a row live again, for remedies.
    pub fn set_live(&self, engine: Engine) -> String {
        let column = engine.quote(&self.column);
        let live = match self.style {
            MarkerStyle::NonZero => "0",
            MarkerStyle::True => engine.boolean(false),
            MarkerStyle::NotFalseText => &format!("'{}'", self.live),
            MarkerStyle::NotNull => "NULL",
        };
        match &self.at {
            Some(at) if *at != self.column => {
                format!("{column} = {live}, {} = NULL", engine.quote(at))
            }
            _ => format!("{column} = {live}"),
        }
    }

    /// The SQL assignment that marks a row deleted now, for remedies. `key` is the table's first
    /// key column. Services write UTC, and so does that, whatever the zone of the server or the session.
    pub fn set_deleted(&self, engine: Engine, key: &str) -> String {
        let column = engine.quote(&self.column);
        let now = engine.utc_now(self.zoned);
        let dead = match self.style {
            MarkerStyle::NonZero if self.holds_key => engine.quote(key),
            MarkerStyle::NonZero => "1".into(),
            MarkerStyle::True => engine.boolean(true).into(),
            MarkerStyle::NotFalseText => engine.quote(key),
            MarkerStyle::NotNull => now.into(),
        };
        match &self.at {
            Some(at) if *at != self.column => {
                format!("{column} = {dead}, {} = {now}", engine.quote(at))
            }
            _ => format!("{column} = {dead}"),
        }
    }
}

fn style_of(column: &Column) -> Option<MarkerStyle> {
    Some(match &column.ty {
        ColumnType::Bool => MarkerStyle::True,
        ty if ty.is_integer() => MarkerStyle::NonZero,
        ty if ty.is_text() => MarkerStyle::NotFalseText,
        ColumnType::DateTime | ColumnType::Date => MarkerStyle::NotNull,
        _ => return None,
    })
}

fn qualify(engine: Engine, alias: &str, column: &str) -> String {
    if alias.is_empty() {
        engine.quote(column)
    } else {
        engine.column(alias, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, &str)]) -> Table {
        let column = |(name, ty): &(&str, &str)| Column {
            name: (*name).into(),
            ty: ty.parse().unwrap(),
            nullable: true,
            default: None,
            auto_increment: false,
            generated: false,
            native: None,
            zoned: false,
        };
        Table {
            columns: columns.iter().map(column).collect(),
            ..Table::default()
        }
    }

    /// Designate looks for `deleted = '0'`: a zone with `False` would be gone.
    #[test]
    fn a_text_is_made_live_again_as_the_column_has_it_by_default() {
        let set = |default: Option<&str>| {
            let mut table = table(&[("deleted", "varchar(36)")]);
            table.columns[0].default = default.map(str::to_owned);
            Marker::by_convention(&table)
                .unwrap()
                .set_live(Engine::Mysql)
        };
        assert_eq!(set(Some("0")), "`deleted` = '0'");
        assert_eq!(set(Some("False")), "`deleted` = 'False'");
        assert_eq!(set(None), "`deleted` = 'False'");
    }

    #[test]
    fn conventions_are_read_from_the_column_types() {
        let style = |columns: &[(&str, &str)]| {
            Marker::by_convention(&table(columns)).map(|m| (m.column, m.style))
        };
        assert_eq!(
            style(&[("deleted", "int"), ("deleted_at", "datetime")]),
            Some(("deleted".into(), MarkerStyle::NonZero))
        );
        assert_eq!(
            style(&[("deleted", "bool")]),
            Some(("deleted".into(), MarkerStyle::True))
        );
        assert_eq!(
            style(&[("deleted", "varchar(36)")]),
            Some(("deleted".into(), MarkerStyle::NotFalseText))
        );
        assert_eq!(
            style(&[("deleted_at", "datetime")]),
            Some(("deleted_at".into(), MarkerStyle::NotNull))
        );
        assert_eq!(
            style(&[("is_deleted", "bool")]),
            Some(("is_deleted".into(), MarkerStyle::True))
        );
        assert_eq!(style(&[("id", "int")]), None);
    }

    #[test]
    fn a_column_that_the_profile_names_goes_before_those_by_convention() {
        let discarded = table(&[("discarded_at", "datetime"), ("deleted_at", "datetime")]);
        let named = ["removed_on".to_owned(), "discarded_at".to_owned()];
        let marker = Marker::of(&discarded, &named).unwrap();
        assert_eq!(marker.column, "discarded_at");
        assert_eq!(marker.at.as_deref(), Some("discarded_at"));
        assert_eq!(marker.set_live(Engine::Sqlite), "\"discarded_at\" = NULL");
        // A table without such a column is read as always.
        let other = table(&[("deleted", "int"), ("deleted_at", "datetime")]);
        let marker = Marker::of(&other, &named).unwrap();
        assert_eq!(marker.column, "deleted");
        assert_eq!(marker.at.as_deref(), Some("deleted_at"));
    }

    /// Cinder 1797048: PostgreSQL knows no `boolean = integer`.
    #[test]
    fn a_boolean_marker_is_not_compared_with_a_number_on_postgresql() {
        let marker = Marker::by_convention(&table(&[("deleted", "bool")])).unwrap();
        assert_eq!(marker.is_deleted(Engine::Postgres, "t"), "t.\"deleted\"");
        assert_eq!(marker.is_live(Engine::Postgres, "t"), "NOT t.\"deleted\"");
        assert_eq!(marker.is_deleted(Engine::Mysql, "t"), "t.`deleted` <> 0");
    }
}
