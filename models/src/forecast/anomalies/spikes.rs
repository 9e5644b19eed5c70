//! Spikes: lone ones against the steps around them, longer ones against the same time of other days.

use super::{Mark, MarkKind, Tail, runs, tail, twins};

/// Steps on each side of the running median.
const HALF: usize = 3;
/// What comes back must reach this share of the spike.
const LIKE: f64 = 0.3;
/// A lone spike stands at least so many times further out than all but one value in a hundred do. Lower was worse on
/// validation windows of M4, whose sharp daily peaks are no spikes.
const LONE_FACTOR: f64 = 6.0;
const ORDINARY_SHARE: f64 = 0.99;
/// Cycles a history must hold for bursts to be told from the daily pattern, twins that are asked, and the share of
/// the shortest season that a burst may last.
const BURST_CYCLES: usize = 5;
const BURST_TWINS: usize = 4;
const BURST_OF_SEASON: f64 = 0.34;

/// Cuts spikes of `values` (all finite) back to the furthest ordinary distance, and marks them.
pub(crate) fn cut_back(values: &mut [f64], seasons: &[usize]) -> Vec<Mark> {
    let mut marks = lone(values, seasons);
    for burst in bursts(values, seasons) {
        // What was cut back to the edge of the ordinary may still stand out from its days: one spike, not two.
        let touches = |mark: &&mut Mark| mark.steps.start < burst.steps.end && burst.steps.start < mark.steps.end;
        match marks.iter_mut().find(touches) {
            Some(mark) => mark.steps = mark.steps.start.min(burst.steps.start)..mark.steps.end.max(burst.steps.end),
            None => marks.push(burst),
        }
    }
    marks
}

fn mark(steps: std::ops::Range<usize>, size: impl Fn(usize) -> f64) -> Mark {
    let furthest = steps.clone().map(size).max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
    Mark { kind: MarkKind::Spike, steps, size: furthest }
}

/// Hampel's filter with bounds that the series itself sets. What lies in the last few steps is left alone: it may be how
/// things are from now on.
fn lone(values: &mut [f64], seasons: &[usize]) -> Vec<Mark> {
    let n = values.len();
    if n < 4 * HALF {
        return Vec::new();
    }
    let deviations = from_running_median(values);
    let sizes: Vec<f64> = deviations.iter().map(|d| d.abs()).collect();
    let Some(tail) = tail(&sizes) else { return Vec::new() };
    let mut sorted = sizes.clone();
    let ordinary = *sorted.select_nth_unstable_by(((n - 1) as f64 * ORDINARY_SHARE) as usize, f64::total_cmp).1;
    let bound = tail.bound.max(LONE_FACTOR * ordinary);
    let comes_back = |step: usize| {
        twins(step, n, seasons)
            .any(|twin| (twin.saturating_sub(1)..=(twin + 1).min(n - 1)).any(|near| sizes[near] > LIKE * sizes[step]))
    };
    let mut found = runs(n, 0, |step| sizes[step] > bound && !comes_back(step));
    found.retain(|run| run.end + HALF <= n);
    for step in found.iter().cloned().flatten() {
        values[step] += deviations[step].clamp(-ordinary, ordinary) - deviations[step];
    }
    found.into_iter().map(|steps| mark(steps, |step| deviations[step])).collect()
}

/// Each value minus the median of the seven around it.
fn from_running_median(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let medians: Vec<f64> = values.array_windows::<{ 2 * HALF + 1 }>().map(|window| median_of_seven(*window)).collect();
    let last = medians.len() - 1;
    (0..n).map(|i| values[i] - medians[i.saturating_sub(HALF).min(last)]).collect()
}

/// By exchanges that no branch depends on (the shortest network known: Devillard, Fast median search, 1998).
fn median_of_seven(mut of: [f64; 7]) -> f64 {
    const EXCHANGES: [(usize, usize); 13] =
        [(0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4)];
    for (i, j) in EXCHANGES {
        (of[i], of[j]) = in_order(of[i], of[j]);
    }
    of[3]
}

fn in_order(a: f64, b: f64) -> (f64, f64) {
    (if b < a { b } else { a }, if b < a { a } else { b })
}

/// Spikes of several steps, against the median of the same step of the nearest days. One that lasts to the end is
/// left alone too. Smaller than the values' usual distance from their mean is none.
fn bursts(values: &mut [f64], seasons: &[usize]) -> Vec<Mark> {
    let n = values.len();
    let Some(&day) = seasons.first() else { return Vec::new() };
    if n < BURST_CYCLES * day || day < 2 * (2 * HALF + 1) {
        return Vec::new();
    }
    let deviations: Vec<f64> = (0..n).map(|step| values[step] - from_other_days(values, step, day)).collect();
    let sizes: Vec<f64> = deviations.iter().map(|d| d.abs()).collect();
    let Some(Tail { ordinary, bound }) = tail(&sizes) else { return Vec::new() };
    let mean = values.iter().sum::<f64>() / n as f64;
    let bound = bound.max(values.iter().map(|v| (v - mean).abs()).sum::<f64>() / n as f64);
    let longer = &seasons[1..];
    let comes_back = |step: usize| twins(step, n, longer).any(|twin| sizes[twin] > LIKE * sizes[step]);
    let longest = (day as f64 * BURST_OF_SEASON) as usize;
    let mut found = runs(n, 1, |step| sizes[step] > bound && !comes_back(step));
    found.retain(|run| run.len() <= longest && run.end < n);
    for step in found.iter().cloned().flatten() {
        values[step] += deviations[step].clamp(-ordinary, ordinary) - deviations[step];
    }
    found.into_iter().map(|steps| mark(steps, |step| deviations[step])).collect()
}

/// The median of the nearest steps a whole number of days before and after.
fn from_other_days(values: &[f64], step: usize, day: usize) -> f64 {
    let (before, after) = (step / day, (values.len() - 1 - step) / day);
    let mut near = [0.0; BURST_TWINS];
    // As many from either side as there are; what one side lacks comes from the other.
    let past = before.min((BURST_TWINS / 2).max(BURST_TWINS.saturating_sub(after)));
    for (k, slot) in near.iter_mut().enumerate() {
        *slot = if k < past { values[step - (k + 1) * day] } else { values[step + (k + 1 - past) * day] };
    }
    let ((a, b), (c, d)) = (in_order(near[0], near[1]), in_order(near[2], near[3]));
    0.5 * (in_order(a, c).1 + in_order(b, d).0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn medians_by_exchanges_are_medians(values in prop::collection::vec(-3_i32..4, 7)) {
            let mut sorted: [f64; 7] = std::array::from_fn(|i| f64::from(values[i]));
            let median = median_of_seven(sorted);
            sorted.sort_unstable_by(f64::total_cmp);
            prop_assert!((median - sorted[3]).abs() <= 0.0);
        }
    }
}
