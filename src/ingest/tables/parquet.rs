//! Parquet, some rows of the wanted columns at a time, straight from the file.
//!
//! Columns are decoded by what they hold, not by what a data frame would make of them: every width of integer, decimals,
//! and texts however they are encoded.

mod footer;
#[cfg(test)]
mod tests;

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use polars::error::PolarsError;
use polars_arrow::array::{Array, BooleanArray, PrimitiveArray, Utf8ViewArray};
use polars_arrow::compute::concatenate::concatenate;
use polars_arrow::datatypes::{ArrowDataType, Field, TimeUnit};
use polars_arrow::types::NativeType;
use polars_parquet::parquet::page::CompressedPage;
use polars_parquet::read::schema::{SchemaInferenceOptions, parquet_to_arrow_schema_with_options};
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, FileMetadata, Filter, PageReader, RowGroupMetadata, column_iter_to_arrays,
    infer_schema, read_metadata,
};

use super::table::{
    Block, Body, CONTRADICTION, Cells, Column, Header, Kind, Next, Table, broken, guarded, is_braced, looks_like,
};
use crate::domain::InputError;

/// Cells decoded at once, if a row group has so many. Tests see many blocks.
const BLOCK_CELLS: usize = if cfg!(test) { 24 } else { 3 << 20 };
/// Rows decoded at once at least, if a row group has so many: each go over a row group begins at its first page.
const LEAST_ROWS: usize = if cfg!(test) { 5 } else { 1 << 16 };

/// Digits of a decimal in 128 bits.
const MOST_DIGITS: usize = 38;

const DAY_MS: i64 = 86_400_000;

/// Bytes that can be read from any place.
pub(super) trait Input: Read + Seek {}
impl<T: Read + Seek> Input for T {}

/// The rows of a Parquet file.
pub(super) struct Parquet<'a> {
    file: String,
    input: Box<dyn Input + 'a>,
    size: u64,
    metadata: FileMetadata,
    /// How each column is decoded, by its place in the header; `None` for types that mean nothing here.
    fields: Vec<Option<Field>>,
}

/// Reads what the file says of itself, and looks at columns only where that does not tell whether they hold anything.
pub(super) fn open(file: String, mut input: Box<dyn Input + '_>) -> Result<Table<'_>, InputError> {
    let unreadable = |e: std::io::Error| InputError::whole(&file, format!("failed to read: {e}"));
    let size = input.seek(SeekFrom::End(0)).map_err(unreadable)?;
    if !footer::is_sized(&mut input, size).map_err(unreadable)? {
        return Err(broken(&file, CONTRADICTION));
    }
    let (metadata, columns, fields) = guarded(&file, || {
        let metadata = read_metadata(&mut input)?;
        let declared = infer_schema(&metadata)?;
        let options = Some(SchemaInferenceOptions { int96_coerce_to_timeunit: TimeUnit::Millisecond });
        let stored = parquet_to_arrow_schema_with_options(metadata.schema().fields(), &options);
        let (columns, fields): (Vec<Column>, Vec<Option<Field>>) = stored
            .iter_values()
            .map(|field| {
                let declared = declared.get(&field.name).map_or(&field.dtype, |field| &field.dtype);
                let kind = kind(&field.dtype, declared);
                let column = Column {
                    name: field.name.trim().to_owned(),
                    kind,
                    looks: kind,
                    braced: false,
                    type_name: type_name(declared),
                };
                (column, (kind != Kind::Other).then(|| field.clone()))
            })
            .unzip();
        Ok::<_, PolarsError>((metadata, columns, fields))
    })?;
    let mut header = Header { file: file.clone(), columns, all_text: false };
    let mut parquet = Parquet { file, input, size, metadata, fields };
    parquet.look_at(&mut header.columns)?;
    Ok(Table { header, body: Body::Parquet(Box::new(parquet)) })
}

/// What a column holds, by how it is stored and by what it was before it was stored.
fn kind(stored: &ArrowDataType, declared: &ArrowDataType) -> Kind {
    use ArrowDataType as Arrow;
    if matches!(declared, Arrow::Duration(_) | Arrow::Interval(_) | Arrow::Float16 | Arrow::Decimal256(..)) {
        return Kind::Other;
    }
    match stored {
        Arrow::Int8
        | Arrow::Int16
        | Arrow::Int32
        | Arrow::Int64
        | Arrow::UInt8
        | Arrow::UInt16
        | Arrow::UInt32
        | Arrow::UInt64 => Kind::Integer,
        Arrow::Float32 | Arrow::Float64 => Kind::Float,
        Arrow::Decimal(precision, _) if *precision <= MOST_DIGITS => Kind::Float,
        Arrow::Timestamp(..) | Arrow::Date32 => Kind::Instant,
        Arrow::Utf8View | Arrow::Boolean | Arrow::Null => Kind::Text,
        _ => Kind::Other,
    }
}

fn type_name(declared: &ArrowDataType) -> String {
    let text = format!("{declared:?}");
    text.split(['(', ' ', '{']).next().unwrap_or_default().to_lowercase()
}

impl Parquet<'_> {
    pub(super) fn columns_at_once(&self) -> usize {
        let most_rows = self.metadata.row_groups.iter().map(RowGroupMetadata::num_rows).max().unwrap_or(0);
        (BLOCK_CELLS / most_rows.clamp(1, LEAST_ROWS)).max(1)
    }

    pub(super) fn read(
        &mut self,
        columns: &[usize],
        take: &mut dyn FnMut(&Block) -> Result<Next, InputError>,
    ) -> Result<(), InputError> {
        let at_once = (BLOCK_CELLS / columns.len().max(1)).max(LEAST_ROWS);
        let mut first_row = 0;
        for group in 0..self.metadata.row_groups.len() {
            let rows = self.metadata.row_groups[group].num_rows();
            let mut from = 0;
            while from < rows {
                let to = rows.min(from + at_once);
                let cells = columns.iter().map(|&column| self.cells(group, column, from..to));
                let block = Block { first_row, rows: to - from, columns: cells.collect::<Result<_, _>>()? };
                first_row += block.rows;
                from = to;
                if take(&block)? == Next::Enough {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The cells of one column in these rows of a row group.
    fn cells(&mut self, group: usize, column: usize, rows: Range<usize>) -> Result<Cells, InputError> {
        let contradiction = || broken(&self.file, CONTRADICTION);
        let field = self.fields[column].as_ref().ok_or_else(contradiction)?;
        let group = &self.metadata.row_groups[group];
        let parts: Vec<&ColumnChunkMetadata> =
            group.columns_under_root_iter(&field.name).map(Iterator::collect).unwrap_or_default();
        let &[chunk] = &parts[..] else { return Err(contradiction()) };
        let range = guarded(&self.file, || Ok::<_, String>(chunk.byte_range()))?;
        if range.start > range.end || range.end > self.size {
            return Err(broken(&self.file, "a column lies beyond its end"));
        }
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let read = self.input.seek(SeekFrom::Start(range.start)).and_then(|_| self.input.read_exact(&mut bytes));
        read.map_err(|e| InputError::whole(&self.file, format!("failed to read: {e}")))?;
        let count = rows.len();
        let array = guarded(&self.file, || {
            let bytes = std::io::Cursor::new(bytes.into());
            let pages = || PageReader::new(bytes.clone(), chunk, Vec::new(), usize::MAX);
            if !pages().all(|page| page.is_ok_and(|page| is_sized(&page, chunk))) {
                return Err(PolarsError::ComputeError(CONTRADICTION.into()));
            }
            let pages = BasicDecompressor::new(pages(), Vec::new());
            let kind = &chunk.descriptor().descriptor.primitive_type;
            let filter = Filter::new_ranged(rows.start, rows.end);
            let (arrays, _) = column_iter_to_arrays(vec![pages], vec![kind], field.clone(), Some(filter))?;
            match &arrays[..] {
                [one] => Ok(one.clone()),
                several => concatenate(&several.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
            }
        })?;
        let cells = cells_of(array.as_ref());
        match cells {
            Some(Ok(cells)) if cells.len() == count => Ok(cells),
            Some(Err(large)) => Err(InputError::at(
                &self.file,
                crate::domain::Location::Column(field.name.to_string()),
                format!("found {large}, beyond the largest whole number that can be read ({})", i64::MAX),
            )),
            _ => Err(contradiction()),
        }
    }

    /// Finds which columns hold nothing, and what those of text look like.
    fn look_at(&mut self, columns: &mut [Column]) -> Result<(), InputError> {
        let unknown: Vec<usize> = (0..columns.len())
            .filter(|&i| columns[i].kind == Kind::Text || columns[i].kind != Kind::Other && !self.holds_any(i))
            .collect();
        for some in unknown.chunks(self.columns_at_once()) {
            let mut found = vec![None; some.len()];
            self.read(some, &mut |block| {
                for (found, cells) in found.iter_mut().zip(&block.columns).filter(|(f, c)| f.is_none() && c.has_any()) {
                    *found = Some(match cells {
                        Cells::Text(text) => (looks_like(text), is_braced(text)),
                        _ => (Kind::Empty, false),
                    });
                }
                Ok(if found.iter().all(Option::is_some) { Next::Enough } else { Next::More })
            })?;
            for (&i, found) in some.iter().zip(found) {
                match (columns[i].kind, found) {
                    (_, None) => columns[i].kind = Kind::Empty,
                    (Kind::Text, Some((looks, braced))) => (columns[i].looks, columns[i].braced) = (looks, braced),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Whether the file's own counts of missing cells leave some that are not.
    fn holds_any(&self, column: usize) -> bool {
        let Some(field) = &self.fields[column] else { return false };
        let footer = &self.metadata.footer_buf;
        self.metadata.row_groups.iter().any(|group| {
            let mut chunks = group.columns_under_root_iter(&field.name).into_iter().flatten();
            let known = |chunk: &ColumnChunkMetadata| {
                let statistics = guarded(&self.file, || chunk.statistics(footer).transpose()).ok()??;
                Some((statistics.null_count()?, chunk.num_values()))
            };
            chunks.any(|chunk| known(chunk).is_some_and(|(nulls, values)| nulls < values))
        })
    }
}

/// Whether a page claims no more values than its column has. The decoder makes room for as many as are claimed, and where
/// there is no such room the program ends.
fn is_sized(page: &CompressedPage, chunk: &ColumnChunkMetadata) -> bool {
    match page {
        CompressedPage::Data(page) => usize::try_from(chunk.num_values()).is_ok_and(|most| page.num_values() <= most),
        CompressedPage::Dict(_) => true,
    }
}

/// An array as cells; `None` of a type that has none, a whole number that is too large instead of cells that hold it.
fn cells_of(array: &dyn Array) -> Option<Result<Cells, u64>> {
    use ArrowDataType as Arrow;
    let cells = match array.dtype() {
        Arrow::Int8 => integers::<i8>(array)?,
        Arrow::Int16 => integers::<i16>(array)?,
        Arrow::Int32 => integers::<i32>(array)?,
        Arrow::UInt8 => integers::<u8>(array)?,
        Arrow::UInt16 => integers::<u16>(array)?,
        Arrow::UInt32 => integers::<u32>(array)?,
        Arrow::Int64 => Cells::Integers(of_type::<i64>(array)?.clone()),
        Arrow::UInt64 => {
            let large = of_type::<u64>(array)?;
            if let Some(beyond) = large.iter().flatten().find(|&&v| i64::try_from(v).is_err()) {
                return Some(Err(*beyond));
            }
            Cells::Integers(mapped(large, Arrow::Int64, |v| v as i64))
        }
        Arrow::Float32 => Cells::Floats(mapped(of_type::<f32>(array)?, Arrow::Float64, f64::from)),
        Arrow::Float64 => Cells::Floats(of_type::<f64>(array)?.clone()),
        Arrow::Decimal(_, scale) => {
            let unit = 10_f64.powi(i32::try_from(*scale).ok()?);
            Cells::Floats(mapped(of_type::<i128>(array)?, Arrow::Float64, |v| v as f64 / unit))
        }
        Arrow::Date32 => Cells::Instants(mapped(of_type::<i32>(array)?, Arrow::Int64, |day| i64::from(day) * DAY_MS)),
        Arrow::Timestamp(unit, _) => {
            let to_ms = match unit {
                TimeUnit::Second => |t: i64| t.saturating_mul(1_000),
                TimeUnit::Millisecond => |t: i64| t,
                TimeUnit::Microsecond => |t: i64| t.div_euclid(1_000),
                TimeUnit::Nanosecond => |t: i64| t.div_euclid(1_000_000),
            };
            Cells::Instants(mapped(of_type::<i64>(array)?, Arrow::Int64, to_ms))
        }
        Arrow::Utf8View => Cells::Text(array.as_any().downcast_ref::<Utf8ViewArray>()?.clone()),
        Arrow::Boolean => {
            let cells = array.as_any().downcast_ref::<BooleanArray>()?;
            let word = |cell: bool| if cell { "true" } else { "false" };
            Cells::Text(Utf8ViewArray::from_slice(cells.iter().map(|cell| cell.map(word)).collect::<Vec<_>>()))
        }
        Arrow::Null => Cells::Text(Utf8ViewArray::from_slice(vec![None::<&str>; array.len()])),
        _ => return None,
    };
    Some(Ok(cells))
}

fn of_type<T: NativeType>(array: &dyn Array) -> Option<&PrimitiveArray<T>> {
    array.as_any().downcast_ref()
}

fn integers<T: NativeType + Into<i64>>(array: &dyn Array) -> Option<Cells> {
    Some(Cells::Integers(mapped(of_type::<T>(array)?, ArrowDataType::Int64, Into::into)))
}

fn mapped<T: NativeType, U: NativeType>(
    array: &PrimitiveArray<T>,
    dtype: ArrowDataType,
    map: impl Fn(T) -> U,
) -> PrimitiveArray<U> {
    let values: Vec<U> = array.values().iter().map(|&value| map(value)).collect();
    PrimitiveArray::new(dtype, values.into(), array.validity().cloned())
}
