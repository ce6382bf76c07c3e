//! An engine that is a program, started anew for each run.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::said::{Exit, read};
use super::{Archiver, Place, Ran};
use crate::db::Engine;
use crate::error::{Error, Result};

/// The name of sexton's own binary as an engine.
const OWN: &str = "process";

/// Longer than this no run on a small world takes; one that does is killed and has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// A program with its arguments, in which `{url}`, `{api_url}`, `{config}`, `{host}`, `{port}`,
/// `{max_rows}`, `{before}` and `{profile}` are filled in so that it talks through the harness.
#[derive(Debug, Clone)]
pub struct Program {
    name: String,
    words: Vec<String>,
}

impl Program {
    /// A program from a command line, split as a shell would: `nova-manage --config-file {config} db
    /// archive_deleted_rows`.
    ///
    /// # Errors
    ///
    /// Exit code 64 if the command line is empty, a quote in it does not end, or nothing stands for a
    /// word in braces.
    pub fn new(command: &str) -> Result<Self> {
        let words = words(command)?;
        check(&words)?;
        Ok(Self {
            name: format!("command:{command}"),
            words,
        })
    }

    /// sexton's own binary as a process.
    ///
    /// # Errors
    ///
    /// Exit code 70 if the process does not know its own file.
    pub fn own() -> Result<Self> {
        let failed = |e| Error::internal(format!("sexton does not find its own file: {e}"));
        let this = std::env::current_exe().map_err(failed)?;
        let mut words = vec![this.to_string_lossy().into_owned()];
        let rest = "--format json --quiet --max-rows {max_rows} --profile {profile} {url}";
        words.extend(rest.split(' ').map(str::to_owned));
        Ok(Self {
            name: OWN.into(),
            words,
        })
    }
}

impl Archiver for Program {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn is_process(&self) -> bool {
        true
    }

    fn takes_before(&self) -> bool {
        self.name == OWN || takes_before(&self.words)
    }

    // SQLite has no wire that a program could be hit on.
    fn runs_on(&self, engine: Engine) -> bool {
        engine != Engine::Sqlite
    }

    fn run(&mut self, place: &Place) -> Result<Ran> {
        let mut words = fill(&self.words, place)?;
        if self.name == OWN {
            let mut task = match (place.task.purges(), &place.options.before) {
                (true, None) => vec!["purge", "--all"],
                (true, Some(_)) => vec!["purge"],
                (false, _) => vec!["archive", "--until-complete"],
            };
            let before = place.options.before.as_ref().map(ToString::to_string);
            task.extend(before.iter().flat_map(|before| ["--before", before]));
            words.splice(1..1, task.into_iter().map(str::to_owned));
            let api = place.api.iter();
            words.extend(api.flat_map(|api| ["--api".to_owned(), api.url.clone()]));
            let others = place.main.others.iter();
            words.extend(others.flat_map(|url| ["--db".to_owned(), url.clone()]));
        }
        let (out, err) = (
            place.directory.join("stdout"),
            place.directory.join("stderr"),
        );
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(file(&out)?)
            .stderr(file(&err)?)
            .process_group(0);
        if self.name == OWN {
            // What its user has set for runs of his own is not what is to be proved.
            let set = std::env::vars_os().map(|(name, _)| name);
            for name in set.filter(|name| name.to_string_lossy().starts_with("SEXTON_")) {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn().map_err(|e| unstartable(&words[0], &e))?;
        place.process.set(child.id().cast_signed());
        let status = wait(&mut child);
        place.process.clear();
        let status = status?;
        let text = |path: &Path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok(match status {
            Some(status) => read(exit(status), &text(&out), &text(&err)),
            None => Ran::failed(format!("no end within {} s", PATIENCE.as_secs())),
        })
    }
}

fn file(path: &Path) -> Result<File> {
    File::create(path).map_err(|e| Error::internal(format!("cannot write {}: {e}", path.display())))
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

/// Waits for the end; `None` if it had to be killed.
fn wait(child: &mut Child) -> Result<Option<ExitStatus>> {
    let failed = |e| Error::internal(format!("cannot wait for the engine: {e}"));
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(Some(status));
        }
        if Instant::now() > end {
            // With all that it has started.
            if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
                _ = kill_process_group(pid, Signal::KILL);
            }
            child.wait().map_err(failed)?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A program that does not start.
pub(super) fn unstartable(program: &str, error: &std::io::Error) -> Error {
    Error::usage(format!("engine {program}: cannot start: {error}"))
        .hint("check its path, and that it is executable")
}

/// A command line as words.
pub(super) fn words(command: &str) -> Result<Vec<String>> {
    let words = shell_words::split(command).map_err(|e| {
        Error::usage(format!("engine '{command}': {e}"))
            .hint("quote the line as a shell would read it")
    })?;
    match words.is_empty() {
        true => {
            Err(Error::usage("an engine needs a command").hint("as in command:'archiver {url}'"))
        }
        false => Ok(words),
    }
}

/// What a command may leave to be filled in.
const PLACEHOLDERS: [&str; 8] = [
    "{url}",
    "{api_url}",
    "{config}",
    "{profile}",
    "{host}",
    "{port}",
    "{max_rows}",
    BEFORE,
];

const BEFORE: &str = "{before}";

/// Whether a program with these arguments is told of `--before`.
pub(super) fn takes_before(words: &[String]) -> bool {
    words.iter().any(|word| word.contains(BEFORE))
}

/// A word in braces that nothing stands for would be given to the program as it is, which then does
/// something else than whoever wrote it thinks.
pub(super) fn check(words: &[String]) -> Result<()> {
    for word in words {
        for (at, _) in word.match_indices('{') {
            let rest = &word[at..];
            let Some(end) = rest.find('}') else { continue };
            let name = &rest[..=end];
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
            let named = name.len() > 2 && name[1..end].chars().all(is_name);
            if named && !PLACEHOLDERS.contains(&name) {
                let known = PLACEHOLDERS.join(", ");
                return Err(
                    Error::usage(format!("nothing stands for {name} in the command")).hint(
                        format!(
                            "known are {known}; what needs braces of its own goes into a script"
                        ),
                    ),
                );
            }
        }
    }
    Ok(())
}

/// The words with the place filled in.
pub(super) fn fill(words: &[String], place: &Place) -> Result<Vec<String>> {
    let (host, port) = match url::Url::parse(&place.main.url) {
        Ok(url) => (
            url.host_str().unwrap_or_default().to_owned(),
            url.port().map(|p| p.to_string()).unwrap_or_default(),
        ),
        Err(_) => Default::default(),
    };
    let api = place
        .api
        .as_ref()
        .map(|a| a.url.clone())
        .unwrap_or_default();
    let config = match words.iter().any(|w| w.contains("{config}")) {
        true => written(place, "engine.conf", &configuration(place))?,
        false => String::new(),
    };
    let profile = match words.iter().any(|w| w.contains("{profile}")) {
        true => {
            let text = toml::to_string(&place.graph.profile)
                .map_err(|e| Error::internal(format!("a profile cannot be written: {e}")))?;
            written(place, "profile.toml", &text)?
        }
        false => String::new(),
    };
    let max_rows = place.options.max_rows.to_string();
    let before = place.options.before.as_ref().map(ToString::to_string);
    if before.is_none() && takes_before(words) {
        return Err(
            Error::usage("{before} in the command, and no date to put there")
                .hint("give one with --before"),
        );
    }
    let before = before.unwrap_or_default();
    let values = [
        ("{url}", place.main.url.as_str()),
        ("{api_url}", &api),
        ("{config}", &config),
        ("{profile}", &profile),
        ("{host}", &host),
        ("{port}", &port),
        ("{max_rows}", &max_rows),
        (BEFORE, &before),
    ];
    Ok(words
        .iter()
        .map(|word| {
            values.iter().fold(word.clone(), |word, (name, value)| {
                word.replace(name, value)
            })
        })
        .collect())
}

fn written(place: &Place, name: &str, text: &str) -> Result<String> {
    let path = place.directory.join(name);
    std::fs::write(&path, text)
        .map_err(|e| Error::internal(format!("cannot write {}: {e}", path.display())))?;
    Ok(path.display().to_string())
}

/// A configuration file as the services of OpenStack read it.
fn configuration(place: &Place) -> String {
    let section = |name: &str, url: &str| {
        // Ten tries with ten seconds between them would be spent on every fault during set-up.
        format!(
            "[{name}]\nconnection = {}\nmax_retries = 2\nretry_interval = 1\n",
            alchemy(url)
        )
    };
    let api = place
        .api
        .as_ref()
        .map(|api| section("api_database", &api.url));
    section("database", &place.main.url) + &api.unwrap_or_default()
}

/// The URL as SQLAlchemy spells it.
pub(in super::super) fn alchemy(url: &str) -> String {
    match url.split_once("://") {
        Some(("mysql", rest)) => format!("mysql+pymysql://{rest}?charset=utf8"),
        Some(("postgres" | "postgresql", rest)) => format!("postgresql+psycopg2://{rest}"),
        _ => format!("sqlite:///{url}"),
    }
}
