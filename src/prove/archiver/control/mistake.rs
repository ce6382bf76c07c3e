//! The known mistakes, with the oracle that has to see each.

use std::fmt;
use std::str::FromStr;

use crate::db::Engine;
use crate::error::Error;
use crate::prove::oracle::Oracle;

/// A mistake that archive engines make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mistake {
    /// Nova before bug 1837995 was mended.
    ChildFirst,
    /// A commit after each table of a family.
    CommitPerTable,
    /// A failed copy does not keep it from deleting.
    SwallowLockTimeout,
    /// A copy that was killed in its middle does not keep it from deleting.
    SwallowKill,
    /// It deletes by a condition instead of by the keys that it copied.
    RequeryPredicate,
    /// It reads a family before the transaction that moves it, and does not look again.
    StaleFamily,
    /// It pages by OFFSET through what it removes.
    OffsetPaging,
    /// It repeats a batch whose COMMIT was not answered, without a look.
    BlindRetry,
    /// It switches foreign keys off, and no longer hears of children that it does not know.
    ForeignKeysOff,
    /// It copies only the columns that it knows.
    NullColumns,
    /// What cannot be archived stays, what hangs on it goes.
    SkipBlockedParent,
    /// One transaction over two SQLite files in WAL mode.
    AttachWal,
    /// The API records go before the rows that they are about.
    ApiFirst,
    /// Each run changes what earlier ones archived.
    NotIdempotent,
    /// It notes where it is and believes the note after a crash.
    GivesUp,
    /// In one table it does not ask for the marker.
    LiveRows,
    /// It counts what it copied, also what was rolled back.
    Miscounts,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::ChildFirst,
        Self::CommitPerTable,
        Self::SwallowLockTimeout,
        Self::SwallowKill,
        Self::RequeryPredicate,
        Self::StaleFamily,
        Self::OffsetPaging,
        Self::BlindRetry,
        Self::ForeignKeysOff,
        Self::NullColumns,
        Self::SkipBlockedParent,
        Self::AttachWal,
        Self::ApiFirst,
        Self::NotIdempotent,
        Self::GivesUp,
        Self::LiveRows,
        Self::Miscounts,
    ];

    /// The name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChildFirst => "child-first",
            Self::CommitPerTable => "commit-per-table",
            Self::SwallowLockTimeout => "swallow-lock-timeout",
            Self::SwallowKill => "swallow-kill",
            Self::RequeryPredicate => "requery-predicate",
            Self::StaleFamily => "stale-family",
            Self::OffsetPaging => "offset-paging",
            Self::BlindRetry => "blind-retry",
            Self::ForeignKeysOff => "foreign-keys-off",
            Self::NullColumns => "null-columns",
            Self::SkipBlockedParent => "skip-blocked-parent",
            Self::AttachWal => "attach-wal",
            Self::ApiFirst => "api-first",
            Self::NotIdempotent => "not-idempotent",
            Self::GivesUp => "gives-up",
            Self::LiveRows => "live-rows",
            Self::Miscounts => "miscounts",
        }
    }

    /// One line for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::ChildFirst => {
                "archives table by table, children first, each in transactions of its own"
            }
            Self::CommitPerTable => "archives family by family and commits after each table",
            Self::SwallowLockTimeout => "deletes although the copy met a lock timeout",
            Self::SwallowKill => "deletes although the copy was killed in its middle",
            Self::RequeryPredicate => "deletes by a condition, not by the keys that it copied",
            Self::StaleFamily => "reads a family before the transaction that moves it",
            Self::OffsetPaging => "pages by OFFSET through rows that it moves away",
            Self::BlindRetry => "repeats a batch whose COMMIT was not answered, without a look",
            Self::ForeignKeysOff => {
                "switches foreign keys off and leaves behind children that are not marked"
            }
            Self::NullColumns => "does not copy a column that it does not know",
            Self::SkipBlockedParent => "skips a parent that is blocked and archives its children",
            Self::AttachWal => "commits over two attached SQLite files in WAL mode",
            Self::ApiFirst => "deletes API records before it moves the rows that they are about",
            Self::NotIdempotent => "stamps what lies in the shadow tables anew at each run",
            Self::GivesUp => "notes in a file where it is and passes over that after a crash",
            Self::LiveRows => "does not ask for the marker in one of the tables",
            Self::Miscounts => "counts rows as it copies them, also those that were rolled back",
        }
    }

    /// The oracle that has to see it. Others may, too.
    pub fn caught_by(self) -> Oracle {
        match self {
            Self::ChildFirst
            | Self::CommitPerTable
            | Self::StaleFamily
            | Self::ForeignKeysOff
            | Self::SkipBlockedParent => Oracle::Whole,
            Self::SwallowLockTimeout
            | Self::SwallowKill
            | Self::RequeryPredicate
            | Self::NullColumns
            | Self::AttachWal => Oracle::Conserved,
            Self::GivesUp => Oracle::Convergent,
            Self::NotIdempotent => Oracle::Idempotent,
            Self::LiveRows => Oracle::Untouched,
            Self::OffsetPaging | Self::BlindRetry | Self::Miscounts => Oracle::Truthful,
            Self::ApiFirst => Oracle::ApiConsistent,
        }
    }

    /// Whether it is one on this database engine.
    pub fn runs_on(self, engine: Engine) -> bool {
        self != Self::AttachWal || engine == Engine::Sqlite
    }

    /// The world of the catalogue that shows it best.
    pub fn world(self) -> &'static str {
        match self {
            Self::SkipBlockedParent => "no-shadow",
            Self::StaleFamily => "guarded",
            Self::ApiFirst => "nova",
            _ => "chain",
        }
    }

    /// Whether a run that nothing disturbs does no harm: only a fault, or a concurrent writer, brings
    /// it to light.
    pub fn needs_disturbance(self) -> bool {
        matches!(
            self,
            Self::SwallowLockTimeout
                | Self::SwallowKill
                | Self::RequeryPredicate
                | Self::StaleFamily
                | Self::BlindRetry
                | Self::AttachWal
                | Self::GivesUp
                | Self::Miscounts
        )
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mistake {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|m| m.name() == text);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::usage(format!("unknown control '{text}'")).hint(format!("known are {names}"))
        })
    }
}
