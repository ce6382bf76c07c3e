//! The normalised text of a statement: what stays the same from one run to the next.

use crate::db::Engine;

/// What a statement does, as far as faults care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It reads, with or without locks.
    Read,
    /// It inserts, updates or deletes.
    Write,
    /// It begins a transaction.
    Begin,
    /// It commits.
    Commit,
    /// It rolls back.
    Rollback,
    /// It sets a savepoint, or goes back to one: the transaction goes on.
    Savepoint,
    /// It sets up a session, or asks the server about itself.
    Setup,
}

impl Kind {
    /// What the statement does, by its first words; of a WITH by all of them.
    pub fn of(sql: &str) -> Self {
        let mut words = words(uncommented(sql));
        let first = words.next().unwrap_or_default();
        let second = words.next().unwrap_or_default();
        match first.as_str() {
            "BEGIN" | "START" => Self::Begin,
            "SAVEPOINT" | "RELEASE" => Self::Savepoint,
            "COMMIT" | "END" => Self::Commit,
            // ROLLBACK WORK TO and ROLLBACK TRANSACTION TO are rare, but the same.
            "ROLLBACK" if second == "TO" || words.next().is_some_and(|w| w == "TO") => {
                Self::Savepoint
            }
            "ROLLBACK" | "ABORT" => Self::Rollback,
            "SET" | "USE" | "SHOW" | "PRAGMA" | "DESCRIBE" | "EXPLAIN" | "ATTACH" | "DETACH" => {
                Self::Setup
            }
            "SELECT" if second.starts_with("@@") || second.is_empty() => Self::Setup,
            "WITH" if writes(words) => Self::Write,
            "SELECT" | "WITH" | "VALUES" | "TABLE" => Self::Read,
            _ => Self::Write,
        }
    }

    /// Whether it writes or ends a transaction: what decides what is in the database.
    pub fn decides(self) -> bool {
        matches!(self, Self::Write | Self::Commit | Self::Rollback)
    }
}

/// The text without white space and comments before it.
pub(super) fn uncommented(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let end = if rest.starts_with("--") || rest.starts_with('#') {
            rest.find('\n').map(|end| end + 1)
        } else if rest.starts_with("/*") {
            rest.find("*/").map(|end| end + 2)
        } else {
            return rest;
        };
        rest = end.map_or("", |end| rest[end..].trim_start());
    }
}

/// The words outside of string literals, in capitals.
fn words(sql: &str) -> impl Iterator<Item = String> {
    let outside = sql.split('\'').step_by(2);
    outside
        .flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric() && c != '@' && c != '_'))
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_uppercase)
}

/// Whether a WITH inserts, updates or deletes somewhere; `FOR UPDATE` and `FOR NO KEY UPDATE` only lock.
fn writes(words: impl Iterator<Item = String>) -> bool {
    let mut before = String::new();
    for word in words {
        match word.as_str() {
            "INSERT" | "DELETE" | "MERGE" | "REPLACE" => return true,
            "UPDATE" if before != "FOR" && before != "KEY" => return true,
            _ => before = word,
        }
    }
    false
}

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

    #[test]
    fn kinds_are_told_by_the_first_words() {
        let kinds = [
            ("START TRANSACTION", Kind::Begin),
            ("BEGIN IMMEDIATE", Kind::Begin),
            ("commit", Kind::Commit),
            ("SELECT @@version", Kind::Setup),
            ("SELECT 1 FROM t FOR UPDATE", Kind::Read),
            ("INSERT INTO t SELECT * FROM u", Kind::Write),
            ("(SELECT 1)", Kind::Read),
            ("SET NAMES utf8", Kind::Setup),
            ("ROLLBACK", Kind::Rollback),
            ("ROLLBACK WORK", Kind::Rollback),
            ("ROLLBACK TO a", Kind::Savepoint),
            ("rollback work to savepoint a", Kind::Savepoint),
            ("SAVEPOINT a", Kind::Savepoint),
            ("RELEASE SAVEPOINT a", Kind::Savepoint),
            ("/* a */ -- b\n COMMIT", Kind::Commit),
            ("WITH a AS (SELECT 'DELETE') SELECT 1", Kind::Read),
            (
                "WITH a AS (SELECT 1 FROM t FOR UPDATE) SELECT 1",
                Kind::Read,
            ),
            (
                "WITH a AS (SELECT 1 FROM t FOR NO KEY UPDATE) SELECT 1",
                Kind::Read,
            ),
            (
                "WITH a AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM a",
                Kind::Write,
            ),
            ("WITH a AS (SELECT 1) UPDATE t SET b = 1", Kind::Write),
        ];
        for (sql, kind) in kinds {
            assert_eq!(Kind::of(sql), kind, "{sql}");
        }
    }
}
