//! When things happen, in minutes since the first sample.
//!
//! Everything recorded lasts a multiple of eight samples. Parquet packs the timestamps' dictionary codes eight at a time,
//! so that the codes of one series then repeat those of another byte for byte: half a megabyte less of `data/`.

/// The last sample: 2026-11-01T00:00:00Z, a Sunday.
pub const END_MS: i64 = 1_793_491_200_000;
/// Two weeks of minutes.
pub const MINUTES: i64 = 14 * DAY;
/// The first sample, also a midnight before Sunday.
pub const START_MS: i64 = END_MS - MINUTES * MINUTE_MS;

const MINUTE_MS: i64 = 60_000;
const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// A container of nginx is started anew; its counters begin at 0.
pub const RESTART: i64 = 3 * DAY + 3 * HOUR + 20;
/// A new version of node-api replaces its pods one after the other.
pub const DEPLOY: i64 = 5 * DAY + 10 * HOUR + 8;
/// Minutes between one pod's replacement and the next.
pub const DEPLOY_PACE: i64 = 8;
/// Visitors more than double, from the first minute to before the second.
pub const BURST: (i64, i64) = (9 * DAY + 14 * HOUR, 9 * DAY + 15 * HOUR + 10);
/// How many times as many.
pub const BURST_FACTOR: f64 = 2.2;
/// A third pod of cart that its autoscaler adds for the burst.
pub const CART_SCALED: (i64, i64) = (BURST.0 + 4, BURST.1 + 30);
/// Nothing is recorded, from the first minute to before the second.
pub const GAP: (i64, i64) = (11 * DAY + 2 * HOUR + 1, 11 * DAY + 2 * HOUR + 50);
/// The batch job that still runs at the end was started.
pub const BATCH_START: i64 = 13 * DAY + 21 * HOUR + 29;
/// The pod that fits no node was created.
pub const PENDING_SINCE: i64 = 13 * DAY + 23 * HOUR + 12;
/// Minutes from one restart for want of memory to the next, of the workload near its limit.
pub const LEAK_PERIOD: i64 = 4 * DAY + 7 * HOUR;

/// The instant of a minute.
#[must_use]
pub fn time_ms(minute: i64) -> i64 {
    START_MS + minute * MINUTE_MS
}

/// Hours since midnight, 0..24.
#[must_use]
pub fn hour_of_day(minute: i64) -> f64 {
    minute.rem_euclid(DAY) as f64 / HOUR as f64
}

/// Whole days since the first sample; day 0 is a Sunday.
#[must_use]
pub fn day(minute: i64) -> i64 {
    minute.div_euclid(DAY)
}

/// Whether the minute is within the span, the end not included.
#[must_use]
pub fn within(minute: i64, span: (i64, i64)) -> bool {
    (span.0..span.1).contains(&minute)
}
