use polars_arrow::array::Array;
use polars_arrow::datatypes::ArrowSchema;
use polars_arrow::record_batch::RecordBatchT;
use polars_parquet::write::{
    CompressionOptions, Encoding, FileWriter, RowGroupIterator, StatisticsOptions, Version, WriteOptions,
};
use proptest::prelude::*;

use super::*;
use crate::domain::Samples;
use crate::tables::{TableShape, open_parquet};

/// How a file is written.
#[derive(Debug, Clone, Copy)]
struct Way {
    version: Version,
    encoding: Encoding,
    compression: CompressionOptions,
    statistics: bool,
    rows_per_group: usize,
}

fn way() -> impl Strategy<Value = Way> {
    let version = prop_oneof![Just(Version::V1), Just(Version::V2)];
    let encoding = prop_oneof![Just(Encoding::Plain), Just(Encoding::RleDictionary)];
    let compression = prop_oneof![Just(CompressionOptions::Uncompressed), Just(CompressionOptions::Snappy)];
    (version, encoding, compression, any::<bool>(), 1_usize..40).prop_map(
        |(version, encoding, compression, statistics, rows_per_group)| Way {
            version,
            encoding,
            compression,
            statistics,
            rows_per_group,
        },
    )
}

fn written(columns: &[(&str, Box<dyn Array>)], way: Way) -> Vec<u8> {
    let options = WriteOptions {
        statistics: if way.statistics { StatisticsOptions::full() } else { StatisticsOptions::empty() },
        version: way.version,
        compression: way.compression,
        data_page_size: Some(64),
    };
    let field = |(name, array): &(&str, Box<dyn Array>)| Field::new((*name).into(), array.dtype().clone(), true);
    let schema: ArrowSchema = columns.iter().map(field).map(|f| (f.name.clone(), f)).collect();
    let rows = columns[0].1.len();
    let batches = (0..rows).step_by(way.rows_per_group).map(|from| {
        let count = way.rows_per_group.min(rows - from);
        let arrays = columns.iter().map(|(_, array)| array.sliced(from, count)).collect();
        RecordBatchT::try_new(count, std::sync::Arc::new(schema.clone()), arrays)
    });
    // Dictionaries of booleans are not a thing.
    let encoding = |array: &dyn Array| match array.dtype() {
        ArrowDataType::Boolean => Encoding::Plain,
        _ => way.encoding,
    };
    let encodings: Vec<Vec<Encoding>> = columns.iter().map(|(_, array)| vec![encoding(array.as_ref())]).collect();
    let groups = RowGroupIterator::try_new(batches, &schema, options, encodings.into()).unwrap();
    let mut writer = FileWriter::try_new(Vec::new(), schema.clone(), options).unwrap();
    for (from, group) in (0..).step_by(way.rows_per_group).zip(groups) {
        writer.write(way.rows_per_group.min(rows - from) as u64, group.unwrap()).unwrap();
    }
    writer.end(None).unwrap();
    writer.into_inner()
}

fn read(bytes: &[u8]) -> Result<Samples, InputError> {
    open_parquet("t".into(), std::io::Cursor::new(bytes), &TableShape::default())?.samples()
}

fn primitive<T: NativeType>(dtype: ArrowDataType, cells: Vec<Option<T>>) -> Box<dyn Array> {
    PrimitiveArray::<T>::from(cells).to(dtype).boxed()
}

fn steps(count: usize) -> Box<dyn Array> {
    primitive(ArrowDataType::Int64, (0..count as i64).map(Some).collect())
}

/// (row, value) of a table of one series.
fn rows_of(samples: &Samples) -> Vec<(i64, f64)> {
    samples.timestamps_ms.iter().map(|t| t / 1000).zip(samples.values.iter().copied()).collect()
}

fn expected<T: Copy>(cells: &[Option<T>], value: impl Fn(T) -> f64) -> Vec<(i64, f64)> {
    (0..).zip(cells).filter_map(|(row, cell)| Some((row, value((*cell)?)))).collect()
}

/// Checks that a column of these cells is read as these values.
fn check<T: NativeType>(
    dtype: &ArrowDataType,
    cells: &[Option<T>],
    way: Way,
    value: impl Fn(T) -> f64,
) -> Result<(), TestCaseError> {
    let table = [("step", steps(cells.len())), ("value", primitive(dtype.clone(), cells.to_vec()))];
    let samples = read(&written(&table, way)).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert_eq!(rows_of(&samples), expected(cells, value), "{:?}", dtype);
    Ok(())
}

fn cells<T: Arbitrary + Clone + 'static>() -> impl Strategy<Value = Vec<Option<T>>>
where
    T::Strategy: 'static,
{
    proptest::collection::vec(proptest::option::weighted(0.8, any::<T>()), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn integers_of_every_width_are_read_as_they_were_written(
        (a, b, c, d) in (cells::<i8>(), cells::<i16>(), cells::<i32>(), cells::<i64>()),
        (e, f, g) in (cells::<u8>(), cells::<u16>(), cells::<u32>()),
        h in proptest::collection::vec(proptest::option::of(0..=i64::MAX as u64), 1..40),
        way in way(),
    ) {
        check(&ArrowDataType::Int8, &a, way, f64::from)?;
        check(&ArrowDataType::Int16, &b, way, f64::from)?;
        check(&ArrowDataType::Int32, &c, way, f64::from)?;
        check(&ArrowDataType::Int64, &d, way, |v| v as f64)?;
        check(&ArrowDataType::UInt8, &e, way, f64::from)?;
        check(&ArrowDataType::UInt16, &f, way, f64::from)?;
        check(&ArrowDataType::UInt32, &g, way, f64::from)?;
        check(&ArrowDataType::UInt64, &h, way, |v| v as f64)?;
    }

    #[test]
    fn floats_and_decimals_are_read_as_they_were_written(
        singles in proptest::collection::vec(proptest::option::of(proptest::num::f32::NORMAL), 1..60),
        doubles in proptest::collection::vec(proptest::option::of(proptest::num::f64::NORMAL), 1..60),
        decimals in proptest::collection::vec(proptest::option::of(-(10_i128.pow(15))..10_i128.pow(15)), 1..60),
        scale in 0_usize..15,
        way in way(),
    ) {
        check(&ArrowDataType::Float32, &singles, way, f64::from)?;
        check(&ArrowDataType::Float64, &doubles, way, |v| v)?;
        let way = Way { encoding: Encoding::Plain, ..way };
        // Numerator and power of ten are exact, so one division rounds as reading the decimal's digits does.
        let digits = |v: i128| format!("{v}e-{scale}").parse::<f64>().unwrap();
        for precision in [15, 18, 30] {
            check(&ArrowDataType::Decimal(precision, scale), &decimals, way, digits)?;
        }
    }

    #[test]
    fn times_of_every_unit_are_read_as_they_were_written(
        times_ms in proptest::collection::vec(-4_000_000_000_000..4_000_000_000_000_i64, 1..60),
        way in way(),
    ) {
        let values = || primitive(ArrowDataType::Float64, vec![Some(1.0); times_ms.len()]);
        for zone in [None, Some("UTC".into()), Some("Europe/Berlin".into())] {
            for (unit, per_ms) in [(TimeUnit::Millisecond, 1), (TimeUnit::Microsecond, 1_000), (TimeUnit::Nanosecond, 1_000_000)] {
                let ticks = times_ms.iter().map(|t| Some(t * per_ms + per_ms - 1)).collect();
                let times = primitive::<i64>(ArrowDataType::Timestamp(unit, zone.clone()), ticks);
                let samples = read(&written(&[("when", values()), ("time", times)], way)).unwrap();
                prop_assert_eq!(&samples.timestamps_ms, &times_ms);
            }
        }
        let days: Vec<i32> = times_ms.iter().map(|t| t.div_euclid(DAY_MS) as i32).collect();
        let dates = primitive(ArrowDataType::Date32, days.iter().copied().map(Some).collect());
        let samples = read(&written(&[("when", values()), ("date", dates)], way)).unwrap();
        let midnights: Vec<i64> = days.iter().map(|&day| i64::from(day) * DAY_MS).collect();
        prop_assert_eq!(samples.timestamps_ms, midnights);
    }

    #[test]
    fn narrow_steps_and_labels_of_any_type_are_read_as_they_were_written(
        rows in proptest::collection::vec((0..200_u8, proptest::option::of("[a-zé ]{1,20}"), 0..30_i16, any::<bool>()), 1..60),
        way in way(),
    ) {
        let texts: Vec<Option<&str>> = rows.iter().map(|row| row.1.as_deref()).collect();
        let table = [
            ("step", primitive(ArrowDataType::UInt8, rows.iter().map(|row| Some(row.0)).collect())),
            ("pod", Utf8ViewArray::from_slice(texts).boxed()),
            ("code", primitive(ArrowDataType::Int16, rows.iter().map(|row| Some(row.2)).collect())),
            ("ready", BooleanArray::from_slice(rows.iter().map(|row| row.3).collect::<Vec<_>>()).boxed()),
            ("value", primitive(ArrowDataType::Int32, (0..rows.len() as i32).map(Some).collect())),
        ];
        let samples = read(&written(&table, way)).unwrap();
        prop_assert_eq!(samples.len(), rows.len());
        for (i, (step, pod, code, ready)) in rows.iter().enumerate() {
            let labels = &samples.keys[samples.series[i] as usize].labels;
            prop_assert_eq!(samples.timestamps_ms[i], i64::from(*step) * 1000);
            prop_assert_eq!(labels.get("pod"), pod.as_ref());
            prop_assert_eq!(labels["code"].as_str(), code.to_string());
            prop_assert_eq!(labels["ready"].as_str(), ready.to_string());
        }
    }

    #[test]
    fn many_columns_are_read_in_several_goes(columns in 1_usize..40, rows in 1_usize..30, way in way()) {
        let names: Vec<String> = (0..columns).map(|i| format!("vm{i}")).collect();
        let cell = |i: usize, t: usize| ((i + t) % 7 != 3).then_some((i * 100 + t) as f64);
        let column = |(i, name)| -> (&str, Box<dyn Array>) {
            (name, primitive(ArrowDataType::Float64, (0..rows).map(|t| cell(i, t)).collect()))
        };
        let table: Vec<_> = names.iter().map(String::as_str).enumerate().map(column).collect();
        let samples = read(&written(&table, way));
        let mut expected: Vec<(String, i64, u64)> = Vec::new();
        for (i, name) in names.iter().enumerate() {
            expected.extend((0..rows).filter_map(|t| Some((name.clone(), t as i64 * 1000, cell(i, t)?.to_bits()))));
        }
        let samples = samples.unwrap();
        let mut found: Vec<(String, i64, u64)> = (0..samples.len())
            .map(|i| {
                let key = &samples.keys[samples.series[i] as usize];
                (key.metric.clone(), samples.timestamps_ms[i], samples.values[i].to_bits())
            })
            .collect();
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}

const PLAIN: Way = Way {
    version: Version::V1,
    encoding: Encoding::Plain,
    compression: CompressionOptions::Uncompressed,
    statistics: true,
    rows_per_group: 10,
};

#[test]
fn a_whole_number_beyond_64_bits_with_a_sign_is_refused() {
    let table = [("step", steps(2)), ("value", primitive(ArrowDataType::UInt64, vec![Some(1), Some(u64::MAX)]))];
    let error = read(&written(&table, PLAIN)).unwrap_err().to_string();
    assert!(error.starts_with("t: column \"value\": found 18446744073709551615, beyond"), "{error}");
}

#[test]
fn a_column_of_values_that_holds_no_numbers_is_refused_with_its_type() {
    let spans = primitive(ArrowDataType::Time64(TimeUnit::Microsecond), vec![Some(1_i64), Some(2)]);
    let error = read(&written(&[("step", steps(2)), ("value", spans)], PLAIN)).unwrap_err().to_string();
    assert_eq!(error, "t: column \"value\": holds cells of type time64, but a value column must hold numbers");
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let table = [("step", steps(30)), ("value", primitive(ArrowDataType::Float32, vec![Some(1.5_f32); 30]))];
    let whole = written(&table, PLAIN);
    assert_eq!(read(&whole).unwrap().len(), 30);
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err(), "{end} of {} bytes", whole.len());
    }
}

/// A damaged length must not make the decoder ask for room that no machine has, which would end the program.
#[test]
fn a_file_with_any_byte_changed_is_read_or_refused() {
    let values = (0..30).map(|i| (i % 7 != 0).then_some(f64::from(i % 3))).collect();
    let table = [("step", steps(30)), ("value", primitive(ArrowDataType::Float64, values))];
    for (version, encoding) in [(Version::V1, Encoding::Plain), (Version::V2, Encoding::RleDictionary)] {
        let whole = written(&table, Way { version, encoding, ..PLAIN });
        let rows = read(&whole).unwrap().len();
        for place in 0..whole.len() {
            for byte in [0x00, 0x01, 0x0f, 0x7f, 0x80, 0xff, whole[place] ^ 0x01, whole[place] ^ 0x10] {
                let mut damaged = whole.clone();
                damaged[place] = byte;
                if let Ok(samples) = read(&damaged) {
                    assert!(samples.len() <= rows, "{} rows with {byte:#x} at {place}", samples.len());
                }
            }
        }
    }
}
