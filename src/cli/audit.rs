//! `sexton audit`: what is broken, and what cannot be archived.

use clap::ValueEnum;
use sexton::audit::{self, AuditReport, Cell, NotChecked, Options, Severity};
use sexton::cells::record_tables;
use sexton::db::{Access, Session, Target};
use sexton::error::{Error, Result};
use sexton::report;
use sexton::schema::FamilyGraph;

use super::database::{DatabaseArgs, of_api, open_with_schema};
use super::output::{Format, OutputArgs};

/// Find split families, orphans, soft-deleted rows that cannot be archived, and more.
///
/// Reads only. Every finding says what, where, how many, and what would mend it. What could not be
/// read is listed, and never counts as clean.
///
/// Exit code 0: nothing at or above --fail-on. 1: warnings only. 2: errors. 69: a database could
/// not be reached, or a part of it not be read.
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
    #[command(flatten)]
    output: OutputArgs,
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
    args.output.check()?;
    let databases = args.databases.resolve()?;
    let mut cells = Vec::new();
    for (name, target) in &databases.cells {
        let (session, graph) = databases.open_cell(target, Access::ReadOnly)?;
        if graph.members.values().all(|m| m.marker.is_none()) {
            return Err(Error::data(format!(
                "{target} has no soft-deleted rows to speak of: no table has a column deleted, \
                 is_deleted or deleted_at"
            ))
            .hint("check that this is the right database; Nova's API database goes to --api"));
        }
        cells.push((name.clone(), session, graph));
    }
    let report = audit_all(&options, &mut cells, databases.api.as_ref())?;
    let text = match args.output.format {
        Format::Text => report::audit_text(&report),
        Format::Json => report::json(&report)?,
    };
    args.output.write(&text)?;
    let fail_on = match args.fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
        FailOn::Note => Severity::Note,
    };
    Ok(report.exit_code(fail_on) as u8)
}

fn audit_all(
    options: &Options,
    cells: &mut [(String, Session, FamilyGraph)],
    api: Option<&Target>,
) -> Result<AuditReport> {
    let several = cells.len() > 1;
    let labels: Vec<_> = cells.iter().map(|(_, s, _)| s.label().to_owned()).collect();
    let profile = cells
        .first()
        .map_or("", |(_, _, g)| g.profile.name.as_str());
    let mut total = AuditReport::new(labels.join(", "), profile);
    let only_stranded =
        !options.checks.is_empty() && options.checks.iter().all(|c| c == audit::STRANDED);
    for (name, session, graph) in cells.iter_mut() {
        if only_stranded {
            break;
        }
        let mut part = audit::audit(session, graph, options)?;
        if several {
            let name = if name.is_empty() { "main" } else { name };
            for finding in &mut part.findings {
                finding.table = format!("{name}.{}", finding.table);
            }
        }
        total.add(part.findings, part.not_checked);
    }
    let wanted = options.checks.is_empty() || options.checks.iter().any(|c| c == audit::STRANDED);
    match api {
        Some(target) if wanted => {
            let records = cells.iter().find_map(|(_, _, g)| g.profile.api.clone());
            let records = records.ok_or_else(|| {
                Error::usage("--api: the profile of this database knows no API-database records")
                    .hint("leave --api out, or choose the profile with --profile")
            })?;
            let (mut api, schema) = open_with_schema(target, Access::ReadOnly).map_err(of_api)?;
            record_tables(api.label(), &schema, &records)?;
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
            let found = audit::stranded(&mut api, &mut views, &records, options.samples);
            total.add(found.findings, found.not_checked);
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

fn checks() -> String {
    let line = |(id, summary): (&str, &str)| format!("  {id:24} {summary}");
    let lines: Vec<_> = audit::catalogue().into_iter().map(line).collect();
    format!(
        "Checks:\n{}\n\ndocs/checks/ has a page for each.",
        lines.join("\n")
    )
}
