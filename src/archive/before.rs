//! `--before`: a moment, never a guess.
//!
//! RFC 3339, `YYYY-MM-DD[ HH:MM[:SS]]` (UTC where no zone is given), or an age such as `90d`.
//! nova-manage reads "30 days ago" as the 30th of this month; here that is an error.

use std::fmt;

use jiff::civil::DateTime;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A moment in UTC, to the second: rows soft-deleted before it are old enough.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Before(DateTime);

impl Before {
    /// Reads a date, a date and time, or an age counted back from `now`.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self> {
        let text = text.trim();
        let moment = |moment: DateTime| Self::at(moment).ok_or_else(|| bad(text));
        let utc = |timestamp: Timestamp| moment(timestamp.to_zoned(TimeZone::UTC).datetime());
        if let Some(seconds) = age_in_seconds(text) {
            let then = i64::try_from(seconds)
                .ok()
                .and_then(|s| now.checked_sub(jiff::SignedDuration::from_secs(s)).ok());
            return then.ok_or_else(|| bad(text)).and_then(utc);
        }
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return utc(timestamp);
        }
        // Only the plain forms: jiff would also read week dates and the like.
        let shape: String = text
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        let known = [
            "0000-00-00",
            "0000-00-00 00:00",
            "0000-00-00 00:00:00",
            "0000-00-00T00:00",
            "0000-00-00T00:00:00",
        ];
        if !known.contains(&shape.as_str()) {
            return Err(bad(text));
        }
        text.parse::<DateTime>()
            .map_err(|_| bad(text))
            .and_then(moment)
    }

    /// Whether it is still to come: then everything that is deleted is old enough.
    pub fn is_after(&self, now: Timestamp) -> bool {
        self.0 > now.to_zoned(TimeZone::UTC).datetime()
    }

    /// Without the fraction of a second. No database knows a year before 0.
    fn at(moment: DateTime) -> Option<Self> {
        let whole = moment.with().subsec_nanosecond(0).build().ok()?;
        (whole.year() >= 0).then_some(Self(whole))
    }
}

impl fmt::Display for Before {
    /// `2026-01-31 00:00:00`, which all engines and SQLite's text dates compare alike.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%d %H:%M:%S"))
    }
}

impl TryFrom<String> for Before {
    type Error = String;

    /// A file says when; an age would mean another moment each time it is read.
    fn try_from(text: String) -> std::result::Result<Self, String> {
        let read = Self::parse(&text, Timestamp::UNIX_EPOCH).ok();
        let whole = read.filter(|before| before.to_string() == text);
        whole.ok_or_else(|| format!("'{text}' is not a date and time such as 2026-01-31 00:00:00"))
    }
}

impl From<Before> for String {
    fn from(before: Before) -> Self {
        before.to_string()
    }
}

/// `12h`, `90d`, `2w`; nothing else: an `m` would be taken for minutes by some, months by others.
fn age_in_seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let scale = match unit {
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(scale)
}

fn bad(text: &str) -> Error {
    Error::usage(format!("'{text}' is not a date")).hint(
        "use 2026-01-31, '2026-01-31 12:00:00' (UTC), 2026-01-31T12:00:00+02:00, or an age: 90d",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        Before::parse(text, now).ok().map(|b| b.to_string())
    }

    #[test]
    fn the_documented_forms_are_read_as_utc() {
        for (age, date) in [
            ("36h", "2026-02-27 12:00:00"),
            ("2d", "2026-02-27 00:00:00"),
            ("2w", "2026-02-15 00:00:00"),
        ] {
            assert_eq!(read(age).as_deref(), Some(date));
        }
        assert_eq!(read("2026-01-31").as_deref(), Some("2026-01-31 00:00:00"));
        assert_eq!(
            read("2026-01-31 12:30:01").as_deref(),
            Some("2026-01-31 12:30:01")
        );
        assert_eq!(
            read("2026-01-31T12:00:00+02:00").as_deref(),
            Some("2026-01-31 10:00:00")
        );
        assert_eq!(
            read("2026-01-31T12:00:00Z").as_deref(),
            Some("2026-01-31 12:00:00")
        );
        assert_eq!(read("1d").as_deref(), Some("2026-02-28 00:00:00"));
        assert_eq!(read("90d").as_deref(), Some("2025-12-01 00:00:00"));
    }

    #[test]
    fn a_moment_is_read_to_the_second() {
        let now: Timestamp = "2026-03-01T00:00:00.75Z".parse().unwrap();
        let read = |text: &str| Before::parse(text, now).unwrap();
        let half = read("2026-01-31T12:00:00.5Z");
        assert_eq!(half, read("2026-01-31 12:00:00"));
        assert_eq!(read("0h"), read("2026-03-01"));
    }

    #[test]
    fn a_file_holds_a_moment_and_no_age() {
        let before = Before::try_from("2026-01-31 00:00:00".to_owned()).unwrap();
        assert_eq!(String::from(before), "2026-01-31 00:00:00");
        for text in ["90d", "2026-01-31", "", "2026-01-31T00:00:00Z"] {
            assert!(Before::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    /// nova-manage takes "30 days ago" for the 30th of the current month.
    #[test]
    fn anything_else_is_refused() {
        for text in [
            "30 days ago",
            "yesterday",
            "",
            "d",
            "-5d",
            "1.5d",
            "2026-02-30",
            "2026-13-01",
            "90",
            "01/02/2026",
            "3m",
            "99999999999999999999d",
            "9999999999999d",
            // Before the year 0.
            "-000001-01-01T00:00:00Z",
            "200000w",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
