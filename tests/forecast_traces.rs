//! Forecasts of real series, scored against what followed. Needs `../shared/data`; skipped with a printed reason where
//! that folder is missing. Settings are fixed here and were chosen on windows inside the training parts only.
#![cfg(feature = "tables")]
#![expect(clippy::print_stdout, reason = "scores are shown beside the assertions")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use ndarray::Array2;
use plimsoll::domain::forecast::Trust;
use plimsoll::domain::series::{RowQuality, SeriesRow};
use plimsoll::domain::{Axis, Forecast, Series, Signal, Subject};
use plimsoll::forecast::{Calendar, ForecastSettings, forecast_series};
use plimsoll_models::forecast::scores;
use polars::prelude::{DataFrame, DataType, ParquetReader, SerReader};

/// The table, or `None` with a printed reason.
fn shared(name: &str) -> Option<DataFrame> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    let Ok(file) = File::open(&path) else {
        println!("skipped: ../shared/data/{name} is missing");
        return None;
    };
    Some(ParquetReader::new(file).finish().expect("a readable Parquet file"))
}

fn floats(table: &DataFrame, column: &str) -> Vec<f64> {
    let values = table.column(column).expect("the column").cast(&DataType::Float64).expect("numbers");
    values.f64().expect("numbers").iter().map(|v| v.unwrap_or(f64::NAN)).collect()
}

/// Values by series in the order of `step`.
fn long(table: &DataFrame, step: &str) -> BTreeMap<String, Vec<f64>> {
    let names = table.column("series").expect("the column").cast(&DataType::String).expect("names");
    let rows = names.str().expect("names").iter().zip(floats(table, step)).zip(floats(table, "value"));
    let mut series = BTreeMap::<String, Vec<(f64, f64)>>::new();
    for ((name, step), value) in rows {
        series.entry(name.expect("a name").to_owned()).or_default().push((step, value));
    }
    let in_order = |mut rows: Vec<(f64, f64)>| {
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows.into_iter().map(|(_, value)| value).collect()
    };
    series.into_iter().map(|(name, rows)| (name, in_order(rows))).collect()
}

fn series(rows: &[Vec<f64>], step_ms: i64) -> Series {
    let len = rows.iter().map(Vec::len).max().unwrap_or(0);
    Series {
        axis: Axis { start_ms: 0, step_ms, len },
        rows: (0..rows.len())
            .map(|i| SeriesRow {
                subject: Subject::Named(format!("{i:04}")),
                signal: Signal::Value,
                quality: RowQuality::default(),
            })
            .collect(),
        values: Array2::from_shape_fn((rows.len(), len), |(i, t)| rows[i].get(t).copied().unwrap_or(f64::NAN)),
        notes: Vec::new(),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count)
}

/// Mean (sMAPE, MASE) of paths, one a series.
fn point<'a>(histories: &[Vec<f64>], truths: &[Vec<f64>], paths: impl Iterator<Item = &'a [f64]>) -> (f64, f64) {
    let each: Vec<(f64, f64)> = histories
        .iter()
        .zip(truths)
        .zip(paths)
        .map(|((history, truth), path)| {
            let scale = scores::seasonal_scale(history, 24).expect("a varying series");
            (scores::smape(truth, path).expect("truth"), scores::mase(truth, path, scale).expect("truth"))
        })
        .collect();
    (mean(each.iter().map(|e| e.0)), mean(each.iter().map(|e| e.1)))
}

/// M4's overall weighted average against Naive2's published scores on all hourly series.
fn owa((smape, mase): (f64, f64)) -> f64 {
    0.5 * (smape / 18.383 + mase / 2.395)
}

#[test]
fn m4_hourly_is_forecast_better_than_by_any_entry_of_the_competition() {
    let (Some(train), Some(test)) = (shared("m4_hourly_train.parquet"), shared("m4_hourly_test.parquet")) else {
        return;
    };
    let histories: Vec<Vec<f64>> = long(&train, "step").into_values().collect();
    let truths: Vec<Vec<f64>> = long(&test, "step").into_values().collect();
    let settings = ForecastSettings {
        horizon_steps: 48,
        seasons: Some(vec![24]),
        levels: vec![0.025, 0.1, 0.5, 0.9, 0.975],
        lead_steps: 6,
        calendar: Calendar::default(),
        threads: 2,
    };
    let forecasts = forecast_series(&series(&histories, 1), &settings, &|_, _| ());
    assert_eq!(forecasts.len(), histories.len());
    assert!(forecasts.iter().zip(&histories).all(|(f, h)| f.start_ms == h.len() as i64));

    let ours = point(&histories, &truths, forecasts.iter().map(|f| f.mean.as_slice()));
    let naive: Vec<Vec<f64>> = histories.iter().map(|h| [&h[h.len() - 24..], &h[h.len() - 24..]].concat()).collect();
    let naive = point(&histories, &truths, naive.iter().map(Vec::as_slice));
    let (low, high): (Vec<_>, Vec<_>) =
        forecasts.iter().map(|f| (f.quantiles.row(0).to_vec(), f.quantiles.row(4).to_vec())).unzip();
    let intervals = || histories.iter().zip(&truths).zip(low.iter().zip(&high));
    let msis = mean(intervals().map(|((history, truth), (low, high))| {
        scores::msis(truth, low, high, 0.05, scores::seasonal_scale(history, 24).expect("varies")).expect("truth")
    }));
    let covered = mean(intervals().map(|((_, truth), (low, high))| {
        scores::coverage(truth, high).expect("truth") - scores::coverage(truth, low).expect("truth")
    }));
    let peaks = peak_coverage(&forecasts, &truths);
    println!("sMAPE {:.3} MASE {:.3} OWA {:.3} MSIS {msis:.3}", ours.0, ours.1, owa(ours));
    println!("seasonal naive {:.3} {:.3} {:.3}", naive.0, naive.1, owa(naive));
    println!("95 % interval covers {covered:.3}, peak quantiles {peaks:.3?}");
    assert!(ours.0 <= 8.80 && ours.1 <= 0.78 && owa(ours) <= 0.405, "{ours:?}");
    assert!(owa(ours) < 0.7 * owa(naive));
    assert!(msis <= 6.2, "{msis}");
    assert!((covered - 0.95).abs() < 0.015, "{covered}");
    assert!((peaks[3] - 0.9).abs() < 0.07, "{peaks:?}");
    let own = |of: fn(&Trust) -> Option<f64>| mean(forecasts.iter().map(|f| of(&f.trust).expect("tested")));
    assert!(own(|trust| trust.mase) < own(|trust| trust.mase_seasonal_naive));
}

/// Share of truths whose peak is at or below each level's quantile of the peak.
fn peak_coverage(forecasts: &[Forecast], truths: &[Vec<f64>]) -> Vec<f64> {
    let below = |level: usize| {
        let hits = forecasts.iter().zip(truths).map(|(f, truth)| {
            let peak = truth[..f.lead_steps].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            f64::from(u8::from(peak <= f.peak[level]))
        });
        mean(hits)
    };
    (0..forecasts[0].levels.len()).map(below).collect()
}

/// Pooled results of forecasts from several moments.
struct Held {
    /// Share of values at or below p95, and of peaks at or below their p95.
    steps: f64,
    peaks: f64,
    /// Geometric mean of the mean absolute error over that of the seasonal naive forecast and of the last value.
    against_seasonal: f64,
    against_last: f64,
    /// Mean logarithm of our error over that of whichever of both did better, and its standard error over the windows.
    over_better: (f64, f64),
}

/// Forecasts `rows` from `moments` moments, a day and a quarter apart, and holds each against what followed.
fn held_out(rows: &[Vec<f64>], step_ms: i64, day: usize, horizon: usize, lead: usize, moments: usize) -> Held {
    let settings = ForecastSettings {
        horizon_steps: horizon,
        seasons: None,
        levels: vec![0.5, 0.95],
        lead_steps: lead,
        calendar: Calendar::default(),
        threads: 2,
    };
    let (mut steps, mut peaks, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for moment in 0..moments {
        let end = |row: &Vec<f64>| row.len() - horizon - moment * (day + day / 4);
        let histories: Vec<Vec<f64>> = rows.iter().map(|row| row[..end(row)].to_vec()).collect();
        let truths: Vec<Vec<f64>> = rows.iter().map(|row| row[end(row)..end(row) + horizon].to_vec()).collect();
        let forecasts = forecast_series(&series(&histories, step_ms), &settings, &|_, _| ());
        assert!(forecasts.iter().all(|f| f.trust != Trust::default()));
        for ((forecast, truth), history) in forecasts.iter().zip(&truths).zip(&histories) {
            steps.extend(scores::coverage(truth, &forecast.quantiles.row(1).to_vec()));
            let naive: Vec<f64> = (0..horizon).map(|h| history[history.len() - day + h % day]).collect();
            let last = vec![history[history.len() - 1]; horizon];
            // A hundredth of what changes from day to day is no error: a standing value is foreseen by whoever repeats it.
            let least = 0.01 * scores::seasonal_scale(history, day).unwrap_or(1e-7);
            let error = |path: &[f64]| scores::mae(truth, path).map_or(f64::NAN, |e| e.max(least));
            ratios.push((error(&forecast.mean) / error(&naive), error(&forecast.mean) / error(&last)));
        }
        peaks.push(peak_coverage(&forecasts, &truths)[1]);
    }
    let logs = |of: fn(&(f64, f64)) -> f64| ratios.iter().map(|ratio| of(ratio).ln()).collect::<Vec<f64>>();
    let (seasonal, last) = (with_error(&logs(|r| r.0)), with_error(&logs(|r| r.1)));
    Held {
        steps: mean(steps.into_iter()),
        peaks: mean(peaks.into_iter()),
        against_seasonal: seasonal.0.exp(),
        against_last: last.0.exp(),
        // The better method is the one over which ours looks worse.
        over_better: if seasonal.0 > last.0 { seasonal } else { last },
    }
}

/// The mean and its standard error.
fn with_error(values: &[f64]) -> (f64, f64) {
    let (count, centre) = (values.len() as f64, mean(values.iter().copied()));
    let variance = values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (count - 1.0);
    (centre, (variance / count).sqrt())
}

impl Held {
    fn check(&self, what: &str) {
        println!(
            "{what}: p95 covers {:.3}, of the peak {:.3}; error over seasonal naive's {:.3}, over last value's {:.3}",
            self.steps, self.peaks, self.against_seasonal, self.against_last
        );
        assert!((self.steps - 0.95).abs() < 0.04, "{what}: {}", self.steps);
        assert!(self.peaks > 0.85, "{what}: {}", self.peaks);
        assert!(self.against_seasonal < 0.85 && self.against_last < 1.0, "{what}");
        self.check_against_naive(what);
    }

    /// Never worse than the better of seasonal naive and last value beyond noise: two standard errors.
    fn check_against_naive(&self, what: &str) {
        let (log, error) = self.over_better;
        println!(
            "{what}: error over the better naive method's {:.3}, within a factor of {:.3}",
            log.exp(),
            (2.0 * error).exp()
        );
        assert!(log <= 2.0 * error, "{what}: {} of the better naive method's error", log.exp());
    }
}

#[test]
fn virtual_machines_keep_their_coverage() {
    let Some(table) = shared("azure_vm_cpu_microsoft_max_100.parquet") else { return };
    let rows: Vec<Vec<f64>> = (1..=50).step_by(4).map(|i| floats(&table, &format!("vm{i}"))).collect();
    held_out(&rows, 300_000, 288, 12, 3, 3).check("Azure, an hour ahead");
    let Some(table) = shared("azure_vm_cpu_periodic_avg_78.parquet") else { return };
    let names: Vec<String> = table.get_column_names().iter().map(ToString::to_string).collect();
    let rows: Vec<Vec<f64>> = names.iter().step_by(4).map(|name| floats(&table, name)).collect();
    held_out(&rows, 300_000, 288, 288, 3, 2).check("Azure, a day ahead");
}

#[test]
fn minutes_of_production_services_keep_their_coverage() {
    let Some(table) = shared("crane_production.parquet") else { return };
    let rows: Vec<Vec<f64>> = long(&table, "timestamp").into_values().collect();
    held_out(&rows, 60_000, 1440, 60, 15, 4).check("Crane, an hour ahead");
}

/// Values at every step from the first instant to the last; NaN where there is none.
fn on_grid(rows: impl Iterator<Item = (f64, f64)>, step_ms: f64) -> Vec<f64> {
    let rows: Vec<(f64, f64)> = rows.collect();
    let first = rows.iter().map(|row| row.0).fold(f64::INFINITY, f64::min);
    let place = |time: f64| ((time - first) / step_ms).round() as usize;
    let mut values = vec![f64::NAN; rows.iter().map(|row| place(row.0) + 1).max().unwrap_or(0)];
    for (time, value) in rows {
        values[place(time)] = value;
    }
    values
}

#[test]
fn flash_crowds_are_forecast_no_worse_than_by_naive_methods() {
    let Some(table) = shared("worldcup98_requests_per_minute.parquet") else { return };
    let times = floats(&table, "timestamp");
    let apart = times.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let row = on_grid(times.into_iter().zip(floats(&table, "requests")), apart);
    let rows = [row];
    held_out(&rows, 60_000, 1440, 60, 15, 16).check_against_naive("WorldCup98, an hour ahead");
    held_out(&rows, 60_000, 1440, 1440, 15, 16).check_against_naive("WorldCup98, a day ahead");
}

#[test]
fn cloud_watch_is_forecast_no_worse_than_by_naive_methods() {
    let Some(table) = shared("nab_aws_cloudwatch.parquet") else { return };
    // Times are text, in the order of the file; a handful of missing steps is left out.
    let rows: Vec<Vec<f64>> = long(&table, "timestamp").into_values().collect();
    held_out(&rows, 300_000, 288, 12, 3, 3).check_against_naive("CloudWatch, an hour ahead");
    held_out(&rows, 300_000, 288, 288, 3, 2).check_against_naive("CloudWatch, a day ahead");
}
