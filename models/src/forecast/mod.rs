//! Forecasts with calibrated quantiles from one history or a fleet of them.
//!
//! ```text
//! history ─▶ Prepared ─▶ members at rolling origins ─▶ combination ─▶ held-out errors ─▶ quantiles
//!            gaps, events, ridge bank, pooled, naive,  weights by     studentised,       of steps and of
//!            anomalies     smoothing, intermittent     backtest       by block           the peak
//! ```
//!
//! ```
//! use plimsoll_models::forecast::{Seasons, Settings, forecast};
//! let history: Vec<f64> = (0..480).map(|i| 10.0 + f64::from(i % 24)).collect();
//! let settings = Settings { horizon: 24, seasons: Seasons::Declared(vec![24]), ..Settings::default() };
//! let outcome = forecast(&history, &settings);
//! assert!((outcome.mean[5] - 15.0).abs() < 0.5);
//! ```

mod adaptive;
mod anomalies;
mod bank;
mod calibrate;
mod coarse;
mod combine;
mod events;
mod kinds;
mod online;
mod outcome;
mod pooled;
mod prepare;
mod regression;
pub mod scores;
mod seasons;
mod simple;
mod smoothing;
pub mod split;
pub mod streaming;
mod study;
mod windows;

use ndarray::ArrayView1;

pub use adaptive::{Adaptive, Deployment};
pub use anomalies::{Mark, MarkKind};
pub use events::{EffectSize, Event, EventEffect};
pub use outcome::Outcome;
pub use pooled::Pooled;
pub use streaming::Streaming;
pub use study::{FleetShape, Study};

/// Which seasons to reckon with, in steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seasons {
    /// These, as far as the history holds two of each. One alone brings its sevenfold with it (a day its week).
    Declared(Vec<usize>),
    /// Those of these that the history shows beyond chance; none is a valid answer.
    Candidates(Vec<usize>),
    /// Whatever the history shows beyond chance.
    Find,
}

impl Seasons {
    /// The shortest that is declared or to be tested for.
    fn shortest_asked(&self) -> Option<usize> {
        match self {
            Self::Declared(seasons) | Self::Candidates(seasons) => seasons.iter().copied().filter(|&s| s >= 2).min(),
            Self::Find => None,
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Steps ahead, at least 1.
    pub horizon: usize,
    /// Seasons.
    pub seasons: Seasons,
    /// Quantile levels, each in 0..1.
    pub levels: Vec<f64>,
    /// Steps that the peak covers, at least 1, at most the horizon.
    pub lead_steps: usize,
    /// Rolling origins with a fit of their own, at least 1.
    pub origins: usize,
    /// Known events, past and ahead.
    pub events: Vec<Event>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            horizon: 24,
            seasons: Seasons::Find,
            levels: vec![0.05, 0.25, 0.5, 0.75, 0.95],
            lead_steps: 1,
            origins: 3,
            events: Vec::new(),
        }
    }
}

impl Settings {
    /// The levels in rising order, each once; what is not inside 0..1 is left out.
    #[must_use]
    pub fn levels(&self) -> Vec<f64> {
        let mut levels: Vec<f64> = self.levels.iter().copied().filter(|l| *l > 0.0 && *l < 1.0).collect();
        levels.sort_unstable_by(f64::total_cmp);
        levels.dedup();
        levels
    }
}

/// The forecast of one history. Values that are not finite are gaps.
#[must_use]
pub fn forecast(history: &[f64], settings: &Settings) -> Outcome {
    Study::new(history, settings, None).outcome(settings, None)
}

/// Forecasts of a fleet, which lends each series its pooled regression and the shape of its errors. One outcome a
/// history, in order. [`Pooled::over`], [`Study::new`], [`FleetShape::of`] and [`Study::outcome`] are its parts, for
/// callers with threads.
#[must_use]
pub fn forecast_fleet(histories: &[ArrayView1<'_, f64>], settings: &Settings) -> Vec<Outcome> {
    let histories: Vec<Vec<f64>> = histories.iter().map(|h| h.to_vec()).collect();
    let pooled = Pooled::over(&histories, settings);
    let studies: Vec<Study> = histories.iter().map(|h| Study::new(h, settings, pooled.as_ref())).collect();
    let shape = FleetShape::of(&studies);
    studies.iter().map(|study| study.outcome(settings, shape.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(outcome: &Outcome, settings: &Settings) -> Result<(), TestCaseError> {
        let levels = settings.levels();
        prop_assert_eq!(outcome.mean.len(), settings.horizon);
        prop_assert_eq!(outcome.quantiles.dim(), (levels.len(), settings.horizon));
        prop_assert_eq!(outcome.peak.len(), levels.len());
        prop_assert!(outcome.mean.iter().chain(&outcome.quantiles).chain(&outcome.peak).all(|v| v.is_finite()));
        for column in outcome.quantiles.columns() {
            prop_assert!(column.iter().zip(column.iter().skip(1)).all(|(low, high)| low <= high));
        }
        prop_assert!(outcome.peak.windows(2).all(|pair| pair[0] <= pair[1]));
        let lead = settings.lead_steps.clamp(1, settings.horizon);
        for (row, peak) in outcome.quantiles.rows().into_iter().zip(&outcome.peak) {
            prop_assert!(row.iter().take(lead).all(|step| step <= peak));
        }
        prop_assert!(outcome.origins > 0 || outcome.fallback.is_some());
        Ok(())
    }

    /// Values of every size, with gaps, repeats and zeros.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => -10.0..10.0,
            2 => 0.0..1000.0,
            2 => Just(0.0),
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
            1 => prop::num::f64::NORMAL,
        ]
    }

    fn any_settings() -> impl Strategy<Value = Settings> {
        let seasons = prop_oneof![
            Just(Seasons::Find),
            prop::collection::vec(0_usize..30, 0..3).prop_map(Seasons::Declared),
            prop::collection::vec(0_usize..30, 0..3).prop_map(Seasons::Candidates),
        ];
        (1_usize..40, seasons, 0_usize..50, 1_usize..5).prop_map(|(horizon, seasons, lead_steps, origins)| Settings {
            horizon,
            seasons,
            lead_steps,
            origins,
            ..Settings::default()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn any_history_is_forecast_with_finite_rising_quantiles(
            history in prop::collection::vec(value(), 0..250),
            settings in any_settings(),
        ) {
            check(&forecast(&history, &settings), &settings)?;
        }

        #[test]
        fn a_fleet_of_anything_is_forecast(
            histories in prop::collection::vec(prop::collection::vec(value(), 0..200), 0..4),
            settings in any_settings(),
        ) {
            let views: Vec<ArrayView1<'_, f64>> = histories.iter().map(|h| ArrayView1::from(h.as_slice())).collect();
            let outcomes = forecast_fleet(&views, &settings);
            prop_assert_eq!(outcomes.len(), histories.len());
            for outcome in &outcomes {
                check(outcome, &settings)?;
            }
        }

        #[test]
        fn a_change_of_unit_changes_only_the_unit(
            noise in prop::collection::vec(0.0..1.0, 200),
            exponent in -30_i32..30,
        ) {
            // A power of two, so that rounding is the same too.
            let factor = 2.0_f64.powi(exponent);
            let history: Vec<f64> = noise.iter().enumerate().map(|(t, v)| 5.0 + v + f64::from(u8::from(t % 24 < 8))).collect();
            let settings = Settings { horizon: 12, seasons: Seasons::Declared(vec![24]), lead_steps: 4, ..Settings::default() };
            let scaled: Vec<f64> = history.iter().map(|v| v * factor).collect();
            let (ours, theirs) = (forecast(&history, &settings), forecast(&scaled, &settings));
            for (a, b) in ours.quantiles.iter().chain(&ours.peak).zip(theirs.quantiles.iter().chain(&theirs.peak)) {
                prop_assert!((a * factor - b).abs() <= 1e-9 * b.abs(), "{} {b}", a * factor);
            }
        }
    }

    #[test]
    fn what_is_too_plain_for_the_bank_says_so() {
        let settings = Settings { horizon: 3, ..Settings::default() };
        let why = |history: &[f64]| forecast(history, &settings).fallback.unwrap_or_default();
        assert_eq!(why(&[]), "no measured value");
        assert_eq!(why(&[f64::NAN; 9]), "no measured value");
        assert_eq!(why(&[4.0]), "only one measured value");
        assert_eq!(why(&[4.0; 500]), "all 500 measured values are equal");
        assert!(why(&[4.0, 5.0, 3.0]).starts_with("only 3 measured values"));
        let one = forecast(&[4.0], &settings);
        assert_eq!(one.mean, [4.0; 3]);
        assert!(one.quantiles[[4, 0]] > 4.0 && one.quantiles[[0, 0]] < 4.0);
    }

    #[test]
    fn anomalies_do_not_poison_the_forecast() {
        use super::anomalies::tests::load;
        let settings = Settings { horizon: 48, seasons: Seasons::Declared(vec![24]), ..Settings::default() };
        for seed in 0..5 {
            let whole = load(seed);
            let (clean, truth) = whole.split_at(792);
            let error = |history: &[f64]| scores::mae(truth, &forecast(history, &settings).mean).unwrap();
            let with = |change: &dyn Fn(&mut Vec<f64>)| {
                let mut history = clean.to_vec();
                change(&mut history);
                error(&history)
            };
            let usual = error(clean);
            for (what, poisoned, allowed) in [
                ("spike", with(&|h| h[780] = 500.0), 1.1),
                ("burst yesterday", with(&|h| h[770..776].iter_mut().for_each(|v| *v *= 8.0)), 1.25),
                ("outage yesterday", with(&|h| h[760..775].fill(0.0)), 1.25),
                ("standstill", with(&|h| h[740..770].fill(20.0)), 1.25),
                ("gap of two days", with(&|h| h[600..650].fill(f64::NAN)), 1.5),
                // Four days at the new level.
                ("shift", with(&|h| h[..696].iter_mut().for_each(|v| *v += 30.0)), 2.0),
                ("growth", with(&|h| h[..600].iter_mut().for_each(|v| *v *= 0.4)), 2.0),
            ] {
                assert!(poisoned < allowed * usual, "seed {seed}, {what}: {poisoned} against {usual}");
            }
        }
    }

    #[test]
    fn a_day_of_history_gives_a_day_cycle_with_a_width_and_says_what_it_borrowed() {
        use super::anomalies::tests::load;
        let hours = 27;
        let declared = Settings {
            horizon: 24,
            seasons: Seasons::Declared(vec![24]),
            levels: vec![0.1, 0.9],
            ..Settings::default()
        };
        let candidates = Settings { seasons: Seasons::Candidates(vec![24, 168]), ..declared.clone() };
        let fleet: Vec<Vec<f64>> = (0..12).map(load).collect();
        let pooled = Pooled::over(&fleet, &declared);
        let (mut inside, mut count) = ([0.0; 3], 0.0);
        for seed in 20..40 {
            let whole = load(seed);
            let (history, truth) = (&whole[..hours], &whole[hours..hours + 24]);
            let ways = [
                forecast(history, &declared),
                forecast(history, &candidates),
                Study::new(history, &declared, pooled.as_ref()).outcome(&declared, None),
            ];
            assert_eq!(ways.each_ref().map(|o| o.borrowed), [false, false, true]);
            let last = scores::mae(truth, &[history[hours - 1]; 24]).unwrap();
            for (outcome, inside) in ways.iter().zip(&mut inside) {
                assert_eq!((&outcome.seasons[..], outcome.origins), (&[24][..], 0));
                assert!(outcome.fallback.is_some());
                assert!(scores::mae(truth, &outcome.mean).unwrap() < 0.5 * last, "seed {seed}");
                *inside += scores::coverage(truth, &outcome.quantiles.row(1).to_vec()).unwrap()
                    - scores::coverage(truth, &outcome.quantiles.row(0).to_vec()).unwrap();
            }
            count += 1.0;
        }
        for inside in inside {
            assert!((0.7..=1.0).contains(&(inside / count)), "{}", inside / count);
        }
    }
}
