//! `cargo xtask compare`: sexton and other archive engines on the same generated data.
//!
//! One private MariaDB, durable, with a buffer pool of 1 GiB and a redo log of 256 MiB; one run: every engine gets a database of its own with
//! the same rows from the same seed, in the schema of the real migrations. Statements are the
//! server's own count (`Questions`), rows what has arrived in the shadow tables, seconds the whole
//! life of the process.

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use sexton::db::{Access, Session, Target, introspect, open};
use sexton::generate::{Dataset, generate};
use sexton::server::{PrivateMariadb, Provider, Server};
use xshell::{Shell, cmd};

use crate::{install, service};

mod script;

/// The release to compare with.
const NOVA: &str = "34.0.0";

/// What sexton must do at least, as against nova-manage: so many times its rows per second.
const BAR: f64 = 70.0;

/// The same beside the script.
const SCRIPT_BAR: f64 = 1.15;

/// Whom to compare with.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Peer {
    /// nova-manage db archive_deleted_rows.
    Nova(Args),
    /// A set-based SQL script.
    Script(Args),
}

/// One engine, and how it is called.
#[derive(Debug, Clone)]
enum Engine {
    /// nova-manage as its documentation has it.
    Nova,
    /// The script, of so many instances a transaction.
    Script(usize),
    /// sexton with these options.
    Sexton(&'static [&'static str]),
}

/// Beside nova-manage.
const WITH_NOVA: [Engine; 5] = [
    Engine::Nova,
    Engine::Sexton(&["--max-rows", "1000"]),
    Engine::Sexton(&["--max-rows", "20000", "--target-batch-time", "0"]),
    Engine::Sexton(&[]),
    Engine::Sexton(&["--jobs", "3"]),
];

/// Beside the script.
const WITH_SCRIPT: [Engine; 4] = [
    Engine::Script(1000),
    Engine::Sexton(&[]),
    Engine::Sexton(&["--jobs", "2"]),
    Engine::Sexton(&["--jobs", "3"]),
];

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

/// `cargo xtask compare nova`, `cargo xtask compare script`
pub(crate) fn run(peer: &Peer) -> Result<ExitCode> {
    let (engines, bar, args) = match peer {
        Peer::Nova(args) => (&WITH_NOVA[..], BAR, args),
        Peer::Script(args) => (&WITH_SCRIPT[..], SCRIPT_BAR, args),
    };
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
        let mut measured = Vec::new();
        for engine in engines {
            let place = Place {
                server: &mut *server,
                nova: &nova,
                sexton: &sexton,
            };
            measured.push(place.measure(engine, round, args.families)?);
        }
        check(&measured)?;
        met &= print(&measured, args.families, &server.description(), bar);
    }
    Ok(if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Where an engine is put to work.
struct Place<'a> {
    server: &'a mut dyn Server,
    nova: &'a Path,
    sexton: &'a Path,
}

impl Place<'_> {
    /// Puts an engine to work on a database of its own, which is gone afterwards.
    fn measure(self, engine: &Engine, round: u32, families: u32) -> Result<Measured> {
        let name = format!("nova_{round}");
        let api = self.server.create_database(&format!("api_{round}"))?;
        let url = self.server.create_database(&name)?;
        service::sync("nova", self.nova, &url, Some(&api))?;
        let target: Target = url.parse()?;
        let mut session = open(&target, Access::ReadWrite)?;
        let schema = introspect(&mut session)?;
        let dataset = Dataset {
            families,
            ..Dataset::default()
        };
        generate(&mut session, &schema, &dataset, &mut |_| {})?;
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(service::configuration(&url, Some(&api)).as_bytes())?;
        let (label, command) = match engine {
            Engine::Nova => {
                let mut command = Command::new(self.nova);
                command.env("OS_NOVA_DISABLE_EVENTLET_PATCHING", "1");
                command.arg("--config-file").arg(file.path());
                command.args(["db", "archive_deleted_rows", "--until-complete"]);
                (format!("nova-manage {NOVA} --max_rows 1000"), command)
            }
            Engine::Script(instances) => {
                let text = script::script(&mut session, &schema, *instances)?;
                file.as_file().set_len(0)?;
                file.rewind()?;
                file.write_all(text.as_bytes())?;
                let label = format!("script, {instances} instances a transaction");
                (label, client(&target, file.path())?)
            }
            Engine::Sexton(options) => {
                let mut command = Command::new(self.sexton);
                command.args([
                    "archive",
                    "--quiet",
                    "--until-complete",
                    "--output",
                    "/dev/null",
                ]);
                command.args(*options).arg("--config-file").arg(file.path());
                (format!("sexton {}", options.join(" ")), command)
            }
        };
        let measured = measure(&mut session, label, command)?;
        for database in [name, format!("api_{round}")] {
            session.execute(&format!("DROP DATABASE {database}"))?;
        }
        Ok(measured)
    }
}

/// The server's client with a script.
fn client(target: &Target, script: &Path) -> Result<Command> {
    let Target::Mysql(options) = target else {
        bail!("a script is for MariaDB");
    };
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--host", &options.host]);
    command.args([
        "--port",
        &options.port.to_string(),
        "--database",
        &options.database,
    ]);
    if let Some(user) = &options.user {
        command.args(["--user", user]);
    }
    if let Some(password) = &options.password {
        command.env("MYSQL_PWD", password);
    }
    command.stdin(std::fs::File::open(script)?);
    Ok(command)
}

/// That all have moved what the first one did.
fn check(measured: &[Measured]) -> Result<()> {
    let rows: Vec<_> = measured.iter().map(|m| m.rows).collect();
    ensure!(rows[0] > 0, "{} moved nothing", measured[0].engine);
    ensure!(
        rows[1..].iter().all(|r| *r >= rows[0]),
        "sexton moved fewer rows than {}: {rows:?}",
        measured[0].engine
    );
    Ok(())
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

/// Prints the table; whether sexton is so many times as fast as the first engine at one of its settings.
fn print(measured: &[Measured], families: u32, server: &str, bar: f64) -> bool {
    let peer = &measured[0];
    println!("\n{families} families on {server}\n");
    println!("| engine | rows | seconds | rows/s | statements | rate |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut best = 0.0_f64;
    for m in measured {
        let rate = m.rate() / peer.rate();
        println!(
            "| {} | {} | {:.2} | {:.0} | {} | {rate:.2}x |",
            m.engine,
            m.rows,
            m.seconds,
            m.rate(),
            m.statements
        );
        if m.engine != peer.engine {
            best = best.max(rate);
        }
    }
    let met = best >= bar;
    println!(
        "\n{}: at least {bar} times the rows per second of {} ({best:.2})",
        if met { "met" } else { "NOT met" },
        peer.engine
    );
    met
}
