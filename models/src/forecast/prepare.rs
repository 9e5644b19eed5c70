//! A history as the models learn from it: gaps filled, anomalies and known events taken out.

use super::anomalies::{self, Mark};
use super::events::{Effects, Event, Occurrences};
use super::outcome::FiniteOr;

/// One history, measured and learnable.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// The truth to be scored by: as measured, at the newest level; NaN in gaps, outages and events. Begins at the first
    /// measured value.
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
    /// What stands out, in steps and in the unit of the history as given.
    pub marks: Vec<Mark>,
    /// What known events do, on `measured`'s scale.
    pub effects: Effects,
}

impl Prepared {
    /// Cuts off what lies before the first measured value, divides by the largest size so that squares neither overflow
    /// nor vanish, and takes out what is not to be learnt: the occurrences of known events, outages, spikes, older levels.
    pub(crate) fn new(history: &[f64], seasons: &[usize], events: &[Event]) -> Self {
        let (first, unit, mut measured) = scaled(history);
        let finite = || history[first..].iter().copied().filter(|v| v.is_finite());
        let observations = finite().count();
        let zeros = finite().filter(|&v| v == 0.0).count() as f64 / observations.max(1) as f64;
        let non_negative = finite().all(|v| v >= 0.0);

        let occurrences = Occurrences::new(events, first, &measured);
        let as_measured = occurrences.take_out(&mut measured);
        let mut marks = anomalies::take_out_outages(&mut measured, seasons);
        let mut clean = filled(&measured, seasons);
        for mark in &mut marks {
            let expected = |step: usize| clean[step];
            let at_measured = |step: usize| history[first + step] / unit;
            mark.size = super::scores::mean(mark.steps.clone().map(|t| at_measured(t) - expected(t))).unwrap_or(0.0);
        }
        let effects = occurrences.effects(&as_measured, &clean, seasons, non_negative);
        marks.extend(anomalies::cut_back_spikes(&mut clean, seasons));
        marks.extend(anomalies::relevel(&mut clean, &mut measured, seasons, &marks));
        marks.sort_by_key(|mark| (mark.steps.start, mark.steps.end));
        for mark in &mut marks {
            mark.steps = mark.steps.start + first..mark.steps.end + first;
            mark.size *= unit;
        }
        Self { measured, clean, observations, non_negative, zeros, unit, marks, effects }
    }

    /// A history as seasons are looked for in it: events taken out, lone spikes cut back, gaps bridged. Lasting changes of
    /// level stay, since without its seasons a history's own swing may look like them.
    pub(crate) fn before_seasons(history: &[f64], events: &[Event]) -> Vec<f64> {
        let (first, _, mut measured) = scaled(history);
        Occurrences::new(events, first, &measured).take_out(&mut measured);
        let mut values = bridged(&measured);
        anomalies::cut_back_spikes(&mut values, &[]);
        values
    }

    /// What members are weighed by: the truth without spikes, which no member foresees and which would make all look alike.
    pub(crate) fn without_spikes(&self) -> Vec<f64> {
        self.measured
            .iter()
            .zip(&self.clean)
            .map(|(truth, clean)| if truth.is_finite() { *clean } else { f64::NAN })
            .collect()
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

/// The steps before the first measured value, the largest size (1 where all are 0), and the values over it from there on.
fn scaled(history: &[f64]) -> (usize, f64, Vec<f64>) {
    let first = history.iter().position(|v| v.is_finite()).unwrap_or(history.len());
    let largest = history.iter().copied().filter(|v| v.is_finite()).fold(0.0, |most: f64, v| most.max(v.abs()));
    let unit = if largest > 0.0 { largest } else { 1.0 };
    (first, unit, history[first..].iter().map(|&v| if v.is_finite() { v / unit } else { f64::NAN }).collect())
}

/// Cycles of a season looked at on each side of a gap.
const FILL_CYCLES: usize = 7;

/// Gaps filled by what was measured at the same time of the nearest cycle before and after, of the longest season that
/// has it; moved by how the gap's edges stand against theirs. A gap no season reaches is bridged by a straight line.
fn filled(measured: &[f64], seasons: &[usize]) -> Vec<f64> {
    let mut out = bridged(measured);
    let measured_at = |i: usize| measured.get(i).and_then(|v| v.finite_or_none());
    let mut step = 0;
    while let Some(from) = (step..measured.len()).find(|&i| measured_at(i).is_none()) {
        let to = (from..measured.len()).find(|&i| measured_at(i).is_some()).unwrap_or(measured.len());
        let edges = [from.checked_sub(1), (to < measured.len()).then_some(to)];
        for (i, filled) in out.iter_mut().enumerate().take(to).skip(from) {
            let guess = |distance: usize, past: bool| {
                let twin = |of: usize| if past { of.checked_sub(distance) } else { Some(of + distance) };
                let value = measured_at(twin(i)?)?;
                let moves =
                    edges.into_iter().flatten().filter_map(|edge| Some(measured[edge] - measured_at(twin(edge)?)?));
                Some(value + super::scores::mean(moves).unwrap_or(0.0))
            };
            let nearest = |season: usize, past: bool| (1..=FILL_CYCLES).find_map(|k| guess(k * season, past));
            let value = seasons.iter().rev().find_map(|&season| {
                super::scores::mean([nearest(season, true), nearest(season, false)].into_iter().flatten())
            });
            *filled = value.unwrap_or(*filled);
        }
        step = to;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_takes_the_shape_of_the_season_and_the_level_around_it() {
        let wave = |i: usize| 10.0 + [0.0, 3.0, 5.0, 3.0, 0.0, -3.0, -5.0, -3.0][i % 8];
        let mut history: Vec<f64> = (0..64).map(wave).collect();
        history[33..37].fill(f64::NAN);
        let prepared = Prepared::new(&history, &[8], &[]);
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
        let prepared = Prepared::new(&history, &[], &[]);
        assert!(prepared.clean[50] * prepared.unit < 200.0);
        assert!((prepared.measured[50] * prepared.unit - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_measured_and_leading_gaps_are_harmless() {
        assert_eq!(Prepared::new(&[f64::NAN; 5], &[2], &[]).len(), 0);
        assert_eq!(Prepared::new(&[], &[2], &[]).len(), 0);
        let prepared = Prepared::new(&[f64::NAN, f64::NAN, 4.0], &[2], &[]);
        assert_eq!((prepared.len(), prepared.clean[0] * prepared.unit), (1, 4.0));
    }
}
