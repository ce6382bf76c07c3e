//! A remedy, its statements told from the words around them: words are read, statements are run.
//!
//! Remedies are sentences in which a statement stands behind a colon or at the beginning, up to `; or ` or the end.
//! Commands and names stand between backticks, which MariaDB's statements are full of too.

/// A piece of a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// To be read.
    Words(&'t str),
    /// A command or a name, without its backticks.
    Name(&'t str),
    /// SQL, to be run.
    Statement(&'t str),
}

/// How statements begin.
const BEGINNINGS: [&str; 7] = [
    "BEGIN; ",
    "DELETE ",
    "UPDATE ",
    "INSERT INTO ",
    "ALTER TABLE ",
    "CREATE ",
    "SELECT ",
];

/// What follows a statement that is not the last word.
pub(super) const OR: &str = "; or ";

/// The pieces, in their order; together they are the text, but for backticks around names.
pub(super) fn pieces(remedy: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut words, mut at) = (0, 0);
    while at < remedy.len() {
        let rest = &remedy[at..];
        let found = match rest.strip_prefix('`').and_then(|name| name.split_once('`')) {
            Some((name, _)) => Some((Piece::Name(name), name.len() + 2)),
            None if begins_statement(remedy, at) => {
                let end = rest.find(OR).unwrap_or(rest.len());
                Some((Piece::Statement(&rest[..end]), end))
            }
            None => None,
        };
        match found {
            Some((piece, length)) => {
                if words < at {
                    pieces.push(Piece::Words(&remedy[words..at]));
                }
                pieces.push(piece);
                at += length;
                words = at;
            }
            None => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    if words < at {
        pieces.push(Piece::Words(&remedy[words..]));
    }
    pieces
}

fn begins_statement(remedy: &str, at: usize) -> bool {
    let (before, rest) = remedy.split_at(at);
    let stands = before.is_empty() || before.ends_with(": ") || before.ends_with(OR);
    stands && BEGINNINGS.iter().any(|word| rest.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::Piece::{Name, Statement, Words};
    use super::*;
    use crate::audit::{Checks, plan};
    use crate::db::Engine;
    use crate::schema::{Model, Profile};

    #[test]
    fn statements_are_told_from_words_and_names() {
        assert_eq!(
            pieces(
                "compare the rows; if they may go: DELETE FROM `a` WHERE 1 = 1; or give them keys"
            ),
            [
                Words("compare the rows; if they may go: "),
                Statement("DELETE FROM `a` WHERE 1 = 1"),
                Words("; or give them keys"),
            ]
        );
        assert_eq!(
            pieces("`sexton archive` moves them"),
            [Name("sexton archive"), Words(" moves them")]
        );
        assert_eq!(
            pieces("move them: BEGIN; INSERT INTO a; DELETE FROM b; COMMIT"),
            [
                Words("move them: "),
                Statement("BEGIN; INSERT INTO a; DELETE FROM b; COMMIT")
            ]
        );
        assert_eq!(pieces("a ` b"), [Words("a ` b")]);
        assert!(pieces("").is_empty());
    }

    /// What has no statement has none of a statement's words, whatever check it is of.
    #[test]
    fn every_remedy_of_every_check_is_taken_apart() {
        let model = Model::built_in("nova-21.0.0").unwrap();
        let schema = model.schema().unwrap();
        let graph = Profile::built_in("nova")
            .unwrap()
            .families(&schema)
            .unwrap();
        let mut statements = 0;
        for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
            let probes = plan(&graph, engine, &Checks::choose(&[]).unwrap());
            for remedy in probes.iter().map(|probe| probe.remedy.as_str()) {
                for piece in pieces(remedy) {
                    match piece {
                        Statement(_) => statements += 1,
                        Words(words) => {
                            let left = [" FROM ", " SET ", " WHERE "]
                                .iter()
                                .find(|w| words.contains(**w));
                            assert_eq!(left, None, "{remedy}");
                        }
                        Name(name) => assert!(!name.contains(" WHERE "), "{remedy}"),
                    }
                }
            }
        }
        assert!(statements > 300, "{statements}");
    }
}
