//! What the documents show is what a reader gets: every `console` block of them is run, in order, and its output
//! compared. `TRYCMD=overwrite cargo test --test docs` writes down what is printed now; look at the difference.
//!
//! A page is run if it is in [`PAGES`], in a directory of its own that holds what the reader has at hand: the files of
//! its `Page`, and where a page shows a configuration with a server, that configuration with a server of the tests.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sexton::db::Engine;

use support::databases::Database;

/// A page whose commands are run.
struct Page {
    path: &'static str,
    /// What the reader has at hand: a directory below the root of the repository.
    files: Option<&'static str>,
    /// Configurations that the page shows, and whose server its reader has.
    servers: &'static [(&'static str, Engine)],
}

const PAGES: [Page; 6] = [
    Page {
        path: "README.md",
        files: None,
        servers: &[],
    },
    Page {
        path: "docs/quickstart.md",
        files: None,
        servers: &[
            ("mariadb.toml", Engine::Mysql),
            ("postgresql.toml", Engine::Postgres),
        ],
    },
    Page {
        path: "docs/own-schema.md",
        files: Some("docs/examples/shop"),
        servers: &[],
    },
    Page {
        path: "docs/reports.md",
        files: Some("tests/docs/reports"),
        servers: &[],
    },
    Page {
        path: "docs/repair.md",
        files: None,
        servers: &[],
    },
    Page {
        path: "docs/restore.md",
        files: None,
        servers: &[],
    },
];

/// The client that a reader makes SQLite files with.
const SQLITE: &str = "/usr/bin/sqlite3";

#[test]
fn documents_show_what_is_printed() {
    assert!(
        Path::new(SQLITE).exists(),
        "{SQLITE} is missing: install sqlite3, as `cargo xtask test` does"
    );
    for variable in ["SEXTON_CONFIG", "SEXTON_DATABASE", "SEXTON_API_DATABASE"] {
        assert!(std::env::var_os(variable).is_none(), "unset {variable}");
    }
    let directory = tempfile::tempdir().unwrap();
    for page in &PAGES {
        page.set_up(directory.path());
    }
    let cases = trycmd::TestCases::new();
    // For what `sexton demo` leaves.
    cases.env("TMPDIR", directory.path().display().to_string());
    cases.register_bin("sqlite3", Path::new(SQLITE));
    cases.case(directory.path().join("*.md"));
    cases.run();
}

impl Page {
    /// Puts a link to the page into the directory, and beside it what trycmd copies for its commands: NAME.in. By
    /// NAME.out it knows that they are to run in a copy; what must be unchanged in the end is in it.
    fn set_up(&self, directory: &Path) {
        let page = repository().join(self.path);
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains("```console\n"), "{page:?} has no command");
        let here = directory.join(page.file_name().unwrap());
        symlink(&page, &here).unwrap();
        let [given, left] = ["in", "out"].map(|end| here.with_extension(end));
        for place in [&given, &left] {
            fs::create_dir(place).unwrap();
            let files = self.files.map(|files| repository().join(files));
            for file in files.iter().flat_map(|files| fs::read_dir(files).unwrap()) {
                let file = file.unwrap();
                fs::copy(file.path(), place.join(file.file_name())).unwrap();
            }
        }
        for (file, engine) in self.servers {
            let configuration = with_server(&text, file, *engine);
            for place in [&given, &left] {
                fs::write(place.join(file), &configuration).unwrap();
            }
        }
    }
}

fn repository() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// The configuration that a page shows under this name, with an empty database on a server of the tests.
fn with_server(page: &str, file: &str, engine: Engine) -> String {
    let start = format!("```toml\n# {file}\n");
    let (_, shown) = page.split_once(&start).unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let url = shown.split('"').nth(1).unwrap();
    // The server stays until the process ends.
    shown.replace(url, &Database::fresh(engine).url)
}

/// Whoever reads the README finds every page from there.
#[test]
fn the_readme_names_every_page() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let mut pages = 0;
    for entry in fs::read_dir(repository().join("docs")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let row = match entry.path().is_dir() {
            // Of the shop in docs/own-schema.md.
            true if name == "examples" => continue,
            true => format!("| `docs/{name}/"),
            false => format!("| `docs/{name}` |"),
        };
        assert!(readme.contains(&row), "the README lacks {row}");
        pages += 1;
    }
    let rows = readme.lines().filter(|l| l.starts_with("| `docs/"));
    for row in rows.clone() {
        let path = row.split('`').nth(1).unwrap();
        assert!(repository().join(path).exists(), "there is no {path}");
    }
    assert_eq!(rows.count(), pages);
}
