//! One series into the cells of the axis.
//!
//! **Counters** follow Prometheus' `rate`: a value below the one before is a reset, and counts from 0. The increase
//! between two samples is spread evenly over the time between them; a cell's rate is the increase that falls into it
//! over the time covered in it. At the ends of a series, and beside a gap, a cell is covered in part; the rate of that
//! part stands for the whole step, as `rate` extrapolates to the ends of its window.
//!
//! **Gauges** give the mean of the samples within the step, or their maximum. A cell between two samples that has none
//! itself holds the earlier one.
//!
//! **Gaps.** Two samples belong together if they are no more than a step apart, or no more than 1½ times the interval
//! usual around them: the median of up to seven intervals about this one. So a long step hides no gap, a long interval is none,
//! a change of interval is followed, and a missed scrape stays empty.

use super::gather::Track;
use super::upper_median;
use crate::domain::series::Axis;

/// How much longer than usual an interval may be before it is a gap: scrapes drift, but one that is missed doubles it.
const LATE: f64 = 1.5;
/// Intervals to each side that tell what is usual.
const NEIGHBOURS: usize = 3;
/// With fewer intervals than this nothing is usual, and only samples within a step belong together.
const LEAST_INTERVALS: usize = 3;

/// How samples of one cell become one number, also over successive series of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// Sum over weight: the mean of gauges, the rate of counters.
    Mean,
    /// The largest.
    Maximum,
}

/// What a series puts into one cell: a sum and its weight (increase and seconds for counters, values and their number
/// for gauges; the maximum and 1 for maxima).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Deposit {
    pub(super) cell: usize,
    pub(super) sum: f64,
    pub(super) weight: f64,
}

/// The increases of a counter by cell, in rising order of cells. Returns the number of resets.
pub(super) fn counter(track: &Track, axis: &Axis, mut put: impl FnMut(Deposit)) -> usize {
    let (times, values) = (track.timestamps_ms, track.values);
    let mut resets = 0;
    let mut open = Deposit { cell: 0, sum: 0.0, weight: 0.0 };
    let mut open_end_ms = axis.start_ms + axis.step_ms;
    for i in 1..times.len() {
        let (from_ms, to_ms) = (times[i - 1], times[i]);
        let mut increase = values[i] - values[i - 1];
        if increase < 0.0 {
            resets += 1;
            increase = values[i].max(0.0);
        }
        if !belong_together(times, i, axis.step_ms) {
            continue;
        }
        let per_ms = increase / (to_ms - from_ms) as f64;
        let mut begin_ms = from_ms;
        while begin_ms < to_ms {
            if begin_ms >= open_end_ms {
                if open.weight > 0.0 {
                    put(open);
                }
                open = Deposit { cell: cell_of(begin_ms, axis), sum: 0.0, weight: 0.0 };
                if open.cell >= axis.len {
                    return resets;
                }
                open_end_ms = axis.time_ms(open.cell + 1);
            }
            let end_ms = to_ms.min(open_end_ms);
            let covered_ms = (end_ms - begin_ms) as f64;
            open.sum += per_ms * covered_ms;
            open.weight += covered_ms / 1000.0;
            begin_ms = end_ms;
        }
    }
    if open.weight > 0.0 {
        put(open);
    }
    resets
}

/// The values of a gauge by cell, in rising order of cells.
pub(super) fn gauge(track: &Track, axis: &Axis, within: Within, mut put: impl FnMut(Deposit)) {
    let (times, values) = (track.timestamps_ms, track.values);
    let mut open: Option<Deposit> = None;
    let mut open_end_ms = i64::MIN;
    for (i, (&time, &value)) in times.iter().zip(values).enumerate() {
        if time < open_end_ms {
            if let Some(open) = &mut open {
                match within {
                    Within::Mean => {
                        open.sum += value;
                        open.weight += 1.0;
                    }
                    Within::Maximum => open.sum = open.sum.max(value),
                }
            }
            continue;
        }
        let cell = cell_of(time, axis);
        if let Some(before) = open.replace(Deposit { cell, sum: value, weight: 1.0 }) {
            put(before);
            if cell > before.cell + 1 && belong_together(times, i, axis.step_ms) {
                for held in before.cell + 1..cell.min(axis.len) {
                    put(Deposit { cell: held, sum: values[i - 1], weight: 1.0 });
                }
            }
        }
        if cell >= axis.len {
            return;
        }
        open_end_ms = axis.time_ms(cell + 1);
    }
    if let Some(last) = open {
        put(last);
    }
}

fn cell_of(time_ms: i64, axis: &Axis) -> usize {
    usize::try_from((time_ms - axis.start_ms) / axis.step_ms).unwrap_or(usize::MAX)
}

/// Whether nothing is missing between the samples `i − 1` and `i`.
fn belong_together(times: &[i64], i: usize, step_ms: i64) -> bool {
    let interval = times[i] - times[i - 1];
    if interval <= step_ms {
        return true;
    }
    let first = i.saturating_sub(NEIGHBOURS).max(1);
    let last = (i + NEIGHBOURS).min(times.len() - 1);
    let mut around = [0; 2 * NEIGHBOURS + 1];
    let around = &mut around[..=last - first];
    for (j, slot) in (first..=last).zip(around.iter_mut()) {
        *slot = times[j] - times[j - 1];
    }
    around.len() >= LEAST_INTERVALS && upper_median(around).is_some_and(|usual| interval as f64 <= LATE * usual as f64)
}
