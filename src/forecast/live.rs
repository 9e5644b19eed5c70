//! Forecasts that go on: a cheap tier that takes one sample at a time, and a heavy one that is fitted anew on its own
//! schedule. Pure: the clock is an argument, the state is text that survives a restart.

use std::collections::BTreeMap;

use ndarray::Array2;
use plimsoll_models::forecast::Streaming;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{ForecastSettings, forecast_series};
use crate::domain::forecast::Trust;
use crate::domain::series::{RowQuality, SeriesRow, is_numbered};
use crate::domain::{Axis, Forecast, Series, Signal, Subject};

/// Version of the saved form; raised whenever its meaning changes.
const VERSION: u32 = 1;
/// History kept for the heavy tier: fifteen days, within these bounds in samples.
const KEPT_MS: i64 = 15 * super::DAY_MS;
const LEAST_KEPT: i64 = 2048;
const MOST_KEPT: i64 = 21_600;

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
    #[error("was written in version {0} of the state's form; this build reads version {VERSION}")]
    Version(u64),
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

#[derive(Debug, Clone)]
struct Row {
    /// The instant of the newest sample, gaps not counted.
    last_ms: i64,
    light: Streaming,
    tail: Vec<f64>,
    heavy: Option<Forecast>,
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
        let row = self.rows.entry((subject.clone(), signal)).or_insert_with(|| Row {
            last_ms: first_ms - step_ms,
            light: Streaming::new(season, first.abs()),
            tail: Vec::new(),
            heavy: None,
        });
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
            row.heavy.as_ref().is_none_or(|heavy| now_ms.saturating_sub(heavy.start_ms) >= age_ms - self.step_ms)
        };
        if self.rows.is_empty() || !self.rows.values().any(due) {
            return false;
        }
        let longest = self.rows.values().map(|row| row.tail.len()).max().unwrap_or(0);
        let end_ms = self.newest_ms().unwrap_or(0) + self.step_ms;
        let start_ms = end_ms - self.step_ms * i64::try_from(longest).unwrap_or(0);
        let mut values = Array2::from_elem((self.rows.len(), longest), f64::NAN);
        for (row, mut line) in self.rows.values().zip(values.rows_mut()) {
            let first_ms = row.last_ms - self.step_ms * (row.tail.len() as i64 - 1);
            for (i, value) in row.tail.iter().enumerate() {
                let at = (first_ms - start_ms) / self.step_ms + i as i64;
                if let Some(cell) = usize::try_from(at).ok().and_then(|at| line.get_mut(at)) {
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
        let series = Series { axis, rows: rows.collect(), values, notes: Vec::new() };
        // Far enough ahead that the horizon is still covered when the next fit is due.
        let asked = &self.settings.forecast;
        let settings =
            ForecastSettings { horizon_steps: asked.horizon_steps + self.settings.refresh_steps, ..asked.clone() };
        for (row, forecast) in self.rows.values_mut().zip(forecast_series(&series, &settings, &|_, _| ())) {
            row.heavy = Some(Forecast { trust: short(forecast.trust), ..forecast });
        }
        true
    }

    /// The forecasts from each series' newest sample on: the heavy tier's where it reaches, else the cheap one's, which
    /// says so.
    #[must_use]
    pub fn forecasts(&self) -> Vec<Forecast> {
        self.rows.iter().map(|((subject, signal), row)| self.forecast(subject, *signal, row)).collect()
    }

    fn forecast(&self, subject: &Subject, signal: Signal, row: &Row) -> Forecast {
        let horizon = self.settings.forecast.horizon_steps.max(1);
        let start_ms = row.last_ms + self.step_ms;
        let passed =
            row.heavy.as_ref().and_then(|heavy| usize::try_from((start_ms - heavy.start_ms) / self.step_ms).ok());
        if let (Some(heavy), Some(passed)) = (&row.heavy, passed)
            && passed + horizon <= heavy.horizon()
        {
            return Forecast {
                start_ms,
                mean: heavy.mean[passed..passed + horizon].to_vec(),
                quantiles: heavy.quantiles.slice(ndarray::s![.., passed..passed + horizon]).to_owned(),
                ..heavy.clone()
            };
        }
        let mean = row.light.forecast(horizon);
        let levels = self.settings.forecast.rising_levels();
        let quantiles = Array2::from_shape_fn((levels.len(), horizon), |(_, h)| mean[h]);
        let peak =
            mean.iter().copied().take(self.settings.forecast.lead_steps.max(1)).fold(f64::NEG_INFINITY, f64::max);
        Forecast {
            subject: subject.clone(),
            signal,
            start_ms,
            step_ms: self.step_ms,
            peak: vec![peak; levels.len()],
            mean,
            levels,
            quantiles,
            lead_steps: self.settings.forecast.lead_steps.clamp(1, horizon),
            trust: Trust {
                observations: row.tail.iter().filter(|v| v.is_finite()).count(),
                fallback: Some("not fitted yet: the cheap tier's path, without a width".to_owned()),
                ..Trust::default()
            },
            marks: Vec::new(),
        }
    }

    fn season(&self) -> usize {
        let declared = self.settings.forecast.seasons.as_ref().and_then(|s| s.iter().copied().min());
        let day = (!is_numbered(self.step_ms)).then(|| usize::try_from(super::DAY_MS / self.step_ms).unwrap_or(1));
        declared.or(day).unwrap_or(1).max(1)
    }

    /// The state as text.
    ///
    /// # Panics
    /// Never: the saved form holds nothing that JSON can't.
    #[must_use]
    pub fn to_json(&self) -> String {
        let rows = self.rows.iter().map(|((subject, signal), row)| SavedRow {
            subject: subject.clone(),
            signal: *signal,
            last_ms: row.last_ms,
            light: SavedLight::from(&row.light),
            tail: written(&row.tail),
            heavy: row.heavy.as_ref().map(|f| SavedHeavy {
                start_ms: f.start_ms,
                mean: written(&f.mean),
                levels: written(&f.levels),
                quantiles: written(f.quantiles.as_standard_layout().as_slice().unwrap_or_default()),
                lead_steps: f.lead_steps,
                peak: written(&f.peak),
                trust: f.trust.clone(),
            }),
        });
        let saved = Saved { kind: KIND.to_owned(), version: VERSION, step_ms: self.step_ms, rows: rows.collect() };
        serde_json::to_string(&saved).expect("texts, whole numbers and names are JSON") + "\n"
    }

    /// The state that [`Live::to_json`] wrote.
    ///
    /// # Errors
    /// If it is cut off or altered, or of another version.
    pub fn from_json(text: &str, settings: &LiveSettings) -> Result<Self, LiveError> {
        let damaged = |problem: String| LiveError::Damaged(problem);
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| damaged(e.to_string()))?;
        if value["kind"] != KIND {
            return Err(damaged(format!("kind is not {KIND}")));
        }
        match value["version"].as_u64() {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(LiveError::Version(version)),
            None => return Err(damaged("it has no version".to_owned())),
        }
        let saved: Saved = serde_json::from_value(value).map_err(|e| damaged(e.to_string()))?;
        if saved.step_ms < 1 {
            return Err(damaged("its step is not above 0".to_owned()));
        }
        let mut live = Self::new(saved.step_ms, settings);
        for row in saved.rows {
            let about = row.subject.to_string();
            let ((subject, signal), row) =
                row.read(saved.step_ms).ok_or_else(|| damaged(format!("the numbers of {about} don't fit together")))?;
            live.rows.insert((subject, signal), row);
        }
        Ok(live)
    }
}

impl Row {
    fn take(&mut self, time_ms: i64, value: f64, step_ms: i64) {
        let steps = (time_ms - self.last_ms).div_euclid(step_ms);
        if steps < 1 {
            return;
        }
        let kept = (KEPT_MS / step_ms).clamp(LEAST_KEPT, MOST_KEPT);
        // A gap longer than what is kept leaves nothing of what was before it.
        for _ in 1..steps.min(kept) {
            self.light.update(f64::NAN);
            self.tail.push(f64::NAN);
        }
        self.light.update(value);
        self.tail.push(value);
        let most = kept as usize;
        // Cut back rarely, so that a sample costs the same on average.
        if self.tail.len() > most + most / 4 {
            self.tail.drain(..self.tail.len() - most);
        }
        self.last_ms += steps * step_ms;
    }
}

const KIND: &str = "PlimsollForecastState";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Saved {
    kind: String,
    version: u32,
    step_ms: i64,
    rows: Vec<SavedRow>,
}

/// Numbers stand in one text, apart by spaces: exact to the bit, and with gaps, which JSON's numbers are not.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedRow {
    subject: Subject,
    signal: Signal,
    last_ms: i64,
    light: SavedLight,
    tail: String,
    heavy: Option<SavedHeavy>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedLight {
    season: usize,
    seen: u64,
    ring: String,
    /// Level, its error, the last value's, the season's, the last value, unit and weight.
    numbers: String,
    histogram: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedHeavy {
    start_ms: i64,
    mean: String,
    levels: String,
    quantiles: String,
    lead_steps: usize,
    peak: String,
    trust: Trust,
}

/// Nine decimals of a record's numbers: enough for people, few enough that JSON gives each back as it was.
fn short(trust: Trust) -> Trust {
    let short = |value: f64| (value * 1e9).round() / 1e9;
    let pairs = |pairs: Vec<(f64, f64)>| pairs.into_iter().map(|(level, share)| (short(level), short(share))).collect();
    Trust {
        weights: trust.weights.into_iter().map(|(name, weight)| (name, short(weight))).collect(),
        mase: trust.mase.map(short),
        mase_seasonal_naive: trust.mase_seasonal_naive.map(short),
        mase_last_value: trust.mase_last_value.map(short),
        coverage: pairs(trust.coverage),
        peak_coverage: pairs(trust.peak_coverage),
        ..trust
    }
}

fn written(values: &[f64]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split_ascii_whitespace().map(|word| word.parse().ok()).collect()
}

impl From<&Streaming> for SavedLight {
    fn from(s: &Streaming) -> Self {
        Self {
            season: s.season,
            seen: s.seen,
            ring: written(&s.ring),
            numbers: written(&[s.level, s.level_error, s.last_error, s.seasonal_error, s.last, s.unit, s.weight]),
            histogram: written(&s.histogram),
        }
    }
}

impl SavedLight {
    fn read(&self) -> Option<Streaming> {
        let empty = Streaming::new(self.season, 1.0);
        let (ring, histogram) = (numbers(&self.ring)?, numbers(&self.histogram)?);
        let [level, level_error, last_error, seasonal_error, last, unit, weight] = numbers(&self.numbers)?[..] else {
            return None;
        };
        let whole = self.season >= 1 && ring.len() == self.season && histogram.len() == empty.histogram.len();
        let sound = unit > 0.0 && weight > 0.0 && weight.is_finite() && unit.is_finite();
        (whole && sound).then_some(Streaming {
            season: self.season,
            seen: self.seen,
            ring,
            level,
            level_error,
            last_error,
            seasonal_error,
            last,
            unit,
            histogram,
            weight,
            ..empty
        })
    }
}

impl SavedRow {
    fn read(self, step_ms: i64) -> Option<((Subject, Signal), Row)> {
        let heavy = match &self.heavy {
            None => None,
            Some(saved) => Some(saved.read(&self.subject, self.signal, step_ms)?),
        };
        let row = Row { last_ms: self.last_ms, light: self.light.read()?, tail: numbers(&self.tail)?, heavy };
        Some(((self.subject, self.signal), row))
    }
}

impl SavedHeavy {
    fn read(&self, subject: &Subject, signal: Signal, step_ms: i64) -> Option<Forecast> {
        let (mean, levels, peak) = (numbers(&self.mean)?, numbers(&self.levels)?, numbers(&self.peak)?);
        let quantiles = Array2::from_shape_vec((levels.len(), mean.len()), numbers(&self.quantiles)?).ok()?;
        (peak.len() == levels.len()).then(|| Forecast {
            subject: subject.clone(),
            signal,
            start_ms: self.start_ms,
            step_ms,
            mean,
            levels,
            quantiles,
            lead_steps: self.lead_steps,
            peak,
            trust: self.trust.clone(),
            marks: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
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
    }

    #[test]
    fn another_version_or_a_damaged_state_is_refused() {
        let mut live = Live::new(1, &wanted());
        live.feed(&series(&[load(30)], 1)).unwrap();
        let text = live.to_json();
        let load = |text: &str| Live::from_json(text, &wanted()).map(|_| ()).unwrap_err();
        assert!(matches!(load(&text[..text.len() / 2]), LiveError::Damaged(_)));
        assert_eq!(load(&text.replace("\"version\":1", "\"version\":9")), LiveError::Version(9));
        assert!(matches!(load(&text.replace("\"season\":24", "\"season\":23")), LiveError::Damaged(_)));
        assert!(matches!(load("{}"), LiveError::Damaged(_)));
        let other = live.feed(&series(&[vec![1.0, 2.0]], 60_000));
        assert_eq!(other, Err(LiveError::Step { saved: 1, given: 60_000 }));
    }
}
