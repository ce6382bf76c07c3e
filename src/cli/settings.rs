//! Options that were not typed: from the environment, and from the file of `--config`.
//!
//! All of it is made from clap's own definitions, so that an option is covered as soon as there is one. A value is put
//! before what was typed as if it had been typed too, and clap reads both: it is good or bad wherever it stands.
//!
//! What is typed outweighs the environment, and that the file. A value that does not go with one of more weight steps
//! back, as does one whose option needs another that nobody gave; whether it does is asked of clap itself.

mod definitions;
mod file;
#[cfg(test)]
mod rough;
mod setting;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};
use sexton::error::{Error, Result};
use sexton::nearest::meant;

use super::database::NAMES_DATABASES;
use definitions::{behind, leaf, loose, name, options, relaxed, variable};
use file::File;
use setting::Setting;

/// Names the configuration file, where no `--config` does.
const CONFIG: &str = "SEXTON_CONFIG";

/// Variables that are an argument of every command that has it: variable, and the argument's name.
const FOR_ALL: [(&str, &str); 2] = [
    ("SEXTON_DATABASE", "database"),
    ("SEXTON_API_DATABASE", "api"),
];

/// What fills databases with made-up rows must not meet those that other commands work on: it takes them from its own
/// table alone. (Its DB it has always taken from the variable too.)
const FILLS: &str = "generate";

/// What the program is to read in place of what was typed, and what of it was not typed.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) words: Vec<OsString>,
    pub(super) settings: Vec<Setting>,
    /// What is to be said beforehand.
    pub(super) warnings: Vec<String>,
}

/// What complaints are held against: set once, when it is known.
static FILLED: OnceLock<Filled> = OnceLock::new();

impl Filled {
    /// Has all complaints from here on know what was not typed.
    pub(super) fn keep(self) -> &'static Self {
        FILLED.get_or_init(|| self)
    }
}

/// What the program read, typed or not.
pub(super) fn words() -> Vec<String> {
    let words = FILLED.get().map(|filled| &filled.words);
    let words = words.into_iter().flatten();
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// A complaint about the value of this argument, with where it stands if it was not typed.
pub(super) fn placed(id: &str, error: Error) -> Error {
    let settings = FILLED.get().map_or(&[][..], |filled| &filled.settings);
    match settings.iter().find(|setting| setting.id == id) {
        Some(setting) => Error {
            message: format!("{}: {}", setting.place, error.message),
            ..error
        },
        None => error,
    }
}

/// Where the options that a complaint names come from, if they were not typed.
pub(super) fn places(complaint: &str) -> String {
    let settings = FILLED.get().map_or(&[][..], |filled| &filled.settings);
    places_of(complaint, settings)
}

fn places_of(complaint: &str, settings: &[Setting]) -> String {
    let named = settings.iter().filter(|setting| {
        let mut places = complaint.match_indices(&setting.shown);
        setting.shown.starts_with("--")
            && places.any(|(at, name)| {
                let next = complaint[at + name.len()..].chars().next();
                !next.is_some_and(|c| c.is_alphanumeric() || c == '-')
            })
    });
    let said = named.map(|s| format!("; {} is from {}", s.shown, s.place));
    said.collect()
}

/// The command line with what the environment and the file add to it.
///
/// # Errors
///
/// Exit code 64 for a file that cannot be read, a name that is no option, or a value that its option does not take.
pub(super) fn fill(
    command: &Command,
    typed: Vec<OsString>,
    variables: &BTreeMap<String, String>,
) -> Result<Filled> {
    // What cannot be read at all clap says in its own words.
    let Ok(matches) = loose(command).try_get_matches_from(&typed) else {
        return Ok(Filled {
            words: typed,
            ..Filled::default()
        });
    };
    let (path, matches) = leaf(&matches);
    let given = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    let config = match matches.get_one::<PathBuf>("config") {
        Some(path) => Some(path.clone()),
        None => given(CONFIG).map(PathBuf::from),
    };
    let file = config
        .as_deref()
        .map(|path| File::read(path, command))
        .transpose()?;
    if let Some(file) = &file {
        values::check(file, command)?;
    }
    let of_command = path
        .iter()
        .try_fold(command, |c, name| c.find_subcommand(name));
    let Some(of_command) = of_command.filter(|_| !path.is_empty()) else {
        return Ok(Filled {
            words: typed,
            ..Filled::default()
        });
    };
    let mut filling = Filling {
        command: relaxed(command),
        at: behind(&path, &typed),
        typed,
        taken: Vec::new(),
        waiting: Vec::new(),
        decided: typed_ids(matches).collect(),
    };
    check_variables(&path, of_command, variables)?;
    let for_all = |name: &str| path != [FILLS] || !["database", "api"].contains(&name);
    let mut layers = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for arg in options(of_command) {
        let name = name(arg);
        let own = variable(&path, &name);
        layers[0].extend(Setting::of_variable(arg, &own, given(&own))?);
        let shared = FOR_ALL.iter().find(|(_, argument)| *argument == name);
        if let Some((shared, _)) = shared.filter(|_| for_all(&name) || name == "database") {
            layers[1].extend(Setting::of_variable(arg, shared, given(shared))?);
        }
        if let Some(file) = &file {
            layers[2].extend(file.setting(&path.join(" "), arg)?);
            if for_all(&name) {
                layers[3].extend(file.setting(file::COMMON, arg)?);
            }
        }
    }
    for layer in layers {
        filling.add(layer)?;
    }
    let warnings = file.as_ref().and_then(File::warning);
    Ok(Filled {
        words: filling.words(&[]),
        settings: filling.taken,
        warnings: warnings.into_iter().collect(),
    })
}

/// A command line that grows.
struct Filling {
    command: Command,
    typed: Vec<OsString>,
    /// Where its options begin.
    at: usize,
    taken: Vec<Setting>,
    /// Settings that would go with something that nobody has given yet.
    waiting: Vec<Setting>,
    /// Arguments that something of more weight has decided on.
    decided: BTreeSet<String>,
}

impl Filling {
    fn words(&self, more: &[&Setting]) -> Vec<OsString> {
        let mut words = self.typed[..self.at].to_vec();
        let settings = self.taken.iter().chain(more.iter().copied());
        words.extend(settings.flat_map(|s| &s.words).map(OsString::from));
        words.extend_from_slice(&self.typed[self.at..]);
        words
    }

    /// Whether clap takes it beside the others.
    fn fits(&self, setting: &Setting) -> Result<(), clap::Error> {
        let words = self.words(&[setting]);
        self.command.clone().try_get_matches_from(words).map(drop)
    }

    /// Takes what there is place for of a layer, all of whose settings have the same weight.
    fn add(&mut self, layer: Vec<Setting>) -> Result<()> {
        let names_databases = |id: &str| NAMES_DATABASES.contains(&id);
        let named = self.decided.iter().any(|id| names_databases(id));
        // An API database goes with the databases that it stands beside: the records of others are none of theirs.
        let beside = named && layer.iter().any(|s| names_databases(&s.id));
        let layer: Vec<_> = layer
            .into_iter()
            .filter(|s| !(self.decided.contains(&s.id) || named && names_databases(&s.id)))
            .filter(|s| !(beside && s.id == "api"))
            .collect();
        self.decided.extend(layer.iter().map(|s| s.id.clone()));
        let stood_out: Vec<_> = layer.iter().map(|setting| self.fits(setting)).collect();
        let stood_out: BTreeSet<String> = layer
            .iter()
            .zip(&stood_out)
            .filter(|(_, fits)| !matches!(fits, Err(e) if e.kind() == ErrorKind::ArgumentConflict))
            .map(|(setting, _)| setting.id.clone())
            .collect();
        self.waiting.extend(layer);
        loop {
            let all = self.waiting.len();
            for setting in std::mem::take(&mut self.waiting) {
                match self.fits(&setting) {
                    Ok(()) => self.taken.push(setting),
                    Err(error) => match error.kind() {
                        ErrorKind::MissingRequiredArgument => self.waiting.push(setting),
                        // Two of the same weight: neither can step back for the other.
                        ErrorKind::ArgumentConflict if stood_out.contains(&setting.id) => {
                            return Err(refused(&setting, &error));
                        }
                        ErrorKind::ArgumentConflict => {}
                        _ => return Err(refused(&setting, &error)),
                    },
                }
            }
            if self.waiting.len() == all || self.waiting.is_empty() {
                return Ok(());
            }
        }
    }
}

/// clap's complaint on one line, with where the value stands.
fn refused(setting: &Setting, error: &clap::Error) -> Error {
    let text = error.render().to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let said = lines.collect::<Vec<_>>().join(" ");
    let said = said.trim_start_matches("error: ");
    let words: Vec<&str> = setting.words.iter().map(String::as_str).collect();
    let said = super::without_passwords(said, words.iter().map(|word| (*word).to_owned()));
    Error::usage(format!("{}: {said}", setting.place))
        .hint("mend it there; `sexton COMMAND --help` has all options")
}

fn typed_ids(matches: &ArgMatches) -> impl Iterator<Item = String> + '_ {
    let typed = |id: &&clap::Id| {
        matches.value_source(id.as_str()) == Some(clap::parser::ValueSource::CommandLine)
    };
    matches.ids().filter(typed).map(|id| id.as_str().to_owned())
}

/// Refuses a variable that looks like one of this command's and is none: what it was to change would not be changed.
fn check_variables(
    path: &[String],
    command: &Command,
    variables: &BTreeMap<String, String>,
) -> Result<()> {
    let prefix = variable(path, "");
    let known: Vec<_> = options(command)
        .map(|arg| variable(path, &name(arg)))
        .collect();
    let own = variables.keys().filter(|name| name.starts_with(&prefix));
    let unknown = own.into_iter().find(|name| !known.contains(name));
    match unknown {
        Some(name) => {
            let what = format!("{name} is no option of sexton {}", path.join(" "));
            Err(Error::usage(what).hint(meant(name, known.iter().map(String::as_str))))
        }
        None => Ok(()),
    }
}

/// Whether a text is a URL with a password.
fn holds_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let login = rest.rsplit_once('@').map_or("", |(login, _)| login);
    login.contains(':') || rest.contains("password=")
}

/// Reads the environment, as far as it is about sexton.
pub(super) fn environment() -> BTreeMap<String, String> {
    let own = |(name, value): (OsString, OsString)| {
        let name = name
            .into_string()
            .ok()
            .filter(|name| name.starts_with("SEXTON_"))?;
        Some((name, value.to_string_lossy().into_owned()))
    };
    std::env::vars_os().filter_map(own).collect()
}

/// The path as messages show it.
fn shown_path(path: &Path) -> String {
    path.display().to_string()
}

/// Whether a configuration file is good as it is.
#[cfg(test)]
pub(super) fn check_file(path: &Path, command: &Command) -> Result<()> {
    values::check(&File::read(path, command)?, command)
}
