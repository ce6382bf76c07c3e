//! The exit codes of every command, in one place.
//!
//! Scripts depend on these numbers, so they only ever grow. `--compat nova-manage` is the one
//! exception and has its own codes (see `report::compat`).

/// How a command ended, as a process exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExitCode {
    /// Done; nothing at or above `--fail-on` was found, all that may move has moved, every oracle
    /// held.
    Done = 0,
    /// `audit`: findings, warnings only. `archive`: done, but blocked families remain.
    Findings = 1,
    /// `audit`: findings with errors. `prove`: an oracle failed. `schema diff`: not in sync.
    Errors = 2,
    /// Bad command line or argument value.
    Usage = 64,
    /// The data or schema is not what the command needs: no shadow tables, unknown profile, not a
    /// database. `prove`: the engine moves nothing, or does not do the same twice.
    Data = 65,
    /// A database could not be reached or refused.
    Unavailable = 69,
    /// A fault of sexton's own. `prove`: a fault did not fire.
    Internal = 70,
    /// Stopped early on request or on a budget, or the database was lost; it is consistent; run again to go on.
    Stopped = 75,
}

impl ExitCode {
    /// Every code with the sentence the documentation prints for it.
    pub const ALL: [(ExitCode, &'static str); 8] = [
        (
            ExitCode::Done,
            "done; nothing at or above --fail-on was found (work done or not); prove: all oracles \
             held",
        ),
        (
            ExitCode::Findings,
            "audit: warnings only; archive: done, but blocked families remain",
        ),
        (
            ExitCode::Errors,
            "audit: findings with errors; prove: an oracle failed; schema diff: not in sync",
        ),
        (ExitCode::Usage, "bad command line or argument value"),
        (
            ExitCode::Data,
            "the data or schema is not what the command needs (no shadow tables, unknown profile, \
             not a database); prove: the engine moves nothing, or does not do the same twice",
        ),
        (
            ExitCode::Unavailable,
            "a database could not be reached or refused",
        ),
        (
            ExitCode::Internal,
            "a fault of sexton's own; prove: a fault did not fire",
        ),
        (
            ExitCode::Stopped,
            "stopped early on request or on a budget, or the database was lost; it is consistent; run \
             again to go on; prove: all oracles held so far",
        ),
    ];
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code as u8)
    }
}
