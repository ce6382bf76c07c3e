//! `cargo xtask package`: a Debian package, and a Python wheel that carries the binary.
//!
//! The programs that make them are installed from pinned versions into `target/tools`, once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{assets, install, service};

/// Makes Debian packages.
const CARGO_DEB: &str = "3.8.0";

/// Makes wheels.
const MATURIN: &str = "1.16.0";

/// Makes a package with the binary in it, into target/packages.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to make.
    #[arg(value_enum)]
    kind: Kind,
    /// The profile that the binary is built with.
    #[arg(long, value_name = "PROFILE", default_value = "release")]
    profile: String,
    /// Who answers for the Debian package. Default is an address that leads nowhere.
    #[arg(long, value_name = "NAME <ADDRESS>")]
    maintainer: Option<String>,
}

/// Kinds of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A Debian package: binary, man pages, completions, systemd units as examples.
    Deb,
    /// A Python wheel, for `pip install`.
    Wheel,
}

/// `cargo xtask package`
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.kind == Kind::Wheel && args.maintainer.is_some() {
        bail!("--maintainer is a field of Debian packages: leave it out for a wheel");
    }
    let sh = Shell::new()?;
    sh.change_dir(install::repository());
    let package = make(&sh, args.kind, &args.profile, args.maintainer.as_deref())?;
    println!("xtask: {}", package.display());
    Ok(ExitCode::SUCCESS)
}

/// Makes a package with the binary of that profile; its path.
pub(crate) fn make(
    sh: &Shell,
    kind: Kind,
    profile: &str,
    maintainer: Option<&str>,
) -> Result<PathBuf> {
    let (name, suffix) = match kind {
        Kind::Deb => ("deb", ".deb"),
        Kind::Wheel => ("wheel", ".whl"),
    };
    let directory = install::repository().join("target/packages").join(name);
    let _lock = install::lock(&install::repository().join("target/packages"))?;
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    match kind {
        Kind::Deb => deb(sh, profile, maintainer, &directory)?,
        Kind::Wheel => wheel(sh, profile, &directory)?,
    }
    let made = fs::read_dir(&directory)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut made = made.filter(|path| path.to_string_lossy().ends_with(suffix));
    made.next()
        .with_context(|| format!("no {suffix} in {directory:?}"))
}

/// `[package.metadata.deb]` in `Cargo.toml` says what is in it.
fn deb(sh: &Shell, profile: &str, maintainer: Option<&str>, directory: &Path) -> Result<()> {
    // It says which libraries the binary needs.
    install::tools(sh, &[("/usr/bin/dpkg-shlibdeps", "dpkg-dev")])?;
    let program = cargo_deb(sh)?;
    let maintainer = maintainer.map(|who| format!("--maintainer={who}"));
    assets::write(sh, &install::repository().join("target/assets"))?;
    cmd!(
        sh,
        "cargo build --quiet --package sexton --profile {profile}"
    )
    .quiet()
    .run()?;
    cmd!(
        sh,
        "{program} deb --quiet --package sexton --no-build --profile {profile} --output {directory} {maintainer...}"
    )
    .quiet()
    .run()
    .context("cannot make the Debian package")
}

/// `xtask/python/pyproject.toml` says what is in it.
fn wheel(sh: &Shell, profile: &str, directory: &Path) -> Result<()> {
    let program = maturin(sh)?;
    let project = install::repository().join("xtask/python");
    let target = install::repository().join("target");
    let _directory = sh.push_dir(project);
    cmd!(
        sh,
        "{program} build --quiet --profile {profile} --compatibility linux --out {directory} --target-dir {target}"
    )
    .quiet()
    .run()
    .context("cannot make the wheel")
}

fn tools() -> PathBuf {
    install::repository().join("target/tools")
}

fn cargo_deb(sh: &Shell) -> Result<PathBuf> {
    let root = tools().join(format!("cargo-deb-{CARGO_DEB}"));
    let program = root.join("bin/cargo-deb");
    if !program.exists() {
        println!("xtask: installing cargo-deb {CARGO_DEB}");
        // It runs for a second: what it gains from being optimised is less than what that takes.
        cmd!(
            sh,
            "cargo install --quiet --locked --debug --root {root} cargo-deb@{CARGO_DEB}"
        )
        .quiet()
        .run()
        .context("cannot install cargo-deb")?;
    }
    Ok(program)
}

fn maturin(sh: &Shell) -> Result<PathBuf> {
    let environment = tools().join(format!("maturin-{MATURIN}"));
    let program = environment.join("bin/maturin");
    let works = || {
        cmd!(sh, "{program} --version")
            .quiet()
            .ignore_stdout()
            .run()
            .is_ok()
    };
    if program.exists() && works() {
        return Ok(program);
    }
    println!("xtask: installing maturin {MATURIN}");
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    let python = service::python(sh)?;
    cmd!(sh, "{python} -m venv {environment}").quiet().run()?;
    let pip = environment.join("bin/pip");
    cmd!(
        sh,
        "{pip} install --quiet --disable-pip-version-check --no-deps maturin=={MATURIN}"
    )
    .quiet()
    .run()
    .context("cannot install maturin; is the Python package index within reach?")?;
    if !program.exists() {
        bail!("maturin {MATURIN} brings no program");
    }
    Ok(program)
}
