//! How large a batch may be and how long to pause after it: arguments of `archive` and `purge`.

use std::time::Duration;

use jiff::SignedDuration;
use sexton::error::{Error, Result};

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
    let read = text.parse::<SignedDuration>().ok();
    let read = read.and_then(|d| Duration::try_from(d).ok());
    let sensible = read.filter(|d| (1..=3_600_000).contains(&d.as_millis()));
    sensible.map(Some).ok_or_else(|| {
        Error::usage(format!(
            "--target-batch-time {text} is not a time from 1ms to an hour"
        ))
        .hint("write 250ms, 2s or 1m; 0 for batches of --max-rows however long they take")
    })
}

/// Reads `--sleep`.
pub(super) fn pause(seconds: f64) -> Result<Duration> {
    if !seconds.is_finite() || !(0.0..=86_400.0).contains(&seconds) {
        return Err(
            Error::usage(format!("--sleep {seconds} is not a number of seconds"))
                .hint("use a number from 0 to 86400"),
        );
    }
    Ok(Duration::from_secs_f64(seconds))
}
