//! Forecasts that go on: a cheap tier that takes one sample at a time, and a heavy one that is fitted anew on its own
//! schedule. Pure: the clock is an argument, the state is text that survives a restart.
//!
//! Both tiers learn from how they did. The cheap one follows its own errors with every sample; what the heavy one issued
//! is held against the truth once its horizon has passed, and the next forecasts' quantiles are moved by it.

mod row;
mod saved;

use std::collections::BTreeMap;

use ndarray::Array2;
use thiserror::Error;

use super::{Asked, ForecastSettings, outcomes_of};
use crate::domain::series::{RowQuality, SeriesRow, is_numbered};
use crate::domain::{Axis, Forecast, Series, Signal, Subject};

use row::{Heavy, Row};

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSettings {
    /// Of the heavy tier.
    pub forecast: ForecastSettings,
    /// Steps after which the heavy tier is due again, at least 1.
    pub refresh_steps: usize,
}

/// Why a state can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LiveError {
    /// It is not what was saved.
    #[error("is not a whole saved state: {0}")]
    Damaged(String),
    /// Another version wrote it.
    #[error("was written in version {found} of the state's form; this build reads version {read}", read = saved::VERSION)]
    Version {
        /// What it says.
        found: u64,
    },
    /// Its samples are spaced otherwise.
    #[error("holds samples {saved} ms apart, the input's are {given} ms apart")]
    Step {
        /// In the state.
        saved: i64,
        /// In the input.
        given: i64,
    },
}

/// The state of a fleet.
#[derive(Debug, Clone)]
pub struct Live {
    settings: LiveSettings,
    step_ms: i64,
    rows: BTreeMap<(Subject, Signal), Row>,
}

impl Live {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(step_ms: i64, settings: &LiveSettings) -> Self {
        Self { settings: settings.clone(), step_ms: step_ms.max(1), rows: BTreeMap::new() }
    }

    /// Takes one sample. One that is not finite, or not newer than the series' newest, is left out; steps without a
    /// sample are gaps. Cheap: no fit happens here.
    pub fn update(&mut self, subject: &Subject, signal: Signal, time_ms: i64, value: f64) {
        self.take(subject, signal, std::iter::once((time_ms, value)));
    }

    /// Takes a series' samples in the order of their times; its row is looked up once.
    fn take(&mut self, subject: &Subject, signal: Signal, samples: impl Iterator<Item = (i64, f64)>) {
        let (step_ms, season) = (self.step_ms, self.season());
        let mut samples = samples.filter(|(_, value)| value.is_finite()).peekable();
        let Some(&(first_ms, first)) = samples.peek() else { return };
        let row = self
            .rows
            .entry((subject.clone(), signal))
            .or_insert_with(|| Row::new(first_ms - step_ms, season, first.abs()));
        samples.for_each(|(time_ms, value)| row.take(time_ms, value, step_ms));
    }

    /// Takes every sample of a table that is newer than what its series have.
    ///
    /// # Errors
    /// If the samples are spaced otherwise than the state's.
    pub fn feed(&mut self, series: &Series) -> Result<(), LiveError> {
        if series.axis.step_ms != self.step_ms {
            return Err(LiveError::Step { saved: self.step_ms, given: series.axis.step_ms });
        }
        for (row, values) in series.rows.iter().zip(series.values.rows()) {
            let samples = values.iter().enumerate().map(|(i, value)| (series.axis.time_ms(i), *value));
            self.take(&row.subject, row.signal, samples);
        }
        Ok(())
    }

    /// The newest sample's instant.
    #[must_use]
    pub fn newest_ms(&self) -> Option<i64> {
        self.rows.values().map(|row| row.last_ms).max()
    }

    /// Fits the heavy tier anew if any series' forecast is missing or `refresh_steps` old; says whether it did. All
    /// series are fitted together, since they lend each other what they learnt.
    pub fn refresh(&mut self, now_ms: i64) -> bool {
        let age_ms = self.step_ms.saturating_mul(i64::try_from(self.settings.refresh_steps.max(1)).unwrap_or(i64::MAX));
        let due = |row: &Row| {
            row.heavy.as_ref().is_none_or(|heavy| now_ms.saturating_sub(heavy.start_ms()) >= age_ms - self.step_ms)
        };
        if self.rows.is_empty() || !self.rows.values().any(due) {
            return false;
        }
        let series = self.series();
        // Far enough ahead that the horizon is still covered when the next fit is due.
        let asked = &self.settings.forecast;
        let longer =
            ForecastSettings { horizon_steps: asked.horizon_steps + self.settings.refresh_steps, ..asked.clone() };
        let longer = Asked::new(&longer, series.axis);
        let rows: Vec<usize> = (0..series.rows.len()).collect();
        let histories = super::histories(&series);
        let outcomes = outcomes_of(&series, &rows, &histories, &longer, &|_, _| ());
        for ((row, outcome), (about, history)) in
            self.rows.values_mut().zip(outcomes).zip(series.rows.iter().zip(&histories))
        {
            row.learn(self.step_ms);
            row.issue(Heavy::new(outcome, about, history.len(), &longer), asked.horizon_steps);
        }
        true
    }

    /// What is kept of all series, on one axis.
    fn series(&self) -> Series {
        let longest = self.rows.values().map(|row| row.tail.len()).max().unwrap_or(0);
        let end_ms = self.newest_ms().unwrap_or(0) + self.step_ms;
        let start_ms = end_ms - self.step_ms * i64::try_from(longest).unwrap_or(0);
        let mut values = Array2::from_elem((self.rows.len(), longest), f64::NAN);
        for (row, mut line) in self.rows.values().zip(values.rows_mut()) {
            let first = (row.first_ms(self.step_ms) - start_ms) / self.step_ms;
            for (i, value) in row.tail.iter().enumerate() {
                if let Some(cell) = usize::try_from(first + i as i64).ok().and_then(|at| line.get_mut(at)) {
                    *cell = *value;
                }
            }
        }
        let rows = self.rows.keys().map(|(subject, signal)| SeriesRow {
            subject: subject.clone(),
            signal: *signal,
            quality: RowQuality::default(),
        });
        let axis = Axis { start_ms, step_ms: self.step_ms, len: longest };
        Series { axis, rows: rows.collect(), values, notes: Vec::new() }
    }

    /// The forecasts from each series' newest sample on: the heavy tier's where it reaches, else the cheap one's, which
    /// says so.
    #[must_use]
    pub fn forecasts(&self) -> Vec<Forecast> {
        let forecast = |((subject, signal), row): (&(Subject, Signal), &Row)| {
            row.heavy_forecast(self.settings.forecast.horizon_steps.max(1), self.step_ms)
                .unwrap_or_else(|| row.light_forecast(subject, *signal, &self.settings.forecast, self.step_ms))
        };
        self.rows.iter().map(forecast).collect()
    }

    fn season(&self) -> usize {
        let declared = self.settings.forecast.seasons.as_ref().and_then(|s| s.iter().copied().min());
        let day = (!is_numbered(self.step_ms)).then(|| usize::try_from(super::DAY_MS / self.step_ms).unwrap_or(1));
        declared.or(day).unwrap_or(1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::forecast_series;
    use super::super::tests::{series, settings};
    use super::*;

    fn wanted() -> LiveSettings {
        LiveSettings { forecast: ForecastSettings { seasons: Some(vec![24]), ..settings(12) }, refresh_steps: 6 }
    }

    fn load(len: usize) -> Vec<f64> {
        (0..len)
            .map(|t| 5.0 + (t as f64 / 24.0 * std::f64::consts::TAU).sin() + ((t * 7919) % 13) as f64 / 30.0)
            .collect()
    }

    #[test]
    fn what_is_saved_and_loaded_goes_on_as_if_nothing_had_happened() {
        let (whole, cut) = (load(303), load(300));
        let mut kept = Live::new(1, &wanted());
        kept.feed(&series(std::slice::from_ref(&cut), 1)).unwrap();
        assert!(kept.refresh(kept.newest_ms().unwrap()));
        let mut restarted = Live::from_json(&kept.to_json(), &wanted()).unwrap();
        assert_eq!(restarted.forecasts(), kept.forecasts());
        for live in [&mut kept, &mut restarted] {
            // The whole file again: only the three new samples count, and no fit is due.
            live.feed(&series(std::slice::from_ref(&whole), 1)).unwrap();
            assert!(!live.refresh(live.newest_ms().unwrap()));
        }
        assert_eq!(restarted.to_json(), kept.to_json());
        let forecast = &kept.forecasts()[0];
        assert_eq!((forecast.start_ms, forecast.horizon()), (10 + 303, 12));
    }

    #[test]
    fn the_heavy_tier_gives_what_a_forecast_of_the_same_history_gives() {
        let input = series(&[load(300), load(280)], 1);
        let mut live = Live::new(1, &LiveSettings { refresh_steps: 1, ..wanted() });
        live.feed(&input).unwrap();
        live.refresh(live.newest_ms().unwrap());
        let longer = ForecastSettings { horizon_steps: 13, ..wanted().forecast };
        for (live, plain) in live.forecasts().iter().zip(forecast_series(&input, &longer, &|_, _| ())) {
            assert_eq!(live.mean, plain.mean[..12]);
            assert_eq!(live.start_ms, plain.start_ms);
        }
    }

    #[test]
    fn before_the_first_fit_the_cheap_tier_answers_and_says_so() {
        let mut live = Live::new(1, &wanted());
        live.feed(&series(&[load(48)], 1)).unwrap();
        let forecast = &live.forecasts()[0];
        assert!(forecast.trust.fallback.as_deref().unwrap().starts_with("not fitted yet"));
        assert!(forecast.mean.iter().all(|v| v.is_finite()));
        let width = |h: usize| forecast.quantiles[[1, h]] - forecast.quantiles[[0, h]];
        assert!((0..12).all(|h| width(h) > 0.0) && forecast.peak[1] >= forecast.quantiles[[1, 2]]);
    }

    #[test]
    fn quantiles_that_miss_move_as_the_truth_comes_in() {
        // A level that turns wilder than its past: the widths of the past are too narrow.
        let noise = |t: usize| ((t * 7919) % 101) as f64 / 101.0 - 0.5;
        let value = |t: usize| {
            20.0 + (t as f64 / 24.0 * std::f64::consts::TAU).sin() + noise(t) * if t < 600 { 0.2 } else { 8.0 }
        };
        let row: Vec<f64> = (0..660).map(value).collect();
        let wanted = LiveSettings {
            forecast: ForecastSettings { levels: vec![0.1, 0.9], ..wanted().forecast },
            refresh_steps: 6,
        };
        let mut live = Live::new(1, &wanted);
        let subject = Subject::Named("row 0".into());
        for (t, value) in row.iter().enumerate() {
            live.update(&subject, Signal::Value, t as i64, *value);
            if t >= 480 {
                live.refresh(t as i64);
            }
        }
        let state = live.rows.values().next().unwrap();
        assert!(state.adaptive.bands.iter().any(|band| band[0] < 0.0 && band[1] > 0.0), "{:?}", state.adaptive);
        assert!(!state.pending.is_empty() && state.pending.len() <= 5);
        let restarted = Live::from_json(&live.to_json(), &wanted).unwrap();
        assert_eq!((restarted.to_json(), restarted.forecasts()), (live.to_json(), live.forecasts()));
        // Other levels make what was learnt of these useless.
        let other =
            LiveSettings { forecast: ForecastSettings { levels: vec![0.5], ..wanted.forecast.clone() }, ..wanted };
        let mut other = Live::from_json(&live.to_json(), &other).unwrap();
        assert!(other.refresh(659));
        assert_eq!(other.forecasts()[0].levels, [0.5]);
    }

    #[test]
    fn the_peak_follows_the_newest_sample() {
        let mut live = Live::new(1, &LiveSettings { refresh_steps: 12, ..wanted() });
        live.feed(&series(&[load(300)], 1)).unwrap();
        live.refresh(live.newest_ms().unwrap());
        live.feed(&series(&[load(306)], 1)).unwrap();
        let forecast = &live.forecasts()[0];
        assert_eq!(forecast.start_ms, 10 + 306);
        for (l, peak) in forecast.peak.iter().enumerate() {
            assert!((0..3).all(|h| forecast.quantiles[[l, h]] <= *peak), "{forecast:?}");
        }
    }

    #[test]
    fn another_version_or_a_damaged_state_is_refused() {
        let mut live = Live::new(1, &wanted());
        live.feed(&series(&[load(30)], 1)).unwrap();
        let text = live.to_json();
        let load = |text: &str| Live::from_json(text, &wanted()).map(|_| ()).unwrap_err();
        assert!(matches!(load(&text[..text.len() / 2]), LiveError::Damaged(_)));
        let other = text.replace("State\",\"version\":4", "State\",\"version\":9");
        assert_eq!(load(&other), LiveError::Version { found: 9 });
        assert!(matches!(load(&text.replace("\"season\":24", "\"season\":23")), LiveError::Damaged(_)));
        assert!(matches!(load("{}"), LiveError::Damaged(_)));
        let other = live.feed(&series(&[vec![1.0, 2.0]], 60_000));
        assert_eq!(other, Err(LiveError::Step { saved: 1, given: 60_000 }));
    }
}
