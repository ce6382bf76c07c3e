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
    /// `audit`: findings, warnings only. `archive`, `purge`: done, but blocked families remain. `repair`: something is
    /// left to do.
    Findings = 1,
    /// `audit`: findings with errors. `prove`: an oracle failed. `schema diff`: not in sync.
    Errors = 2,
    /// Bad command line or argument value.
    Usage = 64,
    /// The data or schema is not what the command needs: no shadow tables, unknown profile, not a
    /// database, a plan that no longer fits. `restore`: a family cannot come back. `prove`: the engine moves nothing, or
    /// does not do the same twice.
    Data = 65,
    /// A database could not be reached or refused, or `audit` or `repair` could not look at something.
    Unavailable = 69,
    /// A fault of sexton's own. `prove`: a fault did not fire.
    Internal = 70,
    /// Stopped early on request (also by an answer that is not yes) or on a budget, or the database was lost; it is consistent; run again to go on.
    Stopped = 75,
}

impl ExitCode {
    /// Every code with the sentence the documentation prints for it.
    pub const ALL: [(ExitCode, &'static str); 8] = [
        (
            ExitCode::Done,
            "done; nothing at or above --fail-on was found but what a baseline or suppressions excuse, all that may move \
             has moved, all oracles held",
        ),
        (
            ExitCode::Findings,
            "audit: warnings only; archive, purge: done, but blocked families remain; repair: something is left to do",
        ),
        (
            ExitCode::Errors,
            "audit: findings with errors; prove: an oracle failed; schema diff: not in sync",
        ),
        (ExitCode::Usage, "bad command line or argument value"),
        (
            ExitCode::Data,
            "the data or schema is not what the command needs (no shadow tables, unknown profile, not a database, a plan \
             that no longer fits); restore: a family cannot come back; prove: nothing moves, the engine does not do the \
             same twice, or a fault or the oracles had nothing to hit or to judge",
        ),
        (
            ExitCode::Unavailable,
            "a database could not be reached or refused, or audit or repair could not look at something",
        ),
        (
            ExitCode::Internal,
            "a fault of sexton's own; prove: a fault did not fire",
        ),
        (
            ExitCode::Stopped,
            "stopped early on request (also by an answer that is not yes) or on a budget, or the database was lost; it is \
             consistent; run again to go on; prove: all oracles held so far",
        ),
    ];
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list of the README is this one, with names as code.
    #[test]
    fn the_readme_has_the_same_sentences() {
        let readme = include_str!("../README.md");
        let (_, table) = readme.split_once("## Exit codes").unwrap();
        let rows = table.lines().filter_map(|line| {
            let (code, sentence) = line
                .strip_prefix("| ")?
                .strip_suffix(" |")?
                .split_once(" | ")?;
            Some((code.parse::<u8>().ok()?, sentence.replace('`', "")))
        });
        let rows: Vec<_> = rows.take(ExitCode::ALL.len()).collect();
        let all = ExitCode::ALL.map(|(code, sentence)| (code as u8, sentence.to_owned()));
        assert_eq!(rows, all);
    }
}
