//! An engine that is a program which stays in memory and forks for each run; `docs/prove-engines.md`
//! has the protocol.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde::Deserialize;

use super::command::{PATIENCE, fill, unstartable, words};
use super::said::{Exit, read};
use super::{Archiver, Place, Ran};
use crate::db::Engine;
use crate::error::{Error, Result};

/// How long an adapter may take to be ready.
const START: Duration = Duration::from_secs(60);

/// A warm engine: an adapter that is started once, and the arguments of a run.
pub struct Warm {
    name: String,
    adapter: Vec<String>,
    arguments: Vec<String>,
    running: Option<Adapter>,
}

struct Adapter {
    child: Child,
    input: ChildStdin,
    /// Lines that it prints, from a thread: a line that never comes can be given up.
    lines: Receiver<String>,
}

#[derive(Deserialize)]
struct Ready {
    ready: u32,
    engine: String,
}

#[derive(Deserialize)]
struct Started {
    pid: i32,
}

#[derive(Deserialize)]
struct Done {
    exit: Option<i32>,
    signal: Option<i32>,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stderr: String,
}

impl Warm {
    /// A warm engine from `ADAPTER -- ARGUMENTS`, both split as a shell would. The arguments may hold
    /// what those of [`super::Program`] may.
    ///
    /// # Errors
    ///
    /// Exit code 64 if there is no ` -- ` in it, or a quote does not end.
    pub fn new(command: &str) -> Result<Self> {
        let all = words(command)?;
        let at = all.iter().position(|w| w == "--").ok_or_else(|| {
            Error::usage(format!("engine 'warm:{command}' has no ' -- '"))
                .hint("put it between the adapter and the arguments of a run")
        })?;
        Ok(Self {
            name: format!("warm:{command}"),
            adapter: all[..at].to_vec(),
            arguments: all[at + 1..].to_vec(),
            running: None,
        })
    }

    fn adapter(&mut self) -> Result<&mut Adapter> {
        if self.running.is_none() {
            let adapter = Adapter::start(&self.adapter)?;
            self.running = Some(adapter);
        }
        self.running
            .as_mut()
            .ok_or_else(|| Error::internal("an adapter that was just started is gone"))
    }

    fn ask(&mut self, place: &Place) -> Result<Ran> {
        let arguments = fill(&self.arguments, place)?;
        let adapter = self.adapter()?;
        let request = serde_json::json!({ "run": arguments });
        writeln!(adapter.input, "{request}").map_err(|e| broken(&e.to_string()))?;
        let started: Started = adapter.line(START)?;
        place.process.set(started.pid);
        let done: Result<Done> = adapter.line(PATIENCE);
        place.process.clear();
        let done = done?;
        let exit = match (done.exit, done.signal) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        };
        Ok(read(exit, &done.stdout, &done.stderr))
    }
}

impl Archiver for Warm {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn is_process(&self) -> bool {
        true
    }

    fn runs_on(&self, engine: Engine) -> bool {
        engine != Engine::Sqlite
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let ran = self.ask(place);
        if ran.is_err() {
            // Whatever it still does, it does not answer: the next run gets a new one.
            self.running = None;
        }
        ran
    }
}

impl Adapter {
    fn start(words: &[String]) -> Result<Self> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(Error::usage("a warm engine needs an adapter before ' -- '"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| unstartable(program, &e))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::internal("an adapter without pipes"));
        };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut adapter = Self {
            child,
            input,
            lines,
        };
        let ready: Ready = adapter.line(START)?;
        if ready.ready != 1 {
            let (version, engine) = (ready.ready, ready.engine);
            return Err(Error::data(format!(
                "engine {engine} speaks version {version} of the warm protocol, not 1"
            )));
        }
        Ok(adapter)
    }

    fn line<T: serde::de::DeserializeOwned>(&mut self, patience: Duration) -> Result<T> {
        let line = self.lines.recv_timeout(patience).map_err(|e| match e {
            RecvTimeoutError::Timeout => {
                broken(&format!("no answer within {} s", patience.as_secs()))
            }
            RecvTimeoutError::Disconnected => broken("it has ended"),
        })?;
        serde_json::from_str(&line).map_err(|e| broken(&format!("said '{line}': {e}")))
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        // It ends with its input too; killed, it ends now. A run of its own ends with it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn broken(what: &str) -> Error {
    Error::data(format!(
        "the adapter of the engine does not keep to the protocol: {what}"
    ))
    .hint("see docs/prove-engines.md")
}
