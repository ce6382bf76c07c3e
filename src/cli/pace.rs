//! How large a batch may be, how long to pause after it, and when to stop: arguments of `archive` and `purge`.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use sexton::archive::{Before, Stop};
use sexton::error::{Error, Result};

/// When a run stops or waits, between two batches.
#[derive(Debug, Args)]
pub(super) struct Limits {
    /// Stop after this time, as in 90s, 30m or 2h.
    #[arg(long, value_name = "TIME")]
    run_time: Option<String>,
    /// Stop at this moment: a time of the day (UTC), 06:00, or RFC 3339.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Stop as soon as this file is there.
    #[arg(long, value_name = "FILE")]
    stop_file: Option<PathBuf>,
    /// Wait for as long as this file is there.
    #[arg(long, value_name = "FILE")]
    pause_file: Option<PathBuf>,
}

impl Limits {
    /// What stops a run: these, and the flag.
    pub(super) fn stop<'a>(&self, flag: &'a AtomicBool) -> Result<Stop<'a>> {
        let mut stop = Stop::on(flag);
        let now = Instant::now();
        if let Some(text) = &self.run_time {
            stop = stop.at(now + run_time(text)?);
        }
        if let Some(text) = &self.until {
            stop = stop.at(now + left_until(text, Timestamp::now())?);
        }
        if let Some(file) = &self.stop_file {
            stop = stop.at_file(file.clone());
        }
        if let Some(file) = &self.pause_file {
            stop = stop.pausing_for(file.clone());
        }
        Ok(stop)
    }
}

/// Reads `--before`.
pub(super) fn before(text: &str) -> Result<Before> {
    Before::parse(text, Timestamp::now()).map_err(|e| of_option("--before", e))
}

/// Reads `--before` of a command that moves or deletes rows. nova-manage takes a moment that is still to come, and so is
/// it taken here; but it is more often a slip than meant.
pub(super) fn cut_off(text: &str) -> Result<Before> {
    let before = before(text)?;
    if before.is_after(Timestamp::now()) {
        crate::cli::say!(
            "sexton: --before: {before} UTC is in the future: whatever is soft-deleted is old enough"
        );
    }
    Ok(before)
}

/// The same error, about what this option asked for.
pub(super) fn of_option(option: &str, error: Error) -> Error {
    Error {
        message: format!("{option}: {}", error.message),
        ..error
    }
}

/// Reads `250ms`, `90s` or `2h`; `None` for what is no time, or below 0.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let read = text.parse::<SignedDuration>().ok();
    read.and_then(|d| Duration::try_from(d).ok())
}

pub(super) fn run_time(text: &str) -> Result<Duration> {
    let sensible = duration(text).filter(|d| !d.is_zero() && d.as_secs() <= 366 * 86_400);
    sensible.ok_or_else(|| {
        Error::usage(format!(
            "--run-time {text} is not a time above 0 and below a year"
        ))
        .hint("write 90s, 30m or 2h")
    })
}

/// How long it is until then; a time of the day is the next one in UTC.
fn left_until(text: &str, now: Timestamp) -> Result<Duration> {
    let bad = |what: &str| {
        Error::usage(format!("--until {text} {what}"))
            .hint("write a time of the day in UTC, 06:00, or a moment as in 2026-01-31T06:00:00Z")
    };
    // A year is as good a time of the day where there need be no colon.
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    let of_the_day = text.contains(':') && text.split(':').all(two_digits);
    let then = match text.parse::<Time>() {
        Ok(time) if of_the_day => {
            let today = now.to_zoned(TimeZone::UTC).date().to_datetime(time);
            let at = |datetime: jiff::civil::DateTime| datetime.to_zoned(TimeZone::UTC);
            let next = at(today).and_then(|then| match then.timestamp() > now {
                true => Ok(then),
                false => then.checked_add(1.day()),
            });
            next.map(|then| then.timestamp()).ok()
        }
        _ => text.parse().ok(),
    };
    let then: Timestamp = then.ok_or_else(|| bad("is no time"))?;
    let left = Duration::try_from(then.duration_since(now)).ok();
    let left = left.filter(|left| !left.is_zero());
    left.ok_or_else(|| bad("is over"))
}

/// Reads `--max-rows`; 0 only where another tool has it so.
pub(super) fn max_rows(text: &str, zero: bool) -> Result<u64> {
    let number = text.parse::<u64>().ok();
    number.filter(|n| *n > 0 || zero).ok_or_else(|| {
        Error::usage(format!("--max-rows {text} is not a number above 0"))
            .hint("1000 is the default; a larger batch is faster and locks more")
    })
}

/// Reads `--target-batch-time`; `None` for 0.
pub(super) fn target(text: &str) -> Result<Option<Duration>> {
    if text == "0" {
        return Ok(None);
    }
    let sensible = duration(text).filter(|d| (1..=3_600_000).contains(&d.as_millis()));
    sensible.map(Some).ok_or_else(|| {
        Error::usage(format!(
            "--target-batch-time {text} is not a time from 1ms to an hour"
        ))
        .hint("write 250ms, 2s or 1m; 0 for batches of --max-rows however long they take")
    })
}

/// Reads `--sleep`: a time, or a number of seconds as nova-manage has it.
pub(super) fn pause(text: &str) -> Result<Duration> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.map(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let pause = seconds.unwrap_or_else(|| duration(text));
    pause
        .filter(|p| p.as_secs_f64() <= 86_400.0)
        .ok_or_else(|| {
            Error::usage(format!("--sleep {text} is not a time of a day at most"))
                .hint("write 200ms, 2s or 1m, or a number of seconds; 0 for no pause")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_day_is_the_next_one() {
        let now: Timestamp = "2026-01-31T05:30:00Z".parse().unwrap();
        let left = |text: &str| left_until(text, now).map(|d| d.as_secs());
        assert_eq!(left("06:00").unwrap(), 1800);
        assert_eq!(left("05:30").unwrap(), 86_400);
        assert_eq!(left("05:00:30").unwrap(), 86_400 - 1770);
        assert_eq!(left("2026-01-31T06:00:00+00:15").unwrap(), 900);
        for (bad, what) in [
            ("2026-01-31T05:30:00Z", "is over"),
            ("2020-01-01", "is no time"),
            ("25:00", "is no time"),
            ("2026", "is no time"),
            ("202601", "is no time"),
            ("06", "is no time"),
            ("0600", "is no time"),
            ("06:00:00.5", "is no time"),
            ("soon", "is no time"),
        ] {
            assert!(left(bad).unwrap_err().message.ends_with(what), "{bad}");
        }
    }
}
