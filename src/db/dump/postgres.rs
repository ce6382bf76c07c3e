//! What pg_dump writes in plain form: statements, and rows behind COPY or in INSERTs.

use rusqlite::types::Value;

use super::bad;
use super::ddl::foreign_key;
use super::lexer::{Cursor, Token, tokens};
use super::load::Loader;
use super::mysql::hex;
use super::source::{LONGEST, Source};
use crate::db::introspect::{postgres_default, postgres_type};
use crate::error::Result;
use crate::quote::{one_line, shortened};
use crate::schema::{Column, ColumnType, Index, Table};

/// The line that ends a dump.
const END: &str = "-- PostgreSQL database dump complete";

/// How statements begin that say nothing of tables and rows.
const PASSED: [&str; 14] = [
    "SET", "SELECT", "COMMENT", "ALTER", "CREATE", "GRANT", "REVOKE", "DROP", "REFRESH", "DO",
    "BEGIN", "COMMIT", "SECURITY", "IMPORT",
];

pub(super) fn read(source: &mut Source, loader: &mut Loader) -> Result<()> {
    let mut enums: Vec<(String, Vec<String>)> = Vec::new();
    let mut namespace = None;
    loop {
        let Some(line) = source.text()? else {
            return Err(bad(
                source,
                format!("the dump ends without '{END}': it is cut off"),
            ));
        };
        let line = line.trim_end();
        if line == END {
            return Ok(());
        }
        let data = line.strip_prefix("-- Data for Name: ");
        if let Some((table, _)) = data.and_then(|rest| rest.split_once("; Type: TABLE DATA")) {
            loader.rows_of(table);
        }
        if line.is_empty() || line.starts_with("--") || line.starts_with('\\') {
            continue;
        }
        source.back();
        let statement = statement(source)?;
        let words = tokens(&statement);
        let mut cursor = Cursor::new(&words);
        let done = if cursor.skip(&["CREATE", "TYPE"]) {
            enum_type(&mut cursor, &words, &mut enums)
        } else if cursor.skip(&["CREATE", "TABLE"]) || cursor.skip(&["CREATE", "UNLOGGED", "TABLE"])
        {
            table(&statement, &mut cursor, &enums, &mut namespace, loader)
        } else if cursor.skip(&["COPY"]) {
            copy(&mut cursor, source, loader)
        } else if cursor.skip(&["INSERT", "INTO"]) {
            insert(&statement, &mut cursor, loader)
        } else if cursor.skip(&["ALTER", "TABLE"]) {
            alter(&statement, &mut cursor, loader)
        } else if cursor.skip(&["CREATE", "UNIQUE", "INDEX"]) {
            index(&mut cursor, true, loader)
        } else if cursor.skip(&["CREATE", "INDEX"]) {
            index(&mut cursor, false, loader)
        } else if PASSED.iter().any(|word| cursor.skip(&[word])) {
            Ok(())
        } else {
            let what = shortened(&one_line(statement), 60);
            Err(format!("not understood: '{what}'"))
        };
        done.map_err(|what| bad(source, what))?;
    }
}

const NOT_UTF8: &str = "text that is not UTF-8: write the dump with pg_dump --encoding=UTF8";

const ANOTHER: &str =
    "another statement on the line of the one before, as pg_dump does not write it";

type Done<T = ()> = std::result::Result<T, String>;

/// The statement that begins on the next line, to the semicolon that ends it.
fn statement(source: &mut Source) -> Result<String> {
    let mut text = String::new();
    // What is open: a quote, or the tag of a string in dollars.
    let mut open: Option<String> = None;
    loop {
        let Some(line) = source.text()? else {
            return Err(bad(source, "a statement that is cut off"));
        };
        let mut rest = line.as_str();
        let mut ends = false;
        while let Some(c) = rest.chars().next() {
            match &open {
                Some(tag) => match rest.strip_prefix(tag.as_str()) {
                    // A doubled quote closes and opens again.
                    Some(after) => {
                        rest = after;
                        open = None;
                    }
                    None => rest = &rest[c.len_utf8()..],
                },
                None => {
                    // White space and a comment may follow the semicolon, nothing else.
                    if ends && !c.is_whitespace() && !rest.starts_with("--") {
                        return Err(bad(source, ANOTHER));
                    }
                    ends |= c == ';';
                    match c {
                        '\'' | '"' => open = Some(c.to_string()),
                        '$' => {
                            if let Some(tag) = dollar_tag(rest) {
                                rest = &rest[tag.len()..];
                                open = Some(tag);
                                continue;
                            }
                        }
                        '-' if rest.starts_with("--") => break,
                        _ => {}
                    }
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        text.push_str(&line);
        text.push('\n');
        if text.len() as u64 > LONGEST {
            return Err(bad(source, "a statement that does not end"));
        }
        if ends && open.is_none() {
            return Ok(text);
        }
    }
}

/// `$$`, `$body$`.
fn dollar_tag(text: &str) -> Option<String> {
    let inner = text[1..].find('$')?;
    let word = &text[1..=inner];
    let is_tag = word.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_tag.then(|| format!("${word}$"))
}

/// `CREATE TYPE public.x AS ENUM ('a', 'b')`; others are passed over.
fn enum_type(
    cursor: &mut Cursor<'_>,
    words: &[Token],
    enums: &mut Vec<(String, Vec<String>)>,
) -> Done {
    if let Some((_, name)) = cursor.qualified()
        && cursor.skip(&["AS", "ENUM"])
    {
        let labels = words.iter().filter_map(|word| match word {
            Token::Text(label) => Some(label.clone()),
            _ => None,
        });
        enums.push((name.to_owned(), labels.collect()));
    }
    Ok(())
}

fn table(
    statement: &str,
    cursor: &mut Cursor<'_>,
    enums: &[(String, Vec<String>)],
    namespace: &mut Option<String>,
    loader: &mut Loader,
) -> Done {
    let (space, name) = cursor.qualified().ok_or("a table without a name")?;
    let space = space.unwrap_or_default().to_owned();
    if *namespace.get_or_insert(space.clone()) != space {
        return Err(format!(
            "tables of another schema, {space}: dump one schema only (pg_dump --schema)"
        ));
    }
    if cursor.has(&["PARTITION", "BY"])
        || cursor.has(&["PARTITION", "OF"])
        || cursor.has(&["INHERITS"])
    {
        return Err(format!(
            "table {name} has parts that are tables of their own, which are not put together here"
        ));
    }
    let mut table = Table {
        name: name.to_owned(),
        ..Table::default()
    };
    let lines = statement.lines().skip(1);
    for line in lines.take_while(|line| !line.starts_with(')')) {
        let line = line.trim();
        let line = line.strip_suffix(',').unwrap_or(line);
        if line.starts_with("CONSTRAINT ") || line.starts_with("CHECK ") || line.is_empty() {
            continue;
        }
        let column = column(line, enums).ok_or_else(|| {
            let line = shortened(&one_line(line.to_owned()), 60);
            format!("not understood in table {name}: '{line}'")
        })?;
        table.columns.push(column);
    }
    loader.table(table)
}

/// `name type DEFAULT 'x'::character varying NOT NULL`
fn column(line: &str, enums: &[(String, Vec<String>)]) -> Option<Column> {
    let words = tokens(line);
    let name = words.first()?.name()?.to_owned();
    let length = match words.first()? {
        Token::Name(name) => name.replace('"', "\"\"").len() + 2,
        _ => name.len(),
    };
    let rest = line.get(length..)?.trim_start();
    let ends = [" DEFAULT ", " NOT NULL", " GENERATED ", " COLLATE "];
    let end = ends.iter().filter_map(|word| rest.find(word)).min();
    let (ty, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let own = ty.rsplit('.').next().unwrap_or(ty);
    let plain = own.trim_matches('"');
    let labels = enums.iter().find(|(known, _)| known == plain);
    let generated = rest.contains(" GENERATED ") && !rest.contains(" AS IDENTITY");
    let default = rest.find(" DEFAULT ").map(|at| {
        let sql = &rest[at + " DEFAULT ".len()..];
        sql.strip_suffix(" NOT NULL").unwrap_or(sql)
    });
    let default = default.filter(|_| !generated);
    let serial = default.is_some_and(|sql| sql.starts_with("nextval("));
    Some(Column {
        name,
        ty: match labels {
            Some((_, labels)) => ColumnType::Enum(labels.clone()),
            None => postgres_type(ty),
        },
        nullable: !rest.contains(" NOT NULL"),
        default: default.filter(|_| !serial).and_then(postgres_default),
        auto_increment: serial || rest.contains(" AS IDENTITY"),
        generated,
        native: labels.map(|_| own.to_owned()),
        zoned: false,
    })
}

/// `COPY public.t (a, b) FROM stdin;` and the rows that follow.
fn copy(cursor: &mut Cursor<'_>, source: &mut Source, loader: &mut Loader) -> Done {
    let (_, name) = cursor.qualified().ok_or("a COPY without a table")?;
    let columns = cursor.columns().unwrap_or_default();
    let count = loader.into(name, &columns)?;
    let types = types(loader, name, &columns);
    loop {
        let line = source.next().map_err(|e| e.message)?;
        let Some(line) = line else {
            return Err(format!("the rows of {name} are cut off"));
        };
        if line == b"\\." {
            return Ok(());
        }
        let line = std::str::from_utf8(line).map_err(|_| NOT_UTF8)?;
        let values: Vec<_> = match count {
            0 => Vec::new(),
            _ => line.split('\t').collect(),
        };
        if values.len() != count {
            return Err(format!("a row of {} values, not {count}", values.len()));
        }
        let row = values.into_iter().zip(&types).map(|(text, ty)| match text {
            "\\N" => Value::Null,
            text => value(&unescaped(text), ty),
        });
        loader.row(row.collect())?;
    }
}

fn types(loader: &Loader, table: &str, columns: &[String]) -> Vec<ColumnType> {
    let Some(table) = loader.schema.table(table) else {
        return Vec::new();
    };
    let all = || table.columns.iter().map(|c| c.ty.clone()).collect();
    let of = |name: &String| table.column(name).map(|c| c.ty.clone());
    match columns {
        [] => all(),
        columns => columns.iter().filter_map(of).collect(),
    }
}

/// A value of COPY without its backslashes.
fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next().map(|escaped| match escaped {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'v' => '\u{b}',
                other => other,
            })),
            c => plain.push(c),
        }
    }
    plain
}

/// A value as SQLite has it.
fn value(text: &str, ty: &ColumnType) -> Value {
    match ty {
        ColumnType::Bool => Value::Integer(i64::from(matches!(text, "t" | "true"))),
        ty if ty.is_integer() => match text.parse() {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Text(text.into()),
        },
        ColumnType::Float => match text.parse() {
            Ok(number) => Value::Real(number),
            Err(_) => Value::Text(text.into()),
        },
        ColumnType::Blob => match text.strip_prefix("\\x").and_then(hex) {
            Some(bytes) => Value::Blob(bytes),
            None => Value::Text(text.into()),
        },
        _ => Value::Text(text.into()),
    }
}

/// `INSERT INTO public.t VALUES (1, 'x', NULL, true);`, of `pg_dump --inserts`.
fn insert(statement: &str, cursor: &mut Cursor<'_>, loader: &mut Loader) -> Done {
    let (_, name) = cursor.qualified().ok_or("an INSERT without a table")?;
    let columns = cursor.columns().unwrap_or_default();
    let count = loader.into(name, &columns)?;
    let types = types(loader, name, &columns);
    let at = statement.find("VALUES").ok_or("an INSERT without VALUES")?;
    let mut rest = statement[at + "VALUES".len()..].trim();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n', '\t', '\r']);
        if rest == ";" {
            return Ok(());
        }
        let mut row = Vec::new();
        rest = rest
            .strip_prefix('(')
            .ok_or("a row that does not begin with (")?;
        loop {
            let (text, after) = literal(rest.trim_start())?;
            let ty = types
                .get(row.len())
                .ok_or("a row of more values than columns")?;
            row.push(text.map_or(Value::Null, |text| value(&text, ty)));
            rest = after.trim_start();
            match rest.chars().next() {
                Some(',') => rest = &rest[1..],
                Some(')') => {
                    rest = &rest[1..];
                    break;
                }
                _ => return Err("a row that is cut off".into()),
            }
        }
        if row.len() != count {
            return Err(format!("a row of {} values, not {count}", row.len()));
        }
        loader.row(row)?;
    }
}

/// A literal, `None` for NULL, and what follows it.
fn literal(text: &str) -> Done<(Option<String>, &str)> {
    let (escapes, text) = match text.strip_prefix('E') {
        Some(rest) if rest.starts_with('\'') => (true, rest),
        _ => (false, text),
    };
    let Some(inner) = text.strip_prefix('\'') else {
        let end = text.find([',', ')']).ok_or("a row that is cut off")?;
        let (word, rest) = text.split_at(end);
        let word = word.trim();
        return Ok(((word != "NULL").then(|| word.to_owned()), rest));
    };
    let mut plain = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.next_if(|(_, next)| *next == '\'').is_none() => {
                let text = if escapes { unescaped(&plain) } else { plain };
                return Ok((Some(text), &inner[at + 1..]));
            }
            c => plain.push(c),
        }
    }
    Err("a string that does not end".into())
}

/// Keys, foreign keys, sequences and identities.
fn alter(statement: &str, cursor: &mut Cursor<'_>, loader: &mut Loader) -> Done {
    cursor.skip(&["ONLY"]);
    let Some((_, table)) = cursor.qualified() else {
        return Ok(());
    };
    // A partition's, a view's.
    let Some(table) = loader.schema.tables.get_mut(table) else {
        return Ok(());
    };
    let odd = || {
        let statement = shortened(&one_line(statement.to_owned()), 80);
        format!("not understood: '{statement}'")
    };
    if cursor.skip(&["ALTER", "COLUMN"]) {
        let name = cursor.name().ok_or_else(odd)?;
        let numbers =
            cursor.skip(&["SET", "DEFAULT", "nextval"]) || cursor.has(&["AS", "IDENTITY"]);
        let column = table.columns.iter_mut().find(|c| c.name == name);
        if let (Some(column), true) = (column, numbers) {
            column.auto_increment = true;
        }
        return Ok(());
    }
    if !cursor.skip(&["ADD", "CONSTRAINT"]) {
        return Ok(());
    }
    let name = cursor.name().ok_or_else(odd)?.to_owned();
    if cursor.skip(&["PRIMARY", "KEY"]) {
        table.primary_key = cursor.columns().ok_or_else(odd)?;
    } else if cursor.skip(&["UNIQUE"]) {
        let columns = cursor.columns().ok_or_else(odd)?;
        table.uniques.push(Index { name, columns });
    } else if cursor.skip(&["FOREIGN", "KEY"]) {
        let key = foreign_key(&name, cursor).ok_or_else(odd)?;
        table.foreign_keys.push(key);
    }
    Ok(())
}

/// `name ON public.t USING btree (a, b)`; partial ones, and those over expressions, serve no lookup.
fn index(cursor: &mut Cursor<'_>, unique: bool, loader: &mut Loader) -> Done {
    let name = cursor.name().ok_or("an index without a name")?.to_owned();
    if !cursor.skip(&["ON"]) {
        return Err(format!("not understood: index {name}"));
    }
    cursor.skip(&["ONLY"]);
    let (_, table) = cursor.qualified().ok_or("an index without a table")?;
    let ordered = !cursor.skip(&["USING"]) || cursor.skip(&["btree"]) || cursor.skip(&["hash"]);
    let columns = cursor.columns().filter(|_| ordered);
    if let (Some(columns), Some(table)) = (columns, loader.schema.tables.get_mut(table))
        && !cursor.has(&["WHERE"])
    {
        let keys = if unique {
            &mut table.uniques
        } else {
            &mut table.indexes
        };
        keys.push(Index { name, columns });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_as_pg_dump_writes_them() {
        let enums = vec![("kind".to_owned(), vec!["a".to_owned(), "b".to_owned()])];
        let read = |line: &str| column(line, &enums).unwrap();
        let c =
            read("name character varying(255) DEFAULT 'it''s NOT so'::character varying NOT NULL");
        assert_eq!(
            (c.ty.to_string().as_str(), c.nullable),
            ("varchar(255)", false)
        );
        assert_eq!(c.default.as_deref(), Some("it's NOT so"));
        let c = read("\"order\" public.kind");
        assert_eq!(
            (c.name.as_str(), c.ty.to_string().as_str()),
            ("order", "enum('a','b')")
        );
        assert_eq!(c.native.as_deref(), Some("kind"));
        assert!(read("id integer NOT NULL GENERATED BY DEFAULT AS IDENTITY").auto_increment);
        assert!(read("g integer GENERATED ALWAYS AS ((a + 1)) STORED").generated);
        assert!(read("at timestamp without time zone").nullable);
    }

    #[test]
    fn values_of_copy_and_of_inserts_become_those_of_sqlite() {
        assert_eq!(unescaped("a\\tb\\\\n"), "a\tb\\n");
        assert_eq!(value("t", &ColumnType::Bool), Value::Integer(1));
        assert_eq!(
            value("\\x6162", &ColumnType::Blob),
            Value::Blob(b"ab".to_vec())
        );
        assert_eq!(
            literal("'it''s', 1)").unwrap(),
            (Some("it's".into()), ", 1)")
        );
        assert_eq!(literal("NULL)").unwrap(), (None, ")"));
        assert!(literal("'x").is_err());
    }
}
