//! Running the binary, and sample databases to run it on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use serde_json::Value as Json;
use sexton::db::{Access, Session, Target, open};

/// The password of every URL in these tests; it must never be seen again.
pub(crate) const SECRET: &str = "s3cr3t";

/// Variables that would change what the binary does.
pub(crate) const VARIABLES: [&str; 3] = ["SEXTON_CONFIG", "SEXTON_DATABASE", "SEXTON_API_DATABASE"];

/// What a run left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}{}", self.stdout, self.stderr))
    }
}

/// The binary, free of what the environment would tell it.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sexton"));
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Runs it, and looks for the password in all it says.
pub(crate) fn run(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let ran = Ran {
        code: output.status.code().expect("no signal ends the binary"),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    };
    assert!(
        !ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET),
        "the password is shown: {}{}",
        ran.stdout,
        ran.stderr
    );
    ran
}

pub(crate) fn sexton(arguments: &[&str]) -> Ran {
    let mut command = command();
    command.args(arguments);
    run(command)
}

/// Runs what must be refused: this code, nothing on stdout, and one line that says what to do next.
pub(crate) fn refused(code: i32, arguments: &[&str]) -> String {
    let ran = sexton(arguments);
    let what = format!("{arguments:?}: {} {}{}", ran.code, ran.stdout, ran.stderr);
    assert_eq!(ran.code, code, "{what}");
    assert_eq!(ran.stdout, "", "{what}");
    assert_eq!(ran.stderr.lines().count(), 1, "{what}");
    assert!(ran.stderr.starts_with("sexton: "), "{what}");
    assert!(ran.stderr.contains("; "), "no advice: {what}");
    ran.stderr
}

/// The same for what clap refuses, in its own words of several lines.
pub(crate) fn refused_by_clap(arguments: &[&str], complaint: &str) {
    let ran = sexton(arguments);
    let what = format!("{arguments:?}: {} {}{}", ran.code, ran.stdout, ran.stderr);
    assert_eq!((ran.code, ran.stdout.as_str()), (64, ""), "{what}");
    assert!(ran.stderr.starts_with("error: "), "{what}");
    assert!(ran.stderr.contains(complaint), "{what}");
}

/// A directory with a Nova of 30 dead and 5 live instances and its API database.
pub(crate) struct Sample {
    directory: tempfile::TempDir,
}

/// The files of a sample, made once.
struct Made {
    cell: Vec<u8>,
    api: Vec<u8>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        static MADE: OnceLock<Made> = OnceLock::new();
        let made = MADE.get_or_init(|| {
            let sample = Self::empty();
            sample.generate(&["--families", "30", "--live", "5"]);
            Made {
                cell: fs::read(sample.path("nova.db")).unwrap(),
                api: fs::read(sample.path("api.db")).unwrap(),
            }
        });
        let sample = Self::empty();
        fs::write(sample.path("nova.db"), &made.cell).unwrap();
        fs::write(sample.path("api.db"), &made.api).unwrap();
        // The cell has moved, and a copy of a cell does not pass for the cell.
        let moved = format!(
            "UPDATE cell_mappings SET database_connection = '{}' WHERE name = 'cell1'",
            sample.cell()
        );
        session(&sample.path("api.db")).execute(&moved).unwrap();
        sample
    }

    /// A directory with nothing in it.
    pub(crate) fn empty() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Fills the cell and the API database.
    pub(crate) fn generate(&self, arguments: &[&str]) -> Ran {
        let (cell, api) = (self.cell(), self.api());
        let mut all = vec!["generate", &cell, "--api", &api];
        all.extend(arguments);
        let ran = sexton(&all);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        ran
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn cell(&self) -> String {
        self.name("nova.db")
    }

    pub(crate) fn api(&self) -> String {
        self.name("api.db")
    }

    /// Writes a file; its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.name(name)
    }

    /// A nova.conf for both databases; its path.
    pub(crate) fn configuration(&self) -> String {
        let (cell, api) = (self.cell(), self.api());
        let text = format!(
            "[database]\nconnection = sqlite:///{cell}\n\
             [api_database]\nconnection = sqlite:///{api}\n"
        );
        self.file("nova.conf", &text)
    }

    /// Names and contents of all files.
    pub(crate) fn bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(self.directory.path()).unwrap();
        let mut files: Vec<_> = files
            .map(|f| f.unwrap().path())
            .filter(|p| p.is_file())
            .map(|p| (p.clone(), fs::read(p).unwrap()))
            .collect();
        files.sort();
        files
    }

    pub(crate) fn session(&self) -> Session {
        session(&self.path("nova.db"))
    }

    pub(crate) fn count(&self, from_where: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {from_where}");
        self.session().query_count(&sql).unwrap()
    }
}

pub(crate) fn session(path: &Path) -> Session {
    open(&Target::Sqlite(path.to_owned()), Access::ReadWrite).unwrap()
}
