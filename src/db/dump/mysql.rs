//! What mysqldump and mariadb-dump write: CREATE TABLE as the server shows it, rows as INSERTs.

mod rows;

use rusqlite::types::Value;

use self::rows::tuples;
use super::bad;
use super::ddl::foreign_key;
use super::lexer::{Cursor, Token, tokens};
use super::load::Loader;
use super::source::Source;
use crate::db::introspect::mysql_default;
use crate::error::Result;
use crate::quote::{one_line, shortened};
use crate::schema::{Column, ColumnType, Index, Table};
pub(super) use rows::hex;

/// The line that ends a dump.
const END: &str = "-- Dump completed";

/// How statements begin that say nothing of tables and rows.
const PASSED: [&str; 16] = [
    "--",
    "/*",
    "DROP ",
    "LOCK TABLES",
    "UNLOCK TABLES",
    "SET ",
    "USE ",
    "CREATE DATABASE",
    "COMMIT",
    "START TRANSACTION",
    "BEGIN",
    "FLUSH ",
    "CHANGE MASTER",
    "ALTER DATABASE",
    "ANALYZE ",
    "GRANT ",
];

pub(super) fn read(source: &mut Source, loader: &mut Loader) -> Result<()> {
    // Columns of each row, while an INSERT goes on.
    let mut inserting: Option<usize> = None;
    let mut database: Option<String> = None;
    loop {
        let Some(line) = source.next()? else {
            return Err(bad(
                source,
                format!("the dump ends without '{END}': it is cut off"),
            ));
        };
        if let Some(columns) = inserting {
            let (rows, ended) = tuples(line, columns).map_err(|what| bad(source, what))?;
            put(source, loader, rows)?;
            inserting = (!ended).then_some(columns);
            continue;
        }
        if let Some(head) = insert_head(line) {
            let (table, columns, at) = head.map_err(|what| bad(source, what))?;
            let columns = loader
                .into(&table, &columns)
                .map_err(|what| bad(source, what))?;
            let line = source.buffer_from(at);
            let (rows, ended) = tuples(line, columns).map_err(|what| bad(source, what))?;
            put(source, loader, rows)?;
            inserting = (!ended).then_some(columns);
            continue;
        }
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        let data = ["LOCK TABLES `", "-- Dumping data for table `"];
        if let Some(rest) = data.iter().find_map(|word| line.strip_prefix(word))
            && let Some((table, _)) = rest.rsplit_once('`')
        {
            loader.rows_of(&table.replace("``", "`"));
        }
        if let Some(other) = line.strip_prefix("USE ") {
            if database.as_deref().is_some_and(|known| known != other) {
                return Err(bad(source, "a second database: dump one only"));
            }
            database = Some(other.to_owned());
        }
        if line.starts_with(END) {
            return Ok(());
        }
        if line.starts_with("CREATE TABLE ") {
            let table = create_table(source, &line)?;
            loader.table(table).map_err(|what| bad(source, what))?;
        } else if line.starts_with("DELIMITER ") && line != "DELIMITER ;" {
            while source
                .text()?
                .is_some_and(|line| line.trim_end() != "DELIMITER ;")
            {}
        } else if line.starts_with("/*") {
            comments(source, line)?;
        } else if !line.is_empty() && !PASSED.iter().any(|p| line.starts_with(p)) {
            let line = shortened(&one_line(line), 60);
            return Err(bad(source, format!("not understood: '{line}'")));
        } else if !line.is_empty() && !line.starts_with("--") {
            passed(source, line)?;
        }
    }
}

const ANOTHER: &str =
    "another statement on the line of the one before, as mysqldump does not write it";

/// Goes over comments, the one with which the line begins and those behind it, to where the last ends.
/// Views and triggers are written as comments, with a semicolon behind them.
fn comments(source: &mut Source, mut line: String) -> Result<()> {
    loop {
        while !line.contains("*/") {
            let Some(next) = source.text()? else {
                return Err(bad(source, "a comment that is cut off"));
            };
            line = next;
        }
        let (_, rest) = line.split_once("*/").unwrap_or_default();
        let rest = rest.trim().trim_matches(';').trim_start();
        match rest {
            "" => return Ok(()),
            rest if rest.starts_with("/*") => line = rest.to_owned(),
            _ => return Err(bad(source, ANOTHER)),
        }
    }
}

/// Goes over a statement that says nothing of tables and rows, to its semicolon.
fn passed(source: &mut Source, mut line: String) -> Result<()> {
    let mut open = None;
    loop {
        let mut signs = line.chars();
        while let Some(c) = signs.next() {
            match (open, c) {
                (Some(quote), c) if c == quote => open = None,
                (None, '\'' | '"' | '`') => open = Some(c),
                (None, ';') => {
                    return match signs.as_str().trim() {
                        "" => Ok(()),
                        rest if rest.starts_with("--") => Ok(()),
                        rest if rest.starts_with("/*") => comments(source, rest.to_owned()),
                        _ => Err(bad(source, ANOTHER)),
                    };
                }
                _ => {}
            }
        }
        // Sets of transaction ids go over several lines.
        let Some(next) = source.text()? else {
            return Err(bad(source, "a statement that is cut off"));
        };
        line = next;
    }
}

fn put(source: &Source, loader: &mut Loader, rows: Vec<Vec<Value>>) -> Result<()> {
    for row in rows {
        loader.row(row).map_err(|what| bad(source, what))?;
    }
    Ok(())
}

type Head = (String, Vec<String>, usize);

/// Table and columns of a line that begins an INSERT, and where its rows begin.
fn insert_head(line: &[u8]) -> Option<std::result::Result<Head, String>> {
    let words: [&[u8]; 4] = [
        b"INSERT INTO ",
        b"INSERT  IGNORE INTO ",
        b"INSERT IGNORE INTO ",
        b"REPLACE INTO ",
    ];
    if !words.iter().any(|w| line.starts_with(w)) {
        return None;
    }
    let values = b"VALUES";
    let at = line.windows(values.len()).position(|w| w == values);
    // Some servers put the rows on lines of their own, and the word VALUES with them.
    let Some(at) = at else {
        return Some(Err("an INSERT without VALUES on its line".into()));
    };
    let head = String::from_utf8_lossy(&line[..at]).into_owned();
    let words = tokens(&head);
    let mut cursor = Cursor::new(&words);
    let found = (cursor.seek("INTO") && cursor.skip(&["INTO"]))
        .then(|| cursor.qualified())
        .flatten();
    let Some((_, table)) = found else {
        return Some(Err("an INSERT without a table".into()));
    };
    let table = table.to_owned();
    let columns = cursor.columns().unwrap_or_default();
    Some(Ok((table, columns, at + values.len())))
}

/// The table whose CREATE statement begins with this line.
fn create_table(source: &mut Source, first: &str) -> Result<Table> {
    let words = tokens(first);
    let mut cursor = Cursor::new(&words);
    cursor.skip(&["CREATE", "TABLE"]);
    cursor.skip(&["IF", "NOT", "EXISTS"]);
    let Some((_, name)) = cursor.qualified() else {
        return Err(bad(source, "a table without a name"));
    };
    let mut table = Table {
        name: name.to_owned(),
        ..Table::default()
    };
    loop {
        let Some(line) = source.text()? else {
            return Err(bad(source, format!("table {} is cut off", table.name)));
        };
        let line = line.trim();
        if line.starts_with(')') {
            let words = tokens(line);
            let mut cursor = Cursor::new(&words);
            if cursor.seek("ENGINE") && cursor.skip(&["ENGINE"]) && cursor.sign('=') {
                table.storage = cursor.name().map(str::to_owned);
            }
            return Ok(table);
        }
        let line = line.strip_suffix(',').unwrap_or(line);
        let read = match line.starts_with('`') {
            true => column(line).map(|column| table.columns.push(column)),
            false => key(line, &mut table),
        };
        if read.is_none() {
            let line = shortened(&one_line(line.to_owned()), 60);
            let table = table.name;
            return Err(bad(
                source,
                format!("not understood in table {table}: '{line}'"),
            ));
        }
    }
}

/// `` `name` type NOT NULL DEFAULT 'x' COMMENT 'y' ``
fn column(line: &str) -> Option<Column> {
    let words = tokens(line);
    let name = match words.first()? {
        Token::Name(name) => name.clone(),
        _ => return None,
    };
    let quoted = name.replace('`', "``").len() + 2;
    let rest = line.get(quoted..)?.trim_start();
    let (ty, rest) = rest.split_at(end_of_type(rest));
    let mut ty = ty.to_owned();
    if rest
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("unsigned")
    {
        ty.push_str(" unsigned");
    }
    let rest = match rest.find(" COMMENT '") {
        Some(at) => &rest[..at],
        None => rest,
    };
    let words = tokens(rest);
    let cursor = Cursor::new(&words);
    let generated = cursor.has(&["GENERATED"]) || cursor.has(&["AS"]);
    let default = default_of(rest).filter(|_| !generated);
    Some(Column {
        name,
        nullable: !cursor.has(&["NOT", "NULL"]),
        default: default.and_then(|sql| mysql_default(&sql)),
        auto_increment: cursor.has(&["AUTO_INCREMENT"]),
        generated,
        ty: ty.parse().unwrap_or(ColumnType::Other(ty)),
        native: None,
        zoned: false,
    })
}

/// Where the type at the beginning of a text ends: after its name, and what is in brackets behind it.
fn end_of_type(text: &str) -> usize {
    let (mut depth, mut quoted) = (0_i32, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            ' ' if !quoted && depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// The SQL after DEFAULT.
fn default_of(text: &str) -> Option<String> {
    let at = text.find(" DEFAULT ")? + " DEFAULT ".len();
    let rest = &text[at..];
    let mut end = end_of_type(rest);
    if rest.starts_with('\'') {
        // A string may have spaces, and quotes that are doubled.
        let mut chars = rest.char_indices().skip(1).peekable();
        end = rest.len();
        while let Some((i, c)) = chars.next() {
            if c == '\\' {
                chars.next();
            } else if c == '\'' && chars.next_if(|(_, next)| *next == '\'').is_none() {
                end = i + 1;
                break;
            }
        }
    }
    Some(rest[..end].to_owned())
}

/// A key, a foreign key or a check.
fn key(line: &str, table: &mut Table) -> Option<()> {
    let words = tokens(line);
    let mut cursor = Cursor::new(&words);
    if cursor.skip(&["PRIMARY", "KEY"]) {
        table.primary_key = cursor.columns()?;
        return Some(());
    }
    for (start, unique) in [(&["UNIQUE", "KEY"][..], true), (&["KEY"], false)] {
        if cursor.skip(start) {
            let name = cursor.name()?.to_owned();
            // Over an expression it serves no lookup by columns.
            if let Some(columns) = cursor.columns() {
                let keys = if unique {
                    &mut table.uniques
                } else {
                    &mut table.indexes
                };
                keys.push(Index { name, columns });
            }
            return Some(());
        }
    }
    if cursor.skip(&["CONSTRAINT"]) {
        let name = cursor.name()?.to_owned();
        if cursor.skip(&["FOREIGN", "KEY"]) {
            table.foreign_keys.push(foreign_key(&name, &mut cursor)?);
            return Some(());
        }
    }
    let passed = [&["FULLTEXT"][..], &["SPATIAL"], &["CHECK"], &["PERIOD"]];
    passed.iter().any(|words| cursor.skip(words)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_with_their_defaults() {
        let read = |line: &str| column(line).unwrap();
        let c = read(
            "`a` varchar(36) CHARACTER SET utf8mb3 NOT NULL DEFAULT 'it''s, so' COMMENT 'x NULL'",
        );
        assert_eq!(
            (c.ty.to_string().as_str(), c.nullable),
            ("varchar(36)", false)
        );
        assert_eq!(c.default.as_deref(), Some("it's, so"));
        let c = read("`id` int(11) NOT NULL AUTO_INCREMENT");
        assert!(c.auto_increment && c.default.is_none());
        let c = read("`e` enum('a b','c') DEFAULT NULL");
        assert_eq!(c.ty.to_string(), "enum('a b','c')");
        assert!(c.nullable && c.default.is_none());
        let c = read("`at` datetime DEFAULT current_timestamp()");
        assert_eq!(c.default.as_deref(), Some("current_timestamp()"));
        assert!(read("`g` int(11) GENERATED ALWAYS AS (`a` + 1) VIRTUAL").generated);
    }
}
