//! Stretches without a signal: nothing where something usually comes, or a value that stands still.

use super::{Mark, MarkKind, runs, twins};

/// Next to nothing: this share of what all but one value in twenty reach.
const NEXT_TO_NOTHING: f64 = 0.05;
const REACHED_BY_MOST: f64 = 0.05;
/// More values next to nothing than this share, or more stretches than this, are how the series is.
const MOST_OF_HISTORY: f64 = 0.1;
const MOST_OUTAGES: usize = 5;

/// A standstill counts from so many equal values on, and from this share of the shortest season.
const LEAST_STANDSTILL: usize = 12;
const STANDSTILL_OF_SEASON: f64 = 0.5;
/// All other standstills must be shorter by this factor, and equal neighbours rarer than this share elsewhere.
const LONGEST_OTHER: usize = 4;
const EQUAL_NEIGHBOURS: f64 = 0.05;

/// An outage that lasts to the end of the history is over soon only if it has just begun; it may be for good else.
/// Share of the shortest season, or steps where there is none.
const JUST_BEGUN_OF_SEASON: f64 = 0.25;
const JUST_BEGUN: usize = 3;

/// Makes gaps of the outages of `measured` (NaN in gaps). Sizes are left 0 for the caller, who knows what the filled
/// gap says should have been there.
pub(crate) fn take_out(measured: &mut [f64], seasons: &[usize]) -> Vec<Mark> {
    let mut marks = still(measured, seasons);
    marks.extend(empty(measured, seasons));
    let n = measured.len();
    let just_begun =
        seasons.first().map_or(JUST_BEGUN, |&s| ((s as f64 * JUST_BEGUN_OF_SEASON) as usize).max(JUST_BEGUN));
    for mark in &marks {
        if mark.steps.end < n || mark.steps.len() <= just_begun {
            measured[mark.steps.clone()].fill(f64::NAN);
        }
    }
    marks
}

fn outage(steps: std::ops::Range<usize>) -> Mark {
    Mark { kind: MarkKind::Outage, steps, size: 0.0 }
}

fn empty(measured: &[f64], seasons: &[usize]) -> Vec<Mark> {
    let n = measured.len();
    let mut finite: Vec<f64> = measured.iter().copied().filter(|v| v.is_finite()).collect();
    if finite.len() < 4 * LEAST_STANDSTILL || finite.iter().any(|&v| v < 0.0) {
        return Vec::new();
    }
    let index = (finite.len() as f64 * REACHED_BY_MOST) as usize;
    let usual_low = *finite.select_nth_unstable_by(index, f64::total_cmp).1;
    // Where one value in twenty is 0 already, 0 is nothing out of the ordinary.
    if usual_low <= 0.0 {
        return Vec::new();
    }
    let nothing = |step: usize| measured[step] <= NEXT_TO_NOTHING * usual_low;
    let found = runs(n, 1, nothing);
    if found.len() > MOST_OUTAGES
        || found.iter().map(ExactSizeIterator::len).sum::<usize>() as f64 > n as f64 * MOST_OF_HISTORY
    {
        return Vec::new();
    }
    let comes_back = |run: &std::ops::Range<usize>| {
        twins(run.start, n, seasons).any(|twin| {
            let near = twin.saturating_sub(1)..(twin + 2).min(n);
            near.filter(|step| !run.contains(step)).any(nothing)
        })
    };
    found.into_iter().filter(|run| !comes_back(run)).map(outage).collect()
}

fn still(measured: &[f64], seasons: &[usize]) -> Vec<Mark> {
    let same = |step: usize| step > 0 && (measured[step] - measured[step - 1]).abs() <= 0.0;
    let mut found = runs(measured.len(), 0, same);
    let Some(at) = (0..found.len()).max_by_key(|&i| found[i].len()) else { return Vec::new() };
    let longest = found.swap_remove(at);
    let longest = longest.start - 1..longest.end;
    let least = seasons.first().map_or(0, |&s| (s as f64 * STANDSTILL_OF_SEASON) as usize).max(LEAST_STANDSTILL);
    let others = || found.iter().map(ExactSizeIterator::len);
    let elsewhere = measured.len() - longest.len();
    let rare = others().sum::<usize>() as f64 <= elsewhere as f64 * EQUAL_NEIGHBOURS;
    let alone = others().max().unwrap_or(0) * LONGEST_OTHER <= longest.len();
    let short = longest.len() as f64 <= measured.len() as f64 * MOST_OF_HISTORY;
    if longest.len() >= least && rare && alone && short { vec![outage(longest)] } else { Vec::new() }
}
