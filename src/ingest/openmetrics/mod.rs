//! Prometheus' text exposition (0.0.4, and quoted names as Prometheus 3 has them) and `OpenMetrics` 1.0.
//!
//! The two differ in one thing that matters here: a timestamp is milliseconds in the first and seconds in the
//! second. A text that ends in `# EOF` is `OpenMetrics`, any other is not; where a timestamp shows that this guess
//! is wrong, as in an `OpenMetrics` text whose end is missing, the text is refused.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>.

mod cursor;

use std::collections::{BTreeMap, HashMap, HashSet};

pub(crate) use self::cursor::Unexpected;

use self::cursor::Cursor;
use super::collector::Collector;
use super::source::Source;
use crate::domain::{InputError, Location, Samples};

/// Times that are 1973 to 5138 as seconds and the first three years after 1970 as milliseconds.
const LOOKS_LIKE_SECONDS: std::ops::Range<i64> = 100_000_000..100_000_000_000;

/// Which of the two formats a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Prometheus,
    OpenMetrics,
}

/// What was left out, by reason.
#[derive(Debug, Default)]
struct LeftOut {
    not_a_number: usize,
    infinite: usize,
    creation_times: usize,
}

/// One sample line, the series not taken apart yet.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line<'a> {
    series: &'a str,
    value: f64,
    timestamp_ms: Option<i64>,
}

/// Reads an exposition. A sample without a timestamp gets `default_time_ms`, milliseconds since the Unix epoch.
///
/// NaN and infinite values, and the `_created` times of `OpenMetrics`, are left out with a note; buckets keep their `le`;
/// exemplars are checked and dropped.
///
/// # Errors
/// For the first line that is not of the format, with line and column.
pub fn parse(source: &Source, default_time_ms: i64) -> Result<Samples, InputError> {
    let text = source.text()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let dialect = dialect(text);
    let mut reader = Reader::default();
    let mut ended_at = None;
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim_ascii();
        if trimmed.is_empty() {
            continue;
        }
        if let Some(end) = ended_at {
            let problem = format!("text after the `# EOF` of line {end}");
            return Err(InputError::at(&source.name, Location::Line(number), problem)
                .hint("give each exposition as a file of its own"));
        }
        let read = if trimmed == "# EOF" {
            ended_at = Some(number);
            Ok(())
        } else if trimmed.starts_with('#') {
            reader.comment(line)
        } else {
            reader.sample(line, dialect, default_time_ms)
        };
        read.map_err(|Unexpected { offset, problem }| {
            let column = line.get(..offset).map_or(1, |before| before.chars().count() + 1);
            let error = InputError::at(&source.name, Location::LineColumn(number, column), problem);
            suggest(dialect, error)
        })?;
    }
    Ok(reader.finish())
}

/// What was read so far of a text that lives as long as `'a`.
#[derive(Debug, Default)]
struct Reader<'a> {
    collector: Collector,
    /// Series by their text, so that each is taken apart once; `None` for creation times.
    known: HashMap<&'a str, Option<u32>>,
    /// The series of the line before.
    last: Option<(&'a str, Option<u32>)>,
    /// Metrics that are creation times.
    created: HashSet<String>,
    left_out: LeftOut,
}

impl<'a> Reader<'a> {
    fn comment(&mut self, line: &str) -> Result<(), Unexpected> {
        if let Some(family) = family_with_creation_times(line)? {
            self.created.insert(format!("{family}_created"));
        }
        Ok(())
    }

    fn sample(&mut self, line: &'a str, dialect: Dialect, default_time_ms: i64) -> Result<(), Unexpected> {
        let Line { series: text, value, timestamp_ms } = sample(line, dialect)?;
        let series = match self.last {
            Some((last, series)) if last == text => series,
            _ => self.series(text, dialect).map_err(|unexpected| {
                let before = line.len() - line.trim_ascii_start().len();
                Unexpected { offset: before + unexpected.offset, ..unexpected }
            })?,
        };
        self.last = Some((text, series));
        match series {
            None => self.left_out.creation_times += 1,
            Some(_) if value.is_nan() => self.left_out.not_a_number += 1,
            Some(_) if value.is_infinite() => self.left_out.infinite += 1,
            Some(series) => self.collector.push(series, timestamp_ms.unwrap_or(default_time_ms), value),
        }
        Ok(())
    }

    fn series(&mut self, text: &'a str, dialect: Dialect) -> Result<Option<u32>, Unexpected> {
        if let Some(&series) = self.known.get(text) {
            return Ok(series);
        }
        let key = Cursor::new(text).series()?;
        let is_creation_time = dialect == Dialect::OpenMetrics && self.created.contains(&key.metric);
        let series = (!is_creation_time).then(|| self.collector.series(key));
        self.known.insert(text, series);
        Ok(series)
    }

    fn finish(self) -> Samples {
        let LeftOut { not_a_number, infinite, creation_times } = self.left_out;
        self.collector.finish([
            (not_a_number, "samples without a value (NaN)"),
            (infinite, "samples of infinite value"),
            (creation_times, "creation times (`_created`)"),
        ])
    }
}

/// Whether a line could be a sample of either format.
pub(crate) fn is_sample(line: &str) -> bool {
    sample(line, Dialect::OpenMetrics).is_ok_and(|sample| Cursor::new(sample.series).series().is_ok())
}

/// Labels in braces, `{a="b",c="d"}`, as a column of a table may carry them; the braces may be missing.
#[cfg_attr(not(feature = "tables"), expect(dead_code, reason = "only tables have such a column"))]
pub(crate) fn parse_labels(text: &str) -> Result<BTreeMap<String, String>, Unexpected> {
    let text = text.trim();
    let braced = if text.starts_with('{') { text.to_owned() } else { format!("{{{text}}}") };
    let mut cursor = Cursor::new(&braced);
    let (metric, labels) = cursor.labels()?;
    if metric.is_some() || !cursor.is_at_end() {
        return Err(cursor.expected("labels as in {a=\"b\"} and nothing else"));
    }
    Ok(labels)
}

fn dialect(text: &str) -> Dialect {
    let last = text.trim_ascii_end().lines().next_back().unwrap_or_default();
    if last.trim_ascii() == "# EOF" { Dialect::OpenMetrics } else { Dialect::Prometheus }
}

/// The name of the family if the line gives it a type whose series have creation times. Checks the line.
fn family_with_creation_times(line: &str) -> Result<Option<&str>, Unexpected> {
    const TYPES: [&str; 10] = [
        "counter",
        "gauge",
        "histogram",
        "gaugehistogram",
        "summary",
        "untyped",
        "unknown",
        "info",
        "stateset",
        "native_histogram",
    ];
    let mut cursor = Cursor::new(line);
    cursor.skip_blanks();
    cursor.expect(b'#', "`#`")?;
    cursor.skip_blanks();
    if cursor.word() != "TYPE" {
        return Ok(None);
    }
    cursor.skip_blanks();
    let family = cursor.word();
    cursor.skip_blanks();
    let place = cursor.clone();
    let kind = cursor.word();
    if !TYPES.contains(&kind) {
        return Err(place.expected("the type of a metric, such as counter or gauge,"));
    }
    Ok(matches!(kind, "counter" | "histogram" | "summary").then_some(family))
}

/// `series value [timestamp] [# exemplar]`
fn sample(line: &str, dialect: Dialect) -> Result<Line<'_>, Unexpected> {
    let mut cursor = Cursor::new(line.trim_ascii_end());
    cursor.skip_blanks();
    let series = cursor.series_text()?;
    cursor.skip_blanks();
    let value = number(&mut cursor, "a value")?;
    cursor.skip_blanks();
    let timestamp_ms = if cursor.is_at_end() || cursor.rest().starts_with('#') {
        None
    } else {
        let place = cursor.clone();
        let word = cursor.word();
        Some(match dialect {
            Dialect::Prometheus => milliseconds(word).map_err(|what| place.expected(what))?,
            Dialect::OpenMetrics => seconds(word).ok_or_else(|| place.expected("a timestamp in seconds"))?,
        })
    };
    cursor.skip_blanks();
    if cursor.accept(b'#') {
        exemplar(&mut cursor)?;
    }
    if !cursor.is_at_end() {
        return Err(cursor.expected("the end of the line"));
    }
    Ok(Line { series, value, timestamp_ms })
}

/// `{trace_id="…"} value [timestamp]`
fn exemplar(cursor: &mut Cursor<'_>) -> Result<(), Unexpected> {
    cursor.skip_blanks();
    cursor.labels()?;
    cursor.skip_blanks();
    number(cursor, "the exemplar's value")?;
    cursor.skip_blanks();
    if !cursor.is_at_end() {
        number(cursor, "the exemplar's timestamp")?;
        cursor.skip_blanks();
    }
    Ok(())
}

fn number(cursor: &mut Cursor<'_>, what: &str) -> Result<f64, Unexpected> {
    let place = cursor.clone();
    cursor.word().parse().map_err(|_| place.expected(what))
}

fn milliseconds(word: &str) -> Result<i64, &'static str> {
    match word.parse() {
        Ok(time) if LOOKS_LIKE_SECONDS.contains(&time) => Err("a timestamp in milliseconds, not seconds,"),
        Ok(time) => Ok(time),
        Err(_) => Err("a timestamp in whole milliseconds"),
    }
}

fn seconds(word: &str) -> Option<i64> {
    let time_ms = (word.parse::<f64>().ok()? * 1000.0).round();
    // Beyond 2^53 a float no longer tells milliseconds apart; that is in the year 287396.
    (time_ms.abs() < 9_007_199_254_740_992.0).then_some(time_ms as i64)
}

fn suggest(dialect: Dialect, error: InputError) -> InputError {
    if dialect == Dialect::Prometheus && error.problem.contains("timestamp in") {
        error.hint("an OpenMetrics text, with timestamps in seconds, ends in a line `# EOF`; is the end missing?")
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_text(text: &str) -> Result<Samples, InputError> {
        parse(&Source { name: "m.txt".into(), bytes: text.as_bytes().to_vec() }, 5_000)
    }

    fn rows(samples: &Samples) -> Vec<(String, i64, f64)> {
        (0..samples.len())
            .map(|i| {
                let key = &samples.keys[samples.series[i] as usize];
                let labels: Vec<String> = key.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                (
                    format!("{} {}", key.metric, labels.join(" ")).trim_end().to_owned(),
                    samples.timestamps_ms[i],
                    samples.values[i],
                )
            })
            .collect()
    }

    #[test]
    fn the_text_format_has_milliseconds_and_defaults() {
        let samples = parse_text(
            "# HELP http_requests_total The total.\n# TYPE http_requests_total counter\n\
             http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
             http_requests_total{code=\"200\",method=\"post\"} 1028 1395066364000\r\n\
             \n# a comment\n  metric_without_timestamp_and_labels\t12.47  \n\
             something_weird{problem=\"division by zero\"} +Inf -3982045\nrpc{quantile=\"0.5\"} NaN\n\
             http_bucket{le=\"+Inf\"} 144320\n",
        )
        .unwrap();
        assert_eq!(
            rows(&samples),
            [
                ("http_requests_total code=200 method=post".to_owned(), 1_395_066_363_000, 1027.0),
                ("http_requests_total code=200 method=post".to_owned(), 1_395_066_364_000, 1028.0),
                ("metric_without_timestamp_and_labels".to_owned(), 5_000, 12.47),
                ("http_bucket le=+Inf".to_owned(), 5_000, 144_320.0),
            ]
        );
        assert_eq!(
            samples.notes,
            ["samples without a value (NaN) left out: 1", "samples of infinite value left out: 1"]
        );
    }

    #[test]
    fn openmetrics_has_seconds_exemplars_and_creation_times() {
        let samples = parse_text(
            "# TYPE foo histogram\n# UNIT foo seconds\n\
             foo_bucket{le=\"0.1\"} 8 1.25 # {trace_id=\"a}b\"} 0.054 1.2\nfoo_bucket{le=\"+Inf\"} 17 1520879607.789\n\
             foo_count 17 1520879607.789\nfoo_created 1520430000.123\nbar_created 3 2\n# EOF\n",
        )
        .unwrap();
        assert_eq!(
            rows(&samples),
            [
                ("foo_bucket le=0.1".to_owned(), 1_250, 8.0),
                ("foo_bucket le=+Inf".to_owned(), 1_520_879_607_789, 17.0),
                ("foo_count".to_owned(), 1_520_879_607_789, 17.0),
                ("bar_created".to_owned(), 2_000, 3.0),
            ]
        );
        assert_eq!(samples.notes, ["creation times (`_created`) left out: 1"]);
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, message) in [
            ("up 1\nup\n", "m.txt:2:3: the line ends where a value was expected"),
            ("up one\n", "m.txt:1:4: found \"one\" where a value was expected"),
            ("  up{é=\"1\"} 1\n", "m.txt:1:6: found \"é=\\\"1\\\"}\" where a label name or `}` was expected"),
            ("up{a=\"1\" 1\n", "m.txt:1:11: the line ends where `}` after the labels was expected"),
            ("up 1 2 3\n", "m.txt:1:8: found \"3\" where the end of the line was expected"),
            ("up 1 1.5\n", "m.txt:1:6: found \"1.5\" where a timestamp in whole milliseconds was expected"),
            ("up 1 1e300\n# EOF\n", "m.txt:1:6: found \"1e300\" where a timestamp in seconds was expected"),
            (
                "# TYPE up banana\n",
                "m.txt:1:11: found \"banana\" where the type of a metric, such as counter or gauge, was expected",
            ),
            ("up 1 1\n# EOF\nup 1 2\n", "m.txt:3: text after the `# EOF` of line 2"),
        ] {
            assert_eq!(parse_text(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_openmetrics_text_whose_end_is_missing_is_refused() {
        let error = parse_text("up 1 1700000000\nup 1 1700000015\n").unwrap_err();
        assert!(error.to_string().starts_with("m.txt:1:6: found \"1700000000\""), "{error}");
        assert!(error.hint.unwrap().contains("# EOF"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
            let _ = parse_text(&text);
        }

        #[test]
        fn any_text_of_the_formats_own_characters_is_read_or_refused(text in "[a-c{}\"=,\\\\# \n0-9.TYPEOF+-]{0,200}") {
            let _ = parse_text(&text);
        }

        #[test]
        fn written_series_are_read_back(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,8}",
            labels in proptest::collection::btree_map("[a-zA-Z][a-zA-Z0-9_]{0,5}", "[^\r\n]{1,8}|a\nb", 0..4),
            value in proptest::num::f64::NORMAL,
        ) {
            let escape = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let inner: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escape(v))).collect();
            let samples = parse_text(&format!("{name}{{{}}} {value} 7\n", inner.join(","))).unwrap();
            prop_assert_eq!(&samples.keys[0].metric, &name);
            prop_assert_eq!(&samples.keys[0].labels, &labels);
            prop_assert_eq!(&samples.values, &[value]);
            prop_assert_eq!(&samples.timestamps_ms, &[7]);
        }
    }
}
