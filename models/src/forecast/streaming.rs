//! Tier 0: a forecast from a few numbers a series, kept up to date a sample at a time.
//!
//! Serves every series between refreshes of the bank, cold starts, and as the baseline reports compare with. Its
//! quantiles are those of its own errors, tracked online as each truth comes in ([`ErrorBand`]). An update costs well
//! under a microsecond; the state is plain data that can be saved and loaded ([`Snapshot`]).

use ndarray::Array2;

pub use super::online::ErrorBand;
use super::outcome::FiniteOr;

mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{BandSnapshot, Snapshot, SnapshotError, VERSION};

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
    /// Smallest value seen; infinite before the first. Where it is not below 0, no quantile is.
    pub lowest: f64,
    /// The flat forecast made after the sample with index `i`, at `i % flat.len()`; NaN before the first value.
    pub flat: Vec<f64>,
    /// Forecasts 1, 2, 4, 8, … steps ahead.
    pub bands: Vec<Band>,
}

/// How forecasts of one horizon held.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Band {
    /// Mean absolute error of the flat forecast, the newest weighing most.
    pub flat_error: f64,
    /// The same of the seasonal one.
    pub seasonal_error: f64,
    /// Errors of whichever of the two was the better when each came.
    pub errors: ErrorBand,
}

impl Band {
    fn seasonal(&self) -> bool {
        self.seasonal_error < self.flat_error
    }

    /// Takes the truth and the two forecasts of it. Gaps in either forecast teach nothing.
    fn judge(&mut self, delay: usize, truth: f64, flat: f64, seasonal: f64) {
        let (flat, seasonal) = (truth - flat, truth - seasonal.finite_or(flat));
        if flat.is_finite() {
            self.errors.observe(if self.seasonal() { seasonal } else { flat }, delay);
            let weight = ErrorBand::weight(self.errors.seen);
            self.flat_error += weight * (flat.abs() - self.flat_error);
            self.seasonal_error += weight * (seasonal.abs() - self.seasonal_error);
        }
    }
}

/// Weight of the newest value in the level and in the errors.
const SMOOTHING: f64 = 0.2;
/// Samples after which a value counts half in the histogram: a day of minutes.
const HALF_LIFE: f64 = 1440.0;
/// Bands where there is no season: errors are followed up to 128 steps ahead. A season takes as many as reach into
/// it, and no more than the second number (1024 steps).
const FLAT_BANDS: usize = 8;
const MOST_BANDS: usize = 11;
/// Errors a band must have seen to be believed: one or two may be 0 by chance.
const LEAST_SEEN: u64 = 4;
/// A flat forecast's error beyond the last band grows with the horizon as it did between the last two, but no faster than
/// a random walk's.
const FASTEST_GROWTH: f64 = 0.5;
/// Weights are brought back to 1 before they leave the range of doubles.
const LARGEST_WEIGHT: f64 = 1e100;

impl Streaming {
    /// An empty state. `season` 0 counts as 1. `unit` is the size of a typical value (e.g. 1 core, 1e8 bytes); a
    /// value that is not finite and positive counts as 1.
    #[must_use]
    pub fn new(season: usize, unit: f64) -> Self {
        let season = season.max(1);
        let bands = if season > 1 { (season.ilog2() as usize + 1).min(MOST_BANDS) } else { FLAT_BANDS };
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
            lowest: f64::INFINITY,
            flat: vec![f64::NAN; 1 << (bands - 1)],
            bands: vec![Band::default(); bands],
        }
    }

    /// Takes the next sample of the axis; a value that is not finite is a gap.
    pub fn update(&mut self, value: f64) {
        let slot = (self.seen % self.season as u64) as usize;
        let index = self.seen;
        self.seen += 1;
        if value.is_finite() {
            self.judge(index, value, slot);
            self.learn(value, slot);
        }
        let made = (index % self.flat.len() as u64) as usize;
        self.flat[made] = if self.last.is_nan() { f64::NAN } else { self.flat_forecast() };
    }

    /// Holds the forecasts made 1, 2, 4, … steps before the sample `index` against it.
    fn judge(&mut self, index: u64, value: f64, slot: usize) {
        let seasonal = self.ring[slot];
        let len = self.flat.len() as u64;
        for (k, band) in self.bands.iter_mut().enumerate() {
            // The forecast for this sample one step ahead was made after the one before.
            let delay = 1 << k;
            let Some(made) = index.checked_sub(delay) else { break };
            band.judge(delay as usize, value, self.flat[(made % len) as usize], seasonal);
        }
    }

    fn learn(&mut self, value: f64, slot: usize) {
        let smooth = |old: f64, new: f64| if old.is_finite() { old + SMOOTHING * (new - old) } else { new };
        if self.last.is_finite() {
            self.level_error = smooth(self.level_error, (value - self.level).abs());
            self.last_error = smooth(self.last_error, (value - self.last).abs());
        }
        if self.ring[slot].is_finite() {
            self.seasonal_error = smooth(self.seasonal_error, (value - self.ring[slot]).abs());
        }
        self.ring[slot] = value;
        self.lowest = self.lowest.min(value);
        self.level = smooth(self.level, value);
        self.last = value;
        self.weight *= (1.0 / HALF_LIFE).exp2();
        if self.weight > LARGEST_WEIGHT {
            self.histogram.iter_mut().for_each(|w| *w /= self.weight);
            self.weight = 1.0;
        }
        self.histogram[bucket(value / self.unit)] += self.weight;
    }

    fn flat_forecast(&self) -> f64 {
        let naive = self.last.finite_or(0.0);
        let level = self.level.finite_or(naive);
        if self.level_error < self.last_error { level } else { naive }
    }

    /// Bands that have seen enough to be believed.
    fn known_bands(&self) -> &[Band] {
        let known = self.bands.iter().take_while(|band| band.errors.seen >= LEAST_SEEN).count();
        &self.bands[..known]
    }

    /// Whether the season was the better forecast so many steps (at least 1) ahead: by the nearest band, or one step
    /// ahead while there is none.
    fn seasonal_at(&self, ahead: usize) -> bool {
        let bands = self.known_bands();
        let nearest = (ahead as f64).log2().round() as usize;
        match bands.get(nearest).or(bands.last()) {
            Some(band) => self.season > 1 && band.seasonal(),
            None => self.season > 1 && self.seasonal_error <= self.level_error.min(self.last_error),
        }
    }

    /// The forecast of `horizon` steps by whichever of seasonal naive and the better of level and last value erred less
    /// at each horizon; 0 while nothing was seen.
    #[must_use]
    pub fn forecast(&self, horizon: usize) -> Vec<f64> {
        let flat = self.flat_forecast();
        let step = |h: usize| {
            let slot = ((self.seen + h as u64) % self.season as u64) as usize;
            if self.seasonal_at(h + 1) { self.ring[slot].finite_or(flat) } else { flat }
        };
        (0..horizon).map(step).collect()
    }

    /// Quantiles of that forecast at `levels` (rising), shape (levels, horizon): the path moved by the quantiles of its
    /// own errors, which follow the truth as it comes in. Before a few errors were seen half the last value's size
    /// stands for the mean error.
    #[must_use]
    pub fn quantiles(&self, horizon: usize, levels: &[f64]) -> Array2<f64> {
        let path = self.forecast(horizon);
        let floor = if self.lowest >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        let mut quantiles = Array2::zeros((levels.len(), horizon));
        for (h, mut column) in quantiles.columns_mut().into_iter().enumerate() {
            let mut before = floor;
            for (out, &level) in column.iter_mut().zip(levels) {
                before = (path[h] + self.error_quantile(h + 1, level)).max(before);
                *out = before;
            }
        }
        quantiles
    }

    /// Quantiles of the maximum over the first `lead` steps, one a level (rising): the largest of the steps' quantiles at
    /// a level raised as if there were one independent step in each doubling of the lead, since neighbours err alike.
    #[must_use]
    pub fn peak(&self, lead: usize, levels: &[f64]) -> Vec<f64> {
        let independent = 1.0 + lead.max(1).ilog2() as f64;
        let raised: Vec<f64> = levels.iter().map(|level| level.max(0.0).powf(1.0 / independent)).collect();
        let quantiles = self.quantiles(lead.max(1), &raised);
        quantiles.rows().into_iter().map(|row| row.iter().copied().fold(f64::NEG_INFINITY, f64::max)).collect()
    }

    /// The quantile of errors `ahead` steps (at least 1) ahead, between the bands on either side where both forecast alike.
    fn error_quantile(&self, ahead: usize, level: f64) -> f64 {
        let bands = self.known_bands();
        let Some((last, before)) = bands.split_last() else {
            let unknown = ErrorBand { scale: 0.5 * self.last.finite_or(0.0).abs(), ..ErrorBand::default() };
            return unknown.quantile(level);
        };
        let place = (ahead as f64).log2();
        let low = place as usize;
        if low >= before.len() {
            let growth = match before.last() {
                _ if last.seasonal() => 0.0,
                Some(before) if before.errors.scale > 0.0 && last.errors.scale > 0.0 => {
                    (last.errors.scale / before.errors.scale).log2().clamp(0.0, FASTEST_GROWTH)
                }
                _ => FASTEST_GROWTH,
            };
            return last.errors.quantile(level) * ((place - before.len() as f64) * growth).exp2();
        }
        let (near, far) = (&bands[low], &bands[low + 1]);
        let share = place - low as f64;
        let share = if near.seasonal() == far.seasonal() { share } else { share.round() };
        near.errors.quantile(level) * (1.0 - share) + far.errors.quantile(level) * share
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
