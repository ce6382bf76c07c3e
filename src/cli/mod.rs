//! The command line: one file per command, its arguments' docs are the help.
//!
//! The only part of sexton that touches the terminal, the environment and signals.

mod archive;
mod audit;
mod database;
mod demo;
mod generate;
mod output;
mod progress;
mod signals;

use std::process::ExitCode as ProcessExit;

use clap::{Parser, Subcommand};
use sexton::error::Error;
use sexton::exit::ExitCode;

/// Looks after soft-deleted rows: audits a database for split families, orphans and rows that
/// cannot be archived, and archives families whole.
///
/// A database is a URL (sqlite:FILE, mysql://..., mysql+pymysql://..., postgresql://...), a SQLite
/// file, or what --config-file names. It may also come from SEXTON_DATABASE, so that a password
/// never has to stand on the command line.
#[derive(Debug, Parser)]
#[command(name = "sexton", version, about, after_help = exit_codes(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Audit(audit::Args),
    Archive(archive::Args),
    Generate(generate::Args),
}

/// Runs the process.
pub(crate) fn main() -> ProcessExit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
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
        Command::Generate(args) => generate::run(args),
    };
    match done {
        Ok(code) => ProcessExit::from(code),
        Err(error) => ProcessExit::from(complain(&error)),
    }
}

/// One line on stderr; the exit code.
fn complain(error: &Error) -> u8 {
    eprintln!("sexton: {error}");
    error.code as u8
}

fn exit_codes() -> String {
    let line = |(code, text): (ExitCode, &str)| format!("  {:>2}  {text}", code as u8);
    format!("Exit codes:\n{}", ExitCode::ALL.map(line).join("\n"))
}
