//! `cargo xtask assets`: completions for shells, and man pages.
//!
//! sexton writes them itself (`sexton assets DIR`), from the definitions that its parser is made of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::install;

/// Writes completions for bash, zsh, fish, elvish and PowerShell, and the man pages.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to: completions/ and man/ are made there anew.
    #[arg(value_name = "DIR", default_value = "target/assets")]
    directory: PathBuf,
}

/// `cargo xtask assets`
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let sh = Shell::new()?;
    let directory = std::env::current_dir()?.join(&args.directory);
    sh.change_dir(install::repository());
    write(&sh, &directory)?;
    println!("xtask: written to {}", directory.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes them into a directory, and takes those of an older sexton away.
pub(crate) fn write(sh: &Shell, directory: &Path) -> Result<()> {
    for part in ["completions", "man"] {
        let part = directory.join(part);
        if part.exists() {
            fs::remove_dir_all(&part).with_context(|| format!("cannot remove {part:?}"))?;
        }
    }
    cmd!(
        sh,
        "cargo run --quiet --package sexton -- assets {directory}"
    )
    .quiet()
    .run()
    .context("sexton cannot write its assets")
}
