//! `cargo xtask test`: the whole test suite with everything it needs.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};
use sexton::server::{PrivateMariadb, PrivatePostgres, Provider};
use xshell::Shell;

use crate::docker::Engine;
use crate::package::{self, Kind};
use crate::{install, service};

/// For the tests of HTML pages: a browser, and letters for it.
const BROWSER: [(&str, &str); 2] = [
    ("/usr/bin/chromium", "chromium"),
    (
        "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
        "fonts-dejavu-core",
    ),
];

/// Runs all tests. Servers, a container engine with images and the real services are brought where they
/// are missing; the engine is taken away again at the end.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only tests whose name contains this.
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
}

/// What reads the completions and man pages in a test, and the package that brings it.
const READERS: [(&str, &str); 3] = [
    ("/usr/bin/zsh", "zsh"),
    ("/usr/bin/fish", "fish"),
    ("/usr/bin/mandoc", "mandoc"),
];

/// `cargo xtask test`
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let sh = Shell::new()?;
    sh.change_dir(install::repository());
    let mut steps = Steps::new();
    let servers = install::servers(&sh)?;
    steps.done(format!("servers: {servers}"));
    // The documents make their SQLite files with it.
    install::tools(&sh, &[("/usr/bin/sqlite3", "sqlite3")])?;
    // It holds JUnit reports against their schema.
    install::tools(&sh, &[("/usr/bin/xmllint", "libxml2-utils")])?;
    install::tools(&sh, &BROWSER)?;
    steps.done("browser: Chromium".to_owned());
    let mut services = Vec::new();
    for (service, release, variable) in service::TESTED {
        let program = service::manage(&sh, service, release)?;
        steps.done(format!("{service}: {}", program.display()));
        services.push((variable, program));
    }
    let providers: [(_, &dyn Provider, _); 2] = [
        (
            install::MYSQL_URL,
            &PrivateMariadb::new().not_durable(),
            "mysql",
        ),
        (
            install::POSTGRES_URL,
            &PrivatePostgres::new().not_durable(),
            "postgres",
        ),
    ];
    // For tests that make databases of their own on a server that runs.
    let mut shared = Vec::new();
    for (variable, provider, database) in providers {
        if !install::is_given(variable) {
            let server = provider.start()?;
            steps.done(format!("{variable}: {}", server.description()));
            shared.push((variable, server.url(database), server));
        }
    }
    install::tools(&sh, &READERS)?;
    steps.done("readers of completions and man pages".to_owned());
    let mut packages = Vec::new();
    for (variable, kind) in [
        ("SEXTON_TEST_DEB", Kind::Deb),
        ("SEXTON_TEST_WHEEL", Kind::Wheel),
    ] {
        // Of the profile that the tests are built with, whose dependencies are then there already.
        let package = package::make(&sh, kind, "dev", None)?;
        steps.done(format!("package: {}", package.display()));
        packages.push((variable, package));
    }
    let engine = Engine::new(&sh)?;
    steps.done(format!("containers: {}", engine.description));

    let mut tests = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tests
        .args(["test", "--workspace"])
        .args(&args.filter)
        .current_dir(install::repository())
        .envs(services)
        .envs(packages)
        .envs(engine.images.variables())
        .envs(engine.host().map(|host| ("DOCKER_HOST", host)));
    for (variable, url, _) in &shared {
        tests.env(variable, url);
    }
    let status = tests.status().context("cannot run cargo test")?;
    steps.done(format!("tests: {status}"));
    drop(engine);
    steps.done("containers: taken away".to_owned());
    steps.print();
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// What was used and how long it took.
struct Steps {
    last: Instant,
    lines: Vec<String>,
}

impl Steps {
    fn new() -> Self {
        Self {
            last: Instant::now(),
            lines: Vec::new(),
        }
    }

    fn done(&mut self, what: String) {
        let line = format!("xtask: {what} ({:.1} s)", self.last.elapsed().as_secs_f32());
        println!("{line}");
        self.lines.push(line);
        self.last = Instant::now();
    }

    /// All of it once more, below the output of the tests.
    fn print(&self) {
        println!("\n{}", self.lines.join("\n"));
    }
}
