//! One window of one series.

use plimsoll_models::forecast::scores as measures;

use super::{LOSS_LEVELS, naive};
use crate::domain::Forecast;
use crate::domain::scores::{Measure, Method};

/// A forecast, what came before it and what followed.
pub(super) struct Held<'a> {
    pub(super) history: &'a [f64],
    pub(super) truth: &'a [f64],
    pub(super) forecast: &'a Forecast,
    pub(super) season: usize,
}

/// What one window gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub(super) scores: Vec<(Method, Measure, f64)>,
    /// Share of the truth at or below each of our quantiles, in the levels' order.
    pub(super) below: Vec<f64>,
    /// Share of the truth inside our central 95 % interval.
    pub(super) inside: Option<f64>,
    /// Whether the maximum over the lead time was at or below each of our quantiles of it; empty where a gap may hide it.
    pub(super) peak_below: Vec<f64>,
}

/// A method's answer in the form that is scored.
struct Answer<'a> {
    method: Method,
    path: &'a [f64],
    levels: &'a [f64],
    quantiles: &'a [Vec<f64>],
}

/// Scores a window; `None` where there is no truth, or the history has no scale.
pub(super) fn score(held: &Held<'_>) -> Option<Window> {
    let Held { history, truth, forecast, season } = *held;
    let scale = measures::seasonal_scale(history, season).or_else(|| measures::seasonal_scale(history, 1))?;
    let horizon = truth.len();
    let seasonal = naive::seasonal(history, season, horizon).or_else(|| naive::last_value(history, horizon))?;
    let last = naive::last_value(history, horizon)?;
    let naive2 = naive::naive2(history, season, horizon)?;
    let ours: Vec<Vec<f64>> = forecast.quantiles.rows().into_iter().map(|row| row.to_vec()).collect();
    let answer = |method, path, levels, quantiles| Answer { method, path, levels, quantiles };
    let answers = [
        answer(Method::Plimsoll, &forecast.mean[..], &forecast.levels[..], &ours[..]),
        answer(Method::SeasonalNaive, &seasonal.path, &naive::LEVELS, &seasonal.quantiles),
        answer(Method::LastValue, &last.path, &naive::LEVELS, &last.quantiles),
        answer(Method::Naive2, &naive2, &[], &[]),
    ];
    let scores: Vec<(Method, Measure, f64)> = answers.iter().flat_map(|a| measured(a, truth, scale)).collect();
    if scores.is_empty() {
        return None;
    }
    let below = |quantile: &Vec<f64>| measures::coverage(truth, quantile).unwrap_or(f64::NAN);
    Some(Window {
        scores,
        below: ours.iter().map(below).collect(),
        inside: at(&answers[0], 0.025).zip(at(&answers[0], 0.975)).and_then(|(low, high)| inside(truth, low, high)),
        peak_below: peak_below(truth, forecast),
    })
}

fn at<'a>(answer: &Answer<'a>, level: f64) -> Option<&'a [f64]> {
    let row = answer.levels.iter().position(|l| (l - level).abs() < 1e-9)?;
    Some(&answer.quantiles[row])
}

fn measured(answer: &Answer<'_>, truth: &[f64], scale: f64) -> Vec<(Method, Measure, f64)> {
    let interval = at(answer, 0.025).zip(at(answer, 0.975));
    let loss: Option<Vec<&[f64]>> = LOSS_LEVELS.iter().map(|&level| at(answer, level)).collect();
    let each = [
        (Measure::Smape, measures::smape(truth, answer.path)),
        (Measure::Mase, measures::mase(truth, answer.path, scale)),
        (Measure::Msis, interval.and_then(|(low, high)| measures::msis(truth, low, high, 0.05, scale))),
        (
            Measure::WeightedQuantileLoss,
            loss.and_then(|rows| measures::weighted_quantile_loss(truth, &rows, &LOSS_LEVELS)),
        ),
    ];
    each.into_iter().filter_map(|(measure, score)| Some((answer.method, measure, score?))).collect()
}

fn inside(truth: &[f64], low: &[f64], high: &[f64]) -> Option<f64> {
    let known: Vec<bool> =
        (0..truth.len()).filter(|&h| truth[h].is_finite()).map(|h| (low[h]..=high[h]).contains(&truth[h])).collect();
    (!known.is_empty()).then(|| known.iter().filter(|&&inside| inside).count() as f64 / known.len() as f64)
}

fn peak_below(truth: &[f64], forecast: &Forecast) -> Vec<f64> {
    let lead = &truth[..forecast.lead_steps.min(truth.len())];
    if lead.is_empty() || lead.iter().any(|v| !v.is_finite()) {
        return Vec::new();
    }
    let peak = lead.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    forecast.peak.iter().map(|quantile| f64::from(u8::from(peak <= *quantile))).collect()
}
