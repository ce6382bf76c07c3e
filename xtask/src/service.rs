//! The real services, installed from lists of pins, to make the schemas that the tests work on and to be
//! compared with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::install;

/// The releases that the tests run, and the variables that tell them where each program is.
pub(crate) const TESTED: [(&str, &str, &str); 10] = [
    ("nova", "34.0.0", "SEXTON_TEST_NOVA_MANAGE"),
    // It commits children before their parents (bug 1837995): a control that must fail.
    ("nova", "21.0.0", "SEXTON_TEST_NOVA_MANAGE_21"),
    ("manila", "23.0.1", "SEXTON_TEST_MANILA_MANAGE"),
    ("cinder", "29.0.0", "SEXTON_TEST_CINDER_MANAGE"),
    ("glance", "33.0.0", "SEXTON_TEST_GLANCE_MANAGE"),
    ("heat", "27.0.1", "SEXTON_TEST_HEAT_MANAGE"),
    ("masakari", "22.0.0", "SEXTON_TEST_MASAKARI_MANAGE"),
    ("barbican", "23.0.0", "SEXTON_TEST_BARBICAN_MANAGE"),
    ("designate", "23.0.0", "SEXTON_TEST_DESIGNATE_MANAGE"),
    ("trove", "26.0.0", "SEXTON_TEST_TROVE_MANAGE"),
];

/// Makes the schema of a service's release in an empty database, with that release's own migrations.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The service: nova, manila, cinder, glance, heat, masakari, barbican, designate, trove.
    service: String,
    /// A release that has a list of pins, 34.0.0 for example.
    release: String,
    /// The (main) database: a mysql:// or postgres:// URL or the path of an SQLite file.
    url: String,
    /// Nova's API database; without it only the main database gets its schema.
    #[arg(long)]
    api_url: Option<String>,
}

/// `cargo xtask sync`
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let program = manage(&Shell::new()?, &args.service, &args.release)?;
    sync(&args.service, &program, &args.url, args.api_url.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// The path of the service's `-manage` program of this release, in a virtual environment that is made
/// when it is not there or was left unfinished.
pub(crate) fn manage(sh: &Shell, service: &str, release: &str) -> Result<PathBuf> {
    let name = format!("{service}-{release}");
    let pins = pins(&name)?;
    let directory = install::repository().join("target/peers");
    let _lock = install::lock(&directory)?;
    let environment = directory.join(&name);
    let program = environment.join(format!("bin/{service}-manage"));
    // The marker holds the pins, so that changed pins lead to a new environment, and the path,
    // because the scripts of an environment name its Python by the path where it was made.
    let marker = environment.join("complete");
    let pinned = fs::read_to_string(&pins).with_context(|| format!("cannot read {pins:?}"))?;
    let wanted = format!("{}\n{pinned}", environment.display());
    if fs::read_to_string(&marker).is_ok_and(|made| made == wanted) {
        return Ok(program);
    }
    println!("xtask: installing {name} from its pins");
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    let python = python(sh)?;
    let temporary = tempfile::tempdir()?;
    cmd!(sh, "{python} -m venv {environment}").quiet().run()?;
    let pip = environment.join("bin/pip");
    cmd!(
        sh,
        "{pip} install --quiet --disable-pip-version-check --no-deps -r {pins}"
    )
    .env("TMPDIR", temporary.path())
    .run()
    .with_context(|| format!("cannot install {name}; is the Python package index within reach?"))?;
    if !program.exists() {
        bail!("{pins:?} installs no {service}-manage");
    }
    fs::write(&marker, wanted)?;
    Ok(program)
}

/// The list of pins of a peer: of the directory that SEXTON_PEER_PINS names, or the repository's.
fn pins(name: &str) -> Result<PathBuf> {
    let file = format!("{name}.txt");
    let own = install::repository().join("xtask/peers");
    let given = std::env::var_os("SEXTON_PEER_PINS").map(PathBuf::from);
    given
        .into_iter()
        .chain([own])
        .map(|directory| directory.join(&file))
        .find(|path| path.is_file())
        .with_context(|| {
            format!("no {file} in xtask/peers or in the directory that SEXTON_PEER_PINS names")
        })
}

/// A Python that can make virtual environments. The pins are of 3.11; others may lack wheels.
pub(crate) fn python(sh: &Shell) -> Result<&'static str> {
    let find = || {
        ["python3.11", "python3"].into_iter().find(|python| {
            cmd!(sh, "{python} -c 'import ensurepip, venv'")
                .quiet()
                .ignore_stderr()
                .run()
                .is_ok()
        })
    };
    if let Some(python) = find() {
        return Ok(python);
    }
    if install::can_install(sh) {
        install::packages(sh, &["python3", "python3-venv"])?;
    }
    find().context("no Python with the modules venv and ensurepip; install python3-venv")
}

/// Runs the migrations of a service, whose `-manage` is `program`, on the database of `url` and, if
/// there is one, on Nova's API database.
pub(crate) fn sync(service: &str, program: &Path, url: &str, api_url: Option<&str>) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let configuration = directory.path().join("service.conf");
    let state = directory.path().display();
    let text = format!(
        "[DEFAULT]\nstate_path = {state}\n{}",
        self::configuration(url, api_url)
    );
    fs::write(&configuration, text)?;
    let sh = Shell::new()?;
    sh.set_var("OS_NOVA_DISABLE_EVENTLET_PATCHING", "1");
    // Some services write the indexes of their models in the order of a set.
    sh.set_var("PYTHONHASHSEED", "0");
    let connection = sqlalchemy(url);
    let of_url = ["db", "upgrade", "--db-url", &connection];
    let commands: &[&[&str]] = match (service, api_url) {
        ("nova", Some(_)) => &[&["api_db", "sync"], &["db", "sync", "--local_cell"]],
        ("nova", None) => &[&["db", "sync", "--local_cell"]],
        ("heat" | "trove", _) => &[&["db_sync"]],
        ("designate", _) => &[&["database", "sync"]],
        // It reads no configuration file that it is given, and would make a file of its own.
        ("barbican", _) => &[&of_url],
        _ => &[&["db", "sync"]],
    };
    for &command in commands {
        let file: &[&std::ffi::OsStr] = match service {
            "barbican" => &[],
            _ => &["--config-file".as_ref(), configuration.as_os_str()],
        };
        let output = cmd!(sh, "{program} {file...} {command...}")
            .quiet()
            .ignore_status()
            .output()?;
        if !output.status.success() {
            bail!(
                "{service}-manage {} ended with {}: {}{}",
                command.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    Ok(())
}

/// The text of a configuration file for these databases.
pub(crate) fn configuration(url: &str, api_url: Option<&str>) -> String {
    let connection = sqlalchemy(url);
    // Of each service that wants it elsewhere, which the others do not read.
    let sections = ["database", "taskflow", "storage:sqlalchemy"];
    let section = |name: &str| format!("[{name}]\nconnection = {connection}\n");
    let mut text: String = sections.into_iter().map(section).collect();
    if let Some(url) = api_url {
        text += &format!("[api_database]\nconnection = {}\n", sqlalchemy(url));
    }
    text
}

/// A URL of sexton in the words of SQLAlchemy, as oslo.config reads it: `$` begins a reference.
fn sqlalchemy(url: &str) -> String {
    let url = url.replace('$', "$$");
    match url.split_once("://") {
        Some(("mysql" | "mariadb", rest)) => format!("mysql+pymysql://{rest}?charset=utf8"),
        Some(("postgres" | "postgresql", rest)) => format!("postgresql+psycopg2://{rest}"),
        Some(_) => url,
        None => format!("sqlite:///{url}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_those_of_sqlalchemy() {
        assert_eq!(
            sqlalchemy("mysql://root@127.0.0.1:3306/nova"),
            "mysql+pymysql://root@127.0.0.1:3306/nova?charset=utf8"
        );
        assert_eq!(
            sqlalchemy("postgres://u:a$b@h/nova"),
            "postgresql+psycopg2://u:a$$b@h/nova"
        );
        assert_eq!(sqlalchemy("/a/nova.db"), "sqlite:////a/nova.db");
    }
}
