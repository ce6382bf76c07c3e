//! The packages as whoever installs them meets them: what is in them, and that the binary runs from where they put it.
//!
//! `cargo xtask test` makes both, with the binary of the tests, and names them in the environment.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The package that a variable names.
fn package(variable: &str, kind: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => panic!(
            "{variable} names no package: run this with `cargo xtask test`, or set it to the one that `cargo xtask \
             package {kind}` makes"
        ),
    }
}

/// Runs a program that must succeed; what it printed.
fn run(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let program = program.as_ref();
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{program:?} {arguments:?}: {stdout}{stderr}"
    );
    stdout
}

/// It is this version, and has what it needs at hand to make a database and to look at it.
fn works(binary: &Path) {
    let version = run(binary, &["--version"]);
    assert_eq!(
        version.trim(),
        concat!("sexton ", env!("CARGO_PKG_VERSION"))
    );
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("nova.db").display().to_string();
    run(binary, &["generate", &database, "--families", "3"]);
    let said = run(binary, &["archive", "--until-complete", &database]);
    assert!(
        said.contains("Complete: all that may move has moved."),
        "{said}"
    );
}

/// The root of a system that has what the package needs, as far as its package manager is told, and nothing else.
struct Root {
    directory: tempfile::TempDir,
}

impl Root {
    fn with(depends: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let admin = directory.path().join("var/lib/dpkg");
        for part in ["info", "updates", "triggers"] {
            std::fs::create_dir_all(admin.join(part)).unwrap();
        }
        // `libc6 (>= 2.34), libgcc-s1 (>= 4.2)`: what this machine has of it, so that versions are compared.
        let names = depends.split(", ").map(|d| d.split(' ').next().unwrap());
        let stanza = |name| run("dpkg-query", &["--status", name]);
        let status: Vec<_> = names.map(stanza).collect();
        std::fs::write(admin.join("status"), status.join("\n")).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs dpkg on it, as any user, with a log of its own.
    fn dpkg(&self, arguments: &[&str]) -> String {
        let root = format!("--root={}", self.directory.path().display());
        let log = format!("--log={}", self.path("dpkg.log").display());
        let output = Command::new("dpkg")
            .args([&root, &log, "--force-not-root"])
            .args(arguments)
            // It looks there for what an installation may call.
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "dpkg {arguments:?}: {said}");
        said
    }

    /// What is known of the package there: `ii`, or nothing.
    fn state(&self) -> String {
        let admin = format!("--admindir={}", self.path("var/lib/dpkg").display());
        let shown = ["--showformat=${db:Status-Abbrev}", "--show", "sexton"];
        let output = Command::new("dpkg-query").arg(admin).args(shown).output();
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    }
}

/// `dpkg -i`, a run, `dpkg -r`, and the machine has nothing of it.
#[test]
fn the_debian_package_is_installed_and_removed() {
    let package = package("SEXTON_TEST_DEB", "deb").display().to_string();
    let depends = run("dpkg-deb", &["--field", &package, "Depends"]);
    let here = || std::fs::metadata("/usr/bin/sexton").and_then(|m| m.modified());
    let before = here().ok();

    let root = Root::with(depends.trim());
    assert_eq!(root.state(), "");
    root.dpkg(&["--install", &package]);
    assert_eq!(root.state(), "ii");
    // Every file is what the package says, and none of them is where another package would have it.
    assert_eq!(root.dpkg(&["--verify", "sexton"]), "");
    let binary = root.path("usr/bin/sexton");
    works(&binary);

    root.dpkg(&["--remove", "sexton"]);
    assert_eq!(root.state(), "");
    assert!(!binary.exists());
    assert!(!root.path("usr/share/doc/sexton").exists());
    assert_eq!(here().ok(), before);
}

/// Nobody who installs it is sent to an address that is somebody else's.
#[test]
fn the_maintainer_of_the_debian_package_is_nobody_who_could_be_written_to() {
    let package = package("SEXTON_TEST_DEB", "deb").display().to_string();
    let maintainer = run("dpkg-deb", &["--field", &package, "Maintainer"]);
    assert_eq!(
        maintainer.trim(),
        "The sexton developers <no-address@sexton.invalid>"
    );
}

#[test]
fn the_debian_package() {
    let package = package("SEXTON_TEST_DEB", "deb").display().to_string();
    let field = |name: &str| {
        run("dpkg-deb", &["--field", &package, name])
            .trim()
            .to_owned()
    };
    assert_eq!(field("Package"), "sexton");
    assert!(field("Version").starts_with(env!("CARGO_PKG_VERSION")));
    assert!(field("Depends").contains("libc6"), "{}", field("Depends"));
    let tree = tempfile::tempdir().unwrap();
    run(
        "dpkg-deb",
        &["--extract", &package, &tree.path().display().to_string()],
    );
    for file in [
        "usr/share/man/man1/sexton.1.gz",
        "usr/share/man/man1/sexton-archive.1.gz",
        "usr/share/man/man1/sexton-schema-diff.1.gz",
        "usr/share/bash-completion/completions/sexton",
        "usr/share/zsh/vendor-completions/_sexton",
        "usr/share/fish/vendor_completions.d/sexton.fish",
        "usr/share/doc/sexton/copyright",
        "usr/share/doc/sexton/examples/systemd/sexton-archive.service",
        "usr/share/doc/sexton/examples/systemd/sexton-archive.timer",
        "usr/share/doc/sexton/examples/systemd/sexton.toml",
    ] {
        let path = tree.path().join(file);
        assert!(path.metadata().is_ok_and(|m| m.len() > 0), "no {file}");
    }
    let copyright = std::fs::read_to_string(tree.path().join("usr/share/doc/sexton/copyright"));
    assert!(copyright.unwrap().contains("Apache-2.0"));
    // Nothing else: least of all a unit that would be started by the installation.
    let outside = ["usr/lib/systemd", "lib/systemd", "etc"];
    assert!(outside.iter().all(|path| !tree.path().join(path).exists()));
    works(&tree.path().join("usr/bin/sexton"));
}

#[test]
fn the_python_wheel() {
    let wheel = package("SEXTON_TEST_WHEEL", "wheel").display().to_string();
    let environment = tempfile::tempdir().unwrap();
    let path = environment.path().display().to_string();
    run("python3", &["-m", "venv", &path]);
    let pip = environment.path().join("bin/pip");
    run(
        &pip,
        &[
            "install",
            "--quiet",
            "--no-index",
            "--disable-pip-version-check",
            &wheel,
        ],
    );
    let shown = run(&pip, &["show", "--disable-pip-version-check", "sexton"]);
    assert!(shown.contains("Name: sexton"), "{shown}");
    works(&environment.path().join("bin/sexton"));
}
