//! Metrics into samples, by format and size: `cargo bench --bench ingest`, or with a filter such as `-- parquet/1000000`.
//!
//! Beside each time stand the rows and bytes read and what became of them, so that a faster reader that loses rows
//! shows.

#![expect(clippy::print_stderr, reason = "a bench reports")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use plimsoll::domain::Samples;
use plimsoll::domain::samples::SeriesKey;
use plimsoll::ingest::Source;
use plimsoll::ingest::metrics::{Options, read};
use plimsoll::ingest::tables::{write_csv, write_parquet};

const SIZES: [usize; 3] = [100_000, 1_000_000, 10_000_000];
/// A week at a step of a minute, rounded.
const ROWS_PER_SERIES: usize = 10_000;

/// Counters of containers as cAdvisor names them, a minute apart.
fn generated(rows: usize) -> Samples {
    let series = rows.div_ceil(ROWS_PER_SERIES);
    let key = |index: usize| SeriesKey {
        metric: "container_cpu_usage_seconds_total".into(),
        labels: [
            ("namespace", format!("team-{}", index % 10)),
            ("pod", format!("service-{}-7c5ddbdf54-{index:05x}", index % 40)),
            ("container", "app".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
    };
    Samples {
        keys: (0..series).map(key).collect(),
        series: (0..rows).map(|row| (row / ROWS_PER_SERIES) as u32).collect(),
        timestamps_ms: (0..rows).map(|row| 1_700_000_000_000 + 60_000 * (row % ROWS_PER_SERIES) as i64).collect(),
        // A multiplier coprime to the modulus gives steps that neither repeat soon nor compress to nothing.
        values: (0..rows)
            .map(|row| (row % ROWS_PER_SERIES) as f64 * 15.0 + (row * 7919 % 10_007) as f64 / 1e3)
            .collect(),
        notes: Vec::new(),
    }
}

fn text(samples: &Samples) -> String {
    use std::fmt::Write as _;
    let names: Vec<String> = samples
        .keys
        .iter()
        .map(|key| {
            let labels: Vec<String> = key.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            format!("{}{{{}}}", key.metric, labels.join(","))
        })
        .collect();
    let mut text = String::new();
    for row in 0..samples.len() {
        let (name, time_ms) = (&names[samples.series[row] as usize], samples.timestamps_ms[row]);
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name} {} {time_ms}", samples.values[row]);
    }
    text
}

type Format = (&'static str, fn(&Samples) -> Vec<u8>);

const FORMATS: [Format; 3] = [
    ("parquet", |samples| write_parquet(samples).expect("generated samples can be written")),
    ("csv", |samples| write_csv(samples).expect("generated samples can be written").into_bytes()),
    ("text", |samples| text(samples).into_bytes()),
];

fn ingest(criterion: &mut Criterion) {
    for (format, write) in FORMATS {
        let mut group = criterion.benchmark_group(format);
        group.sample_size(10).measurement_time(Duration::from_secs(5));
        for rows in SIZES {
            let mut input = None;
            group.throughput(Throughput::Elements(rows as u64));
            group.bench_with_input(BenchmarkId::from_parameter(rows), &rows, |bencher, &rows| {
                // Made once the filter has let the bench through, since ten million rows take a while.
                let source = input.get_or_insert_with(|| source(format, write, rows));
                bencher.iter(|| read(source, &Options::default()).expect("a written export can be read"));
            });
        }
        group.finish();
    }
}

fn source(format: &str, write: fn(&Samples) -> Vec<u8>, rows: usize) -> Source {
    let source = Source { name: format.into(), bytes: write(&generated(rows)) };
    let samples = read(&source, &Options::default()).expect("a written export can be read");
    eprintln!(
        "{format}: {} rows of {rows} kept, {} series, {} bytes, {} notes",
        samples.len(),
        samples.keys.len(),
        source.bytes.len(),
        samples.notes.len()
    );
    source
}

criterion_group!(benches, ingest);
criterion_main!(benches);
