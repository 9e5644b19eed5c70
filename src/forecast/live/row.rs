//! One series of a [`Live`](super::Live) state.

use ndarray::s;
use plimsoll_models::forecast::{Adaptive, Outcome, Streaming};

use super::super::{Asked, DAY_MS, ForecastSettings, to_forecast};
use crate::domain::forecast::Trust;
use crate::domain::series::SeriesRow;
use crate::domain::{Forecast, Signal, Subject};

/// History kept for the heavy tier: fifteen days, within these bounds in samples.
const KEPT_MS: i64 = 15 * DAY_MS;
const LEAST_KEPT: i64 = 2048;
const MOST_KEPT: i64 = 21_600;
/// Issued forecasts that wait for their truth at once; a horizon is divided among so many.
const MOST_PENDING: usize = 4;

#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The instant of the newest sample, gaps not counted.
    pub(super) last_ms: i64,
    pub(super) light: Streaming,
    pub(super) tail: Vec<f64>,
    pub(super) heavy: Option<Heavy>,
    /// How the heavy tier's quantiles are to be moved, and what was issued and is not yet judged, oldest first.
    pub(super) adaptive: Adaptive,
    pub(super) pending: Vec<Issued>,
}

/// The heavy tier's last word.
#[derive(Debug, Clone)]
pub(super) struct Heavy {
    /// As fitted, not yet corrected.
    pub(super) forecast: Forecast,
    pub(super) errors: Errors,
}

/// What a forecast expects to err by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Errors {
    /// By step, and of the peak.
    pub(super) scale: Vec<f64>,
    pub(super) peak_scale: f64,
    /// How many times as wide as usual it is.
    pub(super) widened: f64,
    /// Steps of the shortest season asked about or found.
    pub(super) cycle: usize,
    /// Whether no quantile is below 0.
    pub(super) non_negative: bool,
}

/// A forecast that was given out: as wide as it was then, without the corrections.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    pub(super) start_ms: i64,
    pub(super) outcome: Outcome,
    pub(super) levels: Vec<f64>,
    /// Steps of its truth that were learnt from.
    pub(super) taught: usize,
}

impl Row {
    pub(super) fn new(last_ms: i64, season: usize, unit: f64) -> Self {
        Self {
            last_ms,
            light: Streaming::new(season, unit),
            tail: Vec::new(),
            heavy: None,
            adaptive: Adaptive::new(),
            pending: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, time_ms: i64, value: f64, step_ms: i64) {
        let steps = (time_ms - self.last_ms).div_euclid(step_ms);
        if steps < 1 {
            return;
        }
        let kept = (KEPT_MS / step_ms).clamp(LEAST_KEPT, MOST_KEPT);
        // A gap longer than what is kept leaves nothing of what was before it.
        for _ in 1..steps.min(kept) {
            self.light.update(f64::NAN);
            self.tail.push(f64::NAN);
        }
        self.light.update(value);
        self.tail.push(value);
        let most = kept as usize;
        // Cut back rarely, so that a sample costs the same on average.
        if self.tail.len() > most + most / 4 {
            self.tail.drain(..self.tail.len() - most);
        }
        self.last_ms += steps * step_ms;
    }

    /// The instant of the oldest sample kept.
    pub(super) fn first_ms(&self, step_ms: i64) -> i64 {
        self.last_ms - step_ms * (self.tail.len() as i64 - 1)
    }

    /// Holds what was issued against what followed so far; what is measured to the end of its horizon is done with.
    pub(super) fn learn(&mut self, step_ms: i64) {
        let first_ms = self.first_ms(step_ms);
        let (tail, adaptive) = (&self.tail, &mut self.adaptive);
        self.pending.retain_mut(|issued| {
            // Older than what is kept: its truth is gone.
            let Ok(from) = usize::try_from((issued.start_ms - first_ms).div_euclid(step_ms)) else { return false };
            let horizon = issued.outcome.mean.len();
            let truth = &tail[from.min(tail.len())..(from + horizon).min(tail.len())];
            adaptive.observe(&issued.outcome, &issued.levels, truth, issued.taught);
            issued.taught = truth.len();
            truth.len() < horizon
        });
    }

    /// Keeps the forecast, and from time to time remembers what was said, to judge it later.
    pub(super) fn issue(&mut self, heavy: Heavy, horizon: usize) {
        let start_ms = heavy.start_ms();
        let apart_ms = heavy.forecast.step_ms * horizon.div_ceil(MOST_PENDING) as i64;
        let is_time = self.pending.last().is_none_or(|last| start_ms - last.start_ms >= apart_ms);
        if is_time && self.pending.len() <= MOST_PENDING {
            let mut outcome = self.adaptive.widened(&heavy.outcome());
            outcome.mean.truncate(horizon);
            outcome.scale.truncate(horizon);
            outcome.quantiles = outcome.quantiles.slice(s![.., ..horizon.min(outcome.quantiles.ncols())]).to_owned();
            self.pending.push(Issued { start_ms, outcome, levels: heavy.forecast.levels.clone(), taught: 0 });
        }
        self.heavy = Some(heavy);
    }

    /// Forgets what was fitted for other levels or another lead time.
    pub(super) fn fit_for(&mut self, settings: &ForecastSettings) {
        let levels = settings.rising_levels();
        let lead = settings.lead_steps.clamp(1, settings.horizon_steps.max(1));
        let fits = |heavy: &Heavy| heavy.forecast.levels == levels && heavy.forecast.lead_steps == lead;
        if !self.heavy.as_ref().is_none_or(fits) {
            (self.heavy, self.adaptive, self.pending) = (None, Adaptive::new(), Vec::new());
        }
    }

    /// The heavy tier's forecast from the newest sample on, corrected; `None` where it does not reach that far.
    pub(super) fn heavy_forecast(&self, horizon: usize, step_ms: i64) -> Option<Forecast> {
        let heavy = self.heavy.as_ref()?;
        let start_ms = self.last_ms + step_ms;
        let passed = usize::try_from((start_ms - heavy.start_ms()) / step_ms).ok()?;
        if passed + horizon > heavy.forecast.horizon() {
            return None;
        }
        let corrected = self.adaptive.corrected(&heavy.outcome());
        let steps = passed..passed + horizon;
        let lead = heavy.forecast.lead_steps.min(horizon);
        let most =
            |from: usize, path: &[f64]| path[from..from + lead].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // The peak lies as far above its path now as it did when it was fitted.
        let moved = most(passed, &corrected.mean) - most(0, &corrected.mean);
        let rows = corrected.quantiles.rows().into_iter();
        let peak = corrected
            .peak
            .iter()
            .zip(rows)
            .map(|(peak, row)| if passed == 0 { *peak } else { (peak + moved).max(most(passed, &row.to_vec())) });
        let mut forecast = heavy.forecast.clone();
        forecast.peak = peak.collect();
        forecast.peak.iter_mut().fold(f64::NEG_INFINITY, |before, peak| {
            *peak = peak.max(before);
            *peak
        });
        forecast.mean = corrected.mean[steps.clone()].to_vec();
        forecast.quantiles = corrected.quantiles.slice(s![.., steps]).to_owned();
        Some(Forecast { start_ms, ..forecast })
    }

    /// The cheap tier's forecast, which says so.
    pub(super) fn light_forecast(
        &self,
        subject: &Subject,
        signal: Signal,
        settings: &ForecastSettings,
        step_ms: i64,
    ) -> Forecast {
        let horizon = settings.horizon_steps.max(1);
        let lead_steps = settings.lead_steps.clamp(1, horizon);
        let levels = settings.rising_levels();
        Forecast {
            subject: subject.clone(),
            signal,
            start_ms: self.last_ms + step_ms,
            step_ms,
            mean: self.light.forecast(horizon),
            quantiles: self.light.quantiles(horizon, &levels),
            lead_steps,
            peak: self.light.peak(lead_steps, &levels),
            levels,
            trust: Trust {
                observations: self.tail.iter().filter(|v| v.is_finite()).count(),
                fallback: Some("not fitted yet: the cheap tier's path and width".to_owned()),
                ..Trust::default()
            },
            marks: Vec::new(),
            effects: Vec::new(),
        }
    }
}

impl Heavy {
    pub(super) fn new(outcome: Outcome, about: &SeriesRow, steps_before: usize, asked: &Asked<'_>) -> Self {
        let Outcome { ref scale, peak_scale, widened, cycle, non_negative, .. } = outcome;
        let errors = Errors { scale: scale.clone(), peak_scale, widened, cycle, non_negative };
        Self { forecast: super::saved::short(to_forecast(about, steps_before, outcome, asked)), errors }
    }

    pub(super) fn start_ms(&self) -> i64 {
        self.forecast.start_ms
    }

    /// What the mathematics needs to correct it.
    pub(super) fn outcome(&self) -> Outcome {
        let Forecast { mean, quantiles, peak, lead_steps, .. } = &self.forecast;
        bare(mean.clone(), quantiles.clone(), peak.clone(), *lead_steps, &self.errors)
    }
}

/// An outcome without its record.
pub(super) fn bare(
    mean: Vec<f64>,
    quantiles: ndarray::Array2<f64>,
    peak: Vec<f64>,
    lead_steps: usize,
    errors: &Errors,
) -> Outcome {
    Outcome {
        mean,
        quantiles,
        peak,
        scale: errors.scale.clone(),
        peak_scale: errors.peak_scale,
        widened: errors.widened,
        lead_steps,
        non_negative: errors.non_negative,
        observations: 0,
        origins: 0,
        seasons: Vec::new(),
        cycle: errors.cycle,
        weights: Vec::new(),
        mase: None,
        mase_seasonal_naive: None,
        mase_last_value: None,
        coverage: Vec::new(),
        peak_coverage: Vec::new(),
        marks: Vec::new(),
        effects: Vec::new(),
        borrowed: false,
        fallback: None,
    }
}
