//! How many rows a batch may hold: few at first, then as many as take the time that is wanted. Pure.

use std::time::Duration;

use super::options::Options;

/// Rows of the first batch: what takes a fraction of a second anywhere.
const FIRST: u64 = 1000;

/// Rows that a batch may always hold, however slow the database is.
const LEAST: u64 = 50;

/// The size of the next batch.
#[derive(Debug)]
pub(super) struct Pace {
    target: Option<Duration>,
    /// What was asked for.
    wanted: u64,
    /// What the database was found to take.
    most: u64,
    rows: u64,
}

impl Pace {
    /// By the options: as many as `max_rows` where no time is wanted.
    pub(super) fn new(options: &Options) -> Self {
        let (target, most) = (options.target_batch_time, options.max_rows);
        Self {
            target,
            wanted: most,
            most,
            rows: if target.is_some() {
                most.min(FIRST)
            } else {
                most
            },
        }
    }

    /// Rows that the next batch may hold.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Learns that a batch was more than the database takes in a transaction: no later one will be as large.
    pub(super) fn too_large(&mut self) {
        self.most = (self.rows / 2).max(1);
        self.rows = self.most;
    }

    /// Learns that it was one family that no transaction takes: what was learnt from the batches that it was in says
    /// nothing of others.
    pub(super) fn one_was_too_large(&mut self) {
        self.most = self.wanted;
        if self.target.is_none() {
            self.rows = self.wanted;
        }
    }

    /// Learns from a batch that moved so many rows in this time; by a factor of two at most, and up only from one
    /// that was about full.
    pub(super) fn note(&mut self, moved: u64, took: Duration) {
        let Some(target) = self.target.filter(|_| moved > 0) else {
            return;
        };
        let factor = target.as_secs_f64() / took.as_secs_f64().max(1e-6);
        if factor > 1.0 && moved < self.rows / 2 {
            return;
        }
        let rows = self.rows as f64 * factor.clamp(0.5, 2.0);
        self.rows = (rows as u64).max(LEAST).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(max_rows: u64, target: Option<u64>) -> Pace {
        Pace::new(&Options {
            max_rows,
            target_batch_time: target.map(Duration::from_millis),
            ..Options::default()
        })
    }

    /// So many rows a second; the sizes of the batches.
    fn sizes(mut pace: Pace, rows_a_second: u64, batches: usize) -> Vec<u64> {
        let next = |_| {
            let rows = pace.rows();
            pace.note(rows, Duration::from_millis(rows * 1000 / rows_a_second));
            rows
        };
        (0..batches).map(next).collect()
    }

    #[test]
    fn a_batch_grows_and_shrinks_to_the_time_that_is_wanted() {
        assert_eq!(
            sizes(pace(50_000, Some(250)), 20_000, 5),
            [1000, 2000, 4000, 5000, 5000]
        );
        assert_eq!(
            sizes(pace(50_000, Some(250)), 1_000, 4),
            [1000, 500, 250, 250]
        );
        assert_eq!(sizes(pace(50_000, Some(250)), 10, 7).last(), Some(&50));
        assert_eq!(sizes(pace(1_500, Some(250)), 20_000, 3), [1000, 1500, 1500]);
        assert_eq!(sizes(pace(10, Some(250)), 10, 3), [10, 10, 10]);
        assert_eq!(sizes(pace(8, None), 1, 3), [8, 8, 8]);
    }

    #[test]
    fn a_limit_that_was_met_is_not_tried_again() {
        let mut pace = pace(50_000, Some(250));
        pace.note(1000, Duration::from_millis(10));
        assert_eq!(pace.rows(), 2000);
        pace.too_large();
        assert_eq!(pace.rows(), 1000);
        pace.note(1000, Duration::from_millis(1));
        assert_eq!(pace.rows(), 1000);
        (0..20).for_each(|_| pace.too_large());
        assert_eq!(pace.rows(), 1);
    }

    #[test]
    fn one_family_that_is_too_large_leaves_the_others_their_room() {
        let mut pace = pace(50_000, Some(250));
        (0..6).for_each(|_| pace.too_large());
        assert_eq!(pace.rows(), 15);
        pace.one_was_too_large();
        (0..3).for_each(|_| pace.note(pace.rows(), Duration::from_millis(1)));
        assert_eq!(pace.rows(), 200);
        let mut pace = self::pace(800, None);
        pace.too_large();
        assert_eq!(pace.rows(), 400);
        pace.one_was_too_large();
        assert_eq!(pace.rows(), 800);
    }

    #[test]
    fn a_batch_that_was_not_full_says_nothing_of_a_larger_one() {
        let mut pace = pace(50_000, Some(250));
        pace.note(400, Duration::from_millis(1));
        assert_eq!(pace.rows(), 1000);
        pace.note(0, Duration::from_secs(9));
        assert_eq!(pace.rows(), 1000);
        pace.note(400, Duration::from_secs(9));
        assert_eq!(pace.rows(), 500);
    }
}
