//! `Series` into `Forecast`s: the glue between the values and `plimsoll_models::forecast`.

mod csv;
mod events;
pub mod live;
pub mod score;

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_models::forecast::{self as models, FleetShape, Outcome, Pooled, Seasons, Settings, Study};
use rayon::prelude::*;

use crate::domain::forecast::{Change, EventEffect, Mark, MarkKind, Trust};
use crate::domain::series::{SeriesRow, is_numbered};
use crate::domain::{Axis, Forecast, Series, Subject};

pub use csv::{csv_header, csv_lines, to_csv};
pub use events::Calendar;
pub use live::{Live, LiveSettings};

/// Milliseconds of a day and of a week: the seasons looked for where none is declared.
const DAY_MS: i64 = 86_400_000;
const WEEK_MS: i64 = 7 * DAY_MS;

/// What is asked of the forecaster.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastSettings {
    /// Steps ahead, at least 1.
    pub horizon_steps: usize,
    /// Seasons in steps; where none is given, day and week are tested on axes of time, and any length on numbered steps.
    pub seasons: Option<Vec<usize>>,
    /// Quantile levels, each in 0..1, in any order.
    pub levels: Vec<f64>,
    /// Steps of the lead time that the peak covers, at least 1; more than the horizon counts as the horizon.
    pub lead_steps: usize,
    /// Known events, past and ahead: kept out of what is learnt, and put on their next occurrence.
    pub calendar: Calendar,
    /// Threads, at least 1; the result does not depend on it.
    pub threads: usize,
}

impl ForecastSettings {
    /// The same with further levels.
    #[must_use]
    pub fn with_levels(&self, more: &[f64]) -> Self {
        let mut levels = Self { levels: [&self.levels[..], more].concat(), ..self.clone() };
        levels.levels = levels.rising_levels();
        levels
    }

    /// The levels as forecasts have them: rising, each once.
    fn rising_levels(&self) -> Vec<f64> {
        Settings { levels: self.levels.clone(), ..Settings::default() }.levels()
    }

    fn for_models(&self, axis: &Axis) -> Settings {
        let seasons = match &self.seasons {
            Some(seasons) => Seasons::Declared(seasons.clone()),
            None if is_numbered(axis.step_ms) => Seasons::Find,
            None => {
                let steps = |span_ms: i64| {
                    let steps = if span_ms % axis.step_ms.max(1) == 0 { span_ms / axis.step_ms.max(1) } else { 0 };
                    usize::try_from(steps).ok().filter(|&s| s >= 2)
                };
                Seasons::Candidates([DAY_MS, WEEK_MS].into_iter().filter_map(steps).collect())
            }
        };
        Settings {
            horizon: self.horizon_steps.max(1),
            seasons,
            levels: self.levels.clone(),
            lead_steps: self.lead_steps.clamp(1, self.horizon_steps.max(1)),
            ..Settings::default()
        }
    }
}

/// Series studied between one call of whoever takes the forecasts and the next.
const BATCH: usize = 512;

/// Forecasts every row, in the rows' order. A row of a workload or pod is forecast from the end of the axis; a row with a
/// name of its own from after its own last value, so that series of different length can share a table. `progress` is
/// told (done, total) rows, from any thread.
///
/// The result is the same on any number of threads.
#[must_use]
pub fn forecast_series(
    series: &Series,
    settings: &ForecastSettings,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Vec<Forecast> {
    let mut all = Vec::with_capacity(series.rows.len());
    let Ok(()) = forecast_batches(series, settings, progress, &mut |batch| {
        all.extend(batch);
        Ok::<(), Infallible>(())
    });
    all
}

/// The same, handed on some hundred rows at a time, so that a large fleet's forecasts need not be held at once.
///
/// # Errors
/// What `take` returns; nothing is forecast after it.
pub fn forecast_batches<E>(
    series: &Series,
    settings: &ForecastSettings,
    progress: &(dyn Fn(usize, usize) + Sync),
    take: &mut dyn FnMut(Vec<Forecast>) -> Result<(), E>,
) -> Result<(), E> {
    let rows: Vec<usize> = (0..series.rows.len()).collect();
    let histories = histories(series);
    let asked = Asked::new(settings, series.axis);
    outcomes_in_batches(series, &rows, &histories, &asked, progress, &mut |first, outcomes| {
        let of = |(i, outcome): (usize, Outcome)| to_forecast(&series.rows[i], histories[i].len(), outcome, &asked);
        take((first..).zip(outcomes).map(of).collect())
    })
}

/// What is found out of these histories, which begin where the axis does, in their order.
fn outcomes_of(
    series: &Series,
    rows: &[usize],
    histories: &[&[f64]],
    asked: &Asked<'_>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Vec<Outcome> {
    let mut all = Vec::with_capacity(rows.len());
    let Ok(()) = outcomes_in_batches(series, rows, histories, asked, progress, &mut |_, outcomes| {
        all.extend(outcomes);
        Ok::<(), Infallible>(())
    });
    all
}

/// Hands on the outcomes in order, with the place of the first of each batch. What series lend each other, the pooled
/// regression and the shape of their errors, is learnt beforehand from some of them at even spacing.
fn outcomes_in_batches<E>(
    series: &Series,
    rows: &[usize],
    histories: &[&[f64]],
    asked: &Asked<'_>,
    progress: &(dyn Fn(usize, usize) + Sync),
    take: &mut dyn FnMut(usize, Vec<Outcome>) -> Result<(), E>,
) -> Result<(), E> {
    // Where there are no threads to be had, the shared pool does.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(asked.threads).build().ok();
    let done = AtomicUsize::new(0);
    let pooled = Pooled::over(histories, &asked.of_all(histories));
    let study = |&i: &usize| {
        let settings = asked.of(&series.rows[rows[i]].subject, histories[i]);
        let study = Study::new(histories[i], &settings, pooled.as_ref());
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, histories.len());
        study
    };
    let spacing = histories.len().div_ceil(FleetShape::MOST_STUDIES).max(1);
    let sample: Vec<usize> = (0..histories.len()).step_by(spacing).collect();
    let studies = on(pool.as_ref(), || sample.par_iter().map(study).collect::<Vec<Study>>());
    let shape = FleetShape::of(&studies);
    let outcome = |study: &Study| study.outcome(&asked.settings, shape.as_ref());
    let all: Vec<usize> = (0..histories.len()).collect();
    for (batch, first) in all.chunks(BATCH).zip((0..).step_by(BATCH)) {
        let outcome_of = |i: &usize| match sample.binary_search(i) {
            Ok(place) => outcome(&studies[place]),
            Err(_) => outcome(&study(i)),
        };
        take(first, on(pool.as_ref(), || batch.par_iter().map(outcome_of).collect()))?;
    }
    Ok(())
}

fn on<T: Send>(pool: Option<&rayon::ThreadPool>, run: impl FnOnce() -> T + Send) -> T {
    match pool {
        Some(pool) => pool.install(run),
        None => run(),
    }
}

/// What is asked of the models, with the events of each series on its axis.
struct Asked<'a> {
    settings: Settings,
    calendar: &'a Calendar,
    axis: Axis,
    threads: usize,
}

impl<'a> Asked<'a> {
    fn new(settings: &'a ForecastSettings, axis: Axis) -> Self {
        let threads = settings.threads.max(1);
        Self { settings: settings.for_models(&axis), calendar: &settings.calendar, axis, threads }
    }

    fn of(&self, subject: &Subject, history: &[f64]) -> Cow<'_, Settings> {
        self.with(|len| self.calendar.steps(subject, &self.axis, len), history.len())
    }

    /// For the pooled regression, which is to learn from no event, whomever it concerns.
    fn of_all(&self, histories: &[&[f64]]) -> Cow<'_, Settings> {
        let longest = histories.iter().map(|history| history.len()).max().unwrap_or(0);
        self.with(|len| self.calendar.all_steps(&self.axis, len), longest)
    }

    fn with(&self, events: impl Fn(usize) -> Vec<models::Event>, history: usize) -> Cow<'_, Settings> {
        if self.calendar.is_empty() {
            return Cow::Borrowed(&self.settings);
        }
        Cow::Owned(Settings { events: events(history + self.settings.horizon), ..self.settings.clone() })
    }
}

/// What each row is forecast from.
///
/// # Panics
/// Never: rows of a matrix in standard order are slices, and [`Series`] has no other.
fn histories(series: &Series) -> Vec<&[f64]> {
    let rows = series.rows.iter().zip(series.values.outer_iter());
    rows.map(|(row, values)| history(row, values.to_slice().expect("a row in one piece"))).collect()
}

fn history<'a>(row: &SeriesRow, values: &'a [f64]) -> &'a [f64] {
    match row.subject {
        Subject::Named(_) => {
            &values[..values.iter().rposition(|v| v.is_finite()).map_or(values.len(), |last| last + 1)]
        }
        Subject::Pod { .. } | Subject::Workload(_) => values,
    }
}

fn to_forecast(row: &SeriesRow, steps_before: usize, outcome: Outcome, asked: &Asked<'_>) -> Forecast {
    let axis = &asked.axis;
    let end_ms = axis.time_ms(steps_before + outcome.mean.len());
    let mut marks: Vec<Mark> = outcome.marks.iter().map(|mark| to_mark(mark, axis)).collect();
    marks.extend(asked.calendar.marks(&row.subject, axis.start_ms, end_ms));
    marks.sort_by_key(|mark| (mark.start_ms, mark.end_ms));
    Forecast {
        subject: row.subject.clone(),
        signal: row.signal,
        start_ms: axis.time_ms(steps_before),
        step_ms: axis.step_ms,
        mean: outcome.mean,
        levels: asked.settings.levels(),
        quantiles: outcome.quantiles,
        lead_steps: asked.settings.lead_steps,
        peak: outcome.peak,
        trust: Trust {
            observations: outcome.observations,
            origins: outcome.origins,
            seasons: outcome.seasons,
            weights: outcome.weights,
            mase: outcome.mase,
            mase_seasonal_naive: outcome.mase_seasonal_naive,
            mase_last_value: outcome.mase_last_value,
            coverage: outcome.coverage,
            peak_coverage: outcome.peak_coverage,
            borrowed: outcome.borrowed,
            fallback: outcome.fallback,
        },
        marks,
        effects: outcome.effects.into_iter().map(to_effect).collect(),
    }
}

fn to_mark(mark: &models::Mark, axis: &Axis) -> Mark {
    Mark {
        kind: match mark.kind {
            models::MarkKind::Spike => MarkKind::Spike,
            models::MarkKind::Outage => MarkKind::Outage,
            models::MarkKind::LevelShift => MarkKind::LevelShift,
            models::MarkKind::Deploy => MarkKind::Deploy,
        },
        start_ms: axis.time_ms(mark.steps.start),
        end_ms: axis.time_ms(mark.steps.end),
        size: Some(mark.size).filter(|size| size.is_finite()),
    }
}

fn to_effect(effect: models::EventEffect) -> EventEffect {
    EventEffect {
        event: effect.name,
        occurrences: effect.occurrences,
        steps_ahead: effect.steps_ahead,
        change: effect.size.map(|size| match size {
            models::EffectSize::Factor(factor) => Change::Factor(factor),
            models::EffectSize::Addend(addend) => Change::Addend(addend),
        }),
        error: if effect.error.is_finite() { effect.error } else { 0.0 },
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::domain::Signal;
    use crate::domain::policy::{KnownEvent, WorkloadSelector};
    use crate::domain::series::RowQuality;

    pub(super) fn series(rows: &[Vec<f64>], step_ms: i64) -> Series {
        let len = rows.iter().map(Vec::len).max().unwrap_or(0);
        let value = |(i, t): (usize, usize)| rows[i].get(t).copied().unwrap_or(f64::NAN);
        Series {
            axis: Axis { start_ms: 10 * step_ms, step_ms, len },
            rows: (0..rows.len())
                .map(|i| SeriesRow {
                    subject: Subject::Named(format!("row {i}")),
                    signal: Signal::Value,
                    quality: RowQuality::default(),
                })
                .collect(),
            values: Array2::from_shape_fn((rows.len(), len), value),
            notes: Vec::new(),
        }
    }

    pub(super) fn settings(horizon_steps: usize) -> ForecastSettings {
        ForecastSettings {
            horizon_steps,
            seasons: None,
            levels: vec![0.9, 0.5],
            lead_steps: 3,
            calendar: Calendar::default(),
            threads: 2,
        }
    }

    fn daily(len: usize, size: f64) -> Vec<f64> {
        (0..len)
            .map(|i| {
                size * (3.0 + (i as f64 / 24.0 * std::f64::consts::TAU).sin() + 0.1 * f64::from(i as u32 * 7919 % 13))
            })
            .collect()
    }

    #[test]
    fn a_shorter_row_is_forecast_from_its_own_end() {
        let forecasts =
            forecast_series(&series(&[daily(480, 1.0), daily(300, 2.0)], 3_600_000), &settings(24), &|_, _| ());
        assert_eq!(forecasts[0].start_ms, 490 * 3_600_000);
        assert_eq!(forecasts[1].start_ms, 310 * 3_600_000);
        assert_eq!(forecasts[0].levels, [0.5, 0.9]);
        assert_eq!((forecasts[0].horizon(), forecasts[0].lead_steps), (24, 3));
        assert_eq!(forecasts[0].trust.seasons.first(), Some(&24));
    }

    #[test]
    fn threads_do_not_change_the_result_and_progress_counts_every_row() {
        let rows: Vec<Vec<f64>> = (1..6).map(|i| daily(200 + 40 * i, i as f64)).collect();
        let series = series(&rows, 3_600_000);
        let most = std::sync::atomic::AtomicUsize::new(0);
        let count = |done, total| {
            assert_eq!(total, 5);
            most.fetch_max(done, std::sync::atomic::Ordering::Relaxed);
        };
        let one = forecast_series(&series, &ForecastSettings { threads: 1, ..settings(12) }, &count);
        let two = forecast_series(&series, &settings(12), &|_, _| ());
        assert_eq!(one, two);
        assert_eq!(most.into_inner(), 5);
    }

    #[test]
    fn no_rows_give_no_forecasts() {
        assert!(forecast_series(&series(&[], 60_000), &settings(3), &|_, _| ()).is_empty());
    }

    const HOUR_MS: i64 = 3_600_000;

    /// A day and noise without a pattern.
    fn load(len: usize, size: f64) -> Vec<f64> {
        let noise = |t: usize| (t as f64 * 12.9898).sin() * 43758.5453 % 1.0;
        (0..len).map(|t| size * (10.0 + 3.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin() + noise(t))).collect()
    }

    fn sale(name: &str, days: &[i64], origin_ms: i64) -> KnownEvent {
        let span = |day: &i64| (origin_ms + 24 * day * HOUR_MS, origin_ms + 24 * (day + 1) * HOUR_MS);
        let selects = WorkloadSelector { names: vec![name.to_owned()], ..WorkloadSelector::default() };
        KnownEvent { name: "sale".into(), spans: days.iter().map(span).collect(), repeats: None, selects }
    }

    #[test]
    fn a_known_event_moves_the_series_it_concerns_and_no_other() {
        let mut rows = [load(480, 1.0), load(480, 2.0)];
        for row in &mut rows {
            for day in [6, 10, 15] {
                row[24 * day..24 * (day + 1)].iter_mut().for_each(|v| *v *= 2.0);
            }
        }
        let input = series(&rows, HOUR_MS);
        let known = sale("row 0", &[6, 10, 15, 20], input.axis.start_ms);
        let asked = ForecastSettings { calendar: Calendar::new(&[known], None), ..settings(24) };
        let forecasts = forecast_series(&input, &asked, &|_, _| ());
        let [effect] = &forecasts[0].effects[..] else { panic!("{:?}", forecasts[0].effects) };
        assert_eq!((effect.event.as_str(), effect.occurrences, effect.steps_ahead), ("sale", 3, 24));
        assert!(matches!(effect.change, Some(Change::Factor(f)) if (f - 2.0).abs() < 0.2), "{effect:?}");
        let sum = |forecast: &Forecast| forecast.mean.iter().sum::<f64>();
        let usual: f64 = load(24, 1.0).iter().sum();
        assert!((sum(&forecasts[0]) / usual - 2.0).abs() < 0.3, "{}", sum(&forecasts[0]) / usual);
        assert!(
            (sum(&forecasts[1]) / usual - 2.0).abs() < 0.6,
            "twice the size, no event: {}",
            sum(&forecasts[1]) / usual
        );
        let events = |f: &Forecast| f.marks.iter().filter(|m| matches!(m.kind, MarkKind::Event(_))).count();
        assert_eq!((events(&forecasts[0]), events(&forecasts[1])), (4, 0));
        assert!(forecasts[1].effects.is_empty());
    }

    #[test]
    fn what_stands_out_is_marked_at_its_time() {
        let mut row = load(480, 1.0);
        row[300] = 90.0;
        let input = series(&[row], HOUR_MS);
        let forecast = &forecast_series(&input, &settings(24), &|_, _| ())[0];
        let [mark] = &forecast.marks[..] else { panic!("{:?}", forecast.marks) };
        assert_eq!((&mark.kind, mark.start_ms, mark.end_ms), (&MarkKind::Spike, 310 * HOUR_MS, 311 * HOUR_MS));
        assert!(mark.size.is_some_and(|size| (70.0..90.0).contains(&size)), "{mark:?}");
    }

    #[test]
    fn further_levels_change_nothing_of_those_asked_for() {
        let input = series(&[load(480, 1.0), load(30, 1.0)], HOUR_MS);
        let asked = settings(24);
        let more = forecast_series(&input, &asked.with_levels(&score::SCORED_LEVELS), &|_, _| ());
        let kept: Vec<Forecast> = more.into_iter().map(|f| f.at_levels(&asked.levels)).collect();
        assert_eq!(kept, forecast_series(&input, &asked, &|_, _| ()));
    }
}
