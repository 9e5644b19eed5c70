//! The JSON that `query_range` answers with.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::collector::Collector;
use crate::domain::samples::SeriesKey;
use crate::domain::{InputError, Location, Samples};
use crate::source::Source;

/// What every endpoint of the API answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    status: Status,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Success,
    Error,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data<'a> {
    #[serde(borrow)]
    Matrix(Vec<Row<'a>>),
    Vector(serde::de::IgnoredAny),
    Scalar(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Row<'a> {
    metric: BTreeMap<String, String>,
    /// Absent where a series has native histograms only.
    #[serde(borrow, default)]
    values: Vec<Point<'a>>,
    #[serde(default)]
    histograms: Vec<serde::de::IgnoredAny>,
}

/// Seconds since the Unix epoch, and the value as text, which can say NaN.
#[derive(Debug, Deserialize)]
struct Point<'a>(f64, #[serde(borrow)] Cow<'a, str>);

/// Reads a response of `query_range`: `{"status":"success","data":{"resultType":"matrix","result":[…]}}`.
///
/// NaN and infinite values and native histograms are left out with a note; the server's warnings are notes.
///
/// # Errors
/// If it is not JSON, not such a response, a response that says an error, or not a matrix.
pub fn parse(source: &Source) -> Result<Samples, InputError> {
    let envelope: Envelope<'_> = serde_json::from_slice(&source.bytes).map_err(|error| {
        let text = error.to_string();
        let problem = text.split(" at line ").next().unwrap_or_default();
        InputError::at(
            &source.name,
            Location::LineColumn(error.line(), error.column()),
            format!("is no response of Prometheus' query_range: {problem}"),
        )
    })?;
    if envelope.status == Status::Error {
        return Err(InputError::whole(
            &source.name,
            format!(
                "is a refusal of Prometheus: {}: {}",
                envelope.error_type.as_deref().unwrap_or("error"),
                envelope.error.as_deref().unwrap_or("no reason given")
            ),
        ));
    }
    let Some(Data::Matrix(rows)) = envelope.data else {
        return Err(
            InputError::whole(&source.name, "is no matrix of Prometheus").hint("save a response of query_range")
        );
    };
    let mut samples = collect(source, rows)?;
    samples.notes.extend(envelope.warnings.iter().map(|warning| format!("Prometheus warns: {warning}")));
    samples.notes.extend(envelope.infos.iter().map(|info| format!("Prometheus remarks: {info}")));
    Ok(samples)
}

/// The reason in an answer that says an error, as in `bad_data: invalid parameter "query"`.
#[cfg(feature = "cluster")]
pub(super) fn refusal(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Refusal {
        error_type: String,
        error: String,
    }
    let Refusal { error_type, error } = serde_json::from_slice(body).ok()?;
    Some(format!("{error_type}: {error}"))
}

fn collect(source: &Source, rows: Vec<Row<'_>>) -> Result<Samples, InputError> {
    let mut collector = Collector::default();
    let (mut not_a_number, mut infinite, mut histograms) = (0, 0, 0);
    for row in rows {
        let mut labels = row.metric;
        let metric = labels.remove("__name__").unwrap_or_default();
        labels.retain(|_, value| !value.is_empty());
        let object = SeriesKey { metric, labels };
        let place = |field: String| Location::Object {
            object: format!("series {:?} {:?}", object.metric, object.labels),
            field,
        };
        let mut series = None;
        histograms += row.histograms.len();
        for (index, Point(time_s, text)) in row.values.into_iter().enumerate() {
            let field = || place(format!("values[{index}]"));
            let value: f64 = text.parse().map_err(|_| {
                InputError::at(&source.name, field(), format!("found {text:?} where a number was expected"))
            })?;
            let time_ms = (time_s * 1000.0).round();
            if time_ms.abs() >= 9_007_199_254_740_992.0 {
                let problem = format!("found {time_s:e} where a time in Unix seconds was expected");
                return Err(InputError::at(&source.name, field(), problem));
            }
            if value.is_nan() {
                not_a_number += 1;
            } else if value.is_infinite() {
                infinite += 1;
            } else {
                let series = *series.get_or_insert_with(|| collector.series(object.clone()));
                collector.push(series, time_ms as i64, value);
            }
        }
    }
    Ok(collector.finish([
        (not_a_number, "samples without a value (NaN)"),
        (infinite, "samples of infinite value"),
        (histograms, "native histograms"),
    ]))
}
