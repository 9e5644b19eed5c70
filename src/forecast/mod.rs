//! `Series` into `Forecast`s: the glue between the values and `plimsoll_models::forecast`.

mod backtest;
mod csv;
pub mod events;
pub mod live;
pub mod score;

use plimsoll_models::forecast::{FleetShape, Outcome, Pooled, Seasons, Settings, Study};
use rayon::prelude::*;

use crate::domain::forecast::{Mark, MarkKind, Trust};
use crate::domain::policy::KnownEvent;
use crate::domain::series::{SeriesRow, is_numbered};
use crate::domain::{Axis, Forecast, Series, Snapshot, Subject};

pub use backtest::{Backtest, backtest};
pub use csv::to_csv;
pub use live::{Live, LiveSettings};

/// How the mathematics words a forecast that is the pooled regression's.
const BORROWED: &str = "borrowed from the pooled regression";
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
    let rows: Vec<usize> = (0..series.rows.len()).collect();
    outcomes_of(series, &rows, &histories(series), settings, progress)
}

/// Forecasts of these rows from these histories, which begin where the axis does.
fn outcomes_of(
    series: &Series,
    rows: &[usize],
    histories: &[Vec<f64>],
    settings: &ForecastSettings,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Vec<Forecast> {
    let models = settings.for_models(&series.axis);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let run = || {
        let pooled = Pooled::over(histories, &models);
        let studies: Vec<Study> = histories
            .par_iter()
            .map(|history| {
                let study = Study::new(history, &models, pooled.as_ref());
                progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, histories.len());
                study
            })
            .collect();
        let shape = FleetShape::of(&studies);
        let outcomes: Vec<Outcome> = studies.par_iter().map(|study| study.outcome(&models, shape.as_ref())).collect();
        outcomes
    };
    let outcomes = match rayon::ThreadPoolBuilder::new().num_threads(settings.threads.max(1)).build() {
        Ok(pool) => pool.install(run),
        // No threads to be had: the shared pool does.
        Err(_) => run(),
    };
    let each = rows.iter().zip(histories).zip(outcomes);
    each.map(|((&row, history), outcome)| to_forecast(&series.rows[row], history.len(), outcome, &series.axis, &models))
        .collect()
}

/// What each row is forecast from.
fn histories(series: &Series) -> Vec<Vec<f64>> {
    series.rows.iter().zip(series.values.rows()).map(|(row, values)| history(row, &values.to_vec())).collect()
}

/// Marks what the events cover of each history and of the time ahead.
pub fn mark_events(series: &Series, known: &[KnownEvent], snapshot: Option<&Snapshot>, forecasts: &mut [Forecast]) {
    for forecast in forecasts {
        let end_ms = forecast.start_ms + forecast.step_ms * i64::try_from(forecast.horizon()).unwrap_or(i64::MAX);
        let concerned = known.iter().filter(|event| events::concerns(event, &forecast.subject, snapshot));
        for event in concerned {
            let spans = events::spans(event, series.axis.start_ms, end_ms).into_iter();
            forecast.marks.extend(spans.map(|(start_ms, end_ms)| Mark {
                kind: MarkKind::Event(event.name.clone()),
                start_ms,
                end_ms,
            }));
        }
        forecast.marks.sort_by_key(|mark| (mark.start_ms, mark.end_ms));
    }
}

fn history(row: &SeriesRow, values: &[f64]) -> Vec<f64> {
    let end = match row.subject {
        Subject::Named(_) => values.iter().rposition(|v| v.is_finite()).map_or(values.len(), |last| last + 1),
        Subject::Pod { .. } | Subject::Workload(_) => values.len(),
    };
    values[..end].to_vec()
}

fn to_forecast(row: &SeriesRow, steps_before: usize, outcome: Outcome, axis: &Axis, settings: &Settings) -> Forecast {
    Forecast {
        subject: row.subject.clone(),
        signal: row.signal,
        start_ms: axis.time_ms(steps_before),
        step_ms: axis.step_ms,
        mean: outcome.mean,
        levels: settings.levels(),
        quantiles: outcome.quantiles,
        lead_steps: settings.lead_steps,
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
            borrowed: outcome.fallback.as_deref().is_some_and(|why| why.contains(BORROWED)),
            fallback: outcome.fallback,
        },
        marks: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::domain::Signal;
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
        ForecastSettings { horizon_steps, seasons: None, levels: vec![0.9, 0.5], lead_steps: 3, threads: 2 }
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
}
