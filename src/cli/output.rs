//! Where a report goes: stdout or a file, as text or JSON.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sexton::error::{Error, Result};

/// The output arguments of every command that reports.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// How to write the report.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    file: OutputFile,
}

/// Where a report goes, for commands with formats of their own.
#[derive(Debug, Args)]
pub(crate) struct OutputFile {
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
    /// See [`OutputFile::check`].
    pub(crate) fn check<'p>(&self, read: impl IntoIterator<Item = &'p Path>) -> Result<()> {
        self.file.check(read)
    }

    /// See [`OutputFile::write`].
    pub(crate) fn write(&self, report: &str) -> Result<()> {
        self.file.write(report)
    }
}

impl OutputFile {
    /// A file that another argument names.
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            output: Some(path.to_owned()),
        }
    }

    /// Fails if the report could not be written, so that no command does its work and then cannot
    /// say what it did; or if it would be written over one of the files that the command works on. Leaves a
    /// file that is there as it is, and none where there was none.
    pub(crate) fn check<'p>(&self, read: impl IntoIterator<Item = &'p Path>) -> Result<()> {
        let Some(path) = &self.output else {
            return Ok(());
        };
        if read.into_iter().any(|other| is_same_file(path, other)) {
            let path = path.display();
            return Err(
                Error::usage(format!("--output {path} is what the command works on"))
                    .hint("write the report to a file of its own"),
            );
        }
        let there = path.exists();
        if there && !path.is_file() && !path.is_dir() {
            // A pipe or a device: opening it would already be heard at its other end.
            return Ok(());
        }
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|e| unwritable(path, &e))?;
        if !there {
            drop(std::fs::remove_file(path));
        }
        Ok(())
    }

    /// Writes a report where it belongs.
    pub(crate) fn write(&self, report: &str) -> Result<()> {
        let report = report.trim_end_matches('\n');
        match &self.output {
            None => {
                let mut out = std::io::stdout().lock();
                let written = writeln!(out, "{report}").and_then(|()| out.flush());
                match written {
                    // A reader that has gone (`| head`) is no fault.
                    Err(e) if e.kind() != ErrorKind::BrokenPipe => {
                        Err(unwritable(Path::new("the standard output"), &e))
                    }
                    _ => Ok(()),
                }
            }
            Some(path) => {
                std::fs::write(path, format!("{report}\n")).map_err(|e| unwritable(path, &e))
            }
        }
    }
}

/// Whether two names lead to one file that is there.
fn is_same_file(a: &Path, b: &Path) -> bool {
    let file = |path: &Path| path.metadata().map(|m| (m.dev(), m.ino()));
    matches!((file(a), file(b)), (Ok(a), Ok(b)) if a == b)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::usage(format!("cannot write {}: {error}", path.display()))
        .hint("--output takes the path of a file in a writable directory")
}
