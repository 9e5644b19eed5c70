//! What is expected, with how sure we are.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};

use super::series::{Signal, Subject};
use super::usage::Bucket;

/// Quantiles of one signal over the horizon, and of its maximum over the lead time.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// What it is about.
    pub subject: Subject,
    /// What is forecast.
    pub signal: Signal,
    /// The first forecast instant: step `h` is at `start_ms + h·step_ms`.
    pub start_ms: i64,
    /// Spacing.
    pub step_ms: i64,
    /// Mean of each step; length is the horizon.
    pub mean: Vec<f64>,
    /// Quantile levels in rising order, each in 0..1.
    pub levels: Vec<f64>,
    /// Shape (levels, horizon), rising along the levels.
    pub quantiles: Array2<f64>,
    /// Steps of the lead time that `peak` covers, at least 1.
    pub lead_steps: usize,
    /// Quantile of the maximum over the first `lead_steps` steps, one a level.
    pub peak: Vec<f64>,
    /// How the method did on this series' own past.
    pub trust: Trust,
    /// What stands out in the history, and what is known of the time ahead; in the order of their starts.
    pub marks: Vec<Mark>,
    /// What each known event that concerns the series was found to do.
    pub effects: Vec<EventEffect>,
}

/// A stretch of time that is not like the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// What it is.
    pub kind: MarkKind,
    /// Its start, milliseconds since the Unix epoch. A change of level is marked where it begins.
    pub start_ms: i64,
    /// Its end, at least the start; not part of it.
    pub end_ms: i64,
    /// How far the values lie from what was expected, in the signal's unit: the furthest of a spike, the mean of an outage,
    /// the new level minus the old one. `None` of known events, whose effect stands apart.
    pub size: Option<f64>,
}

/// What a [`Mark`] stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MarkKind {
    /// Far from its surroundings, and not with a season.
    Spike,
    /// Next to nothing where something usually comes, or one value that stands still where others move.
    Outage,
    /// A lasting change of level.
    LevelShift,
    /// A lasting change of level that begins in a gap, an outage or a spike, as a restart with another version does.
    Deploy,
    /// A known event of this name.
    Event(String),
}

/// What a known event was found to do to a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventEffect {
    /// The event's name.
    pub event: String,
    /// Past occurrences that could be measured.
    pub occurrences: usize,
    /// Steps of the horizon that it covers.
    pub steps_ahead: usize,
    /// What it changes; `None` where no past occurrence tells, and the steps ahead are only made wider.
    pub change: Option<Change>,
    /// Standard error of the next occurrence's change, in the unit of `change`.
    pub error: f64,
}

/// How an event changes the values it covers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Multiplies them.
    Factor(f64),
    /// Adds to them, in the signal's unit.
    Addend(f64),
}

impl Forecast {
    /// The same at those of its levels that are among `levels`.
    #[must_use]
    pub fn at_levels(mut self, levels: &[f64]) -> Self {
        let is_kept = |level: f64| levels.iter().any(|l| l.total_cmp(&level).is_eq());
        let rows: Vec<usize> = (0..self.levels.len()).filter(|&row| is_kept(self.levels[row])).collect();
        self.quantiles = self.quantiles.select(Axis(0), &rows);
        self.peak = rows.iter().map(|&row| self.peak[row]).collect();
        self.levels.retain(|&level| is_kept(level));
        self.trust.coverage.retain(|&(level, _)| is_kept(level));
        self.trust.peak_coverage.retain(|&(level, _)| is_kept(level));
        self
    }

    /// Horizon in steps.
    #[must_use]
    pub fn horizon(&self) -> usize {
        self.mean.len()
    }

    /// The peak's quantile at `level`, interpolated linearly between the levels kept and held flat beyond them.
    #[must_use]
    pub fn peak_at(&self, level: f64) -> f64 {
        interpolate(&self.levels, &self.peak, level)
    }

    /// The horizon in buckets as even as whole steps allow, none empty: at most `count`, each with its steps.
    #[must_use]
    pub fn buckets(&self, count: usize) -> Vec<(Range<usize>, Bucket)> {
        let horizon = self.horizon();
        let count = count.clamp(1, horizon.max(1));
        let time_ms = |step: usize| self.start_ms + self.step_ms * i64::try_from(step).unwrap_or(0);
        let bucket = |i: usize| {
            let steps = i * horizon / count..(i + 1) * horizon / count;
            let bucket = Bucket { start_ms: time_ms(steps.start), end_ms: time_ms(steps.end) };
            (steps, bucket)
        };
        (0..count).map(bucket).collect()
    }

    /// Quantiles of the maximum over some steps of the horizon, one a level, rising and not below 0: the largest of the
    /// steps' quantiles, raised as the quantile of the peak over the lead time stands above the largest of its own steps'.
    /// Over the lead time itself that is the peak.
    #[must_use]
    pub fn largest_within(&self, steps: Range<usize>) -> Vec<f64> {
        let lead = self.lead_steps.clamp(1, self.horizon().max(1));
        let mut before = 0.0_f64;
        let of_level = |(row, peak): (ArrayView1<'_, f64>, &f64)| {
            let largest =
                |steps: Range<usize>| row.iter().take(steps.end).skip(steps.start).copied().fold(0.0, f64::max);
            let (within, of_lead, peak) = (largest(steps.clone()), largest(0..lead), peak.max(0.0));
            // A forecast of nothing tells no shape.
            let value = if of_lead > 0.0 { within * (peak / of_lead).max(1.0) } else { peak };
            before = before.max(value);
            before
        };
        self.quantiles.rows().into_iter().zip(&self.peak).map(of_level).collect()
    }

    /// The probability that the peak exceeds `value`, interpolated between the levels kept; never below
    /// 1 − the highest level nor above 1 − the lowest, since nothing is known beyond them.
    #[must_use]
    pub fn exceedance(&self, value: f64) -> f64 {
        let (Some(first), Some(last)) = (self.levels.first(), self.levels.last()) else { return 1.0 };
        if value < self.peak[0] {
            return 1.0 - first;
        }
        for i in 1..self.peak.len() {
            if value < self.peak[i] {
                let width = self.peak[i] - self.peak[i - 1];
                let share = if width > 0.0 { (value - self.peak[i - 1]) / width } else { 1.0 };
                return 1.0 - (self.levels[i - 1] + share * (self.levels[i] - self.levels[i - 1]));
            }
        }
        1.0 - last
    }
}

fn interpolate(xs: &[f64], ys: &[f64], x: f64) -> f64 {
    let Some(i) = xs.iter().position(|&v| v >= x) else { return ys.last().copied().unwrap_or(f64::NAN) };
    if i == 0 || xs[i] <= x {
        return ys[i];
    }
    let share = (x - xs[i - 1]) / (xs[i] - xs[i - 1]);
    ys[i - 1] + share * (ys[i] - ys[i - 1])
}

/// How a forecast's method did on the series' own past, measured on rolling origins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trust {
    /// Measured values behind the forecast.
    pub observations: usize,
    /// Rolling origins tested; 0 means nothing below is measured.
    pub origins: usize,
    /// Seasons used, in steps.
    pub seasons: Vec<usize>,
    /// Members of the bank and their weights, largest first.
    pub weights: Vec<(String, f64)>,
    /// Mean absolute scaled error over the origins; scale is the mean absolute seasonal difference.
    pub mase: Option<f64>,
    /// The same of the seasonal naive forecast.
    pub mase_seasonal_naive: Option<f64>,
    /// The same of the last value.
    pub mase_last_value: Option<f64>,
    /// Share of held-out values at or below each quantile: (level, coverage).
    pub coverage: Vec<(f64, f64)>,
    /// The same for the peak over the lead time.
    pub peak_coverage: Vec<(f64, f64)>,
    /// Whether the forecast is the pooled model's, learnt from other series: this one is too new for one of its own.
    #[serde(default)]
    pub borrowed: bool,
    /// Why the forecast is plainer than usual, if it is: too short, constant, mostly zero.
    pub fallback: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(horizon: usize, lead_steps: usize) -> Forecast {
        // Rising by the hour; the upper quantile is twice the lower, and the peak half more than its steps.
        let quantiles = Array2::from_shape_fn((2, horizon), |(level, step)| ((level + 1) * (step + 1)) as f64);
        let peak = vec![1.5 * lead_steps as f64, 3.0 * lead_steps as f64];
        Forecast {
            subject: Subject::Named("a".into()),
            signal: Signal::Value,
            start_ms: 1000,
            step_ms: 10,
            mean: vec![1.0; horizon],
            levels: vec![0.5, 0.9],
            quantiles,
            lead_steps,
            peak,
            trust: Trust::default(),
            marks: Vec::new(),
            effects: Vec::new(),
        }
    }

    #[test]
    fn buckets_cover_the_horizon_without_a_gap() {
        for (horizon, count) in [(1440, 24), (5, 24), (7, 3), (1, 1)] {
            let buckets = forecast(horizon, 1).buckets(count);
            assert_eq!(buckets.len(), count.min(horizon));
            assert!(buckets.iter().all(|(steps, bucket)| !steps.is_empty() && bucket.start_ms < bucket.end_ms));
            assert!(
                buckets.windows(2).all(|two| two[0].0.end == two[1].0.start && two[0].1.end_ms == two[1].1.start_ms)
            );
            assert_eq!((buckets[0].0.start, buckets[buckets.len() - 1].0.end), (0, horizon));
        }
    }

    #[test]
    fn the_largest_within_a_stretch_stands_above_its_steps_as_the_peak_does() {
        let forecast = forecast(6, 4);
        assert_eq!(forecast.largest_within(0..4), forecast.peak);
        assert_eq!(forecast.largest_within(0..2), [3.0, 6.0]);
        assert_eq!(forecast.largest_within(4..6), [9.0, 18.0]);
    }
}
