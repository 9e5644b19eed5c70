//! Widths that learn as the truth comes in.
//!
//! Each tracked quantile is a number that moves a step up when the truth was above it and a step down when it was not,
//! in the proportion that makes it rest at its level (adaptive conformal inference: Gibbs and Candès 2021, in the form
//! that tracks the quantile itself: Angelopoulos, Candès and Tibshirani 2023). Whatever the errors do, the share of
//! truths below it approaches the level. A forecast of h steps is judged h steps later, so horizons are tracked
//! apart, in bands.

use super::calibrate::prior;
use super::outcome::FiniteOr;

/// Levels tracked; those between are interpolated, those beyond take the last.
pub(crate) const LEVELS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995];
/// A step, in mean absolute errors. Larger follows changes faster and wobbles more.
const STEP: f64 = 0.1;
/// Weight of the newest error in the scale, once this many errors have been seen; the plain mean before.
const SCALE_WEIGHT: f64 = 0.02;

/// The errors of one band of horizons: their scale, and their quantiles in units of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorBand {
    /// Mean absolute error, the newest weighing most; 0 before the first.
    pub scale: f64,
    /// Errors seen.
    pub seen: u64,
    /// Tracked quantiles over the scale, by rising level.
    pub quantiles: Vec<f64>,
}

impl Default for ErrorBand {
    fn default() -> Self {
        Self { scale: 0.0, seen: 0, quantiles: LEVELS.iter().map(|&level| prior(level)).collect() }
    }
}

impl ErrorBand {
    /// Takes an error, the truth minus the forecast made `delay` steps before. One that is not finite is a gap. The later
    /// the truth, the smaller the steps: the quantile judged is today's, not the one that was given out then.
    pub fn observe(&mut self, error: f64, delay: usize) {
        if !error.is_finite() {
            return;
        }
        if self.scale > 0.0 {
            let step = STEP / (delay.max(1) as f64).sqrt();
            let size = error / self.scale;
            for (quantile, level) in self.quantiles.iter_mut().zip(LEVELS) {
                *quantile += step * (level - f64::from(u8::from(size <= *quantile)));
            }
        }
        self.seen = self.seen.saturating_add(1);
        self.scale += (error.abs() - self.scale) * Self::weight(self.seen);
    }

    /// The weight in a running mean of the newest of so many values.
    pub(crate) fn weight(seen: u64) -> f64 {
        SCALE_WEIGHT.max(1.0 / seen.max(1) as f64)
    }

    /// The error that a share `level` of the errors stays below.
    #[must_use]
    pub fn quantile(&self, level: f64) -> f64 {
        let after = LEVELS.partition_point(|&l| l < level);
        let share = match after.checked_sub(1) {
            None => return self.scale * self.quantiles[0],
            Some(before) if after < LEVELS.len() => (level - LEVELS[before]) / (LEVELS[after] - LEVELS[before]),
            Some(before) => return self.scale * self.quantiles[before],
        };
        // Tracked apart, neighbours may cross for a while.
        let (low, high) = (self.quantiles[after - 1], self.quantiles[after]);
        (self.scale * (low + share * (high - low))).finite_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::anomalies::tests::uniform;
    use super::*;

    /// Share of errors at or below the quantile that was in force when each came.
    fn covered(errors: impl Iterator<Item = f64>, level: f64, skip: usize) -> f64 {
        let mut band = ErrorBand::default();
        let (mut below, mut count) = (0, 0);
        for (i, error) in errors.enumerate() {
            if i >= skip {
                below += usize::from(error <= band.quantile(level));
                count += 1;
            }
            band.observe(error, 1);
        }
        below as f64 / f64::from(count)
    }

    #[test]
    fn coverage_holds_for_errors_of_any_shape_and_through_changes() {
        for level in [0.05, 0.5, 0.9, 0.95, 0.99] {
            let mut noise = uniform(1);
            let skewed = covered((0..4000).map(|_| -(1.0 - noise()).ln()), level, 100);
            assert!((skewed - level).abs() < 0.02, "{level}: {skewed}");
            let mut noise = uniform(2);
            let growing = covered((0..4000).map(|i| (noise() - 0.3) * (1.0 + f64::from(i) / 200.0)), level, 100);
            assert!((growing - level).abs() < 0.03, "{level}: {growing}");
        }
    }

    #[test]
    fn a_miss_widens_and_a_hit_narrows() {
        let mut band = ErrorBand::default();
        (0..50).for_each(|i| band.observe(if i % 2 == 0 { 1.0 } else { -1.0 }, 1));
        let before = band.quantile(0.95);
        let mut missed = band.clone();
        missed.observe(before + 1e-9, 1);
        assert!(missed.quantile(0.95) > before);
        band.observe(before - 1e-9 - band.scale * 1e-6, 1);
        assert!(band.quantile(0.95) / band.scale < before / 1.0);
    }

    #[test]
    fn levels_between_are_interpolated_and_gaps_change_nothing() {
        let mut band = ErrorBand::default();
        band.observe(2.0, 1);
        let same = band.clone();
        band.observe(f64::NAN, 1);
        assert_eq!(band, same);
        assert!((band.quantile(0.5)).abs() < 1e-9);
        assert!(band.quantile(0.92) > band.quantile(0.9) && band.quantile(0.92) < band.quantile(0.95));
        assert!((band.quantile(0.999) - band.quantile(0.995)).abs() < 1e-12);
    }
}
