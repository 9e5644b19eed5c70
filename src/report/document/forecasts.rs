//! Forecasts in a document: the peak's quantiles and how far the method can be trusted.

use serde::{Deserialize, Serialize};

use super::from_run::{rounded, significant_digits};
use crate::domain::forecast::{Change, EventEffect, Mark, MarkKind, Trust};
use crate::domain::{Forecast, Signal};
use crate::format;

/// What is expected of one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForecastDocument {
    /// `namespace/name` of a workload, `namespace/pod` of a pod, or a series' own name.
    pub subject: String,
    /// What is forecast; its unit is in the name.
    pub signal: Signal,
    /// The first forecast instant, RFC 3339.
    pub start: String,
    /// Spacing in seconds.
    pub step_seconds: f64,
    /// Forecast instants.
    pub horizon_steps: usize,
    /// Seconds of lead time that the peak covers.
    pub lead_seconds: f64,
    /// Quantiles of the maximum over the lead time, in rising order.
    pub peak: Vec<PeakQuantile>,
    /// How the method did on the series' own past.
    pub trust: Trust,
    /// Spikes, outages, changes of level and known events.
    #[serde(default)]
    pub marks: Vec<MarkDocument>,
    /// What known events were found to do.
    #[serde(default)]
    pub effects: Vec<EventEffect>,
}

/// A stretch of time that is not like the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkDocument {
    /// `spike`, `outage`, `levelShift`, `deploy`, or `event` with its name.
    pub kind: MarkKind,
    /// Its start, RFC 3339.
    pub start: String,
    /// Its end, RFC 3339; not part of it.
    pub end: String,
    /// How far the values lie from what was expected, in the signal's unit; left out for known events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<f64>,
}

/// One quantile of a peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeakQuantile {
    /// Quantile, 0..1.
    pub level: f64,
    /// Value in the signal's unit; `null` where unknown.
    pub value: Option<f64>,
}

impl From<&Forecast> for ForecastDocument {
    fn from(forecast: &Forecast) -> Self {
        let step_seconds = forecast.step_ms as f64 / 1000.0;
        let peak = forecast.levels.iter().zip(&forecast.peak).map(|(&level, &value)| PeakQuantile {
            level: rounded(level),
            value: value.is_finite().then(|| significant_digits(value, 6)),
        });
        Self {
            subject: forecast.subject.to_string(),
            signal: forecast.signal,
            start: format::rfc3339(forecast.start_ms),
            step_seconds,
            horizon_steps: forecast.horizon(),
            lead_seconds: step_seconds * forecast.lead_steps as f64,
            peak: peak.collect(),
            trust: rounded_trust(&forecast.trust),
            marks: forecast.marks.iter().map(MarkDocument::from).collect(),
            effects: forecast.effects.iter().map(rounded_effect).collect(),
        }
    }
}

impl From<&Mark> for MarkDocument {
    fn from(mark: &Mark) -> Self {
        Self {
            kind: mark.kind.clone(),
            start: format::rfc3339(mark.start_ms),
            end: format::rfc3339(mark.end_ms),
            size: mark.size.filter(|size| size.is_finite()).map(|size| significant_digits(size, 6)),
        }
    }
}

fn rounded_effect(effect: &EventEffect) -> EventEffect {
    EventEffect {
        change: effect.change.map(|change| match change {
            Change::Factor(factor) => Change::Factor(significant_digits(factor, 6)),
            Change::Addend(addend) => Change::Addend(significant_digits(addend, 6)),
        }),
        error: significant_digits(effect.error, 6),
        ..effect.clone()
    }
}

fn rounded_trust(trust: &Trust) -> Trust {
    let score = |score: Option<f64>| score.filter(|s| s.is_finite()).map(rounded);
    let pairs = |pairs: &[(f64, f64)]| pairs.iter().map(|&(level, share)| (rounded(level), rounded(share))).collect();
    Trust {
        observations: trust.observations,
        origins: trust.origins,
        seasons: trust.seasons.clone(),
        weights: trust.weights.iter().map(|(name, weight)| (name.clone(), rounded(*weight))).collect(),
        mase: score(trust.mase),
        mase_seasonal_naive: score(trust.mase_seasonal_naive),
        mase_last_value: score(trust.mase_last_value),
        coverage: pairs(&trust.coverage),
        peak_coverage: pairs(&trust.peak_coverage),
        borrowed: trust.borrowed,
        fallback: trust.fallback.clone(),
    }
}
