//! What clap's definitions say of commands and their arguments.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::{Arg, ArgMatches, Command};

/// Takes what was typed whether or not it goes together, as long as each of it can be read.
pub(super) fn loose(command: &Command) -> Command {
    on_all(command.clone(), &|arg| {
        let none = || Resettable::<clap::Id>::Reset;
        arg.required(false).requires(none()).conflicts_with(none())
    })
}

/// Misses nothing that may yet be given.
pub(super) fn relaxed(command: &Command) -> Command {
    on_all(command.clone(), &|arg| arg.required(false))
}

fn on_all(command: Command, change: &dyn Fn(Arg) -> Arg) -> Command {
    command
        .mut_args(change)
        .mut_subcommands(|c| on_all(c, change))
}

/// The innermost command that was typed.
pub(super) fn leaf(matches: &ArgMatches) -> (Vec<String>, &ArgMatches) {
    let (mut path, mut matches) = (Vec::new(), matches);
    while let Some((name, inner)) = matches.subcommand() {
        path.push(name.to_owned());
        matches = inner;
    }
    (path, matches)
}

/// Where in the typed words those behind the command's name begin. Before it stands `--config` alone, of all options
/// that have a value.
pub(super) fn behind(path: &[String], typed: &[OsString]) -> usize {
    let mut at = 1;
    for name in path {
        while at < typed.len() && typed[at] != *name.as_str() {
            at += if typed[at] == "--config" { 2 } else { 1 };
        }
        at += 1;
    }
    at.min(typed.len())
}

/// The arguments that need not be typed: all options but those that are about the program itself, and the database.
pub(super) fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        let about = ["help", "version", "config"].contains(&arg.get_id().as_str());
        !about && (arg.get_long().is_some() || arg.get_id() == "database")
    })
}

/// The name in a configuration file: that of the option.
pub(super) fn name(arg: &Arg) -> String {
    match arg.get_long() {
        Some(long) => long.to_owned(),
        None => arg.get_id().as_str().to_owned(),
    }
}

/// The variable of a command's option: `SEXTON_ARCHIVE_MAX_ROWS`.
pub(super) fn variable(path: &[String], name: &str) -> String {
    let words = path.iter().map(String::as_str).chain([name]);
    let words: Vec<_> = words
        .map(|word| word.to_uppercase().replace('-', "_"))
        .collect();
    format!("SEXTON_{}", words.join("_"))
}

/// All commands that do something, with the words that are typed for them.
pub(super) fn commands(command: &Command) -> Vec<(Vec<String>, &Command)> {
    let inner = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help");
    let mut all = Vec::new();
    for sub in inner {
        let of_sub = match sub.has_subcommands() {
            true => commands(sub),
            false => vec![(Vec::new(), sub)],
        };
        all.extend(of_sub.into_iter().map(|(mut path, leaf)| {
            path.insert(0, sub.get_name().to_owned());
            (path, leaf)
        }));
    }
    all
}
