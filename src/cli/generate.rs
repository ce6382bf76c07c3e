//! `sexton generate`: a synthetic dataset with chosen damage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sexton::db::{Access, Session, SqliteDriver, SqliteMode, Target, introspect, open};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::generate::{self, Cell, Damage, Dataset};
use sexton::plural::several;
use sexton::report;

use super::output::{Format, OutputArgs};

/// Write synthetic Nova data into a database, the same for the same seed on every engine.
///
/// An empty database gets the schema of --model first; a SQLite file is created if it is not
/// there. A database that has Nova's tables is filled as it is. Never point it at a database in
/// use.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database: a URL or a SQLite file. Default: the environment's SEXTON_DATABASE.
    #[arg(value_name = "DB")]
    database: String,
    /// The API database, to get the records about the instances.
    #[arg(long, value_name = "DB")]
    api: Option<String>,
    /// Soft-deleted instances, about 22 rows each.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    families: u32,
    /// Live instances.
    #[arg(long, value_name = "N", default_value_t = 100)]
    live: u32,
    /// What the data is made from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Plant exactly N cases of what an audit check finds; may be given several times.
    #[arg(long, value_name = "CHECK=N", value_parser = Damage::parse_count)]
    damage: Vec<(Damage, u32)>,
    /// The schema for an empty database.
    #[arg(long, value_name = "MODEL", default_value = "nova-34.0.0")]
    model: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// What was written, for scripts.
#[derive(Debug, serde::Serialize)]
struct Written {
    version: u32,
    database: String,
    seed: u64,
    rows: BTreeMap<String, u64>,
    total_rows: u64,
    api_rows: BTreeMap<String, u64>,
    damage: BTreeMap<String, Vec<String>>,
    elapsed_ms: u64,
}

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let started = std::time::Instant::now();
    if args.api.is_none()
        && let Some((damage, _)) = args.damage.iter().find(|(d, _)| d.needs_api())
    {
        return Err(
            Error::usage(format!("--damage {damage} needs the API database"))
                .hint("give it with --api"),
        );
    }
    // Before anything is made.
    let apis = args.api.iter().map(|_| format!("{}-api", args.model));
    generate::check_model(&args.model, "main")?;
    apis.into_iter()
        .try_for_each(|name| generate::check_model(&name, "api"))?;
    let target: Target = args.database.parse()?;
    let api: Option<Target> = args.api.as_deref().map(str::parse).transpose()?;
    let files = std::iter::once(&target)
        .chain(&api)
        .filter_map(|t| match t {
            Target::Sqlite(path) => Some(path.as_path()),
            _ => None,
        });
    args.output.check(files)?;
    let dataset = Dataset {
        seed: args.seed,
        families: args.families,
        live: args.live,
        damage: args.damage.clone(),
    };
    let mut made = Made::default();
    let mut session = ready(&target, &args.model, &mut made)?;
    let schema = introspect(&mut session)?;
    let generated = generate::generate(&mut session, &schema, &dataset, &mut |_| {})?;
    let mut written = Written {
        version: 1,
        database: target.redacted(),
        seed: args.seed,
        total_rows: generated.total_rows(),
        api_rows: BTreeMap::new(),
        damage: names(&generated.damage),
        rows: generated.rows.clone(),
        elapsed_ms: 0,
    };
    if let Some(api) = &api {
        let mut session = ready(api, &format!("{}-api", args.model), &mut made)?;
        let schema = introspect(&mut session)?;
        let connection = target.redacted();
        let cell = Cell {
            name: "cell1",
            connection: &connection,
            cell0_connection: "none:///",
        };
        let records =
            generate::generate_api(&mut session, &schema, &generated, &cell, &mut |_| {})?;
        written.api_rows = records.rows;
        written.damage.extend(names(&records.damage));
    }
    made.keep();
    written.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    args.output.write(|format, _| match format {
        Format::Json => report::json(&written),
        Format::Text => Ok(text(&written)),
    })?;
    Ok(ExitCode::Done as u8)
}

/// Files that were not there: they go again if what they were made for fails. A part of a dataset is none.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Made {
    fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            drop(std::fs::remove_file(path));
        }
    }
}

/// Opens the database, with a schema in it.
fn ready(target: &Target, model: &str, made: &mut Made) -> Result<Session> {
    if let Target::Sqlite(path) = target {
        if !path.exists() {
            made.0.push(path.clone());
        }
        create_file(path)?;
    }
    let mut session = open(target, Access::ReadWrite)?;
    generate::create_schema(&mut session, model)?;
    Ok(session)
}

/// Creates an empty SQLite file where there is none.
pub(crate) fn create_file(path: &Path) -> Result<()> {
    if !path.exists() {
        SqliteDriver::open(path, SqliteMode::Create).map_err(|e| {
            Error::unavailable(format!("{} cannot be made: {}", path.display(), e.message))
                .hint("name a file in a directory that is there and writable")
        })?;
    }
    Ok(())
}

fn names(damage: &BTreeMap<Damage, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    damage
        .iter()
        .map(|(d, roots)| (d.to_string(), roots.clone()))
        .collect()
}

fn text(written: &Written) -> String {
    let mut lines: Vec<String> = written
        .rows
        .iter()
        .chain(&written.api_rows)
        .map(|(table, count)| format!("  {table:40} {count:>10}"))
        .collect();
    for (damage, places) in &written.damage {
        let shown: Vec<_> = places.iter().take(5).cloned().collect();
        let more = if places.len() > shown.len() {
            " ..."
        } else {
            ""
        };
        lines.push(format!(
            "  damage {damage}={}: {}{more}",
            places.len(),
            shown.join(", ")
        ));
    }
    lines.push(format!(
        "{}: {} from seed {} in {} ms.",
        written.database,
        several(written.total_rows, "row"),
        written.seed,
        written.elapsed_ms
    ));
    lines.join("\n")
}
