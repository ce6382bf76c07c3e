//! Numbers, names and dates from a seed.
//!
//! A generator of our own, because the rows of a seed must stay the same for years: fixtures,
//! snapshots and reports name a seed, and a library may change what it makes of one.

use std::fmt;

/// SplitMix64: small, fast, and good enough to make up rows.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A stream of its own for every list of parts, so that one more family does not change the
    /// next.
    pub(crate) fn of(parts: &[u64]) -> Self {
        let join = |state: u64, part: &u64| mix(state ^ part.wrapping_add(GOLDEN)).wrapping_add(1);
        Self(parts.iter().fold(GOLDEN, join))
    }

    /// A number of 32 bits: small enough for everything that reads JSON.
    pub(crate) fn number(&mut self) -> u64 {
        self.next() >> 32
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `bound`, which is not 0. The bias is far below what made-up rows can show.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low + 1).unwrap_or(1);
        low + i64::try_from(self.below(span)).unwrap_or(0)
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A place in a list of that length, which is not empty.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        let place = self.below(u64::try_from(length).unwrap_or(1));
        usize::try_from(place).unwrap_or(0)
    }

    pub(super) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.index(list.len())]
    }

    /// A random (version 4) UUID.
    pub(super) fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
        let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// An id as Keystone makes them: 32 hexadecimal digits.
    pub(super) fn hex_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(state: u64) -> u64 {
    let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// A point in time, to the second, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

pub(super) const HOUR: i64 = 3_600;
pub(super) const DAY: i64 = 24 * HOUR;

impl Moment {
    /// 2026-01-01 00:00:00. Everything lies before it, so that nothing depends on today.
    pub(super) const END: Self = Self(1_767_225_600);

    /// A moment in the two years before [`Moment::END`].
    pub(super) fn any(random: &mut Random) -> Self {
        Self::END.plus(-random.between(2 * HOUR, 730 * DAY))
    }

    pub(super) fn plus(self, seconds: i64) -> Self {
        Self(self.0 + seconds)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = jiff::Timestamp::from_second(self.0).map_err(|_| fmt::Error)?;
        let at = jiff::tz::Offset::UTC.to_datetime(at);
        let (year, month, day) = (at.year(), at.month(), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_for_ever() {
        let mut random = Random::of(&[7, 1]);
        assert_eq!(random.uuid(), Random::of(&[7, 1]).uuid());
        assert_ne!(random.uuid(), Random::of(&[1, 7]).uuid());
        insta::assert_snapshot!(Random::of(&[1]).uuid(), @"7ceb7d33-0945-4463-9d34-fe7d29b65f0a");
        let uuid = Random::of(&[2]).uuid();
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        assert!((0..1000).all(|_| (3..=5).contains(&random.between(3, 5))));
    }

    #[test]
    fn moments_are_written_as_the_services_do() {
        assert_eq!(Moment::END.to_string(), "2026-01-01 00:00:00");
        assert_eq!(Moment::END.plus(-1).to_string(), "2025-12-31 23:59:59");
        let mut random = Random::of(&[3]);
        let (first, last) = (Moment::END.plus(-730 * DAY), Moment::END);
        assert!((0..1000).all(|_| (first..last).contains(&Moment::any(&mut random))));
    }
}
