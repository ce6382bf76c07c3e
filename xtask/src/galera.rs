//! `cargo xtask galera`: archive runs on a real three-node cluster whose nodes are killed and parted from the others.
//!
//! A round is one `sexton archive` through the first node, with or without the others to turn to, while another node
//! takes writes; at a random moment a node is killed or isolated. Then the survivors are asked: every row is in the
//! live or in the shadow table as it was, no family is split, and a run that said it was done has left nothing.

use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sexton::archive::{self, Options, Stop};
use sexton::audit;
use sexton::db::{Access, Session, Target, introspect, open};
use sexton::schema::{FamilyGraph, Profile};
use sexton::server::{GaleraCluster, PrivateGalera};
use xshell::{Shell, cmd};

use self::digest::{Digest, digest};
use crate::compare::ground;
use crate::install;

#[path = "../../tests/support/digest.rs"]
mod digest;

const DATABASE: &str = "nova";

/// Kills and isolates nodes of a Galera cluster while sexton archives on it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many runs are disturbed.
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// Soft-deleted instances of a dataset; when they have been moved there is a new one.
    #[arg(long, default_value_t = 4000)]
    families: u32,
    /// What the moments are chosen from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What is done to the cluster.
#[derive(Debug, Clone, Copy)]
struct Fault {
    kill: bool,
    /// The node, of which the first is the one that sexton begins with.
    node: usize,
    /// Whether sexton knows the other nodes.
    others: bool,
    after: Duration,
}

/// What the runs came to.
#[derive(Debug, Default)]
struct Tally {
    kills: u32,
    isolations: u32,
    done: u32,
    stopped: u32,
    went_on: u32,
    late: u32,
    writes: u64,
}

/// `cargo xtask galera`
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let sh = Shell::new()?;
    sh.change_dir(install::repository());
    install::servers(&sh)?;
    cmd!(sh, "cargo build --quiet --release --package sexton").run()?;
    // A killed process leaves what it wrote to the memory of the machine; nothing here asks for more.
    let mut cluster = PrivateGalera::new()
        .argument("--innodb-flush-log-at-trx-commit=2")
        .start(3)?;
    let mut random = args.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut left = 0;
    for round in 1..=args.rounds {
        if left == 0 {
            fill(&mut cluster, args.families)?;
        }
        let fault = Fault {
            kill: next(2) == 0,
            node: if next(3) == 0 { 1 } else { 0 },
            others: next(3) != 0,
            after: Duration::from_millis(50 + next(1500)),
        };
        left = disturbed(&mut cluster, fault, &mut tally)
            .with_context(|| format!("round {round}: {fault:?}"))?;
        if round % 10 == 0 {
            println!(
                "{round} rounds, {:.0} s: {tally:?}",
                begun.elapsed().as_secs_f64()
            );
        }
    }
    println!(
        "{} disturbed runs in {:.0} s: {} nodes killed, {} isolated (in {} the run was over before); {} runs went on \
         at another node, {} stopped with 75, {} said that they were done, beside {} writes: 0 split families, 0 rows \
         lost or changed, 0 false \"done\"",
        args.rounds,
        begun.elapsed().as_secs_f64(),
        tally.kills,
        tally.isolations,
        tally.late,
        tally.went_on,
        tally.stopped,
        tally.done,
        tally.writes,
    );
    Ok(ExitCode::SUCCESS)
}

fn session(cluster: &GaleraCluster, node: usize) -> Result<(Session, FamilyGraph)> {
    let target: Target = cluster.url(node, DATABASE).parse()?;
    let mut session = open(&target, Access::ReadWrite)?;
    // What was committed at another node is to be seen.
    session.execute("SET SESSION wsrep_sync_wait = 15")?;
    let schema = introspect(&mut session)?;
    let graph = Profile::detect(&schema).families(&schema)?;
    Ok((session, graph))
}

/// A new dataset in place of the old one.
fn fill(cluster: &mut GaleraCluster, families: u32) -> Result<()> {
    cluster.execute(0, &format!("DROP DATABASE IF EXISTS {DATABASE}"))?;
    cluster.create_database(DATABASE)?;
    let target: Target = cluster.url(0, DATABASE).parse()?;
    let mut session = open(&target, Access::ReadWrite)?;
    ground::fill(&mut session, families)?;
    // What no archiver may touch, for the writer at the other node.
    session
        .execute("CREATE TABLE written (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(36))")?;
    Ok(())
}

/// One run with a fault in it; how many rows may still move.
fn disturbed(cluster: &mut GaleraCluster, fault: Fault, tally: &mut Tally) -> Result<u64> {
    let (mut before, graph) = session(cluster, 2)?;
    let expected = digest(&mut before, &graph)?;
    drop(before);
    let mut command = Command::new(install::repository().join("target/release/sexton"));
    command.args([
        "archive",
        "--until-complete",
        "--max-rows",
        "400",
        "--run-time",
        "2500ms",
    ]);
    command.args(["--output", "/dev/null", "--db", &cluster.url(0, DATABASE)]);
    if fault.others {
        for node in [1, 2] {
            command.args(["--db", &cluster.url(node, DATABASE)]);
        }
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let stop = AtomicBool::new(false);
    let url = cluster.url(2, DATABASE);
    let (output, over, written) = thread::scope(|scope| {
        let writer = scope.spawn(|| write(&url, &stop));
        let run = command.spawn().context("cannot run sexton");
        let ended = run.and_then(|mut child| {
            thread::sleep(fault.after);
            let over = child.try_wait()?.is_some();
            match fault.kill {
                true => cluster.kill(fault.node)?,
                false => cluster.isolate(fault.node, true)?,
            }
            Ok((child.wait_with_output()?, over))
        });
        stop.store(true, Ordering::Relaxed);
        let written = writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"));
        let (output, over) = ended?;
        Ok::<_, anyhow::Error>((output, over, written??))
    })?;
    match fault.kill {
        true => tally.kills += 1,
        false => tally.isolations += 1,
    }
    tally.late += u32::from(over);
    tally.writes += written;
    let survivor = 2;
    let (mut after, graph) = session(cluster, survivor)?;
    let left = judge(&mut after, &graph, &expected, &output, tally)?;
    match fault.kill {
        true => cluster.restart(fault.node)?,
        false => cluster.isolate(fault.node, false)?,
    }
    cluster.wait_until_whole()?;
    let reference = digest(&mut after, &graph)?;
    for node in 0..cluster.size() {
        let (mut other, graph) = session(cluster, node)?;
        ensure!(
            digest(&mut other, &graph)? == reference,
            "node {node} holds other rows"
        );
    }
    Ok(left)
}

/// Writes rows of its own, one after the other; how many.
fn write(url: &str, stop: &AtomicBool) -> Result<u64> {
    let mut session = open(&url.parse::<Target>()?, Access::ReadWrite)?;
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        // It waits while the cluster forms anew, and may be refused then.
        let insert = session.execute("INSERT INTO written (text) VALUES (UUID())");
        written += u64::from(insert.is_ok());
        thread::sleep(Duration::from_millis(2));
    }
    let found = session.query_count("SELECT COUNT(*) FROM written")?;
    ensure!(
        u64::try_from(found)? >= written,
        "{written} rows were written, {found} are there"
    );
    Ok(written)
}

/// Holds the survivors against what was there before and against what the run said.
fn judge(
    session: &mut Session,
    graph: &FamilyGraph,
    expected: &Digest,
    output: &Output,
    tally: &mut Tally,
) -> Result<u64> {
    let said = String::from_utf8_lossy(&output.stderr);
    let found = digest(session, graph)?;
    for (table, rows) in expected {
        ensure!(
            found.get(table) == Some(rows),
            "{table}: {rows:?} before, {:?} after; {said}",
            found.get(table)
        );
    }
    let report = audit::audit(session, graph, &audit::Options::default())?;
    let errors: Vec<_> = report
        .findings
        .iter()
        .filter(|f| f.severity == audit::Severity::Error)
        .collect();
    ensure!(errors.is_empty(), "split: {errors:?}; {said}");
    let options = Options {
        dry_run: true,
        until_complete: true,
        ..Options::default()
    };
    let left = archive::archive(session, graph, &options, &Stop::default(), &mut ())?.total_rows;
    tally.went_on += u32::from(said.contains("trying again") && !said.contains("gave up"));
    match output.status.code() {
        Some(0 | 1) => {
            tally.done += 1;
            ensure!(
                left == 0,
                "it said that it was done, and left {left} rows; {said}"
            );
        }
        Some(75) => tally.stopped += 1,
        _ => bail!("sexton ended with {}: {said}", output.status),
    }
    Ok(left)
}
