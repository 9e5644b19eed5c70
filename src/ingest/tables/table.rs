//! A table as its readers see it: what is known of its columns, and their cells a block of rows at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use polars_arrow::array::{Array, PrimitiveArray, Utf8ViewArray};

use super::csv::Csv;
use super::parquet::Parquet;
use crate::domain::{InputError, Location};

/// A table under the name of its file. Its cells are decoded anew at every reading.
pub(super) struct Table<'a> {
    pub(super) header: Header,
    pub(super) body: Body<'a>,
}

/// What is known of a table before its rows are read.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) file: String,
    pub(super) columns: Vec<Column>,
    /// Whether every cell is text, numbers and times too, as in CSV.
    pub(super) all_text: bool,
}

/// What is known of a column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// What the first cell that is not missing looks like, for columns of text; else as `kind`.
    pub(super) looks: Kind,
    /// Whether the first cell that is not empty is a list of labels in Prometheus' notation.
    pub(super) braced: bool,
    /// The type as the file names it, for messages.
    pub(super) type_name: String,
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

/// Where the rows are.
pub(super) enum Body<'a> {
    Csv(Csv<'a>),
    Parquet(Box<Parquet<'a>>),
}

/// Neighbouring rows of some columns.
#[derive(Debug)]
pub(super) struct Block {
    /// Rows of the table before it.
    pub(super) first_row: usize,
    pub(super) rows: usize,
    /// One a column asked for, in that order.
    pub(super) columns: Vec<Cells>,
}

/// Cells of one column; as many as the block has rows.
#[derive(Debug, Clone)]
pub(super) enum Cells {
    Text(Utf8ViewArray),
    Integers(PrimitiveArray<i64>),
    Floats(PrimitiveArray<f64>),
    /// Milliseconds since the Unix epoch.
    Instants(PrimitiveArray<i64>),
}

impl Header {
    pub(super) fn error_at(&self, row: usize, column: usize, problem: &str) -> InputError {
        let name = &self.columns[column].name;
        InputError::at(&self.file, Location::Row(row + 1), format!("column {name:?}: {problem}"))
    }
}

/// What to do after a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    More,
    Enough,
}

impl Body<'_> {
    /// Reads these columns block by block, in order, until `take` has enough.
    pub(super) fn read(
        &mut self,
        columns: &[usize],
        take: &mut dyn FnMut(&Block) -> Result<Next, InputError>,
    ) -> Result<(), InputError> {
        match self {
            Self::Csv(csv) => csv.read(columns, take),
            Self::Parquet(parquet) => parquet.read(columns, take),
        }
    }

    /// How many columns are best read at once; more are read in several goes.
    pub(super) fn columns_at_once(&self) -> usize {
        match self {
            // All of its text is parsed for whatever part of it.
            Self::Csv(_) => usize::MAX,
            Self::Parquet(parquet) => parquet.columns_at_once(),
        }
    }
}

impl Cells {
    fn array(&self) -> &dyn Array {
        match self {
            Self::Text(cells) => cells,
            Self::Integers(cells) | Self::Instants(cells) => cells,
            Self::Floats(cells) => cells,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.array().len()
    }

    /// Whether there is a cell that is not missing by its type.
    pub(super) fn has_any(&self) -> bool {
        self.array().null_count() < self.len()
    }
}

/// Whether a cell of text stands for a missing value.
pub(super) fn is_missing(cell: &str) -> bool {
    matches!(cell.trim_ascii(), "" | "NaN" | "nan" | "NAN" | "null" | "NULL" | "NA" | "N/A" | "None")
}

/// What a column of text holds, by its first cell here that is not missing.
pub(super) fn looks_like(text: &Utf8ViewArray) -> Kind {
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

/// Whether the first cell here that is not empty is a list of labels.
pub(super) fn is_braced(text: &Utf8ViewArray) -> bool {
    let first = text.iter().flatten().find(|cell| !cell.is_empty());
    first.is_some_and(|cell| cell.trim_start().starts_with('{') || cell.contains("=\""))
}

/// Tables being decoded, in this process.
static READING: AtomicUsize = AtomicUsize::new(0);

/// Whether a table is being decoded, so that a panic now is most likely the decoder's over a broken file, on whichever of
/// its threads; it becomes an error of the file, and a process' panic hook need not print it.
#[must_use]
pub fn is_decoding() -> bool {
    READING.load(Ordering::SeqCst) > 0
}

/// A decoder's answer, its errors as ours. Decoders trust some lengths and offsets of the file, and panic where a broken
/// file breaks that trust.
pub(super) fn guarded<T, E: ToString>(file: &str, decode: impl FnOnce() -> Result<T, E>) -> Result<T, InputError> {
    READING.fetch_add(1, Ordering::SeqCst);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    READING.fetch_sub(1, Ordering::SeqCst);
    match outcome {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(error)) => {
            let text = error.to_string();
            Err(broken(file, text.lines().next().unwrap_or_default().trim_end_matches('.')))
        }
        Err(_) => Err(broken(file, CONTRADICTION)),
    }
}

/// What is said of a file whose parts do not agree.
pub(super) const CONTRADICTION: &str = "its contents contradict each other";

pub(super) fn broken(file: &str, problem: &str) -> InputError {
    InputError::whole(file, format!("is a broken table: {problem}")).hint("is the file whole? export it again")
}
