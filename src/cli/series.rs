//! `plimsoll series`.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::orchestration::Orchestration;
use crate::domain::progress::{Observer, Stage};
use crate::domain::{InputError, Series};
use crate::series::{self, AlignSettings};

use super::arguments::{SeriesArguments, SeriesFormat, SeriesLevel};
use super::exit::{Done, Failure};
use super::progress::Bars;
use super::{inputs, output};

pub(super) fn run(arguments: SeriesArguments) -> Result<Done, Failure> {
    let SeriesArguments { sources, step, level, output: format } = arguments;
    let bars = Bars::new();
    let now_ms = Timestamp::now().as_millisecond();
    let loaded = inputs::load(&sources, now_ms, &bars)?;
    let Some(samples) = loaded.samples else {
        return Err(InputError::whole("--metrics", "is missing: name a file with measurements")
            .hint("or ask a server with --prometheus URL")
            .into());
    };
    let step_ms = step.map_or(loaded.policy.planning.step_ms, |seconds| ((seconds * 1000.0).round() as i64).max(1));
    bars.begin(Stage::Aligning, None);
    let snapshot = loaded.snapshot.as_ref();
    let pods = series::align(&samples, &loaded.policy.metrics, snapshot, &AlignSettings::with_step(step_ms))?;
    for note in &pods.notes {
        output::message(&format!("note: {note}"));
    }
    let shown = match level {
        SeriesLevel::Pods => rows(&pods),
        SeriesLevel::Workloads => rows(&series::workloads(&pods)),
        SeriesLevel::Models => series::orchestration(&pods, snapshot).iter().flat_map(model_rows).collect(),
    };
    drop(bars);
    output::print(&match format {
        SeriesFormat::Table => table(&shown),
        SeriesFormat::Csv => csv(&pods, &shown),
        SeriesFormat::Json => json_document(&pods, &shown),
    })?;
    Ok(Done::Fine)
}

/// One line of output: a name, what it measures, its values on the axis.
struct Row {
    subject: String,
    signal: String,
    resets: usize,
    values: Vec<f64>,
}

fn rows(series: &Series) -> Vec<Row> {
    let values = series.values.rows().into_iter();
    let described = series.rows.iter().zip(values);
    described
        .map(|(row, values)| Row {
            subject: row.subject.to_string(),
            signal: name_of(&json!(row.signal)),
            resets: row.quality.resets,
            values: values.to_vec(),
        })
        .collect()
}

/// The five models of one workload, in the order R, D, S, B, E.
fn model_rows(models: &Orchestration) -> Vec<Row> {
    let row = |signal: &str, values: &[f64]| Row {
        subject: models.workload.to_string(),
        signal: signal.to_owned(),
        resets: 0,
        values: values.to_vec(),
    };
    vec![
        row("R cpu cores", &models.runtime_cpu_cores),
        row("R memory bytes", &models.runtime_memory_bytes),
        row("D seconds", &models.discovery_seconds),
        row("S instances", &models.scheduling),
        row("B instances", &models.balancing),
        row("B Jain index", &models.jain_index),
        row("E cores", &models.scaling_cores),
    ]
}

/// The name that a unit variant has in JSON.
fn name_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:36} {:20} {:>8} {:>7} {:>6} {:>12} {:>12} {:>12}\n",
        "SERIES", "SIGNAL", "MEASURED", "GAPS", "RESETS", "MIN", "MEAN", "MAX"
    );
    for Row { subject, signal, resets, values } in rows {
        let known: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let first = values.iter().position(|v| v.is_finite()).unwrap_or(0);
        let last = values.iter().rposition(|v| v.is_finite()).map_or(0, |i| i + 1);
        let gaps = last.saturating_sub(first) - known.len().min(last.saturating_sub(first));
        let least = known.iter().copied().fold(f64::INFINITY, f64::min);
        let most = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        let number = |v: f64| if v.is_finite() { format!("{v:.4}") } else { "-".to_owned() };
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{subject:36} {signal:20} {:>8} {gaps:>7} {resets:>6} {:>12} {:>12} {:>12}",
            known.len(),
            number(least),
            number(mean),
            number(most),
        );
    }
    text
}

fn csv(series: &Series, rows: &[Row]) -> String {
    let mut text = String::from("series,signal,timestamp,value\n");
    for row in rows {
        let quoted = |name: &str| {
            if name.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", name.replace('"', "\"\""))
            } else {
                name.to_owned()
            }
        };
        let (subject, signal) = (quoted(&row.subject), quoted(&row.signal));
        for (i, value) in row.values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
            let time =
                Timestamp::from_millisecond(series.axis.time_ms(i)).map_or_else(|_| String::new(), |t| t.to_string());
            // Writing to a string can't fail.
            let _ = writeln!(text, "{subject},{signal},{time},{value}");
        }
    }
    text
}

fn json_document(series: &Series, rows: &[Row]) -> String {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            // JSON has no NaN: a gap is null.
            json!({ "series": row.subject, "signal": row.signal, "values": row.values })
        })
        .collect();
    let document = json!({
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "SeriesList",
        "axis": series.axis,
        "notes": series.notes,
        "rows": rows,
    });
    format!("{document:#}\n")
}
