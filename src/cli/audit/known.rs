//! What is known of findings beforehand: the files with a baseline, suppressions and an earlier report.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sexton::audit::{AuditReport, Baseline, Scope, Since, Suppressions};
use sexton::error::{Error, Result};
use sexton::report;

use crate::cli::output::{check, write_file};

/// The arguments that name these files.
#[derive(Debug, clap::Args)]
pub(super) struct KnownArgs {
    /// Findings in this file (of --write-baseline) are known: shown and marked, and no failure as long as they do
    /// not grow.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write what is found to this file, for --baseline. The exit code says what was found all the same.
    #[arg(long, value_name = "FILE")]
    write_baseline: Option<PathBuf>,
    /// Findings that this TOML file names, each with a reason and a last day, are shown as suppressed, and are no
    /// failure until then.
    #[arg(long, value_name = "FILE")]
    suppressions: Option<PathBuf>,
    /// Say what is new, grew, shrank or went away since this earlier report (--format json).
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
}

/// What the files say.
pub(super) struct Known {
    baseline: Option<Baseline>,
    suppressions: Option<Suppressions>,
    since: Option<Since>,
}

impl KnownArgs {
    /// The files that are read.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.baseline, &self.suppressions, &self.since];
        files.into_iter().flatten().map(PathBuf::as_path)
    }

    /// Reads the files, and makes sure that the new baseline can be written. It may take the place of the old one,
    /// and of nothing else that the command reads.
    pub(super) fn read(&self, databases: &[&Path]) -> Result<Known> {
        if let Some(path) = &self.write_baseline {
            let others = [&self.suppressions, &self.since].into_iter().flatten();
            let read: Vec<_> = databases
                .iter()
                .copied()
                .chain(others.map(PathBuf::as_path))
                .collect();
            check("--write-baseline", path, &read)?;
        }
        Ok(Known {
            baseline: read("--baseline", self.baseline.as_deref(), Baseline::parse)?,
            suppressions: read(
                "--suppressions",
                self.suppressions.as_deref(),
                Suppressions::parse,
            )?,
            since: read("--since", self.since.as_deref(), Since::parse)?,
        })
    }

    /// Writes the new baseline, if one is wanted.
    pub(super) fn write(
        &self,
        known: &Known,
        report: &AuditReport,
        moment: Timestamp,
    ) -> Result<()> {
        let Some(path) = &self.write_baseline else {
            return Ok(());
        };
        let baseline = Baseline::of(report, moment, known.baseline.as_ref());
        write_file(path, &report::json(&baseline)?)
    }
}

impl Known {
    /// Whether the files may be of these databases; what is to be said of them.
    pub(super) fn fit(&self, args: &KnownArgs, now: &Scope<'_>) -> Result<Vec<String>> {
        let name = |option: &str, path: &Option<PathBuf>| {
            let path = path.as_deref().map(|p| p.display().to_string());
            format!("{option} {}", path.unwrap_or_default())
        };
        let baseline = match &self.baseline {
            Some(baseline) => baseline.fits(&name("--baseline", &args.baseline), now)?,
            None => None,
        };
        let since = match &self.since {
            Some(since) => since.fits(&name("--since", &args.since), now)?,
            None => None,
        };
        Ok(baseline.into_iter().chain(since).collect())
    }

    /// Marks the findings of an audit that began at that moment.
    pub(super) fn apply(&self, report: &mut AuditReport, moment: Timestamp) {
        if let Some(suppressions) = &self.suppressions {
            suppressions.apply(report, moment.to_zoned(TimeZone::UTC).date());
        }
        if let Some(baseline) = &self.baseline {
            baseline.apply(report);
        }
        if let Some(since) = &self.since {
            since.apply(report);
        }
    }
}

fn read<T>(
    option: &str,
    path: Option<&Path>,
    parse: fn(&str, &str) -> Result<T>,
) -> Result<Option<T>> {
    let Some(path) = path else {
        return Ok(None);
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::usage(format!("{option} {name} cannot be read: {e}"))
            .hint("give the path of a file, or leave the option out")
    })?;
    parse(&text, &name).map(Some)
}
