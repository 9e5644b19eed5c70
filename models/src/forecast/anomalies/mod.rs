//! What stands out in a history: marked, and kept out of what the models learn.
//!
//! A bound set by hand is either deaf on quiet series or fires on heavy tails, so bounds follow the series' own tail:
//! [`tail`]. What comes back with a season is the pattern, not an anomaly, and is left alone everywhere.

mod outages;
mod shifts;
mod spikes;

use std::ops::Range;

pub(crate) use outages::take_out as take_out_outages;
pub(crate) use shifts::relevel;
pub(crate) use spikes::cut_back as cut_back_spikes;

/// A stretch of the history that is not like the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// What it is.
    pub kind: MarkKind,
    /// Its steps, counted from the first of the history as given. A change of level is marked at its first step.
    pub steps: Range<usize>,
    /// How far the values lie from what was expected, in the history's unit: the furthest of a spike, the mean of an
    /// outage, the new level minus the old one.
    pub size: f64,
}

/// What a [`Mark`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarkKind {
    /// A few steps far from their surroundings or from the same time of other days. Cut back before fitting.
    Spike,
    /// Next to nothing where something comes at other times, or one value that stands still where others move. Filled
    /// like a gap before fitting.
    Outage,
    /// A lasting change of level. What lies before it is moved to the new level before fitting.
    LevelShift,
    /// A lasting change of level that begins in a gap, an outage or a spike, as a restart with another version does.
    Deploy,
}

/// Shares of the deviations between which the tail's index is measured. Up to 3 % of the values may be anomalies
/// themselves and not move the bound.
const TAIL_FROM: f64 = 0.90;
const TAIL_TO: f64 = 0.97;
/// Values beyond the bound that a history is expected to hold by chance.
const FALSE_ALARMS: f64 = 0.02;

/// What deviations of a history are ordinary.
pub(crate) struct Tail {
    /// The largest that is ordinary: all but a few in a hundred values stay within it.
    pub ordinary: f64,
    /// Beyond it a value is not of this tail.
    pub bound: f64,
}

/// The bound is the deviation that the tail seen between two quantiles, continued as a power law (Hill 1975), exceeds
/// less than [`FALSE_ALARMS`] times in so many values. Tails lighter than a power law give a bound that is too wide, never
/// too narrow. `None` where the ordinary deviation is 0: whatever happens there is the signal.
///
/// Rounded values deviate by a few steps of the rounding only, and two quantiles that are the same step say nothing of a
/// tail: equal deviations are taken to lie evenly over what was rounded to them.
pub(crate) fn tail(deviations: &[f64]) -> Option<Tail> {
    let n = deviations.len();
    if n < 2 {
        return None;
    }
    let mut sorted = deviations.to_vec();
    let mut at = |share: f64| {
        let index = ((n - 1) as f64 * share) as usize;
        let value = *sorted.select_nth_unstable_by(index, f64::total_cmp).1;
        if value > 0.0 { spread_out(deviations, value, index) } else { value }
    };
    let (from, ordinary) = (at(TAIL_FROM), at(TAIL_TO));
    if from <= 0.0 {
        return None;
    }
    let index = (ordinary / from).ln() / ((1.0 - TAIL_FROM) / (1.0 - TAIL_TO)).ln();
    let bound = ordinary * (n as f64 * (1.0 - TAIL_TO) / FALSE_ALARMS).max(1.0).powf(index);
    Some(Tail { ordinary, bound })
}

/// Relative difference within which deviations are equal but for the last digits of a division.
const EQUAL_WITHIN: f64 = 1e-9;

/// The value of rank `rank` among `values`, where all equal to `value` lie evenly between the middles of the ways to their
/// nearest neighbour.
fn spread_out(values: &[f64], value: f64, rank: usize) -> f64 {
    let (low, high) = (value * (1.0 - EQUAL_WITHIN), value * (1.0 + EQUAL_WITHIN));
    let (mut below, mut equal, mut gap) = (0_usize, 0_usize, f64::INFINITY);
    for &other in values {
        if other < low {
            below += 1;
        } else if other <= high {
            equal += 1;
            continue;
        }
        gap = gap.min((other - value).abs());
    }
    if equal < 2 || !gap.is_finite() {
        return value;
    }
    let place = (rank.saturating_sub(below) as f64 + 0.5) / equal as f64;
    value + gap * (place - 0.5)
}

/// Cycles looked at on each side for a twin.
const TWIN_CYCLES: usize = 7;

/// The steps up to seven cycles of any season before and after `step`, where they are inside the history.
fn twins(step: usize, len: usize, seasons: &[usize]) -> impl Iterator<Item = usize> {
    seasons
        .iter()
        .flat_map(move |&season| {
            (1..=TWIN_CYCLES).flat_map(move |k| [step.checked_sub(k * season), Some(step + k * season)])
        })
        .flatten()
        .filter(move |&twin| twin < len)
}

/// Maximal runs of steps for which `inside` holds; runs no more than `apart` steps apart are one.
fn runs(len: usize, apart: usize, inside: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for step in (0..len).filter(|&step| inside(step)) {
        match runs.last_mut().filter(|run| step <= run.end + apart) {
            Some(run) => run.end = step + 1,
            None => runs.push(step..step + 1),
        }
    }
    runs
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::prepare::Prepared;
    use super::*;

    /// A fixed uniform noise in 0..1 (splitmix64).
    pub(crate) fn uniform(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// Five weeks of hours: a day, a weekend, noise.
    pub(crate) fn load(seed: u64) -> Vec<f64> {
        let mut noise = uniform(seed);
        (0..840)
            .map(|t| {
                let weekend = if (t / 24) % 7 >= 5 { 0.7 } else { 1.0 };
                weekend * (20.0 + 8.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin()) + 2.0 * noise()
            })
            .collect()
    }

    pub(crate) fn marks(history: &[f64]) -> Vec<Mark> {
        Prepared::new(history, &[24, 168], &[]).marks
    }

    fn kinds(history: &[f64]) -> Vec<MarkKind> {
        marks(history).into_iter().map(|mark| mark.kind).collect()
    }

    #[test]
    fn ordinary_loads_carry_no_marks() {
        for seed in 0..40 {
            assert_eq!(marks(&load(seed)), [], "seed {seed}");
        }
    }

    #[test]
    fn heavy_tails_rarely_carry_marks() {
        // Laplace, lognormal and Pareto noise of index 3, with a day and without; one history in ten may.
        let tails: [fn(f64) -> f64; 3] = [
            |u| -(1.0 - u).ln() * if u * 1e6 % 1.0 < 0.5 { 1.0 } else { -1.0 },
            |u| (1.2 * (2.0_f64 * u - 1.0).clamp(-0.999, 0.999).atanh()).exp(),
            |u| (1.0 - u).powf(-1.0 / 3.0),
        ];
        for (kind, tail) in tails.into_iter().enumerate() {
            for swing in [0.0, 5.0] {
                let marked = (0..60).filter(|&seed| {
                    let mut noise = uniform(1000 + seed);
                    let day = |t: i32| swing * (f64::from(t) / 24.0 * std::f64::consts::TAU).sin();
                    let history: Vec<f64> = (0..840).map(|t| 20.0 + day(t) + tail(noise())).collect();
                    !marks(&history).is_empty()
                });
                let marked = marked.count();
                assert!(marked <= 6, "noise {kind}, swing {swing}: {marked} of 60 marked");
            }
        }
    }

    #[test]
    fn a_random_walk_has_no_change_of_level() {
        let marked = (0..40).filter(|&seed| {
            let mut noise = uniform(seed);
            let mut level = 50.0;
            let history: Vec<f64> = (0..840)
                .map(|_| {
                    level += noise() - 0.5;
                    level
                })
                .collect();
            kinds(&history).iter().any(|kind| matches!(kind, MarkKind::LevelShift | MarkKind::Deploy))
        });
        assert!(marked.count() <= 2);
    }

    #[test]
    fn each_kind_is_found_where_it_was_planted() {
        let mut spike = load(1);
        spike[300] = 400.0;
        assert_eq!(kinds(&spike), [MarkKind::Spike]);
        assert_eq!(marks(&spike)[0].steps, 300..301);
        assert!((marks(&spike)[0].size - 380.0).abs() < 30.0, "{:?}", marks(&spike));

        let mut burst = load(2);
        burst[400..407].iter_mut().for_each(|v| *v *= 6.0);
        assert_eq!(kinds(&burst), [MarkKind::Spike]);
        assert_eq!(marks(&burst)[0].steps, 400..407);

        let mut outage = load(3);
        outage[500..509].fill(0.0);
        assert_eq!(kinds(&outage), [MarkKind::Outage]);
        assert_eq!(marks(&outage)[0].steps, 500..509);
        assert!(marks(&outage)[0].size < -8.0);

        let mut frozen = load(4);
        let stuck = frozen[500];
        frozen[500..530].fill(stuck);
        assert_eq!(kinds(&frozen), [MarkKind::Outage]);

        let mut shift = load(5);
        shift[600..].iter_mut().for_each(|v| *v += 25.0);
        assert_eq!(kinds(&shift), [MarkKind::LevelShift]);
        let mark = &marks(&shift)[0];
        assert!(mark.steps.start.abs_diff(600) <= 2, "{mark:?}");
        assert!((mark.size - 25.0).abs() < 4.0, "{mark:?}");

        let mut deploy = load(6);
        deploy[600..].iter_mut().for_each(|v| *v *= 2.0);
        deploy[598..601].fill(f64::NAN);
        assert_eq!(kinds(&deploy), [MarkKind::Deploy]);
    }

    #[test]
    fn coarse_rounding_makes_no_anomalies_and_hides_none() {
        for grain in [0.5, 1.0, 2.0, 4.0, 8.0] {
            let rounded =
                |values: Vec<f64>| -> Vec<f64> { values.iter().map(|v| (v / grain).round() * grain).collect() };
            let marked = (0..40).filter(|&seed| !marks(&rounded(load(seed))).is_empty()).count();
            assert!(marked <= 1, "{marked} of 40 histories rounded to {grain} are marked");
            let mut spike = load(1);
            spike[300] = 400.0;
            let found = marks(&rounded(spike));
            assert_eq!(found.iter().map(|mark| mark.kind).collect::<Vec<_>>(), [MarkKind::Spike], "rounded to {grain}");
            assert_eq!(found[0].steps, 300..301, "rounded to {grain}");
        }
    }

    #[test]
    fn what_comes_back_with_a_season_is_no_anomaly() {
        let mut nightly = load(7);
        (0..840).filter(|t| t % 24 == 3).for_each(|t| nightly[t] = 0.0);
        assert_eq!(marks(&nightly), []);
        let mut weekly = load(8);
        (0..840).filter(|t| (30..34).contains(&(t % 168))).for_each(|t| weekly[t] += 100.0);
        assert_eq!(marks(&weekly), []);
    }

    #[test]
    fn steps_are_counted_from_the_first_of_the_history_as_given() {
        let mut history = vec![f64::NAN; 50];
        history.extend(load(9));
        history[50 + 300] = 400.0;
        assert_eq!(marks(&history)[0].steps, 350..351);
    }
}
