//! Where a report goes: stdout or a file, as text or JSON.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sexton::error::{Error, Result};

/// The output arguments of every command that reports.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// How to write the report.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Where to write the report; default is stdout.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Report formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For scripts; carries a `version`.
    Json,
}

impl OutputArgs {
    /// Writes a report where it belongs.
    pub(crate) fn write(&self, report: &str) -> Result<()> {
        let report = report.trim_end_matches('\n');
        match &self.output {
            None => {
                // A reader that has gone (`| head`) is no fault.
                drop(writeln!(std::io::stdout().lock(), "{report}"));
                Ok(())
            }
            Some(path) => std::fs::write(path, format!("{report}\n")).map_err(|e| {
                Error::usage(format!("cannot write {}: {e}", path.display()))
                    .hint("--output takes the path of a file in a writable directory")
            }),
        }
    }
}
