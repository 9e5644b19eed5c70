//! Exponential smoothing of level, day and week with an autoregressive error (Taylor: Short-term electricity demand
//! forecasting using double seasonal exponential smoothing, Journal of the Operational Research Society 54, 2003).
//!
//! It learns from every cycle where a regression has a few lags, so it errs differently from the bank.

use super::bank::{Bent, Member, bounds};
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
const LEVELS: [f64; TRIED] = [0.002, 0.01, 0.05, 0.2];
const SEASONS: [f64; TRIED] = [0.02, 0.15, 0.3, 0.5];
const ERRORS: [f64; TRIED] = [0.0, 0.6, 0.9, 0.97];
/// Weights tried in one pass: each step of a smoothing waits for the one before, so several take hardly longer than one.
const TRIED: usize = 4;

/// Standing beside a dozen regressions, of which these are no kin.
const STANDING: f64 = 1.5;

/// Longer histories have only the error's weight searched: the search is the dear part, and they have cycles enough for
/// the seasons' own weights to matter little.
const MOST_SEARCHED: usize = 4096;

/// Weights side by side.
#[derive(Debug, Clone, Copy)]
struct Lanes<const N: usize> {
    level: [f64; N],
    seasons: [[f64; N]; 2],
    error: [f64; N],
}

impl<const N: usize> Lanes<N> {
    fn of(weights: [Weights; N]) -> Self {
        Self {
            level: weights.map(|w| w.level),
            seasons: [weights.map(|w| w.seasons[0]), weights.map(|w| w.seasons[1])],
            error: weights.map(|w| w.error),
        }
    }
}

/// What is remembered while smoothing with several weights side by side.
#[derive(Debug, Clone)]
struct State<const N: usize> {
    level: [f64; N],
    /// One ring a season; where there is one season, the second ring is a single 0.
    rings: [Vec<[f64; N]>; 2],
    /// Where each ring stands.
    phases: [usize; 2],
    error: [f64; N],
}

/// The next place of a ring: a comparison, where a remainder would be the dearest part of an update.
fn next(phase: usize, len: usize) -> usize {
    if phase + 1 == len { 0 } else { phase + 1 }
}

impl<const N: usize> State<N> {
    /// The level is the mean of the first cycle of the longest season; each season's profile what the shorter ones
    /// leave of it.
    fn initial(z: &[f64], seasons: &[usize]) -> Self {
        let span = seasons.last().map_or(1, |s| (2 * s).min(z.len() / 2 / s * s).max(*s)).min(z.len());
        let level = z[..span].iter().sum::<f64>() / span.max(1) as f64;
        let mut rest: Vec<f64> = z[..span].iter().map(|v| v - level).collect();
        let mut rings = [vec![[0.0; N]], vec![[0.0; N]]];
        for (kept, &season) in rings.iter_mut().zip(seasons) {
            let mut ring = vec![0.0; season];
            let mut counts = vec![0.0_f64; season];
            for cycle in rest.chunks(season) {
                ring.iter_mut().zip(cycle).for_each(|(sum, v)| *sum += v);
                counts.iter_mut().zip(cycle).for_each(|(count, _)| *count += 1.0);
            }
            ring.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= count.max(1.0));
            rest.chunks_mut(season).for_each(|cycle| cycle.iter_mut().zip(&ring).for_each(|(v, mean)| *v -= mean));
            *kept = ring.into_iter().map(|value| [value; N]).collect();
        }
        Self { level: [level; N], rings, phases: [0; 2], error: [0.0; N] }
    }

    /// Takes the next value.
    fn update(&mut self, value: f64, weights: &Lanes<N>) {
        let [first, second] = &mut self.rings;
        let [i, j] = self.phases;
        self.phases = [next(i, first.len()), next(j, second.len())];
        let (first, second) = (&mut first[i], &mut second[j]);
        for n in 0..N {
            let fitted = self.level[n] + (first[n] + second[n]);
            let surprise = value - fitted - weights.error[n] * self.error[n];
            self.error[n] = value - fitted;
            self.level[n] += weights.level[n] * surprise;
            first[n] += weights.seasons[0][n] * surprise;
            second[n] += weights.seasons[1][n] * surprise;
        }
    }

    /// Sees each step of the forecast in turn.
    fn look_ahead(&self, weights: &Lanes<N>, steps: usize, mut see: impl FnMut([f64; N])) {
        let [first, second] = &self.rings;
        let [mut i, mut j] = self.phases;
        let mut error = self.error;
        for _ in 0..steps {
            let mut values = self.level;
            for n in 0..N {
                error[n] *= weights.error[n];
                values[n] += first[i][n] + second[j][n] + error[n];
            }
            see(values);
            (i, j) = (next(i, first.len()), next(j, second.len()));
        }
    }

    /// Adds up the absolute errors of the forecast of `truth`.
    fn add_errors(&self, truth: &[f64], weights: &Lanes<N>, sums: &mut [f64; N]) {
        let mut rest = truth.iter();
        self.look_ahead(weights, truth.len(), |values| {
            let truth = rest.next().copied().unwrap_or_default();
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += (truth - value).abs());
        });
    }
}

/// The weights a search begins with.
fn usual(seasons: &[usize]) -> Weights {
    Weights { seasons: [START.seasons[0], if seasons.len() > 1 { START.seasons[1] } else { 0.0 }], ..START }
}

/// The search for the weights of one smoothing.
struct Search<'a> {
    seasons: &'a [usize],
    initial: State<TRIED>,
    best: Weights,
    loss: f64,
}

impl<'a> Search<'a> {
    fn new(fit: &[f64], seasons: &'a [usize]) -> Self {
        Self { seasons, initial: State::initial(fit, seasons), best: usual(seasons), loss: f64::INFINITY }
    }
}

/// Tries each of `values` in place of one weight, for several searches in step; keeps what errs less over the horizon from
/// starts in the second half of `fit`. What is good one step ahead is not what is good a day ahead.
fn attempt(
    searches: &mut [&mut Search<'_>],
    fit: &[f64],
    horizon: usize,
    values: [f64; TRIED],
    put: fn(&mut Weights, f64),
) {
    let tried = |search: &Search<'_>| {
        values.map(|value| {
            let mut weights = search.best;
            put(&mut weights, value);
            weights
        })
    };
    let mut runs: Vec<(State<TRIED>, Lanes<TRIED>, [f64; TRIED])> =
        searches.iter().map(|search| (search.initial.clone(), Lanes::of(tried(search)), [0.0; TRIED])).collect();
    let first = fit.len() / 2;
    let stride = (horizon / 2).max(fit.len() / 32).max(1);
    let mut now = 0;
    for start in (0..fit.len()).step_by(stride).filter(|&t| t >= first && t + horizon <= fit.len()) {
        for &value in &fit[now..start] {
            for (state, weights, _) in &mut runs {
                state.update(value, weights);
            }
        }
        now = start;
        for (state, weights, sums) in &mut runs {
            state.add_errors(&fit[start..start + horizon], weights, sums);
        }
    }
    for (search, (_, _, losses)) in searches.iter_mut().zip(runs) {
        for (weights, loss) in tried(search).into_iter().zip(losses) {
            if loss < search.loss {
                (search.best, search.loss) = (weights, loss);
            }
        }
    }
}

/// Weights for smoothings over these seasons, by one round of trying each weight in turn.
fn best_weights(fit: &[f64], variants: &[&[usize]], horizon: usize) -> Vec<Weights> {
    let mut searches: Vec<Search<'_>> = variants.iter().map(|seasons| Search::new(fit, seasons)).collect();
    let mut all: Vec<&mut Search<'_>> = searches.iter_mut().collect();
    attempt(&mut all, fit, horizon, ERRORS, |weights, error| weights.error = error);
    if fit.len() <= MOST_SEARCHED {
        attempt(&mut all, fit, horizon, SEASONS, |weights, value| weights.seasons[0] = value);
        all.retain(|search| search.seasons.len() > 1);
        attempt(&mut all, fit, horizon, SEASONS, |weights, value| weights.seasons[1] = value);
        let mut all: Vec<&mut Search<'_>> = searches.iter_mut().collect();
        attempt(&mut all, fit, horizon, LEVELS, |weights, level| weights.level = level);
    }
    searches.into_iter().map(|search| search.best).collect()
}

/// The members: on each of the `ways` the values are bent. None without a season.
pub(crate) fn members(values: &[f64], ways: &[Bent], seasons: &[usize], windows: &Windows) -> Vec<Member> {
    let first_cut = windows.cuts[0];
    let seasons: Vec<usize> = seasons.iter().copied().take(2).filter(|s| first_cut >= s + s / 8).collect();
    // Both seasons together, and each alone: they fail in different places.
    let variants: Vec<&[usize]> = match &seasons[..] {
        [] => return Vec::new(),
        [_] => vec![&seasons],
        [..] => vec![&seasons, &seasons[..1], &seasons[1..]],
    };
    // The others have too little for a search.
    let (known, short): (Vec<_>, Vec<_>) = variants.iter().partition(|v| v.iter().all(|s| first_cut >= 2 * s));
    let limits: Vec<(f64, f64)> = windows.cuts.iter().map(|&cut| bounds(&values[..cut])).collect();
    let mut members = Vec::new();
    for Bent { scaling, z } in ways {
        let searched = best_weights(&z[..first_cut], &known, windows.horizon);
        let weights = searched.into_iter().chain(short.iter().map(|seasons| usual(seasons)));
        let mut runs: Vec<(State<1>, Lanes<1>, Vec<f64>)> = known
            .iter()
            .chain(&short)
            .zip(weights)
            .map(|(seasons, weights)| {
                let paths = Vec::with_capacity(windows.list.len() * windows.horizon);
                (State::initial(&z[..first_cut], seasons), Lanes::of([weights]), paths)
            })
            .collect();
        let mut now = 0;
        for window in &windows.list {
            for &value in &z[now..window.start] {
                for (state, weights, _) in &mut runs {
                    state.update(value, weights);
                }
            }
            now = window.start;
            let (low, high) = limits[window.cut];
            for (state, weights, paths) in &mut runs {
                state
                    .look_ahead(weights, windows.horizon, |[value]| paths.push(scaling.unbend(value).clamp(low, high)));
            }
        }
        for (seasons, (_, _, paths)) in known.iter().chain(&short).zip(runs) {
            let name = seasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
            let name = format!("{} smoothed {name}", if scaling.logs { "log" } else { "level" });
            members.push(Member { name, paths, standing: STANDING });
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::super::bank::bent;
    use super::*;

    fn load(t: usize) -> f64 {
        let weekend = if (t / 24) % 7 >= 5 { 0.5 } else { 1.0 };
        10.0 + 5.0 * weekend * (t as f64 / 24.0 * std::f64::consts::TAU).sin()
    }

    #[test]
    fn a_day_within_a_week_is_continued() {
        let values: Vec<f64> = (0..1008).map(load).collect();
        let windows = Windows::new(1008, 48, 1, 500, 48, 1);
        let members = members(&values, &bent(&values), &[24, 168], &windows);
        assert_eq!(members.len(), 6);
        let both = &members[0].paths[members[0].paths.len() - 48..];
        for (h, value) in both.iter().enumerate() {
            assert!((value - load(1008 + h)).abs() < 0.3, "step {h}: {value} against {}", load(1008 + h));
        }
    }

    #[test]
    fn weights_side_by_side_smooth_as_each_alone_does() {
        let values: Vec<f64> = (0..400).map(|t| load(t) + 0.3 * (t as f64 * 1.7).sin()).collect();
        let tried = [0.0, 0.3, 0.6, 0.9].map(|error| Weights { error, level: 0.1 * error, ..START });
        let truth: Vec<f64> = (400..430).map(load).collect();
        let mut sums = [0.0; TRIED];
        let mut together = State::initial(&values, &[24, 168]);
        for &value in &values {
            together.update(value, &Lanes::of(tried));
        }
        together.add_errors(&truth, &Lanes::of(tried), &mut sums);
        for (weights, sum) in tried.into_iter().zip(sums) {
            let mut alone = State::<1>::initial(&values, &[24, 168]);
            let lane = Lanes::of([weights]);
            for &value in &values {
                alone.update(value, &lane);
            }
            let mut path = Vec::new();
            alone.look_ahead(&lane, 30, |[value]| path.push(value));
            let direct: f64 = path.iter().zip(&truth).map(|(f, y)| (f - y).abs()).sum();
            assert!((sum - direct).abs() < 1e-9);
        }
    }

    #[test]
    fn the_search_keeps_what_erred_least() {
        // A day's shape that changes slowly under a wandering level: a still level loses.
        let mut level = 0.0;
        let values: Vec<f64> = (0..480)
            .map(|t| {
                level += (t as f64 * 0.7).sin() + 0.05;
                load(t) + level
            })
            .collect();
        let found = best_weights(&values, &[&[24]], 24)[0];
        let loss = |weights: Weights| {
            let mut search = Search::new(&values, &[24]);
            search.best = weights;
            attempt(&mut [&mut search], &values, 24, [weights.error; TRIED], |weights, error| weights.error = error);
            search.loss
        };
        assert!(loss(found) < loss(usual(&[24])));
        for level in LEVELS {
            assert!(loss(found) <= loss(Weights { level, ..found }), "{level}");
        }
    }
}
