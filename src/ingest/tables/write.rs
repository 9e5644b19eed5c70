//! Samples into tables of long form.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use polars::prelude::*;

use crate::domain::samples::SeriesKey;
use crate::domain::{InputError, Samples};

/// Columns with a meaning of their own; labels of these names go into the column `labels`.
const RESERVED: [&str; 4] = ["timestamp", "metric", "value", "labels"];
/// High, since exports are written once and read often; higher levels gain little on numbers.
const ZSTD_LEVEL: i32 = 12;

/// One row a measurement, sorted by key, then time, then as they were; a column a label, missing where a series has
/// none of that name.
struct Rows<'a> {
    samples: &'a Samples,
    order: Vec<u32>,
    label_columns: Vec<&'a str>,
    /// Whether some label needs the column `labels`.
    braces: bool,
}

impl<'a> Rows<'a> {
    fn of(samples: &'a Samples) -> Self {
        let mut by_key: Vec<usize> = (0..samples.keys.len()).collect();
        by_key.sort_unstable_by_key(|&index| &samples.keys[index]);
        let mut rank = vec![0_u32; by_key.len()];
        for (position, &index) in (0..).zip(&by_key) {
            rank[index] = position;
        }
        let mut order: Vec<u32> = (0..).take(samples.len()).collect();
        order.sort_by_key(|&row| (rank[samples.series[row as usize] as usize], samples.timestamps_ms[row as usize]));
        let names: BTreeSet<&str> = samples.keys.iter().flat_map(|key| key.labels.keys().map(String::as_str)).collect();
        let (label_columns, rest): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| has_column(name));
        Self { samples, order, label_columns, braces: !rest.is_empty() }
    }

    fn key(&self, row: u32) -> &'a SeriesKey {
        &self.samples.keys[self.samples.series[row as usize] as usize]
    }
}

fn has_column(label: &str) -> bool {
    let plain =
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
    plain && !label.starts_with("timestamp") && !RESERVED.iter().any(|name| label.eq_ignore_ascii_case(name))
}

/// The labels without a column of their own, in Prometheus' notation.
fn braces(key: &SeriesKey) -> Option<String> {
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let rest: Vec<String> = key
        .labels
        .iter()
        .filter(|(name, _)| !has_column(name))
        .map(|(name, value)| format!("\"{}\"=\"{}\"", escape(name), escape(value)))
        .collect();
    (!rest.is_empty()).then(|| format!("{{{}}}", rest.join(",")))
}

/// Writes Parquet: `timestamp` (milliseconds, UTC), `metric`, a column a label, `value`; zstd, texts as dictionaries.
///
/// # Errors
/// If the encoder refuses, which no samples are known to cause.
pub fn write_parquet(samples: &Samples) -> Result<Vec<u8>, InputError> {
    let failed = |error: PolarsError| InputError::whole("the Parquet table", format!("failed to write: {error}"));
    let rows = Rows::of(samples);
    let text = |name: &str, of_key: &dyn Fn(&SeriesKey) -> Option<String>| {
        let of_keys: Vec<Option<String>> = samples.keys.iter().map(of_key).collect();
        let cells = rows.order.iter().map(|&row| of_keys[samples.series[row as usize] as usize].as_deref());
        Column::new(name.into(), cells.collect::<StringChunked>().into_series())
    };
    let times: Int64Chunked = rows.order.iter().map(|&row| Some(samples.timestamps_ms[row as usize])).collect();
    let times = times.into_datetime(TimeUnit::Milliseconds, None).into_series().with_name("timestamp".into());
    let mut columns = vec![times.into_column(), text("metric", &|key| Some(key.metric.clone()))];
    for &label in &rows.label_columns {
        columns.push(text(label, &|key| key.labels.get(label).cloned()));
    }
    if rows.braces {
        columns.push(text("labels", &braces));
    }
    let values: Vec<f64> = rows.order.iter().map(|&row| samples.values[row as usize]).collect();
    columns.push(Column::new("value".into(), values));
    let mut frame = DataFrame::new(rows.order.len(), columns).map_err(failed)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(Some(
            polars::polars_utils::compression::ZstdLevel::try_new(ZSTD_LEVEL).map_err(failed)?,
        )))
        .finish(&mut frame)
        .map_err(failed)?;
    Ok(bytes)
}

/// Writes CSV of the same columns, with times as RFC 3339.
///
/// # Errors
/// If a time lies outside the years −9999 to 9999.
pub fn write_csv(samples: &Samples) -> Result<String, InputError> {
    let rows = Rows::of(samples);
    let mut text = String::from("timestamp,metric");
    for label in rows.label_columns.iter().copied().chain(rows.braces.then_some("labels")) {
        text.push(',');
        text.push_str(label);
    }
    text.push_str(",value\n");
    for &row in &rows.order {
        let key = rows.key(row);
        let time_ms = samples.timestamps_ms[row as usize];
        let time = Timestamp::from_millisecond(time_ms).map_err(|_| {
            InputError::whole("the CSV table", format!("{time_ms} ms is no time that RFC 3339 can name"))
        })?;
        // Writing to a string can't fail.
        let _ = write!(text, "{time},{}", field(&key.metric));
        for &label in &rows.label_columns {
            let _ = write!(text, ",{}", field(key.labels.get(label).map_or("", String::as_str)));
        }
        if rows.braces {
            let _ = write!(text, ",{}", field(&braces(key).unwrap_or_default()));
        }
        let _ = writeln!(text, ",{}", samples.values[row as usize]);
    }
    Ok(text)
}

/// A field in quotes where it needs them.
fn field(text: &str) -> String {
    let needs_quotes = text.contains([',', ';', '\t', '"', '\n', '\r']) || text.trim() != text;
    if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
