//! How time and memory grow with the rows: archive and audit at one size and at ten times that.

use std::process::Command;

use anyhow::Result;
use xshell::Shell;

use super::ground::Ground;
use super::measure::{self, Cost};
use super::{Size, median, script, sexton};

/// Ten times the rows may take so many times as long.
const BAR: f64 = 11.0;

/// Most memory of sexton, in MiB.
const MEMORY: f64 = 64.0;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    size: Size,
    /// The larger size, as a multiple of the smaller one.
    #[arg(long, default_value_t = 10)]
    times: u32,
    /// The larger size alone, for a run that is too long to be compared.
    #[arg(long)]
    alone: bool,
    /// The set-based script at both sizes too, on rows of its own: what the server itself makes of so many rows.
    #[arg(long)]
    script: bool,
    /// The server's memory for rows, in GiB: the larger size is to fit, as a server is set up for its data.
    #[arg(long, default_value_t = 6)]
    memory: u32,
}

/// What one size took.
struct Measured {
    families: u32,
    rows: i64,
    audit: Cost,
    archive: Cost,
    audit_after: Cost,
    script: Option<Cost>,
}

/// `cargo xtask compare growth`; whether time and memory stayed within their bars.
pub(super) fn run(sh: &Shell, args: &Args) -> Result<bool> {
    let program = sexton(sh)?;
    let large = args.size.families * args.times;
    let sizes = match args.alone {
        true => vec![large],
        false => vec![args.size.families, large],
    };
    println!(
        "| families | rows | | seconds | rows/s | its CPU, s | server's CPU, s | its memory, MiB |"
    );
    println!("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |");
    let (mut met, mut ratios) = (true, vec![Vec::new(); 4]);
    for _ in 0..args.size.rounds {
        let mut measured = Vec::new();
        for families in &sizes {
            let one = measure_size(&program, args, *families)?;
            let script = one
                .script
                .as_ref()
                .map(|cost| ("archive, the script", cost));
            let own = [
                ("audit, nothing archived", &one.audit),
                ("archive", &one.archive),
                ("audit, all archived", &one.audit_after),
            ];
            for (what, cost) in own.into_iter().chain(script) {
                let memory = cost.memory as f64 / 1024.0;
                met &= memory < MEMORY;
                println!(
                    "| {} | {} | {what} | {:.2} | {:.0} | {:.2} | {:.2} | {memory:.0} |",
                    one.families,
                    one.rows,
                    cost.seconds,
                    one.rows as f64 / cost.seconds,
                    cost.own_cpu,
                    cost.server_cpu,
                );
            }
            measured.push(one);
        }
        if let [small, large] = &measured[..] {
            ratios[0].push(large.audit.seconds / small.audit.seconds);
            ratios[1].push(large.archive.seconds / small.archive.seconds);
            ratios[2].push(large.audit_after.seconds / small.audit_after.seconds);
            if let (Some(large), Some(small)) = (&large.script, &small.script) {
                ratios[3].push(large.seconds / small.seconds);
            }
        }
    }
    println!();
    println!(
        "{}: at most {MEMORY} MiB",
        if met { "met" } else { "NOT met" }
    );
    if let Some(script) = ratios.pop().filter(|ratios| !ratios.is_empty()) {
        println!(
            "the script, {} times the families: {:.2} times as long",
            args.times,
            median(script)
        );
    }
    let what = ["audit, nothing archived", "archive", "audit, all archived"];
    for (what, ratios) in what
        .into_iter()
        .zip(ratios)
        .filter(|(_, ratios)| !ratios.is_empty())
    {
        let middle = median(ratios);
        // The bar is for ten times the rows.
        let bar = BAR * f64::from(args.times) / 10.0;
        let good = middle <= bar;
        met &= good;
        println!(
            "{}: {what}: {} times the families take at most {bar} times as long ({middle:.2})",
            if good { "met" } else { "NOT met" },
            args.times
        );
    }
    Ok(met)
}

fn measure_size(program: &std::path::Path, args: &Args, families: u32) -> Result<Measured> {
    let mut ground = Ground::with_memory(args.size.on, families, args.memory)?;
    let mut place = ground.place("growth")?;
    let (url, process) = (place.url.clone(), ground.process());
    let run = |arguments: &[&str], url: &str| {
        let mut command = Command::new(program);
        command.args(arguments).arg(url);
        let cost = measure::run(&arguments.join(" "), &command, process, &[0, 1], None);
        cost.map(|(cost, _)| cost)
    };
    let audit = run(&["audit"], &url)?;
    let archive = run(&["archive", "--quiet", "--until-complete"], &url)?;
    ground.analyze(&url)?;
    let audit_after = run(&["audit"], &url)?;
    let rows = place.archived()?;
    let mut script = None;
    if args.script {
        ground.drop("growth", place)?;
        let mut place = ground.place("growth_script")?;
        // Its rows have been read before too.
        run(&["audit"], &place.url)?;
        let prepared = script::prepared(&mut place)?;
        let input = Some(prepared.input);
        let (cost, _) = measure::run("the script", &prepared.command, process, &[0], input)?;
        script = Some(cost);
    }
    Ok(Measured {
        families,
        rows,
        audit,
        archive,
        audit_after,
        script,
    })
}
