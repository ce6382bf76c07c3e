//! The configuration file: TOML, a table for each command and one for all.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use sexton::error::{Error, Result};
use sexton::nearest::meant;
use toml::de::{DeTable, DeValue};

use super::definitions::{commands, name, options};
use super::setting::Setting;
use super::{holds_password, shown_path};

/// The table whose options are those of every command that has them.
pub(super) const COMMON: &str = "common";

/// The mode's bit for readers that are neither the owner nor in the group.
const OTHERS_READ: u32 = 0o004;

/// A configuration file: all its names are known, and its values of the kind that their options want. Whether they are
/// taken is asked in [`super::values`].
pub(super) struct File {
    path: PathBuf,
    /// Values and their lines, by table (`archive`, `schema diff`) and option.
    tables: BTreeMap<String, BTreeMap<String, (Value, usize)>>,
}

/// What an option may be set to.
enum Value {
    Switch(bool),
    Texts(Vec<String>),
}

impl File {
    /// # Errors
    ///
    /// Exit code 64 for what cannot be read, and for tables and options that there are not, with file and line.
    pub(super) fn read(path: &Path, command: &Command) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::usage(format!("cannot read {}: {e}", shown_path(path)))
                .hint("--config and SEXTON_CONFIG name a TOML file with options of sexton")
        })?;
        Self::parse(path, &text, command)
    }

    pub(super) fn parse(path: &Path, text: &str, command: &Command) -> Result<Self> {
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let place = |at: usize| format!("{}:{}", shown_path(path), line(at));
        // Its own message would show the line, which may hold a password.
        let root = DeTable::parse(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            Error::usage(format!("{}: not TOML: {}", place(at), e.message()))
                .hint("mend it there; see docs/configuration.md for the form")
        })?;
        let mut known: BTreeMap<String, Vec<&Arg>> = BTreeMap::new();
        for (words, command) in commands(command) {
            let args: Vec<_> = options(command).collect();
            known.entry(COMMON.to_owned()).or_default().extend(&args);
            known.insert(words.join(" "), args);
        }
        let mut file = Self {
            path: path.to_owned(),
            tables: BTreeMap::new(),
        };
        let mut open = vec![(String::new(), root.get_ref())];
        while let Some((table, entries)) = open.pop() {
            let below = |key: &str| match table.as_str() {
                "" => key.to_owned(),
                table => format!("{table} {key}"),
            };
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.span().start);
            for (key, value) in entries {
                let at = key.span().start;
                let inner = below(key.get_ref());
                let begins =
                    |name: &String| *name == inner || name.starts_with(&format!("{inner} "));
                if known.keys().any(begins) {
                    let DeValue::Table(entries) = value.get_ref() else {
                        let what = format!("{}: '{inner}' is a command", place(at));
                        return Err(Error::usage(what).hint(format!(
                            "write its options below [{}]",
                            inner.replace(' ', ".")
                        )));
                    };
                    open.push((inner, entries));
                    continue;
                }
                let option = key.get_ref().replace('_', "-");
                let Some(args) = known.get(&table) else {
                    let here = |name: &String| {
                        name.strip_prefix(table.as_str())
                            .map(|n| n.trim().to_owned())
                    };
                    let names: Vec<String> = known.keys().filter_map(here).collect();
                    let what = format!("{}: there is no command '{inner}'", place(at));
                    let of_common = known.get(COMMON).into_iter().flatten();
                    if table.is_empty() && of_common.into_iter().any(|arg| name(arg) == option) {
                        return Err(Error::usage(what)
                            .hint("it is an option: write it below [common], or below the table of its command"));
                    }
                    return Err(Error::usage(what)
                        .hint(meant(key.get_ref(), names.iter().map(String::as_str))));
                };
                // Below [common] it may be an option of several commands, of another kind in each.
                let mut same = args.iter().filter(|arg| name(arg) == option);
                let Some(arg) = same.next() else {
                    let names: Vec<String> = args.iter().map(|arg| name(arg)).collect();
                    let what = match table.as_str() {
                        COMMON => format!("{}: '{option}' is an option of no command", place(at)),
                        table => {
                            format!("{}: '{option}' is no option of sexton {table}", place(at))
                        }
                    };
                    let names: std::collections::BTreeSet<&str> =
                        names.iter().map(String::as_str).collect();
                    return Err(Error::usage(what).hint(meant(&option, names.iter().copied())));
                };
                let read = Value::read(arg, value.get_ref());
                let read = same.fold(read, |read, arg| {
                    read.or_else(|wanted| Value::read(arg, value.get_ref()).map_err(|_| wanted))
                });
                let read = read.map_err(|wanted| {
                    Error::usage(format!("{}: '{option}' wants {wanted}", place(at)))
                        .hint("mend it there; see docs/configuration.md for the form")
                })?;
                let of_table = file.tables.entry(table.clone()).or_default();
                if of_table.insert(option.clone(), (read, line(at))).is_some() {
                    let what = format!("{}: '{option}' is set twice", place(at));
                    return Err(Error::usage(what).hint("_ and - are the same in names"));
                }
            }
        }
        Ok(file)
    }

    /// Whether that table sets an option.
    pub(super) fn sets(&self, table: &str, option: &str) -> bool {
        let table = self.tables.get(table);
        table.is_some_and(|options| options.contains_key(option))
    }

    /// The value of an option in that table.
    pub(super) fn setting(&self, table: &str, arg: &Arg) -> Result<Option<Setting>> {
        let value = self
            .tables
            .get(table)
            .and_then(|table| table.get(&name(arg)));
        let switch = matches!(arg.get_action(), ArgAction::SetTrue);
        let value = value.filter(|(value, _)| matches!(value, Value::Switch(_)) == switch);
        Ok(value.map(|(value, line)| {
            let place = format!("{}:{line}", shown_path(&self.path));
            match value {
                Value::Switch(on) => Setting::switch(arg, *on, &place),
                Value::Texts(texts) => Setting::new(arg, texts, &place),
            }
        }))
    }

    /// What is to be said of a password that everybody may read.
    pub(super) fn warning(&self) -> Option<String> {
        let texts = |value: &Value| match value {
            Value::Texts(texts) => texts.iter().any(|text| holds_password(text)),
            Value::Switch(_) => false,
        };
        let mut values = self.tables.values().flat_map(BTreeMap::values);
        let readable = std::fs::metadata(&self.path).is_ok_and(|m| m.mode() & OTHERS_READ != 0);
        (readable && values.any(|(value, _)| texts(value))).then(|| {
            let path = shown_path(&self.path);
            format!("{path} holds a password, and everybody may read it; chmod o-r {path}")
        })
    }
}

impl Value {
    /// The value, or what is wanted in its place.
    fn read(arg: &Arg, value: &DeValue<'_>) -> Result<Self, &'static str> {
        let text = |value: &DeValue<'_>| match value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            _ => None,
        };
        match (arg.get_action(), value) {
            (ArgAction::SetTrue, DeValue::Boolean(on)) => Ok(Self::Switch(*on)),
            (ArgAction::SetTrue, _) => Err("true or false"),
            (ArgAction::Append, DeValue::Array(values)) => {
                let texts: Option<_> = values.iter().map(|value| text(value.get_ref())).collect();
                texts.map(Self::Texts).ok_or("a list of texts")
            }
            (ArgAction::Append, value) => {
                let one = text(value).ok_or("a text, or a list of texts")?;
                Ok(Self::Texts(vec![one]))
            }
            (_, value) => Ok(Self::Texts(vec![text(value).ok_or("a text or a number")?])),
        }
    }
}
