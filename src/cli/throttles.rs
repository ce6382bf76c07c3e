//! What a run waits for between two batches: arguments of `archive` and `purge`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sexton::archive::{Limit, StoppedReplica, Throttle};
use sexton::db::{Access, Engine, Target, open};
use sexton::error::{Error, Result};

use super::pace::{duration, of_option};

/// Limits that are looked at before each batch. Over one of them the run waits, and says why.
#[derive(Debug, Args)]
#[command(next_help_heading = "Throttles")]
pub(super) struct Throttles {
    /// A replica of the database, which must not lag; may be given several times.
    #[arg(long, value_name = "URL")]
    replica: Vec<String>,
    /// How far behind a replica may be.
    #[arg(long, value_name = "TIME", default_value = "5s", requires = "replica")]
    max_lag: String,
    /// What to do about a replica that does not replicate, or does not answer.
    #[arg(long, value_enum, default_value = "go-on", requires = "replica")]
    stopped_replica: Stopped,
    /// Wait while a status variable is higher, as in Threads_running=25,Threads_connected=400; on PostgreSQL there are
    /// active and lock-waits, counts of sessions.
    #[arg(long, value_name = "NAME=N,...", value_parser = loads)]
    max_load: Option<BTreeMap<String, f64>>,
    /// Stop, with exit code 75, where a status variable is higher.
    #[arg(long, value_name = "NAME=N,...", value_parser = loads)]
    critical_load: Option<BTreeMap<String, f64>>,
    /// Wait while more statements than that wait for row locks of others.
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

pub(super) fn time(option: &str, text: &str) -> Result<Duration> {
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
        let gauges = self.gauges_by_option(target)?;
        Ok(gauges
            .into_iter()
            .map(|(_, limit, at)| (limit, at))
            .collect())
    }

    /// The same, each with the option that asked for it.
    fn gauges_by_option(&self, target: &Target) -> Result<Vec<(&'static str, Limit, Target)>> {
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
            let replica: Target = replica.parse().map_err(|e| of_option(REPLICA, e))?;
            let same = replica.engine() == target.engine();
            if !same && Engine::Sqlite != target.engine() && Engine::Sqlite != replica.engine() {
                let message = format!("{REPLICA}: {replica} is of another kind than {target}");
                return Err(Error::usage(message).hint("name its replicas with --replica"));
            }
            gauges.push((REPLICA, lag.clone(), replica));
        }
        for (option, loads, critical) in [
            ("--critical-load", &self.critical_load, true),
            ("--max-load", &self.max_load, false),
        ] {
            for (variable, most) in loads.iter().flatten() {
                gauges.push((option, load(variable, *most, critical), target.clone()));
            }
        }
        if let Some(most) = self.max_lock_waits {
            let variable = match target.engine() {
                Engine::Postgres => "lock-waits",
                Engine::Mysql | Engine::Sqlite => "Innodb_row_lock_current_waits",
            };
            let limit = load(variable, f64::from(most), false);
            gauges.push(("--max-lock-waits", limit, target.clone()));
        }
        if let Some(most) = self.max_history {
            let limit = load("Innodb_history_list_length", most as f64, false);
            gauges.push(("--max-history", limit, target.clone()));
        }
        if let Some(percent) = self.max_flow_control {
            let most = f64::from(percent) / 100.0;
            let limit = Limit::FlowControl { most };
            gauges.push(("--max-flow-control", limit, target.clone()));
        }
        match gauges.iter().find(|(_, _, t)| t.engine() == Engine::Sqlite) {
            Some((option, _, file)) => Err(Error::usage(format!(
                "{option}: {file} is a file: it has no server and no replicas to look at"
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
        let gauges = self.gauges_by_option(target)?;
        if gauges.is_empty() {
            return Ok(None);
        }
        let mut throttle = Throttle::new(self.max_wait()?);
        for (option, limit, target) in gauges {
            let session = open(&target, Access::ReadOnly).map_err(|e| of_option(option, e))?;
            throttle = throttle.with(limit, session).map_err(|e| {
                let refused = Error::unavailable(format!("{target}: {e}"))
                    .hint("leave the option out, or see docs/archive.md, Throttles");
                of_option(option, refused)
            })?;
        }
        Ok(Some(throttle))
    }
}

const REPLICA: &str = "--replica";

fn load(variable: &str, most: f64, critical: bool) -> Limit {
    Limit::Load {
        variable: variable.to_owned(),
        most,
        critical,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        throttles: Throttles,
    }

    const MYSQL: &str = "mysql://nova@db/nova";

    fn gauges(target: &str, arguments: &[&str]) -> Result<Vec<(Limit, Target)>> {
        let line = Line::try_parse_from([&["sexton"], arguments].concat()).unwrap();
        line.throttles.gauges(&target.parse().unwrap())
    }

    /// The limits alone, which are all on the database itself.
    fn limits(target: &str, arguments: &[&str]) -> Vec<Limit> {
        let gauges = gauges(target, arguments).unwrap();
        let on: Target = target.parse().unwrap();
        assert!(gauges.iter().all(|(_, target)| *target == on));
        gauges.into_iter().map(|(limit, _)| limit).collect()
    }

    #[test]
    fn each_option_is_a_limit() {
        assert_eq!(limits(MYSQL, &["--max-wait", "1s"]), []);
        let share = |percent| limits(MYSQL, &["--max-flow-control", percent]);
        assert_eq!(share("25"), [Limit::FlowControl { most: 0.25 }]);
        assert_eq!(share("100"), [Limit::FlowControl { most: 1.0 }]);
        let history = limits(MYSQL, &["--max-history", "1000"]);
        assert_eq!(history, [load("Innodb_history_list_length", 1000.0, false)]);
        let waits = ["--max-lock-waits", "3"];
        let variable = "Innodb_row_lock_current_waits";
        assert_eq!(limits(MYSQL, &waits), [load(variable, 3.0, false)]);
        let postgres = limits("postgresql://nova@db/nova", &waits);
        assert_eq!(postgres, [load("lock-waits", 3.0, false)]);
        let both = ["--max-load", "a=1,b=2", "--critical-load", "c=3"];
        let expected = [
            load("c", 3.0, true),
            load("a", 1.0, false),
            load("b", 2.0, false),
        ];
        assert_eq!(limits(MYSQL, &both), expected);
    }

    #[test]
    fn a_replica_is_looked_at_where_it_is_and_by_its_policy() {
        let replicas = [
            "--replica",
            "mysql://nova@r1/nova",
            "--replica",
            "mysql://nova@r2/nova",
        ];
        for (arguments, most, stopped) in [
            (&[][..], 5_000, StoppedReplica::GoOn),
            (&["--stopped-replica", "wait"], 5_000, StoppedReplica::Wait),
            (
                &["--stopped-replica", "stop", "--max-lag", "1500ms"],
                1_500,
                StoppedReplica::Stop,
            ),
        ] {
            let gauges = gauges(MYSQL, &[&replicas, arguments].concat()).unwrap();
            let most = Duration::from_millis(most);
            let lag = Limit::Lag { most, stopped };
            let at = |n: usize| (lag.clone(), replicas[n].parse::<Target>().unwrap());
            assert_eq!(gauges, [at(1), at(3)]);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (arguments, said) in [
            (["--max-load", "a=1"], "--max-load: nova.db is a file"),
            (
                ["--critical-load", "a=1"],
                "--critical-load: nova.db is a file",
            ),
            (
                ["--max-lock-waits", "1"],
                "--max-lock-waits: nova.db is a file",
            ),
            (["--max-history", "1"], "--max-history: nova.db is a file"),
            (
                ["--max-flow-control", "1"],
                "--max-flow-control: nova.db is a file",
            ),
            (["--replica", "other.db"], "--replica: other.db is a file"),
            (["--max-wait", "-1s"], "--max-wait -1s is not a time"),
        ] {
            let arguments = [format!("{}={}", arguments[0], arguments[1])];
            let error = gauges("nova.db", &[&arguments[0]]).unwrap_err();
            assert_eq!(error.code, sexton::exit::ExitCode::Usage);
            assert!(error.message.starts_with(said), "{error}");
        }
        let soon = ["--replica", "mysql://nova@r1/nova", "--max-lag", "soon"];
        let error = gauges(MYSQL, &soon).unwrap_err();
        assert!(
            error.message.starts_with("--max-lag soon is not a time"),
            "{error}"
        );
        for alone in [["--max-lag", "1s"], ["--stopped-replica", "wait"]] {
            assert!(Line::try_parse_from([&["sexton"], &alone[..]].concat()).is_err());
        }
        // A replica of a file is as good as any: it is the replica that is asked.
        let replica = gauges("nova.db", &["--replica", "mysql://nova@r1/nova"]);
        assert_eq!(replica.unwrap().len(), 1);
        assert_eq!(gauges("nova.db", &[]).unwrap(), []);
        assert!(Line::try_parse_from(["sexton", "--max-flow-control", "101"]).is_err());
    }

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
