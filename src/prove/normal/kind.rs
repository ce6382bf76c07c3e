//! What a statement does, told by its text.

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
    /// What the statement does, by its first words; of a query by all of them, for a function that it calls
    /// may write. Of several statements in one text the gravest.
    pub fn of(sql: &str) -> Self {
        let bare = outside(uncommented(sql));
        // Bodies of functions have statements of their own, which come later.
        let defines = words(&bare)
            .next()
            .is_some_and(|w| w == "CREATE" || w == "DO");
        if defines {
            return Self::of_one(&bare);
        }
        let statements = bare.split(';').map(uncommented).filter(|s| !s.is_empty());
        let kinds: Vec<_> = statements.map(Self::of_one).collect();
        let gravest = [Self::Commit, Self::Write, Self::Rollback, Self::Begin];
        let found = gravest.into_iter().find(|kind| kinds.contains(kind));
        found.or(kinds.first().copied()).unwrap_or(Self::Setup)
    }

    /// `bare` is one statement, without what stands in quotes.
    fn of_one(bare: &str) -> Self {
        let mut words = words(bare);
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
            "SELECT" | "WITH" | "VALUES" | "TABLE" if may_write(bare) => Self::Write,
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
pub(in crate::prove) fn uncommented(sql: &str) -> &str {
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

/// The text with an empty literal for each literal and an empty name for each quoted one, and without
/// comments.
fn outside(sql: &str) -> String {
    let mut bare = String::with_capacity(sql.len());
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' | '`' => {
                bare.push(c);
                for inner in chars.by_ref() {
                    if inner == c {
                        break;
                    }
                }
                bare.push(c);
            }
            '-' if chars.peek() == Some(&'-') => {
                for inner in chars.by_ref() {
                    if inner == '\n' {
                        break;
                    }
                }
                bare.push(' ');
            }
            '/' if chars.peek() == Some(&'*') => {
                let mut before = ' ';
                for inner in chars.by_ref().skip(1) {
                    if (before, inner) == ('*', '/') {
                        break;
                    }
                    before = inner;
                }
                bare.push(' ');
            }
            c => bare.push(c),
        }
    }
    bare
}

/// Whether a query makes a table, or calls a function of which it is not known that it only reads.
fn may_write(bare: &str) -> bool {
    if words(bare).any(|word| word == "INTO") {
        return true;
    }
    let mut before = bare;
    while let Some((left, _)) = before.rsplit_once('(') {
        let called = left.trim_end();
        let name = called
            .rsplit(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '$'))
            .next()
            .unwrap_or_default();
        let quoted = called.ends_with(['"', '`']);
        if quoted || !(name.is_empty() || only_reads(&name.to_ascii_uppercase())) {
            return true;
        }
        before = left;
    }
    false
}

/// Words before a parenthesis that write nothing: keywords, types, and functions that come with a database.
/// Anybody's own function may write.
fn only_reads(word: &str) -> bool {
    const KEYWORDS: &str = " ALL AND ANY AS BETWEEN BY CASE DISTINCT ELSE EXCEPT EXISTS FILTER FROM GROUP \
        HAVING IN INDEX INTERSECT INTERVAL IS JOIN KEY LATERAL LIKE LIMIT MATERIALIZED NOT OF OFFSET ON OR ORDER \
        OVER PARTITION RECURSIVE ROW SELECT SOME THEN UNION USING VALUES WHEN WHERE WITHIN XOR ";
    const TYPES: &str = " BIT CHAR CHARACTER DECIMAL FLOAT NUMERIC TIMESTAMP VARCHAR VARYING ";
    const FUNCTIONS: &str = " ABS ARRAY ARRAY_AGG ARRAY_LENGTH AVG BIT_LENGTH BOOL_AND BOOL_OR CAST CEIL CEILING CHANGES \
        CHAR_LENGTH COALESCE COL_DESCRIPTION CONCAT CONCAT_WS CONNECTION_ID CONVERT COUNT CRC32 CURDATE \
        CURRENT_DATABASE CURRENT_SCHEMA CURRENT_SETTING CURRENT_TIMESTAMP CURRENT_USER DATABASE DATE DATEDIFF \
        DATETIME DATE_ADD DATE_FORMAT DATE_SUB DATE_TRUNC DENSE_RANK EXTRACT FIRST_VALUE FLOOR FORMAT \
        FORMAT_TYPE FOUND_ROWS FROM_UNIXTIME GENERATE_SERIES GET_LOCK GREATEST GROUP_CONCAT HEX IF IFNULL \
        INSTR ISNULL IS_FREE_LOCK IS_USED_LOCK JSON_EXTRACT JULIANDAY LAG LAST_INSERT_ID LAST_INSERT_ROWID \
        LAST_VALUE LEAD LEAST LEFT LENGTH LOCATE LOWER LPAD LTRIM MAKE_INTERVAL MAX MD5 MIN MOD NOW NTILE NULLIF \
        OCTET_LENGTH POSITION QUOTE_IDENT QUOTE_LITERAL RANDOM RANK REGEXP_REPLACE RELEASE_LOCK REPEAT REPLACE \
        REVERSE RIGHT ROUND ROW_COUNT ROW_NUMBER ROW_TO_JSON RPAD RTRIM SCHEMA SHA1 SHA2 SIGN SLEEP \
        SQLITE_VERSION STDDEV STRFTIME STRING_AGG STRPOS SUBSTR SUBSTRING SUM TIMESTAMPDIFF TO_CHAR TO_DATE \
        TO_JSON TO_REGCLASS TO_TIMESTAMP TOTAL TOTAL_CHANGES TRIM TXID_CURRENT TYPEOF UNIX_TIMESTAMP UNNEST UPPER \
        USER UTC_TIMESTAMP UUID VERSION ";
    let known = |list: &str| list.contains(&format!(" {word} "));
    word.starts_with("PG_") || known(KEYWORDS) || known(TYPES) || known(FUNCTIONS)
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

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Anybody's function may write, and commits by itself outside of a transaction.
    #[test]
    fn a_query_that_may_write_is_a_write() {
        for sql in [
            "SELECT archive_batch(1000)",
            "SELECT count(*), move_rows (1) FROM t",
            "SELECT * FROM archive_batch('x')",
            "select \"Archive\"(1)",
            "SELECT \"archive\"()",
            "SELECT sexton.archive(1)",
            "WITH a AS (SELECT archive_batch(1) AS n) SELECT n FROM a",
            "SELECT * INTO shadow_t FROM t",
            "VALUES (archive_batch(1))",
        ] {
            assert_eq!(Kind::of(sql), Kind::Write, "{sql}");
        }
        for sql in [
            "SELECT COUNT(*), max(id) FROM t WHERE id IN (1, 2) AND (a = 'f(x)' OR b = \"g\")",
            "SELECT pg_try_advisory_lock(1)",
            "SELECT GET_LOCK('a', 1)",
            "SELECT CAST(a AS DECIMAL(10,2)), ROW_NUMBER() OVER (ORDER BY id) FROM t",
            "SELECT 1 /* f(1) */ -- g(2)",
            "SELECT EXISTS (SELECT 1 FROM t JOIN u USING (id))",
            "SELECT 'SELECT x INTO y' FROM t",
        ] {
            assert_eq!(Kind::of(sql), Kind::Read, "{sql}");
        }
    }

    #[test]
    fn of_several_statements_in_one_text_the_gravest_counts() {
        for (sql, kind) in [
            ("BEGIN; DELETE FROM t; COMMIT", Kind::Commit),
            ("BEGIN; DELETE FROM t;", Kind::Write),
            ("BEGIN; SELECT 1", Kind::Begin),
            ("SELECT 1; SELECT 2", Kind::Read),
            ("SELECT 1;", Kind::Read),
            ("COMMIT;", Kind::Commit),
            ("SELECT ';DELETE' FROM t", Kind::Read),
            ("SET a = 1; ROLLBACK", Kind::Rollback),
            (";", Kind::Setup),
            ("", Kind::Setup),
            ("SELECT \"a\" FROM t;", Kind::Read),
            (
                "CREATE FUNCTION f() RETURNS int AS $$ BEGIN; DELETE FROM t; COMMIT; END $$",
                Kind::Write,
            ),
        ] {
            assert_eq!(Kind::of(sql), kind, "{sql}");
        }
    }
}
