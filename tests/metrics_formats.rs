//! Every format that metrics come in, through the one function that reads them.

#![cfg(feature = "tables")]

use plimsoll::domain::samples::SeriesKey;
use plimsoll::domain::{InputError, Samples};
use plimsoll::ingest::Source;
use plimsoll::ingest::metrics::{Options, TableShape, read};
use plimsoll::ingest::tables::{write_csv, write_parquet};
use proptest::prelude::*;

fn source(bytes: impl Into<Vec<u8>>) -> Source {
    Source { name: "m".into(), bytes: bytes.into() }
}

fn read_text(text: &str) -> Result<Samples, InputError> {
    read(&source(text), &Options::default())
}

/// One line a measurement: `metric{label=value} @time_ms value`.
fn lines(samples: &Samples) -> Vec<String> {
    (0..samples.len())
        .map(|i| {
            let SeriesKey { metric, labels } = &samples.keys[samples.series[i] as usize];
            let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{metric}{{{}}} @{} {}", labels.join(","), samples.timestamps_ms[i], samples.values[i])
        })
        .collect()
}

fn refusal(text: &str) -> String {
    read_text(text).unwrap_err().to_string()
}

#[test]
fn long_csv_has_a_metric_labels_and_a_value() {
    let samples = read_text(
        "timestamp,metric,namespace,pod,value\n\
         1700000000,cpu,shop,\"web,1\",0.5\n1700000060,cpu,shop,\"web,1\",0.75\n1700000000,memory,shop,,1e9\n",
    )
    .unwrap();
    assert_eq!(
        lines(&samples),
        [
            "cpu{namespace=shop,pod=web,1} @1700000000000 0.5",
            "cpu{namespace=shop,pod=web,1} @1700000060000 0.75",
            "memory{namespace=shop} @1700000000000 1000000000",
        ]
    );
    assert_eq!(samples.notes, [""; 0]);
}

#[test]
fn wide_csv_has_a_series_a_column() {
    let samples = read_text("ds;a;b\n2024-01-01;1;\n2024-01-02 12:00:00;2;3\n").unwrap();
    assert_eq!(lines(&samples), ["a{} @1704067200000 1", "a{} @1704196800000 2", "b{} @1704196800000 3"]);
    assert_eq!(samples.notes, ["cells without a value left out: 1"]);
}

#[test]
fn a_table_of_numbers_only_counts_steps_in_rows() {
    let options = Options { table: TableShape { step_ms: 300_000, ..TableShape::default() }, ..Options::default() };
    let samples = read(&source("vm1,vm2\n1,2\n3,4\n"), &options).unwrap();
    assert_eq!(lines(&samples), ["vm1{} @0 1", "vm1{} @300000 3", "vm2{} @0 2", "vm2{} @300000 4"]);
}

#[test]
fn a_step_column_counts_steps() {
    let samples = read_text("series,step,value\nH1,0,605\nH1,1,586\n").unwrap();
    assert_eq!(lines(&samples), ["H1{} @0 605", "H1{} @1000 586"]);
}

#[test]
fn units_of_unix_times_are_told_apart() {
    for (time, expected) in [
        ("1700000000", 1_700_000_000_000_i64),
        ("1700000000.25", 1_700_000_000_250),
        ("1700000000123", 1_700_000_000_123),
        ("1700000000123456", 1_700_000_000_123),
        ("1700000000123456789", 1_700_000_000_123),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-15T00:13:20.5+02:00", 1_700_000_000_500),
        ("2023-11-14 22:13:20", 1_700_000_000_000),
        ("60", 60_000),
    ] {
        let samples = read_text(&format!("time,value\n{time},1\n")).unwrap();
        assert_eq!(samples.timestamps_ms, [expected], "{time}");
        assert_eq!(samples.keys[0].metric, "value");
    }
}

#[test]
fn several_metrics_a_row_share_their_labels() {
    let samples = read_text("time\tpod\tcpu\tmemory\n1\tweb-1\t0.5\t100\n1\tweb-2\t0.25\t200\n").unwrap();
    assert_eq!(
        lines(&samples),
        [
            "cpu{pod=web-1} @1000 0.5",
            "cpu{pod=web-2} @1000 0.25",
            "memory{pod=web-1} @1000 100",
            "memory{pod=web-2} @1000 200",
        ]
    );
}

#[test]
fn labels_may_stand_in_one_column() {
    let text = "timestamp,name,labels,value\r\n1,up,\"{job=\"\"a,b\"\",pod=\"\"x\"\"}\",1\r\n2,up,,0\r\n";
    let samples = read_text(text).unwrap();
    assert_eq!(lines(&samples), ["up{job=a,b,pod=x} @1000 1", "up{} @2000 0"]);
}

#[test]
fn data_frame_indices_and_byte_order_marks_are_no_columns() {
    let samples = read_text("\u{feff},timestamp,value\n0,1,5\n1,2,6\n").unwrap();
    assert_eq!(lines(&samples), ["value{} @1000 5", "value{} @2000 6"]);
    assert_eq!(samples.notes, ["columns left out: \"\""]);
}

#[test]
fn numbers_beside_a_metric_and_a_value_are_labels() {
    let samples = read_text("timestamp,metric,code,le,value\n1,http_bucket,200,0.10,5\n").unwrap();
    assert_eq!(lines(&samples), ["http_bucket{code=200,le=0.10} @1000 5"]);
    assert_eq!(samples.notes, ["numbers read as labels: \"code\", \"le\""]);
}

#[test]
fn a_label_of_a_thousand_numbers_is_a_measurement() {
    let rows: String = (0..1001).map(|i| format!("{i},cpu,{i}.5,1\n")).collect();
    assert_eq!(
        refusal(&format!("timestamp,metric,weight,value\n{rows}")),
        "m: column \"weight\": holds 1001 different numbers, too many for a label"
    );
}

#[test]
fn cells_that_do_not_fit_name_row_and_column() {
    for (text, message) in [
        ("timestamp,value\n1,1\n2,inf\n", "row 2: column \"value\": found inf where a finite number was expected"),
        ("timestamp,value\n1,1\n2,five\n", "row 2: column \"value\": found \"five\" where a number was expected"),
        (
            "timestamp,value\n1,1\nsoon,2\n",
            "row 2: column \"timestamp\": found \"soon\" where a Unix time was expected",
        ),
        (
            "timestamp,value\n2024-01-01,1\n2024-13-01,2\n",
            "row 2: column \"timestamp\": found \"2024-13-01\" where a time was expected",
        ),
        (
            "timestamp,value\n1700000000123,1\n1700000000,2\n",
            "row 2: column \"timestamp\": found 1700000000 in a column of Unix times in milliseconds",
        ),
        ("timestamp,value\n1,1\n,2\n", "row 2: column \"timestamp\": has no time beside a value"),
        ("timestamp,metric,value\n1,cpu,1\n2,,2\n", "row 2: column \"metric\": names no series"),
        (
            "timestamp,labels,value\n1,\"{a=\"\"b\"\"}\",1\n2,{a=b},2\n",
            "row 2: column \"labels\": found \"b}\" where a string in double quotes was expected",
        ),
    ] {
        assert_eq!(refusal(text), format!("m: {message}"));
    }
}

#[test]
fn tables_that_can_be_read_in_two_ways_are_refused_with_their_columns() {
    for (text, message) in [
        ("pod,value\na,1\n", "no time column; its columns are \"pod\", \"value\""),
        ("timestamp,pod\n1,a\n", "no column of numbers; its columns are \"timestamp\", \"pod\""),
        (
            "timestamp,value,weight\n1,2,3.5\n",
            "numbers in \"weight\" beside \"value\"; its columns are \"timestamp\", \"value\", \"weight\"",
        ),
        (
            "timestamp,series,a,b\n1,x,2,3\n",
            "numbers in \"a\", \"b\" beside the series in \"series\"; its columns are \"timestamp\", \"series\", \"a\", \"b\"",
        ),
        (
            "timestamp,step,cpu\n1,2,3\n",
            "\"step\" beside another time column; its columns are \"timestamp\", \"step\", \"cpu\"",
        ),
        ("when,value\n2024-01-01,3\n", "no time column, but times in \"when\"; its columns are \"when\", \"value\""),
        ("when,cpu\n2024-01-01,3\n", "no time column, but times in \"when\"; its columns are \"when\", \"cpu\""),
    ] {
        assert_eq!(refusal(text), format!("m: has {message}"));
    }
}

#[test]
fn a_caller_may_name_the_columns() {
    let table = TableShape {
        time: Some("when".into()),
        series: Some("machine".into()),
        value: Some("load".into()),
        ..TableShape::default()
    };
    let text = "when,machine,load,other\n1,a,2.5,9.5\n";
    let samples = read(&source(text), &Options { table, ..Options::default() }).unwrap();
    assert_eq!(lines(&samples), ["a{} @1000 2.5"]);
    assert_eq!(samples.notes, ["columns left out: \"other\""]);
    let table = TableShape { time: Some("then".into()), ..TableShape::default() };
    let error = read(&source(text), &Options { table, ..Options::default() }).unwrap_err();
    assert!(error.to_string().starts_with("m: has no column \"then\"; its columns are"), "{error}");
}

#[test]
fn what_holds_no_measurement_is_refused() {
    for (text, message) in [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("# TYPE up gauge\n", "holds no measurement"),
        ("timestamp,value\n1,NaN\n", "holds no measurement: cells without a value left out: 1"),
        ("timestamp,value\n", "holds no measurement"),
        ("a\0b", "is in a binary format other than Parquet"),
        ("{}", "is no response of Prometheus' query_range: missing field `status`"),
    ] {
        let found = refusal(text);
        assert!(found.ends_with(message), "{text:?}: {found}");
    }
    assert!(refusal("PAR1").starts_with("m: is a broken table: "));
}

#[test]
fn formats_are_told_apart_by_content() {
    for text in [
        "up{job=\"a\"} 1 1000\n",
        "# TYPE up gauge\nup{job=\"a\"} 1 1.0\n# EOF",
        "{__name__=\"up\",job=\"a\"} 1 1000\n",
        "{\"up\",job=\"a\"} 1 1000\n",
        "\u{feff}timestamp,metric,job,value\n1,up,a,1\n",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":\
         [{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[[1,\"1\"]]}]}}",
    ] {
        assert_eq!(lines(&read_text(text).unwrap()), ["up{job=a} @1000 1"], "{text}");
    }
}

#[test]
fn every_shared_trace_is_read_whole() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
    let Ok(manifest) = std::fs::read_to_string(format!("{folder}/manifest.json")) else {
        eprintln!("skipped: ../shared/data is not here");
        return;
    };
    let manifest: Vec<serde_json::Value> = serde_json::from_str(&manifest).unwrap();
    let mut files = 0;
    for entry in &manifest {
        let file = entry["file"].as_str().unwrap();
        if !file.ends_with(".parquet") {
            continue;
        }
        let source = Source::read(format!("{folder}/{file}").as_ref()).unwrap();
        let samples = read(&source, &Options::default()).unwrap_or_else(|error| panic!("{error}: {:?}", error.hint));
        let rows = usize::try_from(entry["rows"].as_u64().unwrap()).unwrap();
        let in_steps = file.starts_with("azure") || file.starts_with("m4");
        let columns = if file.starts_with("azure") { entry["columns"].as_array().unwrap().len() } else { 1 };
        assert_eq!(samples.len(), rows * columns, "{file}: {:?}", samples.notes);
        let newest = samples.timestamps_ms.iter().max().unwrap();
        let since_1998 = 880_000_000_000..1_800_000_000_000;
        assert!(in_steps || since_1998.contains(newest), "{file}: {newest}");
        files += 1;
    }
    assert!(files >= 14, "only {files} files");
}

fn any_samples() -> impl Strategy<Value = Samples> {
    let name = prop_oneof![
        "[a-z_]{1,6}".boxed(),
        Just("value".to_owned()).boxed(),
        Just("labels".to_owned()).boxed(),
        Just("a b".to_owned()).boxed()
    ];
    let labels = proptest::collection::btree_map(name, "[ -~é\"]{1,6}", 0..4);
    let key = ("[a-z][a-z_:]{0,6}", labels).prop_map(|(metric, labels)| SeriesKey { metric, labels });
    let keys = proptest::collection::btree_set(key, 1..5);
    let row = (any::<prop::sample::Index>(), 0..4_000_000_000_000_i64, proptest::num::f64::NORMAL);
    (keys, proptest::collection::vec(row, 1..20)).prop_map(|(keys, rows)| {
        let keys: Vec<SeriesKey> = keys.into_iter().collect();
        Samples {
            series: rows.iter().map(|(series, ..)| u32::try_from(series.index(keys.len())).unwrap()).collect(),
            timestamps_ms: rows.iter().map(|&(_, time_ms, _)| time_ms).collect(),
            values: rows.iter().map(|&(.., value)| value).collect(),
            keys,
            notes: Vec::new(),
        }
    })
}

fn sorted(samples: &Samples) -> Vec<String> {
    let mut lines = lines(samples);
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn written_tables_are_read_back(samples in any_samples()) {
        let parquet = read(&source(write_parquet(&samples).unwrap()), &Options::default()).unwrap();
        prop_assert_eq!(sorted(&parquet), sorted(&samples));
        let csv = write_csv(&samples).unwrap();
        let csv = read(&source(csv.clone()), &Options::default()).unwrap_or_else(|error| panic!("{error}\n{csv}"));
        prop_assert_eq!(sorted(&csv), sorted(&samples));
    }
}
