//! `plimsoll forecast`.

use std::fmt::Write as _;

use serde_json::json;

use crate::domain::InputError;
use crate::domain::forecast::Forecast;
use crate::domain::progress::{Observer, Stage};
use crate::forecast::{self, ForecastSettings};
use crate::ingest::metrics::{Options, TableShape};
use crate::report::document::ForecastDocument;
use crate::series;

use super::arguments::{ForecastArguments, ForecastFormat};
use super::exit::{Done, Failure};
use super::progress::Bars;
use super::{inputs, output};

/// A table that counts steps is laid on an axis with a spacing of 1, so that its own numbering goes on.
const NUMBERED: i64 = 1;

pub(super) fn run(arguments: &ForecastArguments) -> Result<Done, Failure> {
    let ForecastArguments { input, horizon, season, quantiles, lead, threads, seed: _, output: format } = arguments;
    if lead > horizon {
        return Err(InputError::whole("--lead", format!("is {lead} steps, beyond the horizon of {horizon}")).into());
    }
    let bars = Bars::new();
    bars.begin(Stage::Reading, None);
    let samples = inputs::load_samples(
        input,
        &Options { table: TableShape { step_ms: NUMBERED, ..TableShape::default() }, ..Options::default() },
        &mut Vec::new(),
    )?
    .unwrap_or_default();
    if samples.is_empty() {
        return Err(InputError::whole(input[0].display().to_string(), "holds no measurements to forecast").into());
    }
    bars.begin(Stage::Aligning, None);
    let series = series::plain(&samples, None)?;
    let mut levels = quantiles.clone();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    let settings = ForecastSettings {
        horizon_steps: *horizon as usize,
        seasons: season.as_ref().map(|s| s.iter().filter(|&&s| s > 0).map(|&s| s as usize).collect()),
        levels,
        lead_steps: *lead as usize,
        threads: usize::from(*threads),
    };
    bars.begin(Stage::Forecasting, Some(series.rows.len() as u64));
    let forecasts = forecast::forecast_series(&series, &settings, &|done, _| bars.done(done as u64));
    drop(bars);
    output::print(&match format {
        ForecastFormat::Table => table(&forecasts),
        ForecastFormat::Csv => forecast::to_csv(&forecasts),
        ForecastFormat::Json => json_document(&forecasts),
    })?;
    Ok(Done::Fine)
}

/// A line a series: the peak expected over the lead time and how the method did on the series' past.
fn table(forecasts: &[Forecast]) -> String {
    let number = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
    let mut text =
        format!("{:32} {:>12} {:>12} {:>8} {:>8} {:>8}  SEASONS\n", "SERIES", "NEXT", "PEAK", "MASE", "NAIVE", "LAST");
    for f in forecasts {
        let seasons = f.trust.seasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let note = f.trust.fallback.as_deref().unwrap_or(if seasons.is_empty() { "none" } else { &seasons });
        let name = f.subject.to_string();
        let next = f.mean.first().copied();
        let peak = f.peak.last().copied();
        let trust = &f.trust;
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{name:32} {:>12} {:>12} {:>8} {:>8} {:>8}  {note}",
            number(next),
            number(peak),
            number(trust.mase),
            number(trust.mase_seasonal_naive),
            number(trust.mase_last_value),
        );
    }
    text
}

/// Everything that is known of each forecast.
fn json_document(forecasts: &[Forecast]) -> String {
    let items: Vec<serde_json::Value> = forecasts
        .iter()
        .map(|f| {
            let quantiles: serde_json::Map<_, _> = f
                .levels
                .iter()
                .zip(f.quantiles.rows())
                .map(|(level, row)| (level.to_string(), json!(row.to_vec())))
                .collect();
            let mut item = json!(ForecastDocument::from(f));
            item["mean"] = json!(f.mean);
            item["quantiles"] = serde_json::Value::Object(quantiles);
            item
        })
        .collect();
    let document = json!({ "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ForecastList", "items": items });
    format!("{document:#}\n")
}
