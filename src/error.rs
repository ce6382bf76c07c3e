//! One error type for the library: what went wrong, where, what to do next, and the exit code.
//!
//! Messages are lower-case fragments that fit after `sexton: `. A message never holds a password:
//! whoever builds one from a connection URL uses its redacted form.

use crate::db::{DbError, DbErrorKind};
use crate::exit::ExitCode;
use crate::quote::one_line;

/// Result with sexton's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that ends a command.
#[derive(Debug, thiserror::Error)]
#[error("{message}{}", .hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default())]
pub struct Error {
    /// The documented exit code.
    pub code: ExitCode,
    /// What went wrong and where, one line.
    pub message: String,
    /// What to do next, one line.
    pub hint: Option<String>,
}

impl Error {
    /// An error with this code and message.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: one_line(message.into()),
            hint: None,
        }
    }

    /// A bad command line or argument value (exit code 64).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    /// Data or a schema that is not what the command needs (exit code 65).
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Data, message)
    }

    /// A database that could not be reached or refused (exit code 69).
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Unavailable, message)
    }

    /// A fault of sexton's own (exit code 70), with the advice to report it.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Internal, message).hint(
            "this is a fault of sexton's own, or of the machine: run it again, and report it with its command line if \
             it comes back",
        )
    }

    /// The same error with advice on what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(one_line(hint.into()));
        self
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        let hint = match error.kind {
            DbErrorKind::Retryable => "others were at work on the same rows: run it again",
            DbErrorKind::Connection => "check that the server runs, then run it again",
            DbErrorKind::Permission => {
                "grant it to the user; SECURITY.md lists what each command needs"
            }
            DbErrorKind::NotADatabase => "check the name of the database",
            DbErrorKind::DuplicateKey | DbErrorKind::ForeignKey | DbErrorKind::Constraint => {
                "look at the rows that it names, and run it again"
            }
            DbErrorKind::TooLarge => "raise the limit of the server, or take fewer rows at once",
            DbErrorKind::Other => "mend what the database complains of, and run it again",
        };
        Self::unavailable(error.to_string()).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// What the parentheses hold that open at the end of `before`.
    fn arguments(text: &str) -> &str {
        let (mut depth, mut in_text, mut escaped) = (1, false, false);
        for (at, c) in text.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if in_text => escaped = true,
                '"' => in_text = !in_text,
                '(' if !in_text => depth += 1,
                ')' if !in_text => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return &text[..at];
            }
        }
        text
    }

    fn files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, found),
                false => found.push(path),
            }
        }
    }

    /// An error says what to do next where it is made: whoever makes it knows best. (That of `internal` says so
    /// itself.)
    #[test]
    fn every_error_comes_with_advice() {
        let mut sources = Vec::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        files(&source, &mut sources);
        let (mut made, mut bare) = (0, Vec::new());
        for path in sources
            .iter()
            .filter(|p| p.extension().is_some_and(|e| e == "rs"))
        {
            let text = std::fs::read_to_string(path).unwrap();
            // Of this file, and of tests, all behind the tests' attribute.
            let text = text
                .split("\n#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default();
            for kind in ["usage", "data", "unavailable", "new"] {
                for (at, constructor) in text.match_indices(&format!("Error::{kind}(")) {
                    let others = ["io::", "Db"];
                    if others.iter().any(|other| text[..at].ends_with(other)) {
                        continue;
                    }
                    let rest = &text[at + constructor.len()..];
                    let behind = rest[arguments(rest).len() + 1..].trim_start();
                    let line = text[..at].matches('\n').count() + 1;
                    if !behind.starts_with(".hint(") {
                        bare.push(format!("{}:{line}: Error::{kind}", path.display()));
                    }
                    made += 1;
                }
            }
        }
        assert!(made > 150, "{made}");
        assert!(
            bare.is_empty(),
            "without .hint(..), which says what to do next:\n{}",
            bare.join("\n")
        );
    }

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        let error = Error::data("unknown field `a\nb\u{1b}[2J é`").hint("see\r\n`c`");
        let shown = r"unknown field `a\nb\u{1b}[2J é`; see\r\n`c`";
        assert_eq!(error.to_string(), shown);
    }
}
