//! The values of a configuration file, whichever command they are for: one that is wrong must not wait for the night in
//! which that command runs.
//!
//! clap is asked of each value by itself, as if it was all that was typed. What it takes for any text (a time, a number
//! of rows) is read by those who read it in a run. What depends on the moment (`--until`) or on other options cannot be
//! judged by itself.

use clap::{Arg, Command};
use sexton::error::{Error, Result};

use super::definitions::{commands, loose, name, options};
use super::file::{COMMON, File};
use super::refused;
use super::setting::Setting;
use crate::cli::{pace, throttles};

/// Fails for the first value that no run takes.
///
/// # Errors
///
/// Exit code 64, with file and line.
pub(super) fn check(file: &File, command: &Command) -> Result<()> {
    let loose = loose(command);
    let mut common: Vec<(String, Result<()>)> = Vec::new();
    for (path, of_command) in commands(command) {
        let table = path.join(" ");
        for arg in options(of_command) {
            if let Some(setting) = file.setting(&table, arg)? {
                taken(&loose, &path, arg, &setting, file.sets(&table, "compat"))?;
            }
            if let Some(setting) = file.setting(COMMON, arg)? {
                let taken = taken(&loose, &path, arg, &setting, true);
                common.push((name(arg), taken));
            }
        }
    }
    // There it is for those that take it: one is enough.
    while let Some((option, result)) = common.pop() {
        let Err(error) = result else {
            common.retain(|(other, _)| *other != option);
            continue;
        };
        let mut others = common.iter().filter(|(other, _)| *other == option);
        if !others.any(|(_, result)| result.is_ok()) {
            return Err(error);
        }
    }
    Ok(())
}

/// Whether a command takes a value; `zero` says that no rows may be meant (`--compat`).
fn taken(
    command: &Command,
    path: &[String],
    arg: &Arg,
    setting: &Setting,
    zero: bool,
) -> Result<()> {
    let words = ["sexton"].into_iter().map(str::to_owned);
    let words = words
        .chain(path.iter().cloned())
        .chain(setting.words.clone());
    if let Err(error) = command.clone().try_get_matches_from(words) {
        return Err(refused(setting, &error));
    }
    read(arg, setting, zero)
}

/// What clap takes as it is, read as a run reads it.
pub(super) fn read(arg: &Arg, setting: &Setting, zero: bool) -> Result<()> {
    let prefix = format!("{}=", setting.shown);
    let values = setting
        .words
        .iter()
        .filter_map(|word| word.strip_prefix(&prefix));
    for value in values {
        let read = match name(arg).as_str() {
            "max-rows" => pace::max_rows(value, zero).map(drop),
            "sleep" => pace::pause(value).map(drop),
            "target-batch-time" => pace::target(value).map(drop),
            "before" => pace::before(value).map(drop),
            "run-time" => pace::run_time(value).map(drop),
            option @ ("max-lag" | "max-wait") => {
                throttles::time(&format!("--{option}"), value).map(drop)
            }
            _ => Ok(()),
        };
        read.map_err(|e| Error {
            message: format!("{}: {}", setting.place, e.message),
            ..e
        })?;
    }
    Ok(())
}
