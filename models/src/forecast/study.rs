//! One series from its history to its quantiles.

use ndarray::Array2;

use super::adaptive::{band, bands, is_long};
use super::anomalies::Mark;
use super::bank::{self, Member};
use super::calibrate::{Errors, Shape, prior};
use super::combine::{Combination, combine};
use super::events::{Effects, Widening};
use super::outcome::{FiniteOr, Outcome};
use super::pooled::Pooled;
use super::prepare::Prepared;
use super::scores::{mae, seasonal_scale};
use super::simple;
use super::windows::Windows;
use super::{Seasons, Settings, coarse, seasons, smoothing};

mod cold;
mod spread;

/// Share of zeros from which the intermittent model takes part.
const MOSTLY_ZERO: f64 = 0.3;
/// Values before the first rolling origin without which nothing is fitted.
const LEAST_FIT: usize = 16;

/// What was learnt about one series; quantiles still need the shape of the fleet's errors.
#[derive(Debug, Clone)]
pub struct Study {
    facts: Facts,
    seasons: Vec<usize>,
    origins: usize,
    weights: Vec<(String, f64)>,
    path: Vec<f64>,
    steps: Errors,
    peak: Errors,
    widenings: Vec<Widening>,
    peak_widening: Widening,
    lead: usize,
    scores: [Option<f64>; 3],
    borrowed: bool,
    fallback: Option<String>,
}

/// What of the preparation the outcome needs.
#[derive(Debug, Clone)]
struct Facts {
    observations: usize,
    non_negative: bool,
    unit: f64,
    marks: Vec<Mark>,
    effects: Effects,
}

impl Facts {
    fn of(prepared: &Prepared) -> Self {
        Self {
            observations: prepared.observations,
            non_negative: prepared.non_negative,
            unit: prepared.unit,
            marks: prepared.marks.clone(),
            effects: prepared.effects.clone(),
        }
    }
}

/// The seasons in use, for histories given or candidates tested.
fn seasons_of(history: &[f64], settings: &Settings) -> Vec<usize> {
    let clean = || Prepared::before_seasons(history, &settings.events);
    match &settings.seasons {
        Seasons::Declared(declared) => {
            let len = history.len() - history.iter().position(|v| v.is_finite()).unwrap_or(history.len());
            with_weeks(declared).into_iter().filter(|s| len >= 2 * s).collect()
        }
        Seasons::Candidates(candidates) => seasons::tested(&clean(), &sorted(candidates)),
        Seasons::Find => seasons::found(&clean()),
    }
}

fn sorted(seasons: &[usize]) -> Vec<usize> {
    let mut sorted: Vec<usize> = seasons.iter().copied().filter(|&s| s >= 2).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

/// Declared seasons, and where only one is, seven of it: a declared day has its week. Whether the week helps is left
/// to the backtest.
pub(crate) fn with_weeks(declared: &[usize]) -> Vec<usize> {
    let mut seasons = sorted(declared);
    if let [day] = seasons[..] {
        seasons.push(7 * day);
    }
    seasons
}

/// Steps of history that bring one rolling origin: from there on its solves cost less than the sums over the history do.
const STEPS_PER_ORIGIN: usize = 500;
/// Origins beyond this change little.
const MOST_ORIGINS: usize = 8;

/// The windows a history of this length is tested at. A long history is tested at more origins than asked for, on up to
/// two thirds of it: three days say little of what a p99 should be.
pub(crate) fn windows_of(len: usize, seasons: &[usize], settings: &Settings) -> Windows {
    let horizon = settings.horizon.max(1);
    let needed = seasons.first().map_or(LEAST_FIT, |s| (2 * s + 2).max(LEAST_FIT));
    let shortest_block = seasons.first().copied().unwrap_or(1).max(horizon).min(len / 8);
    let affordable = (len / STEPS_PER_ORIGIN).min(MOST_ORIGINS).min(2 * len / (3 * shortest_block.max(horizon)));
    let origins = settings.origins.max(affordable);
    Windows::new(len, horizon, origins, needed, shortest_block, coarse::grain(seasons, horizon))
}

impl Study {
    /// Runs the bank over the history and its rolling origins. Deterministic; never fails: what is too little for the
    /// bank is forecast more plainly and says so.
    #[must_use]
    pub fn new(history: &[f64], settings: &Settings, pooled: Option<&Pooled>) -> Self {
        let seasons = seasons_of(history, settings);
        let prepared = Prepared::new(history, &seasons, &settings.events);
        let windows = windows_of(prepared.len(), &seasons, settings);
        let lead = settings.lead_steps.clamp(1, windows.horizon);
        let mut study = if prepared.constant() || windows.origins() == 0 {
            Self::plain(&prepared, settings, seasons, lead, pooled)
        } else {
            Self::tested(&prepared, seasons, &windows, lead, pooled, pooled.and_then(|p| p.half(history)))
        };
        study.expect_events();
        study
    }

    /// Puts the effects of known events on the path, and remembers what they widen. The peak is as wide as the step it is
    /// expected at.
    fn expect_events(&mut self) {
        self.widenings = self.facts.effects.apply(&mut self.path);
        let highest = (0..self.lead).max_by(|&a, &b| self.path[a].total_cmp(&self.path[b]));
        self.peak_widening = highest.map_or_else(Widening::default, |step| self.widenings[step]);
    }

    /// A history long enough for rolling origins.
    fn tested(
        prepared: &Prepared,
        seasons: Vec<usize>,
        windows: &Windows,
        lead: usize,
        pooled: Option<&Pooled>,
        half: Option<usize>,
    ) -> Self {
        let values = &prepared.clean;
        let mut members = vec![simple::last_value(values, windows)];
        members.extend(seasons.iter().map(|&season| simple::seasonal_naive(values, season, windows)));
        let plain: Vec<usize> = (0..members.len()).collect();
        members.extend(simple::moved(values, &seasons, windows));
        members.extend(simple::smoothed(values, windows));
        if prepared.zeros > MOSTLY_ZERO {
            members.push(simple::intermittent(values, windows));
        }
        let ways = bank::bent(values);
        members.extend(smoothing::members(values, &ways, &seasons, windows));
        members.extend(bank::regressions(values, &ways, &seasons, windows, None));
        members.extend(coarse::members(values, &seasons, windows));
        members.extend(pooled.into_iter().flat_map(|pooled| pooled.members(values, half, windows)));

        let scale = seasonal_scale(&prepared.measured, seasons.first().copied().unwrap_or(1))
            .or_else(|| seasonal_scale(&prepared.measured, 1))
            .unwrap_or(1.0);
        let combination = combine(&members, windows, &prepared.without_spikes(), &plain, 1e-6 * scale);
        let score = |paths: &[f64]| {
            let each = windows.past().iter().zip(paths.chunks_exact(windows.horizon));
            super::scores::mean(each.map(|(w, path)| {
                mae(&prepared.measured[w.start..w.start + windows.horizon], path).map_or(f64::NAN, |e| e / scale)
            }))
        };
        let scores = [
            score(&combination.past),
            score(&members[plain.get(1).copied().unwrap_or(0)].paths),
            score(&members[0].paths),
        ];
        let (steps, peak) = errors(prepared, &seasons, windows, &combination, lead, 1e-6 * scale);
        Self {
            facts: Facts::of(prepared),
            seasons,
            origins: windows.origins(),
            weights: named(&members, &combination.weights),
            path: combination.path,
            steps,
            peak,
            widenings: Vec::new(),
            peak_widening: Widening::default(),
            lead,
            scores,
            borrowed: false,
            fallback: (prepared.zeros > 0.5).then(|| format!("{:.0} % of the values are 0", 100.0 * prepared.zeros)),
        }
    }

    /// The forecast, with the shape of its errors drawn towards the fleet's.
    #[must_use]
    pub fn outcome(&self, settings: &Settings, fleet: Option<&FleetShape>) -> Outcome {
        let levels = settings.levels();
        let unit = self.facts.unit;
        let out = |value: f64| {
            let value = (value * unit).finite_or(if value > 0.0 { f64::MAX } else { f64::MIN });
            if self.facts.non_negative { value.max(0.0) } else { value }
        };
        let shapes = self.steps.adapted(&levels, fleet.map(|f| &f.steps));
        let of_events: Vec<f64> = levels.iter().map(|&level| prior(level)).collect();
        let horizon = self.path.len();
        let lately = self.steps.lately();
        let widths: Vec<f64> = bands(horizon).map(|band| if is_long(&band, horizon) { lately } else { 1.0 }).collect();
        let quantiles = Array2::from_shape_fn((levels.len(), horizon), |(i, h)| {
            let ordinary = shapes[band(h)][i] * self.steps.scale[h] * widths[band(h)];
            out(self.path[h] + self.widenings[h].distance(ordinary, of_events[i]))
        });
        let centre = largest(&self.path[..self.lead]);
        let peak_scale = self.peak.scale.first().copied().unwrap_or(0.0);
        let peak_shape = self.peak.adapted(&levels, fleet.map(|f| &f.peak)).swap_remove(0);
        let mut before = f64::NEG_INFINITY;
        let peak = peak_shape
            .iter()
            .zip(&of_events)
            .zip(quantiles.rows())
            .map(|((shape, of_events), row)| {
                // The maximum is at least each step, so its quantile is at least each step's.
                let steps = row.iter().take(self.lead).copied().fold(f64::NEG_INFINITY, f64::max);
                let distance = self.peak_widening.distance(shape * peak_scale, *of_events);
                before = out(centre + distance).max(steps).max(before);
                before
            })
            .collect();
        let scales = self.steps.scale.iter().zip(&self.widenings).map(|(scale, widening)| widening.scale(*scale));
        let mean = self.path.iter().map(|&v| out(v)).collect();
        Outcome {
            mean,
            quantiles,
            peak,
            scale: scales.map(|scale| (scale * unit).finite_or(f64::MAX)).collect(),
            peak_scale: (self.peak_widening.scale(peak_scale) * unit).finite_or(f64::MAX),
            widened: lately,
            lead_steps: self.lead,
            non_negative: self.facts.non_negative,
            observations: self.facts.observations,
            origins: self.origins,
            seasons: self.seasons.clone(),
            cycle: settings.seasons.shortest_asked().or(self.seasons.first().copied()).unwrap_or(1),
            weights: self.weights.clone(),
            mase: self.scores[0],
            mase_seasonal_naive: self.scores[1],
            mase_last_value: self.scores[2],
            coverage: self.steps.coverage(&levels, fleet.map(|f| &f.steps)),
            peak_coverage: self.peak.coverage(&levels, fleet.map(|f| &f.peak)),
            marks: self.facts.marks.clone(),
            effects: self.facts.effects.report(self.path.len(), unit),
            borrowed: self.borrowed,
            fallback: self.fallback.clone(),
        }
    }
}

/// The shape of a fleet's errors, by step and of the peak.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FleetShape {
    steps: Shape,
    peak: Shape,
}

impl FleetShape {
    /// Series that shape the fleet's errors, taken at even spacing; more change little.
    pub const MOST_STUDIES: usize = 512;

    /// From the studies of a fleet; `None` if fewer than two could be tested.
    #[must_use]
    pub fn of(studies: &[Study]) -> Option<Self> {
        let tested: Vec<&Study> = studies.iter().filter(|s| s.steps.windows > 0.0).collect();
        let stride = tested.len().div_ceil(Self::MOST_STUDIES).max(1);
        let kept = || tested.iter().step_by(stride);
        (tested.len() > 1)
            .then(|| Self { steps: Shape::of(kept().map(|s| &s.steps)), peak: Shape::of(kept().map(|s| &s.peak)) })
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().filter(|v| v.is_finite()).fold(f64::NEG_INFINITY, f64::max)
}

fn named(members: &[Member], weights: &[f64]) -> Vec<(String, f64)> {
    let mut named: Vec<(String, f64)> =
        members.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(m, &w)| (m.name.clone(), w)).collect();
    named.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    named
}

/// Errors of the steps and of the peak over the first `lead` steps.
fn errors(
    prepared: &Prepared,
    seasons: &[usize],
    windows: &Windows,
    combination: &Combination,
    lead: usize,
    floor: f64,
) -> (Errors, Errors) {
    let horizon = windows.horizon;
    let mut steps = Vec::with_capacity(combination.past.len());
    let mut peaks = Vec::with_capacity(windows.past().len());
    let usual = spread::by_phase(&prepared.measured, seasons);
    for (window, path) in windows.past().iter().zip(combination.past.chunks_exact(horizon)) {
        let truth = &prepared.measured[window.start..window.start + horizon];
        let each = truth.iter().zip(path).enumerate();
        steps.extend(each.map(|(h, (y, f))| (y - f) / usual[(window.start + h) % usual.len()]));
        // A peak that may hide in a gap is no truth.
        let whole = truth[..lead].iter().all(|y| y.is_finite());
        peaks.push(if whole { largest(&truth[..lead]) - largest(&path[..lead]) } else { f64::NAN });
    }
    let blocks: Vec<usize> = windows.past().iter().map(|w| w.cut).collect();
    let tested = (windows.cuts[windows.origins()] - windows.cuts[0]) as f64;
    let independent = |span: usize| (tested / span as f64).clamp(1.0, blocks.len() as f64);
    let mut steps = Errors::new(&steps, horizon, &blocks, independent(horizon), floor);
    for (h, scale) in steps.scale.iter_mut().enumerate() {
        *scale *= usual[(prepared.len() + h) % usual.len()];
    }
    (steps, Errors::new(&peaks, 1, &blocks, independent(lead), floor))
}
