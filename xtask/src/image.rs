//! Container images of the servers, pulled where there is a registry, built from the machine's own
//! package sources where there is none.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::install;

const VARIABLES: Images<&str> = Images {
    mariadb: "SEXTON_TEST_DOCKER_MARIADB",
    postgres: "SEXTON_TEST_DOCKER_POSTGRES",
};

const OFFICIAL: Images<&str> = Images {
    mariadb: "mariadb:lts",
    postgres: "postgres:17",
};

/// One root file system holds both servers, so that the packages are fetched once.
const PACKAGES: &str = "mariadb-server-core,mariadb-client-core,galera-4,rsync,postgresql";

/// What goes into the root file system beside the packages, from `xtask/image`.
const SCRIPTS: [&str; 3] = ["prepare-data", "serve-mariadb", "serve-postgres"];

/// Runs in the new root file system: data directories made here need not be made at every start.
const PREPARE: &str = r#"chroot "$1" /usr/local/bin/prepare-data"#;

/// An image for each kind of server.
#[derive(Debug, Clone)]
pub(crate) struct Images<T = String> {
    pub(crate) mariadb: T,
    pub(crate) postgres: T,
}

impl Images {
    /// The environment variables in which the tests find them.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 2] {
        [
            (VARIABLES.mariadb, &self.mariadb),
            (VARIABLES.postgres, &self.postgres),
        ]
    }
}

/// Images of an engine that belongs to somebody: named by the user, pulled, or built. With a phrase
/// that says which.
pub(crate) fn of_an_engine(sh: &Shell) -> Result<(Images, String)> {
    let given = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let (Some(mariadb), Some(postgres)) = (given(VARIABLES.mariadb), given(VARIABLES.postgres)) {
        return Ok((Images { mariadb, postgres }, "images as named".to_owned()));
    }
    let Images { mariadb, postgres } = OFFICIAL;
    let pulled = [mariadb, postgres].iter().all(|image| {
        cmd!(sh, "timeout 300 docker pull --quiet {image}")
            .ignore_stderr()
            .ignore_stdout()
            .run()
            .is_ok()
    });
    if pulled {
        let images = Images {
            mariadb: mariadb.to_owned(),
            postgres: postgres.to_owned(),
        };
        return Ok((images, "official images".to_owned()));
    }
    build(sh)
}

/// Builds the images without a registry. With a phrase about them.
///
/// `import`, `create` and `commit` are enough, so that no builder is asked for.
pub(crate) fn build(sh: &Shell) -> Result<(Images, String)> {
    let start = Instant::now();
    let suite = install::os_release("VERSION_CODENAME")?;
    let (archive, how) = root_file_system(sh, &suite)?;
    let base = format!("sexton-test/base:{suite}");
    cmd!(sh, "docker import {archive} {base}")
        .quiet()
        .ignore_stdout()
        .run()
        .context("cannot import the root file system")?;
    let images = Images {
        mariadb: commit(sh, &base, "mariadb", &suite)?,
        postgres: commit(sh, &base, "postgres", &suite)?,
    };
    let seconds = start.elapsed().as_secs_f32();
    Ok((images, format!("images {how} in {seconds:.1} s")))
}

fn commit(sh: &Shell, base: &str, kind: &str, suite: &str) -> Result<String> {
    let serve = format!("/usr/local/bin/serve-{kind}");
    let image = format!("sexton-test/{kind}:{suite}");
    let container = cmd!(sh, "docker create {base} {serve}").quiet().read()?;
    // The command of the container becomes that of the image.
    let committed = cmd!(sh, "docker commit {container} {image}")
        .quiet()
        .ignore_stdout()
        .run();
    cmd!(sh, "docker rm {container}")
        .quiet()
        .ignore_stdout()
        .run()?;
    committed.with_context(|| format!("cannot make the image {image}"))?;
    Ok(image)
}

/// The archive of a root file system with both servers, kept below `target` between runs.
fn root_file_system(sh: &Shell, suite: &str) -> Result<(PathBuf, &'static str)> {
    let source = install::repository().join("xtask/image");
    let directory = install::repository().join("target/xtask");
    let _lock = install::lock(&directory)?;
    let archive = directory.join(format!("servers-{suite}.tar"));
    // Kept beside the archive: what went into it, so that a change leads to a new one.
    let marker = archive.with_extension("contents");
    let wanted = contents(&source)?;
    if archive.exists() && fs::read_to_string(&marker).is_ok_and(|made| made == wanted) {
        return Ok((archive, "from a kept archive"));
    }
    if cmd!(sh, "which mmdebstrap")
        .quiet()
        .ignore_stdout()
        .run()
        .is_err()
    {
        if !install::can_install(sh) {
            bail!(
                "no registry answers, and without mmdebstrap no image can be built. Install it, or \
                 name images in {} and {}",
                VARIABLES.mariadb,
                VARIABLES.postgres
            );
        }
        install::packages(sh, &["mmdebstrap"])?;
    }
    println!("xtask: building the root file system of the images");
    let unfinished = directory.join("unfinished.tar");
    let scripts = SCRIPTS.map(|name| source.join(name).display().to_string());
    let copy = format!("copy-in {} /usr/local/bin", scripts.join(" "));
    let excluded = ["doc", "man", "locale", "mysql-test"]
        .map(|part| format!("--dpkgopt=path-exclude=/usr/share/{part}/*"));
    let sources = package_sources()?;
    let built = cmd!(
        sh,
        "mmdebstrap --quiet --variant=minbase --include={PACKAGES} {excluded...}
         --customize-hook={copy} --customize-hook={PREPARE} {suite} {unfinished} {sources}"
    )
    .run();
    if let Err(error) = built {
        let _ = fs::remove_file(&unfinished);
        return Err(error).context("mmdebstrap failed");
    }
    fs::rename(&unfinished, &archive)?;
    fs::write(&marker, wanted)?;
    Ok((archive, "built"))
}

/// The packages and scripts of which the root file system is made.
fn contents(scripts: &Path) -> Result<String> {
    let mut text = PACKAGES.to_owned();
    for name in SCRIPTS {
        let path = scripts.join(name);
        text += &fs::read_to_string(&path).with_context(|| format!("cannot read {path:?}"))?;
    }
    Ok(text)
}

/// The machine's own list of package sources, the distribution's part of it.
fn package_sources() -> Result<PathBuf> {
    let id = install::os_release("ID")?;
    [
        format!("/etc/apt/sources.list.d/{id}.sources"),
        "/etc/apt/sources.list".to_owned(),
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|path| fs::metadata(path).is_ok_and(|m| m.len() > 0))
    .context("found no list of package sources for the images")
}
