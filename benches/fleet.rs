//! `plimsoll forecast` from a Parquet file to CSV, by size of the fleet: `cargo bench --bench fleet -- 1000 100000`.
//!
//! 960 steps of history, 48 ahead, 5 quantiles, 3 backtest origins. Wall and processor time and peak memory of the whole command
//! are printed beside the error of what it wrote over that of the seasonal naive forecast. A run of 100,000 series takes minutes,
//! so nothing is repeated: processor time says how much other work on the machine matters.
#![expect(clippy::print_stdout, reason = "a bench talks to whoever runs it")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use polars::prelude::*;

mod load;

use load::{errors, load};

const HISTORY: usize = 960;
const HORIZON: usize = 48;
const DAY: usize = 24;
/// Series in one row group.
const GROUP: usize = 1000;
/// Ticks of the kernel's clock in a second, as Linux shows it to programs everywhere.
const TICKS: f64 = 100.0;

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![100, 1000, 10_000] } else { sizes };
    for size in sizes {
        let folder = tempfile::tempdir().expect("a folder for the fleet");
        let input = folder.path().join("fleet.parquet");
        write(&input, size).expect("a file of the fleet");
        let output = folder.path().join("forecast.csv");
        let run = forecast(&input, &output);
        let (ours, naive) = quality(&output, size);
        println!(
            "{size} series, {} MiB of Parquet: {:.1} s, {:.1} processor seconds ({:.2} ms a series), peak {} MiB, \
             {} MiB of CSV; MASE {ours:.3}, seasonal naive {naive:.3}",
            mebibytes(&input),
            run.wall.as_secs_f64(),
            run.processor_seconds,
            1000.0 * run.processor_seconds / size as f64,
            run.peak_kib / 1024,
            mebibytes(&output),
        );
    }
}

fn mebibytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len() >> 20)
}

fn name(i: usize) -> String {
    format!("shop/service-{:04}/pod-{i:06}", i / 20)
}

/// Long form, a row group at a time.
fn write(path: &Path, size: usize) -> PolarsResult<()> {
    let fields = [("series", DataType::String), ("step", DataType::Int64), ("value", DataType::Float64)];
    let schema: Schema = fields.into_iter().map(|(name, kind)| Field::new(name.into(), kind)).collect();
    let mut writer =
        ParquetWriter::new(File::create(path)?).with_compression(ParquetCompression::Snappy).batched(&schema)?;
    for first in (0..size).step_by(GROUP) {
        let group = first..size.min(first + GROUP);
        let names = group.clone().flat_map(|i| std::iter::repeat_n(name(i), HISTORY)).collect::<StringChunked>();
        let steps: Vec<i64> = group.clone().flat_map(|_| 0..HISTORY as i64).collect();
        let values: Vec<f64> = group.clone().flat_map(|i| history(i).0).collect();
        let columns = vec![
            Column::from(names.into_series().with_name("series".into())),
            Column::new("step".into(), steps),
            Column::new("value".into(), values),
        ];
        writer.write_batch(&DataFrame::new(group.len() * HISTORY, columns)?)?;
    }
    writer.finish()?;
    Ok(())
}

/// History and truth of a series.
fn history(i: usize) -> (Vec<f64>, Vec<f64>) {
    let mut whole = load(i as u64, HISTORY + HORIZON, DAY);
    let truth = whole.split_off(HISTORY);
    (whole, truth)
}

struct Run {
    wall: Duration,
    processor_seconds: f64,
    peak_kib: u64,
}

/// Runs the command and watches it, as far as Linux tells.
fn forecast(input: &Path, output: &Path) -> Run {
    let (begin, before) = (Instant::now(), children_seconds());
    let mut child = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["forecast", "--horizon", "48", "--season", "24", "--quantiles", "0.025,0.1,0.5,0.9,0.975", "-o", "csv"])
        .arg("--input")
        .arg(input)
        .arg("--out")
        .arg(output)
        .stdout(Stdio::null())
        .spawn()
        .expect("the command");
    let mut peak_kib = 0;
    while child.try_wait().expect("a child").is_none() {
        peak_kib = peak_kib.max(peak_of(child.id()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = child.wait().expect("a child that has ended");
    assert!(status.success(), "{status}");
    Run { wall: begin.elapsed(), processor_seconds: children_seconds() - before, peak_kib }
}

fn peak_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Processor seconds of children that have ended; 0 where the system does not tell.
fn children_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // User and system time of waited-for children are fields 16 and 17; the third is the first behind the name.
    let ticks = after_name.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS
}

/// Mean errors of what was written, ours and the seasonal naive forecast's.
fn quality(output: &Path, size: usize) -> (f64, f64) {
    let mut lines = BufReader::new(File::open(output).expect("forecasts")).lines().skip(1);
    let (mut ours, mut naive) = (0.0, 0.0);
    // Names sort as their numbers do.
    for i in 0..size {
        let (history, truth) = history(i);
        let path: Vec<f64> = lines
            .by_ref()
            .take(HORIZON)
            .map(|line| {
                let line = line.expect("a line");
                assert!(line.starts_with(&name(i)), "{line}");
                line.split(',').nth(2).and_then(|mean| mean.parse().ok()).expect("a mean")
            })
            .collect();
        let (of_ours, of_naive) = errors(&history, &truth, &path, DAY);
        ours += of_ours / size as f64;
        naive += of_naive / size as f64;
    }
    (ours, naive)
}
