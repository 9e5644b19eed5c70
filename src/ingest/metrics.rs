//! Metrics from a file, whatever its format.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Source, openmetrics, prometheus};
use crate::domain::samples::Rows;
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

/// A file of any of these formats, to be read a piece at a time: tables are never held whole, and Parquet that is not
/// compressed as a whole is read from where it lies. Also gives the size in bytes, decompressed.
///
/// # Errors
/// As [`read`], as far as the beginning of the file tells; what is further in is told when it is read.
pub fn open(path: &Path, options: &Options) -> Result<(Box<dyn Rows>, u64), InputError> {
    if let Some((file, size)) = parquet_file(path) {
        return Ok((open_parquet(path.display().to_string(), file, &options.table)?, size));
    }
    let source = Source::read(path)?;
    let size = source.bytes.len() as u64;
    let rows = match format_of(&source)? {
        Format::Parquet => open_parquet(source.name, std::io::Cursor::new(source.bytes), &options.table)?,
        Format::Csv => open_csv(source, &options.table)?,
        Format::PrometheusResponse | Format::Exposition => Box::new(read(&source, options)?),
    };
    Ok((rows, size))
}

/// The file and its size, if it is Parquet as it stands.
fn parquet_file(path: &Path) -> Option<(File, u64)> {
    if !path.is_file() {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let mut magic = [0; 4];
    file.read_exact(&mut magic).ok()?;
    (magic == *b"PAR1").then_some(())?;
    let size = file.metadata().ok()?.len();
    Some((file, size))
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

#[cfg(feature = "tables")]
fn open_csv(source: Source, shape: &TableShape) -> Result<Box<dyn Rows>, InputError> {
    Ok(Box::new(super::tables::open_csv(std::borrow::Cow::Owned(source), shape)?))
}

#[cfg(feature = "tables")]
fn open_parquet(
    name: String,
    input: impl Read + std::io::Seek + 'static,
    shape: &TableShape,
) -> Result<Box<dyn Rows>, InputError> {
    Ok(Box::new(super::tables::open_parquet(name, input, shape)?))
}

#[cfg(not(feature = "tables"))]
fn open_csv(source: Source, shape: &TableShape) -> Result<Box<dyn Rows>, InputError> {
    Ok(Box::new(csv(&source, shape)?))
}

#[cfg(not(feature = "tables"))]
fn open_parquet(
    name: String,
    _: impl Read + std::io::Seek + 'static,
    shape: &TableShape,
) -> Result<Box<dyn Rows>, InputError> {
    Ok(Box::new(parquet(&Source { name, bytes: Vec::new() }, shape)?))
}

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
