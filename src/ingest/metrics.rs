//! Metrics from a file, whatever its format.

use super::{Source, openmetrics, prometheus};
use crate::domain::{InputError, Samples};

/// What a caller knows about the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// When samples without a timestamp were taken, milliseconds since the Unix epoch.
    pub default_time_ms: i64,
    /// Which column of a table is what.
    pub table: TableShape,
}

/// Which column of a table is what; what is not named is found by the columns' names and types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableShape {
    /// The column with the time.
    pub time: Option<String>,
    /// The column that names the series.
    pub series: Option<String>,
    /// The column with the values.
    pub value: Option<String>,
    /// What one step lasts where rows or a column `step` count steps, milliseconds, at least 1.
    pub step_ms: i64,
}

impl Default for TableShape {
    /// Nothing named; a step is a second.
    fn default() -> Self {
        Self { time: None, series: None, value: None, step_ms: 1000 }
    }
}

/// A file format for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Parquet,
    PrometheusResponse,
    Exposition,
    Csv,
}

/// Reads Parquet, a saved response of Prometheus' API, an `OpenMetrics` or Prometheus text, or CSV; the content tells
/// which.
///
/// # Errors
/// If the input is of none of these formats, is broken, or holds no measurement.
pub fn read(source: &Source, options: &Options) -> Result<Samples, InputError> {
    let samples = match format_of(source)? {
        Format::Parquet => parquet(source, &options.table),
        Format::PrometheusResponse => prometheus::parse_response(source),
        Format::Exposition => openmetrics::parse(source, options.default_time_ms),
        Format::Csv => csv(source, &options.table),
    }?;
    if samples.is_empty() {
        let reasons = if samples.notes.is_empty() { String::new() } else { format!(": {}", samples.notes.join(", ")) };
        return Err(InputError::whole(&source.name, format!("holds no measurement{reasons}")));
    }
    Ok(samples)
}

fn format_of(source: &Source) -> Result<Format, InputError> {
    if source.bytes.starts_with(b"PAR1") {
        return Ok(Format::Parquet);
    }
    let bytes = source.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&source.bytes);
    let mut lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let Some(first) = lines.next() else {
        return Err(InputError::whole(&source.name, "is empty").hint(EXPECTED));
    };
    if first.starts_with(b"{") && !first.starts_with(b"{__name__=") && !is_sample(first) || first.starts_with(b"[") {
        return Ok(Format::PrometheusResponse);
    }
    if first.starts_with(b"#") || is_sample(first) {
        return Ok(Format::Exposition);
    }
    if first.contains(&0) {
        return Err(InputError::whole(&source.name, "is in a binary format other than Parquet").hint(EXPECTED));
    }
    Ok(Format::Csv)
}

const EXPECTED: &str = "give CSV, Parquet, an OpenMetrics or Prometheus text, or a response of Prometheus' query_range";

/// Whether a line is `series value …`, which no header of a table is.
fn is_sample(line: &[u8]) -> bool {
    str::from_utf8(line).is_ok_and(openmetrics::is_sample)
}

#[cfg(feature = "tables")]
use super::tables::{read_csv as csv, read_parquet as parquet};

#[cfg(not(feature = "tables"))]
fn csv(source: &Source, _: &TableShape) -> Result<Samples, InputError> {
    Err(InputError::whole(&source.name, "looks like CSV, which this build does not read").hint(WITHOUT_TABLES))
}

#[cfg(not(feature = "tables"))]
fn parquet(source: &Source, _: &TableShape) -> Result<Samples, InputError> {
    Err(InputError::whole(&source.name, "is Parquet, which this build does not read").hint(WITHOUT_TABLES))
}

#[cfg(not(feature = "tables"))]
const WITHOUT_TABLES: &str = "build with the feature `tables`, which is on by default";
