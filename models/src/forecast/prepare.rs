//! A history as the models learn from it: gaps filled, spikes cut back, its ends known.

use super::outcome::FiniteOr;

/// One history, measured and learnable.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// The truth: as measured, NaN in gaps; begins at the first measured value.
    pub measured: Vec<f64>,
    /// What models learn from: gaps filled, spikes cut back. Same length, all finite.
    pub clean: Vec<f64>,
    /// Finite values.
    pub observations: usize,
    /// Whether no measured value is below 0, so that no forecast should be.
    pub non_negative: bool,
    /// Share of measured values that are exactly 0.
    pub zeros: f64,
    /// Factor that `measured` and `clean` were divided by.
    pub unit: f64,
}

/// A value is a spike if it stands this many times further from the running median than all but one value in a
/// hundred do, and nothing like it stands a season before or after. It is cut back to that distance.
const SPIKE_FACTOR: f64 = 6.0;
/// The share of values whose distance from the running median is ordinary. A daily peak is 4 % of hourly values.
const ORDINARY_SHARE: f64 = 0.99;

impl Prepared {
    /// Cuts off what lies before the first measured value, and divides by the largest size so that squares
    /// neither overflow nor vanish.
    pub(crate) fn new(history: &[f64], seasons: &[usize]) -> Self {
        let first = history.iter().position(|v| v.is_finite()).unwrap_or(history.len());
        let finite = || history[first..].iter().copied().filter(|v| v.is_finite());
        let unit = finite().fold(0.0, |largest: f64, v| largest.max(v.abs()));
        let unit = if unit > 0.0 { unit } else { 1.0 };
        let measured: Vec<f64> =
            history[first..].iter().map(|&v| if v.is_finite() { v / unit } else { f64::NAN }).collect();
        let observations = finite().count();
        let zeros = finite().filter(|&v| v == 0.0).count() as f64 / observations.max(1) as f64;
        let mut clean = filled(&measured, seasons);
        cut_spikes(&mut clean, seasons);
        Self { clean, observations, non_negative: finite().all(|v| v >= 0.0), zeros, unit, measured }
    }

    /// Number of steps, gaps included.
    pub(crate) fn len(&self) -> usize {
        self.clean.len()
    }

    /// Whether all measured values are equal, or there is none.
    pub(crate) fn constant(&self) -> bool {
        let mut finite = self.measured.iter().filter(|v| v.is_finite());
        finite.next().is_none_or(|first| finite.all(|v| (v - first).abs() <= 0.0))
    }
}

/// Gaps filled by what was measured a season before and after (shortest season), moved by how the gap's edges stand
/// against theirs; a gap no season reaches is bridged by a straight line.
fn filled(measured: &[f64], seasons: &[usize]) -> Vec<f64> {
    let mut out = bridged(measured);
    let Some(&season) = seasons.first() else { return out };
    let measured_at = |i: usize| measured.get(i).and_then(|v| v.finite_or_none());
    // The nearest measured neighbours of each step, before and after.
    let mut before = vec![None; measured.len()];
    let mut after = before.clone();
    let mut last = None;
    for (i, slot) in before.iter_mut().enumerate() {
        last = measured_at(i).map_or(last, |_| Some(i));
        *slot = last;
    }
    last = None;
    for (i, slot) in after.iter_mut().enumerate().rev() {
        last = measured_at(i).map_or(last, |_| Some(i));
        *slot = last;
    }
    for i in (0..measured.len()).filter(|&i| measured_at(i).is_none()) {
        let twin = |of: usize, past: bool| if past { of.checked_sub(season) } else { Some(of + season) };
        let guess = |past: bool| {
            let value = measured_at(twin(i, past)?)?;
            let moves = [before[i], after[i]]
                .into_iter()
                .flatten()
                .filter_map(|edge| Some(measured[edge] - measured_at(twin(edge, past)?)?));
            Some(value + super::scores::mean(moves).unwrap_or(0.0))
        };
        if let Some(value) = super::scores::mean([guess(true), guess(false)].into_iter().flatten()) {
            out[i] = value;
        }
    }
    out
}

fn bridged(measured: &[f64]) -> Vec<f64> {
    let mut out = measured.to_vec();
    let mut previous: Option<usize> = None;
    for i in 0..out.len() {
        if !measured[i].is_finite() {
            continue;
        }
        let from = previous.map_or(0, |p| p + 1);
        let start = previous.map_or(measured[i], |p| measured[p]);
        for (j, slot) in out.iter_mut().enumerate().take(i).skip(from) {
            let share = previous.map_or(1.0, |p| (j - p) as f64 / (i - p) as f64);
            *slot = start + share * (measured[i] - start);
        }
        previous = Some(i);
    }
    let last = previous.map_or(0.0, |p| measured[p]);
    out[previous.map_or(0, |p| p + 1)..].fill(last);
    out
}

/// Cuts lone spikes back: Hampel's filter with wide bounds that the series itself sets.
fn cut_spikes(values: &mut [f64], seasons: &[usize]) {
    const HALF: usize = 3;
    let n = values.len();
    if n < 4 * HALF {
        return;
    }
    let original = values.to_vec();
    let mut window = [0.0; 2 * HALF + 1];
    let mut deviations: Vec<f64> = Vec::with_capacity(n);
    let mut medians = Vec::with_capacity(n);
    for i in 0..n {
        let from = i.saturating_sub(HALF).min(n - window.len());
        window.copy_from_slice(&original[from..=from + 2 * HALF]);
        window.sort_unstable_by(f64::total_cmp);
        medians.push(window[HALF]);
        deviations.push((original[i] - window[HALF]).abs());
    }
    let mut sorted = deviations.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let bound = SPIKE_FACTOR * sorted[((n - 1) as f64 * ORDINARY_SHARE) as usize];
    if bound <= 0.0 {
        // Nearly always flat: whatever happens there is the signal.
        return;
    }
    for i in (0..n).filter(|&i| deviations[i] > bound) {
        // A peak that comes back with a season is the pattern, not a spike.
        let mut twins =
            seasons.iter().flat_map(|&s| (1..=7).flat_map(move |k| [i.checked_sub(k * s), Some(i + k * s)]));
        let like = |j: usize| {
            (j.saturating_sub(1)..=j + 1).any(|j| deviations.get(j).is_some_and(|d| *d > 0.3 * deviations[i]))
        };
        if !twins.any(|j| j.is_some_and(like)) {
            values[i] = medians[i] + (original[i] - medians[i]).clamp(-bound, bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_takes_the_shape_of_the_season_and_the_level_around_it() {
        let wave = |i: usize| 10.0 + [0.0, 3.0, 5.0, 3.0, 0.0, -3.0, -5.0, -3.0][i % 8];
        let mut history: Vec<f64> = (0..64).map(wave).collect();
        history[33..37].fill(f64::NAN);
        let prepared = Prepared::new(&history, &[8]);
        for i in 33..37 {
            assert!((prepared.clean[i] * prepared.unit - wave(i)).abs() < 1.5, "{i}: {}", prepared.clean[i]);
            assert!(prepared.measured[i].is_nan());
        }
        assert_eq!(prepared.observations, 60);
    }

    #[test]
    fn a_lone_spike_is_cut_in_the_training_copy_and_kept_in_the_truth() {
        let mut history: Vec<f64> = (0..100).map(|i| 10.0 + f64::from(i % 7) * 0.1).collect();
        history[50] = 1000.0;
        let prepared = Prepared::new(&history, &[]);
        assert!(prepared.clean[50] * prepared.unit < 200.0);
        assert!((prepared.measured[50] * prepared.unit - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_measured_and_leading_gaps_are_harmless() {
        assert_eq!(Prepared::new(&[f64::NAN; 5], &[2]).len(), 0);
        assert_eq!(Prepared::new(&[], &[2]).len(), 0);
        let prepared = Prepared::new(&[f64::NAN, f64::NAN, 4.0], &[2]);
        assert_eq!((prepared.len(), prepared.clean[0] * prepared.unit), (1, 4.0));
    }
}
