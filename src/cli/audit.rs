//! `sexton audit`: what is broken, and what cannot be archived.

mod known;

use std::collections::BTreeMap;

use clap::ValueEnum;
use jiff::Timestamp;
use sexton::archive::Before;
use sexton::audit::upgrade::{self, Database, Upgrade};
use sexton::audit::{
    self, AuditReport, Audited, Cell, Census, NotChecked, Options, Scope, Severity,
};
use sexton::cells::record_tables;
use sexton::db::{Access, Session};
use sexton::error::{Error, Result};
use sexton::report::{self, Families, Paint};
use sexton::schema::{FamilyGraph, Model, Schema};

use super::cells::Unreachable;
use super::database::{DatabaseArgs, of_api, open_with_schema};
use super::output::OutputArgs;
use known::{Known, KnownArgs};

/// Find split families, orphans, soft-deleted rows that cannot be archived, and more.
///
/// Reads only. Every finding says what, where, how many, and what would mend it. What could not be
/// read is listed, and never counts as clean.
///
/// Exit code 0: nothing at or above --fail-on, but for what is known or suppressed. 1: warnings only. 2: errors.
/// 69: a database could not be reached, or a part of it not be read.
#[derive(Debug, clap::Args)]
#[command(after_help = checks())]
pub(crate) struct Args {
    #[command(flatten)]
    databases: DatabaseArgs,
    /// Make only this check; may be given several times.
    #[arg(long = "check", value_name = "CHECK")]
    checks: Vec<String>,
    /// The least severity that makes the exit code other than 0.
    #[arg(long, value_enum, default_value_t = FailOn::Warning)]
    fail_on: FailOn,
    /// How many keys to show for each finding.
    #[arg(long, value_name = "N", default_value_t = 5)]
    samples: usize,
    /// Judge whether the database can go to this release (nova-34, manila-23 ...), and say what to run: five
    /// checks more, one verdict, the commands in order.
    #[arg(long, value_name = "RELEASE")]
    upgrade_to: Option<String>,
    /// With --upgrade-to: most soft-deleted rows that are no finding.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000,
        requires = "upgrade_to"
    )]
    max_deleted_rows: u64,
    /// With --upgrade-to: rows that were soft-deleted longer ago are a finding: 365d, or a date.
    #[arg(
        long,
        value_name = "AGE|DATE",
        default_value = "365d",
        requires = "upgrade_to",
        allow_hyphen_values = true
    )]
    max_deleted_age: String,
    /// Count the rows of every table too, soft-deleted and archived ones, and how old those are that wait to be
    /// moved. Reads every table once from end to end; --format html and prometheus do it anyway.
    #[arg(long)]
    census: bool,
    #[command(flatten)]
    known: KnownArgs,
    /// No progress on stderr, and no word on a file of --baseline or --since that was written for a copy.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs<Format>,
}

/// Report formats of this command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For scripts; carries a `version`.
    Json,
    /// For scripts, a line for each finding.
    Jsonl,
    /// For CI systems: a suite for each check, a test for each finding.
    Junit,
    /// For code scanning and viewers of results: SARIF 2.1.0.
    Sarif,
    /// For the summary of a CI job, or a comment.
    Markdown,
    /// For GitHub Actions: annotations.
    Github,
    /// For people, as a page that needs no network; with a census.
    Html,
    /// For the textfile collector of Prometheus's node_exporter; with a census.
    Prometheus,
}

/// Severities, as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Error,
    Warning,
    Note,
}

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let options = Options {
        checks: args.checks.clone(),
        samples: args.samples,
    };
    let upgrade = upgrade_options(args)?;
    let databases = args.databases.resolve()?;
    let files: Vec<_> = databases.files().collect();
    args.output
        .check(files.iter().copied().chain(args.known.files()))?;
    let known = args.known.read(&files)?;
    let begun = now();
    let mut cells = Vec::new();
    // One of several that is not reached does not keep the others from being looked at.
    let several = databases.cells.len() > 1;
    let mut unreachable = Unreachable::new(several);
    for (name, target) in &databases.cells {
        let opened = databases.open_cell(target, Access::ReadOnly);
        let Some((session, graph)) = unreachable.pass(name, opened)? else {
            continue;
        };
        if graph.members.values().all(|m| m.marker.is_none()) {
            return Err(Error::data(format!(
                "{target} has no soft-deleted rows to speak of: no table has a column deleted, \
                 is_deleted or deleted_at"
            ))
            .hint("check that this is the right database; Nova's API database goes to --api"));
        }
        check_rows(&session)?;
        cells.push((name.clone(), session, graph.as_cleaned_up()));
    }
    unreachable.check(cells.is_empty())?;
    let notices = fit(args, &known, several, &cells)?;
    if !args.quiet {
        for notice in &notices {
            crate::cli::say!("sexton: {notice}");
        }
    }
    let mut api = match &databases.api {
        Some(target) => {
            let opened = open_with_schema(target, Access::ReadOnly);
            let checked = opened.and_then(|(session, schema)| {
                check_rows(&session)?;
                Ok((session, schema))
            });
            Some(checked.map_err(of_api)?)
        }
        None => None,
    };
    let mut report = audit_all(&options, several, &mut cells, api.as_mut())?;
    report.add(Vec::new(), gaps(&unreachable.cells));
    let counted = |format| matches!(format, Format::Html | Format::Prometheus);
    if args.census || args.output.wants(counted) {
        take_census(several, &mut cells, &mut report, begun)?;
    }
    if let Some(options) = &upgrade {
        report.upgrade = Some(judge(
            options,
            several,
            &mut cells,
            api.as_mut(),
            &mut report,
        )?);
    }
    report.audited_at = Some(begun);
    known.apply(&mut report, begun);
    let fail_on = match args.fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
        FailOn::Note => Severity::Note,
    };
    let families = cells.iter().map(|(name, _, graph)| Families {
        prefix: prefix(several, name),
        graph,
    });
    let families: Vec<_> = families.collect();
    let written = args
        .output
        .write(|format, paint| render(&report, &families, format, paint, fail_on));
    written.and(args.known.write(&known, &report, begun))?;
    Ok(report.exit_code(fail_on) as u8)
}

/// Whether what is known beforehand may be of these databases; what is to be said of it.
fn fit(
    args: &Args,
    known: &Known,
    several: bool,
    cells: &[(String, Session, FamilyGraph)],
) -> Result<Vec<String>> {
    let databases: Vec<_> = cells
        .iter()
        .map(|(name, session, _)| Audited::of(name, session))
        .collect();
    let tables = cells.iter().flat_map(|(name, _, graph)| {
        let prefix = prefix(several, name);
        let tables = graph.schema.tables.keys();
        tables.map(move |table| format!("{prefix}{table}"))
    });
    let scope = Scope {
        profile: cells
            .first()
            .map_or("", |(_, _, graph)| &graph.profile.name),
        databases: &databases,
        tables: &tables.collect(),
    };
    known.fit(&args.known, &scope)
}

fn render(
    report: &AuditReport,
    families: &[Families<'_>],
    format: Format,
    paint: Paint,
    fail_on: Severity,
) -> Result<String> {
    Ok(match format {
        Format::Text => report::audit_text(report, paint),
        Format::Json => report::json(report)?,
        Format::Jsonl => report::audit_jsonl(report)?,
        Format::Junit => report::audit_junit(report, fail_on)?,
        Format::Sarif => report::audit_sarif(report)?,
        Format::Markdown => report::audit_markdown(report),
        Format::Github => report::audit_github(report),
        Format::Html => report::audit_html(report, families)?,
        Format::Prometheus => report::audit_prometheus(report, Timestamp::now())?,
    })
}

/// The moment, to the second, as databases keep it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// What stands before the names of a cell's tables.
fn prefix(several: bool, cell: &str) -> String {
    match (several, cell) {
        (false, _) => String::new(),
        (true, "") => "main.".to_owned(),
        (true, cell) => format!("{cell}."),
    }
}

/// Adds a census of all cells to the report.
fn take_census(
    several: bool,
    cells: &mut [(String, Session, FamilyGraph)],
    report: &mut AuditReport,
    at: Timestamp,
) -> Result<()> {
    let mut census = Census::new(at)?;
    for (name, session, graph) in cells {
        let gaps = census.take(session, graph, &prefix(several, name))?;
        report.add(Vec::new(), gaps);
    }
    report.census = Some(census);
    Ok(())
}

fn check_rows(session: &Session) -> Result<()> {
    if session.has_data() {
        return Ok(());
    }
    let label = session.label();
    Err(Error::data(format!(
        "{label} is a dump without rows: nothing in it can be audited"
    ))
    .hint("write it without --no-data or --schema-only; `sexton schema diff` takes it as it is"))
}

/// Cells that were not reached.
fn gaps(unreachable: &BTreeMap<String, String>) -> Vec<NotChecked> {
    let gap = |(cell, why): (&String, &String)| NotChecked {
        check: "all".into(),
        table: None,
        why: format!("cell {cell} was not reached: {why}"),
    };
    unreachable.iter().map(gap).collect()
}

fn audit_all(
    options: &Options,
    several: bool,
    cells: &mut [(String, Session, FamilyGraph)],
    api: Option<&mut (Session, Schema)>,
) -> Result<AuditReport> {
    let labels: Vec<_> = cells.iter().map(|(_, s, _)| s.label().to_owned()).collect();
    let profile = cells
        .first()
        .map_or("", |(_, _, g)| g.profile.name.as_str());
    let mut total = AuditReport::new(labels.join(", "), profile);
    let databases = cells
        .iter()
        .map(|(name, session, _)| Audited::of(name, session));
    total.databases = databases.collect();
    let elsewhere = |c: &String| c == audit::STRANDED || is_of_upgrade(c);
    let only_elsewhere = !options.checks.is_empty() && options.checks.iter().all(elsewhere);
    for (name, session, graph) in cells.iter_mut() {
        if only_elsewhere {
            break;
        }
        let mut part = audit::audit(session, graph, options)?;
        let prefix = prefix(several, name);
        for finding in &mut part.findings {
            finding.table.insert_str(0, &prefix);
        }
        total.cover(&prefix, part.checks.iter().map(String::as_str));
        total.add(part.findings, part.not_checked);
    }
    let wanted = options.checks.is_empty() || options.checks.iter().any(|c| c == audit::STRANDED);
    match api {
        Some((api, schema)) if wanted => {
            let records = cells.iter().find_map(|(_, _, g)| g.profile.api.clone());
            let records = records.ok_or_else(|| {
                Error::usage("--api: the profile of this database knows no API-database records")
                    .hint("leave --api out, or choose the profile with --profile")
            })?;
            record_tables(api.label(), schema, &records)?;
            let mut views: Vec<_> = cells
                .iter_mut()
                .map(|(name, session, graph)| Cell {
                    name: match name.as_str() {
                        "" => session.label().to_owned(),
                        name => name.to_owned(),
                    },
                    session,
                    graph,
                })
                .collect();
            let found = audit::stranded(api, &mut views, &records, options.samples);
            total.cover("", [audit::STRANDED]);
            let gaps = [found.not_checked, found.elsewhere].concat();
            total.add(found.findings, gaps);
        }
        None if options.checks.iter().any(|c| c == audit::STRANDED) => {
            total.add(
                Vec::new(),
                vec![NotChecked {
                    check: audit::STRANDED.into(),
                    table: None,
                    why: "it needs the API database; give it with --api".into(),
                }],
            );
        }
        _ => {}
    }
    Ok(total)
}

/// What `--upgrade-to` asks, if it does.
fn upgrade_options(args: &Args) -> Result<Option<upgrade::Options>> {
    let Some(release) = &args.upgrade_to else {
        let only = args.checks.iter().find(|id| is_of_upgrade(id));
        return match only {
            Some(id) => Err(
                Error::usage(format!("--check {id} needs --upgrade-to RELEASE"))
                    .hint("for example --upgrade-to nova-34"),
            ),
            None => Ok(None),
        };
    };
    // A release that there is not is said before anything is read.
    Model::of_release(release, &Schema::default())?;
    let deleted_since =
        Before::parse(&args.max_deleted_age, Timestamp::now()).map_err(|e| Error {
            message: format!("--max-deleted-age: {}", e.message),
            ..e
        })?;
    Ok(Some(upgrade::Options {
        release: release.clone(),
        checks: args.checks.clone(),
        max_deleted_rows: args.max_deleted_rows,
        deleted_since,
        samples: args.samples,
    }))
}

fn is_of_upgrade(id: &str) -> bool {
    upgrade::CHECKS.iter().any(|(known, _)| *known == id)
}

/// Adds to the report what stands between these databases and the release.
fn judge(
    options: &upgrade::Options,
    several: bool,
    cells: &mut [(String, Session, FamilyGraph)],
    api: Option<&mut (Session, Schema)>,
    report: &mut AuditReport,
) -> Result<Upgrade> {
    let mut databases: Vec<_> = cells
        .iter_mut()
        .map(|(name, session, graph)| Database {
            cell: Some(name.clone()).filter(|name| !name.is_empty()),
            prefix: prefix(several, name),
            session,
            schema: &graph.schema,
            graph: Some(graph),
        })
        .collect();
    if let Some((session, schema)) = api {
        databases.push(Database {
            cell: None,
            prefix: "API.".into(),
            session,
            schema,
            graph: None,
        });
    }
    upgrade::upgrade(&mut databases, options, report)
}

fn checks() -> String {
    let line = |(id, summary): (&str, &str)| format!("  {id:24} {summary}");
    let lines: Vec<_> = audit::catalogue().into_iter().map(line).collect();
    format!(
        "Checks:\n{}\n\n`sexton explain CHECK` prints the page of each.",
        lines.join("\n")
    )
}
