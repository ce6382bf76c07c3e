//! An engine that is a program which stays in memory and forks for each run; `docs/prove-engines.md`
//! has the protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::command::{PATIENCE, check, fill, takes_before, unstartable, words};
use super::said::{Exit, read};
use super::{Archiver, Place, Ran};
use crate::db::Engine;
use crate::error::{Error, Result};

/// How long an adapter may take to be ready.
const START: Duration = Duration::from_secs(60);

/// How long to wait for the last words of an adapter that has ended: what it leaves running may hold
/// its standard error open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much of the standard error is kept, in bytes, and how many lines of that are quoted: the end,
/// where the error is.
const KEPT: usize = 4_000;
const QUOTED: usize = 3;

/// A warm engine: an adapter that is started once, and the arguments of a run.
pub struct Warm {
    name: String,
    adapter: Vec<String>,
    arguments: Vec<String>,
    /// How long a run may take.
    patience: Duration,
    running: Option<Adapter>,
}

struct Adapter {
    child: Child,
    input: ChildStdin,
    /// Lines that it prints, from a thread: a line that never comes can be given up.
    lines: Receiver<String>,
    errors: Errors,
}

/// The end of what an adapter says on its standard error, from a thread.
struct Errors {
    kept: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
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
        check(&all)?;
        Ok(Self {
            name: format!("warm:{command}"),
            adapter: all[..at].to_vec(),
            arguments: all[at + 1..].to_vec(),
            patience: PATIENCE,
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
        let patience = self.patience;
        let adapter = self.adapter()?;
        let request = serde_json::json!({ "run": arguments });
        if let Err(error) = writeln!(adapter.input, "{request}") {
            return Err(adapter.broken(&error.to_string()));
        }
        let Some(started) = adapter.line::<Started>(START)? else {
            return Err(adapter.broken(&silence(START)));
        };
        place.process.set(started.pid);
        let done: Result<Option<Done>> = adapter.line(patience);
        place.process.clear();
        let Some(done) = done? else {
            // The adapter has not reaped it, so the number is still its own.
            if let Some(pid) = Pid::from_raw(started.pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
            self.running = None;
            return Ok(Ran::failed(format!(
                "no end within {} s",
                patience.as_secs()
            )));
        };
        let exit = match (done.exit, done.signal) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or(0)),
        };
        Ok(read(exit, &done.stdout, &done.stderr))
    }
}

impl Archiver for Warm {
    fn takes_before(&self) -> bool {
        takes_before(&self.arguments)
    }

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
            return Err(Error::usage("a warm engine needs an adapter before ' -- '")
                .hint("write warm:'ADAPTER -- LINE', see docs/prove.md"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for the campaign, which ends after the cases in hand.
            .process_group(0)
            .spawn()
            .map_err(|e| unstartable(program, &e))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
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
        let adapter = Self {
            child,
            input,
            lines,
            errors: Errors::read(errors),
        };
        let Some(ready) = adapter.line::<Ready>(START)? else {
            return Err(adapter.broken(&silence(START)));
        };
        if ready.ready != 1 {
            let (version, engine) = (ready.ready, ready.engine);
            return Err(Error::data(format!(
                "engine {engine} speaks version {version} of the warm protocol, not 1"
            ))
            .hint("mend the adapter: docs/prove-engines.md has the protocol"));
        }
        Ok(adapter)
    }

    /// The next line; `None` if none came in time.
    fn line<T: serde::de::DeserializeOwned>(&self, patience: Duration) -> Result<Option<T>> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => serde_json::from_str(&line)
                .map(Some)
                .map_err(|e| self.broken(&format!("said '{line}': {e}"))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.broken("it has ended")),
        }
    }

    /// What is wrong with it, and what it said of that.
    fn broken(&self, what: &str) -> Error {
        let mut message =
            format!("the adapter of the engine does not keep to the protocol: {what}");
        let said = self.errors.last();
        if !said.is_empty() {
            message.push_str(&format!("; it said at last: {said}"));
        }
        Error::data(message).hint("see docs/prove-engines.md")
    }
}

impl Errors {
    fn read(mut from: ChildStderr) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&kept);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; KEPT];
            while let Ok(length @ 1..) = from.read(&mut chunk) {
                let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&chunk[..length]);
                let more = kept.len().saturating_sub(KEPT);
                kept.drain(..more);
            }
        });
        Self { kept, reader }
    }

    /// The last lines as one.
    fn last(&self) -> String {
        let asked = Instant::now();
        while !self.reader.is_finished() && asked.elapsed() < LAST_WORDS {
            std::thread::sleep(Duration::from_millis(5));
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        lines[lines.len().saturating_sub(QUOTED)..].join(" / ")
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        // It ends with its input too; killed, it ends now. A run of its own ends with it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn silence(patience: Duration) -> String {
    format!("no answer within {} s", patience.as_secs())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Door, Ended, EngineOptions};
    use super::*;
    use crate::prove::catalogue;

    fn place(directory: &Path) -> Place {
        let nothing = || Err(Error::internal("no database"));
        let world = catalogue::world("chain").unwrap();
        Place {
            engine: Engine::Mysql,
            main: Door::new("mysql://u@127.0.0.1:1/d".into(), Arc::new(nothing)),
            api: None,
            graph: Arc::new(world.graph(Engine::Mysql).unwrap()),
            task: crate::prove::world::Task::Archive,
            options: EngineOptions::default(),
            stop: Arc::default(),
            process: Arc::default(),
            directory: directory.to_owned(),
        }
    }

    /// An adapter in the words of a shell.
    fn adapter(directory: &Path, script: &str) -> Warm {
        let file = directory.join("adapter.sh");
        std::fs::write(&file, script).unwrap();
        Warm::new(&format!("sh '{}' -- {{max_rows}}", file.display())).unwrap()
    }

    #[test]
    fn what_an_adapter_says_at_last_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let place = place(directory.path());
        let run = |script| {
            let ran = adapter(directory.path(), script).run(&place);
            ran.unwrap_err().to_string()
        };
        let error = run("for i in $(seq 9999); do echo line $i; done >&2
            printf 'Traceback\n\nModuleNotFoundError: no nova\n' >&2");
        let said =
            "it has ended; it said at last: line 9999 / Traceback / ModuleNotFoundError: no nova;";
        assert!(error.contains(said), "{error}");
        // A signal to the terminal's process group is not for it.
        let error = run("[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && echo its own group >&2");
        assert!(error.contains("it said at last: its own group"), "{error}");
        // One that leaves something behind, which holds the pipe.
        let asked = Instant::now();
        let error = run("echo no nova >&2; sleep 20 >/dev/null & exit 1");
        assert!(error.contains("it said at last: no nova"), "{error}");
        assert!(asked.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn a_run_that_does_not_end_has_failed_and_the_next_one_gets_another_adapter() {
        let directory = tempfile::tempdir().unwrap();
        let place = place(directory.path());
        let script = r#"cd "$(dirname "$0")"
            echo '{"ready": 1, "engine": "sh"}'
            read request
            if [ ! -e run ]; then
                sleep 300 &
                echo $! >run
                echo "{\"pid\": $!}"
            else
                echo "{\"pid\": $(cat run)}"
                echo '{"exit": 0, "signal": null}'
            fi
            read end"#;
        let mut warm = adapter(directory.path(), script);
        warm.patience = Duration::from_secs(1);
        let ran = warm.run(&place).unwrap();
        assert_eq!(ran.ended, Ended::Failed("no end within 1 s".into()));
        assert_eq!(place.process.get(), None);
        let pid = std::fs::read_to_string(directory.path().join("run")).unwrap();
        let state = Path::new("/proc").join(pid.trim()).join("stat");
        let asked = Instant::now();
        // Dead, and perhaps nobody has taken notice yet.
        while std::fs::read_to_string(&state).is_ok_and(|s| !s.contains(") Z")) {
            assert!(asked.elapsed() < Duration::from_secs(10), "the run goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
        warm.patience = PATIENCE;
        assert_eq!(warm.run(&place).unwrap().ended, Ended::Done);
    }
}
