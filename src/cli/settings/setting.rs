//! One value of an option that was not typed, in the words in which it would have been.

use clap::{Arg, ArgAction};
use sexton::error::{Error, Result};

use super::definitions::name;

/// A value of an option, and where it stands.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Setting {
    /// clap's name of the argument.
    pub(super) id: String,
    /// `--max-rows`, or `database`.
    pub(super) shown: String,
    /// As they would be typed; none for a switch that is off.
    pub(super) words: Vec<String>,
    /// The variable, or file and line.
    pub(super) place: String,
}

impl Setting {
    /// An option with its values: more than one only where it may be given several times.
    pub(super) fn new(arg: &Arg, values: &[String], place: &str) -> Self {
        let shown = shown(arg);
        let word = |value: &String| match arg.get_long() {
            // In one word: what begins with a dash is still a value.
            Some(_) => format!("{shown}={value}"),
            None => value.clone(),
        };
        Self {
            id: arg.get_id().as_str().to_owned(),
            words: values.iter().map(word).collect(),
            place: place.to_owned(),
            shown,
        }
    }

    /// An option without a value, on or off.
    pub(super) fn switch(arg: &Arg, on: bool, place: &str) -> Self {
        let shown = shown(arg);
        Self {
            words: on.then(|| shown.clone()).into_iter().collect(),
            shown,
            ..Self::new(arg, &[], place)
        }
    }

    /// What a variable says, if it is set.
    ///
    /// # Errors
    ///
    /// Exit code 64 for a switch that is neither on nor off.
    pub(super) fn of_variable(
        arg: &Arg,
        variable: &str,
        value: Option<&String>,
    ) -> Result<Option<Self>> {
        let Some(value) = value else {
            return Ok(None);
        };
        let values = match arg.get_action() {
            ArgAction::SetTrue => {
                let on = is_on(value).ok_or_else(|| {
                    Error::usage(format!("{variable} is neither true nor false"))
                        .hint("write true or false")
                })?;
                return Ok(Some(Self::switch(arg, on, variable)));
            }
            ArgAction::Append => value.split_whitespace().map(str::to_owned).collect(),
            _ => vec![value.clone()],
        };
        Ok(Some(Self::new(arg, &values, variable)))
    }
}

fn is_on(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn shown(arg: &Arg) -> String {
    match arg.get_long() {
        Some(long) => format!("--{long}"),
        None => name(arg),
    }
}
