//! Bytes into a table of typed columns.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use polars::prelude::*;

use crate::domain::{InputError, Location};
use crate::source::Source;

/// A table as read, under the name of its file.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) file: String,
    pub(super) columns: Vec<TypedColumn>,
    pub(super) rows: usize,
}

/// A column of one of the few types that matter here.
#[derive(Debug)]
pub(super) struct TypedColumn {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) cells: Cells,
}

/// What the cells are, or in a table of text, look like from the first that is not missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Float,
    Instant,
    /// Every cell is missing.
    Empty,
    /// A type that is neither a number, a text nor a time.
    Other,
}

/// The cells, in one chunk.
#[derive(Debug)]
pub(super) enum Cells {
    Text(StringChunked),
    Integers(Int64Chunked),
    Floats(Float64Chunked),
    /// Milliseconds since the Unix epoch.
    Instants(Int64Chunked),
    Other,
}

impl Table {
    pub(super) fn error_at(&self, row: usize, column: &TypedColumn, problem: &str) -> InputError {
        InputError::at(&self.file, Location::Row(row + 1), format!("column {:?}: {problem}", column.name))
    }
}

/// Whether a cell of a text table stands for a missing value.
pub(super) fn is_missing(cell: &str) -> bool {
    matches!(cell.trim_ascii(), "" | "NaN" | "nan" | "NAN" | "null" | "NULL" | "NA" | "N/A" | "None")
}

/// Every column is read as text, so that a cell that does not fit its column can be named by its row.
pub(super) fn read_csv(source: &Source) -> Result<Table, InputError> {
    let text = source.text()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let header = text.lines().next().unwrap_or_default();
    if header.trim_ascii().is_empty() {
        return Err(InputError::at(&source.name, Location::Line(1), "is empty where a header was expected"));
    }
    let options = CsvReadOptions::default()
        .with_infer_schema_length(Some(0))
        .with_rechunk(true)
        .map_parse_options(|parse| parse.with_separator(separator(header)));
    let frame = guarded(source, || options.into_reader_with_file_handle(Cursor::new(text.as_bytes())).finish())?;
    table(source, &frame, true)
}

/// Columns of types that mean nothing here are not decoded.
pub(super) fn read_parquet(source: &Source) -> Result<Table, InputError> {
    let mut unread = Vec::new();
    let frame = guarded(source, || {
        let mut reader = ParquetReader::new(Cursor::new(source.bytes.as_slice())).set_rechunk(true);
        let schema = reader.schema()?;
        let names = |read: bool| {
            let matching = schema.iter().filter(move |(_, field)| is_decoded(&field.dtype) == read);
            matching.map(|(name, _)| name.to_string()).collect::<Vec<_>>()
        };
        unread = names(false);
        reader.with_columns(Some(names(true))).finish()
    })?;
    let mut table = table(source, &frame, false)?;
    table.columns.extend(unread.into_iter().map(|name| TypedColumn { name, kind: Kind::Other, cells: Cells::Other }));
    Ok(table)
}

/// Types that polars is built to hold and that [`typed`] understands.
fn is_decoded(kind: &ArrowDataType) -> bool {
    use ArrowDataType as Arrow;
    let number = matches!(
        kind,
        Arrow::Int32 | Arrow::Int64 | Arrow::UInt32 | Arrow::UInt64 | Arrow::Float32 | Arrow::Float64 | Arrow::Boolean
    );
    let time = matches!(kind, Arrow::Timestamp(..) | Arrow::Date32 | Arrow::Date64);
    let text = matches!(kind, Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View | Arrow::Null);
    number || time || text || matches!(kind, Arrow::Dictionary(_, values, _) if is_decoded(values))
}

/// Tables being decoded, in this process.
static READING: AtomicUsize = AtomicUsize::new(0);

/// Whether a table is being decoded, so that a panic now is most likely the decoder's over a broken file, on whichever of
/// its threads; it becomes an error of the file, and a process' panic hook need not print it.
#[must_use]
pub fn is_decoding() -> bool {
    READING.load(Ordering::SeqCst) > 0
}

/// Polars' errors as ours. Its decoders trust some lengths and offsets of the file, and panic where a broken
/// file breaks that trust.
fn guarded(source: &Source, read: impl FnOnce() -> PolarsResult<DataFrame>) -> Result<DataFrame, InputError> {
    READING.fetch_add(1, Ordering::SeqCst);
    let outcome = catch_unwind(AssertUnwindSafe(read));
    READING.fetch_sub(1, Ordering::SeqCst);
    let problem = match outcome {
        Ok(Ok(frame)) => return Ok(frame),
        Ok(Err(error)) => {
            let text = error.to_string();
            text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
        }
        Err(_) => "its contents contradict each other".to_owned(),
    };
    Err(InputError::whole(&source.name, format!("is a broken table: {problem}"))
        .hint("is the file whole? export it again"))
}

/// The separator that the header has most of, outside quotes.
fn separator(header: &str) -> u8 {
    let count = |separator: u8| {
        let mut quoted = false;
        header
            .bytes()
            .filter(|&byte| {
                quoted ^= byte == b'"';
                !quoted && byte == separator
            })
            .count()
    };
    // The first of equals wins from the right, so a comma is the default.
    [b'\t', b';', b','].into_iter().max_by_key(|&separator| count(separator)).unwrap_or(b',')
}

fn table(source: &Source, frame: &DataFrame, from_text: bool) -> Result<Table, InputError> {
    let rows = frame.height();
    let columns = frame
        .columns()
        .iter()
        .map(|column| {
            let name = column.name().trim().to_owned();
            let (kind, cells) = typed(column.as_materialized_series(), from_text).map_err(|error| {
                InputError::at(&source.name, Location::Column(name.clone()), format!("failed to read: {error}"))
            })?;
            Ok(TypedColumn { name, kind, cells })
        })
        .collect::<Result<_, InputError>>()?;
    Ok(Table { file: source.name.clone(), columns, rows })
}

fn typed(series: &Series, from_text: bool) -> PolarsResult<(Kind, Cells)> {
    let series = series.rechunk();
    if series.null_count() == series.len() {
        return Ok((Kind::Empty, Cells::Other));
    }
    Ok(match series.dtype() {
        DataType::String => {
            let text = series.str()?.clone();
            (if from_text { looks_like(&text) } else { Kind::Text }, Cells::Text(text))
        }
        DataType::Categorical(..) | DataType::Enum(..) | DataType::Boolean => {
            (Kind::Text, Cells::Text(series.strict_cast(&DataType::String)?.str()?.clone()))
        }
        kind if kind.is_integer() => {
            (Kind::Integer, Cells::Integers(series.strict_cast(&DataType::Int64)?.i64()?.clone()))
        }
        kind if kind.is_float() => (Kind::Float, Cells::Floats(series.cast(&DataType::Float64)?.f64()?.clone())),
        DataType::Date => {
            let days = series.to_physical_repr().cast(&DataType::Int64)?;
            (Kind::Instant, Cells::Instants(days.i64()?.apply_values(|day| day.saturating_mul(86_400_000))))
        }
        DataType::Datetime(unit, _) => {
            let per_ms = match unit {
                TimeUnit::Nanoseconds => 1_000_000,
                TimeUnit::Microseconds => 1_000,
                TimeUnit::Milliseconds => 1,
            };
            let ticks = series.to_physical_repr().into_owned();
            (Kind::Instant, Cells::Instants(ticks.i64()?.apply_values(|tick: i64| tick.div_euclid(per_ms))))
        }
        _ => (Kind::Other, Cells::Other),
    })
}

/// What a column of text holds, by its first cell that is not missing.
fn looks_like(text: &StringChunked) -> Kind {
    let cells = || text.iter().flatten();
    let Some(cell) = cells().find(|cell| !is_missing(cell)).or_else(|| cells().find(|cell| !cell.is_empty())) else {
        return Kind::Empty;
    };
    let cell = cell.trim_ascii();
    if cell.parse::<i64>().is_ok() {
        Kind::Integer
    } else if cell.parse::<f64>().is_ok() {
        Kind::Float
    } else if super::times::instant(cell).is_some() {
        Kind::Instant
    } else {
        Kind::Text
    }
}
