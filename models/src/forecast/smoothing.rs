//! Exponential smoothing of level, day and week with an autoregressive error (Taylor: Short-term electricity demand
//! forecasting using double seasonal exponential smoothing, Journal of the Operational Research Society 54, 2003).
//!
//! It learns from every cycle where a regression has a few lags, so it errs differently from the bank.

use super::bank::{Member, Scaling, bounds};
use super::windows::Windows;

/// Weights of a new error in level, in the seasons (shortest first), and what is left of the error a step later.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Weights {
    level: f64,
    seasons: [f64; 2],
    error: f64,
}

/// Where the search for weights begins, and what it tries for each in turn. Taylor's own fits on load put the level's
/// weight near 0 and the error's near 0.9.
const START: Weights = Weights { level: 0.01, seasons: [0.15, 0.2], error: 0.9 };
const LEVELS: [f64; 4] = [0.002, 0.01, 0.05, 0.2];
const SEASONS: [f64; 4] = [0.02, 0.15, 0.3, 0.5];
const ERRORS: [f64; 4] = [0.0, 0.6, 0.9, 0.97];

/// Standing beside a dozen regressions, of which these are no kin.
const STANDING: f64 = 1.5;

/// Longer histories have only the error's weight searched: the search is the dear part, and they have cycles enough for
/// the seasons' own weights to matter little.
const MOST_SEARCHED: usize = 4096;

/// What is remembered while smoothing.
#[derive(Debug, Clone)]
struct State {
    level: f64,
    /// One ring a season; where there is one season, the second ring is a single 0.
    rings: [Vec<f64>; 2],
    /// Where each ring stands.
    phases: [usize; 2],
    error: f64,
    now: usize,
}

/// The next place of a ring: a comparison, where a remainder would be the dearest part of an update.
fn next(phase: usize, len: usize) -> usize {
    if phase + 1 == len { 0 } else { phase + 1 }
}

impl State {
    /// The level is the mean of the first cycle of the longest season; each season's profile what the shorter ones
    /// leave of it.
    fn initial(z: &[f64], seasons: &[usize]) -> Self {
        let span = seasons.last().map_or(1, |s| (2 * s).min(z.len() / 2 / s * s).max(*s)).min(z.len());
        let level = z[..span].iter().sum::<f64>() / span.max(1) as f64;
        let mut rest: Vec<f64> = z[..span].iter().map(|v| v - level).collect();
        let mut rings = [vec![0.0], vec![0.0]];
        for (kept, &season) in rings.iter_mut().zip(seasons) {
            let mut ring = vec![0.0; season];
            let mut counts = vec![0.0_f64; season];
            for (t, v) in rest.iter().enumerate() {
                ring[t % season] += v;
                counts[t % season] += 1.0;
            }
            ring.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= count.max(1.0));
            rest.iter_mut().enumerate().for_each(|(t, v)| *v -= ring[t % season]);
            *kept = ring;
        }
        Self { level, rings, phases: [0; 2], error: 0.0, now: 0 }
    }

    /// Takes the next value.
    fn update(&mut self, value: f64, weights: &Weights) {
        let [first, second] = &mut self.rings;
        let [i, j] = self.phases;
        let fitted = self.level + first[i] + second[j];
        let surprise = value - fitted - weights.error * self.error;
        self.error = value - fitted;
        self.level += weights.level * surprise;
        first[i] += weights.seasons[0] * surprise;
        second[j] += weights.seasons[1] * surprise;
        self.phases = [next(i, first.len()), next(j, second.len())];
        self.now += 1;
    }

    /// Sees each value of the forecast in turn.
    fn look_ahead(&self, weights: &Weights, steps: usize, mut see: impl FnMut(f64)) {
        let [first, second] = &self.rings;
        let [mut i, mut j] = self.phases;
        let mut error = self.error;
        for _ in 0..steps {
            error *= weights.error;
            see(self.level + (first[i] + second[j]) + error);
            (i, j) = (next(i, first.len()), next(j, second.len()));
        }
    }

    /// Summed absolute error of the forecast of `truth`, without writing the path down.
    fn absolute_error(&self, truth: &[f64], weights: &Weights) -> f64 {
        let mut rest = truth.iter();
        let mut sum = 0.0;
        self.look_ahead(weights, truth.len(), |value| sum += rest.next().map_or(0.0, |y| (y - value).abs()));
        sum
    }

    fn forecast(&self, horizon: usize, weights: &Weights) -> Vec<f64> {
        let mut path = Vec::with_capacity(horizon);
        self.look_ahead(weights, horizon, |value| path.push(value));
        path
    }
}

/// The weights a search begins with.
fn usual(seasons: &[usize]) -> Weights {
    Weights { seasons: [START.seasons[0], if seasons.len() > 1 { START.seasons[1] } else { 0.0 }], ..START }
}

/// Weights that erred least over the horizon from starts in the second half of `fit`, by one round of trying each in
/// turn. What is good one step ahead is not what is good a day ahead.
fn best_weights(fit: &[f64], seasons: &[usize], horizon: usize) -> Weights {
    let initial = State::initial(fit, seasons);
    let first = fit.len() / 2;
    let stride = (horizon / 2).max(fit.len() / 32).max(1);
    // Gives up, with what it has, once beyond `enough`.
    let loss = |weights: &Weights, enough: f64| {
        let mut state = initial.clone();
        let mut sum = 0.0;
        let mut now = 0;
        for start in (0..fit.len()).step_by(stride).filter(|&t| t >= first && t + horizon <= fit.len()) {
            fit[now..start].iter().for_each(|&value| state.update(value, weights));
            now = start;
            sum += state.absolute_error(&fit[start..start + horizon], weights);
            if sum >= enough {
                break;
            }
        }
        if sum.is_finite() { sum } else { f64::INFINITY }
    };
    let start =
        Weights { seasons: [START.seasons[0], if seasons.len() > 1 { START.seasons[1] } else { 0.0 }], ..START };
    let mut best = (loss(&start, f64::INFINITY), start);
    let attempt = |best: &mut (f64, Weights), weights: Weights| {
        if weights != best.1 {
            let loss = loss(&weights, best.0);
            if loss < best.0 {
                *best = (loss, weights);
            }
        }
    };
    for error in ERRORS {
        let weights = Weights { error, ..best.1 };
        attempt(&mut best, weights);
    }
    if fit.len() > MOST_SEARCHED {
        return best.1;
    }
    for i in 0..seasons.len().min(2) {
        for weight in SEASONS {
            let mut weights = best.1;
            weights.seasons[i] = weight;
            attempt(&mut best, weights);
        }
    }
    for level in LEVELS {
        let weights = Weights { level, ..best.1 };
        attempt(&mut best, weights);
    }
    best.1
}

/// The members: on levels, and on logs where all values are positive. None without a season.
pub(crate) fn members(values: &[f64], seasons: &[usize], windows: &Windows) -> Vec<Member> {
    let first_cut = windows.cuts[0];
    let seasons: Vec<usize> = seasons.iter().copied().take(2).filter(|s| first_cut >= s + s / 8).collect();
    if seasons.is_empty() {
        return Vec::new();
    }
    // Both seasons together, and each alone: they fail in different places.
    let mut variants = vec![seasons.clone()];
    if let [day, week] = seasons[..] {
        variants.extend([vec![day], vec![week]]);
    }
    let positive = values.iter().all(|&v| v > 0.0);
    let mut members = Vec::new();
    for logs in [false, true].into_iter().filter(|&logs| positive || !logs) {
        let scaling = Scaling::of(values, logs);
        let z: Vec<f64> = values.iter().map(|&v| scaling.bend(v)).collect();
        for seasons in &variants {
            let known = seasons.iter().all(|s| first_cut >= 2 * s);
            let weights = if known { best_weights(&z[..first_cut], seasons, windows.horizon) } else { usual(seasons) };
            let mut state = State::initial(&z[..first_cut], seasons);
            let mut paths = Vec::with_capacity(windows.list.len() * windows.horizon);
            for window in &windows.list {
                for &value in &z[state.now..window.start] {
                    state.update(value, &weights);
                }
                let (low, high) = bounds(&values[..windows.cuts[window.cut]]);
                let path = state.forecast(windows.horizon, &weights);
                paths.extend(path.into_iter().map(|v| scaling.unbend(v).clamp(low, high)));
            }
            let name = seasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
            let name = format!("{} smoothed {name}", if logs { "log" } else { "level" });
            members.push(Member { name, paths, standing: STANDING });
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(t: usize) -> f64 {
        let weekend = if (t / 24) % 7 >= 5 { 0.5 } else { 1.0 };
        10.0 + 5.0 * weekend * (t as f64 / 24.0 * std::f64::consts::TAU).sin()
    }

    #[test]
    fn a_day_within_a_week_is_continued() {
        let values: Vec<f64> = (0..1008).map(load).collect();
        let windows = Windows::new(1008, 48, 1, 500, 48, 1);
        let members = members(&values, &[24, 168], &windows);
        assert_eq!(members.len(), 6);
        let both = &members[0].paths[members[0].paths.len() - 48..];
        for (h, value) in both.iter().enumerate() {
            assert!((value - load(1008 + h)).abs() < 0.3, "step {h}: {value} against {}", load(1008 + h));
        }
    }

    #[test]
    fn the_error_of_a_forecast_is_that_of_its_path() {
        let values: Vec<f64> = (0..200).map(load).collect();
        let mut state = State::initial(&values, &[24]);
        for &value in &values {
            state.update(value, &START);
        }
        let truth: Vec<f64> = (200..230).map(load).collect();
        let direct: f64 = state.forecast(30, &START).iter().zip(&truth).map(|(f, y)| (f - y).abs()).sum();
        assert!((state.absolute_error(&truth, &START) - direct).abs() < 1e-9);
    }
}
