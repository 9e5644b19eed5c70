//! Known events: holidays, sales, load tests. What they did is kept out of the base forecast, estimated apart, and put
//! on their next occurrence with the width that so few occurrences allow.

use std::ops::Range;

use super::scores::mean;

/// A known event and when it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Name in reports.
    pub name: String,
    /// Its occurrences: half-open ranges of steps counted from the first of the history, past ones and ones ahead (from
    /// the history's length on).
    pub steps: Vec<Range<usize>>,
}

/// What an event was found to do.
#[derive(Debug, Clone, PartialEq)]
pub struct EventEffect {
    /// The event's name.
    pub name: String,
    /// Past occurrences with a measured value and an ordinary day to compare with.
    pub occurrences: usize,
    /// Steps of the horizon that it covers.
    pub steps_ahead: usize,
    /// Its effect; `None` where no past occurrence tells.
    pub size: Option<EffectSize>,
    /// Standard error of the next occurrence's effect, in the unit of `size`.
    pub error: f64,
}

/// How an event changes the values it covers: whichever explains the past occurrences better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EffectSize {
    /// Multiplies them.
    Factor(f64),
    /// Adds to them, in the history's unit.
    Addend(f64),
}

/// The effect of an occurrence may differ from that of others by this share of its size: what is assumed before two
/// occurrences can be compared.
const UNLIKENESS: f64 = 0.3;
/// Widening of the steps of an event that was never seen.
const UNSEEN_WIDENING: f64 = 2.0;
/// An event that covers more of the history than this is how the series is.
const MOST_OF_HISTORY: f64 = 0.5;
/// Ordinary stretches that tell how far the filled values are off without any event.
const PLACEBOS: usize = 32;
/// Mean absolute value of a Gaussian of unit variance: scales are mean absolute errors.
const ABSOLUTE_PER_DEVIATION: f64 = 0.798;

/// Which steps belong to which event. A step of two events is the first one's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Occurrences {
    names: Vec<String>,
    /// Past ranges by event, inside the history and free of earlier events' steps.
    past: Vec<Vec<Range<usize>>>,
    /// Ranges ahead by event, counted from the end of the history.
    ahead: Vec<Vec<Range<usize>>>,
}

impl Occurrences {
    /// Of a history whose first `cut` steps were dropped.
    pub(crate) fn new(events: &[Event], cut: usize, measured: &[f64]) -> Self {
        let len = measured.len();
        let mut out = Self::default();
        let mut taken: Vec<Range<usize>> = Vec::new();
        for event in events {
            let mut ranges = Vec::new();
            for range in &event.steps {
                let range = range.start.saturating_sub(cut)..range.end.saturating_sub(cut);
                ranges.extend(without(range, &taken));
            }
            taken.extend(ranges.iter().cloned());
            let inside = |r: &Range<usize>| r.start.min(len)..r.end.min(len);
            let past: Vec<_> = ranges.iter().map(inside).filter(|r| !r.is_empty()).collect();
            let covered: usize = past.iter().map(ExactSizeIterator::len).sum();
            let rare = covered as f64 <= MOST_OF_HISTORY * len as f64;
            let beyond = |r: &Range<usize>| r.start.max(len) - len..r.end.max(len) - len;
            out.names.push(event.name.clone());
            out.past.push(if rare { past } else { Vec::new() });
            out.ahead.push(ranges.iter().map(beyond).filter(|r| !r.is_empty()).collect());
        }
        out
    }

    /// Makes gaps of the past occurrences; returns the values as they were.
    pub(crate) fn take_out(&self, measured: &mut [f64]) -> Vec<f64> {
        if self.past.iter().all(Vec::is_empty) {
            return Vec::new();
        }
        let as_measured = measured.to_vec();
        self.past.iter().flatten().for_each(|range| measured[range.clone()].fill(f64::NAN));
        as_measured
    }

    /// What each event did, from the values as measured and the gaps' filling, which is what an ordinary day would
    /// have been. Factors only where no value is below 0.
    pub(crate) fn effects(&self, measured: &[f64], filled: &[f64], seasons: &[usize], factors: bool) -> Effects {
        let each = self.names.iter().zip(&self.past).zip(&self.ahead).map(|((name, past), ahead)| {
            let pairs: Vec<Vec<(f64, f64)>> = past
                .iter()
                .map(|range| range.clone().map(|t| (measured[t], filled[t])).filter(|(y, _)| y.is_finite()).collect())
                .filter(|pairs: &Vec<(f64, f64)>| !pairs.is_empty())
                .collect();
            let length = past.first().map_or(1, ExactSizeIterator::len);
            let size = estimate(&pairs, &placebo_errors(filled, &self.past, length, seasons), factors);
            Effect { name: name.clone(), occurrences: pairs.len(), size, ahead: ahead.clone() }
        });
        Effects(each.collect())
    }
}

/// What of `range` none of `taken` covers.
fn without(range: Range<usize>, taken: &[Range<usize>]) -> Vec<Range<usize>> {
    taken.iter().fold(vec![range], |rest, hole| {
        let cut = |r: Range<usize>| [r.start..r.end.min(hole.start), r.start.max(hole.end)..r.end];
        rest.into_iter().flat_map(cut).filter(|r| !r.is_empty()).collect()
    })
}

/// Mean errors of filling ordinary stretches as long as the event from a season before and after: (difference, mean of
/// the stretch).
fn placebo_errors(filled: &[f64], events: &[Vec<Range<usize>>], length: usize, seasons: &[usize]) -> Vec<(f64, f64)> {
    let Some(&season) = seasons.first() else { return Vec::new() };
    let length = length.clamp(1, season);
    let Some(room) = filled.len().checked_sub(2 * season + length) else { return Vec::new() };
    let stride = (room / PLACEBOS).max(1);
    let ordinary = |from: usize| events.iter().flatten().all(|r| r.end <= from || r.start >= from + length);
    let mean_from = |from: usize| filled[from..from + length].iter().sum::<f64>() / length as f64;
    (season..=season + room)
        .step_by(stride)
        .filter(|&from| ordinary(from))
        .map(|from| (mean_from(from) - 0.5 * (mean_from(from - season) + mean_from(from + season)), mean_from(from)))
        .collect()
}

/// Size and standard error of the next occurrence, shrunk by what filling errs without an event.
fn estimate(occurrences: &[Vec<(f64, f64)>], placebos: &[(f64, f64)], factors: bool) -> Option<(EffectSize, f64)> {
    if occurrences.is_empty() {
        return None;
    }
    let sum = |pairs: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let addends: Vec<f64> = occurrences.iter().map(|o| sum(o, |p| p.0 - p.1) / o.len() as f64).collect();
    let ratios: Vec<f64> = occurrences.iter().map(|o| sum(o, |p| p.0) / sum(o, |p| p.1) - 1.0).collect();
    let addend = mean(addends.iter().copied()).unwrap_or(0.0);
    let ratio = mean(ratios.iter().copied()).unwrap_or(0.0);
    let misses = |of: &dyn Fn(f64) -> f64| occurrences.iter().flatten().map(|(y, f)| (y - of(*f)).powi(2)).sum::<f64>();
    let by_factor =
        factors && ratios.iter().all(|r| r.is_finite()) && misses(&|f| f * (1.0 + ratio)) <= misses(&|f| f + addend);
    let squares = |errors: Vec<f64>| mean(errors.iter().map(|e| e * e)).unwrap_or(0.0);
    if by_factor {
        let noise = squares(placebos.iter().filter(|p| p.1 > 0.0).map(|(e, m)| e / m).collect());
        let (size, error) = shrunk(&ratios, ratio, noise);
        Some((EffectSize::Factor(1.0 + size), error))
    } else {
        let (size, error) = shrunk(&addends, addend, squares(placebos.iter().map(|p| p.0).collect()));
        Some((EffectSize::Addend(size), error))
    }
}

/// The mean drawn towards no effect (James and Stein's positive part), and the predictive standard error of the next
/// occurrence: the spread seen, drawn towards the assumed one, and what the mean itself is off by.
fn shrunk(sizes: &[f64], mean: f64, noise: f64) -> (f64, f64) {
    let count = sizes.len() as f64;
    let kept = if mean == 0.0 { 0.0 } else { (1.0 - noise / count / (mean * mean)).max(0.0) };
    let seen: f64 = sizes.iter().map(|s| (s - mean).powi(2)).sum();
    let assumed = noise.max((UNLIKENESS * mean).powi(2));
    let variance = (seen + 2.0 * assumed) / (count + 1.0);
    (kept * mean, (variance * (1.0 + 1.0 / count)).sqrt())
}

/// The effects of all events of one series, on the scale of its prepared values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Effects(Vec<Effect>);

#[derive(Debug, Clone)]
struct Effect {
    name: String,
    occurrences: usize,
    size: Option<(EffectSize, f64)>,
    ahead: Vec<Range<usize>>,
}

/// How a known event widens a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Widening {
    /// The ordinary error grows so many times.
    pub factor: f64,
    /// What the effect of the event is off by: a mean absolute error, 0 where there is no event.
    pub error: f64,
}

impl Default for Widening {
    fn default() -> Self {
        Self { factor: 1.0, error: 0.0 }
    }
}

impl Widening {
    /// The scale of a step whose ordinary scale is given.
    pub(crate) fn scale(&self, ordinary: f64) -> f64 {
        if self.error > 0.0 { (self.factor * ordinary).hypot(self.error) } else { self.factor * ordinary }
    }

    /// How far a quantile lies from the path, where it would ordinarily lie so far and `shape` is its place among a few
    /// occurrences' effects of unit scale. The two kinds of error are independent, and each keeps its own shape: the tail of
    /// ordinary days says nothing of how unlike sales are.
    pub(crate) fn distance(&self, ordinary: f64, shape: f64) -> f64 {
        let (ordinary, own) = (self.factor * ordinary, shape * self.error);
        if ordinary * own < 0.0 { ordinary + own } else { ordinary.hypot(own).copysign(ordinary + own) }
    }
}

impl Effects {
    /// Puts the effects on a path; returns by step by what its scale is multiplied, and what the effect itself is off by
    /// (mean absolute errors).
    pub(crate) fn apply(&self, path: &mut [f64]) -> Vec<Widening> {
        let horizon = path.len();
        let mut out = vec![Widening::default(); horizon];
        for effect in &self.0 {
            for step in effect.ahead.iter().flat_map(|r| r.start..r.end.min(horizon)) {
                let (value, widening) = (&mut path[step], &mut out[step]);
                match effect.size {
                    None => widening.factor *= UNSEEN_WIDENING,
                    Some((EffectSize::Addend(size), error)) => {
                        *value += size;
                        widening.error = ABSOLUTE_PER_DEVIATION * error;
                    }
                    Some((EffectSize::Factor(factor), error)) => {
                        widening.factor *= factor.max(1.0);
                        widening.error = ABSOLUTE_PER_DEVIATION * error * value.abs();
                        *value *= factor;
                    }
                }
            }
        }
        out
    }

    /// As reported, in the history's unit.
    pub(crate) fn report(&self, horizon: usize, unit: f64) -> Vec<EventEffect> {
        let each = self.0.iter().map(|effect| {
            let steps_ahead = effect.ahead.iter().map(|r| r.end.min(horizon).saturating_sub(r.start)).sum();
            let (size, error) = match effect.size {
                Some((EffectSize::Addend(size), error)) => (Some(EffectSize::Addend(size * unit)), error * unit),
                Some((factor, error)) => (Some(factor), error),
                None => (None, 0.0),
            };
            EventEffect { name: effect.name.clone(), occurrences: effect.occurrences, steps_ahead, size, error }
        });
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::anomalies::tests::{load, uniform};
    use super::super::{Outcome, Seasons, Settings, forecast, scores};
    use super::*;

    fn event(name: &str, steps: impl IntoIterator<Item = Range<usize>>) -> Event {
        Event { name: name.to_owned(), steps: steps.into_iter().collect() }
    }

    fn settings(events: Vec<Event>) -> Settings {
        Settings { horizon: 48, seasons: Seasons::Declared(vec![24]), lead_steps: 24, events, ..Settings::default() }
    }

    /// A load that triples on days 10, 20, 30 and 36, the second of which is not yet measured after 35 days and a bit.
    fn with_sales() -> Vec<f64> {
        let mut noise = uniform(3);
        let mut values = load(1);
        values.extend((0..72).map(|t| 20.0 + 8.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin() + 2.0 * noise()));
        for day in [10, 20, 30, 36] {
            values[day * 24..(day + 1) * 24].iter_mut().for_each(|v| *v *= 3.0);
        }
        values
    }

    fn sales() -> Event {
        event("sale", [10, 20, 30, 36].map(|day| day * 24..(day + 1) * 24))
    }

    fn error(outcome: &Outcome, truth: &[f64]) -> f64 {
        scores::mae(truth, &outcome.mean).unwrap()
    }

    #[test]
    fn a_sale_is_put_on_its_day_and_kept_off_all_others() {
        let values = with_sales();
        let (history, truth) = (&values[..840], &values[840..888]);
        let known = forecast(history, &settings(vec![sales()]));
        let unknown = forecast(history, &settings(Vec::new()));
        assert!(
            error(&known, truth) < 0.35 * error(&unknown, truth),
            "{} {}",
            error(&known, truth),
            error(&unknown, truth)
        );
        let [effect] = &known.effects[..] else { panic!("{:?}", known.effects) };
        assert_eq!((effect.occurrences, effect.steps_ahead), (3, 24));
        let Some(EffectSize::Factor(factor)) = effect.size else { panic!("{effect:?}") };
        assert!((factor - 3.0).abs() < 0.3, "{effect:?}");
        // The day's width is that of a larger load with one more unknown, and the truth is inside.
        let width = |h: usize| known.quantiles[[4, h]] - known.quantiles[[0, h]];
        assert!((0..24).all(|h| width(24 + h) > 1.5 * width(h)), "{} {}", width(10), width(34));
        let covered = scores::coverage(truth, &known.quantiles.row(4).to_vec()).unwrap();
        assert!(covered > 0.85, "{covered}");
    }

    #[test]
    fn a_sale_widens_the_peak_no_more_than_its_own_steps() {
        let values = with_sales();
        // Quiet nights: their narrow steps grow by the largest factors, and say nothing of the peak.
        let quiet: Vec<f64> = values.iter().enumerate().map(|(t, v)| if t % 24 < 20 { *v } else { 1.0 }).collect();
        for values in [values, quiet] {
            let settings = Settings { lead_steps: 48, levels: vec![0.5, 0.9, 0.95, 0.99], ..settings(vec![sales()]) };
            let outcome = forecast(&values[..840], &settings);
            let truth = values[840..888].iter().copied().fold(f64::MIN, f64::max);
            for (l, peak) in outcome.peak.iter().enumerate().skip(1) {
                let steps = outcome.quantiles.row(l).iter().copied().fold(f64::MIN, f64::max);
                assert!(*peak >= truth && *peak <= 1.1 * steps, "level {l}: {peak}, steps {steps}, truth {truth}");
            }
        }
    }

    #[test]
    fn errors_of_two_kinds_add_in_squares_and_keep_their_order() {
        let widening = Widening { factor: 2.0, error: 3.0 };
        assert!((widening.scale(2.0) - 5.0).abs() < 1e-12);
        assert_eq!((widening.distance(2.0, 1.0), widening.distance(-2.0, -1.0)), (5.0, -5.0));
        assert_eq!((widening.distance(-2.0, 0.0), Widening::default().distance(-2.0, 9.0)), (-4.0, -2.0));
        let rising: Vec<f64> =
            (-8..=8).map(|i| widening.distance(f64::from(i) / 4.0 + 0.3, f64::from(i) / 3.0)).collect();
        assert!(rising.windows(2).all(|pair| pair[0] < pair[1]), "{rising:?}");
    }

    #[test]
    fn one_occurrence_gives_a_wider_day_than_three() {
        let values = with_sales();
        let mut once = sales();
        once.steps.drain(..2);
        let mut ordinary = values.clone();
        for day in [10, 20] {
            ordinary[day * 24..(day + 1) * 24].iter_mut().for_each(|v| *v /= 3.0);
        }
        let three = forecast(&values[..840], &settings(vec![sales()]));
        let one = forecast(&ordinary[..840], &settings(vec![once]));
        assert_eq!(one.effects[0].occurrences, 1);
        assert!(one.effects[0].error > three.effects[0].error);
    }

    #[test]
    fn an_event_without_an_effect_is_found_to_have_none() {
        let events = vec![event("holiday", [240..264, 480..504, 840..864])];
        let outcome = forecast(&load(4), &settings(events));
        let plain = forecast(&load(4), &settings(Vec::new()));
        let Some(size) = outcome.effects[0].size else { panic!() };
        match size {
            EffectSize::Factor(factor) => assert!((factor - 1.0).abs() < 0.25, "{factor}"),
            EffectSize::Addend(addend) => assert!(addend.abs() < 5.0, "{addend}"),
        }
        assert!(scores::mae(&plain.mean, &outcome.mean).unwrap() < 4.0);
    }

    #[test]
    fn an_event_never_seen_only_widens_its_steps() {
        let outcome = forecast(&load(5), &settings(vec![event("launch", std::iter::once(850..860))]));
        let plain = forecast(&load(5), &settings(Vec::new()));
        assert_eq!(outcome.mean, plain.mean);
        assert_eq!((outcome.effects[0].occurrences, outcome.effects[0].size), (0, None));
        let width = |o: &Outcome, h: usize| o.quantiles[[4, h]] - o.quantiles[[0, h]];
        assert!((width(&outcome, 12) / width(&plain, 12) - 2.0).abs() < 1e-9);
        assert!((width(&outcome, 30) / width(&plain, 30) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_step_of_two_events_is_the_first_ones() {
        assert_eq!(without(0..10, &[2..4, 8..20]), [0..2, 4..8]);
        let occurrences = Occurrences::new(&[event("a", [1..2, 5..9]), event("b", [0..1, 7..12])], 2, &[0.0; 8]);
        assert_eq!(occurrences.past.concat(), [3..7, 7..8]);
        assert_eq!(occurrences.ahead.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(occurrences.ahead[1][0], 0..2);
    }

    #[test]
    fn nonsense_ranges_are_harmless() {
        let events = vec![event("odd", [Range { start: 9, end: 3 }, 0..usize::MAX, 5..5])];
        let outcome = forecast(&load(6), &settings(events));
        assert!(outcome.mean.iter().all(|v| v.is_finite()));
        assert_eq!(outcome.effects[0].size, None);
    }
}
