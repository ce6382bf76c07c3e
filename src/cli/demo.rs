//! `sexton demo`: a sample Nova database with seeded damage, audited, repaired, archived, audited again; and a glance at
//! what happens to an archive run that is interrupted.

use std::path::PathBuf;
use std::time::Instant;

use sexton::archive::{self, Options, Stop};
use sexton::audit::{self, AuditReport};
use sexton::db::{Access, Session, Target, introspect, open};
use sexton::error::{Error, Result};
use sexton::exit::ExitCode;
use sexton::generate::{self, Damage, Dataset};
use sexton::prove::spec::EngineSpec;
use sexton::prove::{Backend, Campaign, Points, catalogue};
use sexton::repair;
use sexton::report;
use sexton::schema::{FamilyGraph, Profile};

use super::generate::create_file;
use super::output::stdout_paint;

/// Build a sample Nova database with damage, audit it, heal what needs no choice, archive it, audit it again;
/// interrupt the archiver in every way.
///
/// Needs nothing but this program; leaves the database file, and says how to go on with it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Soft-deleted instances in the sample.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    families: u32,
    /// Where to put the sample; default is a new temporary directory.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// The world of the interruptions: the smallest.
const WORLD: &str = "chain";

/// The damage of the sample.
const DAMAGE: [(Damage, u32); 7] = [
    (Damage::Residue, 25),
    (Damage::UnarchivableParent, 4),
    (Damage::SplitFamily, 3),
    (Damage::OrphanedRow, 5),
    (Damage::MissingRequiredChild, 2),
    (Damage::DuplicateInShadow, 2),
    (Damage::InconsistentMarker, 6),
];

/// Runs the command; the exit code.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let (started, paint) = (Instant::now(), stdout_paint());
    let directory = match &args.directory {
        Some(directory) => directory.clone(),
        None => tempfile::Builder::new()
            .prefix("sexton-demo-")
            .tempdir()
            .map_err(|e| {
                Error::unavailable(format!("cannot make a temporary directory: {e}"))
                    .hint("name a directory with --directory")
            })?
            .keep(),
    };
    let path = directory.join("nova.sqlite");
    if path.exists() {
        return Err(Error::usage(format!("{} is already there", path.display()))
            .hint("give an empty directory with --directory"));
    }
    create_file(&path)?;
    let shown = path.display();

    println!(
        "1. A sample Nova database: {} soft-deleted instances, some damage\n",
        args.families
    );
    let target = Target::Sqlite(path.clone());
    let mut session = open(&target, Access::ReadWrite)?;
    generate::create_schema(&mut session, "nova-34.0.0")?;
    let schema = introspect(&mut session)?;
    let dataset = Dataset {
        seed: 1,
        families: args.families,
        live: args.families / 10,
        damage: DAMAGE.to_vec(),
    };
    let generated = generate::generate(&mut session, &schema, &dataset, &mut |_| {})?;
    println!("   {} rows in {shown}\n", generated.total_rows());

    let graph = Profile::detect(&schema).families(&schema)?;
    println!("2. What is wrong with it: sexton audit {shown}\n");
    let before = look(&mut session, &graph)?;
    println!("{}", indent(&report::audit_text(&before, paint)));

    println!("3. Heal what needs no choice: sexton repair --apply {shown}\n");
    let healing = repair::Options {
        apply: true,
        ..repair::Options::default()
    };
    let healed = repair::repair(
        &mut session,
        &graph,
        None,
        &healing,
        &Stop::default(),
        &mut (),
    )?;
    println!("{}", indent(&report::repair_text(&healed, paint)));

    println!("4. Archive all that may move: sexton archive --until-complete {shown}\n");
    let options = Options {
        until_complete: true,
        ..Options::default()
    };
    let outcome = archive::archive(&mut session, &graph, &options, &Stop::default(), &mut ())?;
    println!("{}", indent(&report::archive_text(&outcome, paint)));

    println!("5. What has changed: sexton audit {shown}\n");
    let after = look(&mut session, &graph)?;
    println!("{}", indent(&compare(&before, &after)));

    println!(
        "6. What if it is interrupted: sexton prove --world {WORLD} --faults deciding --no-pairs\n"
    );
    let mut campaign = Campaign::new(Backend::Sqlite, vec![catalogue::world(WORLD)?]);
    campaign.points = Points::Deciding;
    campaign.pairs = false;
    let proved = campaign.run(&EngineSpec::Own, &())?;
    println!("{}", indent(&report::prove_text(&proved, paint)));

    println!("7. Go on with it:\n");
    let program = std::env::current_exe().map_or("sexton".into(), |p| p.display().to_string());
    for command in [
        format!("sexton audit {shown}"),
        format!("sexton audit --check unarchivable-parent --format json {shown}"),
        format!("sexton archive --until-complete --drop-unshadowed share_mapping {shown}"),
        format!("sexton archive --dry-run --until-complete {shown}"),
        "sexton prove --list".to_owned(),
        "sexton --help".to_owned(),
    ] {
        println!("   {}", command.replacen("sexton", &program, 1));
    }
    if proved.exit_code() != ExitCode::Done {
        return Err(Error::internal("an interruption did harm")
            .hint("please report it, with the output above"));
    }
    println!(
        "\nDone in {:.1} s; the sample stays in {shown}",
        started.elapsed().as_secs_f64()
    );
    Ok(ExitCode::Done as u8)
}

fn look(session: &mut Session, graph: &FamilyGraph) -> Result<AuditReport> {
    audit::audit(session, graph, &audit::Options::default())
}

/// Errors and warnings by check, before and after, and why some remain.
fn compare(before: &AuditReport, after: &AuditReport) -> String {
    let count = |report: &AuditReport, check: &str| -> u64 {
        let found = report.findings.iter().filter(|f| f.check == check);
        let serious = found.filter(|f| f.severity != audit::Severity::Note);
        serious.map(|f| f.count).sum()
    };
    let mut lines = vec![format!("{:24} {:>8} {:>8}", "check", "before", "after")];
    for (check, _) in audit::catalogue() {
        let (was, is) = (count(before, check), count(after, check));
        if was + is > 0 {
            let why = match check {
                "split-family" => "brought together by the repair",
                "residue" => "archived with its parent by the repair",
                "inconsistent-marker" => "dated by the repair",
                "duplicate-in-shadow" => {
                    "of copies one went; where two rows differ, decide which is right"
                }
                "unarchivable-parent" => "blocked families stay, and block only themselves",
                "orphaned-row" | "missing-required-child" => {
                    "what has no parent, or lost a child, is for you to judge"
                }
                _ => "",
            };
            lines.push(format!("{check:24} {was:>8} {is:>8}  {why}"));
        }
    }
    lines.join("\n") + "\n"
}

fn indent(text: &str) -> String {
    let lines = text.lines().map(|l| {
        if l.is_empty() {
            String::new()
        } else {
            format!("   {l}")
        }
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}
