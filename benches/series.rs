//! Samples to aligned series, by size and by how the samples lie; quality and memory beside the time.
//!
//! Each instance has a CPU counter with resets and a memory gauge, every minute with drift, with gaps. Peak memory is that of the
//! process beyond what it held before, read from the kernel where it tells.

use std::collections::BTreeMap;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use plimsoll::domain::Samples;
use plimsoll::domain::samples::SeriesKey;
use plimsoll::policy::default_mapping;
use plimsoll::series::{AlignSettings, align};

const START_MS: i64 = 1_793_491_200_000;
const STEPS: usize = 2000;
/// A counter begins anew, and a scrape in this many is missing.
const RESET_EVERY: usize = 701;
const GAP_EVERY: usize = 97;

/// How the samples lie: series by series, or scrape by scrape.
#[derive(Debug, Clone, Copy)]
enum Order {
    Series,
    Scrapes,
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("align");
    for size in [100_000, 1_000_000, 10_000_000] {
        for order in [Order::Series, Order::Scrapes] {
            let samples = export(size, order);
            report(&samples, order);
            group.throughput(Throughput::Elements(samples.len() as u64));
            let id = BenchmarkId::new(format!("{order:?}"), size);
            let (mapping, settings) = (default_mapping(), AlignSettings::default());
            group.bench_with_input(id, &samples, |bencher, samples| {
                bencher.iter(|| align(samples, &mapping, None, &settings));
            });
        }
    }
    group.finish();
    criterion.final_summary();
}

fn export(size: usize, order: Order) -> Samples {
    let keys: Vec<SeriesKey> = (0..size / STEPS)
        .map(|i| {
            let metric = if i.is_multiple_of(2) {
                "container_cpu_usage_seconds_total"
            } else {
                "container_memory_working_set_bytes"
            };
            let pod = format!("web-{}-7c97f57c88-{:05}", i / 200, i / 2);
            let labels = [("namespace", "shop"), ("pod", pod.as_str()), ("container", "web")];
            SeriesKey {
                metric: metric.to_owned(),
                labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect::<BTreeMap<_, _>>(),
            }
        })
        .collect();
    let mut samples = Samples { keys, ..Samples::default() };
    let series = samples.keys.len();
    let mut put = |i: usize, step: usize| {
        if (step + i).is_multiple_of(GAP_EVERY) {
            return;
        }
        let offset_ms = step * 60_000 + (i * 37 + step * 11) % 900;
        samples.series.push(i as u32);
        samples.timestamps_ms.push(START_MS + i64::try_from(offset_ms).unwrap_or(0));
        samples.values.push(if i.is_multiple_of(2) {
            ((step + i) % RESET_EVERY * 30) as f64
        } else {
            (i % 64 * 4096) as f64
        });
    };
    match order {
        Order::Series => (0..series).for_each(|i| (0..STEPS).for_each(|step| put(i, step))),
        Order::Scrapes => (0..STEPS).for_each(|step| (0..series).for_each(|i| put(i, step))),
    }
    samples
}

#[expect(clippy::print_stdout, reason = "a bench talks to whoever runs it")]
fn report(samples: &Samples, order: Order) {
    let before = peak_kib(true);
    let begin = Instant::now();
    let series = match align(samples, &default_mapping(), None, &AlignSettings::default()) {
        Ok(series) => series,
        Err(error) => {
            println!("{error}");
            return;
        }
    };
    let elapsed = begin.elapsed();
    let (gaps, resets) =
        series.rows.iter().fold((0, 0), |(g, r), row| (g + row.quality.gap_cells, r + row.quality.resets));
    let cells = series.values.len();
    let memory = match (before, peak_kib(false)) {
        (Some(before), Some(after)) => {
            format!("{:.2} bytes a cell", after.saturating_sub(before) as f64 * 1024.0 / cells as f64)
        }
        _ => "memory unknown".to_owned(),
    };
    println!(
        "{} samples by {order:?}: {cells} cells, {gaps} gaps, {resets} resets, {memory}, {elapsed:.2?}",
        samples.len()
    );
}

/// Peak resident memory of this process; `reset` begins a new peak at what is resident now.
fn peak_kib(reset: bool) -> Option<usize> {
    if reset {
        std::fs::write("/proc/self/clear_refs", "5").ok()?;
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}
