//! What a campaign is asked to do, as text: `--engine`, `--faults`, `--budget`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::archiver::{Archiver, Control, Own, Program, Warm};
use super::campaign::{Campaign, Engines, Points};
use super::fault::Mode;
use crate::error::{Error, Result};

/// An engine under test, as `--engine` names it and a scenario keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum EngineSpec {
    /// `sexton`: sexton's own engine, in this process.
    #[default]
    Own,
    /// `textbook`: the archive engine that anybody would write, in one transaction.
    Textbook,
    /// `control:NAME`: an engine with one known mistake, which has to be caught.
    Control(String),
    /// `command:LINE`: a program that is run anew for each case.
    Command(String),
    /// `warm:LINE`: a program that is started once and forks for each case.
    Warm(String),
    /// `process`: sexton itself, as a program.
    Process,
}

/// Every form of `--engine`, with one line on each.
pub const ENGINE_FORMS: [(&str, &str); 6] = [
    ("sexton", "sexton's own archive engine, in this process"),
    (
        "textbook",
        "a plain engine without a mistake: what the controls differ from by one",
    ),
    (
        "control:NAME",
        "an engine with one known mistake, which has to be caught",
    ),
    ("command:LINE", "a program, run anew for each case"),
    (
        "warm:LINE",
        "a program that is started once and forks for each case (docs/prove-engines.md)",
    ),
    ("process", "this very program, run as a process"),
];

impl EngineSpec {
    /// Whether the engine is a process of its own.
    pub fn is_process(&self) -> bool {
        matches!(self, Self::Command(_) | Self::Warm(_) | Self::Process)
    }
}

impl Engines for EngineSpec {
    fn engine(&self) -> Result<Box<dyn Archiver>> {
        // The one place where an engine is made from its name.
        match self {
            Self::Own => Ok(Box::new(Own)),
            Self::Textbook => Ok(Box::new(Control::textbook())),
            Self::Control(name) => Ok(Box::new(Control::of(name.parse()?))),
            Self::Command(line) => Ok(Box::new(Program::new(line)?)),
            Self::Warm(line) => Ok(Box::new(Warm::new(line)?)),
            Self::Process => Ok(Box::new(Program::own()?)),
        }
    }
}

impl fmt::Display for EngineSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("sexton"),
            Self::Textbook => f.write_str("textbook"),
            Self::Control(name) => write!(f, "control:{name}"),
            Self::Command(line) => write!(f, "command:{line}"),
            Self::Warm(line) => write!(f, "warm:{line}"),
            Self::Process => f.write_str("process"),
        }
    }
}

impl FromStr for EngineSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word, Some(rest.trim())),
            None => (text, None),
        };
        match (word, rest) {
            ("sexton", None) => Ok(Self::Own),
            ("textbook", None) => Ok(Self::Textbook),
            ("process", None) => Ok(Self::Process),
            ("control" | "command" | "warm", None | Some("")) => {
                let (what, example) = match word {
                    "control" => ("the name of an engine", "control:child-first"),
                    "command" => ("a command line", "command:'./archive --db {url}'"),
                    _ => ("a command line", "warm:'python nova_warm.py'"),
                };
                Err(
                    Error::usage(format!("engine '{word}' needs {what} behind a colon"))
                        .hint(format!("for example {example}")),
                )
            }
            ("control", Some(name)) => Ok(Self::Control(name.into())),
            ("command", Some(line)) => Ok(Self::Command(line.into())),
            ("warm", Some(line)) => Ok(Self::Warm(line.into())),
            _ => {
                let forms = ENGINE_FORMS.map(|(form, _)| form).join(", ");
                Err(Error::usage(format!("unknown engine '{text}'"))
                    .hint(format!("known are {forms}")))
            }
        }
    }
}

/// Which faults, as `--faults` names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Faults {
    /// Every mode at every statement.
    All,
    /// Every mode at statements that write or end a transaction.
    Deciding,
    /// These modes only, at these statements: no writers, no pairs, no loss of power.
    Modes(Points, BTreeSet<Mode>),
}

impl Faults {
    /// What an engine gets if nothing is said: a process takes too long for a fault at every
    /// statement that reads.
    pub fn default_for(engine: &EngineSpec) -> Self {
        match engine.is_process() {
            true => Self::Deciding,
            false => Self::All,
        }
    }

    /// Narrows a campaign down to these faults.
    pub fn apply(&self, campaign: &mut Campaign) {
        match self {
            Self::All => campaign.points = Points::All,
            Self::Deciding => campaign.points = Points::Deciding,
            Self::Modes(points, modes) => {
                campaign.points = *points;
                campaign.modes = Some(modes.clone());
                campaign.writers = false;
                campaign.pairs = false;
            }
        }
    }
}

impl FromStr for Faults {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "all" => Ok(Self::All),
            "deciding" => Ok(Self::Deciding),
            _ => {
                // `deciding,kill-before`: these modes at those statements.
                let (points, modes) = match text.strip_prefix("deciding,") {
                    Some(rest) => (Points::Deciding, rest),
                    None => (Points::All, text),
                };
                let modes: Result<BTreeSet<Mode>> =
                    modes.split(',').map(|m| m.trim().parse()).collect();
                let modes = modes.map_err(|error| {
                    let hint = error.hint.unwrap_or_default();
                    Error::usage(error.message).hint(format!("all, deciding, or modes: {hint}"))
                })?;
                Ok(Self::Modes(points, modes))
            }
        }
    }
}

/// When a campaign has had enough, as `--budget` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// After this time.
    Time(Duration),
    /// After so many cases.
    Cases(u64),
}

impl Budget {
    /// Limits a campaign.
    pub fn apply(self, campaign: &mut Campaign) {
        match self {
            Self::Time(time) => campaign.budget = Some(time),
            Self::Cases(cases) => campaign.max_cases = Some(cases),
        }
    }
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.chars().take_while(char::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: Option<u64> = number.parse().ok().filter(|n| *n > 0);
        let seconds = |each: u64| {
            let all = number?.checked_mul(each)?;
            Some(Self::Time(Duration::from_secs(all)))
        };
        let budget = match unit.trim() {
            "ms" => number.map(|n| Self::Time(Duration::from_millis(n))),
            "s" => seconds(1),
            "m" => seconds(60),
            "h" => seconds(3600),
            "case" | "cases" => number.map(Self::Cases),
            _ => None,
        };
        budget.ok_or_else(|| {
            Error::usage(format!("'{text}' is not a budget"))
                .hint("use a time (500ms, 60s, 5m, 2h) or a number of cases ('200 cases')")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitCode;
    use crate::prove::{Backend, catalogue};

    #[test]
    fn an_engine_reads_back_as_it_is_written() {
        for text in [
            "sexton",
            "textbook",
            "control:child-first",
            "command:./archive --db {url} --note 'a: b'",
            "warm:python nova_warm.py",
            "process",
        ] {
            assert_eq!(text.parse::<EngineSpec>().unwrap().to_string(), text);
        }
        assert!("command:x".parse::<EngineSpec>().unwrap().is_process());
        assert!(!EngineSpec::default().is_process());
    }

    #[test]
    fn an_engine_that_is_none_is_refused_in_one_line() {
        for text in ["", "nova", "control", "control:", "command: ", "sexton:x"] {
            let error = text.parse::<EngineSpec>().unwrap_err();
            assert_eq!(error.code, ExitCode::Usage, "{text}");
            let line = error.to_string();
            assert!(!line.contains('\n') && line.contains("; "), "{line}");
        }
    }

    #[test]
    fn faults_narrow_a_campaign() {
        let campaign = |text: &str| {
            let worlds = vec![catalogue::world("chain").unwrap()];
            let mut campaign = Campaign::new(Backend::Sqlite, worlds);
            text.parse::<Faults>().unwrap().apply(&mut campaign);
            campaign
        };
        assert_eq!(campaign("all").points, Points::All);
        assert_eq!(campaign("deciding").points, Points::Deciding);
        assert!(campaign("deciding").writers);
        let named = campaign("kill-before, error:SQLITE_BUSY");
        assert_eq!(named.modes.map(|m| m.len()), Some(2));
        assert!(!named.writers && !named.pairs);
        for text in ["", "none", "kill-before,", "all,kill-before", "error:1"] {
            let error = text.parse::<Faults>().unwrap_err();
            assert!(error.to_string().contains("deciding"), "{error}");
        }
    }

    #[test]
    fn budgets() {
        for (text, seconds) in [("60s", 60), ("5m", 300), ("2h", 7200), ("3 s", 3)] {
            let time = Budget::Time(Duration::from_secs(seconds));
            assert_eq!(text.parse::<Budget>().unwrap(), time);
        }
        let short = Budget::Time(Duration::from_millis(1));
        assert_eq!("1ms".parse::<Budget>().unwrap(), short);
        for text in ["1 case", "1cases"] {
            assert_eq!(text.parse::<Budget>().unwrap(), Budget::Cases(1));
        }
        for text in [
            "",
            "0s",
            "60",
            "s",
            "1d",
            "-1s",
            "1.5h",
            "cases",
            "18446744073709551615h",
        ] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }
}
