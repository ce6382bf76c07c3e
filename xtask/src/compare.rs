//! `cargo xtask compare`: sexton and what others use, on the same generated data, in one run, in turns.
//!
//! [`ground`] makes the databases, one for each engine and round, [`measure`] runs a process and says what it cost,
//! [`archive`] and [`audit`] say who is compared and what sexton must reach.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::install;

mod archive;
mod audit;
pub(crate) mod ground;
mod growth;
mod latency;
mod measure;
mod script;

/// What to compare.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Compare {
    /// Archiving: beside nova-manage, pt-archiver and a set-based script.
    Archive(archive::Args),
    /// Auditing: beside hand-written anti-joins, on SQLite beside PRAGMA foreign_key_check too.
    Audit(audit::Args),
    /// Archive and audit at one size and at ten times that: time and memory.
    Growth(growth::Args),
    /// A writer's transactions beside an archive run, and without one.
    Latency(latency::Args),
}

/// How much data, and where.
#[derive(Debug, clap::Args)]
struct Size {
    /// The database: mariadb, postgres or sqlite.
    #[arg(long, value_enum, default_value = "mariadb")]
    on: ground::Kind,
    /// Soft-deleted instances, about 23 rows each.
    #[arg(long, default_value_t = 2000)]
    families: u32,
    /// How often to measure, the engines in turns; every second time in the opposite order.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
}

/// `cargo xtask compare`
pub(crate) fn run(compare: &Compare) -> Result<ExitCode> {
    let sh = Shell::new()?;
    sh.change_dir(install::repository());
    install::servers(&sh)?;
    install::tools(&sh, &[("/usr/bin/time", "time")])?;
    let met = match compare {
        Compare::Archive(args) => archive::run(&sh, args)?,
        Compare::Audit(args) => audit::run(&sh, args)?,
        Compare::Growth(args) => growth::run(&sh, args)?,
        Compare::Latency(args) => latency::run(&sh, args)?,
    };
    Ok(if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Builds sexton as it is released; its path.
fn sexton(sh: &Shell) -> Result<PathBuf> {
    cmd!(sh, "cargo build --quiet --release --package sexton").run()?;
    Ok(install::repository().join("target/release/sexton"))
}

/// The middle one of the values, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}
