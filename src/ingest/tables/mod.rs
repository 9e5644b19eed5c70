//! Metrics in tables, CSV and Parquet, to and from [`Samples`].
//!
//! - Long form: one measurement a row, `timestamp, metric, labels…, value`; also without a metric or without labels.
//! - Wide form: one series a column, beside a time column or, where every column is a series, without one.
//!
//! [`layout`] decides which column is what, and says so when it cannot.

mod frame;
mod keys;
mod layout;
mod numbers;
mod rows;
mod times;
mod write;

pub use self::frame::is_decoding;
pub use self::write::{write_csv, write_parquet};
pub use super::metrics::TableShape;

use super::source::Source;
use crate::domain::{InputError, Samples};

/// Reads CSV: comma, semicolon or tab between fields, with a header.
///
/// # Errors
/// If the table is broken, if it can't be told which column is what, or at the first cell that is neither missing
/// nor what its column holds, naming row and column.
pub fn read_csv(source: &Source, shape: &TableShape) -> Result<Samples, InputError> {
    rows::samples(&frame::read_csv(source)?, shape)
}

/// Reads Parquet.
///
/// # Errors
/// As [`read_csv`].
pub fn read_parquet(source: &Source, shape: &TableShape) -> Result<Samples, InputError> {
    rows::samples(&frame::read_parquet(source)?, shape)
}
