//! Metrics in tables, CSV and Parquet, to and from [`Samples`].
//!
//! - Long form: one measurement a row, `timestamp, metric, labels…, value`; also without a metric or without labels.
//! - Wide form: one series a column, beside a time column or, where every column is a series, without one.
//!
//! A table is read a block of rows at a time, as often as is wanted ([`TableRows`]), so that one of a hundred million rows
//! takes little more memory than what is made of it. [`layout`] decides which column is what, and says so when it cannot.

mod csv;
mod keys;
mod layout;
mod numbers;
mod parquet;
mod rows;
mod table;
mod times;
mod write;

use std::borrow::Cow;
use std::io::{Cursor, Read, Seek};

pub use self::rows::TableRows;
pub use self::table::is_decoding;
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
    open_csv(Cow::Borrowed(source), shape)?.samples()
}

/// Reads Parquet.
///
/// # Errors
/// As [`read_csv`].
pub fn read_parquet(source: &Source, shape: &TableShape) -> Result<Samples, InputError> {
    open_parquet(source.name.clone(), Cursor::new(source.bytes.as_slice()), shape)?.samples()
}

/// CSV to be read a block at a time.
///
/// # Errors
/// As [`read_csv`], as far as header and types tell; cells are read later.
pub fn open_csv<'a>(source: Cow<'a, Source>, shape: &TableShape) -> Result<TableRows<'a>, InputError> {
    TableRows::new(csv::open(source)?, shape)
}

/// Parquet to be read a block at a time, of which no more than that is held; `name` is for messages.
///
/// # Errors
/// As [`open_csv`].
pub fn open_parquet<'a>(
    name: String,
    input: impl Read + Seek + 'a,
    shape: &TableShape,
) -> Result<TableRows<'a>, InputError> {
    TableRows::new(parquet::open(name, Box::new(input))?, shape)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::samples::{Rows, SeriesKey};

    fn lines(samples: &Samples) -> Vec<String> {
        let line = |i: usize| {
            let SeriesKey { metric, labels } = &samples.keys[samples.series[i] as usize];
            format!("{metric}{labels:?} @{} {}", samples.timestamps_ms[i], samples.values[i])
        };
        let mut lines: Vec<String> = (0..samples.len()).map(line).collect();
        lines.sort();
        lines
    }

    fn any_samples() -> impl Strategy<Value = Samples> {
        let key = ("[a-z]{1,4}", "[ -~é\n\"]{1,8}")
            .prop_map(|(metric, pod)| SeriesKey { metric, labels: [("pod".to_owned(), pod)].into() });
        let row = (any::<prop::sample::Index>(), 0..4_000_000_000_000_i64, proptest::num::f64::NORMAL);
        (proptest::collection::btree_set(key, 1..6), proptest::collection::vec(row, 1..80)).prop_map(|(keys, rows)| {
            let keys: Vec<SeriesKey> = keys.into_iter().collect();
            Samples {
                series: rows.iter().map(|(series, ..)| series.index(keys.len()) as u32).collect(),
                timestamps_ms: rows.iter().map(|&(_, time_ms, _)| time_ms).collect(),
                values: rows.iter().map(|&(.., value)| value).collect(),
                keys,
                notes: Vec::new(),
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        // Blocks are small in tests, so that these tables have many.
        #[test]
        fn tables_of_many_blocks_are_read_whole_and_the_same_each_time(samples in any_samples()) {
            let shape = TableShape::default();
            let csv = Source { name: "t".into(), bytes: write_csv(&samples).unwrap().into_bytes() };
            let parquet = Source { name: "t".into(), bytes: write_parquet(&samples).unwrap() };
            prop_assert_eq!(lines(&read_csv(&csv, &shape).unwrap()), lines(&samples));
            prop_assert_eq!(lines(&read_parquet(&parquet, &shape).unwrap()), lines(&samples));
            let mut rows = open_csv(Cow::Borrowed(&csv), &shape).unwrap();
            let mut readings = [Vec::new(), Vec::new()];
            for reading in &mut readings {
                rows.read(&mut |piece| reading.push((piece.series.to_vec(), piece.values.to_vec()))).unwrap();
            }
            prop_assert_eq!(&readings[0], &readings[1]);
        }
    }

    #[test]
    fn a_cell_far_into_a_table_is_named_by_its_row() {
        let cell = |i: usize| if i == 87 { "x".to_owned() } else { i.to_string() };
        let rows: Vec<String> = (0..100).map(|i| format!("{i},{}\n", cell(i))).collect();
        let source = Source { name: "t".into(), bytes: format!("step,value\n{}", rows.concat()).into_bytes() };
        let error = read_csv(&source, &TableShape::default()).unwrap_err();
        assert_eq!(error.to_string(), "t: row 88: column \"value\": found \"x\" where a number was expected");
    }

    #[test]
    fn a_record_of_too_many_fields_is_named_by_its_row() {
        let source = Source { name: "t".into(), bytes: b"step,value\n0,\"1\"\n1,2,\"3,4\"\n".to_vec() };
        let error = read_csv(&source, &TableShape::default()).unwrap_err();
        assert_eq!(error.to_string(), "t: row 2: has 3 fields, but the header names 2");
    }

    #[test]
    fn a_part_of_a_step_is_refused() {
        let source = Source { name: "t".into(), bytes: b"step,value\n1.0,1\n1.5,2\n".to_vec() };
        let error = read_csv(&source, &TableShape::default()).unwrap_err();
        assert_eq!(error.to_string(), "t: row 2: column \"step\": found 1.5 where a whole step was expected");
    }

    #[test]
    fn a_quote_that_nothing_closes_is_refused_and_not_read_as_an_empty_table() {
        let source = Source { name: "t".into(), bytes: b"step,5\" pipe\n1,2\n".to_vec() };
        let error = read_csv(&source, &TableShape::default()).unwrap_err();
        assert_eq!(error.to_string(), "t:1: has a quote in its header that nothing closes");
    }
}
