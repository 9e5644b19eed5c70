//! Tier 0: a forecast from a few numbers a series, kept up to date a sample at a time.
//!
//! Serves every series between refreshes of the bank, cold starts, and as the baseline reports compare with. An
//! update costs well under a microsecond; the state is plain data that can be saved and loaded.

use super::outcome::FiniteOr;

/// Buckets of the histogram: from `FIRST` growing by `GROWTH`, the layout of the vertical pod autoscaler's
/// recommender (first bucket 0.01, each 5 % wider), enough for six orders of magnitude.
const BUCKETS: usize = 176;
const FIRST: f64 = 0.01;
const GROWTH: f64 = 1.05;

/// What is remembered of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Streaming {
    /// Season in steps, at least 1; 1 means none.
    pub season: usize,
    /// The last season, as a ring: the value of the sample with index `i` is at `i % season`.
    pub ring: Vec<f64>,
    /// Samples seen, gaps included.
    pub seen: u64,
    /// Exponentially smoothed level (Brown 1956); NaN before the first value.
    pub level: f64,
    /// Exponentially smoothed absolute error one step ahead of `level`.
    pub level_error: f64,
    /// The same of the last value.
    pub last_error: f64,
    /// The same of the value one season before.
    pub seasonal_error: f64,
    /// Last value; NaN before the first.
    pub last: f64,
    /// Value that fills the histogram's bucket 1, so that one layout fits cores and bytes.
    pub unit: f64,
    /// Decayed weight by bucket of size.
    pub histogram: Vec<f64>,
    /// Weight of a new sample; grows as 2^(age / half-life) instead of decaying every bucket.
    pub weight: f64,
}

/// Weight of the newest value in the level and in the errors.
const SMOOTHING: f64 = 0.2;
/// Samples after which a value counts half in the histogram: a day of minutes.
const HALF_LIFE: f64 = 1440.0;
/// Weights are brought back to 1 before they leave the range of doubles.
const LARGEST_WEIGHT: f64 = 1e100;

impl Streaming {
    /// An empty state. `season` 0 counts as 1. `unit` is the size of a typical value (e.g. 1 core, 1e8 bytes); a
    /// value that is not finite and positive counts as 1.
    #[must_use]
    pub fn new(season: usize, unit: f64) -> Self {
        let season = season.max(1);
        Self {
            season,
            ring: vec![f64::NAN; season],
            seen: 0,
            level: f64::NAN,
            level_error: f64::NAN,
            last_error: f64::NAN,
            seasonal_error: f64::NAN,
            last: f64::NAN,
            unit: if unit.is_finite() && unit > 0.0 { unit } else { 1.0 },
            histogram: vec![0.0; BUCKETS],
            weight: 1.0,
        }
    }

    /// Takes the next sample of the axis; a value that is not finite is a gap.
    pub fn update(&mut self, value: f64) {
        let slot = (self.seen % self.season as u64) as usize;
        self.seen += 1;
        if !value.is_finite() {
            return;
        }
        let smooth = |old: f64, new: f64| if old.is_finite() { old + SMOOTHING * (new - old) } else { new };
        if self.last.is_finite() {
            self.level_error = smooth(self.level_error, (value - self.level).abs());
            self.last_error = smooth(self.last_error, (value - self.last).abs());
        }
        if self.ring[slot].is_finite() {
            self.seasonal_error = smooth(self.seasonal_error, (value - self.ring[slot]).abs());
        }
        self.ring[slot] = value;
        self.level = smooth(self.level, value);
        self.last = value;
        self.weight *= (1.0 / HALF_LIFE).exp2();
        if self.weight > LARGEST_WEIGHT {
            self.histogram.iter_mut().for_each(|w| *w /= self.weight);
            self.weight = 1.0;
        }
        self.histogram[bucket(value / self.unit)] += self.weight;
    }

    /// The forecast of `horizon` steps by whichever of seasonal naive, level and last value erred least of late; 0
    /// while nothing was seen.
    #[must_use]
    pub fn forecast(&self, horizon: usize) -> Vec<f64> {
        let naive = self.last.finite_or(0.0);
        let level = self.level.finite_or(naive);
        let error = |e: f64| e.finite_or(f64::INFINITY);
        let (seasonal_error, level_error) = (error(self.seasonal_error), error(self.level_error));
        let seasonal = self.season > 1 && seasonal_error <= level_error.min(error(self.last_error));
        let flat = if level_error < error(self.last_error) { level } else { naive };
        (0..horizon)
            .map(|h| {
                let slot = ((self.seen + h as u64) % self.season as u64) as usize;
                if seasonal { self.ring[slot].finite_or(flat) } else { flat }
            })
            .collect()
    }

    /// The decayed quantile of the values at `level` in 0..=1, up to the bucket's width (5 %); the upper edge of the
    /// bucket, so that it errs high. `None` while nothing was seen. Values below 0 count as 0.
    #[must_use]
    pub fn quantile(&self, level: f64) -> Option<f64> {
        let total: f64 = self.histogram.iter().sum();
        if total <= 0.0 {
            return None;
        }
        let mut below = 0.0;
        let index = self.histogram.iter().position(|w| {
            below += w;
            below >= level * total && below > 0.0
        });
        Some(upper_edge(index.unwrap_or(BUCKETS - 1)) * self.unit)
    }
}

fn bucket(size: f64) -> usize {
    // Bucket i ends at FIRST·(GROWTH^(i+1) − 1)/(GROWTH − 1).
    let i = ((size.max(0.0) / FIRST * (GROWTH - 1.0) + 1.0).ln() / GROWTH.ln()).floor();
    (i.max(0.0) as usize).min(BUCKETS - 1)
}

fn upper_edge(bucket: usize) -> f64 {
    FIRST * (GROWTH.powf(bucket as f64 + 1.0) - 1.0) / (GROWTH - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeating_season_is_forecast_exactly_and_a_flat_series_stays_flat() {
        let mut state = Streaming::new(4, 1.0);
        (0..40).for_each(|i| state.update([1.0, 5.0, 2.0, 8.0][i % 4]));
        assert_eq!(state.forecast(5), [1.0, 5.0, 2.0, 8.0, 1.0]);
        let mut flat = Streaming::new(0, f64::NAN);
        (0..10).for_each(|_| flat.update(3.0));
        assert_eq!(flat.forecast(2), [3.0, 3.0]);
    }

    #[test]
    fn nothing_seen_and_gaps_are_harmless() {
        let mut state = Streaming::new(24, 1.0);
        assert_eq!(state.forecast(2), [0.0, 0.0]);
        assert_eq!(state.quantile(0.9), None);
        state.update(f64::NAN);
        state.update(7.0);
        state.update(f64::INFINITY);
        assert_eq!(state.forecast(1), [7.0]);
    }

    #[test]
    fn quantiles_are_within_a_bucket_and_old_values_fade() {
        let mut state = Streaming::new(1, 1.0);
        (1..=1000).for_each(|i| state.update(f64::from(i) / 100.0));
        let p90 = state.quantile(0.9).unwrap();
        assert!((9.0..9.9).contains(&p90), "{p90}");
        (0..200_000).for_each(|_| state.update(0.5));
        assert!(state.quantile(0.99).unwrap() < 0.6);
        assert!(state.histogram.iter().all(|w| w.is_finite()));
    }
}
