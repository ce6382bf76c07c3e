//! `sexton restore`: brings archived families back to the live tables.

use sexton::archive::{self, Options, Outcome, RowName};
use sexton::db::Access;
use sexton::error::{Error, Result};
use sexton::report;

use super::archive::exit_code;
use super::database::{DatabaseArgs, Databases};
use super::output::{Format, OutputArgs};
use super::progress::Progress;
use super::signals::stop_flag;

/// Bring archived families back from the shadow tables to the live ones, whole and still soft-deleted.
///
/// A family comes back with every row that was archived with it, and with every other family that shares a row with
/// it; what of it is still live stays. All that is named comes back in one transaction, or nothing where anything is in
/// the way: a key that is taken in a live table, a parent that is not there. API-database records are not brought back:
/// archiving has removed them for good.
///
/// Exit code 0: it came back. 65: it did not, and the message says what is in the way, or that it is not in the shadow
/// tables. 75: stopped before it came back, or the database was lost; run again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    databases: DatabaseArgs,
    /// The instance of this uuid. May be given several times.
    #[arg(long = "instance", value_name = "UUID")]
    instances: Vec<String>,
    /// The family of this row, as reports spell it: instances:3. May be given several times.
    ///
    /// Between the values of a key of several columns stands a slash, in the order of its columns; a slash within one of
    /// them is written \/, and a backslash \\. The value of a key of one column is taken as it is.
    #[arg(long = "root", value_name = "TABLE:KEY")]
    roots: Vec<String>,
    /// Print what would come back, and the statements; write nothing and lock nothing.
    #[arg(long)]
    dry_run: bool,
    /// No progress on stderr.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let outcome = restore(args)?;
    let refusal = archive::refusal(&outcome);
    // For people what there is to say of a refusal is one line, on stderr.
    if refusal.is_none() || !args.output.is_text_alone() {
        args.output.write(|format, paint| {
            Ok(match format {
                Format::Text => report::restore_text(&outcome, paint),
                Format::Json => report::json(&outcome)?,
            })
        })?;
    }
    match refusal {
        Some(error) => Err(error),
        None => Ok(exit_code(&outcome) as u8),
    }
}

fn restore(args: &Args) -> Result<Outcome> {
    if args.instances.is_empty() && args.roots.is_empty() {
        return Err(
            Error::usage("restore needs --instance UUID or --root TABLE:KEY")
                .hint("`sexton restore DB --root instances:3` brings the family of that row back"),
        );
    }
    let databases = args.databases.resolve()?;
    args.output.check(databases.files())?;
    let options = Options {
        dry_run: args.dry_run,
        ..Options::default()
    };
    let access = match args.dry_run {
        true => Access::ReadOnly,
        false => Access::ReadWrite,
    };
    let (mut session, graph) = databases.open_cell(only(&databases)?, access)?;
    let roots = args.roots.iter().map(|root| RowName::parse(root, &graph));
    let instances = args.instances.iter();
    let instances = instances.map(|uuid| RowName::instance(uuid, &graph));
    let names = instances.chain(roots).collect::<Result<Vec<_>>>()?;
    let flag = stop_flag("what is in hand")?;
    let stop = archive::Stop::on(&flag);
    let mut progress = Progress::new(args.quiet);
    let outcome = archive::restore(&mut session, &graph, &names, &options, &stop, &mut progress);
    progress.finish();
    outcome
}

/// The database, of which there is to be one: a key names a row of one database alone.
fn only(databases: &Databases) -> Result<&sexton::db::Target> {
    match databases.cells.as_slice() {
        [(_, target)] => Ok(target),
        _ => Err(
            Error::usage("restore works on one database, and several cells were given")
                .hint("give the database of the cell that held the family"),
        ),
    }
}
