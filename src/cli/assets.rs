//! `sexton assets`: completions for shells and man pages, as files. For whoever packages sexton, so it is in no help.

use std::fs;
use std::path::PathBuf;

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;

use super::Cli;

/// Write completions for bash, zsh, fish, elvish and PowerShell, and the man pages.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to: into `completions/` and `man/` below it.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let (completions, man) = (
        args.directory.join("completions"),
        args.directory.join("man"),
    );
    let written = || {
        for directory in [&completions, &man] {
            fs::create_dir_all(directory)?;
        }
        for shell in Shell::value_variants() {
            clap_complete::generate_to(*shell, &mut Cli::command(), "sexton", &completions)?;
        }
        clap_mangen::generate_to(Cli::command(), &man)
    };
    written().map_err(|e| {
        Error::usage(format!(
            "cannot write below {}: {e}",
            args.directory.display()
        ))
        .hint("give a directory that can be written to")
    })?;
    Ok(ExitCode::Done as u8)
}
