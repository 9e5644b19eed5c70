//! CSV, some megabytes of text at a time.
//!
//! Every column is read as text, so that a cell that does not fit its column can be named by its row.

use std::borrow::Cow;
use std::io::Cursor;
use std::ops::Range;
use std::sync::Arc;

use polars::prelude::*;
use polars_arrow::array::Utf8ViewArray;

use super::table::{Block, Body, Cells, Column, Header, Kind, Next, Table, guarded, is_braced, looks_like};
use crate::domain::{InputError, Location};
use crate::source::Source;

/// Bytes of text that become one block. Cells of text take several times as much. Tests see many blocks.
const BLOCK_BYTES: usize = if cfg!(test) { 100 } else { 32 << 20 };

/// The rows of a CSV file.
pub(super) struct Csv<'a> {
    source: Cow<'a, Source>,
    /// Where the first row begins.
    start: usize,
    separator: u8,
    schema: SchemaRef,
}

/// Finds header and separator, and what each column looks like.
pub(super) fn open(source: Cow<'_, Source>) -> Result<Table<'_>, InputError> {
    let text = source.text()?;
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let first_line = text[mark..].lines().next().unwrap_or_default();
    if first_line.trim_ascii().is_empty() {
        return Err(InputError::at(&source.name, Location::Line(1), "is empty where a header was expected"));
    }
    let separator = separator(first_line);
    let start = record_end(text.as_bytes(), mark, 1);
    if text[mark..start].bytes().filter(|&byte| byte == b'"').count() % 2 == 1 {
        return Err(InputError::at(&source.name, Location::Line(1), "has a quote in its header that nothing closes")
            .hint("a quote inside a name is doubled, and the name stands in quotes"));
    }
    let names = header(&source, &text[mark..start], separator)?;
    let fields = names.iter().map(|name| Field::new(name.as_str().into(), DataType::String));
    let schema = Arc::new(fields.collect::<Schema>());
    let columns = names.iter().map(|name| Column {
        name: name.trim().to_owned(),
        kind: Kind::Empty,
        looks: Kind::Empty,
        braced: false,
        type_name: "text".to_owned(),
    });
    let mut header = Header { file: source.name.clone(), columns: columns.collect(), all_text: true };
    let mut csv = Csv { source, start, separator, schema };
    csv.look_at(&mut header.columns)?;
    Ok(Table { header, body: Body::Csv(csv) })
}

/// The names in the first record, made different from each other.
fn header(source: &Source, record: &str, separator: u8) -> Result<Vec<String>, InputError> {
    let options = CsvReadOptions::default()
        .with_infer_schema_length(Some(0))
        .map_parse_options(|parse| parse.with_separator(separator));
    let cursor = Cursor::new(record.as_bytes());
    let frame = guarded(&source.name, || options.into_reader_with_file_handle(cursor).finish())?;
    Ok(frame.get_column_names_owned().into_iter().map(|name| name.to_string()).collect())
}

impl Csv<'_> {
    pub(super) fn read(
        &mut self,
        columns: &[usize],
        take: &mut dyn FnMut(&Block) -> Result<Next, InputError>,
    ) -> Result<(), InputError> {
        let mut first_row = 0;
        let mut from = self.start;
        while from < self.source.bytes.len() {
            let to = record_end(&self.source.bytes, from, BLOCK_BYTES);
            let block = self.block(from..to, columns, first_row)?;
            first_row += block.rows;
            from = to;
            if block.rows > 0 && take(&block)? == Next::Enough {
                break;
            }
        }
        Ok(())
    }

    fn block(&self, range: Range<usize>, columns: &[usize], first_row: usize) -> Result<Block, InputError> {
        let text = &self.source.bytes[range];
        if text.trim_ascii().is_empty() {
            return Ok(Block { first_row, rows: 0, columns: Vec::new() });
        }
        let mut projection = columns.to_vec();
        projection.sort_unstable();
        let options = CsvReadOptions::default()
            .with_has_header(false)
            .with_schema(Some(self.schema.clone()))
            .with_projection(Some(Arc::new(projection)))
            .with_rechunk(true)
            .map_parse_options(|parse| parse.with_separator(self.separator));
        let frame = guarded(&self.source.name, || options.into_reader_with_file_handle(Cursor::new(text)).finish())
            .map_err(|error| self.too_many_fields(text, first_row).unwrap_or(error))?;
        let cells = |&column: &usize| -> PolarsResult<Cells> {
            let name = self.schema.get_at_index(column).map(|(name, _)| name.as_str()).unwrap_or_default();
            let text = frame.column(name)?.as_materialized_series().rechunk();
            Ok(Cells::Text(text.str()?.downcast_iter().next().cloned().unwrap_or_else(no_text)))
        };
        let columns = guarded(&self.source.name, || columns.iter().map(cells).collect::<PolarsResult<Vec<Cells>>>())?;
        Ok(Block { first_row, rows: frame.height(), columns })
    }

    /// The first record of a block that has more fields than the header.
    fn too_many_fields(&self, block: &[u8], first_row: usize) -> Option<InputError> {
        let (mut row, mut from) = (first_row, 0);
        while from < block.len() {
            let to = record_end(block, from, 1);
            let mut quoted = false;
            let separators = block[from..to].iter().filter(|&&byte| {
                quoted ^= byte == b'"';
                !quoted && byte == self.separator
            });
            let fields = separators.count() + 1;
            if fields > self.schema.len() {
                let problem = format!("has {fields} fields, but the header names {}", self.schema.len());
                return Some(
                    InputError::at(&self.source.name, Location::Row(row + 1), problem)
                        .hint("a field with a separator in it stands in double quotes"),
                );
            }
            (row, from) = (row + 1, to);
        }
        None
    }

    /// Reads until each column has shown what it holds.
    fn look_at(&mut self, columns: &mut [Column]) -> Result<(), InputError> {
        let all: Vec<usize> = (0..columns.len()).collect();
        self.read(&all, &mut |block| {
            for (column, cells) in columns.iter_mut().zip(&block.columns) {
                if let (Kind::Empty, Cells::Text(text)) = (column.kind, cells) {
                    column.kind = looks_like(text);
                    column.looks = column.kind;
                    column.braced = is_braced(text);
                }
            }
            let known = columns.iter().all(|column| column.kind != Kind::Empty);
            Ok(if known { Next::Enough } else { Next::More })
        })
    }
}

fn no_text() -> Utf8ViewArray {
    Utf8ViewArray::from_slice(Vec::<Option<&str>>::new())
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

/// Where the first record ends that reaches `size` bytes beyond `from`, line break included; records begin at `from`.
fn record_end(text: &[u8], from: usize, size: usize) -> usize {
    let mut quoted = false;
    for (i, &byte) in text.iter().enumerate().skip(from) {
        quoted ^= byte == b'"';
        if byte == b'\n' && !quoted && i + 1 - from >= size {
            return i + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_records_and_never_inside_quotes() {
        let text = b"a,\"b\nc\"\nd,e\nf,g";
        assert_eq!(record_end(text, 0, 1), 8);
        assert_eq!(record_end(text, 0, 8), 8);
        assert_eq!(record_end(text, 0, 9), 12);
        assert_eq!(record_end(text, 12, 1), text.len());
    }
}
