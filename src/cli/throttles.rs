//! What a run waits for between two batches: arguments of `archive` and `purge`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sexton::archive::{Limit, StoppedReplica, Throttle};
use sexton::db::{Access, Engine, Target, open};
use sexton::error::{Error, Result};

use super::pace::duration;

/// Limits that are looked at before each batch. Over one of them the run waits, and says why.
#[derive(Debug, Args)]
#[command(next_help_heading = "Throttles")]
pub(super) struct Throttles {
    /// A replica of the database, which must not lag; may be given several times.
    #[arg(long, value_name = "URL")]
    replica: Vec<String>,
    /// How far behind a replica may be.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    max_lag: String,
    /// What to do about a replica that does not replicate, or does not answer.
    #[arg(long, value_enum, default_value = "go-on")]
    stopped_replica: Stopped,
    /// Wait while a status variable is higher, as in Threads_running=25,Threads_connected=400; on PostgreSQL there are
    /// active and lock-waits, counts of sessions.
    #[arg(long, value_name = "NAME=N,...", value_parser = loads)]
    max_load: Option<BTreeMap<String, f64>>,
    /// Stop, with exit code 75, where a status variable is higher.
    #[arg(long, value_name = "NAME=N,...", value_parser = loads)]
    critical_load: Option<BTreeMap<String, f64>>,
    /// Wait while so many statements wait for row locks of others.
    #[arg(long, value_name = "N")]
    max_lock_waits: Option<u32>,
    /// Wait while InnoDB's history list, which keeps old rows for open transactions, is longer.
    #[arg(long, value_name = "N")]
    max_history: Option<u64>,
    /// Wait while flow control pauses the Galera node for a larger share of the time.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    max_flow_control: Option<u8>,
    /// Stop, with exit code 75, where one wait is as long as that.
    #[arg(long, value_name = "TIME", default_value = "10m")]
    max_wait: String,
}

/// See [`StoppedReplica`].
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stopped {
    GoOn,
    Wait,
    Stop,
}

/// Reads `Threads_running=25,Threads_connected=400`.
fn loads(text: &str) -> std::result::Result<BTreeMap<String, f64>, String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value: f64 = value.trim().parse().ok()?;
        let name = name.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let good = !name.is_empty() && name.chars().all(plain) && value.is_finite() && value >= 0.0;
        good.then(|| (name.to_owned(), value))
    };
    let pairs: Option<BTreeMap<_, _>> = text.split(',').map(pair).collect();
    pairs.ok_or_else(|| "expected NAME=N, as in Threads_running=25".into())
}

fn time(option: &str, text: &str) -> Result<Duration> {
    duration(text).ok_or_else(|| {
        Error::usage(format!("{option} {text} is not a time")).hint("write 500ms, 5s or 10m")
    })
}

impl Throttles {
    /// What to look at before each batch on this database, and where: not opened yet.
    ///
    /// # Errors
    ///
    /// Exit code 64 if that cannot be meant.
    pub(super) fn gauges(&self, target: &Target) -> Result<Vec<(Limit, Target)>> {
        let mut gauges = Vec::new();
        let lag = Limit::Lag {
            most: time("--max-lag", &self.max_lag)?,
            stopped: match self.stopped_replica {
                Stopped::GoOn => StoppedReplica::GoOn,
                Stopped::Wait => StoppedReplica::Wait,
                Stopped::Stop => StoppedReplica::Stop,
            },
        };
        self.max_wait()?;
        for replica in &self.replica {
            gauges.push((lag.clone(), replica.parse()?));
        }
        for (loads, critical) in [(&self.critical_load, true), (&self.max_load, false)] {
            for (variable, most) in loads.iter().flatten() {
                gauges.push((load(variable, *most, critical), target.clone()));
            }
        }
        if let Some(most) = self.max_lock_waits {
            let variable = match target.engine() {
                Engine::Postgres => "lock-waits",
                Engine::Mysql | Engine::Sqlite => "Innodb_row_lock_current_waits",
            };
            gauges.push((load(variable, f64::from(most), false), target.clone()));
        }
        if let Some(most) = self.max_history {
            gauges.push((
                load("Innodb_history_list_length", most as f64, false),
                target.clone(),
            ));
        }
        if let Some(percent) = self.max_flow_control {
            let most = f64::from(percent) / 100.0;
            gauges.push((Limit::FlowControl { most }, target.clone()));
        }
        match gauges.iter().find(|(_, t)| t.engine() == Engine::Sqlite) {
            Some((_, file)) => Err(Error::usage(format!(
                "{file} is a file: it has no server and no replicas to look at"
            ))
            .hint("leave out --replica and the --max- and --critical- options but --max-rows")),
            None => Ok(gauges),
        }
    }

    fn max_wait(&self) -> Result<Duration> {
        time("--max-wait", &self.max_wait)
    }

    /// Opens what is looked at before each batch on this database; nothing where nothing was asked for.
    ///
    /// # Errors
    ///
    /// As [`Throttles::gauges`], and 69 if a replica is not reached or something cannot be looked at.
    pub(super) fn open(&self, target: &Target) -> Result<Option<Throttle>> {
        let gauges = self.gauges(target)?;
        if gauges.is_empty() {
            return Ok(None);
        }
        let mut throttle = Throttle::new(self.max_wait()?);
        for (limit, target) in gauges {
            let session = open(&target, Access::ReadOnly)?;
            throttle = throttle.with(limit, session).map_err(|e| {
                Error::unavailable(format!("{target}: {e}")).hint("see docs/archive.md, Throttles")
            })?;
        }
        Ok(Some(throttle))
    }
}

fn load(variable: &str, most: f64, critical: bool) -> Limit {
    Limit::Load {
        variable: variable.to_owned(),
        most,
        critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_names_with_numbers() {
        let read = loads("Threads_running=25, Threads_connected = 400").unwrap();
        assert_eq!(read["Threads_running"], 25.0);
        assert_eq!(read["Threads_connected"], 400.0);
        for bad in [
            "",
            "Threads_running",
            "Threads_running=many",
            "a'b=1",
            "=1",
            "a=-1",
            "a=inf",
        ] {
            assert!(loads(bad).is_err(), "{bad}");
        }
    }
}
