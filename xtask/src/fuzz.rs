//! `cargo xtask fuzz`: libFuzzer on every parser of what others write.
//!
//! The targets are in `tests/fuzz`, a workspace of its own. What a run has learnt is kept below
//! `target/fuzz`, so that the next one begins there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::install;

/// An input that takes longer is a find.
const TIMEOUT_SECONDS: u32 = 20;

/// Runs the fuzz targets, each until its time is up or it has found something. Brings cargo-fuzz if
/// it is missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each target runs.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// How many targets run at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// Targets to run, by the names of their files in tests/fuzz/targets; without any, all of them.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// `cargo xtask fuzz`
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let sh = Shell::new()?;
    sh.change_dir(install::repository());
    let targets = chosen(&args.targets)?;
    let programs = build(&sh)?;
    let waiting = Mutex::new(targets.iter().rev().collect::<Vec<_>>());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || -> Result<Vec<Ran>> {
        let mut done = Vec::new();
        while let Some(target) = next() {
            println!("xtask: {target}, {} s", args.seconds);
            done.push(fuzz(&programs, target, args.seconds)?);
        }
        Ok(done)
    };
    let mut ran = Vec::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..args.jobs).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let done = worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker died"))?;
            ran.extend(done?);
        }
        anyhow::Ok(())
    })?;
    ran.sort_by(|a, b| a.target.cmp(&b.target));
    print(&ran);
    Ok(match ran.iter().all(|r| r.find.is_none()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The targets of that name, or all.
fn chosen(names: &[String]) -> Result<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for entry in fs::read_dir(directory().join("targets"))? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            known.insert(name.to_owned());
        }
    }
    for name in names {
        ensure!(
            known.contains(name),
            "no fuzz target {name}; there are {}",
            known.iter().cloned().collect::<Vec<_>>().join(", ")
        );
    }
    match names {
        [] => Ok(known),
        names => Ok(names.iter().cloned().collect()),
    }
}

fn directory() -> PathBuf {
    install::repository().join("tests/fuzz")
}

/// Where programs, corpora, logs and finds are kept.
fn output() -> PathBuf {
    install::repository().join("target/fuzz")
}

/// Builds all targets; the directory of their programs.
fn build(sh: &Shell) -> Result<PathBuf> {
    let there = cmd!(sh, "cargo fuzz --version")
        .quiet()
        .ignore_stdout()
        .ignore_stderr()
        .run()
        .is_ok();
    if !there {
        println!("xtask: installing cargo-fuzz");
        cmd!(sh, "cargo install --quiet --locked cargo-fuzz")
            .run()
            .context("cannot install cargo-fuzz")?;
    }
    let (targets, output) = (directory(), output());
    let _lock = install::lock(&output)?;
    // Sanitizers are behind flags that a stable compiler takes only in this way.
    cmd!(
        sh,
        "cargo fuzz build --fuzz-dir {targets} --target-dir {output}"
    )
    .env("RUSTC_BOOTSTRAP", "1")
    .run()
    .context("cannot build the fuzz targets")?;
    let version = cmd!(sh, "rustc -vV").quiet().read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(output
        .join(host.context("rustc does not name its host")?)
        .join("release"))
}

/// What became of a target.
#[derive(Debug)]
struct Ran {
    target: String,
    executions: Option<u64>,
    coverage: Option<u64>,
    find: Option<Find>,
}

/// What a target has found.
#[derive(Debug)]
struct Find {
    /// What it said: the panic, or what libFuzzer says of the end.
    what: String,
    /// The input, if it was written down.
    input: Option<PathBuf>,
    log: PathBuf,
}

fn fuzz(programs: &Path, target: &str, seconds: u32) -> Result<Ran> {
    let below = |kind: &str| output().join(kind).join(target);
    let (corpus, finds) = (below("corpus"), below("finds"));
    let log = below("logs").with_extension("log");
    for directory in [&corpus, &finds] {
        fs::create_dir_all(directory)?;
    }
    if let Some(directory) = log.parent() {
        fs::create_dir_all(directory)?;
    }
    let said = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = Command::new(programs.join(target))
        // The first directory is the one that libFuzzer writes to.
        .args([&corpus, &directory().join("seeds").join(target)])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={TIMEOUT_SECONDS}"))
        .arg(format!("-artifact_prefix={}/", finds.display()))
        // Safe code may leak, and the search for leaks needs rights that containers do not give.
        .args(["-print_final_stats=1", "-detect_leaks=0"])
        .env("ASAN_OPTIONS", "detect_odr_violation=0")
        .current_dir(install::repository())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said)
        .status()
        .with_context(|| format!("cannot run {target}"))?;
    let bytes = fs::read(&log)?;
    Ok(outcome(
        target,
        status,
        &String::from_utf8_lossy(&bytes),
        log,
    ))
}

/// Reads what libFuzzer said.
fn outcome(target: &str, status: ExitStatus, said: &str, log: PathBuf) -> Ran {
    let behind = |mark: &str| {
        let rest = said.rsplit_once(mark)?.1;
        rest.split_whitespace().next()
    };
    let input = behind("Test unit written to ").map(PathBuf::from);
    Ran {
        target: target.to_owned(),
        executions: behind("stat::number_of_executed_units:").and_then(|n| n.parse().ok()),
        coverage: behind(" cov: ").and_then(|n| n.parse().ok()),
        find: (!status.success()).then(|| Find {
            what: what(said).unwrap_or_else(|| status.to_string()),
            input,
            log,
        }),
    }
}

/// The panic with its place, or the line in which the sanitizer or libFuzzer says what is wrong.
fn what(said: &str) -> Option<String> {
    let mut lines = said.lines();
    let panic = lines.find(|line| line.contains("panicked at "));
    match panic {
        Some(panic) => {
            let message = lines.next().unwrap_or_default();
            Some(format!("{panic} {message}"))
        }
        None => said
            .lines()
            .find(|line| line.contains("ERROR: "))
            .map(str::to_owned),
    }
}

fn print(ran: &[Ran]) {
    println!("\n| target | executions | coverage | finds |");
    println!("| --- | ---: | ---: | ---: |");
    let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    for r in ran {
        println!(
            "| {} | {} | {} | {} |",
            r.target,
            number(r.executions),
            number(r.coverage),
            u8::from(r.find.is_some())
        );
    }
    for (r, find) in ran.iter().filter_map(|r| Some((r, r.find.as_ref()?))) {
        println!("\n{}: {}", r.target, find.what);
        if let Some(input) = &find.input {
            println!("  input: {}", input.display());
        }
        println!("  log: {}", find.log.display());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const SAID: &str = "#2 INITED cov: 11 ft: 12 corp: 1/1b exec/s: 0 rss: 30Mb\n\
        #4096 DONE   cov: 40 ft: 90 corp: 9/99b exec/s: 68 rss: 40Mb\n\
        stat::number_of_executed_units: 4096\nstat::peak_rss_mb:              40\n";

    #[test]
    fn what_libfuzzer_says_is_read() {
        let ran = outcome("t", ExitStatus::from_raw(0), SAID, "log".into());
        assert_eq!((ran.executions, ran.coverage), (Some(4096), Some(40)));
        assert!(ran.find.is_none());
        let said = format!(
            "#2 INITED cov: 11 ft: 12\nthread '<unnamed>' (7) panicked at src/a.rs:1:2:\n\
             no end\nartifact_prefix='f/'; Test unit written to f/crash-1\n{SAID}"
        );
        let find = outcome("t", ExitStatus::from_raw(77 << 8), &said, "log".into()).find;
        let find = find.expect("a find");
        assert!(find.what.ends_with("src/a.rs:1:2: no end"), "{}", find.what);
        assert_eq!(find.input, Some("f/crash-1".into()));
    }
}
