//! `cargo xtask bench-compare`: the benchmarks of a revision beside those of the working tree, for a gate that holds
//! a change of the archive code.
//!
//! [`tree`] checks the revision out, [`estimates`] reads what criterion measured, [`ratio`] says what may be
//! concluded from it. Numbers of two runs an hour apart compare the machine with itself; so both programs run here,
//! in turns. The report goes to standard output, what is being done to standard error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use xshell::Shell;

use self::estimates::Estimates;
use self::ratio::{Ratio, Verdict};
use crate::install;

mod estimates;
mod ratio;
mod tree;

/// Sizes of the databases; see `benches/common`.
const FAMILIES: &str = "SEXTON_BENCH_FAMILIES";

/// What is measured without [`FAMILIES`]. Both sides have to measure the same, whatever the default of either is.
const DEFAULT_FAMILIES: &str = "1000,10000";

/// Compares the benchmarks of a revision with those of the working tree, and fails if one has become slower.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The revision that the working tree is compared with: a commit, a branch, a tag.
    #[arg(value_name = "REV")]
    revision: String,
    /// The benchmarks' file in benches/.
    #[arg(long, value_name = "NAME", default_value = "archive")]
    bench: String,
    /// Only benchmarks whose name matches this regular expression.
    #[arg(long, value_name = "TEXT", default_value = "sqlite")]
    filter: String,
    /// How often each side runs. Take an even number: the order is swapped in every round.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..))]
    rounds: u32,
    /// Fail if a benchmark takes more than this many times as long: if the whole interval lies above it.
    #[arg(long, value_name = "RATIO", default_value_t = 1.05, value_parser = tolerance)]
    tolerance: f64,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (1.0..f64::INFINITY).contains(&ratio) => Ok(ratio),
        _ => Err("a number from 1 on, such as 1.05".to_owned()),
    }
}

/// `cargo xtask bench-compare`
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let sh = Shell::new()?;
    let repository = install::repository();
    sh.change_dir(&repository);
    let commit = tree::commit(&sh, &args.revision)?;
    let directory = repository.join("target/bench-compare");
    let _lock = install::lock(&directory)?;
    let families = families();
    println!("- base: {}", tree::describe(&sh, &commit)?);
    println!("- head: {}", tree::describe_working_tree(&sh)?);
    println!("- {} rounds, {FAMILIES}={families}", args.rounds);

    let base = tree::check_out(&sh, &commit, &directory)?;
    // The working tree builds where `cargo bench` does, and the revision apart from it: cargo takes the two packages
    // for the same one, and in one target directory they would replace each other.
    let base = build(&base, Some(&directory.join("build")), &args.bench)?;
    let head = build(&repository, None, &args.bench)?;

    let compared = compare(&measure(&[base, head], args, &families)?);
    ensure!(
        !compared.both.is_empty(),
        "no benchmark of {} that both have matches {:?}",
        args.bench,
        args.filter
    );
    Ok(report(&compared, args.tolerance))
}

/// Of the revision and of the working tree, in this order.
type Sides<T> = [T; 2];

const NAMES: Sides<&str> = ["base", "head"];

/// A benchmark program.
#[derive(Debug)]
struct Program {
    path: PathBuf,
    /// Where it was built from and where it runs, as with `cargo bench`.
    source: PathBuf,
}

/// Builds the benchmark program of a source tree.
fn build(source: &Path, target: Option<&Path>, bench: &str) -> Result<Program> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["bench", "--no-run", "--bench", bench])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(source)
        .stderr(Stdio::inherit());
    if let Some(target) = target {
        command.arg("--target-dir").arg(target);
    }
    // What `cargo xtask` says of the package xtask: build scripts look at it, and would build everything again that
    // a plain `cargo bench` has built.
    for (name, _) in std::env::vars_os() {
        if is_of_a_package(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    let output = command.output().context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cannot build the benchmark {bench} of {}",
        source.display()
    );
    let path = executable(&String::from_utf8_lossy(&output.stdout), bench)
        .with_context(|| format!("cargo names no program for the benchmark {bench}"))?;
    Ok(Program {
        path,
        source: source.to_owned(),
    })
}

fn is_of_a_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// The program of a benchmark, from cargo's messages.
fn executable(messages: &str, bench: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let target = &message["target"];
        let kinds = target["kind"].as_array()?;
        let it = target["name"] == bench && kinds.iter().any(|kind| kind == "bench");
        let path = message["executable"].as_str()?;
        it.then(|| path.into())
    })
}

/// Criterion's quick form, which measures n runs and 2n, and doubles n until the two agree to a hundredth or the
/// second is over that `benches/common` gives a benchmark. Its own default is a twentieth: as much as is looked for.
const QUICK: [&str; 4] = ["--noplot", "--quick", "--significance-level", "0.01"];

/// Which side runs first: in every second round the head, so that a machine that grows slower, or faster, does
/// it to both.
fn order(round: u32) -> [usize; 2] {
    if round % 2 == 1 { [0, 1] } else { [1, 0] }
}

/// The sizes that both sides are to measure.
fn families() -> String {
    let given = std::env::var(FAMILIES).ok().filter(|f| !f.is_empty());
    given.unwrap_or_else(|| DEFAULT_FAMILIES.to_owned())
}

/// Runs both programs in turns; the times of each benchmark, one a round.
fn measure(programs: &Sides<Program>, args: &Args, families: &str) -> Result<Sides<Times>> {
    let mut measured: Sides<Times> = Default::default();
    for round in 1..=args.rounds {
        let mut took = Vec::new();
        for side in order(round) {
            let started = Instant::now();
            let estimates = once(&programs[side], &args.filter, families)
                .with_context(|| format!("round {round}, {}", NAMES[side]))?;
            add(&mut measured[side], estimates, round).context(NAMES[side])?;
            took.push(format!(
                "{} {:.0} s",
                NAMES[side],
                started.elapsed().as_secs_f64()
            ));
        }
        eprintln!(
            "xtask: round {round} of {}: {}",
            args.rounds,
            took.join(", ")
        );
    }
    Ok(measured)
}

/// The times of each benchmark, by its name, one a round.
type Times = BTreeMap<String, Vec<f64>>;

/// Adds what a round measured. Each has to measure the same benchmarks: the two runs of a round are a pair.
fn add(times: &mut Times, estimates: Estimates, round: u32) -> Result<()> {
    for (name, time) in estimates {
        times.entry(name).or_default().push(time);
    }
    for (name, times) in times {
        ensure!(
            times.len() == round as usize,
            "{name} was not measured in every round"
        );
    }
    Ok(())
}

/// Runs a program once.
fn once(program: &Program, filter: &str, families: &str) -> Result<Estimates> {
    // Of its own, so that criterion finds no earlier run to compare with and no later one finds this.
    let home = tempfile::tempdir().context("cannot make a temporary directory")?;
    let output = Command::new(&program.path)
        .arg("--bench")
        .args(QUICK)
        .args(["--", filter])
        .current_dir(&program.source)
        .env("CRITERION_HOME", home.path())
        .env(FAMILIES, families)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.path.display()))?;
    ensure!(
        output.status.success(),
        "{}: {}\n{}",
        program.path.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    estimates::read(home.path())
}

/// What the benchmarks of two sides have to do with each other.
#[derive(Debug)]
struct Compared {
    both: BTreeMap<String, Ratio>,
    /// Names of those that only one side has.
    alone: Sides<Vec<String>>,
}

fn compare([base, head]: &Sides<Times>) -> Compared {
    let without = |those: &Times, others: &Times| {
        let names = those.keys().filter(|name| !others.contains_key(*name));
        names.cloned().collect()
    };
    let both = base.iter().filter_map(|(name, times)| {
        let ratio = ratio::of(times, head.get(name)?)?;
        Some((name.clone(), ratio))
    });
    Compared {
        both: both.collect(),
        alone: [without(base, head), without(head, base)],
    }
}

/// Prints the table, and says whether the gate is open.
fn report(compared: &Compared, tolerance: f64) -> ExitCode {
    println!("\n| benchmark | base | head | ratio | 95 % interval | verdict |");
    println!("| --- | ---: | ---: | ---: | ---: | --- |");
    for (name, ratio) in &compared.both {
        println!("{}", row(name, ratio));
    }
    for (side, names) in NAMES.iter().zip(&compared.alone) {
        if !names.is_empty() {
            println!("\nonly in {side}: {}", names.join(", "));
        }
    }
    let slower: Vec<_> = compared
        .both
        .iter()
        .filter(|(_, ratio)| ratio.exceeds(tolerance))
        .map(|(name, _)| name.as_str())
        .collect();
    if slower.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nmore than {tolerance} times: {}", slower.join(", "));
    ExitCode::FAILURE
}

fn row(name: &str, ratio: &Ratio) -> String {
    let verdict = match ratio.verdict() {
        Verdict::Slower => "slower",
        Verdict::Faster => "faster",
        Verdict::NotShown => "no difference shown",
    };
    format!(
        "| {name} | {} | {} | {:.3} | {:.3} to {:.3} | {verdict} |",
        time(ratio.base),
        time(ratio.head),
        ratio.mean,
        ratio.low,
        ratio.high
    )
}

/// Nanoseconds for people.
fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let decimals = if value < 10.0 {
        3
    } else if value < 100.0 {
        2
    } else {
        1
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(times: &[(&str, f64)]) -> Times {
        let twice = |time| vec![time, time];
        let times = times.iter().map(|(name, t)| (name.to_string(), twice(*t)));
        times.collect()
    }

    #[test]
    fn the_order_is_swapped_in_every_round() {
        assert_eq!([1, 2, 3, 4].map(order), [[0, 1], [1, 0], [0, 1], [1, 0]]);
    }

    #[test]
    fn benchmarks_are_compared_by_their_names() {
        let base = times(&[("a", 100.0), ("gone", 1.0)]);
        let head = times(&[("a", 200.0), ("new", 1.0)]);
        let compared = compare(&[base, head]);
        assert_eq!(compared.both.len(), 1);
        assert_eq!(
            row("a", &compared.both["a"]),
            "| a | 100.0 ns | 200.0 ns | 2.000 | 2.000 to 2.000 | slower |"
        );
        assert_eq!(compared.alone, [["gone"], ["new"]]);
    }

    #[test]
    fn every_round_measures_the_same() {
        let round = |names: &[&str]| names.iter().map(|n| (n.to_string(), 1.0)).collect();
        let mut times = Times::new();
        add(&mut times, round(&["a", "b"]), 1).expect("the first");
        add(&mut times, round(&["a", "b"]), 2).expect("the same");
        let error = add(&mut times.clone(), round(&["a"]), 3).expect_err("one is missing");
        assert_eq!(error.to_string(), "b was not measured in every round");
        let error = add(&mut times, round(&["a", "b", "c"]), 3).expect_err("one is new");
        assert_eq!(error.to_string(), "c was not measured in every round");
    }

    #[test]
    fn the_gate_closes_above_the_tolerance_only() {
        let gate = |head: f64| {
            let sides = [100.0, head].map(|time| times(&[("a", time)]));
            report(&compare(&sides), 1.05)
        };
        assert_eq!(gate(104.0), ExitCode::SUCCESS);
        assert_eq!(gate(106.0), ExitCode::FAILURE);
        assert_eq!(gate(50.0), ExitCode::SUCCESS);
    }

    #[test]
    fn the_program_is_the_one_that_cargo_names() {
        let message = |kind: &str, name: &str, path: &str| {
            format!(r#"{{"target":{{"kind":["{kind}"],"name":"{name}"}},"executable":{path}}}"#)
        };
        let messages = [
            message("lib", "archive", "null"),
            message("bin", "archive", r#""/t/release/archive""#),
            message("bench", "audit", r#""/t/release/deps/audit-1""#),
            message("bench", "archive", r#""/t/release/deps/archive-2""#),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ]
        .join("\n");
        let found = executable(&messages, "archive");
        assert_eq!(found, Some("/t/release/deps/archive-2".into()));
        assert_eq!(executable(&messages, "others"), None);
    }

    #[test]
    fn a_tolerance_is_a_ratio_from_one_on() {
        assert_eq!(tolerance("1.1"), Ok(1.1));
        for text in ["0.9", "NaN", "inf", "5%", ""] {
            assert!(tolerance(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_a_unit() {
        let shown = [999.5, 1_234.0, 41_234_567.0, 2.5e9].map(time);
        assert_eq!(shown, ["999.5 ns", "1.234 µs", "41.23 ms", "2.500 s"]);
    }
}
