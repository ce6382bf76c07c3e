//! The normalised text of a statement: what stays the same from one run to the next.

mod kind;

use crate::db::Engine;

pub use kind::Kind;
pub(super) use kind::uncommented;

/// The statement with literals as `?`, lists of literals as one `?`, and single spaces. Two runs
/// over the same rows give the same text even where ids, dates or names differ.
pub fn normalise(sql: &str, engine: Engine) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let escapes = backslash_escapes(&out, engine);
                // A doubled quote is inside the literal.
                while let Some(c) = chars.next() {
                    match c {
                        '\\' if escapes => drop(chars.next()),
                        '\'' if chars.peek() == Some(&'\'') => drop(chars.next()),
                        '\'' => break,
                        _ => {}
                    }
                }
                out.push('?');
            }
            '`' | '"' => {
                out.push(c);
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == c {
                        break;
                    }
                }
            }
            c if c.is_ascii_digit() && !ends_in_word(&out) => {
                while chars
                    .peek()
                    .is_some_and(|c| c.is_ascii_alphanumeric() || *c == '.')
                {
                    chars.next();
                }
                out.push('?');
            }
            c if c.is_whitespace() => {
                if !out.ends_with(' ') && !out.is_empty() {
                    out.push(' ');
                }
            }
            c => out.push(c),
        }
    }
    collapse(out.trim_end())
}

/// Whether a backslash is an escape in a literal that begins after this text. On MySQL the session can
/// say otherwise, which no statement shows.
fn backslash_escapes(before: &str, engine: Engine) -> bool {
    match engine {
        Engine::Sqlite => false,
        Engine::Mysql => true,
        Engine::Postgres => before
            .strip_suffix(['e', 'E'])
            .is_some_and(|before| !ends_in_word(before)),
    }
}

fn ends_in_word(text: &str) -> bool {
    text.chars()
        .next_back()
        .is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '@'))
}

/// Lists `?, ?, ?` and lists of tuples become one `?`, so that the number of keys does not matter.
fn collapse(text: &str) -> String {
    let mut text = text.to_owned();
    // One makes room for another (`-X'0a'`): until nothing changes, so that a normalised text stays
    // as it is.
    loop {
        let before = text.len();
        for (from, to) in [
            ("-?", "?"),
            ("X?", "?"),
            ("?, ?", "?"),
            ("?,?", "?"),
            ("(?), (?)", "(?)"),
            ("(?),(?)", "(?)"),
        ] {
            text = text.replace(from, to);
        }
        if text.len() == before {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGINES: [Engine; 3] = [Engine::Sqlite, Engine::Mysql, Engine::Postgres];

    #[test]
    fn literals_go_and_names_stay() {
        for engine in ENGINES {
            let normal = |sql: &str| normalise(sql, engine);
            let same = [
                "SELECT \"id\" FROM t1 WHERE id IN (1, 2,3) AND x = 'it''s'",
                "SELECT \"id\"  FROM t1\n WHERE id IN (17) AND x = 'a'",
            ]
            .map(normal);
            assert_eq!(same[0], "SELECT \"id\" FROM t1 WHERE id IN (?) AND x = ?");
            assert_eq!(same[0], same[1]);
            assert_eq!(
                normal("INSERT INTO `a 1` VALUES (1, 'x'), (2, NULL)"),
                "INSERT INTO `a 1` VALUES (?), (?, NULL)"
            );
            assert_ne!(normal("DELETE FROM a"), normal("DELETE FROM b"));
            for text in ["SELECT -X'0a'", "SELECT - -1, --1", "SELECT XX'0a'"] {
                let once = normal(text);
                assert_eq!(normal(&once), once, "{text}");
            }
            // Statements end wherever they end.
            for text in ["'", "''", "'\\", "E'\\", "`", "1", ""] {
                normal(text);
            }
        }
    }

    #[test]
    fn a_backslash_is_an_escape_where_the_engine_has_it() {
        let escaped = r"SELECT a FROM t WHERE b = 'it\'s' AND c = 'x'";
        let plain = r"SELECT a FROM t WHERE b = 'C:\' AND c = 'x'";
        let expected = "SELECT a FROM t WHERE b = ? AND c = ?";
        assert_eq!(normalise(escaped, Engine::Mysql), expected);
        for engine in [Engine::Sqlite, Engine::Postgres] {
            assert_eq!(normalise(plain, engine), expected);
        }
        let extended = escaped.replace("'it", "E'it");
        let expected = expected.replacen('?', "E?", 1);
        assert_eq!(normalise(&extended, Engine::Postgres), expected);
        // A word that ends in this letter does not make the literal another.
        let like = plain.replace("b = ", "b LIKE");
        assert_eq!(
            normalise(&like, Engine::Postgres),
            "SELECT a FROM t WHERE b LIKE? AND c = ?"
        );
    }
}
