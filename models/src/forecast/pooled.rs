//! One regression over a whole fleet: what series have in common, and what a new one borrows.

use super::bank::{Member, bounds};
use super::prepare::Prepared;
use super::regression::{Dense, Fit, LagSet, Running, iterate, running_products, running_sums};
use super::study::{windows_of, with_weeks};
use super::windows::Windows;
use super::{Seasons, Settings};

/// Histories that take part in the fit; more change little and cost time. Taken at even spacing.
const MOST_HISTORIES: usize = 256;
/// Lags of the longest regression.
const MOST_LAGS: usize = 338;
/// Ridge penalty on values scaled to a mean absolute seasonal difference of 1.
const PENALTY: f64 = 1.0;

/// Regressions fitted over many series, one a reach and rolling origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Pooled {
    season: usize,
    reaches: Vec<Reach>,
}

#[derive(Debug, Clone, PartialEq)]
struct Reach {
    name: &'static str,
    lags: Vec<usize>,
    /// Saw everything.
    whole: Fit,
    /// Saw nothing of what the rolling origins test: one fit serves all of them, for leaving out a block more or less
    /// of each series changes little in a fleet.
    tested: Fit,
}

/// A history in the pooled regression's scale.
struct Scaled {
    z: Vec<f64>,
    logs: bool,
    mean: f64,
    unit: f64,
}

impl Scaled {
    /// In logs where all values are positive; centred, and divided by the mean absolute seasonal difference. Both
    /// are taken before the first fit end.
    fn new(values: &[f64], season: usize, first_cut: usize) -> Option<Self> {
        let logs = values.iter().all(|&v| v > 0.0);
        let mut z: Vec<f64> = values.iter().map(|&v| if logs { v.ln() } else { v }).collect();
        let fit = &z[..first_cut];
        let unit = super::scores::seasonal_scale(fit, season)?;
        let mean = fit.iter().sum::<f64>() / fit.len() as f64;
        for v in &mut z {
            *v = (*v - mean) / unit;
        }
        z.iter().all(|v| v.is_finite()).then_some(Self { z, logs, mean, unit })
    }

    fn back(&self, value: f64) -> f64 {
        let value = value * self.unit + self.mean;
        if self.logs { value.clamp(-600.0, 600.0).exp() } else { value }
    }
}

fn reaches(seasons: &[usize]) -> Vec<LagSet> {
    let [season, longer @ ..] = seasons else { return Vec::new() };
    let mut sets = Vec::new();
    let mut push = |name, longest: usize| {
        if longest <= MOST_LAGS {
            sets.push(LagSet { name, lags: (1..=longest).collect(), penalty: PENALTY });
        }
    };
    push("pooled day", season + 2);
    if let Some(week) = longer.first() {
        push("pooled week", week + 1);
        push("pooled fortnight", 2 * week + 1);
    }
    sets
}

impl Pooled {
    /// Fits over the histories of a fleet. `None` where there is no common season, or fewer than two histories are
    /// long enough for all rolling origins.
    #[must_use]
    pub fn over(histories: &[Vec<f64>], settings: &Settings) -> Option<Self> {
        let seasons = match &settings.seasons {
            Seasons::Declared(declared) => with_weeks(declared),
            Seasons::Candidates(candidates) => with_weeks(candidates),
            Seasons::Find => return None,
        };
        let stride = histories.len().div_ceil(2 * MOST_HISTORIES).max(1);
        let prepare = |history: &Vec<f64>| Prepared::new(history, &seasons, &settings.events);
        let prepared: Vec<Prepared> = histories.iter().step_by(stride).map(prepare).collect();
        let windows: Vec<Windows> = prepared.iter().map(|p| windows_of(p.len(), &seasons, settings)).collect();
        let usable: Vec<(&[f64], &Windows)> = prepared
            .iter()
            .zip(&windows)
            .filter(|(p, _)| !p.constant())
            .map(|(p, windows)| (p.clean.as_slice(), windows))
            .collect();
        if usable.len() < 2 { None } else { Self::fit(&usable, &seasons, settings.origins) }
    }

    /// Fits over `histories`, each with its windows; all share `seasons` (shortest first). Only histories with
    /// `origins` full blocks take part, so that every rolling origin is fitted on one and the same set. `None` where
    /// there is no season or nothing to fit.
    pub(crate) fn fit(histories: &[(&[f64], &Windows)], seasons: &[usize], origins: usize) -> Option<Self> {
        let season = *seasons.first()?;
        let usable: Vec<_> = histories.iter().filter(|(_, windows)| windows.origins() >= origins).collect();
        let stride = usable.len().div_ceil(MOST_HISTORIES).max(1);
        let sets = reaches(seasons);
        let mut sums: Vec<[Dense; 2]> = sets.iter().map(|set| [(); 2].map(|()| Dense::new(set.longest()))).collect();
        let mut running = Running::new();
        for (values, windows) in usable.into_iter().step_by(stride) {
            let ends = [windows.cuts[0], values.len()];
            let Some(scaled) = Scaled::new(values, season, ends[0]) else { continue };
            let totals = running_sums(&scaled.z);
            for (dense, end) in sums.iter_mut().flat_map(|both| both.iter_mut().zip(ends)) {
                dense.add_sums(&totals, end);
            }
            for first in (0..=sets.iter().map(LagSet::longest).max().unwrap_or(0)).step_by(Dense::STRIDE) {
                running_products(&scaled.z, first, &mut running);
                for (dense, end) in sums.iter_mut().flat_map(|both| both.iter_mut().zip(ends)) {
                    dense.add_products(&running, first, end);
                }
            }
        }
        let reaches: Vec<Reach> = sets
            .into_iter()
            .zip(sums)
            .filter_map(|(set, [tested, whole])| {
                let fit = |dense: Dense| {
                    let gram = dense.gram();
                    (gram.rows > 2.0 * set.lags.len() as f64).then(|| gram.solve(set.penalty))?
                };
                Some(Reach { name: set.name, tested: fit(tested)?, whole: fit(whole)?, lags: set.lags })
            })
            .collect();
        (!reaches.is_empty()).then_some(Self { season, reaches })
    }

    /// The members for one history: every reach its length allows.
    pub(crate) fn members(&self, values: &[f64], windows: &Windows) -> Vec<Member> {
        let Some(scaled) = Scaled::new(values, self.season, windows.cuts[0]) else { return Vec::new() };
        let limits: Vec<(f64, f64)> = windows.cuts.iter().map(|&cut| bounds(&values[..cut])).collect();
        self.reaches
            .iter()
            .filter(|reach| windows.cuts[0] >= reach.lags.len())
            .map(|reach| {
                let longest = reach.lags.len();
                let mut paths = Vec::with_capacity(windows.list.len() * windows.horizon);
                for window in &windows.list {
                    let fit = if window.cut == windows.origins() { &reach.whole } else { &reach.tested };
                    let (low, high) = limits[window.cut];
                    let past = &scaled.z[window.start - longest..window.start];
                    let path = iterate(past, &reach.lags, fit, windows.horizon, (-1e6, 1e6));
                    paths.extend(path.into_iter().map(|z| scaled.back(z).clamp(low, high)));
                }
                Member { name: reach.name.to_owned(), paths }
            })
            .collect()
    }
}
