//! The question before something that is not taken back easily.

use std::io::{BufRead, IsTerminal};

use sexton::error::{Error, Result};
use sexton::exit::ExitCode;

/// Goes on if `yes` was given, or somebody at a terminal agrees. Where there is nobody to ask, `option` must come with
/// `yes`.
///
/// # Errors
///
/// Exit code 64 where nobody can be asked, 75 where the answer is no.
pub(super) fn confirm(yes: bool, option: &str, what: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !is_asked() {
        return Err(Error::usage(format!(
            "{option} asks before it does anything, and there is no terminal to ask at"
        ))
        .hint("give --yes as well, as in a cron job"));
    }
    ask(what)
}

/// Asks where there is somebody to ask, and goes on where there is not: scripts that were written before there was a
/// question go on working.
///
/// # Errors
///
/// Exit code 75 where the answer is no.
pub(super) fn confirm_on_terminal(yes: bool, what: &str) -> Result<()> {
    match yes || !is_asked() {
        true => Ok(()),
        false => ask(what),
    }
}

/// Whether there is somebody to ask.
pub(super) fn is_asked() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn ask(what: &str) -> Result<()> {
    crate::cli::tell!("{what}\nGo on? [y/N] ");
    let mut answer = String::new();
    drop(std::io::stdin().lock().read_line(&mut answer));
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::new(
            ExitCode::Stopped,
            "the answer was not yes, and nothing was changed",
        )
        .hint("answer y to go on")),
    }
}
