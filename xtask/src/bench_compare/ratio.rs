//! How many times as long something takes, and how sure that is. Pure.
//!
//! The two runs of a round are a pair, so what is averaged is the logarithm of the ratio of each pair: a round on a
//! slow machine then counts as much as one on a fast one, and twice as fast is as far from 1 as twice as slow. The
//! interval is that of Student's t on these logarithms. Drawing from six rounds again and again (bootstrap) gives
//! intervals that are too narrow.

/// The quantiles 0.975 of Student's t distribution, by degrees of freedom from 1 on.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// The time of the head as a multiple of the base's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    /// Geometric mean of the times, in nanoseconds.
    pub(super) base: f64,
    /// See `base`.
    pub(super) head: f64,
    /// Geometric mean of the rounds' ratios; it is also `head / base`.
    pub(super) mean: f64,
    /// Where the interval begins that holds the true ratio with a confidence of 95 %.
    pub(super) low: f64,
    /// Where it ends.
    pub(super) high: f64,
}

/// What an interval says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Slower,
    Faster,
    /// The interval holds 1. That is not to say that there is no difference.
    NotShown,
}

/// The ratio of times, one of each side for every round. `None` if there are fewer than two pairs: one has no spread.
pub(super) fn of(base: &[f64], head: &[f64]) -> Option<Ratio> {
    if base.len() != head.len() || base.len() < 2 {
        return None;
    }
    let logs: Vec<f64> = base.iter().zip(head).map(|(b, h)| (h / b).ln()).collect();
    let rounds = logs.len() as f64;
    let mean = average(&logs);
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let error = (squares / (rounds - 1.0) / rounds).sqrt();
    // With more rounds the quantile is smaller by less than a twentieth: the interval is a little too wide, then.
    let half = T[(logs.len() - 2).min(T.len() - 1)] * error;
    Some(Ratio {
        base: geometric_mean(base),
        head: geometric_mean(head),
        mean: mean.exp(),
        low: (mean - half).exp(),
        high: (mean + half).exp(),
    })
}

impl Ratio {
    pub(super) fn verdict(&self) -> Verdict {
        if self.low > 1.0 {
            Verdict::Slower
        } else if self.high < 1.0 {
            Verdict::Faster
        } else {
            Verdict::NotShown
        }
    }

    /// Whether the whole interval lies above the tolerance.
    pub(super) fn exceeds(&self, tolerance: f64) -> bool {
        self.low > tolerance
    }
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn geometric_mean(values: &[f64]) -> f64 {
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    average(&logs).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-3
    }

    #[test]
    fn ratios_are_averaged_as_factors() {
        let ratio = of(&[100.0, 100.0], &[200.0, 50.0]).expect("two rounds");
        assert!(near(ratio.mean, 1.0), "{ratio:?}");
        assert!(
            near(ratio.base, 100.0) && near(ratio.head, 100.0),
            "{ratio:?}"
        );
    }

    #[test]
    fn the_interval_is_student_s() {
        // Logarithms 0.00, 0.02, 0.04, 0.06, 0.08, 0.10: mean 0.05, standard deviation 0.037417, 2.571 / sqrt(6) of
        // it 0.039273.
        let base = [100.0; 6];
        let head = [0.0, 0.02, 0.04, 0.06, 0.08, 0.1].map(|log: f64| 100.0 * log.exp());
        let ratio = of(&base, &head).expect("six rounds");
        assert!(near(ratio.mean.ln(), 0.05), "{ratio:?}");
        assert!(near(ratio.low.ln(), 0.05 - 0.039_273), "{ratio:?}");
        assert!(near(ratio.high.ln(), 0.05 + 0.039_273), "{ratio:?}");
        assert_eq!(ratio.verdict(), Verdict::Slower);
        assert!(ratio.exceeds(1.01) && !ratio.exceeds(1.02), "{ratio:?}");
    }

    #[test]
    fn drift_of_the_machine_is_no_difference() {
        // Each run is slower than the one before it; base, head, head, base, base, head, head, base.
        let base = [100.0, 103.0, 104.0, 107.0];
        let head = [101.0, 102.0, 105.0, 106.0];
        let ratio = of(&base, &head).expect("four rounds");
        assert!(near(ratio.mean, 1.0), "{ratio:?}");
        assert_eq!(ratio.verdict(), Verdict::NotShown);
    }

    #[test]
    fn a_verdict_needs_the_whole_interval() {
        let verdict = |head: [f64; 3]| of(&[100.0; 3], &head).map(|ratio| ratio.verdict());
        assert_eq!(verdict([110.0, 111.0, 112.0]), Some(Verdict::Slower));
        assert_eq!(verdict([90.0, 91.0, 92.0]), Some(Verdict::Faster));
        assert_eq!(verdict([90.0, 100.0, 130.0]), Some(Verdict::NotShown));
        assert_eq!(verdict([100.0; 3]), Some(Verdict::NotShown));
    }

    #[test]
    fn there_is_an_interval_for_any_number_of_rounds_from_two_on() {
        assert_eq!(of(&[1.0], &[1.0]), None);
        assert_eq!(of(&[1.0, 1.0], &[1.0]), None);
        for rounds in [2, 31, 32, 1000] {
            assert!(of(&vec![1.0; rounds], &vec![2.0; rounds]).is_some());
        }
    }
}
