//! The state of a fleet as text, and back.

use ndarray::Array2;
use plimsoll_models::forecast::streaming::{BandSnapshot, Snapshot};
use plimsoll_models::forecast::{Adaptive, Outcome, Streaming};
use serde::{Deserialize, Serialize};

use super::row::{Errors, Heavy, Issued, Row, bare};
use super::{Live, LiveError, LiveSettings};
use crate::domain::forecast::{EventEffect, Mark, Trust};
use crate::domain::{Forecast, Signal, Subject};

const KIND: &str = "PlimsollForecastState";
/// Version of the saved form; raised whenever its meaning changes.
pub(super) const VERSION: u32 = 4;

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
    adaptive: SavedAdaptive,
    pending: Vec<SavedIssued>,
}

/// The cheap tier's own plain form.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedLight {
    version: u32,
    season: usize,
    seen: u64,
    ring: String,
    numbers: String,
    unit_and_weight: String,
    histogram: String,
    flat: String,
    bands: Vec<SavedBand>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedBand {
    seen: u64,
    scales: String,
    quantiles: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedPaths {
    start_ms: i64,
    levels: String,
    mean: String,
    quantiles: String,
    lead_steps: usize,
    peak: String,
    scale: String,
    peak_scale: String,
    widened: String,
    cycle: usize,
    non_negative: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedHeavy {
    paths: SavedPaths,
    trust: Trust,
    marks: Vec<Mark>,
    effects: Vec<EventEffect>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedAdaptive {
    bands: Vec<String>,
    peak: String,
    width: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedIssued {
    paths: SavedPaths,
    taught: usize,
}

impl Live {
    /// The state as text.
    ///
    /// # Panics
    /// Never: the saved form holds nothing that JSON can't.
    #[must_use]
    pub fn to_json(&self) -> String {
        let rows = self.rows.iter().map(|((subject, signal), row)| SavedRow::of(subject, *signal, row)).collect();
        let saved = Saved { kind: KIND.to_owned(), version: VERSION, step_ms: self.step_ms, rows };
        serde_json::to_string(&saved).expect("texts, whole numbers and names are JSON") + "\n"
    }

    /// The state that [`Live::to_json`] wrote. What was fitted for other quantile levels or another lead time is fitted
    /// anew at the next refresh.
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
            Some(found) => return Err(LiveError::Version { found }),
            None => return Err(damaged("it has no version".to_owned())),
        }
        let saved: Saved = serde_json::from_value(value).map_err(|e| damaged(e.to_string()))?;
        if saved.step_ms < 1 {
            return Err(damaged("its step is not above 0".to_owned()));
        }
        let mut live = Self::new(saved.step_ms, settings);
        for row in saved.rows {
            let key = (row.subject.clone(), row.signal);
            let mut row = row.read(saved.step_ms).map_err(|problem| damaged(format!("{}: {problem}", key.0)))?;
            row.fit_for(&settings.forecast);
            live.rows.insert(key, row);
        }
        Ok(live)
    }
}

/// Nine decimals of a record's numbers: enough for people, few enough that JSON gives each back as it was.
pub(super) fn short(forecast: Forecast) -> Forecast {
    let short = |value: f64| (value * 1e9).round() / 1e9;
    let pairs = |pairs: Vec<(f64, f64)>| pairs.into_iter().map(|(level, share)| (short(level), short(share))).collect();
    let trust = forecast.trust;
    let trust = Trust {
        weights: trust.weights.into_iter().map(|(name, weight)| (name, short(weight))).collect(),
        mase: trust.mase.map(short),
        mase_seasonal_naive: trust.mase_seasonal_naive.map(short),
        mase_last_value: trust.mase_last_value.map(short),
        coverage: pairs(trust.coverage),
        peak_coverage: pairs(trust.peak_coverage),
        ..trust
    };
    let marks = forecast.marks.into_iter().map(|mark| Mark { size: mark.size.map(digits), ..mark });
    Forecast {
        trust,
        marks: marks.collect(),
        effects: forecast.effects.into_iter().map(short_effect).collect(),
        ..forecast
    }
}

/// Twelve significant digits, which any reader of JSON gives back as they were.
fn digits(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

fn short_effect(effect: EventEffect) -> EventEffect {
    use crate::domain::forecast::Change;
    let change = effect.change.map(|change| match change {
        Change::Factor(factor) => Change::Factor(digits(factor)),
        Change::Addend(addend) => Change::Addend(digits(addend)),
    });
    EventEffect { change, error: digits(effect.error), ..effect }
}

fn written(values: &[f64]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn written_known(values: &[Option<f64>]) -> String {
    written(&values.iter().map(|value| value.unwrap_or(f64::NAN)).collect::<Vec<_>>())
}

fn numbers(text: &str) -> Result<Vec<f64>, String> {
    let number = |word: &str| word.parse().map_err(|_| format!("found {word:?} where a number was expected"));
    text.split_ascii_whitespace().map(number).collect()
}

fn finite(text: &str) -> Result<Vec<f64>, String> {
    let numbers = numbers(text)?;
    if numbers.iter().all(|v| v.is_finite()) {
        Ok(numbers)
    } else {
        Err("a number of a forecast is missing".to_owned())
    }
}

/// How many times as wide as usual something is.
fn width(text: &str) -> Result<f64, String> {
    match finite(text)?[..] {
        [width] if width >= 1.0 => Ok(width),
        _ => Err(format!("found {text:?} where a width of at least 1 was expected")),
    }
}

fn known(text: &str) -> Result<Vec<Option<f64>>, String> {
    Ok(numbers(text)?.into_iter().map(|value| value.is_finite().then_some(value)).collect())
}

impl SavedRow {
    fn of(subject: &Subject, signal: Signal, row: &Row) -> Self {
        Self {
            subject: subject.clone(),
            signal,
            last_ms: row.last_ms,
            light: SavedLight::from(&row.light),
            tail: written(&row.tail),
            heavy: row.heavy.as_ref().map(SavedHeavy::from),
            adaptive: SavedAdaptive {
                bands: row.adaptive.bands.iter().map(|band| written(band)).collect(),
                peak: written(&row.adaptive.peak),
                width: written(&[row.adaptive.width]),
            },
            pending: row.pending.iter().map(SavedIssued::from).collect(),
        }
    }

    fn read(self, step_ms: i64) -> Result<Row, String> {
        let heavy = match self.heavy {
            None => None,
            Some(saved) => Some(saved.read(self.subject, self.signal, step_ms)?),
        };
        let bands = self.adaptive.bands.iter().map(|band| finite(band)).collect::<Result<_, _>>()?;
        Ok(Row {
            last_ms: self.last_ms,
            light: self.light.read()?,
            tail: numbers(&self.tail)?,
            heavy,
            adaptive: Adaptive { bands, peak: finite(&self.adaptive.peak)?, width: width(&self.adaptive.width)? },
            pending: self.pending.into_iter().map(SavedIssued::read).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Streaming> for SavedLight {
    fn from(state: &Streaming) -> Self {
        let Snapshot { version, season, seen, ring, numbers, unit, weight, histogram, flat, bands } = state.snapshot();
        let band = |band: BandSnapshot| SavedBand {
            seen: band.seen,
            scales: written(&band.scales),
            quantiles: written(&band.quantiles),
        };
        Self {
            version,
            season,
            seen,
            ring: written_known(&ring),
            numbers: written_known(&numbers),
            unit_and_weight: written(&[unit, weight]),
            histogram: written(&histogram),
            flat: written_known(&flat),
            bands: bands.into_iter().map(band).collect(),
        }
    }
}

impl SavedLight {
    fn read(self) -> Result<Streaming, String> {
        let [unit, weight] = numbers(&self.unit_and_weight)?[..] else {
            return Err("unit and weight are not two numbers".to_owned());
        };
        let band = |band: SavedBand| -> Result<BandSnapshot, String> {
            let scales = numbers(&band.scales)?.try_into().map_err(|_| "a band has not three scales".to_owned())?;
            Ok(BandSnapshot { seen: band.seen, scales, quantiles: numbers(&band.quantiles)? })
        };
        let snapshot = Snapshot {
            version: self.version,
            season: self.season,
            seen: self.seen,
            ring: known(&self.ring)?,
            numbers: known(&self.numbers)?,
            unit,
            weight,
            histogram: numbers(&self.histogram)?,
            flat: known(&self.flat)?,
            bands: self.bands.into_iter().map(band).collect::<Result<_, _>>()?,
        };
        Streaming::restore(&snapshot).map_err(|problem| problem.to_string())
    }
}

impl SavedPaths {
    fn of(start_ms: i64, levels: &[f64], outcome: &Outcome) -> Self {
        Self {
            start_ms,
            levels: written(levels),
            mean: written(&outcome.mean),
            quantiles: written(&outcome.quantiles.iter().copied().collect::<Vec<_>>()),
            lead_steps: outcome.lead_steps,
            peak: written(&outcome.peak),
            scale: written(&outcome.scale),
            peak_scale: written(&[outcome.peak_scale]),
            widened: written(&[outcome.widened]),
            cycle: outcome.cycle,
            non_negative: outcome.non_negative,
        }
    }

    /// Levels and outcome, if their numbers fit together.
    fn read(&self) -> Result<(Vec<f64>, Outcome), String> {
        let (levels, mean, peak) = (finite(&self.levels)?, finite(&self.mean)?, finite(&self.peak)?);
        let (scale, peak_scale) = (finite(&self.scale)?, finite(&self.peak_scale)?);
        let quantiles = Array2::from_shape_vec((levels.len(), mean.len()), finite(&self.quantiles)?);
        let lead_fits = (1..=mean.len()).contains(&self.lead_steps);
        match (quantiles, &peak_scale[..]) {
            (Ok(quantiles), &[peak_scale]) if peak.len() == levels.len() && scale.len() == mean.len() && lead_fits => {
                let widened = width(&self.widened)?;
                let (cycle, non_negative) = (self.cycle, self.non_negative);
                let errors = Errors { scale, peak_scale, widened, cycle, non_negative };
                Ok((levels, bare(mean, quantiles, peak, self.lead_steps, &errors)))
            }
            _ => Err("the numbers of a forecast don't fit together".to_owned()),
        }
    }
}

impl From<&Heavy> for SavedHeavy {
    fn from(heavy: &Heavy) -> Self {
        let Forecast { start_ms, levels, trust, marks, effects, .. } = &heavy.forecast;
        Self {
            paths: SavedPaths::of(*start_ms, levels, &heavy.outcome()),
            trust: trust.clone(),
            marks: marks.clone(),
            effects: effects.clone(),
        }
    }
}

impl SavedHeavy {
    fn read(self, subject: Subject, signal: Signal, step_ms: i64) -> Result<Heavy, String> {
        let (levels, outcome) = self.paths.read()?;
        let Outcome { mean, quantiles, peak, lead_steps, scale, peak_scale, widened, cycle, non_negative, .. } =
            outcome;
        let start_ms = self.paths.start_ms;
        let (trust, marks, effects) = (self.trust, self.marks, self.effects);
        Ok(Heavy {
            forecast: Forecast {
                subject,
                signal,
                start_ms,
                step_ms,
                mean,
                levels,
                quantiles,
                lead_steps,
                peak,
                trust,
                marks,
                effects,
            },
            errors: Errors { scale, peak_scale, widened, cycle, non_negative },
        })
    }
}

impl From<&Issued> for SavedIssued {
    fn from(issued: &Issued) -> Self {
        Self { paths: SavedPaths::of(issued.start_ms, &issued.levels, &issued.outcome), taught: issued.taught }
    }
}

impl SavedIssued {
    fn read(self) -> Result<Issued, String> {
        let (levels, outcome) = self.paths.read()?;
        Ok(Issued { start_ms: self.paths.start_ms, outcome, levels, taught: self.taught })
    }
}
