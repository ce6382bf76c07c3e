//! One error type for the library: what went wrong, where, what to do next, and the exit code.
//!
//! Messages are lower-case fragments that fit after `sexton: `. A message never holds a password:
//! whoever builds one from a connection URL uses its redacted form.

use crate::db::DbError;
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

    /// A fault of sexton's own (exit code 70).
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Internal, message)
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
        Self::unavailable(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        let error = Error::data("unknown field `a\nb\u{1b}[2J é`").hint("see\r\n`c`");
        let shown = r"unknown field `a\nb\u{1b}[2J é`; see\r\n`c`";
        assert_eq!(error.to_string(), shown);
    }
}
