//! What a writer on other rows feels of an archive run: the time of its transactions, with and without.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sexton::db::{Access, Session, Target, Value, open};
use xshell::Shell;

use super::ground::Ground;
use super::{Size, median, script, sexton};

/// The slowest hundredth may take so many times as long.
const BAR: f64 = 2.0;

/// A pause of the writer between two transactions.
const PAUSE: Duration = Duration::from_millis(2);

/// How long the writer is measured alone, and beside loops.
const ALONE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    size: Size,
    /// Further options for sexton, as in --options=--target-batch-time=50ms; may be given several times.
    #[arg(long = "options", value_name = "OPTION", allow_hyphen_values = true)]
    options: Vec<String>,
    /// Let the writer, and the server's thread that serves it, go before every other thread (MariaDB, as root): it then
    /// never waits for a processor, and what is left is what the database makes it wait for.
    #[arg(long)]
    ahead: bool,
}

/// `cargo xtask compare latency`; whether the writer's slowest hundredth stayed within the bar.
pub(super) fn run(sh: &Shell, args: &Args) -> Result<bool> {
    let program = sexton(sh)?;
    let mut ground = Ground::new(args.size.on, args.size.families)?;
    println!(
        "{} families on {}, sexton {}{}\n",
        args.size.families,
        ground.description(),
        args.options.join(" "),
        match args.ahead {
            true => "; the writer goes before every other thread",
            false => "",
        }
    );
    println!("| round | | transactions | median, ms | p99, ms | longest, ms |");
    println!("| ---: | --- | ---: | ---: | ---: | ---: |");
    let mut ratios = Vec::new();
    for round in 1..=args.size.rounds {
        let name = format!("latency_{round}");
        let place = ground.place(&name)?;
        let target: Target = place.url.parse()?;
        let mut session = open(&target, Access::ReadWrite)?;
        let lasting = |session: &mut Session| {
            let begun = Instant::now();
            write(session, args.ahead, || begun.elapsed() >= ALONE)
        };
        let alone = lasting(&mut session)?;
        let loops = beside_loops(|| lasting(&mut session))?;
        let beside = beside_command(&mut session, args.ahead, {
            let mut command = Command::new(&program);
            command.args(["archive", "--quiet", "--until-complete"]);
            command.args(["--output", "/dev/null"]);
            command.args(&args.options).arg(&place.url);
            command
        })?;
        drop(session);
        ground.drop(&name, place)?;
        let name = format!("latency_script_{round}");
        let mut place = ground.place(&name)?;
        let mut session = open(&place.url.parse()?, Access::ReadWrite)?;
        let prepared = script::prepared(&mut place)?;
        let mut command = prepared.command;
        command.stdin(prepared.input);
        let script = beside_command(&mut session, args.ahead, command)?;
        for (what, times) in [
            ("alone", &alone),
            ("beside sexton", &beside),
            ("beside the script", &script),
            (
                "beside loops that do nothing, one for each processor",
                &loops,
            ),
        ] {
            println!(
                "| {round} | {what} | {} | {:.2} | {:.2} | {:.2} |",
                times.len(),
                at(times, 0.5),
                at(times, 0.99),
                at(times, 1.0)
            );
        }
        ratios.push(at(&beside, 0.99) / at(&alone, 0.99));
        ground.drop(&name, place)?;
    }
    let middle = median(ratios);
    let met = middle <= BAR;
    println!(
        "\n{}: a writer's p99 is at most {BAR} times what it is alone ({middle:.2})",
        if met { "met" } else { "NOT met" }
    );
    Ok(met)
}

/// What a writer's transactions take while a command runs.
fn beside_command(session: &mut Session, ahead: bool, mut command: Command) -> Result<Vec<f64>> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(session, ahead, || over.load(Ordering::Relaxed)));
        let status = command
            .status()
            .context("cannot run what is written beside");
        over.store(true, Ordering::Relaxed);
        let times = writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        anyhow::ensure!(matches!(status?.code(), Some(0 | 1)), "{command:?} failed");
        times
    })
}

/// What comes of it while every processor is kept busy with nothing.
fn beside_loops<T>(of: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let result = of();
        over.store(true, Ordering::Relaxed);
        result
    })
}

/// Writes as a service does to living instances, one small transaction after the other; milliseconds, in order.
fn write(session: &mut Session, ahead: bool, over: impl Fn() -> bool + Send) -> Result<Vec<f64>> {
    if ahead {
        return on_a_thread(|| {
            go_ahead(session)?;
            write(session, false, over)
        });
    }
    let rows =
        session.query("SELECT uuid FROM instances WHERE deleted = 0 ORDER BY id LIMIT 200")?;
    let uuids: Vec<&str> = rows
        .iter()
        .filter_map(|r| r.first().and_then(Value::as_text))
        .collect();
    let mut times = Vec::new();
    for uuid in uuids.iter().cycle() {
        if over() {
            break;
        }
        let begun = Instant::now();
        session.begin()?;
        session.execute(&format!(
            "UPDATE instances SET host = 'h{}' WHERE uuid = '{uuid}'",
            times.len() % 100
        ))?;
        session.execute(&format!(
            "INSERT INTO instance_faults (instance_uuid, code, message, deleted) VALUES ('{uuid}', 500, 'x', 0)"
        ))?;
        session.execute(&format!(
            "UPDATE instance_info_caches SET network_info = '[]' WHERE instance_uuid = '{uuid}'"
        ))?;
        session.commit()?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        thread::sleep(PAUSE);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// What comes of it on a thread of its own, which takes its priority with it when it ends.
fn on_a_thread<T: Send>(of: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| scope.spawn(of).join())
        .map_err(|_| anyhow::anyhow!("the writer panicked"))?
}

/// Puts this thread, and the server's that serves the session, before all others.
fn go_ahead(session: &mut Session) -> Result<()> {
    let served = "SELECT TID FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()";
    let rows = session.query(served)?;
    let served = rows.first().and_then(|r| r.first()).and_then(Value::as_int);
    let served = served.context("--ahead: the server does not say which thread serves us")?;
    let here = std::fs::read_link("/proc/thread-self")?;
    let here = here.file_name().context("a thread without a number")?;
    for thread in [here.to_os_string(), served.to_string().into()] {
        let mut command = Command::new("chrt");
        command.args(["--rr", "--pid", "1"]).arg(thread);
        let status = command
            .status()
            .context("--ahead needs chrt, of util-linux")?;
        anyhow::ensure!(status.success(), "--ahead: {command:?} failed; be root");
    }
    Ok(())
}

/// The time that such a share of the transactions did not exceed.
fn at(times: &[f64], share: f64) -> f64 {
    let place = (times.len() as f64 * share).ceil() as usize;
    times
        .get(place.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}
