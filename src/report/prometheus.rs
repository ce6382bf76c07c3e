//! Metrics for the textfile collector of Prometheus's node_exporter: what the last run found or did, as gauges.
//!
//! Each sample bears the database, and the file of each command has names of its own, so that the files of several
//! databases and commands can lie in one directory. What a run could not find out has no sample: a 0 would say that
//! there is nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prometheus::{GaugeVec, Opts, Registry, TextEncoder};

use crate::archive::{Outcome, StopReason};
use crate::audit::{AuditReport, Severity};
use crate::error::{Error, Result};

/// Checks whose `count` is a number of families, by the name of a metric of their own.
const FAMILIES: [(&str, &str, &str); 2] = [
    (
        "split-family",
        "sexton_split_families",
        "Families of which a part is in the live tables and a part in the shadow tables",
    ),
    (
        "unarchivable-parent",
        "sexton_unarchivable_parents",
        "Soft-deleted roots that cannot be archived as they are",
    ),
];

/// The metrics of an audit that ended at `at`.
///
/// # Errors
///
/// Exit code 70 if they cannot be written.
pub fn audit_prometheus(report: &AuditReport, at: Timestamp) -> Result<String> {
    let mut metrics = Metrics::new("audit", &report.database)?;
    metrics.moments("sexton_audit", at, report.not_checked.is_empty())?;
    metrics.number(
        "sexton_audit_not_checked",
        "What the last audit could not check",
        report.not_checked.len() as u64,
    )?;
    let missed = |check: &str| {
        let mut gaps = report.not_checked.iter();
        gaps.any(|gap| gap.check == check || gap.check == "all")
    };
    let mut findings: BTreeMap<[&str; 2], (u64, u64)> = BTreeMap::new();
    for check in report.checks.iter().filter(|check| !missed(check)) {
        for severity in [Severity::Error, Severity::Warning, Severity::Note] {
            findings.insert([check.as_str(), severity.as_str()], (0, 0));
        }
    }
    for finding in &report.findings {
        let key = [finding.check.as_str(), finding.severity.as_str()];
        let of = findings.entry(key).or_default();
        *of = (of.0 + 1, of.1 + finding.count);
    }
    let labels = ["check", "severity"];
    metrics.gauge(
        "sexton_findings",
        "Findings of the last audit",
        &labels,
        findings.iter().map(|(key, of)| (*key, of.0 as f64)),
    )?;
    metrics.gauge(
        "sexton_finding_rows",
        "Rows, or roots of families, that the findings of the last audit are about",
        &labels,
        findings.iter().map(|(key, of)| (*key, of.1 as f64)),
    )?;
    for (check, name, help) in FAMILIES {
        let all = findings.iter().filter(|([of, _], _)| *of == check);
        let counts: Vec<_> = all.map(|(_, of)| of.1).collect();
        if !counts.is_empty() {
            metrics.number(name, help, counts.iter().sum())?;
        }
    }
    census(&mut metrics, report)?;
    metrics.text()
}

fn census(metrics: &mut Metrics, report: &AuditReport) -> Result<()> {
    let tables = report.census.iter().flat_map(|census| &census.tables);
    let mut rows = Vec::new();
    let mut backlog = Vec::new();
    let mut oldest = Vec::new();
    for part in tables {
        let table = part.table.as_str();
        rows.push(([table, "live"], part.rows as f64));
        rows.extend(part.archived.map(|n| ([table, "shadow"], n as f64)));
        // A 0 would say that nothing is pending, where nobody can tell.
        let ages = part.ages.classes().into_iter();
        for (age, count) in ages.filter(|_| !part.never_marked) {
            backlog.push(([table, age], count as f64));
        }
        let age = part.oldest_age_seconds;
        oldest.extend(age.map(|seconds| ([table], seconds as f64)));
    }
    metrics.gauge(
        "sexton_rows",
        "Rows in live and shadow tables, soft-deleted ones included",
        &["table", "place"],
        rows,
    )?;
    metrics.gauge(
        "sexton_backlog_rows",
        "Soft-deleted rows in live tables, by how long ago they were deleted",
        &["table", "age"],
        backlog,
    )?;
    metrics.gauge(
        "sexton_oldest_pending_age_seconds",
        "How long ago the oldest row was soft-deleted that is still in the live table",
        &["table"],
        oldest,
    )
}

/// The metrics of an archive run that ended at `at`.
///
/// # Errors
///
/// Exit code 70 if they cannot be written.
pub fn archive_prometheus(outcome: &Outcome, at: Timestamp) -> Result<String> {
    run(outcome, "archive", at)
}

/// The metrics of a purge that ended at `at`.
///
/// # Errors
///
/// Exit code 70 if they cannot be written.
pub fn purge_prometheus(outcome: &Outcome, at: Timestamp) -> Result<String> {
    run(outcome, "purge", at)
}

fn run(outcome: &Outcome, command: &str, at: Timestamp) -> Result<String> {
    let mut metrics = Metrics::new(command, &outcome.database)?;
    let complete = outcome.stopped_because == StopReason::Complete;
    let succeeded = complete && outcome.unreachable.is_empty() && !outcome.dry_run;
    let prefix = format!("sexton_{command}");
    let name = |what: &str| format!("{prefix}_{what}");
    metrics.moments(&prefix, at, succeeded)?;
    for (what, help, count) in [
        (
            "dry_run",
            "Whether the last run wrote nothing, because nothing but that was asked for",
            u64::from(outcome.dry_run),
        ),
        (
            "families",
            "Families that the last run took",
            outcome.families,
        ),
        ("batches", "Transactions of the last run", outcome.batches),
        (
            "statements",
            "Statements of the last run",
            outcome.statements,
        ),
        (
            "retries",
            "Batches of the last run that were tried again",
            outcome.retries,
        ),
        (
            "unreachable_cells",
            "Cells that the last run could not reach or lost",
            outcome.unreachable.len() as u64,
        ),
    ] {
        metrics.number(&name(what), help, count)?;
    }
    for (what, help, label, counts) in [
        (
            "rows",
            "Rows that the last run took, by table",
            "table",
            &outcome.rows,
        ),
        (
            "api_records",
            "Records that the last run removed from the API database, by table",
            "table",
            &outcome.api_records,
        ),
        (
            "blocked_families",
            "Families that the last run had to leave, by reason",
            "reason",
            &outcome.blocked_families,
        ),
    ] {
        let samples = counts.iter().map(|(key, n)| ([key.as_str()], *n as f64));
        metrics.gauge(&name(what), help, &[label], samples)?;
    }
    metrics.gauge(
        &name("duration_seconds"),
        "How long the last run took",
        &[],
        [([], seconds(outcome.elapsed_ms))],
    )?;
    let spent = outcome.spent_ms.iter();
    metrics.gauge(
        &name("spent_seconds"),
        "Where the time of the last run went, by kind of statement, all sessions together",
        &["kind"],
        spent.map(|(kind, ms)| ([kind.as_str()], seconds(*ms))),
    )?;
    metrics.gauge(
        &name("stopped"),
        "1 for the reason for which the last run ended, 0 for all others",
        &["reason"],
        StopReason::ALL.map(|reason| {
            let so = reason == outcome.stopped_because;
            ([reason.name()], f64::from(u8::from(so)))
        }),
    )?;
    metrics.text()
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// Gauges of one database, to be written in the text format.
struct Metrics {
    registry: Registry,
    database: String,
}

impl Metrics {
    fn new(command: &str, database: &str) -> Result<Self> {
        let mut metrics = Self {
            registry: Registry::new(),
            database: database.to_owned(),
        };
        metrics.gauge(
            "sexton_build_info",
            "The sexton that wrote this",
            &["command", "version"],
            [([command, env!("CARGO_PKG_VERSION")], 1.0)],
        )?;
        Ok(metrics)
    }

    /// When the run ended, and that it was a success, if it was. Whoever waits for successes looks at the age of the
    /// second one, or at its absence.
    fn moments(&mut self, prefix: &str, at: Timestamp, succeeded: bool) -> Result<()> {
        let second = at.as_second() as f64;
        self.gauge(
            &format!("{prefix}_last_run_timestamp_seconds"),
            "When the last run ended",
            &[],
            [([], second)],
        )?;
        self.gauge(
            &format!("{prefix}_last_success_timestamp_seconds"),
            "When the last run ended, if it did all that it was to do",
            &[],
            succeeded.then_some(([], second)),
        )
    }

    fn number(&mut self, name: &str, help: &str, number: u64) -> Result<()> {
        self.gauge(name, help, &[], [([], number as f64)])
    }

    /// A gauge with a sample for each set of values of its labels; nothing at all where there are none.
    fn gauge<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str; N],
        samples: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<()> {
        let options = Opts::new(name, help).const_label("database", self.database.as_str());
        let gauge = GaugeVec::new(options, labels).map_err(unwritten)?;
        for (values, value) in samples {
            gauge.with_label_values(&values).set(value);
        }
        self.registry.register(Box::new(gauge)).map_err(unwritten)
    }

    fn text(&self) -> Result<String> {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .map_err(unwritten)
    }
}

fn unwritten(error: prometheus::Error) -> Error {
    Error::internal(format!("metrics cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::NotChecked;

    /// A 0 would say that there is nothing.
    #[test]
    fn a_check_that_could_not_be_made_everywhere_has_no_zeros() {
        let mut report = AuditReport::new("d", "p");
        report.cover("", ["residue", "split-family"]);
        let about = |report: &AuditReport, check: &str| {
            let text = audit_prometheus(report, Timestamp::UNIX_EPOCH).unwrap();
            let of_check = format!("check=\"{check}\"");
            let lines = text.lines().filter(|l| l.contains(&of_check));
            lines.count()
        };
        assert_eq!(
            (about(&report, "residue"), about(&report, "split-family")),
            (6, 6)
        );
        let gap = |check: &str| NotChecked {
            check: check.into(),
            table: None,
            why: "no right to read it".into(),
        };
        report.add(Vec::new(), vec![gap("residue")]);
        assert_eq!(
            (about(&report, "residue"), about(&report, "split-family")),
            (0, 6)
        );
        // This one stands for all of them.
        report.add(Vec::new(), vec![gap("all")]);
        assert_eq!(about(&report, "split-family"), 0);
    }
}
