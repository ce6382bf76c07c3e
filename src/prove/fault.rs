//! Faults: where a run is hit, and how.

mod code;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::db::Engine;
use crate::error::Error;

use super::normal::Kind;

pub use code::Code;

/// A fault at one point of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which statement, from 1, set-up statements not counted; or which operation on files.
    pub point: u64,
    /// How it is hit.
    pub mode: Mode,
    /// The statement's normalised text with its database (`main: COMMIT`), or the operation (`write
    /// main.db-journal`). Another text at that point means that the engine is not deterministic.
    pub text: String,
}

/// How a run is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// The connection is lost; the database never sees the statement.
    CutBefore,
    /// The database runs the statement; the connection is lost before the answer.
    CutAfter,
    /// The engine dies (SIGKILL) before the statement reaches the database.
    KillBefore,
    /// The database runs the statement; the engine dies before the answer.
    KillAfter,
    /// The statement is answered with this error, once.
    Error(Code),
    /// This statement is answered with this error from here on.
    ErrorForGood(Code),
    /// The COMMIT rolls back and says so (a failed certification, a serialization failure).
    CommitRefused,
    /// The COMMIT rolls back and says OK. No engine can survive it; it tests the oracle *durable*.
    CommitLost,
    /// The answer comes so many milliseconds late. Whoever waits less long for it takes a statement for
    /// lost that was executed. Only if it is asked for by name.
    Delay(u16),
    /// The engine is asked to stop (SIGINT) before the statement.
    Interrupt,
    /// The engine is asked to end (SIGTERM) before the statement.
    Terminate,
    /// The server dies (SIGKILL) before the statement, recovers, and is there again.
    ServerKillBefore,
    /// The server dies after it has run the statement, before the answer.
    ServerKillAfter,
    /// An administrator kills the connection before the statement.
    KillConnection,
    /// The statement is killed in its middle (KILL QUERY, `pg_cancel_backend`, `sqlite3_interrupt`): some
    /// of its rows are written.
    StatementKilled,
    /// The session is killed while its statement is in the middle (KILL CONNECTION,
    /// `pg_terminate_backend`).
    SessionKilled,
    /// An operation on a file fails once with an I/O error.
    IoError,
    /// Every operation on a file that changes it fails from here on.
    IoErrorForGood,
    /// The disk is full for one operation.
    DiskFull,
    /// The disk is full from here on.
    DiskFullForGood,
    /// The process dies just before an operation on a file: nothing reaches the files any more.
    Freeze,
    /// A transaction on another node of the cluster, certified before the statement, has written a row of the
    /// batch, and left it as it was.
    Conflict,
    /// The node that the engine talks to dies (SIGKILL) before the COMMIT, and stays away.
    NodeKillBefore,
    /// The node dies after it has run the COMMIT, before the answer.
    NodeKillAfter,
    /// The node hears nothing of the others any more, from just before the COMMIT; it goes on running.
    NodeIsolateBefore,
    /// The node hears nothing of the others any more once it has run the COMMIT, whose answer is heard.
    NodeIsolateAfter,
}

/// What a fault needs to know of the run that it hits.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The database engine.
    pub engine: Engine,
    /// Whether the engine under test is a process of its own, and can get signals.
    pub process: bool,
}

impl Setting {
    /// Whether all of these modes can be had, whatever the engine says, on a cluster or where there is none.
    ///
    /// # Errors
    ///
    /// Exit code 64, naming the first that cannot, and those that can.
    pub(super) fn check(self, modes: &BTreeSet<Mode>, cluster: bool) -> Result<(), Error> {
        let known = self.modes(cluster);
        let mut asked = modes.iter().filter(|m| !matches!(m, Mode::Delay(_)));
        let Some(wrong) = asked.find(|mode| !known.contains(mode)) else {
            return Ok(());
        };
        let of = match self.process {
            true => " for an engine that is a process",
            false if cluster => " with Galera",
            false => "",
        };
        let known: Vec<_> = known.iter().map(ToString::to_string).collect();
        Err(
            Error::usage(format!("there is no {wrong} on {}{of}", self.engine)).hint(format!(
                "there are {}, delay:MILLISECONDS",
                known.join(", ")
            )),
        )
    }

    /// All modes that there are.
    fn modes(self, cluster: bool) -> BTreeSet<Mode> {
        let kinds = [Kind::Write, Kind::Commit, Kind::Rollback];
        let mut modes: BTreeSet<_> = kinds.iter().flat_map(|k| Mode::at(*k, self)).collect();
        modes.extend(Mode::of_middle(self.engine));
        modes.insert(Mode::CommitLost);
        match self.engine {
            // The files of another process are out of reach.
            Engine::Sqlite if self.process => {}
            Engine::Sqlite => modes.extend(Mode::of_files()),
            _ if cluster => modes.extend(Mode::of_cluster()),
            Engine::Mysql | Engine::Postgres => modes.extend(Mode::of_server()),
        }
        modes
    }
}

impl Mode {
    /// The modes that make sense at a statement of this kind.
    pub fn at(kind: Kind, setting: Setting) -> Vec<Self> {
        let mut modes = vec![
            Self::CutBefore,
            Self::CutAfter,
            Self::KillBefore,
            Self::KillAfter,
            Self::Interrupt,
        ];
        if setting.process {
            modes.push(Self::Terminate);
        }
        if kind == Kind::Commit {
            modes.push(Self::CommitRefused);
        }
        if kind == Kind::Rollback {
            return modes;
        }
        for code in Code::of(setting.engine) {
            modes.extend([Self::Error(code), Self::ErrorForGood(code)]);
        }
        if setting.engine != Engine::Sqlite {
            modes.push(Self::KillConnection);
        }
        modes
    }

    /// The modes that kill the server: costly, as it has to recover.
    pub fn of_server() -> [Self; 2] {
        [Self::ServerKillBefore, Self::ServerKillAfter]
    }

    /// The modes that need a cluster: a conflict with another node, and a node that is taken away, which costs some
    /// seconds until it is back.
    pub fn of_cluster() -> [Self; 5] {
        [
            Self::Conflict,
            Self::NodeKillBefore,
            Self::NodeKillAfter,
            Self::NodeIsolateBefore,
            Self::NodeIsolateAfter,
        ]
    }

    /// The modes at an operation on a file.
    pub fn of_files() -> [Self; 5] {
        [
            Self::IoError,
            Self::IoErrorForGood,
            Self::DiskFull,
            Self::DiskFullForGood,
            Self::Freeze,
        ]
    }

    /// The modes that strike a statement in its middle; those that a server can do and SQLite cannot
    /// left out on SQLite.
    pub fn of_middle(engine: Engine) -> &'static [Self] {
        match engine {
            Engine::Sqlite => &[Self::StatementKilled],
            Engine::Mysql | Engine::Postgres => &[Self::StatementKilled, Self::SessionKilled],
        }
    }

    /// Whether the mode strikes a statement in its middle.
    pub fn is_of_middle(self) -> bool {
        matches!(self, Self::StatementKilled | Self::SessionKilled)
    }

    /// Whether the point counts operations on files, not statements.
    pub fn is_of_files(self) -> bool {
        Self::of_files().contains(&self)
    }

    /// Whether the mode kills the server.
    pub fn is_of_server(self) -> bool {
        Self::of_server().contains(&self)
    }

    /// Whether the mode takes a node of a cluster away.
    pub fn is_of_node(self) -> bool {
        self != Self::Conflict && Self::of_cluster().contains(&self)
    }

    /// Whether it is tried only where it is asked for by name.
    pub fn is_by_name(self) -> bool {
        matches!(self, Self::CommitLost | Self::Delay(_))
    }

    /// Whether the engine dies of it.
    pub fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter | Self::Freeze)
    }

    /// What happens, for people: `the connection is lost`.
    pub fn describe(self) -> String {
        match self {
            Self::CutBefore => "the connection is lost before the statement".into(),
            Self::CutAfter => {
                "the connection is lost after the statement, before its answer".into()
            }
            Self::KillBefore => "the engine is killed before the statement".into(),
            Self::KillAfter => "the engine is killed after the statement".into(),
            Self::Error(code) => format!("the statement is answered with error {code}"),
            Self::ErrorForGood(code) => {
                format!("the statement is answered with error {code}, from here on always")
            }
            Self::CommitRefused => "the COMMIT is refused and rolled back".into(),
            Self::CommitLost => "the COMMIT is answered with OK and rolled back".into(),
            Self::Delay(time) => format!("the answer comes {time} ms late"),
            Self::Interrupt => "the engine gets SIGINT before the statement".into(),
            Self::Terminate => "the engine gets SIGTERM before the statement".into(),
            Self::ServerKillBefore => "the server is killed before the statement".into(),
            Self::ServerKillAfter => "the server is killed after the statement".into(),
            Self::KillConnection => "an administrator kills the connection".into(),
            Self::StatementKilled => "the statement is killed in its middle".into(),
            Self::SessionKilled => "the session is killed in the middle of the statement".into(),
            Self::IoError => "an operation on a file fails".into(),
            Self::IoErrorForGood => "operations on files fail from here on".into(),
            Self::DiskFull => "the disk is full for one operation".into(),
            Self::DiskFullForGood => "the disk is full from here on".into(),
            Self::Freeze => "the process dies before an operation on a file".into(),
            Self::Conflict => {
                "another node has written a row of the batch before the statement".into()
            }
            Self::NodeKillBefore => "the engine's node is killed before the COMMIT".into(),
            Self::NodeKillAfter => "the engine's node is killed after the COMMIT".into(),
            Self::NodeIsolateBefore => {
                "the engine's node is parted from the others before the COMMIT".into()
            }
            Self::NodeIsolateAfter => {
                "the engine's node is parted from the others after the COMMIT".into()
            }
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::CutBefore => "cut-before",
            Self::CutAfter => "cut-after",
            Self::KillBefore => "kill-before",
            Self::KillAfter => "kill-after",
            Self::Error(_) => "error",
            Self::ErrorForGood(_) => "error-for-good",
            Self::CommitRefused => "commit-refused",
            Self::CommitLost => "commit-lost",
            Self::Delay(_) => "delay",
            Self::Interrupt => "interrupt",
            Self::Terminate => "terminate",
            Self::ServerKillBefore => "server-kill-before",
            Self::ServerKillAfter => "server-kill-after",
            Self::KillConnection => "kill-connection",
            Self::StatementKilled => "statement-killed",
            Self::SessionKilled => "session-killed",
            Self::IoError => "io-error",
            Self::IoErrorForGood => "io-error-for-good",
            Self::DiskFull => "disk-full",
            Self::DiskFullForGood => "disk-full-for-good",
            Self::Freeze => "freeze",
            Self::Conflict => "conflict",
            Self::NodeKillBefore => "node-kill-before",
            Self::NodeKillAfter => "node-kill-after",
            Self::NodeIsolateBefore => "node-isolate-before",
            Self::NodeIsolateAfter => "node-isolate-after",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(code) | Self::ErrorForGood(code) => write!(f, "{}:{code}", self.word()),
            Self::Delay(time) => write!(f, "{}:{time}", self.word()),
            _ => f.write_str(self.word()),
        }
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        const PLAIN: [Mode; 23] = [
            Mode::CutBefore,
            Mode::CutAfter,
            Mode::KillBefore,
            Mode::KillAfter,
            Mode::CommitRefused,
            Mode::CommitLost,
            Mode::Interrupt,
            Mode::Terminate,
            Mode::ServerKillBefore,
            Mode::ServerKillAfter,
            Mode::KillConnection,
            Mode::StatementKilled,
            Mode::SessionKilled,
            Mode::IoError,
            Mode::IoErrorForGood,
            Mode::DiskFull,
            Mode::DiskFullForGood,
            Mode::Freeze,
            Mode::Conflict,
            Mode::NodeKillBefore,
            Mode::NodeKillAfter,
            Mode::NodeIsolateBefore,
            Mode::NodeIsolateAfter,
        ];
        if let Some(mode) = PLAIN.into_iter().find(|m| m.word() == text) {
            return Ok(mode);
        }
        let unknown = || {
            let words = PLAIN.map(Self::word).join(", ");
            Error::usage(format!("unknown fault mode '{text}'")).hint(format!(
                "known are {words}, error:CODE and error-for-good:CODE (1205, 40001, SQLITE_BUSY ...), \
                 delay:MILLISECONDS"
            ))
        };
        let (word, code) = text.split_once(':').ok_or_else(unknown)?;
        if word == "delay" {
            // One way to write a mode: reports and scenarios know it by its text.
            let time: Option<u16> = code.parse().ok();
            let time = time.filter(|time| time.to_string() == code);
            return time.map(Self::Delay).ok_or_else(|| {
                Error::usage(format!("'{text}' is not a delay"))
                    .hint("give milliseconds up to 65535, as in delay:500")
            });
        }
        let code = Code::named(code).ok_or_else(unknown)?;
        match word {
            "error" => Ok(Self::Error(code)),
            "error-for-good" => Ok(Self::ErrorForGood(code)),
            _ => Err(unknown()),
        }
    }
}

impl Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_reads_back_as_it_is_written() {
        for engine in [Engine::Sqlite, Engine::Mysql, Engine::Postgres] {
            let setting = Setting {
                engine,
                process: true,
            };
            let mut modes = Mode::at(Kind::Commit, setting);
            modes.extend(Mode::of_files());
            modes.extend(Mode::of_server());
            modes.extend(Mode::of_middle(engine));
            modes.extend(Mode::of_cluster());
            modes.extend([Mode::CommitLost, Mode::Delay(500)]);
            for mode in modes {
                assert_eq!(mode.to_string().parse::<Mode>().unwrap(), mode);
                assert!(!mode.describe().is_empty());
            }
        }
        assert!("error:1".parse::<Mode>().is_err());
        for text in [
            "cut",
            "delay",
            "delay:",
            "delay:+1",
            "delay:060",
            "delay:1s",
            "delay:65536",
        ] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }
}
