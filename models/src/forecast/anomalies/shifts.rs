//! Lasting changes of level.

use super::{Mark, MarkKind};
use crate::forecast::regression::running_sums;

/// A change is believed if the means of the season before and after it differ by so many times what all but one pair
/// in ten elsewhere do. Weekends come twice in seven days, so they are among those.
const SHIFT_FACTOR: f64 = 3.5;
const ORDINARY_SHARE: f64 = 0.9;
/// And by this share of the mean distance of the values from their own season's mean.
const LEAST_OF_SWING: f64 = 0.75;
/// The change must last: this share of it is left between the medians of the seasons on either side.
const LASTING_SHARE: f64 = 0.6;
/// Whole seasons before and after it (with one after it, a day out of line was taken for a new level), and seasons that level is measured over.
const SEASONS_BEFORE: usize = 3;
const SEASONS_AFTER: usize = 2;
const LEVEL_SEASONS: usize = 7;
/// More changes than these are how the series is.
const MOST_SHIFTS: usize = 3;
/// Steps taken as a season where there is none: this share of the history, and at least so many.
const SHARE_WITHOUT_SEASON: usize = 20;
const LEAST_STEPS: usize = 12;
/// Ratios of levels within which older data are scaled rather than moved.
const SCALED_WITHIN: (f64, f64) = (0.05, 20.0);

/// How a stretch is brought to another level.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Move {
    Times(f64),
    Plus(f64),
}

/// Moves what lies before each lasting change of level to the level after it, in `values` (all finite) and in
/// `measured` alike, and marks the change. Marks that stand at the change make a deploy of it, as gaps do.
pub(crate) fn relevel(values: &mut [f64], measured: &mut [f64], seasons: &[usize], marks: &[Mark]) -> Vec<Mark> {
    let n = values.len();
    let span = seasons.first().copied().unwrap_or((n / SHARE_WITHOUT_SEASON).max(LEAST_STEPS));
    if n < span * (SEASONS_BEFORE + SEASONS_AFTER + 1) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let gaps: Vec<bool> = measured.iter().map(|v| !v.is_finite()).collect();
    let disturbed = |at: usize| {
        let near = (span / 24).max(2);
        let (from, to) = (at.saturating_sub(near), (at + near).min(n));
        gaps[from..to].contains(&true) || marks.iter().any(|mark| mark.steps.start < to && mark.steps.end > from)
    };
    for _ in 0..MOST_SHIFTS {
        let Some(at) = largest_change(values, span, seasons.get(1).copied()) else { break };
        let Some((size, by)) = lasting(values, at, span) else { break };
        for value in values[..at].iter_mut().chain(&mut measured[..at]) {
            *value = match by {
                Move::Times(factor) => *value * factor,
                Move::Plus(addend) => *value + addend,
            };
        }
        let kind = if disturbed(at) { MarkKind::Deploy } else { MarkKind::LevelShift };
        found.push(Mark { kind, steps: at..at + 1, size });
    }
    found
}

/// Where the mean of the next season differs most from that of the last one, if that is beyond the ordinary. Where there
/// is a longer season, what it changes at the same time is ordinary.
fn largest_change(values: &[f64], span: usize, longer: Option<usize>) -> Option<usize> {
    let n = values.len();
    let sums = running_sums(values);
    let mean = |from: usize, to: usize| (sums[to] - sums[from]) / (to - from) as f64;
    let inside = span..=n - span;
    let mut changes = vec![0.0; n + 1];
    inside.clone().for_each(|t| changes[t] = mean(t, t + span) - mean(t - span, t));
    let usual = |t: usize| {
        let Some(long) = longer else { return 0.0 };
        let (mut others, mut count) = ([0.0; 4], 0);
        // What would lie before the beginning wraps around and is not inside.
        for other in [t.wrapping_sub(2 * long), t.wrapping_sub(long), t + long, t + 2 * long] {
            if inside.contains(&other) {
                others[count] = changes[other];
                count += 1;
            }
        }
        if count == 0 { 0.0 } else { median(&mut others[..count]) }
    };
    let sizes: Vec<f64> =
        (0..=n).map(|t| if inside.contains(&t) { (changes[t] - usual(t)).abs() } else { 0.0 }).collect();
    let (first, last) = (span * SEASONS_BEFORE, n - span * SEASONS_AFTER);
    let peak = (first..=last).max_by(|&a, &b| sizes[a].total_cmp(&sizes[b]))?;
    // The change moves what its own twins are held against, so these say nothing of the ordinary.
    let apart =
        |t: usize| std::iter::once(peak).chain(cycles_from(peak, longer)).all(|other| t.abs_diff(other) >= span);
    let mut elsewhere: Vec<f64> = inside.clone().filter(|&t| apart(t)).map(|t| sizes[t]).collect();
    if elsewhere.is_empty() {
        return None;
    }
    let index = ((elsewhere.len() - 1) as f64 * ORDINARY_SHARE) as usize;
    let ordinary = *elsewhere.select_nth_unstable_by(index, f64::total_cmp).1;
    let swing =
        (0..n).map(|t| (values[t] - mean(t.saturating_sub(span), (t + span).min(n))).abs()).sum::<f64>() / n as f64;
    if sizes[peak] <= (SHIFT_FACTOR * ordinary).max(LEAST_OF_SWING * swing) {
        return None;
    }
    // The means peak where the change is, but flatly; the step itself is where neighbours differ most from a season ago.
    let near = (span / 4).max(1);
    let edge = (span / 12).max(1);
    let contrast = |t: usize| {
        let difference = |from: usize, to: usize| mean(from, to) - mean(from - span, to - span);
        (difference(t, (t + edge).min(n)) - difference(t - edge, t)).abs()
    };
    (peak.saturating_sub(near).max(span + edge)..(peak + near + 1).min(n))
        .max_by(|&a, &b| contrast(a).total_cmp(&contrast(b)))
        .filter(|&at| at + span <= n)
}

/// The steps two cycles of the longer season around `step`.
fn cycles_from(step: usize, longer: Option<usize>) -> impl Iterator<Item = usize> {
    let around = move |cycle: usize| [step.checked_sub(cycle), Some(step + cycle)];
    longer.into_iter().flat_map(move |long| around(long).into_iter().chain(around(2 * long))).flatten()
}

/// The change of level at `at` and how to undo it, if it lasts.
fn lasting(values: &[f64], at: usize, span: usize) -> Option<(f64, Move)> {
    let before = Side::of(values[..at].rchunks_exact(span));
    let after = Side::of(values[at..].chunks_exact(span));
    let nearest = after.first - before.first;
    let size = after.level - before.level;
    if size * nearest <= 0.0 || size.abs() < LASTING_SHARE * nearest.abs() {
        return None;
    }
    let ratio = after.level / before.level;
    let positive = values.iter().all(|&v| v > 0.0);
    let scaled = positive && (SCALED_WITHIN.0..SCALED_WITHIN.1).contains(&ratio);
    // Where the swing grew with the level, the old swing is scaled too.
    let swings = (after.swing / before.swing).ln();
    let with_level = swings.is_finite() && (swings - ratio.ln()).abs() < swings.abs();
    let lowest = values[..at].iter().copied().fold(f64::INFINITY, f64::min);
    let stays_positive = !positive || lowest + size > 0.0;
    match (scaled && (with_level || !stays_positive), stays_positive) {
        (true, _) => Some((size, Move::Times(ratio))),
        (false, true) => Some((size, Move::Plus(size))),
        (false, false) => None,
    }
}

/// What the seasons on one side of a change are like, the nearest first.
struct Side {
    first: f64,
    level: f64,
    swing: f64,
}

impl Side {
    fn of<'a>(seasons: impl Iterator<Item = &'a [f64]>) -> Self {
        let (mut means, mut swings) = (Vec::new(), Vec::new());
        for season in seasons.take(LEVEL_SEASONS) {
            let mean = season.iter().sum::<f64>() / season.len() as f64;
            means.push(mean);
            swings.push(season.iter().map(|v| (v - mean).abs()).sum::<f64>() / season.len() as f64);
        }
        let first = means.first().copied().unwrap_or(f64::NAN);
        Self { first, level: median(&mut means), swing: median(&mut swings) }
    }
}

fn median(values: &mut [f64]) -> f64 {
    let n = values.len();
    if n == 0 {
        return f64::NAN;
    }
    values.sort_unstable_by(f64::total_cmp);
    0.5 * (values[(n - 1) / 2] + values[n / 2])
}
