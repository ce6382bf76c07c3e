//! What a database said when it refused, sorted by what a caller may do about it.

/// The kinds of refusal that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DbErrorKind {
    /// Deadlock, lock timeout, serialization failure, busy: roll back and try again.
    Retryable,
    /// The connection is gone, or could not be made. What was under way may or may not have
    /// happened.
    Connection,
    /// A primary or unique key is taken.
    DuplicateKey,
    /// A foreign key would be violated. Never retried.
    ForeignKey,
    /// Other refusals of the data: NOT NULL, length, type, check.
    Constraint,
    /// The transaction is larger than the server, or its cluster, takes.
    TooLarge,
    /// No right to do that.
    Permission,
    /// The database does not exist or is not one.
    NotADatabase,
    /// Everything else.
    Other,
}

impl DbErrorKind {
    /// Whether the same statements may pass the next time.
    pub fn may_pass_again(self) -> bool {
        matches!(self, Self::Retryable | Self::Connection)
    }

    /// Whether it is these rows that are refused, and will be each time.
    pub fn refuses_rows(self) -> bool {
        matches!(
            self,
            Self::ForeignKey | Self::DuplicateKey | Self::Constraint | Self::TooLarge
        )
    }
}

/// An error of a database, with the engine's own code.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct DbError {
    /// What a caller may do about it.
    pub kind: DbErrorKind,
    /// The engine's code: `1213`, `40P01`, `SQLITE_BUSY`; empty if it had none.
    pub code: String,
    /// One line, without password.
    pub message: String,
}

impl DbError {
    /// An error of this kind.
    pub fn new(kind: DbErrorKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
        }
    }

    /// Whether a constant is no value of the type that it is compared with, as PostgreSQL says (data exceptions).
    pub fn is_of_a_value(&self) -> bool {
        self.kind == DbErrorKind::Constraint && self.code.starts_with("22")
    }

    /// Whether a lock that another session holds was waited for in vain: ER_LOCK_WAIT_TIMEOUT of MariaDB and MySQL,
    /// lock_not_available of PostgreSQL. (Deadlocks, and conflicts that are lost on Galera, are other errors.)
    pub fn is_lock_timeout(&self) -> bool {
        matches!(self.code.as_str(), "1205" | "55P03")
    }
}
