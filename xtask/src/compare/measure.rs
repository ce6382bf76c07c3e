//! What a process cost: seconds, processor time and memory of its own, processor time of the server.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// What GNU time writes, on the last line of a file of its own: user and system seconds, and the most memory in KiB.
const FORMAT: &str = "%U %S %M";

/// Ticks of the kernel's counters in a second; it is 100 on every Linux that runs Rust.
const TICKS: f64 = 100.0;

/// What a run of one engine took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) seconds: f64,
    /// Processor time of the process itself, in seconds.
    pub(super) own_cpu: f64,
    /// Processor time of the server meanwhile, in seconds.
    pub(super) server_cpu: f64,
    /// The most memory that the process held, in KiB.
    pub(super) memory: u64,
}

/// Runs the command under GNU time; its cost and its standard output. Only the exit codes in `good` are taken.
pub(super) fn run(
    label: &str,
    command: &Command,
    server: Option<u32>,
    good: &[i32],
    input: Option<fs::File>,
) -> Result<(Cost, String)> {
    let file = tempfile::NamedTempFile::new()?;
    let mut timed = Command::new("/usr/bin/time");
    timed
        .args(["--format", FORMAT, "--output"])
        .arg(file.path());
    timed.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    if let Some(input) = input {
        timed.stdin(input);
    }
    let before = cpu(server)?;
    let started = Instant::now();
    let output = timed
        .output()
        .with_context(|| format!("cannot run {label} under /usr/bin/time"))?;
    let seconds = started.elapsed().as_secs_f64();
    let server_cpu = cpu(server)? - before;
    if !output
        .status
        .code()
        .is_some_and(|code| good.contains(&code))
    {
        let text = [output.stdout, output.stderr].concat();
        bail!(
            "{label}: {}: {}",
            output.status,
            String::from_utf8_lossy(&text)
        );
    }
    let text = fs::read_to_string(file.path())?;
    let line = text.lines().last().unwrap_or_default();
    let numbers: Vec<f64> = line.split(' ').filter_map(|n| n.parse().ok()).collect();
    let [user, system, memory] = numbers[..] else {
        bail!("GNU time wrote {text:?}");
    };
    let cost = Cost {
        seconds,
        own_cpu: user + system,
        server_cpu,
        memory: memory as u64,
    };
    Ok((cost, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Processor time of a process and of its children, living and gone, in seconds.
fn cpu(process: Option<u32>) -> Result<f64> {
    let Some(process) = process else {
        return Ok(0.0);
    };
    let mut ticks = 0;
    for entry in fs::read_dir("/proc")? {
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else {
            continue;
        };
        let mut parts = stat.splitn(2, ' ');
        let id: Option<u32> = parts.next().and_then(|id| id.parse().ok());
        // Behind the name, which may hold spaces: state, parent, ... and user, system, those of children that are gone.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let number = |at: usize| {
            fields
                .get(at)
                .and_then(|f| f.parse::<u64>().ok())
                .unwrap_or(0)
        };
        if id == Some(process) {
            ticks += number(11) + number(12) + number(13) + number(14);
        } else if number(1) == u64::from(process) {
            ticks += number(11) + number(12);
        }
    }
    Ok(ticks as f64 / TICKS)
}
