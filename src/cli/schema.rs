//! `sexton schema`: a database against the schema of a release, and diagrams of it.

use std::io::{BufRead, IsTerminal, Write};

use clap::{Subcommand, ValueEnum};
use sexton::db::{Access, Engine, Session, Target, introspect, migration_version};
use sexton::error::{Error, Result};
use sexton::report::{self, DiagramFormat, SchemaReport};
use sexton::schema::compare::Phase;
use sexton::schema::{Model, Profile, Schema};

use super::database::{DatabaseArgs, open_with_schema};
use super::output::{Format, OutputArgs, OutputFile};

/// Hold a database's schema against a release.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Diff(Diff),
    Diagram(Diagram),
}

/// What is missing, extra or different in a database, held against the schema of a release, and the DDL
/// that mends it: expand (while the services run) and contract (after).
///
/// Spellings of one type are one type, and keys, indexes and foreign keys are known by their columns.
/// Reads only, unless --apply is given. Several cells, and the API database (--api), are told one after the
/// other.
///
/// Exit code 0: in sync. 2: not.
#[derive(Debug, clap::Args)]
struct Diff {
    #[command(flatten)]
    databases: DatabaseArgs,
    /// The release: nova-34, nova-34.0.0, manila-23 ... Default is the one whose version the database
    /// bears.
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
    /// Run the statements of this phase, after asking.
    #[arg(long, value_enum, value_name = "PHASE")]
    apply: Option<Apply>,
    /// With --apply: do not ask.
    #[arg(long, requires = "apply")]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Draw the family graph of a database, or of a release: an arrow goes from a child to its parent, whole where
/// the child moves with it, broken where it holds it back.
#[derive(Debug, clap::Args)]
struct Diagram {
    #[command(flatten)]
    databases: DatabaseArgs,
    /// Draw this release in place of a database: nova-34, manila-23 ...
    #[arg(long, value_name = "RELEASE", conflicts_with_all = ["database", "config_file", "cells"])]
    release: Option<String>,
    /// Tables without any reference too.
    #[arg(long)]
    whole: bool,
    /// Mermaid for Markdown, DOT for Graphviz, or a picture.
    #[arg(long, value_enum, default_value_t = Form::Mermaid)]
    format: Form,
    #[command(flatten)]
    output: OutputFile,
}

/// Forms of a diagram.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Mermaid,
    Dot,
    Svg,
}

/// What can be applied: nothing that takes away.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Apply {
    /// What only adds.
    Expand,
}

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    match &args.command {
        Command::Diff(args) => diff(args),
        Command::Diagram(args) => diagram(args),
    }
}

fn diff(args: &Diff) -> Result<u8> {
    let databases = args.databases.resolve()?;
    args.output.check(databases.files())?;
    let cells = databases.cells.iter().map(|(_, target)| target);
    let targets: Vec<_> = cells.chain(&databases.api).collect();
    if args.apply.is_some() && targets.len() > 1 {
        return Err(Error::usage("--apply takes one database")
            .hint("look at all of them without it, then give one after the other"));
    }
    let mut reports = Vec::new();
    for target in targets {
        reports.push(diff_of(args, target)?);
    }
    args.output
        .write(|format, _| match (format, reports.as_slice()) {
            (Format::Text, _) => {
                let texts: Vec<_> = reports.iter().map(report::schema_text).collect();
                Ok(texts.join("\n"))
            }
            (Format::Json, [one]) => report::json(one),
            (Format::Json, many) => report::json(&many),
        })?;
    let worst = reports.iter().map(|report| report.exit_code() as u8).max();
    Ok(worst.unwrap_or(0))
}

/// One database, held against the release.
fn diff_of(args: &Diff, target: &Target) -> Result<SchemaReport> {
    let access = match args.apply {
        None => Access::ReadOnly,
        Some(Apply::Expand) => Access::ReadWrite,
    };
    let (mut session, schema) = open_with_schema(target, access)?;
    if schema.tables.is_empty() {
        return Err(Error::data(format!("{target} has no tables"))
            .hint("check that this is the right database"));
    }
    let model = release(args.release.as_deref(), &mut session, &schema)?;
    let mut report = compare(&mut session, &model, &schema)?;
    if args.apply.is_some() {
        let statements: Vec<String> = report
            .ddl(Phase::Expand)
            .into_iter()
            .map(str::to_owned)
            .filter(|s| !s.starts_with("--"))
            .collect();
        if apply(&statements, &mut session, args.yes)? {
            let schema = introspect(&mut session)?;
            report = compare(&mut session, &model, &schema)?;
        }
    }
    Ok(report)
}

fn diagram(args: &Diagram) -> Result<u8> {
    let graph = match &args.release {
        Some(name) => {
            args.output.check([])?;
            let schema = Model::of_release(name, &Schema::default())?.schema()?;
            Profile::detect(&schema).families(&schema)?
        }
        None => {
            let databases = args.databases.resolve()?;
            args.output.check(databases.files())?;
            let [(_, target)] = databases.cells.as_slice() else {
                return Err(
                    Error::usage("schema diagram takes one database").hint("run it for each cell")
                );
            };
            databases.open_cell(target, Access::ReadOnly)?.1
        }
    };
    let format = match args.format {
        Form::Mermaid => DiagramFormat::Mermaid,
        Form::Dot => DiagramFormat::Dot,
        Form::Svg => DiagramFormat::Svg,
    };
    let text = report::diagram(&graph, args.whole, format)?;
    args.output.write(&text)?;
    Ok(0)
}

/// The model to hold the database against.
fn release(name: Option<&str>, session: &mut Session, schema: &Schema) -> Result<Model> {
    let model = match name {
        Some(name) => Model::of_release(name, schema)?,
        None => {
            let version = migration_version(session, schema)?;
            let models = Model::of_version(version.as_deref().unwrap_or_default(), schema)?;
            models.into_iter().next().ok_or_else(|| {
                let what = match version {
                    Some(version) => {
                        format!("version {version} is of no release that is known here")
                    }
                    None => "the database bears no version of its migrations".to_owned(),
                };
                Error::usage(what).hint("give --release, for example nova-34")
            })?
        }
    };
    model.check_tables(session.label(), schema)?;
    Ok(model)
}

fn compare(session: &mut Session, model: &Model, schema: &Schema) -> Result<SchemaReport> {
    let (label, engine): (String, Engine) = (session.label().to_owned(), session.origin());
    let mut report = SchemaReport::new(&label, model, schema, engine)?;
    report.migration = migration_version(session, schema)?;
    if let Some(version) = &report.migration {
        let at = Model::of_version(version, schema)?;
        report.at = at.iter().map(Model::title).collect();
    }
    Ok(report)
}

/// Runs the statements, if that is wished; whether it was done.
fn apply(statements: &[String], session: &mut Session, yes: bool) -> Result<bool> {
    if statements.is_empty() {
        return Ok(false);
    }
    if !yes {
        let mut terminal = std::io::stderr();
        if !std::io::stdin().is_terminal() || !terminal.is_terminal() {
            return Err(Error::usage(
                "--apply asks before it runs anything, and there is no terminal",
            )
            .hint("look at the statements without --apply, then give --yes"));
        }
        for statement in statements {
            crate::cli::say!("{statement};");
        }
        let these = match statements.len() {
            1 => "this statement".to_owned(),
            many => format!("these {many} statements"),
        };
        crate::cli::tell!("Run {these} on {}? [y/N] ", session.label());
        drop(terminal.flush());
        let mut answer = String::new();
        drop(std::io::stdin().lock().read_line(&mut answer));
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            crate::cli::say!("sexton: nothing was changed");
            return Ok(false);
        }
    }
    for statement in statements {
        session.execute(statement).map_err(|e| {
            let first = statement.lines().next().unwrap_or_default();
            Error::unavailable(format!("{e}, at: {first}"))
                .hint("what ran before it stays; mend this and run again")
        })?;
    }
    Ok(true)
}
