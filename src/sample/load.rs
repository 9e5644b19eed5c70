//! How much there is to do: days, weeks, growth, noise, and the burst.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_pcg::Pcg64;

use super::story;

/// The quietest hour's share of the busiest's.
const NIGHT_SHARE: f64 = 0.22;
/// The quietest hour of the day.
const QUIET_HOUR: f64 = 5.0;
/// Sunday to Saturday: people shop when they are at home.
const WEEK: [f64; 7] = [1.18, 0.97, 0.94, 0.95, 1.0, 1.06, 1.22];
/// Growth a day.
const GROWTH: f64 = 0.006;
/// How much of a minute's deviation is left in the next.
const PERSISTENCE: f64 = 0.92;
/// Standard deviation of the lasting deviation, as a share.
const WANDER: f64 = 0.05;

/// The share of a weekday's peak that is expected at a minute, without noise and burst.
fn expected(minute: i64) -> f64 {
    let swing = 0.5 - 0.5 * ((story::hour_of_day(minute) - QUIET_HOUR) / 24.0 * TAU).cos();
    // Evenings are broader than nights.
    let day_shape = NIGHT_SHARE + (1.0 - NIGHT_SHARE) * swing.powf(1.25);
    let today = story::day(minute);
    let growth = 1.0 + GROWTH * (today as f64 + story::hour_of_day(minute) / 24.0);
    day_shape * WEEK[today.rem_euclid(7) as usize] * growth
}

/// Visitors' load over time, as a share of a weekday's peak.
pub(super) struct Demand {
    deviation: f64,
}

impl Demand {
    pub(super) fn new() -> Self {
        Self { deviation: 0.0 }
    }

    /// The load of the next minute; minutes must be asked for in order.
    pub(super) fn next(&mut self, minute: i64, random: &mut Pcg64) -> f64 {
        let shock = WANDER * (1.0 - PERSISTENCE * PERSISTENCE).sqrt();
        self.deviation = PERSISTENCE * self.deviation + shock * noise(random);
        let burst = if story::within(minute, story::BURST) { story::BURST_FACTOR } else { 1.0 };
        expected(minute) * burst * (1.0 + self.deviation)
    }
}

/// About standard normal, bounded by ±3.5: the sum of four uniforms, without functions that differ from machine to
/// machine in their last digit.
pub(super) fn noise(random: &mut Pcg64) -> f64 {
    let sum: f64 = (0..4).map(|_| random.random::<f64>()).sum();
    (sum - 2.0) * 3.0f64.sqrt()
}
