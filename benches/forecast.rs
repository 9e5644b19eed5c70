//! Forecasts by size: one series, a hundred, and a fortnight of minutes. The error on what followed, over that of the
//! seasonal naive forecast, is printed beside the time.
#![expect(clippy::print_stdout, reason = "quality is printed beside time")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use plimsoll::domain::{Signal, Subject};
use plimsoll::forecast::{Calendar, ForecastSettings, Live, LiveSettings};
use plimsoll_models::forecast::{FleetShape, Outcome, Pooled, Seasons, Settings, Streaming, Study};

mod load;

use load::{errors, load};

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
    let outcomes = fleet(&histories, settings);
    let each = whole.iter().zip(&histories).zip(&outcomes);
    each.map(|((row, history), outcome)| errors(history, &row[cut(row)..], &outcome.mean, day)).fold(
        (0.0, 0.0),
        |(ours, naive), (of_ours, of_naive)| {
            let share = 1.0 / whole.len() as f64;
            (ours + share * of_ours, naive + share * of_naive)
        },
    )
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forecast");
    group.sample_size(10);
    for (name, count, len, day, horizon, lead) in [
        ("hourly", 1, 960, 24, 48, 6),
        ("hourly", 100, 960, 24, 48, 6),
        ("hourly", 1000, 960, 24, 48, 6),
        ("minutes", 1, 20_160, 1440, 1440, 30),
    ] {
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
        let samples = load(1, 20_160, 1440);
        let mut t = 0;
        bencher.iter(|| {
            t = (t + 1) % samples.len();
            state.update(black_box(samples[t]));
        });
    });
    group.finish();
}

/// The state of a fleet of minutes, sample by sample: what most samples take, what the slowest take, and what saving costs.
fn streaming(criterion: &mut Criterion) {
    let settings = ForecastSettings {
        horizon_steps: 60,
        seasons: Some(vec![1440]),
        levels: vec![0.5, 0.95],
        lead_steps: 15,
        calendar: Calendar::default(),
        threads: 1,
    };
    let wanted = LiveSettings { forecast: settings, refresh_steps: 30 };
    let mut live = Live::new(60_000, &wanted);
    let fleet: Vec<(Subject, Vec<f64>)> =
        (0..SERIES).map(|i| (Subject::Named(format!("pod-{i}")), load(i as u64, SAMPLES, 1440))).collect();
    let mut nanoseconds = Vec::with_capacity(SERIES * SAMPLES);
    for t in 0..SAMPLES {
        for (subject, samples) in &fleet {
            let begin = Instant::now();
            live.update(subject, Signal::Value, t as i64 * 60_000, black_box(samples[t]));
            nanoseconds.push(begin.elapsed().as_nanos());
        }
    }
    nanoseconds.sort_unstable();
    let at = |share: f64| nanoseconds[(share * (nanoseconds.len() - 1) as f64) as usize] as f64 / 1000.0;
    println!(
        "live update of {SERIES} series, {} samples: p50 {:.2} µs, p99 {:.2} µs, p99.9 {:.2} µs, most {:.1} µs",
        nanoseconds.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    let text = live.to_json();
    let again = Live::from_json(&text, &wanted).expect("a state just saved");
    assert_eq!(again.to_json(), text, "what is loaded is what was saved");
    println!("its saved state: {} bytes a series", text.len() / SERIES);
    let mut group = criterion.benchmark_group("live");
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("save", SERIES), |bencher| bencher.iter(|| live.to_json()));
    group.bench_function(BenchmarkId::new("load", SERIES), |bencher| bencher.iter(|| Live::from_json(&text, &wanted)));
    group.finish();
}

/// Series and samples of each that are timed one by one.
const SERIES: usize = 100;
const SAMPLES: usize = 5000;

criterion_group!(benches, streaming, bench);
criterion_main!(benches);
