//! Forecasts by size: one series, a hundred, and a fortnight of minutes. The error on what followed, over that of the
//! seasonal naive forecast, is printed beside the time.
#![expect(clippy::print_stdout, reason = "quality is printed beside time")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use plimsoll::domain::{Signal, Subject};
use plimsoll::forecast::{Calendar, ForecastSettings, Live, LiveSettings};
use plimsoll_models::forecast::{FleetShape, Outcome, Pooled, Seasons, Settings, Streaming, Study, scores};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// A load with day, week, drifting level and noise, all positive.
fn load(seed: u64, len: usize, day: usize) -> Vec<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let size = 10.0 * rng.random::<f64>() + 1.0;
    let (weekend, noise) = (0.5 + 0.4 * rng.random::<f64>(), 0.05 + 0.1 * rng.random::<f64>());
    let mut drift = 0.0;
    (0..len)
        .map(|t| {
            let phase = t as f64 / day as f64 * std::f64::consts::TAU;
            let week = if (t / day) % 7 >= 5 { weekend } else { 1.0 };
            drift = 0.98 * drift + noise * (rng.random::<f64>() - 0.5);
            let shape = 2.0 + phase.sin() + 0.4 * (2.0 * phase).cos();
            size * (week * shape * (1.0 + drift) + 0.1 * noise * rng.random::<f64>())
        })
        .collect()
}

fn fleet(histories: &[Vec<f64>], settings: &Settings) -> Vec<Outcome> {
    let pooled = Pooled::over(histories, settings);
    let studies: Vec<Study> = histories.iter().map(|h| Study::new(h, settings, pooled.as_ref())).collect();
    let shape = FleetShape::of(&studies);
    studies.iter().map(|study| study.outcome(settings, shape.as_ref())).collect()
}

/// Mean absolute scaled error of ours and of the seasonal naive forecast over the last `horizon` steps.
fn quality(whole: &[Vec<f64>], day: usize, settings: &Settings) -> (f64, f64) {
    let cut = |row: &Vec<f64>| row.len() - settings.horizon;
    let histories: Vec<Vec<f64>> = whole.iter().map(|row| row[..cut(row)].to_vec()).collect();
    let mut sums = (0.0, 0.0);
    for ((row, history), outcome) in whole.iter().zip(&histories).zip(fleet(&histories, settings)) {
        let truth = &row[cut(row)..];
        let naive: Vec<f64> = (0..settings.horizon).map(|h| history[history.len() - day + h % day]).collect();
        let scale = scores::seasonal_scale(history, day).unwrap_or(1.0);
        sums.0 += scores::mase(truth, &outcome.mean, scale).unwrap_or(f64::NAN) / whole.len() as f64;
        sums.1 += scores::mase(truth, &naive, scale).unwrap_or(f64::NAN) / whole.len() as f64;
    }
    sums
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forecast");
    group.sample_size(10);
    for (name, count, len, day, horizon, lead) in
        [("hourly", 1, 960, 24, 48, 6), ("hourly", 100, 960, 24, 48, 6), ("minutes", 1, 20_160, 1440, 1440, 30)]
    {
        let settings = Settings {
            horizon,
            seasons: Seasons::Declared(vec![day]),
            levels: vec![0.025, 0.1, 0.5, 0.9, 0.975],
            lead_steps: lead,
            ..Settings::default()
        };
        let whole: Vec<Vec<f64>> = (0..count).map(|seed| load(seed, len + horizon, day)).collect();
        let (ours, naive) = quality(&whole, day, &settings);
        println!("{name} × {count}: MASE {ours:.3}, seasonal naive {naive:.3}");
        let histories: Vec<Vec<f64>> = whole.into_iter().map(|row| row[..len].to_vec()).collect();
        group.bench_with_input(BenchmarkId::new(name, count), &histories, |bencher, histories| {
            bencher.iter(|| fleet(black_box(histories), &settings));
        });
    }
    group.bench_function("streaming update", |bencher| {
        let mut state = Streaming::new(1440, 1.0);
        let mut t = 0_u32;
        bencher.iter(|| {
            t = t.wrapping_add(1);
            state.update(black_box(f64::from(t % 1440)));
        });
    });
    group.bench_function("live update", |bencher| {
        let settings = ForecastSettings {
            horizon_steps: 60,
            seasons: Some(vec![1440]),
            levels: vec![0.5, 0.95],
            lead_steps: 15,
            calendar: Calendar::default(),
            threads: 1,
        };
        let mut live = Live::new(60_000, &LiveSettings { forecast: settings, refresh_steps: 30 });
        let subject = Subject::Named("api".to_owned());
        let mut t = 0_i64;
        bencher.iter(|| {
            t += 1;
            live.update(&subject, Signal::Value, t * 60_000, black_box((t % 1440) as f64));
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
