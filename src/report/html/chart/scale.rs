//! Where a value stands on an axis, and which values deserve a tick.

use crate::domain::Signal;
use crate::format::{bytes, clock, day, significant};

/// What an axis counts in; decides which ticks are round and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::html) enum Unit {
    /// Round in tens.
    Plain,
    /// Bytes, round in powers of two.
    Bytes,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// The unit of a signal's axis.
    pub(in crate::html) fn of(signal: Signal) -> Self {
        match signal {
            Signal::MemoryBytes => Self::Bytes,
            Signal::LatencyMeanSeconds
            | Signal::LatencyP50Seconds
            | Signal::LatencyP95Seconds
            | Signal::LatencyP99Seconds
            | Signal::SchedulingWaitSeconds
            | Signal::DiscoverySeconds => Self::Seconds,
            _ => Self::Plain,
        }
    }

    fn written(self, value: f64) -> String {
        match self {
            Self::Plain => significant(value, 3),
            Self::Bytes => bytes(value),
            Self::Seconds => format!("{} s", significant(value, 3)),
        }
    }
}

/// A linear axis of values.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::html) struct Scale {
    low: f64,
    high: f64,
    unit: Unit,
}

impl Scale {
    /// An axis that holds 0 and all finite values, with a little room above.
    pub(in crate::html) fn holding(values: impl IntoIterator<Item = f64>, unit: Unit) -> Self {
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for value in values.into_iter().filter(|v| v.is_finite()) {
            // Beyond this a picture says nothing; it only keeps the arithmetic finite.
            let value = value.clamp(-1e100, 1e100);
            low = low.min(value);
            high = high.max(value);
        }
        if high - low <= 0.0 {
            high = 1.0;
        }
        let room = (high - low) * 0.06;
        Self { low: if low < 0.0 { low - room } else { 0.0 }, high: high + room, unit }
    }

    /// Where a value stands, 0 at the low end and 1 at the high.
    pub(in crate::html) fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Three to six round values with their text.
    pub(in crate::html) fn ticks(&self) -> Vec<(f64, String)> {
        let base = match self.unit {
            Unit::Bytes => 1024_f64.powf((self.high.max(1.0).ln() / 1024_f64.ln()).floor()),
            Unit::Plain | Unit::Seconds => 1.0,
        };
        let step = round_step((self.high - self.low) / base / 4.0) * base;
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).take(12).map(|i| i as f64 * step).map(|v| (v, self.unit.written(v))).collect()
    }
}

/// The round number nearest above: 1, 2, 2.5 or 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= least * 0.999).unwrap_or(10.0 * power)
}

/// An axis of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::html) struct TimeScale {
    /// The left end.
    pub(in crate::html) start_ms: i64,
    /// The right end, after the left.
    pub(in crate::html) end_ms: i64,
    /// Whether it counts steps instead of milliseconds.
    pub(in crate::html) numbered: bool,
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl TimeScale {
    /// Where an instant stands, 0 at the left end and 1 at the right.
    pub(in crate::html) fn share(self, time_ms: i64) -> f64 {
        (time_ms as f64 - self.start_ms as f64) / (self.end_ms as f64 - self.start_ms as f64).max(1.0)
    }

    /// Round instants, about `wanted` of them, at whole steps of UTC.
    pub(in crate::html) fn ticks(self, wanted: i64) -> Vec<(f64, String)> {
        const STEPS: [i64; 14] = [
            60_000,
            5 * 60_000,
            15 * 60_000,
            HOUR_MS,
            2 * HOUR_MS,
            3 * HOUR_MS,
            6 * HOUR_MS,
            12 * HOUR_MS,
            DAY_MS,
            2 * DAY_MS,
            7 * DAY_MS,
            28 * DAY_MS,
            91 * DAY_MS,
            364 * DAY_MS,
        ];
        if self.numbered {
            let span = self.end_ms.saturating_sub(self.start_ms).max(1);
            let step = (round_step(span as f64 / wanted.max(1) as f64).ceil() as i64).max(1);
            let first = self.start_ms.div_euclid(step) + i64::from(self.start_ms.rem_euclid(step) > 0);
            let steps = (first..).map_while(|i| i.checked_mul(step)).take_while(|at| *at <= self.end_ms).take(20);
            return steps.map(|at| (self.share(at), at.to_string())).collect();
        }
        let span = self.end_ms.saturating_sub(self.start_ms);
        let step = STEPS.into_iter().find(|step| span / step <= wanted).unwrap_or(span / wanted.max(1) + 1);
        let first = self.start_ms.div_euclid(step) + i64::from(self.start_ms.rem_euclid(step) > 0);
        (first..)
            .map_while(|i| i.checked_mul(step))
            .take_while(|time| *time <= self.end_ms)
            .take(20)
            .map(|time| {
                let text = if time.rem_euclid(DAY_MS) == 0 { day(time) } else { clock(time) };
                (self.share(time), text)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        let texts = |scale: &Scale| scale.ticks().into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(texts(&Scale::holding([412.0], Unit::Plain)), ["0", "200", "400"]);
        assert_eq!(texts(&Scale::holding([3.2 * 1_073_741_824.0], Unit::Bytes)), ["0 B", "1 GiB", "2 GiB", "3 GiB"]);
        assert_eq!(texts(&Scale::holding([-1.0, 3.0], Unit::Plain)), ["0", "2"]);
        assert_eq!(texts(&Scale::holding([f64::NAN], Unit::Seconds)), ["0 s", "0.5 s", "1 s"]);
    }

    #[test]
    fn midnights_are_named_by_their_day() {
        let noon = 1_795_348_800_000;
        let scale = TimeScale { start_ms: noon, end_ms: noon + DAY_MS, numbered: false };
        let texts: Vec<String> = scale.ticks(4).into_iter().map(|t| t.1).collect();
        assert_eq!(texts, ["12:00", "18:00", "23 Nov", "06:00", "12:00"]);
    }

    proptest! {
        #[test]
        fn any_values_give_an_axis(values in proptest::collection::vec(any::<f64>(), 0..6)) {
            let scale = Scale::holding(values.clone(), Unit::Bytes);
            prop_assert!(scale.ticks().len() <= 12);
            for value in values.into_iter().filter(|v| v.is_finite() && v.abs() < 1e99) {
                prop_assert!((0.0..=1.0).contains(&scale.share(value)));
            }
        }

        #[test]
        fn any_times_give_ticks(start in any::<i64>(), end in any::<i64>()) {
            let ticks = TimeScale { start_ms: start, end_ms: end, numbered: false }.ticks(5);
            prop_assert!(ticks.len() <= 20);
        }
    }
}
