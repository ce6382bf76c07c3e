//! Where reports go: stdout or a file, in the form that was asked for, and further files in other forms.

use std::fs::{OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use sexton::archive::Outcome;
use sexton::error::{Error, Result};
use sexton::report::{self, Deed, Paint};
use tempfile::NamedTempFile;

/// The forms of a command's report.
pub(crate) trait Form: ValueEnum + Copy + std::fmt::Debug + Send + Sync + 'static {}

impl<F: ValueEnum + Copy + std::fmt::Debug + Send + Sync + 'static> Form for F {}

/// The output arguments of every command that reports.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs<F: Form = Format> {
    /// How to write the report.
    #[arg(long, value_enum, default_value = "text")]
    format: F,
    #[command(flatten)]
    file: OutputFile,
    /// Write the report in this format to this file as well; may be given several times. The formats are those of
    /// --format.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = Further::<F>::parse)]
    report: Vec<Further<F>>,
}

/// Where a report goes, for commands with formats of their own.
#[derive(Debug, Args)]
pub(crate) struct OutputFile {
    /// Where to write the report; default is stdout.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A report beside the main one.
#[derive(Debug, Clone)]
struct Further<F> {
    format: F,
    path: PathBuf,
}

/// Report formats of commands that have no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For scripts; carries a `version`.
    Json,
}

/// Report formats of archive and purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunFormat {
    /// For people.
    Text,
    /// For scripts; carries a `version`.
    Json,
    /// For scripts, a line for each table and each blocked family.
    Jsonl,
    /// For the summary of a CI job, or a ticket.
    Markdown,
    /// For GitHub Actions: blocked families as warnings.
    Github,
    /// For people, as a page that needs no network.
    Html,
    /// For the textfile collector of Prometheus's node_exporter.
    Prometheus,
}

impl RunFormat {
    /// What a run did, in this form.
    pub(crate) fn render(self, outcome: &Outcome, deed: Deed, paint: Paint) -> Result<String> {
        Ok(match (self, deed) {
            (Self::Text, Deed::Archive) => report::archive_text(outcome, paint),
            (Self::Text, Deed::Purge) => report::purge_text(outcome, paint),
            (Self::Json, _) => report::json(outcome)?,
            (Self::Jsonl, _) => report::archive_jsonl(outcome)?,
            (Self::Markdown, _) => report::archive_markdown(outcome, deed),
            (Self::Github, _) => report::archive_github(outcome, deed),
            (Self::Html, _) => report::archive_html(outcome, deed, Timestamp::now()),
            (Self::Prometheus, Deed::Archive) => {
                report::archive_prometheus(outcome, Timestamp::now())?
            }
            (Self::Prometheus, Deed::Purge) => report::purge_prometheus(outcome, Timestamp::now())?,
        })
    }
}

impl<F: Form> Further<F> {
    fn parse(text: &str) -> Result<Self, String> {
        let Some((format, path)) = text.split_once('=').filter(|(_, path)| !path.is_empty()) else {
            return Err("it is FORMAT=FILE, as in json=report.json".into());
        };
        let format = F::from_str(format, false).map_err(|_| {
            let known = F::value_variants()
                .iter()
                .filter_map(|f| f.to_possible_value());
            let names: Vec<_> = known.map(|v| v.get_name().to_owned()).collect();
            format!("no format '{format}'; there are {}", names.join(", "))
        })?;
        let path = path.into();
        Ok(Self { format, path })
    }
}

impl<F: Form> OutputArgs<F> {
    /// Fails if a report could not be written, see [`check`], or two of them would go to one file.
    pub(crate) fn check<'p>(&self, read: impl IntoIterator<Item = &'p Path>) -> Result<()> {
        let read: Vec<_> = read.into_iter().collect();
        self.file.check(read.iter().copied())?;
        let mut taken: Vec<&Path> = self.file.output.iter().map(PathBuf::as_path).collect();
        for further in &self.report {
            let path = further.path.as_path();
            check("--report", path, &read)?;
            if taken
                .iter()
                .any(|other| *other == path || is_same_file(other, path))
            {
                let message = format!("--report: {} is to hold two reports", path.display());
                return Err(Error::usage(message).hint("give each a file of its own"));
            }
            taken.push(path);
        }
        Ok(())
    }

    /// Whether the report goes anywhere in one of these forms.
    pub(crate) fn wants(&self, is_one: impl Fn(F) -> bool) -> bool {
        let further = self.report.iter().map(|further| further.format);
        std::iter::once(self.format).chain(further).any(is_one)
    }

    /// Writes a text that has one form only.
    pub(crate) fn write_as_it_is(&self, text: &str) -> Result<()> {
        self.file.write(text)
    }

    /// Writes the report in every form that was asked for. Where one cannot be written the others are all the
    /// same.
    pub(crate) fn write(&self, render: impl Fn(F, Paint) -> Result<String>) -> Result<()> {
        let paint = match self.file.output {
            None => stdout_paint(),
            Some(_) => Paint::Plain,
        };
        let main = render(self.format, paint).and_then(|text| self.file.write(&text));
        let further = self.report.iter().map(|further| {
            let text = render(further.format, Paint::Plain)?;
            write_file(&further.path, &text)
        });
        let further: Vec<_> = further.collect();
        std::iter::once(main).chain(further).collect()
    }
}

impl OutputArgs<Format> {
    /// Whether nothing but text for people was asked for.
    pub(crate) fn is_text_alone(&self) -> bool {
        self.format == Format::Text && self.report.is_empty()
    }
}

impl OutputFile {
    /// A file that another argument names.
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            output: Some(path.to_owned()),
        }
    }

    /// See [`check`].
    pub(crate) fn check<'p>(&self, read: impl IntoIterator<Item = &'p Path>) -> Result<()> {
        let read: Vec<_> = read.into_iter().collect();
        match &self.output {
            Some(path) => check("--output", path, &read),
            None => Ok(()),
        }
    }

    /// Writes a report where it belongs.
    pub(crate) fn write(&self, report: &str) -> Result<()> {
        let Some(path) = &self.output else {
            let report = report.trim_end_matches('\n');
            let mut out = std::io::stdout().lock();
            let written = writeln!(out, "{report}").and_then(|()| out.flush());
            return match written {
                // A reader that has gone (`| head`) is no fault.
                Err(e) if e.kind() != ErrorKind::BrokenPipe => {
                    Err(unwritable(Path::new("the standard output"), &e))
                }
                _ => Ok(()),
            };
        };
        write_file(path, report)
    }
}

/// Fails if a file could not be written, so that no command does its work and then cannot say what it did; or if
/// it would be written over one of the files that the command works on. Leaves a file that is there as it is,
/// and none where there was none. `option` names it in messages.
pub(crate) fn check(option: &str, path: &Path, read: &[&Path]) -> Result<()> {
    if read.iter().any(|other| is_same_file(path, other)) {
        let path = path.display();
        return Err(
            Error::usage(format!("{option} {path} is what the command works on"))
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

/// Writes a file in one piece: whoever reads it sees all of the old one or all of the new one. Where no other file may
/// be made beside it, it is written in place.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<()> {
    let text = format!("{}\n", text.trim_end_matches('\n'));
    let written = match beside(path) {
        None => std::fs::write(path, text),
        Some((path, mut file)) => file
            .write_all(text.as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .and_then(|()| match file.persist(&path) {
                Ok(_) => Ok(()),
                // A single file that is mounted there, for one, cannot be replaced.
                Err(_) => std::fs::write(&path, text),
            }),
    };
    written.map_err(|e| unwritable(path, &e))
}

/// The file that a name leads to, and a new one that may take its place; nothing for a pipe or a device, or where
/// none can be made.
fn beside(path: &Path) -> Option<(PathBuf, NamedTempFile)> {
    if path.exists() && !path.is_file() {
        return None;
    }
    // A link stays one.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    // The permissions are those of the file that is there; of a new one what the umask leaves.
    let mode = path.metadata().map_or(0o666, |m| m.permissions().mode());
    let file = tempfile::Builder::new()
        .prefix(".sexton-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory.unwrap_or(Path::new(".")))
        .ok()?;
    Some((path, file))
}

/// Whether the standard output shows colours: a terminal does, unless `NO_COLOR` is set, and `CLICOLOR_FORCE`
/// makes everything one.
pub(crate) fn stdout_paint() -> Paint {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => Paint::Plain,
        _ => Paint::Colour,
    }
}

/// Whether two names lead to one file that is there.
fn is_same_file(a: &Path, b: &Path) -> bool {
    let file = |path: &Path| path.metadata().map(|m| (m.dev(), m.ino()));
    matches!((file(a), file(b)), (Ok(a), Ok(b)) if a == b)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::usage(format!("cannot write {}: {error}", path.display()))
        .hint("give the path of a file in a writable directory")
}
