//! What comes out.

use ndarray::Array2;

use super::anomalies::Mark;
use super::events::EventEffect;

/// A forecast with its quantiles, and how the method did on the series' own past.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The central path; length is the horizon, all finite.
    pub mean: Vec<f64>,
    /// Shape (levels, horizon), rising along the levels.
    pub quantiles: Array2<f64>,
    /// Quantile of the maximum over the lead time, one a level; at least the largest of that level's steps there.
    pub peak: Vec<f64>,
    /// Mean absolute error to be expected, by step: the unit of the quantiles' distance from the path.
    pub scale: Vec<f64>,
    /// The same of the peak.
    pub peak_scale: f64,
    /// How many times as wide as usual the quantiles of all but the nearest steps are, since the newest errors were far
    /// beyond the ordinary; 1 to 10. `scale` is without it.
    pub widened: f64,
    /// Steps that the peak covers.
    pub lead_steps: usize,
    /// Whether no measured value is below 0, so that no quantile is.
    pub non_negative: bool,
    /// Measured values behind it.
    pub observations: usize,
    /// Rolling origins (fits) tested; 0 means nothing below is measured.
    pub origins: usize,
    /// Seasons used, in steps, shortest first.
    pub seasons: Vec<usize>,
    /// Steps of the shortest season asked about or found, whether the history shows it or not; 1 where none is known.
    pub cycle: usize,
    /// Members and their weights, largest first.
    pub weights: Vec<(String, f64)>,
    /// Mean absolute scaled error over the held-out windows.
    pub mase: Option<f64>,
    /// The same of the seasonal naive forecast (of the last value where there is no season).
    pub mase_seasonal_naive: Option<f64>,
    /// The same of the last value.
    pub mase_last_value: Option<f64>,
    /// Share of held-out values at or below each quantile: (level, coverage).
    pub coverage: Vec<(f64, f64)>,
    /// The same for the peak.
    pub peak_coverage: Vec<(f64, f64)>,
    /// What stands out in the history, in the order of its steps.
    pub marks: Vec<Mark>,
    /// What each known event was found to do, in the order of the settings.
    pub effects: Vec<EventEffect>,
    /// Whether the history is too short for a fit of its own and the path is the pooled regression's.
    pub borrowed: bool,
    /// Why the forecast is plainer than usual, if it is.
    pub fallback: Option<String>,
}

/// Replacing what is not a number.
pub(crate) trait FiniteOr {
    /// Itself if finite.
    fn finite_or_none(self) -> Option<f64>;
    /// Itself if finite, else `other`.
    fn finite_or(self, other: f64) -> f64;
}

impl FiniteOr for f64 {
    fn finite_or_none(self) -> Option<f64> {
        self.is_finite().then_some(self)
    }

    fn finite_or(self, other: f64) -> f64 {
        if self.is_finite() { self } else { other }
    }
}
