//! The command line: one file per command, its arguments' docs are the help.
//!
//! The only part of sexton that touches the terminal, the environment and signals.

/// A line on stderr. One that nobody takes any more ends no run.
macro_rules! say {
    ($($text:tt)*) => {
        drop(std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($text)*))))
    };
}

/// The same without the end of the line.
macro_rules! tell {
    ($($text:tt)*) => {
        drop(std::io::Write::write_fmt(&mut std::io::stderr(), format_args!($($text)*)))
    };
}

pub(crate) use {say, tell};

mod archive;
mod assets;
mod audit;
mod cells;
mod confirm;
mod database;
mod demo;
mod drop_in;
#[cfg(test)]
mod examples;
mod explain;
mod generate;
mod output;
mod pace;
mod progress;
mod prove;
mod purge;
mod repair;
mod restore;
mod schema;
mod settings;
mod signals;
mod throttles;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode as ProcessExit;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use sexton::error::Error;
use sexton::exit::ExitCode;

/// Looks after soft-deleted rows: audits a database for split families, orphans and rows that
/// cannot be archived, archives families whole, and proves that no fault makes an archiver split one.
///
/// A database is a URL (sqlite:FILE, mysql://..., mysql+pymysql://..., postgresql://...), a SQLite
/// file, or what --config-file names. It may also come from SEXTON_DATABASE, so that a password
/// never has to stand on the command line.
///
/// Every option may also stand in the environment (SEXTON_ARCHIVE_MAX_ROWS) or in the file of --config; see
/// docs/configuration.md.
#[derive(Debug, Parser)]
#[command(name = "sexton", version, about, after_help = exit_codes(), max_term_width = 100)]
struct Cli {
    /// A TOML file with options, in a table for each command. Default: the environment's SEXTON_CONFIG.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Audit(audit::Args),
    Archive(archive::Args),
    Purge(purge::Args),
    Restore(restore::Args),
    Repair(repair::Args),
    Prove(prove::Args),
    Generate(generate::Args),
    Schema(schema::Args),
    Explain(explain::Args),
    #[command(hide = true)]
    Assets(assets::Args),
}

/// Runs the process.
pub(crate) fn main() -> ProcessExit {
    let typed = match drop_in::arguments(std::env::args_os()) {
        Ok(typed) => typed,
        Err(error) => {
            show(&error);
            return ProcessExit::from(drop_in::refusal(&error));
        }
    };
    let typed = plain_help(typed);
    let filled = match settings::fill(&Cli::command(), typed, &settings::environment()) {
        Ok(filled) => filled.keep(),
        Err(error) => return ProcessExit::from(complain(&error)),
    };
    for warning in &filled.warnings {
        say!("sexton: {warning}");
    }
    let cli = match Cli::try_parse_from(&filled.words) {
        Ok(cli) => cli,
        Err(error) => {
            show(&error);
            let code = if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Done
            };
            return code.into();
        }
    };
    let done = match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Archive(args) => archive::run(args),
        Command::Purge(args) => purge::run(args),
        Command::Restore(args) => restore::run(args),
        Command::Repair(args) => repair::run(args),
        Command::Prove(args) => prove::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Assets(args) => assets::run(args),
    };
    match done {
        Ok(code) => ProcessExit::from(code),
        Err(error) => ProcessExit::from(complain(&error)),
    }
}

/// `sexton help --help` and `sexton help archive --help` without their last word, in which clap looks for a command.
fn plain_help(mut typed: Vec<OsString>) -> Vec<OsString> {
    let command = Cli::command();
    let is_group = |word: &OsString| {
        let found = word.to_str().and_then(|w| command.find_subcommand(w));
        found.is_some_and(clap::Command::has_subcommands)
    };
    let at = match typed.get(1) {
        Some(word) if is_group(word) => 2,
        _ => 1,
    };
    if typed.get(at).is_some_and(|word| word == "help") {
        let mut place = 0;
        typed.retain(|word| {
            place += 1;
            place <= at || !(word == "--help" || word == "-h")
        });
    }
    typed
}

/// What to do in place of what clap refuses, where its own words do not say.
fn advice(error: &clap::Error) -> Option<&'static str> {
    let named = |option: &str| {
        error
            .context()
            .any(|(_, value)| value.to_string().contains(option))
    };
    (error.kind() == ErrorKind::ArgumentConflict && named("--purge") && named("--dry-run")).then_some(
        "what --purge empties is what the run moves, too: `sexton archive --dry-run` says what would move, and `sexton \
         purge --all --task-log --dry-run` what would be deleted of what is archived already",
    )
}

/// clap's help or complaint, which repeats what was typed.
fn show(error: &clap::Error) {
    let plain = error.to_string();
    let hidden = without_passwords(&plain, given());
    if hidden == plain {
        drop(error.print());
    } else {
        crate::cli::tell!("{hidden}");
    }
    if let Some(advice) = advice(error) {
        say!("note: {advice}");
    }
    let places = settings::places(&plain);
    if error.use_stderr() && !places.is_empty() {
        say!("note: {}", places.trim_start_matches("; "));
    }
}

/// One line on stderr; the exit code.
fn complain(error: &Error) -> u8 {
    let line = error.to_string() + &settings::places(&error.message);
    crate::cli::say!("sexton: {}", without_passwords(&line, given()));
    error.code as u8
}

/// What was typed, and what stands in its place.
fn given() -> impl Iterator<Item = String> {
    let typed = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    typed.chain(settings::words())
}

/// The text with every URL that was given with a password, and in the wrong place, cut behind its
/// scheme. Where a URL belongs, messages hold its redacted form, which stays.
fn without_passwords(text: &str, arguments: impl Iterator<Item = String>) -> String {
    let mut text = text.to_owned();
    for argument in arguments {
        if let Some((_, rest)) = argument.split_once("://") {
            let login = rest.rsplit_once('@').map_or("", |(login, _)| login);
            if login.contains(':') || rest.contains("password=") {
                text = text.replace(rest, "...");
            }
        }
    }
    text
}

fn exit_codes() -> String {
    let line = |(code, text): (ExitCode, &str)| format!("  {:>2}  {text}", code as u8);
    format!("Exit codes:\n{}", ExitCode::ALL.map(line).join("\n"))
}
