//! Forecasts with calibrated quantiles from one history or a fleet of them.
//!
//! ```text
//! history ─▶ Prepared ─▶ members at rolling origins ─▶ combination ─▶ held-out errors ─▶ quantiles
//!            gaps,       ridge bank, pooled, naive,    weights by     studentised,       of steps and of
//!            spikes      smoothing, intermittent       backtest       by block           the peak
//! ```
//!
//! ```
//! use plimsoll_models::forecast::{Seasons, Settings, forecast};
//! let history: Vec<f64> = (0..480).map(|i| 10.0 + f64::from(i % 24)).collect();
//! let settings = Settings { horizon: 24, seasons: Seasons::Declared(vec![24]), ..Settings::default() };
//! let outcome = forecast(&history, &settings);
//! assert!((outcome.mean[5] - 15.0).abs() < 0.5);
//! ```

mod bank;
mod calibrate;
mod combine;
mod outcome;
mod pooled;
mod prepare;
mod regression;
pub mod scores;
mod seasons;
mod simple;
mod smoothing;
pub mod streaming;
mod study;
mod windows;

use ndarray::ArrayView1;

pub use outcome::Outcome;
pub use pooled::Pooled;
pub use streaming::Streaming;
pub use study::{FleetShape, Study};

/// Which seasons to reckon with, in steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seasons {
    /// These, as far as the history holds two of each. One alone brings its sevenfold with it (a day its week).
    Declared(Vec<usize>),
    /// Those of these that the history shows beyond chance; none is a valid answer.
    Candidates(Vec<usize>),
    /// Whatever the history shows beyond chance.
    Find,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Steps ahead, at least 1.
    pub horizon: usize,
    /// Seasons.
    pub seasons: Seasons,
    /// Quantile levels, each in 0..1.
    pub levels: Vec<f64>,
    /// Steps that the peak covers, at least 1, at most the horizon.
    pub lead_steps: usize,
    /// Rolling origins with a fit of their own, at least 1.
    pub origins: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            horizon: 24,
            seasons: Seasons::Find,
            levels: vec![0.05, 0.25, 0.5, 0.75, 0.95],
            lead_steps: 1,
            origins: 3,
        }
    }
}

impl Settings {
    /// The levels in rising order, each once; what is not inside 0..1 is left out.
    #[must_use]
    pub fn levels(&self) -> Vec<f64> {
        let mut levels: Vec<f64> = self.levels.iter().copied().filter(|l| *l > 0.0 && *l < 1.0).collect();
        levels.sort_unstable_by(f64::total_cmp);
        levels.dedup();
        levels
    }
}

/// The forecast of one history. Values that are not finite are gaps.
#[must_use]
pub fn forecast(history: &[f64], settings: &Settings) -> Outcome {
    Study::new(history, settings, None).outcome(settings, None)
}

/// Forecasts of a fleet, which lends each series its pooled regression and the shape of its errors. One outcome a
/// history, in order. [`Pooled::over`], [`Study::new`], [`FleetShape::of`] and [`Study::outcome`] are its parts, for
/// callers with threads.
#[must_use]
pub fn forecast_fleet(histories: &[ArrayView1<'_, f64>], settings: &Settings) -> Vec<Outcome> {
    let histories: Vec<Vec<f64>> = histories.iter().map(|h| h.to_vec()).collect();
    let pooled = Pooled::over(&histories, settings);
    let studies: Vec<Study> = histories.iter().map(|h| Study::new(h, settings, pooled.as_ref())).collect();
    let shape = FleetShape::of(&studies);
    studies.iter().map(|study| study.outcome(settings, shape.as_ref())).collect()
}
