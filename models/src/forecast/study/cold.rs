//! The forecast of a history too short to be tested, or constant.

use super::{Facts, Prepared, Settings, Study, largest, sorted};
use crate::forecast::bank::Member;
use crate::forecast::calibrate::{Errors, prior};
use crate::forecast::events::Widening;
use crate::forecast::pooled::Pooled;
use crate::forecast::scores::{mae, seasonal_scale};
use crate::forecast::windows::Windows;
use crate::forecast::{Seasons, simple};

/// Share of a candidate season that must be measured a second time, so that it can be tested at all.
const OVERLAP: usize = 8;
/// What a second cycle is expected to differ by, before one is seen: this share of the mean distance from the mean. It
/// counts for this share of a season against what the overlap shows.
const PRIOR_SHARE: f64 = 0.6;
const PRIOR_SEASONS: f64 = 0.25;

impl Study {
    /// The pooled regression's path where there is one, else the one cycle there is, else the last value; with a width
    /// from the changes seen.
    pub(super) fn plain(
        prepared: &Prepared,
        settings: &Settings,
        seasons: Vec<usize>,
        lead: usize,
        pooled: Option<&Pooled>,
    ) -> Self {
        let horizon = settings.horizon.max(1);
        let only = Windows::new(prepared.len(), horizon, 0, 0, 0, 1);
        let values = &prepared.clean;
        let constant = prepared.constant();
        let season = if constant { None } else { seasons.first().copied().or_else(|| first_cycle(values, settings)) };
        let lent = pooled.filter(|_| !constant).and_then(|p| p.members(values, None, &only).pop());
        let borrowed = lent.is_some();
        let member = lent.or_else(|| season.map(|s| cycle(values, s, &only)));
        let member = member.unwrap_or_else(|| simple::last_value(values, &only));
        let scale = scales(prepared, season, horizon);
        let fallback = match (prepared.observations, constant) {
            (0, _) => "no measured value".to_owned(),
            (1, _) => "only one measured value".to_owned(),
            (n, true) => format!("all {n} measured values are equal"),
            (n, false) if borrowed => {
                format!("only {n} measured values: borrowed from the pooled regression, width untested")
            }
            (n, false) => format!("only {n} measured values: repeats them, width untested"),
        };
        let peak_scale = largest(&scale[..lead]).max(0.0);
        Self {
            facts: Facts::of(prepared),
            seasons: if seasons.is_empty() { season.into_iter().collect() } else { seasons },
            origins: 0,
            weights: vec![(member.name, 1.0)],
            path: member.paths,
            steps: Errors::untested(scale),
            // The peak of several steps is beyond the typical one.
            peak: Errors::untested(vec![peak_scale * (prior(1.0 - 0.5 / lead as f64).max(0.0) / 4.0 + 1.0)]),
            widenings: Vec::new(),
            peak_widening: Widening::default(),
            lead,
            scores: [None; 3],
            borrowed,
            fallback: Some(fallback),
        }
    }
}

/// The season of a history that holds it once: the shortest declared, or the shortest candidate whose repetition
/// foretells what is there of the second cycle better than the last value does.
fn first_cycle(values: &[f64], settings: &Settings) -> Option<usize> {
    match &settings.seasons {
        Seasons::Declared(declared) => sorted(declared).into_iter().find(|&s| values.len() >= s),
        Seasons::Candidates(candidates) => sorted(candidates).into_iter().find(|&season| {
            let Some(second) = values.get(season..).filter(|second| second.len() >= season.div_ceil(OVERLAP)) else {
                return false;
            };
            let moved_to = values[season - 1] - values[0];
            let repeated: Vec<f64> = values.iter().take(second.len()).map(|v| v + moved_to).collect();
            let last = vec![values[season - 1]; second.len()];
            matches!((mae(second, &repeated), mae(second, &last)), (Some(a), Some(b)) if a < b)
        }),
        Seasons::Find => None,
    }
}

/// The last cycle, moved by how what is there of the next stands against it.
fn cycle(values: &[f64], season: usize, only: &Windows) -> Member {
    simple::moved(values, &[season], only).pop().unwrap_or_else(|| simple::seasonal_naive(values, season, only))
}

/// Mean absolute errors to be expected, by step.
fn scales(prepared: &Prepared, season: Option<usize>, horizon: usize) -> Vec<f64> {
    let measured = &prepared.measured;
    if prepared.constant() && prepared.observations > 1 {
        return vec![0.0; horizon];
    }
    if let Some(season) = season {
        let mean = prepared.clean.iter().sum::<f64>() / prepared.len().max(1) as f64;
        let expected = PRIOR_SHARE * mae(measured, &vec![mean; measured.len()]).unwrap_or(0.0);
        let seen = seasonal_scale(measured, season).unwrap_or(0.0);
        let pairs = measured.len().saturating_sub(season) as f64;
        let counted = PRIOR_SEASONS * season as f64;
        return vec![(pairs * seen + counted * expected) / (pairs + counted); horizon];
    }
    // One value says nothing of its spread: half its size is taken. Steps without a season may wander: the width grows
    // as a random walk's does.
    let size = measured.iter().rev().find(|v| v.is_finite()).map_or(0.0, |v| v.abs());
    let step = seasonal_scale(measured, 1).unwrap_or(0.5 * size);
    (0..horizon).map(|h| step * (1.0 + h as f64).sqrt()).collect()
}
