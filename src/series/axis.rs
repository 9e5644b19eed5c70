//! The one time axis: from the first to the last sample, bounded before anything is allocated.

use jiff::Timestamp;

use super::{AlignSettings, SeriesError};
use crate::domain::Samples;
use crate::domain::samples::SeriesKey;
use crate::domain::series::Axis;

const DAY_MS: i64 = 86_400_000;
/// A year without a sample of any series, and so many steps of it: a time is wrong then, and every model would be fitted
/// to emptiness.
const HOLE_MS: i64 = 366 * DAY_MS;
const HOLE_STEPS: i64 = 1000;

/// The axis over all samples of the series that `used` tells, for so many rows.
///
/// A step covers the time from its instant to the next one. Where `ends_with_step` (rates are made), a sample on the
/// last instant closes the step before it; nothing is known of the step it would begin, which is left off.
///
/// # Errors
/// If the step is not positive, nothing is used, rows × steps exceed the settings' bound, or a hole shows a wrong time.
pub(super) fn axis(
    samples: &Samples,
    used: impl Fn(u32) -> bool,
    rows: usize,
    ends_with_step: bool,
    settings: &AlignSettings,
) -> Result<Axis, SeriesError> {
    let AlignSettings { step_ms, max_cells } = *settings;
    if step_ms < 1 {
        return Err(SeriesError::Step(step_ms));
    }
    let mut bounds: Option<((i64, u32), (i64, u32))> = None;
    for (&series, &time) in samples.series.iter().zip(&samples.timestamps_ms) {
        let Some((first, last)) = &mut bounds else {
            if used(series) {
                bounds = Some(((time, series), (time, series)));
            }
            continue;
        };
        // Within the bounds nothing changes: look the series up only for the few samples beyond them.
        if time < first.0 && used(series) {
            *first = (time, series);
        } else if time > last.0 && used(series) {
            *last = (time, series);
        }
    }
    let ((first_ms, first), (last_ms, last)) = bounds.ok_or(SeriesError::Empty)?;
    let (first_step, last_step) = (first_ms.div_euclid(step_ms), last_ms.div_euclid(step_ms));
    let closing = ends_with_step && last_step > first_step && last_ms.rem_euclid(step_ms) == 0;
    let steps = (i128::from(last_step) - i128::from(first_step)) as u128 + u128::from(!closing);
    let cells = steps.saturating_mul(rows.max(1) as u128);
    // Instants just beyond both ends must be representable, for steps are compared with their ends.
    let beyond = last_step.checked_add(2).and_then(|step| step.checked_mul(step_ms));
    let start_ms = first_step.checked_mul(step_ms).filter(|_| beyond.is_some());
    match (usize::try_from(cells), start_ms) {
        (Ok(cells), Some(start_ms)) if cells <= max_cells => {
            match longest_hole(samples, used, last_ms.saturating_sub(first_ms)) {
                Some((before, after)) if after.0.saturating_sub(before.0) / step_ms > HOLE_STEPS => {
                    Err(SeriesError::Hole {
                        days: after.0.saturating_sub(before.0) / DAY_MS,
                        before: place(samples, before.0, before.1),
                        after: place(samples, after.0, after.1),
                    })
                }
                _ => Ok(Axis { start_ms, step_ms, len: steps as usize }),
            }
        }
        _ => Err(SeriesError::TooLarge {
            rows,
            steps: u64::try_from(steps).unwrap_or(u64::MAX),
            step_ms,
            max_cells,
            first: place(samples, first_ms, first),
            last: place(samples, last_ms, last),
        }),
    }
}

/// The two neighbouring samples, by time and series, that are furthest apart, if that is more than any export of one
/// cluster leaves out. `span_ms` is the time from the first sample to the last.
fn longest_hole(samples: &Samples, used: impl Fn(u32) -> bool, span_ms: i64) -> Option<((i64, u32), (i64, u32))> {
    if span_ms <= HOLE_MS {
        return None;
    }
    let all = samples.timestamps_ms.iter().copied().zip(samples.series.iter().copied());
    let mut times: Vec<(i64, u32)> = all.filter(|(_, series)| used(*series)).collect();
    times.sort_unstable();
    let pairs = times.windows(2).map(|pair| (pair[0], pair[1]));
    pairs
        .max_by_key(|(before, after)| after.0.saturating_sub(before.0))
        .filter(|(before, after)| after.0.saturating_sub(before.0) > HOLE_MS)
}

/// A sample's time and series, for a message.
fn place(samples: &Samples, time_ms: i64, series: u32) -> String {
    let name = samples.keys.get(series as usize).map_or_else(String::new, series_name);
    format!("{} ({name})", time_text(time_ms))
}

/// A series as Prometheus writes it: `name{label="value"}`.
pub(super) fn series_name(key: &SeriesKey) -> String {
    if key.labels.is_empty() {
        return key.metric.clone();
    }
    let labels: Vec<_> = key.labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
    format!("{}{{{}}}", key.metric, labels.join(", "))
}

fn time_text(time_ms: i64) -> String {
    Timestamp::from_millisecond(time_ms).map_or_else(|_| format!("{time_ms} ms"), |time| time.to_string())
}
