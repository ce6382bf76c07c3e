//! `cargo xtask compare`: sexton and another archive engine on the same generated data.
//!
//! One private MariaDB, durable, with a buffer pool of 1 GiB and a redo log of 256 MiB; one run: every engine gets a database of its own with
//! the same rows from the same seed, in the schema of the real migrations. Statements are the
//! server's own count (`Questions`), rows what has arrived in the shadow tables, seconds the whole
//! life of the process.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use sexton::db::{Access, Session, Target, introspect, open};
use sexton::generate::{Dataset, generate};
use sexton::server::{PrivateMariadb, Provider, Server};
use xshell::{Shell, cmd};

use crate::{install, service};

/// The release to compare with.
const NOVA: &str = "34.0.0";

/// What sexton must do at least, as against nova-manage: so many times its rows per second, and at
/// most one so-manieth of its statements.
const BAR: f64 = 50.0;

/// Whom to compare with.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Peer {
    /// nova-manage db archive_deleted_rows.
    Nova(Args),
}

/// How much data.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Soft-deleted instances, about 22 rows each.
    #[arg(long, default_value_t = 2000)]
    families: u32,
    /// How often to measure, the engines one after the other each time.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
}

/// One line of the table.
struct Measured {
    engine: String,
    rows: i64,
    statements: i64,
    seconds: f64,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds
    }
}

/// `cargo xtask compare nova`
pub(crate) fn run(Peer::Nova(args): &Peer) -> Result<ExitCode> {
    let sh = Shell::new()?;
    sh.change_dir(install::repository());
    install::servers(&sh)?;
    let nova = service::manage(&sh, "nova", NOVA)?;
    cmd!(sh, "cargo build --quiet --release --package sexton").run()?;
    let sexton = install::repository().join("target/release/sexton");
    // As servers are set up that hold a cloud's database; durable, the same for every engine.
    let mut server = PrivateMariadb::new()
        .argument("--innodb-buffer-pool-size=1G")
        .argument("--innodb-log-file-size=256M")
        .start()?;
    let mut met = true;
    for round in 1..=args.rounds {
        let measured = round_of(&mut *server, round, args.families, &nova, &sexton)?;
        met &= print(&measured, args.families, &server.description());
    }
    Ok(if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn round_of(
    server: &mut dyn Server,
    round: u32,
    families: u32,
    nova: &Path,
    sexton: &Path,
) -> Result<Vec<Measured>> {
    let api = server.create_database(&format!("api_{round}"))?;
    let mut measured = Vec::new();
    let settings = [None, Some(1000), Some(20_000), Some(50_000)];
    for (number, setting) in settings.into_iter().enumerate() {
        let url = server.create_database(&format!("nova_{round}_{number}"))?;
        service::sync("nova", nova, &url, Some(&api))?;
        let mut session = open(&url.parse::<Target>()?, Access::ReadWrite)?;
        let schema = introspect(&mut session)?;
        let dataset = Dataset {
            families,
            ..Dataset::default()
        };
        generate(&mut session, &schema, &dataset, &mut |_| {})?;
        let configuration = tempfile::NamedTempFile::new()?;
        std::fs::write(
            configuration.path(),
            service::configuration(&url, Some(&api)),
        )?;
        let (engine, command) = match setting {
            None => {
                let mut command = Command::new(nova);
                command.env("OS_NOVA_DISABLE_EVENTLET_PATCHING", "1");
                command.arg("--config-file").arg(configuration.path());
                command.args(["db", "archive_deleted_rows", "--until-complete"]);
                (format!("nova-manage {NOVA} --max_rows 1000"), command)
            }
            Some(rows) => {
                let mut command = Command::new(sexton);
                command.args(["archive", "--quiet", "--until-complete", "--max-rows"]);
                command
                    .arg(rows.to_string())
                    .arg("--output")
                    .arg("/dev/null");
                command.arg("--config-file").arg(configuration.path());
                (format!("sexton --max-rows {rows}"), command)
            }
        };
        measured.push(measure(&mut session, engine, command)?);
    }
    let rows: Vec<_> = measured.iter().map(|m| m.rows).collect();
    ensure!(rows[0] > 0, "nova-manage moved nothing");
    ensure!(
        rows[1..].iter().all(|r| *r >= rows[0]),
        "sexton moved fewer rows than nova-manage: {rows:?}"
    );
    Ok(measured)
}

fn measure(session: &mut Session, engine: String, mut command: Command) -> Result<Measured> {
    let before = questions(session)?;
    let started = Instant::now();
    let output = command.output().with_context(|| engine.clone())?;
    let seconds = started.elapsed().as_secs_f64();
    // Reading the counter is a statement too.
    let statements = questions(session)? - before - 1;
    // nova-manage says 1 when it has archived something, sexton when a family is blocked.
    if !matches!(output.status.code(), Some(0 | 1)) {
        let text = [output.stdout, output.stderr].concat();
        bail!(
            "{engine}: {}: {}",
            output.status,
            String::from_utf8_lossy(&text)
        );
    }
    let mut rows = 0;
    for table in introspect(session)?
        .tables
        .keys()
        .filter(|t| t.starts_with("shadow_"))
    {
        rows += session.query_count(&format!("SELECT COUNT(*) FROM `{table}`"))?;
    }
    Ok(Measured {
        engine,
        rows,
        statements,
        seconds,
    })
}

fn questions(session: &mut Session) -> Result<i64> {
    let row = session.query_row("SHOW GLOBAL STATUS LIKE 'Questions'")?;
    row.and_then(|r| r.get(1).and_then(sexton::db::Value::as_int))
        .context("no Questions counter")
}

/// Prints the table; whether the bar is met by the faster setting, and by the statements of all.
fn print(measured: &[Measured], families: u32, server: &str) -> bool {
    println!("\n{families} families on {server}\n");
    println!(
        "| engine | rows | seconds | rows/s | statements | rate | statements, nova-manage : it |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let peer = &measured[0];
    let mut best = 0.0_f64;
    let mut fewest = f64::INFINITY;
    for m in measured {
        let (rate, fewer) = (
            m.rate() / peer.rate(),
            peer.statements as f64 / m.statements.max(1) as f64,
        );
        println!(
            "| {} | {} | {:.2} | {:.0} | {} | {rate:.1}x | {fewer:.0} : 1 |",
            m.engine,
            m.rows,
            m.seconds,
            m.rate(),
            m.statements
        );
        if m.engine != peer.engine {
            best = best.max(rate);
            fewest = fewest.min(fewer);
        }
    }
    let met = best >= BAR && fewest >= BAR;
    println!(
        "\n{}: at least {BAR} times the rows per second at one of the settings ({best:.1}), at \
         most 1/{BAR} of the statements at all ({fewest:.0})",
        if met { "met" } else { "NOT met" }
    );
    met
}
