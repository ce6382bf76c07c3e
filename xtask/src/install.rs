//! Packages of the machine: what is missing is installed where that may be done.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sexton::server::{PrivateMariadb, PrivatePostgres, Provider};
use xshell::{Shell, cmd};

/// Connection URLs of servers that stand in for private ones.
pub(crate) const MYSQL_URL: &str = "SEXTON_TEST_MYSQL_URL";
/// See [`MYSQL_URL`].
pub(crate) const POSTGRES_URL: &str = "SEXTON_TEST_POSTGRES_URL";

const SERVER_PACKAGES: [&str; 4] = ["mariadb-server", "galera-4", "rsync", "postgresql"];

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Keeps other runs of this task from making the same thing at the same time, until the drop.
pub(crate) fn lock(directory: &Path) -> Result<File> {
    let locked = || {
        fs::create_dir_all(directory)?;
        let file = File::create(directory.join("lock"))?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    };
    locked().with_context(|| format!("cannot lock {}", directory.display()))
}

/// Makes sure of the servers' binaries. Returns a line for the summary.
pub(crate) fn servers(sh: &Shell) -> Result<String> {
    let missing = missing_servers();
    if missing.is_empty() {
        return Ok("MariaDB, Galera and PostgreSQL of this machine".to_owned());
    }
    if can_install(sh) {
        packages(sh, &SERVER_PACKAGES)?;
        let still = missing_servers();
        if !still.is_empty() {
            bail!("still missing after the installation: {}", still.join("; "));
        }
        return Ok(format!("installed {}", SERVER_PACKAGES.join(" ")));
    }
    if is_given(MYSQL_URL) && is_given(POSTGRES_URL) {
        return Ok(format!(
            "the servers of {MYSQL_URL} and {POSTGRES_URL}; tests that need private servers will \
             fail: {}",
            missing.join("; ")
        ));
    }
    bail!(
        "{}. Install {} with your package manager, or run this as root on Debian or Ubuntu, or set \
         {MYSQL_URL} and {POSTGRES_URL} to servers whose databases may be created and dropped",
        missing.join("; "),
        SERVER_PACKAGES.join(", "),
    )
}

/// Whether the environment variable has a value.
pub(crate) fn is_given(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn missing_servers() -> Vec<String> {
    let providers: [&dyn Provider; 2] = [&PrivateMariadb::new(), &PrivatePostgres::new()];
    let mut missing: Vec<_> = providers
        .iter()
        .filter_map(|provider| provider.available().err())
        .map(|error| error.message)
        .collect();
    let galera = [
        "/usr/lib/galera/libgalera_smm.so",
        "/usr/lib64/galera-4/libgalera_smm.so",
    ];
    if !galera.iter().any(|library| Path::new(library).exists()) {
        missing.push("no Galera library on this machine".to_owned());
    }
    missing
}

/// Makes sure of programs: each with the package that brings it.
pub(crate) fn tools(sh: &Shell, tools: &[(&str, &str)]) -> Result<()> {
    for (program, package) in tools {
        if Path::new(program).exists() {
            continue;
        }
        if !can_install(sh) {
            bail!("no {program}: install {package}, or run this as root on Debian or Ubuntu");
        }
        packages(sh, &[package])?;
        if !Path::new(program).exists() {
            bail!("still no {program} after the installation of {package}");
        }
    }
    Ok(())
}

/// Whether packages may be installed: root, and a system with apt-get.
pub(crate) fn can_install(sh: &Shell) -> bool {
    let root = cmd!(sh, "id -u").quiet().read().is_ok_and(|id| id == "0");
    root && Path::new("/usr/bin/apt-get").exists()
}

/// Installs packages. Their services are not needed and are left alone.
pub(crate) fn packages(sh: &Shell, names: &[&str]) -> Result<()> {
    println!("xtask: installing {}", names.join(" "));
    let _environment = sh.push_env("DEBIAN_FRONTEND", "noninteractive");
    cmd!(sh, "apt-get update -qq")
        .run()
        .context("cannot update the package lists")?;
    cmd!(
        sh,
        "apt-get install -y -qq --no-install-recommends {names...}"
    )
    .ignore_stdout()
    .run()
    .with_context(|| format!("cannot install {}", names.join(" ")))
}

/// A field of the description of the operating system.
pub(crate) fn os_release(field: &str) -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| *name == field)
        .map(|(_, value)| value.trim_matches('"').to_owned())
        .with_context(|| format!("no {field} in /etc/os-release"))
}
