//! Archive engines side by side: nova-manage, pt-archiver, a set-based script, sexton.
//!
//! Rows are those that arrived in the shadow tables, seconds the whole life of the process. Statements are the
//! server's own count on MariaDB, elsewhere those of the script, or of sexton's report.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sexton::db::{Engine as Database, Session, Target, Value};
use xshell::Shell;

use super::ground::{Ground, Kind};
use super::measure::{self, Cost};
use super::{Size, median, script, sexton};
use crate::{install, service};

/// The release to compare with.
const NOVA: &str = "34.0.0";

/// The one table that pt-archiver is given.
const ONE_TABLE: &str = "instance_system_metadata";

/// Who is compared with sexton.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Peer {
    /// nova-manage db archive_deleted_rows, on MariaDB.
    Nova,
    /// pt-archiver on one table, on MariaDB.
    PtArchiver,
    /// A set-based SQL script.
    Script,
}

impl Peer {
    /// What sexton must do at least: so many times its rows a second.
    fn bar(self, on: Kind) -> f64 {
        match (self, on) {
            (Self::Nova, _) => 70.0,
            (Self::Script, Kind::Mariadb) => 1.15,
            (Self::Script | Self::PtArchiver, _) => 1.0,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    size: Size,
    /// Whom to compare with.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "script")]
    with: Vec<Peer>,
}

/// One engine, and how it is called.
#[derive(Debug, Clone, Copy)]
enum Engine {
    Peer(Peer),
    /// sexton with these options.
    Sexton(&'static [&'static str]),
}

impl Engine {
    fn label(self) -> String {
        match self {
            Self::Peer(Peer::Nova) => format!("nova-manage {NOVA} --max_rows 1000"),
            Self::Peer(Peer::PtArchiver) => format!("pt-archiver, {ONE_TABLE} alone"),
            Self::Peer(Peer::Script) => {
                format!("script, {} instances a transaction", script::INSTANCES)
            }
            Self::Sexton(options) => format!("sexton {}", options.join(" "))
                .trim_end()
                .to_owned(),
        }
    }
}

/// What a run moved, and what that took.
struct Measured {
    rows: i64,
    statements: i64,
    cost: Cost,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.rows as f64 / self.cost.seconds
    }
}

/// `cargo xtask compare archive`; whether sexton reached all it must.
pub(super) fn run(sh: &Shell, args: &Args) -> Result<bool> {
    let tools = Tools::new(sh, args)?;
    let mut ground = Ground::new(args.size.on, args.size.families)?;
    let mut engines: Vec<Engine> = args.with.iter().map(|peer| Engine::Peer(*peer)).collect();
    engines.push(Engine::Sexton(&[]));
    match args.size.on {
        // It has one writer; a commit there is dear.
        Kind::Sqlite => engines.push(Engine::Sexton(&["--target-batch-time", "1s"])),
        Kind::Mariadb | Kind::Postgres => engines.extend([
            Engine::Sexton(&["--jobs", "2"]),
            Engine::Sexton(&["--jobs", "3"]),
        ]),
    }
    println!(
        "{} families on {}",
        args.size.families,
        ground.description()
    );
    let mut rounds: Vec<Vec<Measured>> = Vec::new();
    for round in 0..args.size.rounds {
        let mut order: Vec<usize> = (0..engines.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        let mut measured: Vec<(usize, Measured)> = Vec::new();
        for number in order {
            let name = format!("nova_{round}_{number}");
            measured.push((number, tools.measure(engines[number], &mut ground, &name)?));
        }
        measured.sort_by_key(|(number, _)| *number);
        let measured: Vec<_> = measured.into_iter().map(|(_, m)| m).collect();
        print(&engines, &measured);
        check(&engines, &measured)?;
        rounds.push(measured);
    }
    println!();
    let peers = args.with.iter().enumerate();
    let met: Vec<bool> = peers
        .map(|(number, peer)| verdict(*peer, number, &engines, &rounds, args.size.on))
        .collect();
    Ok(met.into_iter().all(|met| met))
}

/// The programs that are called.
struct Tools {
    nova: Option<PathBuf>,
    sexton: PathBuf,
}

impl Tools {
    fn new(sh: &Shell, args: &Args) -> Result<Self> {
        let on = args.size.on;
        let mariadb_only = [Peer::Nova, Peer::PtArchiver];
        ensure!(
            on == Kind::Mariadb || !args.with.iter().any(|p| mariadb_only.contains(p)),
            "nova-manage and pt-archiver are compared on MariaDB"
        );
        let nova = args.with.contains(&Peer::Nova);
        if args.with.contains(&Peer::PtArchiver) {
            install::tools(sh, &[("/usr/bin/pt-archiver", "percona-toolkit")])?;
        }
        if on == Kind::Sqlite {
            install::tools(sh, &[("/usr/bin/sqlite3", "sqlite3")])?;
        }
        Ok(Self {
            nova: nova
                .then(|| service::manage(sh, "nova", NOVA))
                .transpose()?,
            sexton: sexton(sh)?,
        })
    }

    /// Puts an engine to work on a database of its own, which is gone afterwards.
    fn measure(&self, engine: Engine, ground: &mut Ground, name: &str) -> Result<Measured> {
        // All get nova's own schema where nova is one of them.
        let mut place = match &self.nova {
            Some(nova) => ground.nova_place(name, nova)?,
            None => ground.place(name)?,
        };
        let mut file = tempfile::NamedTempFile::new()?;
        let (mut input, mut sent) = (None, 0);
        let command = match engine {
            Engine::Peer(Peer::Nova) => {
                let nova = self
                    .nova
                    .as_ref()
                    .context("nova-manage was not asked for")?;
                let text = service::configuration(&place.url, place.api.as_deref());
                file.write_all(text.as_bytes())?;
                let mut command = Command::new(nova);
                command.env("OS_NOVA_DISABLE_EVENTLET_PATCHING", "1");
                command.arg("--config-file").arg(file.path());
                command.args(["db", "archive_deleted_rows", "--until-complete"]);
                command
            }
            Engine::Peer(Peer::PtArchiver) => pt_archiver(&place.url.parse()?)?,
            Engine::Peer(Peer::Script) => {
                let script = script::prepared(&mut place)?;
                (input, sent) = (Some(script.input), script.statements);
                script.command
            }
            Engine::Sexton(options) => {
                let mut command = Command::new(&self.sexton);
                command.args(["archive", "--quiet", "--until-complete", "--format", "json"]);
                command.args(options).arg(&place.url);
                if let Some(api) = &place.api {
                    command.arg("--api").arg(api);
                }
                command
            }
        };
        let before = questions(&mut place.session)?;
        // nova-manage says 1 when it has archived something, sexton when a family is blocked.
        let label = engine.label();
        let (cost, output) = measure::run(&label, &command, ground.process(), &[0, 1], input)?;
        let statements = match (questions(&mut place.session)?, engine) {
            // Reading the counter is a statement too.
            (Some(after), _) => after - before.unwrap_or(0) - 1,
            (None, Engine::Sexton(_)) => reported(&output)?,
            (None, Engine::Peer(_)) => sent,
        };
        let measured = Measured {
            rows: place.archived()?,
            statements,
            cost,
        };
        ground.drop(name, place)?;
        Ok(measured)
    }
}

/// pt-archiver as fast as its documentation knows: whole batches are loaded and deleted.
fn pt_archiver(target: &Target) -> Result<Command> {
    let Target::Mysql(options) = target else {
        bail!("pt-archiver is for MariaDB");
    };
    let database = &options.database;
    let place = |table: &str| {
        format!(
            "h={},P={},u=root,D={database},t={table},L=1",
            options.host, options.port
        )
    };
    let mut command = Command::new("/usr/bin/pt-archiver");
    command.arg("--source").arg(place(ONE_TABLE));
    command
        .arg("--dest")
        .arg(place(&format!("shadow_{ONE_TABLE}")));
    command.args([
        "--where",
        "deleted <> 0",
        "--limit",
        "1000",
        "--commit-each",
    ]);
    command.args([
        "--bulk-insert",
        "--bulk-delete",
        "--no-check-charset",
        "--no-version-check",
    ]);
    Ok(command)
}

/// The statements that sexton says it has sent.
fn reported(output: &str) -> Result<i64> {
    let report: serde_json::Value = serde_json::from_str(output)?;
    let statements = report["statements"].as_i64();
    statements.with_context(|| format!("no statements in {output}"))
}

/// The server's count of statements, on MariaDB.
fn questions(session: &mut Session) -> Result<Option<i64>> {
    if session.engine() != Database::Mysql {
        return Ok(None);
    }
    let row = session.query_row("SHOW GLOBAL STATUS LIKE 'Questions'")?;
    let number = row.and_then(|r| r.get(1).and_then(Value::as_int));
    number.map(Some).context("no Questions counter")
}

/// That sexton moved at least what the others did.
fn check(engines: &[Engine], measured: &[Measured]) -> Result<()> {
    let most = measured.iter().map(|m| m.rows).max().unwrap_or(0);
    for (engine, m) in engines.iter().zip(measured) {
        ensure!(m.rows > 0, "{} moved nothing", engine.label());
        ensure!(
            m.rows == most || matches!(engine, Engine::Peer(_)),
            "{} moved {} rows, another {most}",
            engine.label(),
            m.rows
        );
    }
    Ok(())
}

fn print(engines: &[Engine], measured: &[Measured]) {
    println!(
        "\n| engine | rows | seconds | rows/s | statements | its CPU, s | server's CPU, s | its memory, MiB | rate |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (engine, m) in engines.iter().zip(measured) {
        println!(
            "| {} | {} | {:.2} | {:.0} | {} | {:.2} | {:.2} | {:.0} | {:.2}x |",
            engine.label(),
            m.rows,
            m.cost.seconds,
            m.rate(),
            m.statements,
            m.cost.own_cpu,
            m.cost.server_cpu,
            m.cost.memory as f64 / 1024.0,
            m.rate() / measured[0].rate(),
        );
    }
}

/// Says how many times as fast as the peer sexton was at its fastest setting, in the middle of the rounds; whether
/// that is enough.
fn verdict(
    peer: Peer,
    number: usize,
    engines: &[Engine],
    rounds: &[Vec<Measured>],
    on: Kind,
) -> bool {
    let (mut best, mut setting) = (0.0, String::new());
    for (place, engine) in engines.iter().enumerate() {
        if let Engine::Sexton(_) = engine {
            let ratio = |m: &Vec<Measured>| m[place].rate() / m[number].rate();
            let middle = median(rounds.iter().map(ratio).collect());
            println!(
                "{}: {middle:.2} times {}",
                engine.label(),
                Engine::Peer(peer).label()
            );
            if middle > best {
                (best, setting) = (middle, engine.label());
            }
        }
    }
    let bar = peer.bar(on);
    let met = best >= bar;
    let word = if met { "met" } else { "NOT met" };
    println!(
        "{word}: at least {bar} times {} ({setting}: {best:.2})",
        Engine::Peer(peer).label()
    );
    met
}
