//! `cargo xtask schemas`: captures the models under `schemas/models/` from the real services.
//!
//! Each release is installed from its pins, run through its own migrations against a private
//! MariaDB, and read back with the same introspection that sexton uses on live databases.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use sexton::db::{Access, Target, introspect, migration_version, open};
use sexton::schema::Model;
use sexton::server::{PrivateMariadb, Provider};
use xshell::Shell;

use crate::{install, service};

/// The releases that have models.
const RELEASES: [(&str, &str); 14] = [
    ("nova", "34.0.0"),
    ("nova", "31.3.1"),
    ("nova", "29.4.0"),
    ("nova", "27.5.1"),
    ("nova", "25.0.0"),
    ("nova", "21.0.0"),
    ("manila", "23.0.1"),
    ("cinder", "29.0.0"),
    ("glance", "33.0.0"),
    ("heat", "27.0.1"),
    ("masakari", "22.0.0"),
    ("barbican", "23.0.0"),
    ("designate", "23.0.0"),
    ("trove", "26.0.0"),
];

/// Captures the schemas of the real services, Nova's main and API database, as models under
/// schemas/models.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this service.
    #[arg(long)]
    service: Option<String>,
    /// Only this release.
    #[arg(long)]
    release: Option<String>,
}

/// `cargo xtask schemas`
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let sh = Shell::new()?;
    install::servers(&sh)?;
    let directory = install::repository().join("schemas/models");
    let mut server = PrivateMariadb::new().not_durable().start()?;
    let wanted = |chosen: &Option<String>, name: &str| chosen.as_ref().is_none_or(|c| c == name);
    for (service, release) in RELEASES {
        if !wanted(&args.service, service) || !wanted(&args.release, release) {
            continue;
        }
        let program = service::manage(&sh, service, release)?;
        let name = format!("{service}_{}", release.replace('.', "_"));
        let main = server.create_database(&name)?;
        let api = match service {
            "nova" => Some(server.create_database(&format!("{name}_api"))?),
            _ => None,
        };
        service::sync(service, &program, &main, api.as_deref())?;
        capture(&main, service, release, "main", &directory)?;
        if let Some(api) = api {
            capture(&api, service, release, "api", &directory)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the schema of one database and writes its model file.
fn capture(
    url: &str,
    service: &str,
    release: &str,
    database: &str,
    directory: &Path,
) -> Result<()> {
    let target: Target = url.parse()?;
    let mut session = open(&target, Access::ReadOnly)?;
    let schema = introspect(&mut session)?;
    let version = migration_version(&mut session, &schema)?;
    let version = version.context("the database has no schema version")?;
    let mut model = Model::new(service, release, database, &version, &schema);
    let suffix = if database == "main" {
        String::new()
    } else {
        format!("-{database}")
    };
    let name = format!("{service}-{release}{suffix}");
    // What other engines are known to have otherwise was not read here; `tests/schema/real.rs` holds it.
    if let Ok(known) = Model::built_in(&name) {
        model.drift = known.drift;
    }
    let path = directory.join(format!("{name}.toml"));
    std::fs::write(&path, model.to_text()?).with_context(|| path.display().to_string())?;
    println!(
        "{}: {} tables, version {version}",
        path.display(),
        schema.tables.len()
    );
    Ok(())
}
